//! Label tables in CSV files. Their columns are text; where the output has types, each column gets the one that all of
//! its fields share, once all have been read.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use asof_engine::EngineError;
use asof_engine::columns::arrow_type;
use asof_engine::source::raw::Form;
use asof_engine::source::{self, RawBatches, WantedColumn};
use asof_model::ValueType;
use parking_lot::Mutex;

use super::files::LabelFiles;
use super::{LabelReader, Labels, ValueColumn, ValuesSink, with_values};
use crate::TrainingError;
use asof_engine::source::infer::{Guess, fields, typed};

/// A label table in CSV files with the same columns.
pub(super) struct TextLabels {
    of: LabelFiles,
    /// The columns of the files, then those that folders tell.
    names: Vec<String>,
    typed: bool,
    seen: Mutex<Seen>,
}

/// What was seen of the rows.
#[derive(Default)]
struct Seen {
    rows: u64,
    guesses: Vec<Guess>,
}

impl TextLabels {
    pub fn open(of: LabelFiles, typed: bool) -> Result<Self, TrainingError> {
        let mut names: Option<Vec<String>> = None;
        for (file, (source, _)) in of.files.iter().enumerate() {
            let found = source::names(source)?.unwrap_or_default();
            of.check_names(file, &found)?;
            if names.get_or_insert_with(|| found.clone()) != &found {
                return Err(of.damaged(file, "its columns differ from those of the first file of the folder"));
            }
        }
        let mut names = names.unwrap_or_default();
        names.extend(of.partition_names(&names));
        let guesses = vec![Guess::default(); names.len()];
        Ok(Self { of, names, typed, seen: Mutex::new(Seen { rows: 0, guesses }) })
    }

    /// The places of columns.
    fn places(&self, columns: &[ValueColumn]) -> Result<Vec<usize>, TrainingError> {
        let place = |column: &ValueColumn| {
            let missing = || self.of.no_column(&column.name, self.names.iter().map(String::as_str));
            self.names.iter().position(|name| *name == column.name).ok_or_else(missing)
        };
        columns.iter().map(place).collect()
    }

    /// Columns of a batch as values. `first`: the number of its first row, from 0.
    fn read_as(
        &self,
        columns: &[ValueColumn],
        places: &[usize],
        texts: &[ArrayRef],
        first: u64,
    ) -> Result<Vec<ArrayRef>, TrainingError> {
        let values = |(column, place): (&ValueColumn, &usize)| {
            let declared = (column.value_type, column.required);
            self.of.values(&column.name, &texts[*place], Form::Typed, declared, first)
        };
        columns.iter().zip(places).map(values).collect()
    }

    /// The rows of a file, all columns as text.
    fn batches(&self, file: usize) -> Result<RawBatches, TrainingError> {
        let columns: Vec<_> =
            self.names.iter().map(|name| WantedColumn { name: name.clone(), required: false }).collect();
        Ok(source::open("labels", &self.of.files[file].0, &columns)?)
    }

    /// The columns of a batch as text.
    fn texts(&self, file: usize, batch: source::RawBatch) -> Result<Vec<ArrayRef>, TrainingError> {
        if let Some(broken) = batch.broken.first() {
            let reason = format!("row {} (line {}): {}", broken.row, broken.line, broken.reason);
            return Err(self.of.damaged(file, &reason));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.names.len());
        for column in &batch.columns {
            let Some(bytes) = column.array.as_binary_opt::<i32>() else {
                // A column that a folder of this file does not tell.
                columns.push(Arc::new(StringArray::new_null(batch.rows)));
                continue;
            };
            let mut text = StringBuilder::with_capacity(batch.rows, bytes.value_data().len());
            for (row, field) in bytes.iter().enumerate() {
                match field.map(std::str::from_utf8).transpose() {
                    Ok(field) => text.append_option(field),
                    Err(_) => {
                        let (row, _) = batch.places.at(row);
                        let reason = "the text is not UTF-8".to_owned();
                        return Err(EngineError::Label { column: column.name.clone(), row, reason }.into());
                    }
                }
            }
            columns.push(Arc::new(text.finish()));
        }
        Ok(columns)
    }
}

