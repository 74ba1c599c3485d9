//! The point-in-time join by label slots (SEMANTICS 3).
//!
//! The label table is the small side. Its rows are grouped by key and each group's times are sorted: [`labels`].
//! History is read once, in any order: a row that `t` may see from some instant on belongs to the first slot of its
//! key that is not before that instant, and only the greatest row of a slot is kept: [`candidates`]. Afterwards one
//! pass over each group carries the best forward. A row that was replaced is seen by a span of slots only; those few go
//! to a tree over the slots. A maximum does not depend on order, so nothing is ever sorted or
//! shuffled. [`view`] joins one view, [`answer`] turns winners into values and statuses.

pub mod answer;
mod candidates;
pub mod labels;
pub mod units;
pub mod view;

pub use answer::{FeatureColumn, ViewAnswer, ViewReport};
pub use labels::LabelIndex;
pub use units::{Interval, Replaced, UnitFacts, Units};
pub use view::{Absorbed, ViewJoin};
