//! Makes the Rust code of the messages and services in `proto/`.
fn main() {}
