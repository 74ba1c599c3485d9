//! The messages and services of gRPC.
