//! The join of one view: history in, winners out.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use asof_model::canonical;
use asof_model::spec::{Feature, JoinKey};
use asof_model::{Instant, KnownAt, Rule, ValueType};

use super::answer::ViewAnswer;
use super::candidates::{Address, Candidate, Candidates};
use super::labels::{LabelIndex, Slot};
use super::units::Units;
use crate::EngineError;
use crate::columns::{CREATED, ERRORS, EVENT, KeyColumns, UNIT, cells_at};

/// Retained rows beyond four for each slot that are tolerated before the losers among them are dropped.
const RETAINED_ROWS_SLACK: usize = 1 << 20;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absorbed {
    /// It was taken in.
    Taken,
    /// Two rows with equal instants differ in the columns at hand, and only whole rows can rank them: start again
    /// with [`ViewJoin::whole_rows`].
    NeedsWholeRows,
}

/// The join of one view, as one alias of a request sees it.
pub struct ViewJoin {
    labels: Arc<LabelIndex>,
    rule: Rule,
    keys: Vec<JoinKey>,
    /// The view's features in order of addition.
    features: Vec<Feature>,
    /// The features that are answered: places in `features`.
    asked: Vec<usize>,
    /// The features that are read: places in `features`, ascending.
    read: Vec<usize>,
    units: Arc<Units>,
    /// Under the asked rule, and under `served` where that is another.
    candidates: Vec<Candidates>,
    /// Columns of candidates: the features read, errors and event instants.
    retained: Vec<RecordBatch>,
    /// For each retained batch, the unit of each row.
    retained_units: Vec<Vec<u32>>,
    retained_rows: usize,
}

impl ViewJoin {
    /// A join that answers the features at the places `asked` of `features`.
    ///
    /// - `features`: all of the view, in order of addition
    /// - `units`: the journaled units of its history
    pub fn new(
        labels: Arc<LabelIndex>,
        rule: Rule,
        keys: &[JoinKey],
        features: &[Feature],
        asked: &[usize],
        units: Arc<Units>,
    ) -> Self {
        let mut read = asked.to_vec();
        read.sort_unstable();
        read.dedup();
        let mut join = Self {
            candidates: Vec::new(),
            labels,
            rule,
            keys: keys.to_vec(),
            features: features.to_vec(),
            asked: asked.to_vec(),
            read,
            units,
            retained: Vec::new(),
            retained_units: Vec::new(),
            retained_rows: 0,
        };
        join.start();
        join
    }

    /// Starts again, this time reading every feature, so that ties can be ranked by whole rows.
    pub fn whole_rows(&mut self) {
        self.read = (0..self.features.len()).collect();
        self.start();
    }

    fn start(&mut self) {
        let slots = self.labels.slots();
        self.candidates = vec![Candidates::new(self.rule.known_at, slots)];
        if self.rule.known_at != KnownAt::Served {
            self.candidates.push(Candidates::new(KnownAt::Served, slots));
        }
        self.retained.clear();
        self.retained_units.clear();
        self.retained_rows = 0;
    }

    /// The history columns that [`ViewJoin::absorb`] needs, each once.
    pub fn columns(&self) -> Vec<String> {
        let keys = self.keys.iter().map(|key| key.name.clone());
        let fixed = [EVENT, CREATED, UNIT, ERRORS].map(str::to_owned);
        keys.chain(fixed).chain(self.read.iter().map(|place| self.features[*place].name.clone())).collect()
    }

