//! Aggregates as states that merge: a result is a function of the multiset of values (SEMANTICS 4).
//!
//! Any order, any split over files, threads and hosts gives the same bytes: sums of floats are exact and rounded once,
//! sums of integers overflow only where their final value does, sketches have no chance in them. The crate **must not know**
//! where values come from, what time it is, Arrow, or how states travel.
//!
//! Reading order: [`closing`] (the features of a view for one key), [`events`] with `column` and `dictionary` (events as
//! columns), `repeats` (which of them stand), [`windows`] (which of them count), `picked` and `lanes` (which of them a feature
//! looks at), `fold` (values over many runs of them) with `argument`, `prepared`, `fixed`, `squares`, `blocks`, `nearest`,
//! `distinct` and [`sweep`], [`held`] (a key that is read again and again), [`function`] (which functions there are),
//! [`aggregate`] (a function over a type, and its states), `functions` (what each makes of values), `states` (what values are
//! folded into), [`place`] (where events stand), then what these calculate with: [`exact`], `limbs`, [`whole`],
//! [`cardinality`], `hashing`.

pub mod aggregate;
mod argument;
mod blocks;
pub mod cardinality;
pub mod closing;
mod column;
mod dictionary;
mod distinct;
pub mod events;
pub mod exact;
mod fixed;
mod fold;
pub mod function;
mod functions;
mod hashing;
pub mod held;
mod lanes;
mod limbs;
mod nearest;
mod picked;
pub mod place;
mod prepared;
mod repeats;
mod squares;
mod states;
pub mod sweep;
pub mod whole;
pub mod windows;

pub use aggregate::{Aggregate, State};
pub use closing::{Ask, Closed, Closing, WindowFeature};
pub use events::{Column, Events, Mark};
pub use exact::ExactSum;
pub use function::{Bounds, Function, Number};
pub use held::{ClosedAt, HeldKey, HeldPlan};
pub use place::Place;
pub use sweep::{Event, values_at};
