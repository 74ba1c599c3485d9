//! Label tables in files: one, a folder or a pattern of them, a Delta table, on this machine or in an object store.
//!
//! Columns that the names of folders tell, or the log of a table, stand behind those of the files, in order of their names.

use std::path::Path;

use arrow::array::ArrayRef;
use asof_engine::EngineError;
use asof_engine::source::convert::convert;
use asof_engine::source::raw::{Form, RawColumn, normalise};
use asof_engine::source::{self, SourceFile, Stamp};
use asof_model::entry::Reading;
use asof_model::spec::FileFormat;
use asof_model::{Location, ValueType, name};
use asof_objects::Objects;

use super::{Labels, parquet::ParquetLabels, text::TextLabels};
use crate::TrainingError;

/// Label files, and what is the same for all of them.
pub(super) struct LabelFiles {
    pub files: Vec<(SourceFile, Stamp)>,
    /// The location, for messages.
    pub shown: Box<Path>,
    /// How times without offset, and integers, are read.
    pub reading: Reading,
    /// The column with the label times.
    pub time: String,
}

/// A label table to open.
#[derive(Debug, Clone, Copy)]
pub struct LabelTable<'l> {
    /// Where it is.
    pub at: &'l Location,
    /// What it is called in messages.
    pub shown: &'l Path,
    /// How times without offset, and integers, are read.
    pub reading: &'l Reading,
    /// The column that holds the times.
    pub time: &'l str,
    /// Whether columns of text are given types, as for an output that has some.
    pub typed: bool,
}

impl LabelTable<'_> {
    /// Opens it.
    ///
    /// # Errors
    /// Those of listing files and reading footers; [`EngineError::UnknownFormat`] for other formats than Parquet and CSV.
    pub fn open(&self, objects: &Objects) -> Result<Box<dyn Labels>, TrainingError> {
        let listed = source::list("labels", self.at, None, objects)?;
        let text = listed.first().is_some_and(|file| file.format == FileFormat::Csv);
        let mut files = Vec::with_capacity(listed.len());
        for file in listed {
            let same = match file.format {
                FileFormat::Csv => text,
                FileFormat::Parquet => !text,
                FileFormat::Json | FileFormat::Delta => false,
            };
            if !same {
                let (what, path) = ("labels".to_owned(), file.path.to_path_buf());
                return Err(EngineError::UnknownFormat { what, path }.into());
            }
            let stamp = file.stamp()?;
            files.push((file, stamp));
        }
        let (shown, time) = (self.shown.into(), self.time.to_owned());
        let files = LabelFiles { files, shown, reading: self.reading.clone(), time };
        Ok(match text {
            true => Box::new(TextLabels::open(files, self.typed)?),
            false => Box::new(ParquetLabels::open(files)?),
        })
    }
}

impl LabelFiles {
    /// The names of the columns that folders or a table's log tell, and no file holds itself, in order.
    pub fn partition_names(&self, own: &[String]) -> Vec<String> {
        let names = self.files.iter().flat_map(|(file, _)| file.partitions.names().map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| !own.contains(name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Checks that a file is the one that was listed.
    pub fn check(&self, file: usize) -> Result<(), TrainingError> {
        let (file, stamp) = &self.files[file];
        Ok(file.check_stamp(*stamp)?)
    }

    /// The values of a column of some rows as a type, with whether null is refused. `first`: the number of the first row,
    /// from 0.
    pub fn values(
        &self,
        column: &str,
        array: &ArrayRef,
        form: Form,
        declared: (ValueType, bool),
        first: u64,
    ) -> Result<ArrayRef, TrainingError> {
        let (declared, required) = declared;
        let plain = normalise(array).ok_or_else(|| EngineError::NotScalar {
            what: "labels".to_owned(),
            path: self.shown.to_path_buf(),
            column: column.to_owned(),
            found: array.data_type().to_string(),
        })?;
        let raw = RawColumn { name: column.to_owned(), array: plain, form };
        let (values, failed) = convert(&raw, array.len(), declared, &self.reading);
        let bad = |row: usize, reason: String| EngineError::Label {
            column: column.to_owned(),
            row: first + row as u64 + 1,
            reason,
        };
        if let Some((row, error)) = failed.first() {
            return Err(bad(*row, error.to_string()).into());
        }
        let refused = required && values.null_count() > 0;
        match (0..values.len()).find(|row| refused && values.is_null(*row)) {
            Some(row) => Err(bad(row, "the time is null".to_owned()).into()),
            None => Ok(values),
        }
    }

    /// The error for a column that labels lack.
    pub fn no_column<'a>(&'a self, column: &str, known: impl IntoIterator<Item = &'a str>) -> TrainingError {
        EngineError::NoColumn {
            what: "labels".to_owned(),
            path: self.shown.to_path_buf(),
            column: column.to_owned(),
            hint: name::suggestion(column, known),
        }
        .into()
    }

    /// Refuses two columns of one name.
    pub fn check_names(&self, file: usize, names: &[String]) -> Result<(), TrainingError> {
        match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            Some((_, name)) => {
                let (source, _) = &self.files[file];
                let what = if source.format == FileFormat::Csv { "the header" } else { "it" };
                Err(self.damaged(file, &format!("{what} has two columns named `{name}`")))
            }
            None => Ok(()),
        }
    }

    /// The error for a file that can't be read.
    pub fn damaged(&self, file: usize, reason: &str) -> TrainingError {
        let (file, _) = &self.files[file];
        let format = if file.format == FileFormat::Csv { "CSV" } else { "Parquet" };
        EngineError::Damaged { path: file.path.to_path_buf(), format, reason: reason.to_owned() }.into()
    }
}