    /// Takes in a batch of history rows with [`ViewJoin::columns`]. Batches may come in any order, cut anywhere.
    ///
    /// Rows of units that are not journaled are invisible. After [`Absorbed::NeedsWholeRows`] nothing that was
    /// absorbed counts.
    ///
    /// # Errors
    /// [`EngineError::Arrow`] for a batch without those columns.
    pub fn absorb(&mut self, batch: &RecordBatch) -> Result<Absorbed, EngineError> {
        let key_arrays: Vec<&ArrayRef> =
            self.keys.iter().map(|key| column(batch, &key.name)).collect::<Result<_, _>>()?;
        let keys = KeyColumns::new(key_arrays.into_iter().zip(self.keys.iter().map(|key| key.value_type)).collect());
        let events = column(batch, EVENT)?.as_primitive::<TimestampMicrosecondType>().values().clone();
        let createds = column(batch, CREATED)?.as_primitive::<TimestampMicrosecondType>().values().clone();
        let units = unit_numbers(column(batch, UNIT)?, &self.units);
        let payload = self.payload(batch)?;

        let current = self.retained.len() as u32;
        let ties = Ties { retained: &self.retained, units: &self.retained_units, current: &payload, current_units: &units, whole: self.read.len() == self.features.len(), features: &self.features, read: &self.read, facts: &self.units };
        let mut touched: Vec<(usize, Slot)> = Vec::new();
        let mut key = Vec::new();
        let mut needs_whole_rows = false;
        for row in 0..batch.num_rows() {
            let Some(unit) = units[row] else { continue };
            if !keys.encode(row, &mut key) {
                continue;
            }
            let (event, created) = (events[row], createds[row]);
            let visible = self.units.facts(unit).visible.micros();
            let candidate = Candidate { event, created, address: Address { batch: current, row: row as u32 } };
            for (set, candidates) in self.candidates.iter_mut().enumerate() {
                let from = match candidates.known_at {
                    KnownAt::Event => event,
                    KnownAt::Created => event.max(created),
                    KnownAt::Served => event.max(created).max(visible),
                };
                let Some(slot) = self.labels.probe(&key, from) else { continue };
                match candidates.offer(slot, candidate, |a, b| ties.rank(a, b)) {
                    Ok(true) => touched.push((set, slot)),
                    Ok(false) => {}
                    Err(TieError::NeedsWholeRows) => needs_whole_rows = true,
                    Err(TieError::Engine(error)) => return Err(error),
                }
            }
        }
        if needs_whole_rows {
            return Ok(Absorbed::NeedsWholeRows);
        }
        self.retain(current, payload, &units, &touched)?;
        Ok(Absorbed::Taken)
    }

    /// The columns of a batch that winners need later.
    fn payload(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let names = self.read.iter().map(|place| self.features[*place].name.as_str()).chain([ERRORS, EVENT]);
        let places = names.map(|name| batch.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(batch.project(&places)?)
    }

    /// Keeps the rows of the batch that won a slot, and only those.
    fn retain(
        &mut self,
        current: u32,
        payload: RecordBatch,
        units: &[Option<u32>],
        touched: &[(usize, Slot)],
    ) -> Result<(), EngineError> {
        let mut kept: HashMap<u32, u32> = HashMap::new();
        let mut rows: Vec<u32> = Vec::new();
        for (set, slot) in touched {
            let address = self.candidates[*set].address_mut(*slot);
            // A slot that was won twice in this batch is here twice; its address moves once.
            if address.batch == current {
                let place = *kept.entry(address.row).or_insert_with(|| {
                    rows.push(address.row);
                    rows.len() as u32 - 1
                });
                *address = Address { batch: MOVED, row: place };
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        for (set, slot) in touched {
            let address = self.candidates[*set].address_mut(*slot);
            if address.batch == MOVED {
                address.batch = current;
            }
        }
        self.retained_units.push(rows.iter().map(|row| units[*row as usize].unwrap_or(0)).collect());
        self.retained_rows += rows.len();
        self.retained.push(take_record_batch(&payload, &UInt32Array::from(rows))?);
        if self.retained_rows > 4 * self.labels.slots() + RETAINED_ROWS_SLACK {
            self.drop_losers()?;
        }
        Ok(())
    }

    /// Brings all retained batches into one that holds only rows in use.
    fn drop_losers(&mut self) -> Result<(), EngineError> {
        let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); self.retained.len()];
        let mut places: HashMap<Address, u32> = HashMap::new();
        for address in self.candidates.iter_mut().flat_map(Candidates::addresses_mut) {
            places.entry(*address).or_insert_with(|| {
                rows_of[address.batch as usize].push(address.row);
                0
            });
        }
        let (mut batches, mut units, mut next) = (Vec::new(), Vec::new(), 0);
        for (batch, rows) in rows_of.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            for row in &rows {
                places.insert(Address { batch: batch as u32, row: *row }, next);
                units.push(self.retained_units[batch][*row as usize]);
                next += 1;
            }
            batches.push(take_record_batch(&self.retained[batch], &UInt32Array::from(rows))?);
        }
        for address in self.candidates.iter_mut().flat_map(Candidates::addresses_mut) {
            *address = Address { batch: 0, row: places.get(address).copied().unwrap_or(0) };
        }
        if let Some(first) = batches.first() {
            self.retained = vec![concat_batches(&first.schema(), &batches)?];
            self.retained_units = vec![units];
            self.retained_rows = next as usize;
        }
        Ok(())
    }

