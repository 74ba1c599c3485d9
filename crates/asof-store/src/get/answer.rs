//! An answer: what was read, what is computed of it, and what each value of it is.
//!
//! What the online store gave stays as it is stored. A value is judged where it is asked for, and points into the stored
//! bytes; so a face writes its own form without anything between.

use std::cell::RefCell;

use asof_model::{Age, Cell, Instant, KnownAt, Rule, Status, Value, ValueType};
use asof_online::{AnswerRow, CellRef, OnlineAnswer, OpenRow};

use super::keys::NO_KEY;
use super::{GetRequest, OnlinePlan};
use crate::StoreError;
use crate::on_demand::{ComputedCells, OnDemandPlan};
use crate::request::{Origin, rule};
use crate::windows::ClosedKey;

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// After defaults; `None` is null.
    pub value: Option<Value>,
    /// Why it is what it is.
    pub status: Status,
    /// The event instant of the row met, also past its ttl; `None` where none was.
    pub event: Option<Instant>,
}

/// One value of an answer, where it stands.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredRef<'a> {
    /// After defaults; `None` is null.
    pub value: Option<ValueRef<'a>>,
    /// Why it is what it is.
    pub status: Status,
    /// See [`Answered::event`].
    pub event: Option<Instant>,
}

/// A value where it stands.
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    /// In a stored row; neither null nor an error.
    Stored(CellRef<'a>),
    /// In memory: a default, or what was computed.
    Held(&'a Value),
}

impl ValueRef<'_> {
    /// The value by itself.
    pub fn to_value(self) -> Option<Value> {
        match self {
            Self::Stored(cell) => match cell.to_cell() {
                Cell::Value(value) => Some(value),
                Cell::Null | Cell::Error => None,
            },
            Self::Held(value) => Some(value.clone()),
        }
    }
}

impl AnsweredRef<'_> {
    /// The value by itself.
    pub fn to_answered(self) -> Answered {
        let value = self.value.and_then(ValueRef::to_value);
        Answered { value, status: self.status, event: self.event }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The instant it holds for.
    pub t: Instant,
    /// For each join the commit of its view's history that the answer reflects. Empty for answers from history alone.
    pub positions: Vec<Option<u64>>,
    rows: usize,
    include_expired: bool,
    held: Held,
    /// What features on demand come to.
    computed: Option<ComputedCells>,
}

#[derive(Debug)]
enum Held {
    Online(Fetched),
    /// For each entity row a value for each column.
    Rows(Vec<Vec<Answered>>),
}

/// What the online store gave.
#[derive(Debug)]
pub(super) struct Fetched {
    /// For each list of key columns, for each entity row the place of its key.
    places: Vec<Vec<u32>>,
    /// For each join where its keys begin among `rows`; `None`: nothing was ever published for it.
    starts: Vec<Option<usize>>,
    rows: Vec<Option<AnswerRow>>,
    /// For each join of a view of events, for each of its keys what its windows come to.
    closed: Vec<Option<Vec<Option<ClosedKey>>>>,
    /// For each list of key columns the number of different keys.
    unique: Vec<usize>,
}

impl Fetched {
    /// Takes up what was read, and closes the windows of views of events.
    pub fn new(
        plan: &OnlinePlan,
        places: Vec<Vec<u32>>,
        starts: Vec<Option<usize>>,
        read: OnlineAnswer,
    ) -> Result<Self, StoreError> {
        let unique = |places: &Vec<u32>| {
            let keys = places.iter().filter(|place| **place != NO_KEY);
            keys.max().map_or(0, |last| *last as usize + 1)
        };
        let unique = places.iter().map(unique).collect();
        let mut fetched = Self { places, starts, rows: read.rows, closed: Vec::new(), unique };
        for (join, windows) in plan.windows.iter().enumerate() {
            let Some(windows) = windows else {
                fetched.closed.push(None);
                continue;
            };
            let close = |row: &Option<AnswerRow>| {
                let events = row.as_ref().and_then(|row| row.events.as_ref());
                events.map(|events| windows.close(events, read.t)).transpose().map(Option::flatten)
            };
            let closed = fetched.rows_of(plan, join).iter().map(close).collect::<Result<_, StoreError>>()?;
            fetched.closed.push(Some(closed));
        }
        Ok(fetched)
    }

