//! All rows of a query with all of its columns, where each must be whole: a row that is bad, or a value in ERROR, ends it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::run::{BAD, MARKS_OF, QueryRun};
use crate::EngineError;
use crate::columns::arrow_type;
use crate::source::{RawBatch, RawBatches, WantedColumn};

/// The rows of a query, in an order that depends on them alone.
pub struct WholeRows {
    /// What rows are called in messages.
    what: String,
    schema: SchemaRef,
    batches: RawBatches,
}

impl QueryRun<'_> {
    /// All rows, of which each is whole.
    ///
    /// # Errors
    /// [`EngineError::Transform`].
    pub fn whole_rows(self) -> Result<WholeRows, EngineError> {
        let columns = self.columns()?;
        let field = |(name, of)| Field::new(name, arrow_type(of), true);
        let schema = Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()));
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let mut wanted: Vec<WantedColumn> = names().map(WantedColumn::required).collect();
        wanted.extend(names().map(|name| WantedColumn::required(&format!("{MARKS_OF}{name}"))));
        wanted.push(WantedColumn::required(BAD));
        let what = self.source.name.clone();
        Ok(WholeRows { what, schema, batches: self.open(&wanted)? })
    }
}

impl WholeRows {
    /// The columns, in the order of the query.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn whole(&self, raw: &RawBatch) -> Result<RecordBatch, EngineError> {
        let bad = |row: u64, reason: String| EngineError::BadRow { what: self.what.clone(), row, reason };
        if let Some(broken) = raw.broken.first() {
            let reason = format!("{} of `{}` (line {})", broken.reason, raw.file.display(), broken.line);
            return Err(bad(broken.row, reason));
        }
        let count = self.schema.fields().len();
        let row = |row: usize| raw.places.at(row).0;
        if let Some(reasons) = raw.columns[2 * count].array.as_string_opt::<i32>()
            && let Some(first) = (0..raw.rows).find(|row| reasons.is_valid(*row))
        {
            return Err(bad(row(first), reasons.value(first).to_owned()));
        }
        for (place, field) in self.schema.fields().iter().enumerate() {
            let marks = raw.columns[count + place].array.as_boolean_opt();
            let marked = |at: &usize| marks.is_some_and(|marks| marks.is_valid(*at) && marks.value(*at));
            if let Some(first) = (0..raw.rows).find(marked) {
                return Err(bad(row(first), format!("column `{}` is in ERROR", field.name())));
            }
        }
        let columns = raw.columns[..count].iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| Ok(cast(&column.array, field.data_type())?));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, EngineError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(raw.rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl Iterator for WholeRows {
    type Item = Result<RecordBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.batches.next()?;
        Some(raw.and_then(|raw| self.whole(&raw)))
    }
}
