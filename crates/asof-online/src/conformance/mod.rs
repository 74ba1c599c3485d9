//! The suite that every online store runs: [`online_store_suite!`](crate::online_store_suite).
//!
//! An implementation gives a [`Harness`] and gets one `#[test]` per promise of [`crate::store`]. The cases say what
//! an online store is; a store that fails one of them would let serving differ from training.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a case fails by panicking"
)]

mod answers;
mod events;
mod folding;
mod threads;
mod world;

use std::sync::Arc;

pub use answers::{
    composite_keys_that_share_prefixes, keys_are_listed_in_order, many_waiting_rows_overflow,
    now_is_answered_or_refused, unknown_views_are_refused, views_do_not_mix,
    waiting_rows_come_in_force_at_their_instant,
};
pub use events::{
    a_unit_of_events_twice, erased_events, events_are_added, events_are_replaced,
    events_of_an_earlier_answer, events_with_an_identity, many_events_of_one_key,
};
pub use folding::{
    a_late_smaller_row_replaces_nothing, a_refused_publication_leaves_nothing, folding_is_order_free,
    inactive_keys_are_left_out, reopening_keeps_everything, repeats_keep_their_first_visible, replacements,
    replay_keeps_the_stamps, rows_are_restored, same_unit_twice, ties_and_conflicts, waiting_units,
};
pub use threads::{
    answers_fall_between_stamps, answers_fall_between_stamps_on_a_clock_that_stands_still,
    answers_of_events_fall_between_stamps,
};
pub use world::{ManualClock, World, at};

use crate::store::{BoxFuture, Clock, OnlineStore};

/// One place where a store of its own can be opened, closed by dropping it, and opened again.
pub trait Harness: Sync {
    /// Opens the store of this place, which is empty the first time and keeps what it holds afterwards.
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore>;

    /// Waits for a future of the store. To be replaced where the futures need a runtime.
    fn wait<T>(&self, future: BoxFuture<'_, T>) -> T {
        futures::executor::block_on(future)
    }
}

/// Writes one `#[test]` per case of the suite. The argument is called once per test and returns a fresh
/// [`Harness`](crate::conformance::Harness).
#[macro_export]
macro_rules! online_store_suite {
    ($constructor:expr) => {
        $crate::online_store_suite!(@cases $constructor;
            same_unit_twice,
            folding_is_order_free,
            repeats_keep_their_first_visible,
            a_late_smaller_row_replaces_nothing,
            inactive_keys_are_left_out,
            rows_are_restored,
            ties_and_conflicts,
            a_refused_publication_leaves_nothing,
            reopening_keeps_everything,
            replay_keeps_the_stamps,
            replacements,
            waiting_units,
            events_are_added,
            events_with_an_identity,
            a_unit_of_events_twice,
            many_events_of_one_key,
            events_of_an_earlier_answer,
            erased_events,
            events_are_replaced,
            waiting_rows_come_in_force_at_their_instant,
            many_waiting_rows_overflow,
            views_do_not_mix,
            composite_keys_that_share_prefixes,
            keys_are_listed_in_order,
            now_is_answered_or_refused,
            unknown_views_are_refused,
            answers_fall_between_stamps,
            answers_fall_between_stamps_on_a_clock_that_stands_still,
            answers_of_events_fall_between_stamps,
        );
    };
    (@cases $constructor:expr; $($case:ident),* $(,)?) => {
        $(
            /// Goal: see the case of the same name in `asof_online::conformance`.
            #[test]
            fn $case() {
                $crate::conformance::$case(&$constructor());
            }
        )*
    };
}
