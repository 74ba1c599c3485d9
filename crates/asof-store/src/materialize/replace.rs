//! `--replace`: a range of events is replaced as one stamped commit (SEMANTICS 3 and 4).
//!
//! Its rows go to history in units that no journal names, so nobody sees them. Then one publication takes the old rows of
//! the range away, brings the new ones and draws the one stamp; its note names the units. A kill before it leaves units
//! that stay invisible, and that the same replacement, run again, finds there.
//!
//! The online store keeps the row in force of a key and drops what that row beats. Where the row in force is one that is
//! replaced, what it had beaten is brought back from history, in the same publication.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::columns::{EVENT, UNIT};
use asof_model::{EncodedKey, Instant};
use asof_offline::Scan;
use asof_online::{EventRange, IncomingRow, Published, Replaces, RowLayout, StoredRow, standing};
use asof_training::join::Interval;
use futures::TryStreamExt;

use super::inputs::Pack;
use super::unit::{Fold, Target};
use super::view_rows::column;
use crate::StoreError;
use crate::journal::Note;
use crate::verdicts::Staged;

/// Keys that are asked of the online store at a time.
const KEYS_PAGE: usize = 10_000;

/// Rows of a key that are gathered before those that can't matter are dropped.
const PENDING_ROWS_MAX: usize = 8;

/// A range of event instants as the online store takes it.
pub(super) fn event_range(range: Interval) -> EventRange {
    let until = (range.until != i64::MAX).then(|| Instant::from_micros_clamped(range.until));
    EventRange { from: Instant::from_micros_clamped(range.from), until }
}

/// A replacement whose rows are in history.
pub struct Replacement {
    /// The name of its publication.
    pub name: String,
    /// Its range.
    pub range: Interval,
    /// What the journal says of it.
    pub note: Note,
    /// The commit of history that holds its last unit.
    pub position: u64,
    /// Its rows.
    pub rows: Gathered,
}

/// For each key the rows that the online store must keep: the greatest in force, and every greater one.
pub struct Gathered {
    /// Not after the stamp that is to come.
    at: Instant,
    keys: HashMap<EncodedKey, KeyRows>,
    conflicts: u64,
    /// Events, which stand each for itself.
    events: Vec<IncomingRow>,
    /// What is to be remembered of those that have an identity.
    pub(super) versions: Staged,
}

#[derive(Default)]
struct KeyRows {
    kept: Vec<StoredRow>,
    pending: Vec<StoredRow>,
}

impl Gathered {
    /// Nothing yet. `at`: an instant that is not after the stamp to come.
    pub fn new(at: Instant) -> Self {
        Self { at, keys: HashMap::new(), conflicts: 0, events: Vec::new(), versions: Staged::new() }
    }

    /// Adds a row that is not published yet.
    ///
    /// # Errors
    /// A damaged row.
    pub fn add(&mut self, row: IncomingRow, layout: &RowLayout) -> Result<(), StoreError> {
        let IncomingRow { key, event, created, row } = row;
        let visible = self.at;
        self.add_stored(key, StoredRow { event, created, visible, position: 0, row }, layout)
    }

    /// Adds events that are not published yet.
    pub fn add_events(&mut self, events: Vec<IncomingRow>) {
        self.events.extend(events);
    }

    fn add_stored(&mut self, key: EncodedKey, row: StoredRow, layout: &RowLayout) -> Result<(), StoreError> {
        let of_key = self.keys.entry(key).or_default();
        of_key.pending.push(row);
        if of_key.pending.len() > PENDING_ROWS_MAX.max(of_key.kept.len()) {
            self.conflicts += of_key.settle(self.at, layout)?;
        }
        Ok(())
    }

    /// Drops what can't matter. Afterwards everything is in `kept`.
    fn settle(&mut self, layout: &RowLayout) -> Result<(), StoreError> {
        for of_key in self.keys.values_mut() {
            self.conflicts += of_key.settle(self.at, layout)?;
        }
        Ok(())
    }

    /// Whether one of the key's rows is in force by the stamp to come.
    fn in_force(&self, key: &[u8]) -> bool {
        let last = self.keys.get(key).and_then(|of_key| of_key.kept.last());
        last.is_some_and(|row| row.in_force() <= self.at)
    }

    fn into_rows(self) -> impl Iterator<Item = (EncodedKey, StoredRow)> {
        self.keys.into_iter().flat_map(|(key, rows)| rows.kept.into_iter().map(move |row| (key.clone(), row)))
    }
}

impl KeyRows {
    fn settle(&mut self, at: Instant, layout: &RowLayout) -> Result<u64, StoreError> {
        let (kept, pending) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.pending));
        let (kept, conflicts) = standing(kept, pending, at, layout)?;
        self.kept = kept;
        Ok(conflicts)
    }
}

