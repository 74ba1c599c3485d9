//! Label tables in Parquet files. Pieces are row groups, or parts of large ones.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use asof_engine::source::parquet_file::{failed, footer};
use asof_engine::source::raw::Form;
use asof_parquet::{GroupRows, ParquetFile, Selection};

use super::files::LabelFiles;
use super::{LabelReader, Labels, ValueColumn, ValuesSink, with_values};
use crate::TrainingError;
use asof_engine::source::infer::{Guess, typed};

/// Rows of a piece.
const PIECE_ROWS: u32 = 262_144;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 32_768;

/// A label table in Parquet files with the same columns.
pub(super) struct ParquetLabels {
    of: LabelFiles,
    parquet: Vec<ParquetFile>,
    pieces: Vec<Piece>,
    rows: u64,
    /// The columns of the files.
    own: SchemaRef,
    /// Those that folders tell.
    told: Vec<Field>,
    schema: SchemaRef,
}

struct Piece {
    file: usize,
    group: usize,
    rows: std::ops::Range<u32>,
    /// The number of the first of its rows in the table.
    first: u64,
}

impl ParquetLabels {
    pub fn open(of: LabelFiles) -> Result<Self, TrainingError> {
        let (mut parquet, mut pieces, mut rows) = (Vec::new(), Vec::new(), 0);
        let mut own: Option<SchemaRef> = None;
        for (file, (source, _)) in of.files.iter().enumerate() {
            let found = footer(source)?;
            let names: Vec<String> =
                found.noted().fields().iter().map(|field| field.name().clone()).collect();
            of.check_names(file, &names)?;
            let expected = own.get_or_insert_with(|| found.noted().clone());
            if expected.fields() != found.noted().fields() {
                return Err(of.damaged(file, "its columns differ from those of the first file of the folder"));
            }
            for group in 0..found.groups() {
                let of_group = u32::try_from(found.rows_of(group)).unwrap_or(u32::MAX);
                for start in (0..of_group).step_by(PIECE_ROWS as usize) {
                    let end = of_group.min(start.saturating_add(PIECE_ROWS));
                    pieces.push(Piece { file, group, rows: start..end, first: rows });
                    rows += u64::from(end - start);
                }
            }
            parquet.push(found);
        }
        let own = own.unwrap_or_else(|| Arc::new(Schema::empty()));
        let names: Vec<String> = own.fields().iter().map(|field| field.name().clone()).collect();
        let told: Vec<Field> = of
            .partition_names(&names)
            .into_iter()
            .map(|name| {
                let mut guess = Guess::default();
                guess.learn(of.files.iter().filter_map(|(file, _)| file.partitions.get(&name).flatten()));
                Field::new(name, guess.data_type(), true)
            })
            .collect();
        let fields = own.fields().iter().map(|field| field.as_ref().clone()).chain(told.iter().cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { of, parquet, pieces, rows, own, told, schema })
    }

    fn batches(&self, piece: &Piece, columns: &[usize]) -> Result<GroupRows, TrainingError> {
        let selection = Selection::Ranges(std::iter::once(piece.rows.clone()).collect());
        let rows = self.parquet[piece.file].rows_at(piece.group, columns, selection, BATCH_ROWS);
        Ok(rows.map_err(|failure| failed(&self.of.files[piece.file].0, failure))?)
    }

    /// The places of columns.
    fn places(&self, columns: &[ValueColumn]) -> Result<Vec<usize>, TrainingError> {
        let known = || self.schema.fields().iter().map(|field| field.name().as_str());
        let place = |column: &ValueColumn| {
            self.schema.index_of(&column.name).map_err(|_| self.of.no_column(&column.name, known()))
        };
        columns.iter().map(place).collect()
    }

    /// A column that folders tell, for so many rows of a file.
    fn told(&self, file: usize, field: &Field, rows: usize) -> ArrayRef {
        let value = self.of.files[file].0.partitions.get(field.name()).flatten();
        let text = StringArray::from_iter(std::iter::repeat_n(value, rows));
        typed(&text, field.data_type())
    }
}