    /// Whether a view that leaves keys to history holds nothing of the key of an entity row.
    pub fn is_left_out(&self, plan: &OnlinePlan, row: usize) -> bool {
        plan.plan.joins.iter().enumerate().any(|(join, planned)| {
            let place = self.places[plan.key_set_of[join]][row];
            planned.view.active_within.is_some()
                && place != NO_KEY
                && self.rows_of(plan, join).get(place as usize).is_some_and(Option::is_none)
        })
    }

    /// What was read for the different keys of a join.
    fn rows_of(&self, plan: &OnlinePlan, join: usize) -> &[Option<AnswerRow>] {
        match self.starts[join] {
            Some(start) => &self.rows[start..start + self.unique[plan.key_set_of[join]]],
            None => &[],
        }
    }
}

impl Answer {
    pub(super) fn from_online(
        t: Instant,
        rows: usize,
        include_expired: bool,
        positions: Vec<Option<u64>>,
        fetched: Fetched,
    ) -> Self {
        Self { t, positions, rows, include_expired, held: Held::Online(fetched), computed: None }
    }

    /// Computes the features on demand that are asked for (SEMANTICS 5).
    ///
    /// # Errors
    /// A damaged row.
    pub(super) fn compute(&mut self, plan: &OnlinePlan, request: &GetRequest) -> Result<(), StoreError> {
        let on_demand = &plan.plan.on_demand;
        if on_demand.is_empty() {
            return Ok(());
        }
        let open = self.open(plan)?;
        let inputs: Vec<OpenColumn<'_>> =
            on_demand.inputs.iter().map(|input| open.stored(input.join, input.feature)).collect();
        let fields = request_fields(on_demand, request);
        // The first row that can't be read; what is computed of it is thrown away.
        let damaged = RefCell::new(None);
        let input = |place: usize, row: usize| match inputs[place].get(row) {
            Ok(answered) => {
                let answered = answered.to_answered();
                on_demand.inputs[place].entering(answered.value, answered.status)
            }
            Err(error) => {
                damaged.borrow_mut().get_or_insert(error);
                Cell::Error
            }
        };
        let computed = on_demand.evaluate(self.t, self.rows, input, |place, row| field(&fields, place, row));
        if let Some(error) = damaged.into_inner() {
            return Err(error);
        }
        self.computed = Some(computed);
        Ok(())
    }

    /// An answer of values by themselves: for each entity row one for each column.
    pub(crate) fn from_rows(t: Instant, rows: Vec<Vec<Answered>>, positions: Vec<Option<u64>>) -> Self {
        let (rows, held) = (rows.len(), Held::Rows(rows));
        Self { t, positions, rows, include_expired: false, held, computed: None }
    }

    /// The number of entity rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Opens the answer to the request of `plan`.
    ///
    /// # Errors
    /// A damaged row.
    pub fn open<'a>(&'a self, plan: &'a OnlinePlan) -> Result<OpenAnswer<'a>, StoreError> {
        let joins = match &self.held {
            Held::Rows(_) => Vec::new(),
            Held::Online(fetched) => {
                let open = |join| OpenJoin::open(plan, fetched, join, self);
                (0..plan.plan.joins.len()).map(open).collect::<Result<_, _>>()?
            }
        };
        Ok(OpenAnswer { plan, answer: self, joins })
    }

    /// For each entity row a value for each column, each by itself.
    ///
    /// # Errors
    /// A damaged row.
    pub fn to_rows(&self, plan: &OnlinePlan) -> Result<Vec<Vec<Answered>>, StoreError> {
        let open = self.open(plan)?;
        let columns: Vec<OpenColumn<'_>> =
            (0..plan.plan.columns.len()).map(|place| open.column(place)).collect();
        let row = |row| columns.iter().map(|column| Ok(column.get(row)?.to_answered())).collect();
        (0..self.rows).map(row).collect()
    }
}

/// An answer whose rows are open.
pub struct OpenAnswer<'a> {
    plan: &'a OnlinePlan,
    answer: &'a Answer,
    joins: Vec<OpenJoin<'a>>,
}

/// What was read for one join.
struct OpenJoin<'a> {
    types: &'a [ValueType],
    places: &'a [u32],
    keys: Vec<OpenKey<'a>>,
    include_expired: bool,
}

/// What was read for one key.
enum OpenKey<'a> {
    /// Nothing that counts.
    Nothing,
    Row {
        row: OpenRow<'a>,
        event: Instant,
        expired: bool,
    },
    Windows(&'a ClosedKey),
}

/// One column of an answer.
pub struct OpenColumn<'a> {
    from: ColumnFrom<'a>,
}

