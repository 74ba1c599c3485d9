//! Columns at chosen rows, and what is left out, against a plain reading of the whole file.

mod prune;
mod rows;
mod written;
