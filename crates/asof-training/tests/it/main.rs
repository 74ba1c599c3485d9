//! Training sets against the oracle, at every size.

mod join;
mod outputs;
mod worlds;
