//! The feature store, from the outside.
