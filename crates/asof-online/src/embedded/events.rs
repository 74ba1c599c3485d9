//! The events of a key in this store: where their segments stand, how a unit changes them, how they are read.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use asof_model::{Cell, ValueType};
use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch, Readable, Slice, Snapshot};

use super::publish::WrittenHead;
use super::{EmbeddedStore, failure, publish, records};
use crate::error::OnlineError;
use crate::events::cache::{CACHED_EVENTS_MIN, EventCache};
use crate::events::head::Head;
use crate::events::segments::{DIRECTORY, Segments};
use crate::events::stream::StreamEvent;
use crate::events::write::{EventUnit, Sizes, Writer, Written};
use crate::events::{EventSource, HeldEvents, StoredEvents};
use crate::fold::FoldRow;
use crate::store::{EventRule, Publication, Published, ViewHandle};

/// The segments of one key, as they stand now. For whoever writes.
struct StoredSegments<'s> {
    store: &'s EmbeddedStore,
    stored_key: &'s [u8],
}

impl Segments for StoredSegments<'_> {
    type Record = Slice;

    fn record(&self, number: u32) -> Result<Option<Slice>, OnlineError> {
        let found = self.store.segments.get(records::segment_key(self.stored_key, number));
        found.map_err(|error| self.store.failed(error))
    }
}

/// Who reads a snapshot, made before the snapshot.
#[derive(Clone)]
pub(super) struct Reader {
    /// While it lives, an erasure waits.
    #[expect(dead_code, reason = "it is counted, not read")]
    pub(super) token: Arc<()>,
    /// Where forgetting stood.
    pub(super) forgotten: u64,
}

/// The segments of one key in the snapshot of an answer.
struct SnapshotSegments {
    /// `None`: there are no segments.
    snapshot: Option<Snapshot>,
    segments: Keyspace,
    cache: Arc<EventCache>,
    reader: Reader,
    path: PathBuf,
    view: ViewHandle,
    stored_key: Vec<u8>,
}

impl Segments for SnapshotSegments {
    type Record = Slice;

    fn record(&self, number: u32) -> Result<Option<Slice>, OnlineError> {
        let Some(snapshot) = &self.snapshot else { return Ok(None) };
        let found = snapshot.get(&self.segments, records::segment_key(&self.stored_key, number));
        found.map_err(|error| failure::explain(&self.path, error))
    }
}

impl EventSource for SnapshotSegments {
    fn held(
        &self,
        head: &[u8],
        types: &[ValueType],
        identity: Option<usize>,
    ) -> Result<Arc<HeldEvents>, OnlineError> {
        let key = self.stored_key.get(records::VIEW_BYTES..).unwrap_or_default();
        let held = Head::read(head).and_then(|head| {
            self.cache.held(&self.stored_key, self.reader.forgotten, &head, (types, identity), self)
        });
        held.map_err(|error| error.at(self.view, key))
    }
}

impl EmbeddedStore {
    /// The events of a key for an answer.
    pub(super) fn stored_events(
        &self,
        snapshot: &Snapshot,
        reader: &Reader,
        view: ViewHandle,
        stored_key: &[u8],
        entry: &[u8],
    ) -> Result<StoredEvents, OnlineError> {
        let head = Head::read(entry)?;
        let source: Option<Arc<dyn EventSource>> = match head.sealed {
            None if head.count() < CACHED_EVENTS_MIN => None,
            sealed => Some(Arc::new(SnapshotSegments {
                snapshot: sealed.map(|_| snapshot.clone()),
                segments: self.segments.clone(),
                cache: self.cache.clone(),
                reader: reader.clone(),
                path: self.path.clone(),
                view,
                stored_key: stored_key.to_vec(),
            })),
        };
        Ok(StoredEvents::new(Bytes::copy_from_slice(entry), source))
    }

