//! The label table: every row, every column, in order, and the instants at which values are asked.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use asof_model::entry::Reading;
use asof_model::spec::FileFormat;
use asof_model::{Location, ValueType, name};
use asof_objects::Objects;

use crate::EngineError;
use crate::source::convert::convert;
use crate::source::raw::{Form, RawColumn, normalise};
use crate::source::{self, SourceFile, WantedColumn};

/// The most label rows of one training set. Slots are numbered in 32 bits.
pub const LABEL_ROWS_MAX: usize = u32::MAX as usize - 2;

/// Rows read at a time.
const READ_ROWS: usize = 65_536;

/// A label table in memory.
pub struct LabelTable {
    /// Its rows as they stand in the file; text columns for CSV.
    rows: RecordBatch,
    /// The file or folder, for messages.
    path: Arc<Path>,
    /// Whether every column is text, as in a CSV file.
    text: bool,
    reading: Reading,
    /// The column with the label times, where it is known.
    time_column: Option<String>,
}

impl LabelTable {
    /// Reads a label table, one file or several with equal columns. Times are read as `reading` says.
    ///
    /// # Errors
    /// [`EngineError`] names the file; for CSV also the first broken row, since a label must never be dropped.
    pub fn read(at: &Location, objects: &Objects, reading: &Reading) -> Result<Self, EngineError> {
        let files = source::list("labels", at, None, objects)?;
        // Its partition columns are in no file.
        if files.iter().any(|file| file.table.is_some()) {
            let reason = "label tables are files".to_owned();
            let path = Path::new(&at.to_string()).to_owned();
            return Err(EngineError::DeltaTable { what: "labels".to_owned(), path, reason });
        }
        let text = files.iter().any(|file| file.format == FileFormat::Csv);
        let mut batches = Vec::new();
        let mut schema: Option<SchemaRef> = None;
        for file in &files {
            let (found, read) = match file.format {
                FileFormat::Parquet => read_parquet(file)?,
                FileFormat::Csv => read_csv(file)?,
                FileFormat::Json | FileFormat::Delta => {
                    let (what, path) = ("labels".to_owned(), file.path.to_path_buf());
                    return Err(EngineError::UnknownFormat { what, path });
                }
            };
            let expected = schema.get_or_insert_with(|| found.clone());
            if expected.fields() != found.fields() {
                let reason = "its columns differ from those of the first file of the folder".to_owned();
                return Err(damaged(file, &reason));
            }
            batches.extend(read);
        }
        let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        let rows = concat_batches(&schema, &batches)?;
        Ok(Self {
            rows,
            path: Path::new(&at.to_string()).into(),
            text,
            reading: reading.clone(),
            time_column: None,
        })
    }

    /// A label table made in memory.
    pub fn from_rows(rows: RecordBatch) -> Self {
        Self {
            rows,
            path: Path::new("request").into(),
            text: false,
            reading: Reading::default(),
            time_column: None,
        }
    }

    /// Names the column with the label times; in a typed output it is an instant, also where it was text.
    pub fn with_time_column(mut self, column: &str) -> Self {
        self.time_column = Some(column.to_owned());
        self
    }

    /// The column with the label times, where it was named.
    pub fn time_column(&self) -> Option<&str> {
        self.time_column.as_deref()
    }

    /// The number of label rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no label row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows as read.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Whether the columns are text, as in a CSV file.
    pub fn is_text(&self) -> bool {
        self.text
    }

    /// How times without offset are read.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The instants in `column`, microseconds.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`]; [`EngineError::Label`] for the first row that holds no instant.
    pub fn times(&self, column: &str) -> Result<Vec<i64>, EngineError> {
        let array = self.values(column, ValueType::Timestamp)?;
        if let Some(row) = (0..array.len()).find(|row| array.is_null(*row)) {
            return Err(self.bad(column, row, "the time is null".to_owned()));
        }
        Ok(array.as_primitive::<TimestampMicrosecondType>().values().to_vec())
    }

