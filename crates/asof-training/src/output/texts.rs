//! Values of output columns as text: one form, whether in a CSV file or in the name of a folder.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use asof_engine::columns::value_at;
use asof_engine::source::raw::{in_utc, normalise};
use asof_model::entry::to_text;
use asof_model::{Value, ValueType};

use super::rows::Rows;
use crate::TrainingError;

/// The values of one column.
pub(crate) struct ColumnText<'c> {
    values: &'c ArrayRef,
    form: Form<'c>,
}

enum Form<'c> {
    /// A label's column, whatever that is.
    Label(ArrayFormatter<'c>),
    /// A feature's, or its status.
    Feature(ValueType),
}

/// Columns of an output in a form that [`ColumnText`] shows.
pub(crate) fn shown(rows: &Rows<'_, '_>, columns: &[ArrayRef]) -> Vec<ArrayRef> {
    let form = |(place, array)| if place < rows.own { as_features_are(array) } else { array.clone() };
    columns.iter().enumerate().map(form).collect()
}

impl<'c> ColumnText<'c> {
    /// A column of those that were [`shown`], by its place.
    ///
    /// # Errors
    /// [`TrainingError::Arrow`] for a type that has no text.
    pub fn new(rows: &Rows<'_, '_>, shown: &'c [ArrayRef], column: usize) -> Result<Self, TrainingError> {
        let values = &shown[column];
        let form = match rows.value_type(column) {
            Some(of) => Form::Feature(of),
            None => Form::Label(ArrayFormatter::try_new(values.as_ref(), &FormatOptions::default())?),
        };
        Ok(Self { values, form })
    }

    /// The text of a row; `None` for null.
    ///
    /// # Errors
    /// [`TrainingError::Arrow`] for a value that has no text.
    pub fn at(&self, row: usize) -> Result<Option<String>, TrainingError> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        Ok(match &self.form {
            Form::Label(formatter) => Some(formatter.value(row).try_to_string()?),
            Form::Feature(of) => value_at(self.values, *of, row).map(|value| to_text(&value)),
        })
    }
}

/// A label column in a form whose text is that of a feature: instants in UTC, bytes as base64.
fn as_features_are(array: &ArrayRef) -> ArrayRef {
    match normalise(array) {
        Some(plain) if *plain.data_type() == DataType::Binary => {
            let texts = plain.as_binary::<i32>().iter();
            let texts = texts.map(|bytes| bytes.map(|bytes| to_text(&Value::Bytes(bytes.to_owned()))));
            Arc::new(texts.collect::<StringArray>())
        }
        Some(plain) if matches!(plain.data_type(), DataType::Timestamp(..)) => in_utc(&plain),
        _ => array.clone(),
    }
}
