//! What is remembered of events by their identity, beside their rows: values of their own, in the bucket of the identity.

use std::collections::{BTreeMap, BTreeSet};

use asof_model::Instant;
use asof_online::{EventRange, OnlineError, Publication, Version, ViewHandle, versions};

use crate::calls::{Change, Letter};
use crate::fold::{version, whole_letter};
use crate::keys::{Name, Space};
use crate::store::Inner;
use crate::value::{HEAD_BYTES, Head, Kind, write_nothing};
use crate::writer::Writer;

/// Identities that are looked through at a time.
const PAGE_IDENTITIES: usize = 5_000;

/// The versions that a unit brings, by the identity as it stands in keys.
pub(crate) type Coming = BTreeMap<Vec<u8>, Vec<Version>>;

impl Inner {
    pub(crate) async fn versions_now(
        &self,
        view: ViewHandle,
        identities: &[Vec<u8>],
    ) -> Result<Vec<Vec<Version>>, OnlineError> {
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        self.resume(&mut writer).await?;
        let names: Vec<Name> = identities.iter().map(|identity| Name::identity(view, identity)).collect();
        let values = self.checked(&mut writer, &names).await?;
        values.iter().map(|value| read(value.as_deref())).collect()
    }

    pub(crate) async fn version_keys_now(&self, view: ViewHandle) -> Result<Vec<Vec<u8>>, OnlineError> {
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        self.resume(&mut writer).await?;
        let mut keys = BTreeSet::new();
        self.each_remembered(&mut writer, view, |_, _, remembered| {
            keys.extend(remembered.into_iter().map(|each| each.key));
        })
        .await?;
        Ok(keys.into_iter().collect())
    }

    /// The versions among the rows of a unit. Their stamp is drawn later.
    pub(crate) fn coming_versions(&self, publication: &Publication<'_>) -> Result<Coming, OnlineError> {
        let mut coming = Coming::new();
        let Some(rule) = publication.events.filter(|rule| rule.remembers.is_some()) else {
            return Ok(coming);
        };
        for row in &publication.rows {
            let Some(identity) = rule.identity_of(publication.layout, &row.row)? else { continue };
            let of = coming.entry(Name::identity(publication.view, &identity).member).or_default();
            of.push(Version {
                key: row.key.clone(),
                event: row.event,
                created: row.created,
                visible: Instant::MIN,
                pushed: rule.pushed,
                row: rule.row_kept(&row.row),
            });
        }
        Ok(coming)
    }

    /// The values of all identities that a unit changes.
    pub(crate) async fn remembered_now(
        &self,
        writer: &mut Writer,
        publication: &Publication<'_>,
        coming: &Coming,
    ) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, OnlineError> {
        let view = publication.view;
        if publication.events.is_none_or(|rule| rule.remembers.is_none()) {
            return Ok(Vec::new());
        }
        let member = |member: &Vec<u8>| Name { space: Space::Identities, view, member: member.clone() };
        let names: Vec<Name> = coming.keys().map(member).collect();
        let values = self.checked(writer, &names).await?;
        let mut changed: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
            names.into_iter().map(|name| name.member).zip(values).collect();
        if let Some(range) = publication.replaces.as_ref().map(|replaces| replaces.events) {
            self.each_remembered(writer, view, |identity, value, remembered| {
                if remembered.iter().any(|version| version.is_loaded_in(range)) {
                    changed.insert(identity.to_vec(), Some(value.to_vec()));
                }
            })
            .await?;
        }
        Ok(changed.into_iter().collect())
    }

    /// What is remembered from a stamp on: with what comes, without what a replacement takes away.
    pub(crate) fn remember(
        &self,
        publication: &Publication<'_>,
        coming: &Coming,
        remembered: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        (visible, floor): (Instant, Instant),
    ) -> Result<Vec<Change>, OnlineError> {
        let replaced = publication.replaces.as_ref().map(|replaces| replaces.events);
        let mut changes = Vec::new();
        for (member, stored) in remembered {
            let mut all = read(stored.as_deref())?;
            all.retain(|version| !replaced.is_some_and(|range: EventRange| version.is_loaded_in(range)));
            for new in coming.get(&member).into_iter().flatten() {
                all.push(Version { visible, ..new.clone() });
            }
            let name = Name { space: Space::Identities, view: publication.view, member };
            let head = Head { kind: Kind::Remembered, first: stored.is_none(), stamp: visible, floor };
            changes.push(changed(name, stored.as_deref(), head, &all));
        }
        Ok(changes)
    }

    /// The changes by which nothing is remembered under keys any more.
    pub(crate) async fn forgotten_versions(
        &self,
        writer: &mut Writer,
        keys: &[(ViewHandle, Vec<u8>)],
    ) -> Result<Vec<Change>, OnlineError> {
        let views: BTreeSet<ViewHandle> = keys.iter().map(|(view, _)| *view).collect();
        let mut changes = Vec::new();
        for view in views {
            let erased = |version: &Version| keys.iter().any(|(of, key)| *of == view && *key == version.key);
            self.each_remembered(writer, view, |identity, value, mut remembered| {
                if !remembered.iter().any(erased) {
                    return;
                }
                remembered.retain(|version| !erased(version));
                let name = Name { space: Space::Identities, view, member: identity.to_vec() };
                let mut change = Change {
                    letter: Letter::Delete,
                    name,
                    expected: Vec::new(),
                    length: None,
                    payload: Vec::new(),
                    live_millis: 0,
                };
                if !remembered.is_empty() {
                    // In place: the versions that were erased are not kept aside.
                    let begin = value.get(..HEAD_BYTES).unwrap_or_default().to_vec();
                    change.letter = Letter::Rewrite;
                    change.payload = [begin.clone(), versions::write(&remembered)].concat();
                    (change.expected, change.length) = (begin, Some(value.len()));
                }
                changes.push(change);
            })
            .await?;
        }
        Ok(changes)
    }

    /// Shows all that is remembered of a view: the identity, the value, the versions in it.
    async fn each_remembered(
        &self,
        writer: &mut Writer,
        view: ViewHandle,
        mut show: impl FnMut(&[u8], &[u8], Vec<Version>),
    ) -> Result<(), OnlineError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let members =
                self.members(writer, (Space::Identities, view), after.as_deref(), PAGE_IDENTITIES).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after = Some(last.clone());
            let name = |member| Name { space: Space::Identities, view, member };
            let names: Vec<Name> = members.into_iter().map(name).collect();
            for (name, value) in names.iter().zip(self.checked(writer, &names).await?) {
                let Some(value) = value else { continue };
                show(&name.member, &value, read(Some(&value))?);
            }
        }
    }
}

fn read(value: Option<&[u8]>) -> Result<Vec<Version>, OnlineError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    match Head::read(value)?.kind {
        Kind::Remembered => versions::read(value.get(HEAD_BYTES..).unwrap_or_default()),
        _ => Ok(Vec::new()),
    }
}

fn changed(name: Name, stored: Option<&[u8]>, head: Head, all: &[Version]) -> Change {
    match all.is_empty() {
        true => version(name, stored, Letter::Nothing, write_nothing(head, 0), 0),
        false => {
            version(name, stored, whole_letter(stored), [head.write(), versions::write(all)].concat(), 0)
        }
    }
}