enum ColumnFrom<'a> {
    Join {
        join: &'a OpenJoin<'a>,
        stored: usize,
        asked: usize,
        default: Option<&'a Value>,
    },
    Rows {
        rows: &'a [Vec<Answered>],
        place: usize,
    },
    Computed {
        computed: &'a ComputedCells,
        on_demand: &'a OnDemandPlan,
        step: usize,
    },
    /// Nothing was computed: it is an answer to another plan.
    Nothing,
}

impl<'a> OpenAnswer<'a> {
    /// One column, by its place in the plan.
    #[inline]
    pub fn column(&'a self, place: usize) -> OpenColumn<'a> {
        let from = match (&self.answer.held, self.plan.plan.columns[place].origin) {
            (Held::Rows(rows), _) => ColumnFrom::Rows { rows, place },
            (Held::Online(_), Origin::Stored { join, feature }) => return self.stored(join, feature),
            (Held::Online(_), Origin::Computed { step }) => match &self.answer.computed {
                Some(computed) => {
                    ColumnFrom::Computed { computed, on_demand: &self.plan.plan.on_demand, step }
                }
                None => ColumnFrom::Nothing,
            },
        };
        OpenColumn { from }
    }

    /// One feature of a join, by its place among those asked of it.
    fn stored(&'a self, join: usize, feature: usize) -> OpenColumn<'a> {
        let from = ColumnFrom::Join {
            join: &self.joins[join],
            stored: self.plan.plan.joins[join].asked[feature],
            asked: feature,
            default: self.plan.default_of(join, feature),
        };
        OpenColumn { from }
    }

    /// The event instant of the row that a join met for an entity row; `None` where it met none. Of an answer from history
    /// it is known for columns alone.
    pub fn event(&self, join: usize, row: usize) -> Option<Instant> {
        self.joins.get(join).and_then(|join| join.key(row)).and_then(OpenKey::event)
    }
}

impl<'a> OpenJoin<'a> {
    fn open(
        plan: &'a OnlinePlan,
        fetched: &'a Fetched,
        join: usize,
        answer: &Answer,
    ) -> Result<Self, StoreError> {
        let planned = &plan.plan.joins[join];
        let rule: Rule = rule(&planned.view, KnownAt::Served, answer.include_expired);
        let keys = match &fetched.closed[join] {
            Some(closed) => closed
                .iter()
                .map(|closed| closed.as_ref().map_or(OpenKey::Nothing, OpenKey::Windows))
                .collect(),
            None => {
                let open = |row: &'a Option<AnswerRow>| {
                    let Some(row) = row else { return Ok(OpenKey::Nothing) };
                    Ok(match rule.age(row.event, answer.t) {
                        Age::Forgotten => OpenKey::Nothing,
                        age => OpenKey::Row {
                            row: plan.layouts[join].open(&row.row)?,
                            event: row.event,
                            expired: age == Age::Expired,
                        },
                    })
                };
                fetched.rows_of(plan, join).iter().map(open).collect::<Result<_, StoreError>>()?
            }
        };
        let places = &fetched.places[plan.key_set_of[join]];
        let types = plan.layouts[join].types();
        Ok(Self { types, places, keys, include_expired: answer.include_expired })
    }

    #[inline]
    fn key(&self, row: usize) -> Option<&OpenKey<'a>> {
        self.keys.get(*self.places.get(row)? as usize)
    }
}

impl OpenKey<'_> {
    fn event(&self) -> Option<Instant> {
        match self {
            Self::Nothing => None,
            Self::Row { event, .. } => Some(*event),
            Self::Windows(closed) => Some(closed.newest),
        }
    }
}

