//! Parquet files as raw batches: only the asked columns, at all rows or at chosen ones.

use std::sync::Arc;

use asof_parquet::{Chunks, GroupRows, ParquetFailure, ParquetFile, RowsBatch, Selection};

use super::raw::{Form, Places, RawBatch, RawColumn, normalise};
use super::wanted::{Origin, WantedColumn, filled, lacking, origins};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// Opens a Parquet file; see [`super::open`].
pub fn open(what: &str, file: &SourceFile, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
    let rows = Arc::new(ParquetRows::new(what, file, footer(file)?, columns)?);
    let groups = 0..rows.parquet.groups();
    let mut failed = false;
    let batches = groups.flat_map(move |group| -> RawBatches {
        let all = Selection::all(u32::try_from(rows.parquet.rows_of(group)).unwrap_or(u32::MAX));
        match rows.clone().read(group, all, RAW_BATCH_ROWS) {
            Ok(batches) => Box::new(batches),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    });
    // Nothing of a file counts behind an error.
    Ok(Box::new(batches.take_while(move |batch| !std::mem::replace(&mut failed, batch.is_err()))))
}

/// The names of a Parquet file's columns, in order.
///
/// # Errors
/// [`EngineError::Damaged`], [`EngineError::Io`], [`EngineError::Objects`].
pub fn names(file: &SourceFile) -> Result<Vec<String>, EngineError> {
    Ok(names_of(&footer(file)?))
}

/// Reads the footer of a Parquet file.
///
/// # Errors
/// As [`names`].
pub fn footer(file: &SourceFile) -> Result<ParquetFile, EngineError> {
    let chunks = match &file.object {
        Some(object) => Chunks::object(object.clone()),
        None => std::fs::File::open(&file.path)
            .and_then(Chunks::local)
            .map_err(|error| EngineError::reading(&file.path, error))?,
    };
    ParquetFile::open(chunks).map_err(|failure| failed(file, failure))
}

/// What a failure of a Parquet file means.
pub fn failed(file: &SourceFile, failure: ParquetFailure) -> EngineError {
    match failure {
        ParquetFailure::Objects(error) => EngineError::Objects(error),
        ParquetFailure::Io(error) => EngineError::reading(&file.path, error),
        other => EngineError::Damaged {
            path: file.path.to_path_buf(),
            format: "Parquet",
            reason: other.to_string(),
        },
    }
}

fn names_of(parquet: &ParquetFile) -> Vec<String> {
    parquet.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// A Parquet file of which some columns are read.
pub struct ParquetRows {
    what: String,
    file: SourceFile,
    parquet: ParquetFile,
    columns: Vec<String>,
    /// For each column, where it stands.
    origins: Vec<Origin>,
    /// The columns that stand in the file, by their places there.
    read: Vec<usize>,
    /// The number of the first row of each row group, from 1.
    first_rows: Vec<u64>,
}

impl ParquetRows {
    /// A file whose footer was read.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`], [`EngineError::Damaged`] for a column that is there twice.
    pub fn new(
        what: &str,
        file: &SourceFile,
        parquet: ParquetFile,
        columns: &[WantedColumn],
    ) -> Result<Self, EngineError> {
        let origins = origins(what, file, "Parquet", columns, &names_of(&parquet))?;
        let in_file = |origin: &Origin| match origin {
            Origin::File(place) => Some(*place),
            _ => None,
        };
        let mut next = 1;
        let first_rows = (0..parquet.groups()).map(|group| {
            next += parquet.rows_of(group) as u64;
            next - parquet.rows_of(group) as u64
        });
        Ok(Self {
            what: what.to_owned(),
            file: file.clone(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            read: origins.iter().filter_map(in_file).collect(),
            first_rows: first_rows.collect(),
            origins,
            parquet,
        })
    }

    /// The file.
    pub fn parquet(&self) -> &ParquetFile {
        &self.parquet
    }

    /// The place in the file of an asked column, by its place among these. `None`: it does not stand there.
    pub fn place(&self, column: usize) -> Option<usize> {
        match self.origins.get(column) {
            Some(Origin::File(place)) => Some(*place),
            _ => None,
        }
    }

    /// The asked columns at some rows of a row group.
    ///
    /// # Errors
    /// As [`names`]; the batches say it too.
    pub fn read(
        self: Arc<Self>,
        group: usize,
        selection: Selection,
        batch_rows: usize,
    ) -> Result<ParquetBatches, EngineError> {
        let rows = self.parquet.rows_at(group, &self.read, selection, batch_rows);
        let rows = rows.map_err(|failure| failed(&self.file, failure))?;
        Ok(ParquetBatches { file: self, group, rows })
    }

    fn raw(&self, group: usize, batch: RowsBatch) -> Result<RawBatch, EngineError> {
        let rows = batch.rows.len();
        let mut read = batch.columns.into_iter();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, origin) in self.columns.iter().zip(&self.origins) {
            if let Some(column) = filled(origin, name, rows) {
                columns.push(column);
                continue;
            }
            let array = read.next().ok_or_else(|| EngineError::Damaged {
                path: self.file.path.to_path_buf(),
                format: "Parquet",
                reason: "a column is gone".to_owned(),
            })?;
            let plain = normalise(&array).ok_or_else(|| EngineError::NotScalar {
                what: self.what.clone(),
                path: self.file.path.to_path_buf(),
                column: name.clone(),
                found: array.data_type().to_string(),
            })?;
            columns.push(RawColumn { name: name.clone(), array: plain, form: Form::Typed });
        }
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows,
            columns,
            lacking: lacking(&self.origins),
            places: Places::Of { first: self.first_rows.get(group).copied().unwrap_or(1), rows: batch.rows },
            broken: Vec::new(),
        })
    }
}

/// Some rows of a row group, batch by batch.
pub struct ParquetBatches {
    file: Arc<ParquetRows>,
    group: usize,
    rows: GroupRows,
}

impl Iterator for ParquetBatches {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rows.next()? {
            Ok(batch) => self.file.raw(self.group, batch),
            Err(failure) => Err(failed(&self.file.file, failure)),
        };
        Some(batch)
    }
}
