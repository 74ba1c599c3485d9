//! Development only: what the tests of every other crate share.
//!
//! - [`clock`]: a clock that moves when it is told to
//! - [`values`]: the edge values of each type
//! - [`world`]: small random histories with their labels, by seed or as a proptest strategy
//! - [`s3`]: a real server that speaks the protocol of S3
//! - [`case`]: the case files, which hold the rule of the product in a form that a data scientist reads
//!
//! It **must not know** the engine or the stores: they are tested with it, from their own test folders. It must never
//! be a dependency of shipped code.

pub mod clock;
pub mod s3;
pub mod values;
pub mod world;

pub mod case;
