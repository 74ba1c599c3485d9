//! The admission log: what was acknowledged, durable and in one order, in segments in a folder.
//!
//! An entry is opaque bytes under a topic, and a position in the log says which one. The crate **must not know** what
//! a feature, a view or a row is, who sends or folds entries, nor what time it is: instants come in with the batches.
//!
//! What it promises:
//!
//! - [`Log::append`] returns when the batch is on the disk. A batch is whole or not there at all.
//! - Positions begin at 1 and are consecutive over the whole log, for ever, whatever was reclaimed.
//! - A batch with a key is appended once. The key is remembered while the batch is in the log and some time beyond.
//! - Readers see durable batches only, in the order of positions, and never wait for a disk that an appender waits for.
//! - What can't be read is an error that names file and offset. Only what was never acknowledged is cut off in silence.
//!
//! What it does not do: it keeps no place of a reader, and does not remember over reopening how far was folded.
//! Whoever folds knows that, and says so again.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use asof_log::{Batch, Log, LogOptions};
//! use asof_model::Instant;
//! use bytes::Bytes;
//!
//! let log = Log::open(folder.path(), LogOptions::default())?;
//! let entries = [Bytes::from("one"), Bytes::from("two")];
//! let batch = Batch { topic: "trips", key: Some(b"push 7"), admitted: Instant::EPOCH, entries: &entries };
//! let appended = log.append(batch)?;
//! assert_eq!((appended.first, appended.last, appended.repeat), (1, 2, false));
//! assert!(log.append(batch)?.repeat);
//!
//! let records = log.read(1, 1 << 20)?;
//! assert_eq!(records[0].entries, entries);
//! log.folded(2)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `batch` (what goes in and comes out), `format` (every stored byte, in one table), `log` (the door),
//! `append` (many threads, one write), `writer` and `segment` (the files), `frames` and `read`, `open` (what a crash
//! leaves), `keys` and `keys_file` (what was appended before), `reclaim`.

mod append;
mod archive;
mod batch;
mod error;
mod folder;
mod format;
mod frames;
mod keys;
mod keys_file;
mod log;
mod open;
mod read;
mod reclaim;
mod segment;
mod writer;

pub use batch::{
    Appended, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, KEY_BYTES_MAX, LogOptions, Record, TOPIC_BYTES_MAX,
};
pub use error::LogError;
pub use log::Log;
