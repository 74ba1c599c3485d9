//! Label columns and features, put together by ranges of labels.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use asof_engine::Progress;
use asof_engine::columns::arrow_type;
use asof_model::{Status, ValueType};
use parking_lot::Mutex;

use super::WRITE;
use super::computed::{ComputeInputs, Computed, ComputedColumn};
use super::spec::{Of, OutputSpec, What};
use super::statistics::{ColumnCounter, sampled_rows};
use crate::TrainingError;
use crate::join::{Joined, RANGE_ROWS, RangeAnswer};
use crate::labels::{LabelReader, Labels, ValueColumn};

/// The rows of an output.
pub(crate) struct Rows<'r, 'a> {
    pub joined: &'r Joined<'a>,
    pub spec: &'r OutputSpec,
    progress: &'r dyn Progress,
    /// The labels' columns, then the others.
    pub schema: SchemaRef,
    /// How many columns are the labels' own.
    pub own: usize,
    feed: Mutex<Feed<'r>>,
}

/// Label columns, read once and in order.
struct Feed<'a> {
    reader: Box<dyn LabelReader + 'a>,
    /// The next range.
    next: usize,
    /// Ranges that were passed on the way to another.
    ready: HashMap<usize, RecordBatch>,
}

/// One range of labels, with what every view answers.
pub(crate) struct Range {
    pub labels: RecordBatch,
    pub answers: Vec<RangeAnswer>,
    /// What is read of the labels to compute: the times, then the request's columns. Empty where nothing is computed.
    read: Vec<ArrayRef>,
    /// What was computed, once somebody asked for a column of it.
    computed: Mutex<Option<Arc<Vec<ComputedColumn>>>>,
    /// Rows whose values are sampled.
    pub sampled: Vec<u32>,
}