    /// Whether a load brought an event of a key that has its instant in a range, in microseconds.
    pub(super) fn any_loaded_in(
        &self,
        publication: &Publication<'_>,
        stored_key: &[u8],
        entry: &[u8],
        range: &Range<i64>,
    ) -> Result<bool, OnlineError> {
        let head = Head::read(entry)?;
        if head.newest() < range.start {
            return Ok(false);
        }
        let segments = StoredSegments { store: self, stored_key };
        let held = HeldEvents::read(&head, publication.layout.types(), None, &segments)?;
        Ok(held.within().any(|place| held.is_loaded_in(place, range)))
    }

    /// Folds events of one key: those that a replacement takes away go, those that come are added, and those that are
    /// older than retention at the stamp are no longer held. Answers with the head that
    /// is written; without one where the key holds no event any more; with nothing where nothing changed.
    pub(super) fn fold_events(
        &self,
        publication: &Publication<'_>,
        rule: EventRule,
        (key, entry): (&[u8], Option<&[u8]>),
        mut coming: Vec<FoldRow>,
        (batch, published): (&mut OwnedWriteBatch, &mut Published),
    ) -> Result<Option<WrittenHead>, OnlineError> {
        let stored_key = records::row_key(publication.view, key);
        let segments = StoredSegments { store: self, stored_key: &stored_key };
        let visible = published.visible;
        let unit = EventUnit {
            visible,
            retention: rule.retention,
            types: publication.layout.types(),
            sizes: Sizes::default(),
        };
        let mut writer = Writer::open(entry, unit, &segments)?;
        let mut removed = 0;
        if let Some(replaces) = &publication.replaces {
            removed = writer.remove_loaded(&publish::micros_of(replaces.events))?;
        }
        // In order, so that a segment covers a short time. Rows of one place stay as they came.
        coming.sort_by_key(|row| (row.event, row.created));
        let mut added = 0;
        for FoldRow { event, created, row } in coming {
            if event.micros() < writer.bound() {
                // History has it, and it can't count any more.
                published.rows_beaten += 1;
                continue;
            }
            let mut cells = publication.layout.cells(&row)?;
            cells.resize(publication.layout.types().len(), Cell::Null);
            let known = rule.known(created, visible);
            writer.add(&StreamEvent {
                event: event.micros(),
                created: created.micros(),
                known: known.micros(),
                pushed: rule.pushed,
                cells: &cells,
            })?;
            added += 1;
        }
        published.rows_added += added;
        published.rows_removed += removed;
        if added == 0 && removed == 0 {
            return Ok(None);
        }
        let Written { head, records } = writer.finish()?;
        for (number, record) in records {
            let segment_key = records::segment_key(&stored_key, number);
            match record {
                Some(record) => batch.insert(&self.segments, segment_key, record),
                None => batch.remove(&self.segments, segment_key),
            }
        }
        match head {
            Some(head) => {
                let head = Slice::from(head);
                batch.insert(&self.rows, stored_key.clone(), head.clone());
                Ok(Some((stored_key, Some(head))))
            }
            None if entry.is_some() => {
                batch.remove(&self.rows, stored_key.clone());
                Ok(Some((stored_key, None)))
            }
            None => Ok(None),
        }
    }

    /// Takes the segments of a key away, and their directory.
    pub(super) fn remove_segments(
        &self,
        batch: &mut OwnedWriteBatch,
        stored_key: &[u8],
        entry: &[u8],
    ) -> Result<(), OnlineError> {
        match Head::read(entry) {
            Ok(head) if head.sealed.is_some() => {}
            // An entry of before there were segments can be erased too.
            Ok(_) | Err(OnlineError::RetiredVersion { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let segments = StoredSegments { store: self, stored_key };
        for each in segments.directory()?.segments {
            batch.remove(&self.segments, records::segment_key(stored_key, each.number));
        }
        batch.remove(&self.segments, records::segment_key(stored_key, DIRECTORY));
        Ok(())
    }
}
