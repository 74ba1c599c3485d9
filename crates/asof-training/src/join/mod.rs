//! The point-in-time join by label slots (SEMANTICS 3), at any size.
//!
//! The label table is the small side. Its rows are cut by the hash of their key into shards; in each, the labels of a key
//! stand in order of their times: slots ([`shard`](self)). History is read once, in any order, keys and instants alone: a
//! row that `t` may see from some instant on belongs to the first slot of its key that is not before that instant, and only
//! the greatest row of a slot is kept, with its address. Afterwards one pass over each key carries the best forward. A
//! maximum does not depend on order, so nothing is sorted or shuffled, and threads, files and their order make no
//! difference. Then the features of the rows that won are read, and no others.
//!
//! What does not fit into memory goes to scratch: labels and rows by shard, winners by the piece of their row, features by
//! the range of their label. The answer is the same.
//!
//! Reading order: [`spec`] (what is asked), [`run`] (the steps), `label_pass`, `keys`, `key_table`, `shard` and `lane` (labels
//! as slots), `scan`, `take`, `stage`, `index` and `offer` (rows to slots; `wanted`, `filter` and `kept` beside them), `finish`
//! and `winners` (slots to rows; `ties`), `fetch` and `parts` (rows to features), [`answer`],
//! `gather` and `entering` (values and statuses).

pub mod answer;
mod entering;
mod fetch;
pub(crate) mod filter;
mod finish;
mod gather;
mod index;
mod kept;
pub(crate) mod key_table;
pub(crate) mod keys;
pub(crate) mod label_pass;
mod lane;
mod met;
mod offer;
pub(crate) mod order;
pub(crate) mod parts;
mod reach;
pub mod run;
mod scan;
pub(crate) mod shard;
pub mod spec;
mod stage;
mod take;
mod ties;
pub mod units;
mod wanted;
mod winners;

pub use answer::{FeatureColumn, RangeAnswer};
pub use entering::Entering;
pub use parts::RANGE_ROWS;
pub use run::{Joined, ViewReport, join};
pub use spec::{JoinSpec, Joins, Resources, ViewSpec};
pub use units::{Interval, Replaced, UnitFacts, Units, pushed_unit, read_pushed_unit};

pub(crate) use keys::KeyForm;
pub(crate) use label_pass::LabelPass;
pub(crate) use parts::Parts;
pub(crate) use run::Layout;
pub(crate) use scan::HistoryScanned;
