//! What every registry keeps to, as checks that run against any of them.
//!
//! An implementation gives a [`Database`] that is empty, and runs the checks by [`registry_suite!`](crate::registry_suite):
//!
//! ```ignore
//! asof_registry::registry_suite!(fresh_database);   // fn fresh_database() -> impl Database
//! ```
//!
//! A check panics where a promise is broken, and returns an error where the database failed it.

mod history;

mod model;

mod race;

mod store;

pub use history::*;
pub use model::*;
pub use race::*;
pub use store::*;

use asof_model::Instant;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::error::RegistryError;
use crate::record::{Change, ObjectKey};
use crate::registry::Registry;

/// What a check returns.
pub type Checked = Result<(), RegistryError>;

/// A database of an implementation, empty when a check gets it.
pub trait Database: Send + Sync {
    /// Opens the registry of a project, as a process of its own would: no state is shared with other handles.
    fn open<'a>(&'a self, project: &'a str) -> BoxFuture<'a, Result<Box<dyn Registry>, RegistryError>>;
}

/// The project that most checks work on.
const PROJECT: &str = "credit";

/// An instant to the microsecond, `number` hours after another.
fn at(number: i64) -> Instant {
    Instant::from_micros_clamped(1_700_000_000_123_456 + number * 3_600_000_000)
}

/// Puts an entity whose spec carries a number.
fn put(name: &str, number: u64) -> Change {
    put_spec(ObjectKey::entity(name), json!({ "number": number }))
}

fn put_spec(key: ObjectKey, spec: Value) -> Change {
    Change::Put { key, spec, semantic_hash: String::new(), identity: String::new() }
}

fn put_view(name: &str, version: u32, semantic_hash: &str, identity: &str) -> Change {
    Change::Put {
        key: ObjectKey::view(name, version),
        spec: json!({ "features": {} }),
        semantic_hash: semantic_hash.to_owned(),
        identity: identity.to_owned(),
    }
}

fn remove(name: &str) -> Change {
    Change::Remove { key: ObjectKey::entity(name) }
}

/// Declares one test for each check of the suite. Takes a function that returns a fresh
/// [`Database`](crate::conformance::Database); needs tokio with its macros and its multi-threaded runtime.
#[macro_export]
macro_rules! registry_suite {
    ($fresh:path) => {
        $crate::registry_suite!(@checks $fresh:
            starts_empty,
            keeps_what_was_put,
            keeps_any_spec,
            refuses_what_cannot_be_stored,
            updates_in_place,
            keeps_the_identity,
            created_again_is_new,
            nothing_to_do_does_nothing,
            a_failing_change_leaves_nothing,
            refuses_a_moved_base,
            projects_do_not_meet,
            reopening_keeps_all,
            tells_its_history,
            one_of_two_applies_wins,
            all_who_plan_again_get_through,
            a_snapshot_is_whole,
            agrees_with_a_map,
        );
    };
    (@checks $fresh:path: $($check:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let database = $fresh();
                let checked = $crate::conformance::$check(&database).await;
                assert!(checked.is_ok(), "{checked:?}");
            }
        )*
    };
}
