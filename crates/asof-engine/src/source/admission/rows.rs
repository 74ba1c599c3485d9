//! Keys and instants of rows, and which rows are taken.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampMicrosecondType;
use asof_model::entry::{KEY_BYTES_MAX, Reading};
use asof_model::spec::{JoinKey, Source};
use asof_model::{Instant, Value, ValueType};

use super::verdicts::{BadRow, Verdicts};
use super::{Names, ask, read, reading_of};
use crate::EngineError;
use crate::columns::{KeyColumns, constant};
use crate::source::raw::RawBatch;
use crate::source::wanted::WantedColumn;
use crate::transform::{Shape, Shaped, Verdict};

/// How keys and instants of a view's rows are admitted, without their features.
pub struct RowAdmission {
    shape: Shape,
    rows: Rows,
}

/// Whether a row is one, and of which key and instants.
pub(super) struct Rows {
    keys: Vec<JoinKey>,
    reading: Reading,
    /// Places among the names of the shape.
    pub(super) key_places: Vec<usize>,
    pub(super) event_place: usize,
    created_place: Option<usize>,
    /// The created instant of every row, where the source names none and it is not the event.
    pub(super) created_at: Option<Instant>,
    /// Event instants from this one on are taken.
    from: Instant,
    /// Event instants before this one are taken; `None`: to the end of time.
    until: Option<Instant>,
}

/// Keys and instants of the rows of one raw batch.
pub struct AdmittedRows {
    /// Which rows of the batch are taken. `None`: all.
    pub taken: Option<BooleanArray>,
    /// A column for each join key, then event and created: of every row of the batch, taken or not.
    pub columns: Vec<ArrayRef>,
    /// Rows set aside.
    pub bad: Vec<BadRow>,
    /// Good rows whose event lies outside the asked range.
    pub outside: u64,
    /// Rows that the condition of the source's query leaves out.
    pub filtered: u64,
}

impl RowAdmission {
    /// Admission of rows of a view with these `keys`, of any event.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn new(source: &Source, keys: &[JoinKey]) -> Result<Self, EngineError> {
        let mut names = Vec::new();
        let rows = Rows::new(source, keys, (Instant::MIN, None), &mut names);
        Ok(Self { shape: Shape::new(source, reading_of(source), &names, true)?, rows })
    }

    /// The columns to read from the source's files.
    pub fn columns(&self) -> &[WantedColumn] {
        self.shape.wanted()
    }

    /// The place among [`RowAdmission::columns`] of the event, where it passes as it stands in the files.
    pub fn event_column(&self) -> Option<usize> {
        self.shape.passes(self.rows.event_place)
    }

    /// The place among [`RowAdmission::columns`] of a join key, where it passes as it stands in the files.
    pub fn key_column(&self, key: usize) -> Option<usize> {
        self.shape.passes(*self.rows.key_places.get(key)?)
    }

    /// Judges every row of a batch that was read with [`RowAdmission::columns`].
    ///
    /// # Errors
    /// A defect of ours. Nothing about a row is an error.
    pub fn admit(&self, raw: &RawBatch) -> Result<AdmittedRows, EngineError> {
        Ok(self.rows.admit(raw, &self.shape.shaped(raw)?, self.rows.created_at))
    }
}