impl Labels for ParquetLabels {
    fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn values(
        &self,
        piece: usize,
        columns: &[ValueColumn],
        sink: &mut ValuesSink<'_>,
    ) -> Result<(), TrainingError> {
        let piece = &self.pieces[piece];
        let places = self.places(columns)?;
        let own = self.own.fields().len();
        // A column may be read as values of several types.
        let mut read: Vec<usize> = places.iter().copied().filter(|place| *place < own).collect();
        read.sort_unstable();
        read.dedup();
        let mut first = piece.first;
        for batch in self.batches(piece, &read)? {
            let batch = batch.map_err(|failure| failed(&self.of.files[piece.file].0, failure))?;
            let rows = batch.rows.len();
            let mut values = Vec::with_capacity(columns.len());
            for (column, place) in columns.iter().zip(&places) {
                let array = match read.binary_search(place) {
                    Ok(found) => batch.columns[found].clone(),
                    Err(_) => self.told(piece.file, &self.told[place.saturating_sub(own)], rows),
                };
                let declared = (column.value_type, column.required);
                values.push(self.of.values(&column.name, &array, Form::Typed, declared, first)?);
            }
            sink(first, values)?;
            first += rows as u64;
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn reader(&self, values: &[ValueColumn]) -> Result<Box<dyn LabelReader + '_>, TrainingError> {
        Ok(Box::new(Reader {
            of: self,
            places: self.places(values)?,
            values: values.to_vec(),
            schema: with_values(&self.schema, values),
            piece: 0,
            first: 0,
            batches: None,
            ready: VecDeque::new(),
            ready_rows: 0,
        }))
    }
}

/// Reads all columns, piece after piece.
struct Reader<'a> {
    of: &'a ParquetLabels,
    /// What is read as values, with the places of these columns.
    values: Vec<ValueColumn>,
    places: Vec<usize>,
    /// The labels' own columns, and behind them these.
    schema: SchemaRef,
    /// The next piece.
    piece: usize,
    /// The number of the next row.
    first: u64,
    batches: Option<GroupRows>,
    ready: VecDeque<RecordBatch>,
    ready_rows: usize,
}

impl Reader<'_> {
    /// Makes some more rows ready; false at the end.
    fn read(&mut self) -> Result<bool, TrainingError> {
        loop {
            let open = match &mut self.batches {
                Some(open) => open,
                None => {
                    let Some(piece) = self.of.pieces.get(self.piece) else { return Ok(false) };
                    if piece.rows.start == 0 {
                        self.of.of.check(piece.file)?;
                    }
                    let columns: Vec<usize> = (0..self.of.own.fields().len()).collect();
                    self.piece += 1;
                    self.batches.insert(self.of.batches(piece, &columns)?)
                }
            };
            let file = self.of.pieces[self.piece - 1].file;
            let Some(batch) = open.next() else {
                self.batches = None;
                continue;
            };
            let batch = batch.map_err(|failure| failed(&self.of.of.files[file].0, failure))?;
            let rows = batch.rows.len();
            let mut raw = batch.columns;
            raw.extend(self.of.told.iter().map(|field| self.of.told(file, field, rows)));
            let mut columns = Vec::with_capacity(self.schema.fields().len());
            for (array, field) in raw.iter().zip(self.of.schema.fields()) {
                columns.push(as_noted(array, field.data_type())?);
            }
            for (column, place) in self.values.iter().zip(&self.places) {
                let declared = (column.value_type, column.required);
                let (name, array) = (&column.name, &raw[*place]);
                columns.push(self.of.of.values(name, array, Form::Typed, declared, self.first)?);
            }
            self.first += rows as u64;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
            self.ready.push_back(batch);
            self.ready_rows += rows;
            return Ok(true);
        }
    }
}

/// A column in the type that its writer noted.
fn as_noted(array: &ArrayRef, noted: &DataType) -> Result<ArrayRef, TrainingError> {
    if array.data_type() == noted { Ok(array.clone()) } else { Ok(cast(array, noted)?) }
}

impl LabelReader for Reader<'_> {
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError> {
        while self.ready_rows < rows && self.read()? {}
        let some = super::take_ready(&mut self.ready, &mut self.ready_rows, rows);
        Ok(concat_batches(&self.schema, &some)?)
    }
}
