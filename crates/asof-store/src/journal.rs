//! What was published: the notes that units carry in the journal, and what follows from them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use asof_engine::source::Fingerprint;
use asof_model::plan::Catalog;
use asof_model::{Instant, ViewId};
use asof_offline::{UnitRank, UnitRanks};
use asof_training::join::{Interval, Replaced, UnitFacts, Units};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// What a journaled unit says about itself. Stored as JSON, for ever readable: fields are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Note {
    /// A unit of rows.
    Rows {
        /// How many features, in order of addition, its rows carry.
        features: usize,
        /// Ranges of event instants, `[from, until)` in microseconds, of which it belongs to the first complete load.
        bulk: Vec<(i64, i64)>,
        /// Where in the log its rows stand, where they were pushed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pushed: Option<Pushed>,
    },
    /// A unit of pushed rows that stand in the log and not yet in history. Only where the online store keeps such units
    /// apart.
    Waiting {
        /// How many features, in order of addition, its rows carry.
        features: usize,
        /// The first log position.
        from: u64,
        /// The last log position.
        to: u64,
    },
    /// A unit of rows that waits in history for the replacement that it belongs to. Never in the journal: there the
    /// replacement names it, and until then nobody sees it.
    Staged {
        /// How many features, in order of addition, its rows carry.
        features: usize,
    },
    /// A complete load of a range, whose rows take the place of all rows of that range in units before it, together and
    /// at its one stamp (SEMANTICS 3 and 4).
    Replace {
        /// How many features the load carried.
        features: usize,
        /// The first microsecond of event time.
        from: i64,
        /// The first microsecond past it.
        until: i64,
        /// As for units of rows.
        bulk: Vec<(i64, i64)>,
        /// The units in history that hold its rows.
        units: Vec<String>,
        /// How many rows they hold.
        rows: u64,
        /// A hash of what was read, and how.
        inputs: String,
    },
    /// A mark without rows: a range was loaded completely.
    Load {
        /// How many features the load carried.
        features: usize,
        /// The first microsecond of event time.
        from: i64,
        /// The first microsecond past it.
        until: i64,
    },
    /// A mark without rows: every row that these files hold of a range was published.
    Files {
        /// The view's semantic hash as the files were read.
        semantic_hash: String,
        /// The first microsecond of event time.
        from: i64,
        /// The first microsecond past it.
        until: i64,
        /// The identities of files whose other facts were not recorded.
        hashes: Vec<String>,
        /// The files.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<Fingerprint>,
    },
    /// A mark without rows: when the inputs of a query were first taken as they are. The created instant of the rows that
    /// it makes of them, whenever that is (SEMANTICS 1).
    Snapshot {
        /// The identity of the inputs.
        inputs: String,
        /// Microseconds since 1970.
        created: i64,
    },
}

/// Positions of the admission log, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Whether its rows are events, which a load that replaces their range leaves alone.
    pub stays: bool,
    /// When the first of them became visible, microseconds since 1970: its rows name units of their own, and the journal
    /// says when the last did. `None`: they became visible together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

impl Note {
    /// Where in the log its rows stand, where they were pushed.
    pub fn pushed(&self) -> Option<Pushed> {
        match self {
            Self::Rows { pushed, .. } => *pushed,
            _ => None,
        }
    }

    /// Whether its rows name units of their own.
    pub fn is_parted(&self) -> bool {
        self.pushed().is_some_and(|pushed| pushed.since.is_some())
    }

    /// The text to keep.
    pub fn to_text(&self) -> String {
        // A plain enum of numbers and text always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a kept text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn read(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text)
            .map_err(|error| StoreError::Corrupt(format!("a journal note cannot be read: {error}")))
    }
}

/// One journaled unit with its note read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The unit.
    pub unit: String,
    /// Its stamp.
    pub visible: Instant,
    /// The commit of history that it reflects.
    pub position: u64,
    /// The note.
    pub note: Note,
}

/// A complete load of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Features it carried.
    pub features: usize,
    /// Its range of event time.
    pub range: Interval,
}

/// A file that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PublishedFile {
    semantic_hash: String,
    range: Interval,
}

/// What was read at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The file.
    pub file: Fingerprint,
    /// When that was recorded.
    pub at: Instant,
}

/// A file that was changed this shortly before it was recorded, in microseconds, may have been changed once more behind its
/// reading without another time of change: clocks of file systems are coarse.
const SETTLED_MICROS: i64 = 2_000_000;

