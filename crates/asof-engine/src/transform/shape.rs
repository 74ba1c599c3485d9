//! From a raw batch of a source's file to the columns that a view names, through the source's query.

use arrow::array::{Array, AsArray, BooleanBufferBuilder};
use asof_expression::{Column, Expression, RequestTimestamps};
use asof_model::entry::Reading;
use asof_model::spec::Source;
use asof_model::{Instant, ValueType};

use super::query::{BAD, MARKS_OF};
use super::row_wise::{Part, RowWise};
use crate::EngineError;
use crate::source::convert::convert;
use crate::source::raw::{Form, RawColumn, normalise};
use crate::source::{RawBatch, WantedColumn};

/// Where each name of a view comes from, in the batches of a source.
pub(crate) struct Shape {
    /// The columns to read from the files, each once.
    wanted: Vec<WantedColumn>,
    /// By the place of the name.
    origins: Vec<Origin>,
    condition: Option<Computation>,
    computed: Vec<(String, Computation)>,
    /// The columns that expressions read: places among `wanted`, and the types that they are read as.
    inputs: Vec<(usize, ValueType)>,
    reading: Reading,
    /// Where the batches are those of a query over all rows.
    queried: Option<Queried>,
}

/// What a query over all rows says beside its columns.
struct Queried {
    /// By the place of the name: where its marks of errors stand, and what its column is called.
    marks: Vec<(usize, String)>,
    /// Where the reasons stand why rows are bad.
    bad: usize,
}

/// Where one name comes from.
enum Origin {
    /// A column of the file, by its place among those that are read.
    Column(usize),
    /// An expression, by its place among those that are computed.
    Computed(usize),
}

/// An expression, with the places of the inputs that it reads.
struct Computation {
    expression: Expression,
    inputs: Vec<usize>,
}

/// A raw batch in its shape.
pub(crate) struct Shaped<'a> {
    shape: &'a Shape,
    raw: &'a RawBatch,
    computed: Vec<(RawColumn, Column)>,
    condition: Option<Column>,
}

/// What the condition of a query says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    Dropped,
    /// For this reason the row is bad.
    Bad(String),
}

impl Shape {
    /// The shape for these names, each with whether a row is nothing without it. `filters`: whether the query's condition
    /// is judged too.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query that gives no such column.
    pub fn new(
        source: &Source,
        reading: Reading,
        names: &[(&str, bool)],
        filters: bool,
    ) -> Result<Self, EngineError> {
        let mut shape = Self {
            wanted: Vec::new(),
            origins: Vec::new(),
            condition: None,
            computed: Vec::new(),
            inputs: Vec::new(),
            reading,
            queried: None,
        };
        if source.meaning().is_some_and(|meaning| !meaning.row_wise) {
            shape.take_query(names);
            return Ok(shape);
        }
        let query = super::recorded(source)?;
        if let Some(condition) = query.as_ref().and_then(|query| query.condition.as_ref()).filter(|_| filters)
        {
            // Without what decides about rows there are none to speak of.
            shape.condition = Some(shape.computation(source, condition, true));
        }
        for (name, required) in names {
            let origin = shape.origin(source, query.as_ref(), name, *required)?;
            shape.origins.push(origin);
        }
        Ok(shape)
    }

    fn origin(
        &mut self,
        source: &Source,
        query: Option<&RowWise>,
        name: &str,
        required: bool,
    ) -> Result<Origin, EngineError> {
        let Some(query) = query else { return Ok(Origin::Column(self.want(source, name, required))) };
        if let Some(column) = query.passes(name) {
            return Ok(Origin::Column(self.want(source, column, required)));
        }
        let Some(Part::Computed(expression)) = query.outputs.get(name) else {
            let reason = format!("it gives no column `{name}`");
            return Err(EngineError::Transform { source_name: source.name.clone(), reason });
        };
        let computation = self.computation(source, expression, required);
        self.computed.push((name.to_owned(), computation));
        Ok(Origin::Computed(self.computed.len() - 1))
    }

    /// The names, the marks of their errors and the reasons of bad rows, as a query over all rows gives them.
    fn take_query(&mut self, names: &[(&str, bool)]) {
        let mut place = |name: String| {
            let known = self.wanted.iter().position(|known| known.name == name);
            known.unwrap_or_else(|| {
                self.wanted.push(WantedColumn { name, required: true });
                self.wanted.len() - 1
            })
        };
        let mut queried = Queried { marks: Vec::new(), bad: place(BAD.to_owned()) };
        for (name, _) in names {
            self.origins.push(Origin::Column(place((*name).to_owned())));
            queried.marks.push((place(format!("{MARKS_OF}{name}")), (*name).to_owned()));
        }
        self.queried = Some(queried);
    }

    /// The place of a column, by its name here, among those that are read.
    fn want(&mut self, source: &Source, name: &str, required: bool) -> usize {
        let column = source.column_of(name);
        if let Some(place) = self.wanted.iter().position(|known| known.name == column) {
            self.wanted[place].required |= required;
            return place;
        }
        self.wanted.push(WantedColumn { name: column.to_owned(), required });
        self.wanted.len() - 1
    }