impl Rows {
    pub(super) fn new<'a>(
        source: &'a Source,
        keys: &'a [JoinKey],
        (from, until): (Instant, Option<Instant>),
        names: &mut Names<'a>,
    ) -> Self {
        Self {
            keys: keys.to_vec(),
            reading: reading_of(source),
            key_places: keys.iter().map(|key| ask(names, &key.name, true)).collect(),
            event_place: ask(names, &source.event, true),
            created_place: source.created.as_deref().map(|created| ask(names, created, true)),
            created_at: None,
            from,
            until,
        }
    }

    /// `created_at`: the created instant of every row, where the source names no column of it; `None`: the event.
    pub(super) fn admit(
        &self,
        raw: &RawBatch,
        shaped: &Shaped<'_>,
        created_at: Option<Instant>,
    ) -> AdmittedRows {
        let mut verdicts = Verdicts::new(raw);
        let mut filtered = 0;
        for (row, verdict) in shaped.verdicts().into_iter().enumerate() {
            match verdict {
                Verdict::Passes => {}
                Verdict::Dropped => {
                    verdicts.drop(row);
                    filtered += 1;
                }
                Verdict::Bad(reason) => verdicts.refuse(row, None, reason),
            }
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (key, place) in self.keys.iter().zip(&self.key_places) {
            columns.push(self.required(shaped, *place, key.value_type, "join key", &mut verdicts));
        }
        let event =
            self.required(shaped, self.event_place, ValueType::Timestamp, "event time", &mut verdicts);
        let created = match self.created_place {
            Some(place) => self.required(shaped, place, ValueType::Timestamp, "created time", &mut verdicts),
            None => match created_at {
                Some(at) => constant(ValueType::Timestamp, Some(&Value::Timestamp(at)), raw.rows),
                None => event.clone(),
            },
        };
        self.refuse_long_keys(shaped, raw.rows, &columns, &mut verdicts);
        let (taken, outside) = self.in_range(&event, &verdicts);
        columns.extend([event, created]);
        AdmittedRows { taken, columns, bad: verdicts.finish(), outside, filtered }
    }

    /// A column without which a row is bad.
    fn required(
        &self,
        shaped: &Shaped<'_>,
        place: usize,
        declared: ValueType,
        role: &str,
        verdicts: &mut Verdicts<'_>,
    ) -> ArrayRef {
        let column = shaped.column(place);
        let rows = column.array.len();
        let (array, failed) = read(shaped, place, rows, declared, &self.reading);
        for (row, error) in failed {
            verdicts.refuse(row, Some(&column.name), format!("the {role}: {error}"));
        }
        if array.null_count() > 0 {
            for row in (0..rows).filter(|row| column.array.is_null(*row)) {
                verdicts.refuse(row, Some(&column.name), format!("the {role} is null"));
            }
        }
        array
    }

    fn refuse_long_keys(
        &self,
        shaped: &Shaped<'_>,
        rows: usize,
        columns: &[ArrayRef],
        verdicts: &mut Verdicts<'_>,
    ) {
        let texts =
            self.keys.iter().any(|key| matches!(key.value_type, ValueType::String | ValueType::Bytes));
        if !texts {
            return;
        }
        let keys = KeyColumns::new(columns.iter().zip(self.keys.iter().map(|key| key.value_type)).collect());
        let mut key = Vec::new();
        for row in 0..rows {
            if keys.encode(row, &mut key) && key.len() > KEY_BYTES_MAX {
                verdicts.refuse(
                    row,
                    Some(&shaped.column(self.key_places[0]).name),
                    format!("the join key has {} bytes, at most {KEY_BYTES_MAX} are stored", key.len()),
                );
            }
        }
    }

    /// The rows that are taken, `None` for all, and how many good ones lie outside the range.
    fn in_range(&self, event: &ArrayRef, verdicts: &Verdicts<'_>) -> (Option<BooleanArray>, u64) {
        let instants = event.as_primitive::<TimestampMicrosecondType>();
        let (from, until) = (self.from.micros(), self.until.map_or(i64::MAX, Instant::micros));
        let bounds = min(instants).zip(max(instants));
        if !verdicts.any() && bounds.is_none_or(|(first, last)| from <= first && last < until) {
            return (None, 0);
        }
        let mut outside = 0;
        let keep = instants.values().iter().enumerate().map(|(row, event)| {
            let good = !verdicts.is_bad(row);
            let inside = (from..until).contains(event);
            outside += u64::from(good && !inside);
            Some(good && inside)
        });
        let keep: BooleanArray = keep.collect();
        (Some(keep), outside)
    }
}
