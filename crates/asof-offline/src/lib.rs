//! History: append-only Delta tables, one per view identity, and one journal table beside them.
//!
//! A table holds the rows of publication units. One unit is one Delta commit, which names it; its files carry it in
//! their names, so a reader can leave out a unit that is not published yet without opening a file (SEMANTICS 1).
//! The journal says which units are published, and when.
//!
//! - **Atomic**: a commit is there whole or not at all. What a crash leaves behind is files that no commit names;
//!   they are never read.
//! - **May repeat**: appending a unit or a journal entry that is there already writes nothing.
//! - **Concurrent**: any number of processes read while others append. A reader sees the version that it opened.
//! - **Cared for**: small files are brought together ([`rewrite`]), and what no reader needs any more is removed
//!   ([`vacuum`]). Rows keep their units, and other engines read the table at every moment.
//! - **Not done here**: choosing rows. A scan leaves out files and row groups by their statistics and returns a
//!   superset; rows are picked by the caller.
//!
//! The crate **must not know** who reads it: no online store, no registry, no join.
//!
//! Reading order: [`error`], what a table's columns are ([`columns`]), the folder and how bytes reach the disk
//! ([`store`], `durable`), how data files are named, pruned ([`files`]), written (`write`) and read (`read`),
//! then the two kinds of tables ([`table`], [`journal`]), and their care ([`rewrite`], [`vacuum`], [`erasures`]).

pub mod columns;
mod delta;
mod durable;
pub mod erasures;
pub mod error;
pub mod files;
pub mod journal;
mod read;
pub mod rewrite;
pub mod store;
pub mod table;
pub mod vacuum;
mod write;

pub use erasures::Erasure;
pub use error::OfflineError;
pub use files::{DataFile, Scan};
pub use journal::{JOURNAL, JournalEntry};
pub use rewrite::{Rewritten, RowChoice, RowRank, UnitRank, UnitRanks};
pub use store::OfflineStore;
pub use table::{Appended, Table, TableSpec, UnitInputs};
pub use vacuum::{Vacuum, Vacuumed};