    fn computation(&mut self, source: &Source, expression: &Expression, required: bool) -> Computation {
        let columns = expression.columns().iter().zip(expression.column_types());
        let inputs = columns.map(|(name, value_type)| {
            let input = (self.want(source, name, required), *value_type);
            self.inputs.iter().position(|known| *known == input).unwrap_or_else(|| {
                self.inputs.push(input);
                self.inputs.len() - 1
            })
        });
        Computation { inputs: inputs.collect(), expression: expression.clone() }
    }

    /// The columns to read from the files.
    pub fn wanted(&self) -> &[WantedColumn] {
        &self.wanted
    }

    /// The place among the columns to read of a name, by its place, that passes as it stands in the files.
    pub fn passes(&self, name: usize) -> Option<usize> {
        match self.origins.get(name)? {
            Origin::Column(place) if self.queried.is_none() => Some(*place),
            _ => None,
        }
    }

    /// Shapes a batch of the wanted columns.
    pub fn shaped<'a>(&'a self, raw: &'a RawBatch) -> Result<Shaped<'a>, EngineError> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (place, value_type) in &self.inputs {
            let (array, failed) = convert(&raw.columns[*place], raw.rows, *value_type, &self.reading);
            inputs
                .push(Column { values: array, errors: marks(raw.rows, failed.iter().map(|(row, _)| *row)) });
        }
        let values = |computation: &Computation| {
            let inputs: Vec<Column> = computation.inputs.iter().map(|place| inputs[*place].clone()).collect();
            evaluate(&computation.expression, &inputs, raw.rows)
        };
        let condition = self.condition.as_ref().map(values).transpose()?;
        let mut computed = Vec::with_capacity(self.computed.len());
        for (name, computation) in &self.computed {
            let column = values(computation)?;
            let array = normalise(&column.values).unwrap_or_else(|| column.values.clone());
            computed.push((RawColumn { name: name.clone(), array, form: Form::Typed }, column));
        }
        Ok(Shaped { shape: self, raw, computed, condition })
    }
}

/// The results of an expression over the rows of a batch.
fn evaluate(expression: &Expression, inputs: &[Column], rows: usize) -> Result<Column, EngineError> {
    // Queries refuse what reads the instant.
    Ok(expression.evaluate(inputs, rows, RequestTimestamps::Same(Instant::MIN))?)
}

/// The rows that are named, as marks. `None`: none is.
pub(super) fn marks(
    rows: usize,
    failed: impl Iterator<Item = usize>,
) -> Option<arrow::buffer::BooleanBuffer> {
    let mut failed = failed.peekable();
    failed.peek()?;
    let mut marks = BooleanBufferBuilder::new(rows);
    marks.append_n(rows, false);
    for row in failed {
        marks.set_bit(row, true);
    }
    Some(marks.finish())
}

impl Shaped<'_> {
    /// What the query says of each row. Empty: every row passes.
    pub fn verdicts(&self) -> Vec<Verdict> {
        if let Some(queried) = &self.shape.queried {
            let Some(reasons) = self.raw.columns[queried.bad].array.as_string_opt::<i32>() else {
                return Vec::new();
            };
            let verdict =
                |reason: Option<&str>| reason.map_or(Verdict::Passes, |why| Verdict::Bad(why.to_owned()));
            return reasons.iter().map(verdict).collect();
        }
        let Some(condition) = &self.condition else { return Vec::new() };
        let passes = condition.values.as_boolean();
        let is_error = |row| condition.errors.as_ref().is_some_and(|errors| errors.value(row));
        let verdict = |row| match () {
            () if is_error(row) => Verdict::Bad("the condition of the sql is in ERROR".to_owned()),
            () if passes.is_valid(row) && passes.value(row) => Verdict::Passes,
            () => Verdict::Dropped,
        };
        (0..self.raw.rows).map(verdict).collect()
    }

    /// The column behind a name, by its place.
    pub fn column(&self, name: usize) -> &RawColumn {
        match self.shape.origins[name] {
            Origin::Column(place) => &self.raw.columns[place],
            Origin::Computed(place) => &self.computed[place].0,
        }
    }

    /// The rows of a name that are in ERROR before any conversion, and what computes them. Empty for a column of the file.
    pub fn errors(&self, name: usize) -> (Vec<usize>, String) {
        if let Some(queried) = &self.shape.queried {
            let (place, text) = &queried.marks[name];
            let marks = self.raw.columns[*place].array.as_boolean_opt();
            let rows =
                marks.map(|marks| (0..marks.len()).filter(|row| marks.is_valid(*row) && marks.value(*row)));
            return (rows.into_iter().flatten().collect(), text.clone());
        }
        let Origin::Computed(place) = self.shape.origins[name] else { return (Vec::new(), String::new()) };
        let rows: Vec<usize> =
            self.computed[place].1.errors.iter().flat_map(|errors| errors.set_indices()).collect();
        let text =
            if rows.is_empty() { String::new() } else { self.shape.computed[place].1.expression.to_string() };
        (rows, text)
    }
}