impl Labels for TextLabels {
    fn pieces(&self) -> usize {
        // Where a row stands is known only once those before it were read.
        1
    }

    fn values(
        &self,
        _piece: usize,
        columns: &[ValueColumn],
        sink: &mut ValuesSink<'_>,
    ) -> Result<(), TrainingError> {
        let places = self.places(columns)?;
        let mut first = 0;
        let mut guesses = vec![Guess::default(); self.names.len()];
        for file in 0..self.of.files.len() {
            for batch in self.batches(file)? {
                let batch = batch?;
                let rows = batch.rows as u64;
                let texts = self.texts(file, batch)?;
                for (guess, text) in guesses.iter_mut().zip(&texts).filter(|_| self.typed) {
                    guess.learn(fields(text));
                }
                let values = self.read_as(columns, &places, &texts, first)?;
                if rows > 0 {
                    sink(first, values)?;
                }
                first += rows;
            }
        }
        *self.seen.lock() = Seen { rows: first, guesses };
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.seen.lock().rows
    }

    fn schema(&self) -> SchemaRef {
        let seen = self.seen.lock();
        let field = |(name, guess): (&String, &Guess)| {
            // An instant, also where it was text.
            let of = match self.typed {
                true if *name == self.of.time => arrow_type(ValueType::Timestamp),
                true => guess.data_type(),
                false => DataType::Utf8,
            };
            Field::new(name, of, true)
        };
        Arc::new(Schema::new(self.names.iter().zip(&seen.guesses).map(field).collect::<Vec<_>>()))
    }

    fn reader(&self, values: &[ValueColumn]) -> Result<Box<dyn LabelReader + '_>, TrainingError> {
        let own = self.schema();
        Ok(Box::new(Reader {
            of: self,
            places: self.places(values)?,
            values: values.to_vec(),
            schema: with_values(&own, values),
            own,
            file: 0,
            first: 0,
            batches: None,
            ready: VecDeque::new(),
            ready_rows: 0,
        }))
    }
}

/// Reads all columns, file after file.
struct Reader<'a> {
    of: &'a TextLabels,
    /// The labels' own columns.
    own: SchemaRef,
    /// What is read as values, with the places of these columns.
    values: Vec<ValueColumn>,
    places: Vec<usize>,
    /// All of them.
    schema: SchemaRef,
    /// The next file.
    file: usize,
    /// The number of the next row.
    first: u64,
    batches: Option<RawBatches>,
    ready: VecDeque<RecordBatch>,
    ready_rows: usize,
}

impl Reader<'_> {
    /// Makes some more rows ready; false at the end.
    fn read(&mut self) -> Result<bool, TrainingError> {
        loop {
            let open = match &mut self.batches {
                Some(open) => open,
                None if self.file == self.of.of.files.len() => return Ok(false),
                None => {
                    self.of.of.check(self.file)?;
                    self.file += 1;
                    self.batches.insert(self.of.batches(self.file - 1)?)
                }
            };
            let Some(batch) = open.next() else {
                self.batches = None;
                continue;
            };
            let texts = self.of.texts(self.file - 1, batch?)?;
            let mut columns = Vec::with_capacity(texts.len());
            for (text, field) in texts.iter().zip(self.own.fields()) {
                columns.push(match field.data_type() {
                    DataType::Timestamp(..) => {
                        let declared = (ValueType::Timestamp, true);
                        self.of.of.values(field.name(), text, Form::Typed, declared, self.first)?
                    }
                    of => typed(text.as_string(), of),
                });
            }
            columns.extend(self.of.read_as(&self.values, &self.places, &texts, self.first)?);
            let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
            self.first += batch.num_rows() as u64;
            self.ready_rows += batch.num_rows();
            self.ready.push_back(batch);
            return Ok(true);
        }
    }
}

impl LabelReader for Reader<'_> {
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError> {
        while self.ready_rows < rows && self.read()? {}
        let some = super::take_ready(&mut self.ready, &mut self.ready_rows, rows);
        Ok(concat_batches(&self.schema, &some)?)
    }
}