/// The journal of one view version.
#[derive(Debug, Clone, Default)]
pub struct ViewJournal {
    /// For the join.
    pub units: Arc<Units>,
    /// Complete loads, in order of time.
    pub loads: Vec<Load>,
    /// The last stamp.
    pub last_visible: Option<Instant>,
    /// Units and marks, all of them.
    pub entries: u64,
    /// Units with rows, which history must hold, each with the commit that it reflects.
    pub row_units: BTreeMap<String, u64>,
    /// By the identity of a query's inputs, when they were first taken as they are.
    pub snapshots: HashMap<String, Instant>,
    /// The log position up to which pushed rows were published; 0: none was.
    pub pushed_to: u64,
    /// How many ranges were replaced.
    pub replacements: u64,
    /// The last replacement, where nothing was published since: its range and the hash of what was read.
    pub last_replacement: Option<(Interval, String)>,
    /// By identity.
    files: HashMap<String, Vec<PublishedFile>>,
    /// By path, what was read there last.
    consumed: BTreeMap<String, Consumed>,
}

impl ViewJournal {
    /// Sorts out the entries of one view, in order of their stamps.
    pub fn new(entries: &[Entry]) -> Self {
        let mut journal = Self { entries: entries.len() as u64, ..Self::default() };
        let mut units = Units::default();
        for entry in entries {
            journal.last_visible = journal.last_visible.max(Some(entry.visible));
            match &entry.note {
                Note::Rows { features, bulk, pushed } => {
                    if pushed.is_none() {
                        journal.last_replacement = None;
                    }
                    journal.pushed_to = journal.pushed_to.max(pushed.map_or(0, |pushed| pushed.to));
                    journal.row_units.insert(entry.unit.clone(), entry.position);
                    let stays = pushed.is_some_and(|pushed| pushed.stays);
                    let since = pushed.and_then(|pushed| pushed.since).map(Instant::from_micros_clamped);
                    let of_unit = facts(since.unwrap_or(entry.visible), *features, bulk);
                    let of_unit = UnitFacts { stays, ..of_unit };
                    match since {
                        Some(_) => units.add_pushed(&entry.unit, of_unit, entry.visible),
                        None => units.add(&entry.unit, of_unit),
                    }
                }
                Note::Staged { .. } | Note::Waiting { .. } => {}
                Note::Snapshot { inputs, created } => {
                    let created = Instant::from_micros_clamped(*created);
                    journal.snapshots.entry(inputs.clone()).or_insert(created);
                }
                Note::Replace { features, from, until, bulk, units: names, inputs, rows: _ } => {
                    let range = Interval { from: *from, until: *until };
                    units.replace(Replaced { range, visible: entry.visible });
                    for name in names {
                        journal.row_units.insert(name.clone(), entry.position);
                        units.add(name, facts(entry.visible, *features, bulk));
                    }
                    journal.loads.push(Load { features: *features, range });
                    journal.forget_files(range);
                    journal.replacements += 1;
                    journal.last_replacement = Some((range, inputs.clone()));
                }
                Note::Load { features, from, until } => {
                    let range = Interval { from: *from, until: *until };
                    journal.loads.push(Load { features: *features, range });
                }
                Note::Files { semantic_hash, from, until, hashes, files } => {
                    let range = Interval { from: *from, until: *until };
                    for file in files {
                        let consumed = Consumed { file: file.clone(), at: entry.visible };
                        journal.consumed.insert(file.path.clone(), consumed);
                    }
                    for hash in hashes.iter().chain(files.iter().map(|file| &file.hash)) {
                        let published = PublishedFile { semantic_hash: semantic_hash.clone(), range };
                        journal.files.entry(hash.clone()).or_default().push(published);
                    }
                }
            }
        }
        journal.units = Arc::new(units);
        journal
    }

    /// The units with rows, as a rewrite of history must know them: rows with other numbers of features are never the
    /// same row, nor are those between which a range was replaced, and of the same ones that of the earliest stamp stays
    /// (SEMANTICS 3). `folds`: whether rows that say the same are one row; not the events of a view that aggregates.
    pub fn ranks(&self, folds: bool) -> UnitRanks {
        let rank = move |units: &Units, unit: &str| {
            let facts = units.facts(units.number(unit)?);
            // Neither is anywhere near 2^32.
            let kind = facts.features as u64 | (facts.replaced.len() as u64) << 32;
            // In order of their stamps, of which no two are the same.
            let place = facts.visible.micros() as u64 ^ (1 << 63);
            Some(UnitRank { place, kind, folds })
        };
        let ranked = |unit: &String| Some((unit.clone(), rank(&self.units, unit)?));
        let units = self.units.clone();
        self.row_units.keys().filter_map(ranked).collect::<UnitRanks>().with_rows(Arc::new(move |unit| {
            // Only rows name it.
            rank(&units, unit)
        }))
    }

