//! What is remembered of events by their identity, beside their rows.

use std::collections::{BTreeMap, BTreeSet};

use fjall::{OwnedWriteBatch, Readable};

use super::{EmbeddedStore, records};
use crate::error::OnlineError;
use crate::store::{EventRange, Publication, ViewHandle};
use crate::versions::{self, Version};

/// The versions that a unit brings, by the key of their identity.
pub(super) type Coming = BTreeMap<Vec<u8>, Vec<Version>>;

impl EmbeddedStore {
    pub(super) fn versions_now(
        &self,
        view: ViewHandle,
        identities: &[Vec<u8>],
    ) -> Result<Vec<Vec<Version>>, OnlineError> {
        self.stamps.frontier(view)?;
        let of = |identity: &Vec<u8>| self.remembered(&records::identity_entry_key(view, identity));
        identities.iter().map(of).collect()
    }

    pub(super) fn version_keys_now(&self, view: ViewHandle) -> Result<Vec<Vec<u8>>, OnlineError> {
        self.stamps.frontier(view)?;
        let mut keys = BTreeSet::new();
        self.each_remembered(view, |_, remembered| keys.extend(remembered.into_iter().map(|each| each.key)))?;
        Ok(keys.into_iter().collect())
    }

    fn remembered(&self, entry_key: &[u8]) -> Result<Vec<Version>, OnlineError> {
        let entry = self.identities.get(entry_key).map_err(|error| self.failed(error))?;
        entry.map_or(Ok(Vec::new()), |entry| versions::read(&entry))
    }

    /// The versions among the rows of a unit. Their stamp is drawn later.
    pub(super) fn coming_versions(&self, publication: &Publication<'_>) -> Result<Coming, OnlineError> {
        let mut coming = Coming::new();
        let Some(rule) = publication.events.filter(|rule| rule.remembers.is_some()) else {
            return Ok(coming);
        };
        for row in &publication.rows {
            let Some(identity) = rule.identity_of(publication.layout, &row.row)? else { continue };
            let of = coming.entry(records::identity_entry_key(publication.view, &identity)).or_default();
            of.push(Version {
                key: row.key.clone(),
                event: row.event,
                created: row.created,
                visible: asof_model::Instant::MIN,
                pushed: rule.pushed,
                row: rule.row_kept(&row.row),
            });
        }
        Ok(coming)
    }

    /// Puts what is remembered from a stamp on into a batch: with what comes, without what a replacement takes away.
    pub(super) fn remember(
        &self,
        publication: &Publication<'_>,
        mut coming: Coming,
        visible: asof_model::Instant,
        batch: &mut OwnedWriteBatch,
    ) -> Result<(), OnlineError> {
        if publication.events.is_none_or(|rule| rule.remembers.is_none()) {
            return Ok(());
        }
        let replaced = publication.replaces.as_ref().map(|replaces| replaces.events);
        if let Some(range) = replaced {
            self.each_remembered(publication.view, |entry_key, remembered| {
                if remembered.iter().any(|version| version.is_loaded_in(range)) {
                    coming.entry(entry_key.to_vec()).or_default();
                }
            })?;
        }
        for (entry_key, new) in coming {
            let mut all = self.remembered(&entry_key)?;
            all.retain(|version| !replaced.is_some_and(|range: EventRange| version.is_loaded_in(range)));
            for version in new {
                all.push(Version { visible, ..version });
            }
            match all.is_empty() {
                true => batch.remove(&self.identities, entry_key),
                false => batch.insert(&self.identities, entry_key, versions::write(&all)),
            }
        }
        Ok(())
    }

    /// Puts into a batch that nothing is remembered under a key any more.
    pub(super) fn forget_versions(
        &self,
        batch: &mut OwnedWriteBatch,
        keys: &[(ViewHandle, Vec<u8>)],
    ) -> Result<(), OnlineError> {
        let mut views: Vec<ViewHandle> = keys.iter().map(|(view, _)| *view).collect();
        views.sort_unstable();
        views.dedup();
        for view in views {
            let erased = |version: &Version| keys.iter().any(|(of, key)| *of == view && *key == version.key);
            self.each_remembered(view, |entry_key, mut remembered| {
                if !remembered.iter().any(erased) {
                    return;
                }
                remembered.retain(|version| !erased(version));
                match remembered.is_empty() {
                    true => batch.remove(&self.identities, entry_key),
                    false => batch.insert(&self.identities, entry_key, versions::write(&remembered)),
                }
            })?;
        }
        Ok(())
    }

    /// Shows all that is remembered of a view.
    fn each_remembered(
        &self,
        view: ViewHandle,
        mut show: impl FnMut(&[u8], Vec<Version>),
    ) -> Result<(), OnlineError> {
        let snapshot = self.database.snapshot();
        for each in snapshot.prefix(&self.identities, view.number().to_be_bytes()) {
            let (entry_key, entry) = each.into_inner().map_err(|error| self.failed(error))?;
            show(&entry_key, versions::read(&entry)?);
        }
        Ok(())
    }
}
