//! gRPC: messages and services in two shapes, Feast's (`feast.serving`, `feast.types`) and our own (`asof.v1`).
//!
//! The files in `proto/` are the interface, and their comments its reference. From them are made [`messages`] (with
//! clients), [`servers`] (the traits that a server implements) and [`DESCRIPTORS`] (for reflection). The large answers
//! are not built as messages: [`feast_answer`] and [`answer`] write their bytes column by column from values that lie
//! elsewhere, and the methods of [`servers`] return these bytes as [`Encoded`].
//!
//! It **must not know** how a value is found, what a request means, or who serves it.
//!
//! Reading order: [`messages`], [`encoded`], [`cell`] (a borrowed value), `wire` (bytes of fields), then the two writers,
//! and [`given`] (what the values of a request are).

pub mod answer;
pub mod cell;
pub mod encoded;
pub mod feast_answer;
pub mod given;
mod wire;

pub use cell::{Cell, WrongCell};
pub use encoded::Encoded;

/// The messages and the clients.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "made from `proto/`, where the comments are")]
pub mod messages {
    /// Our own shape.
    pub mod asof {
        /// `asof.v1`.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/messages/asof.v1.rs"));
        }
    }

    /// Feast's shape.
    pub mod feast {
        /// `feast.serving`.
        pub mod serving {
            include!(concat!(env!("OUT_DIR"), "/messages/feast.serving.rs"));
        }

        /// `feast.types`.
        pub mod types {
            include!(concat!(env!("OUT_DIR"), "/messages/feast.types.rs"));
        }
    }
}

/// What a server implements. `GetOnlineFeatures` returns [`Encoded`] bytes in both.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "made from `proto/`, where the comments are")]
pub mod servers {
    /// Our own shape.
    pub mod asof {
        include!(concat!(env!("OUT_DIR"), "/servers/asof.v1.rs"));
    }

    /// Feast's shape.
    pub mod feast {
        include!(concat!(env!("OUT_DIR"), "/servers/feast.serving.rs"));
    }
}

/// Every file of `proto/` and what they import, as an encoded `google.protobuf.FileDescriptorSet`: what a reflection service
/// tells.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