impl<'r, 'a> Rows<'r, 'a> {
    pub fn new(
        joined: &'r Joined<'a>,
        labels: &'r dyn Labels,
        spec: &'r OutputSpec,
        progress: &'r dyn Progress,
    ) -> Result<Self, TrainingError> {
        let own = labels.schema();
        let mut fields: Vec<Field> = own
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), field.data_type().clone(), true))
            .collect();
        for column in &spec.columns {
            let data_type = match column.what {
                What::Values => arrow_type(column.value_type),
                What::Statuses => DataType::Utf8,
            };
            fields.push(Field::new(&column.name, data_type, true));
        }
        let feed = Feed { reader: labels.reader(&read_by(spec))?, next: 0, ready: HashMap::new() };
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { joined, spec, progress, schema, own: own.fields().len(), feed: Mutex::new(feed) })
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The type by which a column's values are told. `None`: it is a label's, whatever that is.
    pub fn value_type(&self, column: usize) -> Option<ValueType> {
        let column = &self.spec.columns[column.checked_sub(self.own)?];
        Some(match column.what {
            What::Values => column.value_type,
            What::Statuses => ValueType::String,
        })
    }

    /// A counter for each column.
    pub fn counters(&self) -> Vec<ColumnCounter> {
        self.schema.fields().iter().map(|field| ColumnCounter::new(field.data_type())).collect()
    }

    /// What the columns of a range hold; nothing where nobody asks.
    pub fn counted(&self, range: &Range, columns: &[ArrayRef]) -> Vec<ColumnCounter> {
        let mut counters = self.counters();
        if self.spec.statistics {
            let each = counters.iter_mut().zip(columns);
            each.for_each(|(counter, values)| counter.add(values, &range.sampled));
        }
        counters
    }

    /// How many rows a range has.
    pub fn rows_of(&self, range: usize) -> usize {
        let start = range as u64 * RANGE_ROWS;
        self.joined.labels().saturating_sub(start).min(RANGE_ROWS) as usize
    }

    /// Ends the work where nobody wants it any more.
    pub fn check(&self) -> Result<(), TrainingError> {
        if self.progress.wanted() { Ok(()) } else { Err(TrainingError::Stopped) }
    }

    /// Tells that so many rows are done.
    pub fn done(&self, rows: usize) {
        self.progress.advance(WRITE, rows as u64);
    }

    /// The label columns of a range, and behind them those that are read to compute; each range once.
    ///
    /// # Errors
    /// Those of reading labels.
    pub fn labels(&self, range: usize) -> Result<RecordBatch, TrainingError> {
        let mut feed = self.feed.lock();
        while feed.next <= range {
            let next = feed.next;
            let rows = self.rows_of(next);
            let batch = feed.reader.next(rows)?;
            if batch.num_rows() < rows {
                return Err(TrainingError::LabelsChanged);
            }
            feed.ready.insert(next, batch);
            feed.next += 1;
        }
        // A range that is asked for twice is a defect of ours.
        feed.ready.remove(&range).ok_or(TrainingError::LabelsChanged)
    }

    /// What every view answers to a range; compared with what was served, where that must be.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn answers(&self, range: usize) -> Result<Vec<RangeAnswer>, TrainingError> {
        (0..self.joined.views()).map(|view| self.joined.answer(view, range)).collect()
    }

    /// A range with all its columns at hand.
    ///
    /// # Errors
    /// Those of labels and of scratch.
    pub fn range(&self, range: usize) -> Result<Range, TrainingError> {
        for view in 0..self.joined.views() {
            self.joined.compare(view, range)?;
        }
        let sampled = match self.spec.statistics {
            true => sampled_rows(range, self.rows_of(range), self.joined.ranges()),
            false => Vec::new(),
        };
        let labels = self.labels(range)?;
        let read = labels.columns()[self.own..].to_vec();
        let labels = labels.project(&(0..self.own).collect::<Vec<_>>())?;
        let answers = self.answers(range)?;
        Ok(Range { labels, answers, read, computed: Mutex::new(None), sampled })
    }

    /// What is computed of a range: once, by whoever asks first.
    fn computed(&self, range: &Range) -> Result<Arc<Vec<ComputedColumn>>, TrainingError> {
        let mut computed = range.computed.lock();
        if let Some(computed) = &*computed {
            return Ok(computed.clone());
        }
        let missing = || TrainingError::Computed("an output has a column of nothing".to_owned());
        let Computed { features, by, .. } = self.spec.computed.as_ref().ok_or_else(missing)?;
        let (times, request) = range.read.split_first().ok_or_else(missing)?;
        let entering = features.iter().map(|of| range.answers[of.view].entering(of.feature));
        let entering = entering.collect::<Result<Vec<_>, _>>()?;
        let made = by.compute(&ComputeInputs {
            rows: range.labels.num_rows(),
            times: times.as_primitive::<TimestampMicrosecondType>(),
            request,
            features: &entering,
        })?;
        Ok(computed.insert(Arc::new(made)).clone())
    }

    /// A column of a range.
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn column(&self, range: &Range, column: usize) -> Result<ArrayRef, TrainingError> {
        let Some(place) = column.checked_sub(self.own) else {
            return Ok(range.labels.column(column).clone());
        };
        let column = &self.spec.columns[place];
        let texts = |statuses: &[Status]| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(statuses.iter().map(|status| status.as_str())))
        };
        Ok(match (column.of, column.what) {
            (Of::Feature(of), What::Values) => range.answers[of.view].values(of.feature)?,
            (Of::Feature(of), What::Statuses) => texts(&range.answers[of.view].column(of.feature)?.statuses),
            (Of::Computed(place), what) => {
                let computed = self.computed(range)?;
                match (computed.get(place), what) {
                    (None, _) => return Err(TrainingError::Computed(format!("no column {place}"))),
                    (Some(column), What::Values) => column.values.clone(),
                    (Some(column), What::Statuses) => texts(&column.statuses),
                }
            }
        })
    }
}

/// What is read of the labels to compute: the times, then the request's columns.
fn read_by(spec: &OutputSpec) -> Vec<ValueColumn> {
    let Some(computed) = &spec.computed else { return Vec::new() };
    let (name, value_type) = (computed.time.clone(), ValueType::Timestamp);
    let mut read = vec![ValueColumn { name, value_type, required: true }];
    read.extend(computed.request.iter().cloned());
    read
}
