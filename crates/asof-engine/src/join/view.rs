//! The join of one view: history in, winners out.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use asof_model::spec::{Feature, JoinKey};
use asof_model::{Instant, KnownAt, Rule, ValueType};

use super::answer::ViewAnswer;
use super::candidates::{Address, Candidate, Candidates, Place};
use super::labels::{LabelIndex, Slot};
use super::units::Units;
use crate::EngineError;
use crate::columns::{CREATED, ERRORS, EVENT, KeyColumns, UNIT, arrow_type, row_bytes_at};

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
    /// The features at those places.
    read_features: Vec<Feature>,
    units: Arc<Units>,
    /// Whether answers are compared with what was served.
    compares: bool,
    /// Under the asked rule, and under `served` where that is another and answers are compared.
    candidates: Vec<Candidates>,
    /// Columns of candidates: the features read, errors and event instants.
    retained: Vec<RecordBatch>,
    /// For each retained batch, the unit of each row.
    retained_units: Vec<Vec<u32>>,
    retained_rows: usize,
    retained_rows_slack: usize,
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
            read_features: Vec::new(),
            units,
            compares: true,
            retained: Vec::new(),
            retained_units: Vec::new(),
            retained_rows: 0,
            retained_rows_slack: RETAINED_ROWS_SLACK,
        };
        join.start();
        join
    }

    /// Sets how many retained rows beyond four for each slot are tolerated before the losers among them are dropped.
    /// The answer is the same whatever it is; less takes more time and less memory.
    pub fn with_retained_rows_slack(mut self, rows: usize) -> Self {
        self.retained_rows_slack = rows;
        self
    }

    /// Leaves out the comparison with what was served, which nobody knows of rows that were never published
    /// (SEMANTICS 1).
    pub fn without_served(mut self) -> Self {
        self.compares = false;
        self.start();
        self
    }

    /// Starts again, this time reading every feature, so that ties can be ranked by whole rows.
    pub fn whole_rows(&mut self) {
        self.read = (0..self.features.len()).collect();
        self.start();
    }

    fn start(&mut self) {
        self.read_features = self.read.iter().map(|place| self.features[*place].clone()).collect();
        let slots = self.labels.slots();
        // Only who asks what was served then sees rows that do not stand any more.
        let spans = self.units.any_replaced();
        let empty = |known_at| Candidates::new(known_at, slots, spans && known_at == KnownAt::Served);
        self.candidates = vec![empty(self.rule.known_at)];
        if self.compares && self.rule.known_at != KnownAt::Served {
            self.candidates.push(empty(KnownAt::Served));
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
    /// [`EngineError::Arrow`] for a batch without those columns, or with one of another type than
    /// [`history_schema`](crate::columns::history_schema) gives it.
    pub fn absorb(&mut self, batch: &RecordBatch) -> Result<Absorbed, EngineError> {
        let key_arrays: Vec<&ArrayRef> =
            self.keys.iter().map(|key| typed(batch, &key.name, key.value_type)).collect::<Result<_, _>>()?;
        let keys =
            KeyColumns::new(key_arrays.into_iter().zip(self.keys.iter().map(|key| key.value_type)).collect());
        let events = typed(batch, EVENT, ValueType::Timestamp)?
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .clone();
        let createds = typed(batch, CREATED, ValueType::Timestamp)?
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .clone();
        let units = unit_numbers(typed(batch, UNIT, ValueType::String)?, &self.units);
        let payload = self.payload(batch)?;

        let current = self.retained.len() as u32;
        let ties = Ties {
            retained: &self.retained,
            units: &self.retained_units,
            current: &payload,
            current_units: &units,
            whole: self.read.len() == self.features.len(),
            features: &self.read_features,
            places: &self.read,
            facts: &self.units,
        };
        let mut touched: Vec<(usize, Place)> = Vec::new();
        let mut key = Vec::new();
        for row in 0..batch.num_rows() {
            let Some(unit) = units[row] else { continue };
            if !keys.encode(row, &mut key) {
                continue;
            }
            let Some(group) = self.labels.group(&key) else { continue };
            let (event, created) = (events[row], createds[row]);
            let facts = self.units.facts(unit);
            let (visible, replaced) = (facts.visible.micros(), facts.replaced_at(event));
            let candidate =
                Candidate { event, created, address: Address { batch: current, row: row as u32 } };
            for (set, candidates) in self.candidates.iter_mut().enumerate() {
                let from = candidates.known_at.from_instant(event, created, visible);
                let offered = match replaced {
                    None => {
                        let Some(slot) = self.labels.first_slot(group, from) else { continue };
                        let offered = candidates.offer(slot as Place, candidate, |a, b| ties.rank(a, b));
                        if let Ok(true) = offered {
                            touched.push((set, slot as Place));
                        }
                        offered.map(|_| ())
                    }
                    Some(until) if candidates.known_at == KnownAt::Served => {
                        let span = self.labels.slots_between(group, from, until.micros());
                        let won = |place| touched.push((set, place));
                        candidates.offer_span(span, candidate, |a, b| ties.rank(a, b), won)
                    }
                    Some(_) => continue,
                };
                match offered {
                    Ok(()) => {}
                    Err(TieError::NeedsWholeRows) => return Ok(Absorbed::NeedsWholeRows),
                    Err(TieError::Engine(error)) => return Err(error),
                }
            }
        }
        self.retain(current, payload, &units, &touched)?;
        Ok(Absorbed::Taken)
    }

    /// The columns of a batch that winners need later.
    fn payload(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        for feature in &self.read_features {
            typed(batch, &feature.name, feature.value_type)?;
        }
        match column(batch, ERRORS)?.data_type() {
            DataType::List(item) if *item.data_type() == DataType::Utf8 => {}
            other => return Err(wrong_type(ERRORS, other)),
        }
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
        touched: &[(usize, Place)],
    ) -> Result<(), EngineError> {
        let mut kept: HashMap<u32, u32> = HashMap::new();
        let mut rows: Vec<u32> = Vec::new();
        for (set, place) in touched {
            let address = self.candidates[*set].address_mut(*place);
            // A place that was won twice in this batch is here twice; its address moves once.
            if address.batch == current {
                let row = *kept.entry(address.row).or_insert_with(|| {
                    rows.push(address.row);
                    rows.len() as u32 - 1
                });
                *address = Address { batch: MOVED, row };
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        for (set, place) in touched {
            let address = self.candidates[*set].address_mut(*place);
            if address.batch == MOVED {
                address.batch = current;
            }
        }
        self.retained_units.push(rows.iter().map(|row| units[*row as usize].unwrap_or(0)).collect());
        self.retained_rows += rows.len();
        self.retained.push(take_record_batch(&payload, &UInt32Array::from(rows))?);
        if self.retained_rows > 4 * self.labels.slots() + self.retained_rows_slack {
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
        let ties = Ties {
            retained: &self.retained,
            units: &self.retained_units,
            current: &nothing,
            current_units: &[],
            whole: self.read.len() == self.features.len(),
            features: &self.read_features,
            places: &self.read,
            facts: &self.units,
        };
        for candidates in &mut self.candidates {
            match candidates.carry_forward(&self.labels, |a, b| ties.rank(a, b)) {
                Ok(()) => {}
                Err(TieError::NeedsWholeRows) => return Ok(None),
                Err(TieError::Engine(error)) => return Err(error),
            }
        }
        self.drop_losers()?;
        let winners = |candidates: &Candidates| -> Vec<Option<u32>> {
            let of = |slot: Option<Slot>| {
                slot.and_then(|slot| candidates.best(slot as usize)).map(|best| best.address.row)
            };
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

/// A column that has the Arrow type of `declared`: reading one of another type would find null everywhere.
fn typed<'a>(batch: &'a RecordBatch, name: &str, declared: ValueType) -> Result<&'a ArrayRef, EngineError> {
    let found = column(batch, name)?;
    if *found.data_type() == arrow_type(declared) {
        Ok(found)
    } else {
        Err(wrong_type(name, found.data_type()))
    }
}

fn wrong_type(name: &str, found: &DataType) -> EngineError {
    let reason = format!("the column `{name}` of a history batch has type {found}");
    EngineError::Arrow(arrow::error::ArrowError::SchemaError(reason))
}

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

/// Ranks rows with equal instants by their canonical bytes, and equal rows by when they first became visible: a
/// repeat changes nothing (SEMANTICS 3), so that which of them is met does not depend on the order of reading.
struct Ties<'a> {
    retained: &'a [RecordBatch],
    units: &'a [Vec<u32>],
    current: &'a RecordBatch,
    current_units: &'a [Option<u32>],
    whole: bool,
    features: &'a [Feature],
    places: &'a [usize],
    facts: &'a Units,
}

impl Ties<'_> {
    fn rank(&self, a: Address, b: Address) -> Result<Ordering, TieError> {
        let bytes = |address| self.bytes(address).map_err(TieError::Engine);
        match bytes(a)?.cmp(&bytes(b)?) {
            // Equal in what is read: the values are the same, and the earlier unit stands for both.
            Ordering::Equal => Ok(self.first_visible(b).cmp(&self.first_visible(a))),
            rank if self.whole => Ok(rank),
            _ => Err(TieError::NeedsWholeRows),
        }
    }

    fn unit(&self, address: Address) -> u32 {
        match self.units.get(address.batch as usize) {
            Some(units) => units[address.row as usize],
            // A row whose unit is not journaled is never offered.
            None => self.current_units[address.row as usize].unwrap_or(0),
        }
    }

    /// When the row became visible; units that became visible together are told apart by their number.
    fn first_visible(&self, address: Address) -> (Instant, u32) {
        let unit = self.unit(address);
        (self.facts.facts(unit).visible, unit)
    }

    /// The canonical bytes of the features read that the row carries.
    fn bytes(&self, address: Address) -> Result<Vec<u8>, EngineError> {
        let rows = self.retained.get(address.batch as usize).unwrap_or(self.current);
        let carried = self.facts.facts(self.unit(address)).features;
        let read = &self.features[..self.places.partition_point(|place| *place < carried)];
        let columns = &rows.columns()[..read.len()];
        Ok(row_bytes_at(columns, column(rows, ERRORS)?, read, address.row as usize))
    }
}

/// The instant of a slot or label, which was an instant when it was read.
pub(crate) fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}