    /// The values of `column` as the declared type; nulls stay null.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`]; [`EngineError::Label`] for the first row that holds no such value.
    pub fn values(&self, column: &str, declared: ValueType) -> Result<ArrayRef, EngineError> {
        let array = self.rows.column_by_name(column).ok_or_else(|| self.no_column(column))?;
        let plain = normalise(array).ok_or_else(|| EngineError::NotScalar {
            what: "labels".to_owned(),
            path: self.path.to_path_buf(),
            column: column.to_owned(),
            found: array.data_type().to_string(),
        })?;
        let raw = RawColumn { name: column.to_owned(), array: plain, form: Form::Typed };
        let (values, failed) = convert(&raw, self.len(), declared, &self.reading);
        match failed.first() {
            Some((row, error)) => Err(self.bad(column, *row, error.to_string())),
            None => Ok(values),
        }
    }

    fn bad(&self, column: &str, row: usize, reason: String) -> EngineError {
        EngineError::Label { column: column.to_owned(), row: row as u64 + 1, reason }
    }

    fn no_column(&self, column: &str) -> EngineError {
        let schema = self.rows.schema();
        let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        EngineError::NoColumn {
            what: "labels".to_owned(),
            path: self.path.to_path_buf(),
            column: column.to_owned(),
            hint: name::suggestion(column, known),
        }
    }
}

fn damaged(file: &SourceFile, reason: &str) -> EngineError {
    let format = match file.format {
        FileFormat::Parquet | FileFormat::Delta => "Parquet",
        FileFormat::Csv => "CSV",
        FileFormat::Json => "JSON",
    };
    EngineError::Damaged {
        path: file.path.to_path_buf(),
        format,
        reason: reason.trim_start_matches("Parquet error: ").to_owned(),
    }
}

fn read_parquet(file: &SourceFile) -> Result<(SchemaRef, Vec<RecordBatch>), EngineError> {
    let footer = source::parquet_file::footer(file)?;
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(footer.chunks().clone())
            .map_err(|error| damaged(file, &error.to_string()))?;
    // Without the file's own metadata: it describes that file, not the training set.
    let schema = Arc::new(Schema::new(builder.schema().fields().clone()));
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if let Some(index) = (0..names.len()).find(|at| names[..*at].contains(&names[*at])) {
        return Err(damaged(file, &format!("it has two columns named `{}`", names[index])));
    }
    let reader = builder.with_batch_size(READ_ROWS).build();
    let reader = reader.map_err(|error| damaged(file, &error.to_string()))?;
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| damaged(file, &error.to_string()))?;
        batches.push(batch.with_schema(schema.clone())?);
    }
    Ok((schema, batches))
}

fn read_csv(file: &SourceFile) -> Result<(SchemaRef, Vec<RecordBatch>), EngineError> {
    let names = csv_names(file)?;
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    let columns: Vec<_> = names.iter().map(|name| WantedColumn::required(name)).collect();
    for batch in source::open("labels", file, &columns)? {
        let batch = batch?;
        if let Some(broken) = batch.broken.first() {
            return Err(damaged(
                file,
                &format!("row {} (line {}): {}", broken.row, broken.line, broken.reason),
            ));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(names.len());
        for column in &batch.columns {
            let bytes = column.array.as_binary::<i32>();
            let mut text = StringBuilder::with_capacity(batch.rows, bytes.value_data().len());
            for (row, field) in bytes.iter().enumerate() {
                match field.map(std::str::from_utf8).transpose() {
                    Ok(field) => text.append_option(field),
                    Err(_) => {
                        let (row, _) = batch.places.at(row);
                        let reason = "the text is not UTF-8".to_owned();
                        return Err(EngineError::Label { column: column.name.clone(), row, reason });
                    }
                }
            }
            columns.push(Arc::new(text.finish()));
        }
        batches.push(RecordBatch::try_new(schema.clone(), columns)?);
    }
    Ok((schema, batches))
}

fn csv_names(file: &SourceFile) -> Result<Vec<String>, EngineError> {
    let names = source::names(file)?.unwrap_or_default();
    if let Some(index) = names.iter().enumerate().position(|(at, name)| names[..at].contains(name)) {
        return Err(damaged(file, &format!("the header has two columns named `{}`", names[index])));
    }
    Ok(names)
}