    /// The winners of every label row. `None`: ties need whole rows, as in [`Absorbed::NeedsWholeRows`].
    ///
    /// # Errors
    /// [`EngineError::Arrow`], a defect of ours.
    pub fn finish(&mut self, times: &[i64]) -> Result<Option<ViewAnswer>, EngineError> {
        let nothing = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        let ties = Ties { retained: &self.retained, units: &self.retained_units, current: &nothing, current_units: &[], whole: self.read.len() == self.features.len(), features: &self.features, read: &self.read, facts: &self.units };
        for candidates in &mut self.candidates {
            match candidates.carry_forward(&self.labels, |a, b| ties.rank(a, b)) {
                Ok(()) => {}
                Err(TieError::NeedsWholeRows) => return Ok(None),
                Err(TieError::Engine(error)) => return Err(error),
            }
        }
        self.drop_losers()?;
        let winners = |candidates: &Candidates| -> Vec<Option<u32>> {
            let of = |slot: Option<Slot>| slot.and_then(|slot| candidates.best(slot)).map(|best| best.address.row);
            self.labels.slot_of_label().map(of).collect()
        };
        Ok(Some(ViewAnswer {
            rule: self.rule,
            features: self.asked.iter().map(|place| self.features[*place].clone()).collect(),
            positions: self.asked.clone(),
            rows: self.retained.first().cloned(),
            row_units: self.retained_units.first().cloned().unwrap_or_default(),
            units: self.units.clone(),
            winners: winners(&self.candidates[0]),
            served: self.candidates.get(1).map(winners),
            times: times.to_vec(),
        }))
    }
}

/// Marks an address that was already moved to its place in the retained batch.
const MOVED: u32 = u32::MAX - 1;

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, EngineError> {
    batch.column_by_name(name).ok_or_else(|| {
        let reason = format!("a history batch has no column `{name}`");
        EngineError::Arrow(arrow::error::ArrowError::SchemaError(reason))
    })
}

/// The number of each row's unit; `None` where it is not journaled. Rows of one unit stand together, so the name is
/// looked up once for each run.
fn unit_numbers(names: &ArrayRef, units: &Units) -> Vec<Option<u32>> {
    let names = names.as_string::<i32>();
    let mut last: Option<(&str, Option<u32>)> = None;
    (0..names.len())
        .map(|row| {
            let name = names.value(row);
            match last {
                Some((before, number)) if before == name => number,
                _ => {
                    let number = units.number(name);
                    last = Some((name, number));
                    number
                }
            }
        })
        .collect()
}

enum TieError {
    NeedsWholeRows,
    Engine(EngineError),
}

/// Ranks rows with equal instants by their canonical bytes.
struct Ties<'a> {
    retained: &'a [RecordBatch],
    units: &'a [Vec<u32>],
    current: &'a RecordBatch,
    current_units: &'a [Option<u32>],
    whole: bool,
    features: &'a [Feature],
    read: &'a [usize],
    facts: &'a Units,
}

impl Ties<'_> {
    fn rank(&self, a: Address, b: Address) -> Result<Ordering, TieError> {
        let (a, b) = (self.bytes(a).map_err(TieError::Engine)?, self.bytes(b).map_err(TieError::Engine)?);
        match a.cmp(&b) {
            // Equal in what is asked: whichever wins, the answer is the same.
            Ordering::Equal => Ok(Ordering::Equal),
            rank if self.whole => Ok(rank),
            _ => Err(TieError::NeedsWholeRows),
        }
    }

    /// The canonical bytes of the features read that the row carries.
    fn bytes(&self, address: Address) -> Result<Vec<u8>, EngineError> {
        let batch = address.batch as usize;
        let (rows, unit) = match self.retained.get(batch) {
            Some(rows) => (rows, self.units[batch][address.row as usize]),
            None => (self.current, self.current_units[address.row as usize].unwrap_or(0)),
        };
        let carried = self.facts.facts(unit).features;
        let read: Vec<Feature> =
            self.read.iter().filter(|place| **place < carried).map(|place| self.features[*place].clone()).collect();
        let types: Vec<ValueType> = read.iter().map(|feature| feature.value_type).collect();
        let columns = &rows.columns()[..read.len()];
        let errors = column(rows, ERRORS)?;
        Ok(canonical::row_bytes(&types, &cells_at(columns, errors, &read, address.row as usize)))
    }
}

/// The instant of a slot or label, which was an instant when it was read.
pub(crate) fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}