impl<'a> OpenColumn<'a> {
    /// Shows the values of all entity rows of an answer with so many rows, in order, as [`OpenColumn::get`] gives them. What
    /// is the same for all of them is looked up once.
    ///
    /// # Errors
    /// A damaged row.
    pub fn each(&self, rows: usize, mut show: impl FnMut(AnsweredRef<'a>)) -> Result<(), StoreError> {
        let ColumnFrom::Join { join, stored, .. } = &self.from else {
            return (0..rows).try_for_each(|row| self.get(row).map(&mut show));
        };
        let stored = *stored;
        // The types that most features have are told apart once, and not for each value.
        match join.types.get(stored) {
            Some(ValueType::Float64) => self.each_of(join, rows, show, |row| {
                Ok(row.fixed(stored)?.map(|bytes| CellRef::Float64(f64::from_le_bytes(bytes))))
            }),
            Some(ValueType::Int64) => self.each_of(join, rows, show, |row| {
                Ok(row.fixed(stored)?.map(|bytes| CellRef::Int64(i64::from_le_bytes(bytes))))
            }),
            Some(ValueType::String) => {
                self.each_of(join, rows, show, |row| Ok(row.text(stored)?.map(CellRef::String)))
            }
            _ => self.each_of(join, rows, show, |row| {
                let cell = row.cell(stored)?;
                Ok(cell.filter(|cell| !matches!(cell, CellRef::Null | CellRef::Error)))
            }),
        }
    }

    /// As [`OpenColumn::each`]; `value` reads the value of a row, if it holds one.
    #[inline(always)]
    fn each_of(
        &self,
        join: &OpenJoin<'a>,
        rows: usize,
        mut show: impl FnMut(AnsweredRef<'a>),
        value: impl Fn(&OpenRow<'a>) -> Result<Option<CellRef<'a>>, StoreError>,
    ) -> Result<(), StoreError> {
        for at in 0..rows {
            if let Some(OpenKey::Row { row, event, expired: false }) = join.key(at)
                && let Some(cell) = value(row)?
            {
                let value = Some(ValueRef::Stored(cell));
                show(AnsweredRef { value, status: Status::Present, event: Some(*event) });
            } else {
                // Rare enough to be judged with all its cases.
                show(self.get(at)?);
            }
        }
        Ok(())
    }

    /// The value in an entity row, by the rule that training uses too (SEMANTICS 3, 4 and 6).
    ///
    /// # Errors
    /// A damaged row.
    pub fn get(&self, row: usize) -> Result<AnsweredRef<'a>, StoreError> {
        let (join, stored, asked, default) = match &self.from {
            ColumnFrom::Join { join, stored, asked, default } => (join, *stored, *asked, *default),
            ColumnFrom::Rows { rows, place } => {
                let Answered { value, status, event } = &rows[row][*place];
                let value = value.as_ref().map(ValueRef::Held);
                return Ok(AnsweredRef { value, status: *status, event: *event });
            }
            ColumnFrom::Computed { computed, on_demand, step } => {
                let (value, status) = computed.answered(on_demand, *step, row);
                return Ok(AnsweredRef { value: value.map(ValueRef::Held), status, event: None });
            }
            ColumnFrom::Nothing => {
                return Ok(AnsweredRef { value: None, status: Status::Missing, event: None });
            }
        };
        let (value, status, event) = match join.key(row) {
            None | Some(OpenKey::Nothing) => (None, Status::Missing, None),
            Some(OpenKey::Windows(closed)) => {
                let (value, status) = match &closed.cells[asked] {
                    Cell::Value(value) => (Some(ValueRef::Held(value)), Status::Present),
                    Cell::Null => (None, Status::Null),
                    Cell::Error => (None, Status::Error),
                };
                (value, status, Some(closed.newest))
            }
            Some(OpenKey::Row { row, event, expired }) => {
                let (value, status) = match row.cell(stored)? {
                    // The row is older than the feature.
                    None => (None, Status::Missing),
                    Some(cell) if *expired => {
                        (Some(cell).filter(|_| join.include_expired), Status::OutsideTtl)
                    }
                    Some(CellRef::Error) => (None, Status::Error),
                    Some(CellRef::Null) => (None, Status::Null),
                    Some(cell) => (Some(cell), Status::Present),
                };
                let value = value.filter(|cell| !matches!(cell, CellRef::Null | CellRef::Error));
                let value = value.map(ValueRef::Stored);
                if status == Status::OutsideTtl && join.include_expired {
                    // What the row holds beats the default.
                    return Ok(AnsweredRef { value, status, event: Some(*event) });
                }
                (value, status, Some(*event))
            }
        };
        let value = match status {
            Status::Present => value,
            _ => default.map(ValueRef::Held),
        };
        Ok(AnsweredRef { value, status, event })
    }
}

/// A column of a request that features on demand read.
pub(super) type Field<'a> = Option<&'a [Option<Value>]>;

/// The columns of a request that features on demand read.
pub(super) fn request_fields<'a>(on_demand: &OnDemandPlan, request: &'a GetRequest) -> Vec<Field<'a>> {
    on_demand.request.iter().map(|column| request.fields.get(&column.name).map(Vec::as_slice)).collect()
}

/// One cell of them.
pub(super) fn field(fields: &[Field<'_>], place: usize, row: usize) -> Cell {
    let value = fields[place].and_then(|values| values.get(row)?.clone());
    value.map_or(Cell::Null, Cell::Value)
}