    /// What files held of a range that was replaced does not stand any more, so they count as unread there.
    fn forget_files(&mut self, range: Interval) {
        for published in self.files.values_mut() {
            let rest = |file: PublishedFile| {
                let PublishedFile { semantic_hash, range: before } = file;
                let left = without((before.from, before.until), range).into_iter();
                left.map(move |(from, until)| PublishedFile {
                    semantic_hash: semantic_hash.clone(),
                    range: Interval { from, until },
                })
            };
            *published = std::mem::take(published).into_iter().flat_map(rest).collect();
        }
    }

    /// The parts of `range` of which not every row that a file of this content holds was published, read as the view
    /// reads now.
    pub fn unread(&self, hash: &str, semantic_hash: &str, range: Interval) -> Vec<Interval> {
        let read = self.files.get(hash).into_iter().flatten();
        let read = read.filter(|file| file.semantic_hash == semantic_hash);
        let take = |open: Vec<(i64, i64)>, file: &PublishedFile| {
            open.into_iter().flat_map(|part| without(part, file.range)).collect()
        };
        let open = read.fold(vec![(range.from, range.until)], take);
        open.into_iter().map(|(from, until)| Interval { from, until }).collect()
    }

    /// Whether everything that was read of a source is still there as it was read: then what is new adds to it. Otherwise
    /// what files hold takes the place of what they held (SEMANTICS 4).
    pub fn only_grew(&self, identities: &std::collections::HashSet<String>) -> bool {
        self.consumed.values().all(|consumed| identities.contains(&consumed.file.hash))
    }

    /// Where the first range begins that was loaded.
    pub fn loaded_from(&self) -> i64 {
        self.loads.iter().map(|load| load.range.from).min().unwrap_or(i64::MAX)
    }

    /// What was read last at each path.
    pub fn consumed(&self) -> impl Iterator<Item = &Fingerprint> {
        self.consumed.values().map(|consumed| &consumed.file)
    }

    /// What was read last at this path, where size and time of change are enough to know the file by.
    pub fn settled(&self, path: &str) -> Option<&Fingerprint> {
        let Consumed { file, at } = self.consumed.get(path)?;
        let settled = file.modified > 0 && file.modified.saturating_add(SETTLED_MICROS) <= at.micros();
        settled.then_some(file)
    }

    /// What a load since the last one covers: all ranges that were loaded, joined, the last of them without an end. All of
    /// time where nothing was loaded.
    pub fn since_last(&self) -> Vec<Interval> {
        let mut loaded: Vec<Interval> = self.loads.iter().map(|load| load.range).collect();
        loaded.sort_by_key(|range| range.from);
        let mut joined: Vec<Interval> = Vec::new();
        for range in loaded {
            match joined.last_mut() {
                Some(last) if range.from <= last.until => last.until = last.until.max(range.until),
                _ => joined.push(range),
            }
        }
        match joined.last_mut() {
            Some(last) => last.until = i64::MAX,
            None => joined.push(Interval { from: Instant::MIN.micros(), until: i64::MAX }),
        }
        joined
    }

    /// Whether loads with that many features have covered `range`.
    pub fn has_loaded(&self, features: usize, range: Interval) -> bool {
        self.uncovered(range, features).is_empty()
    }

    /// Whether the version's data is complete: some range was loaded to its end.
    pub fn is_active(&self) -> bool {
        !self.loads.is_empty()
    }

    /// How many of the view's `features` answer, in order of addition. An added feature answers once a load that
    /// carries it has covered everything that was loaded before. Before the first load all of them do.
    pub fn answering(&self, features: usize) -> usize {
        let Some(first) = self.loads.first() else { return features };
        let mut answering = first.features;
        for (place, load) in self.loads.iter().enumerate() {
            let (with, without): (Vec<&Load>, Vec<&Load>) =
                self.loads[..=place].iter().partition(|each| each.features >= load.features);
            let open = without.iter().flat_map(|each| left((each.range.from, each.range.until), &with));
            if load.features > answering && open.count() == 0 {
                answering = load.features;
            }
        }
        answering.min(features)
    }

    /// The parts of `range` that no complete load with that many features has covered yet.
    pub fn uncovered(&self, range: Interval, features: usize) -> Vec<(i64, i64)> {
        let loads: Vec<&Load> = self.loads.iter().filter(|load| load.features >= features).collect();
        left((range.from, range.until), &loads)
    }
}

impl Store {
    /// The newest event in a view's history, by what the log of history says of its files. `None` for a view without
    /// rows.
    ///
    /// # Errors
    /// Those of history.
    pub async fn newest_event(
        &self,
        catalog: &Catalog,
        view: &ViewId,
    ) -> Result<Option<Instant>, StoreError> {
        let Some(table) = catalog.table_name(view) else { return Ok(None) };
        if !self.project().history_path().exists() {
            return Ok(None);
        }
        let Some(table) = self.offline().await?.existing_table(&table).await? else { return Ok(None) };
        Ok(table.files()?.iter().filter_map(|file| file.event_max).max())
    }

