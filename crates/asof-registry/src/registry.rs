//! What a registry does, whatever database it stands on.
//!
//! - A project's definitions move from one whole revision to the next; nobody sees one half applied.
//! - Applies are serialised by an optimistic check: who planned against an older revision is refused and plans again.
//! - A handle sees one project. Several projects may share one database and never see each other.

use asof_model::Instant;
use futures::future::BoxFuture;

use crate::error::RegistryError;
use crate::record::{Change, Revision, RevisionSummary, Snapshot};

/// The registry of one project. Handles may be shared by threads, and several processes may hold one each.
pub trait Registry: Send + Sync {
    /// The number of the current revision; 0 while nothing was applied. Cheap: a server polls it.
    ///
    /// # Errors
    /// Those of the database: [`RegistryError::Locked`], [`RegistryError::Damaged`], [`RegistryError::Failed`].
    fn revision(&self) -> BoxFuture<'_, Result<u64, RegistryError>>;

    /// The current revision and all its objects, ordered by key, read at one instant.
    ///
    /// # Errors
    /// [`RegistryError::NewerFormat`] where a newer program wrote one of the objects; those of the database.
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, RegistryError>>;

    /// Makes `changes` the next revision and returns it, in one transaction that is durable on return.
    ///
    /// - `base_revision`: the revision that the changes were planned against
    /// - `changes`: take effect in order, all or none; an object may be removed and put again
    /// - `at`, `by`: when and by whom, as the history will tell
    ///
    /// An empty list does nothing and returns the current revision, whatever `base_revision` is.
    /// A caller that stops waiting cannot know whether the revision was made: it reads it again.
    ///
    /// # Errors
    /// [`RegistryError::Moved`] where the current revision is not `base_revision`; [`RegistryError::Absent`] for the
    /// removal of what is not there; [`RegistryError::InvalidObject`] for a key or spec that cannot be stored;
    /// [`RegistryError::IdentityChanged`] for an update under another identity; [`RegistryError::NewerFormat`] for an
    /// update of what a newer program wrote; those of the database.
    fn apply<'a>(
        &'a self,
        base_revision: u64,
        changes: &'a [Change],
        at: Instant,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Revision, RegistryError>>;

    /// The newest `limit` revisions with what each of them changed, newest first.
    ///
    /// # Errors
    /// Those of the database.
    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RevisionSummary>, RegistryError>>;
}
