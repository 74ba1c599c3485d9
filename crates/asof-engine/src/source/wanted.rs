//! Which columns of a file are asked for, and where each comes from.
//!
//! Files of one source may differ: a column may have been added, or left out. A feature that a file does not have is
//! null in its rows, and is counted; a file without a join key or an instant is refused by name. A column of another
//! type is read by the one table of conversions, as everywhere.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use asof_model::name;

use super::files::SourceFile;
use super::raw::{Form, RawColumn};
use crate::EngineError;

/// A column to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedColumn {
    /// Its name in the files.
    pub name: String,
    /// Whether a file without it is refused.
    pub required: bool,
}

impl WantedColumn {
    /// A column that every file must have.
    pub fn required(name: &str) -> Self {
        Self { name: name.to_owned(), required: true }
    }
}

/// Where the values of a wanted column stand.
pub(super) enum Origin {
    /// In the file, at this place among its columns.
    File(usize),
    /// In the names of its folders.
    Partition(Option<String>),
    /// Nowhere: every value is null.
    Lacking,
}

/// Finds the wanted columns among the `names` of a file.
///
/// # Errors
/// [`EngineError::NoColumn`] for a required one that is not there; [`EngineError::Damaged`] for one that is there twice.
pub(super) fn origins(
    what: &str,
    file: &SourceFile,
    format: &'static str,
    wanted: &[WantedColumn],
    names: &[String],
) -> Result<Vec<Origin>, EngineError> {
    let origin = |column: &WantedColumn| {
        let mut found = names.iter().enumerate().filter(|(_, name)| **name == column.name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(EngineError::Damaged {
                path: file.path.to_path_buf(),
                format,
                reason: format!("it has two columns named `{}`", column.name),
            }),
            (Some((place, _)), None) => Ok(Origin::File(place)),
            (None, _) => match file.partitions.get(&column.name) {
                Some(value) => Ok(Origin::Partition(value.map(str::to_owned))),
                None if column.required => Err(no_column(what, file, &column.name, names)),
                None => Ok(Origin::Lacking),
            },
        }
    };
    wanted.iter().map(origin).collect()
}

/// The error for a column that a file lacks.
pub(super) fn no_column(what: &str, file: &SourceFile, column: &str, names: &[String]) -> EngineError {
    let known = names.iter().map(String::as_str).chain(file.partitions.names());
    EngineError::NoColumn {
        what: what.to_owned(),
        path: file.path.to_path_buf(),
        column: column.to_owned(),
        hint: name::suggestion(column, known),
    }
}

/// The column of an origin outside of the file, for so many rows. `None`: it is in the file.
pub(super) fn filled(origin: &Origin, name: &str, rows: usize) -> Option<RawColumn> {
    let (array, form): (ArrayRef, Form) = match origin {
        Origin::File(_) => return None,
        Origin::Partition(Some(value)) => {
            (Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(value.as_bytes(), rows))), Form::Text)
        }
        Origin::Partition(None) | Origin::Lacking => (Arc::new(Int64Array::new_null(rows)), Form::Typed),
    };
    Some(RawColumn { name: name.to_owned(), array, form })
}

/// The places of the wanted columns that a file lacks.
pub(super) fn lacking(origins: &[Origin]) -> Vec<usize> {
    let lacking = origins.iter().enumerate().filter(|(_, origin)| matches!(origin, Origin::Lacking));
    lacking.map(|(place, _)| place).collect()
}