    /// The journal of a view version as history holds it: what readers beside a writer see. Empty for a version that
    /// was never loaded.
    ///
    /// # Errors
    /// Those of history; [`StoreError::Corrupt`] for a note that is not understood.
    pub async fn view_journal(&self, catalog: &Catalog, view: &ViewId) -> Result<ViewJournal, StoreError> {
        let Some(table) = catalog.table_name(view) else { return Ok(ViewJournal::default()) };
        if !self.project().history_path().exists() {
            return Ok(ViewJournal::default());
        }
        let read = |entry: asof_offline::JournalEntry| {
            let note = Note::read(&entry.note)?;
            Ok(Entry { note, unit: entry.unit, visible: entry.visible, position: entry.position })
        };
        let entries = self.offline().await?.journal(&table).await?;
        Ok(ViewJournal::new(&entries.into_iter().map(read).collect::<Result<Vec<_>, StoreError>>()?))
    }
}

fn facts(visible: Instant, features: usize, bulk: &[(i64, i64)]) -> UnitFacts {
    let bulk = bulk.iter().map(|(from, until)| Interval { from: *from, until: *until }).collect();
    UnitFacts { visible, features, bulk, replaced: Vec::new(), stays: false }
}

/// What is left of a half-open part when the ranges of loads are taken out.
fn left(part: (i64, i64), loads: &[&Load]) -> Vec<(i64, i64)> {
    let take = |open: Vec<(i64, i64)>, load: &&Load| {
        open.into_iter().flat_map(|part| without(part, load.range)).collect()
    };
    loads.iter().fold(vec![part], take)
}

/// What is left of a half-open part when a range is taken out.
fn without(part: (i64, i64), range: Interval) -> Vec<(i64, i64)> {
    let before = (part.0, part.1.min(range.from));
    let after = (part.0.max(range.until), part.1);
    [before, after].into_iter().filter(|(from, until)| from < until).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(features: usize, from: i64, until: i64) -> Load {
        Load { features, range: Interval { from, until } }
    }

    /// Goal: an added feature answers once a load with it covers all that was loaded before, and not sooner.
    #[test]
    fn added_features_answer_when_backfilled() {
        let journal = |loads: &[Load]| ViewJournal { loads: loads.to_vec(), ..ViewJournal::default() };
        assert_eq!(journal(&[]).answering(3), 3);
        assert_eq!(journal(&[load(2, 0, 10)]).answering(3), 2);
        assert_eq!(journal(&[load(2, 0, 10), load(3, 0, 5)]).answering(3), 2);
        assert_eq!(journal(&[load(2, 0, 10), load(3, 0, 10)]).answering(3), 3);
        assert_eq!(journal(&[load(2, 0, 10), load(2, 10, 20), load(3, 0, 10)]).answering(3), 2);
        assert_eq!(journal(&[load(2, 0, 10), load(2, 10, 20), load(3, 0, 20)]).answering(3), 3);
        assert_eq!(journal(&[load(2, 0, 10), load(3, 5, 10), load(3, 0, 5)]).answering(3), 3, "in parts");
        assert_eq!(
            journal(&[load(2, 0, 10), load(2, 20, 30), load(3, 0, 10), load(3, 20, 30)]).answering(3),
            3
        );
    }

    /// Goal: what comes since the last load is sought in the ranges loaded before, and behind the last of them.
    #[test]
    fn ranges_since_the_last_load() {
        let since = |loads: &[Load]| -> Vec<(i64, i64)> {
            let journal = ViewJournal { loads: loads.to_vec(), ..ViewJournal::default() };
            journal.since_last().iter().map(|range| (range.from, range.until)).collect()
        };
        assert_eq!(since(&[]), [(Instant::MIN.micros(), i64::MAX)]);
        assert_eq!(since(&[load(1, 0, 10)]), [(0, i64::MAX)]);
        assert_eq!(since(&[load(1, 20, 30), load(1, 0, 10)]), [(0, 10), (20, i64::MAX)]);
        assert_eq!(since(&[load(1, 10, 30), load(1, 0, 10), load(1, 5, 7)]), [(0, i64::MAX)]);
    }

    /// Goal: bulk is what no complete load has covered.
    #[test]
    fn uncovered_parts() {
        let journal = ViewJournal { loads: vec![load(1, 0, 10), load(1, 20, 30)], ..ViewJournal::default() };
        assert_eq!(journal.uncovered(Interval { from: -5, until: 40 }, 1), [(-5, 0), (10, 20), (30, 40)]);
        assert_eq!(journal.uncovered(Interval { from: 2, until: 9 }, 1), []);
        assert_eq!(
            journal.uncovered(Interval { from: 2, until: 9 }, 2),
            [(2, 9)],
            "an added feature is new there"
        );
    }
}
