//! The online store: per view and key, the row in force and the rows that wait, read in one snapshot per request.
//!
//! The crate holds the trait, the codecs that every implementation shares, and the embedded implementation on an
//! LSM tree in a folder. It **must not know** sources, Redis, Kafka, HTTP, or how a row came to be; it reads no
//! clock but the injected one.
//!
//! Reading order: [`store`] (what an online store promises), [`layout`] and [`cell`] (the bytes of a row),
//! [`entry`] (the bytes under one key), [`fold`] and [`change`] (how a new row changes them), [`events`] (those of a view
//! of events), [`stamps`] (how `t` and `visible` are drawn), then [`embedded`]. `conformance` (a cargo feature) is the
//! suite that each implementation runs.

pub mod answer_rows;
pub mod awaited;
pub mod cell;
pub mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
pub mod entry;
pub mod entry_cache;
pub mod error;
pub mod events;
pub mod fields;
pub mod fold;
pub mod layout;
mod row_bytes;
pub mod stamps;
pub mod store;
mod varint;
pub mod versions;

pub use cell::CellRef;
pub use embedded::EmbeddedStore;
pub use entry::{StoredRow, StoredRowRef, WAITING_INLINE_MAX, row_at};
pub use error::OnlineError;
pub use fold::standing;
pub use layout::{OpenRow, RowLayout};
pub use row_bytes::RowBytes;
pub use store::{
    AnswerRow, BoxFuture, Clock, EventRange, EventRule, Frontier, IncomingRow, KEY_BYTES_MAX, OnlineAnswer,
    OnlineStore, PUBLICATION_BYTES_MAX, PUBLICATION_ROWS_MAX, Publication, Published, REPLACEMENT_ROWS_MAX,
    Replaces, UnitStamp, ViewHandle, ViewStatistics,
};
pub use versions::Version;