impl Target<'_> {
    /// Refuses a range whose replacement might need rows that `history_keep` has cut: of what lies before the cut only the
    /// row in force there is left, and without it nothing would stand where an older row did.
    pub(super) fn refuse_cut(&self, range: Interval) -> Result<(), StoreError> {
        match self.table.cut()? {
            Some(cut) if Instant::MIN.micros() < range.from && range.from <= cut.micros() => {
                Err(StoreError::Request {
                    message: format!(
                        "history before {cut} was cut, as `history_keep` says, so what stood there is not known"
                    ),
                    hint: Some(
                        "replace a range that begins later, or without `--start` all that there is"
                            .to_owned(),
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// The hash by which a replacement with the same files is known.
    pub(super) fn replacement_inputs(&self, range: Interval, packs: &[Pack]) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.scope(range, "").0.as_bytes());
        for hash in packs.iter().flat_map(Pack::hashes) {
            hasher.update(hash.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// What a replacement is called in the journal. `generation`: see [`Target::scope`].
    pub(super) fn replacement_name(&self, note: &Note, generation: &str) -> String {
        let hash = blake3::hash(format!("{generation} {}", note.to_text()).as_bytes());
        format!("replace-{}", &hash.to_hex()[..32])
    }

    /// An instant that is not after the next stamp, nor before the last one.
    pub(super) async fn before_next_stamp(&self) -> Result<Instant, StoreError> {
        Ok(self.online.read(&[], None).await?.t)
    }

    /// Publishes a replacement: all of it at one stamp. A given stamp is one that the journal beside history has kept.
    pub(super) async fn publish_replacement(
        &self,
        replacement: Replacement,
        visible: Option<Instant>,
    ) -> Result<Published, StoreError> {
        let Replacement { name, range, note, position, mut rows } = replacement;
        rows.settle(&self.of.layout)?;
        let events = event_range(range);
        // Of events none was dropped that may still count.
        let bereft = match self.of.holds_events() {
            true => HashSet::new(),
            false => self.bereft_keys(events, &rows).await?,
        };
        let restored = self.rows_before(&bereft, range.from, rows.at).await?;
        let conflicts = if self.of.created_declared { 0 } else { rows.conflicts };
        let of_events = std::mem::take(&mut rows.events);
        let incoming = rows.into_rows().map(|(key, row)| {
            let StoredRow { event, created, row, .. } = row;
            IncomingRow { key, event, created, row }
        });
        let fold = Fold {
            unit: &name,
            position,
            note: &note,
            visible,
            rows: of_events.into_iter().chain(incoming).collect(),
        };
        let published = self.fold(fold, Some(Replaces { events, restored })).await?;
        Ok(Published { conflicts, ..published })
    }

    /// The keys whose row in force is replaced, and not by another one that is in force.
    async fn bereft_keys(
        &self,
        events: EventRange,
        rows: &Gathered,
    ) -> Result<HashSet<EncodedKey>, StoreError> {
        let mut bereft = HashSet::new();
        let mut after: Option<EncodedKey> = None;
        loop {
            let page = self.online.keys_resting_in(self.handle, events, after.as_deref(), KEYS_PAGE).await?;
            let full = page.len() == KEYS_PAGE;
            after = page.last().cloned();
            bereft.extend(page.into_iter().filter(|key| !rows.in_force(key)));
            if !full {
                return Ok(bereft);
            }
        }
    }

    /// For each of the keys the rows that stand, best first, as the online store keeps them.
    pub(crate) async fn standing_rows(
        &self,
        keys: &HashSet<EncodedKey>,
    ) -> Result<Vec<(EncodedKey, StoredRow)>, StoreError> {
        self.rows_before(keys, i64::MAX, self.before_next_stamp().await?).await
    }

    /// For each of the keys the rows that stand and whose event is before `from`, but for those that can't matter. What is
    /// later than a row in force waits, and the online store has kept it.
    async fn rows_before(
        &self,
        keys: &HashSet<EncodedKey>,
        from: i64,
        at: Instant,
    ) -> Result<Vec<(EncodedKey, StoredRow)>, StoreError> {
        let mut gathered = Gathered::new(at);
        if keys.is_empty() || from <= Instant::MIN.micros() {
            return Ok(Vec::new());
        }
        let journal = self.journal().await?;
        let mut scan = Scan::of(self.history_columns());
        scan.event_until = Some(Instant::from_micros_clamped(from - 1));
        let mut batches = self.table.scan(scan);
        while let Some(batch) = batches.try_next().await? {
            let key_columns = self.of.key_columns(&batch)?;
            let events = column(&batch, EVENT)?.as_primitive::<TimestampMicrosecondType>().values();
            let units = column(&batch, UNIT)?.as_string::<i32>();
            let mut wanted: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            let mut key = EncodedKey::new();
            for row in 0..batch.num_rows() {
                if events[row] < from && key_columns.encode(row, &mut key) && keys.contains(&key) {
                    wanted.entry(units.value(row)).or_default().push(row as u32);
                }
            }
            for (unit, rows) in wanted {
                // A unit that is not journaled is invisible; a row that was replaced before comes back with nobody.
                let Some(number) = journal.units.number(unit) else { continue };
                let facts = journal.units.facts(number);
                let position = journal.row_units.get(unit).copied().unwrap_or(0);
                let rows = take_record_batch(&batch, &UInt32Array::from(rows));
                let mut stored = Vec::new();
                self.of.incoming_rows(
                    &rows.map_err(asof_engine::EngineError::from)?,
                    facts.features,
                    &mut stored,
                )?;
                for IncomingRow { key, event, created, row } in stored {
                    if facts.replaced_at(event.micros()).is_none() {
                        let row = StoredRow { event, created, visible: facts.visible, position, row };
                        gathered.add_stored(key, row, &self.of.layout)?;
                    }
                }
            }
        }
        gathered.settle(&self.of.layout)?;
        Ok(gathered.into_rows().collect())
    }

    /// The rows of a replacement that was published before, read back from history.
    pub(super) async fn gather_units(
        &self,
        units: &[String],
        features: usize,
        at: Instant,
    ) -> Result<Gathered, StoreError> {
        let mut gathered = Gathered::new(at);
        let mut scan = Scan::of(self.history_columns());
        scan.units = Some(units.iter().cloned().collect());
        let mut batches = self.table.scan(scan);
        while let Some(batch) = batches.try_next().await? {
            let mut rows = Vec::new();
            self.of.incoming_rows(&batch, features, &mut rows)?;
            if self.of.holds_events() {
                gathered.add_events(rows);
                continue;
            }
            for row in rows {
                gathered.add(row, &self.of.layout)?;
            }
        }
        Ok(gathered)
    }
}
