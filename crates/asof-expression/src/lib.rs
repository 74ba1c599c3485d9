//! The expression layer: total, row-wise expressions over feature values (SEMANTICS 5).
