//! The SQL of sources: what a query says, and the rows it makes.
//!
//! Reading order: `syntax` (the part of SQL that there is), `canonical` (one spelling), [`table`] (columns and how names
//! find them), [`row_wise`] (queries of one row), [`query`] (all others), [`aggregation`] (what views of events aggregate), [`types`] (the types of columns in files), `shape` (from a
//! batch of a file to what a view names).

mod aggregate_names;
pub mod aggregation;
mod canonical;
mod error;
pub mod query;
pub mod row_wise;
mod shape;
mod syntax;
pub mod table;
pub mod types;

pub use error::TransformError;
pub use row_wise::RowWise;
pub(crate) use shape::{Shape, Shaped, Verdict};
pub use table::{KnownColumn, SourceColumns};

use asof_model::spec::Source;
use asof_model::transform::Meaning;

use crate::EngineError;

/// What the source's own files are called in its query.
pub const OWN: &str = "source";

/// The query in one spelling: what tells whether it was edited.
///
/// # Errors
/// A text that is no query.
pub fn canonical_text(sql: &str) -> Result<String, TransformError> {
    Ok(canonical::text(&syntax::statement(sql)?))
}

/// Finds out what a query says: checks and types all of it. `columns` gives the columns of a source by name, or says
/// that there is none; the source itself is asked for by its own name.
///
/// # Errors
/// [`TransformError`] with the place in the text; those of `columns`.
pub fn meaning<E: From<TransformError>>(
    source: &Source,
    sql: &str,
    mut columns: impl FnMut(&str) -> Result<SourceColumns, E>,
) -> Result<Meaning, E> {
    let statement = syntax::statement(sql)?;
    let query = syntax::parse(sql)?;
    let text = canonical::text(&statement);
    let Some(select) = row_wise::row_wise_select(&query) else {
        return query::meaning(source, sql, &query, text, columns);
    };
    let lookback = source.transform.as_ref().and_then(|transform| transform.lookback);
    if lookback.is_some() {
        let hint = "leave it out: each row depends on one row of the files alone".to_owned();
        let message = "`lookback` says nothing of a row-wise query".to_owned();
        return Err(TransformError { message, place: None, hint: Some(hint), unknown_column: false }.into());
    }
    let columns = columns(&source.name)?;
    let row_wise = RowWise::new(select, sql, &columns)?;
    Ok(row_wise.meaning(&source.name, text))
}

/// As [`meaning`], of a query that runs over all rows whatever it says: its columns have types of their own, and its rows
/// an order that depends on them alone.
///
/// # Errors
/// As [`meaning`].
pub fn meaning_over_all_rows<E: From<TransformError>>(
    source: &Source,
    sql: &str,
    columns: impl FnMut(&str) -> Result<SourceColumns, E>,
) -> Result<Meaning, E> {
    let text = canonical_text(sql)?;
    query::meaning(source, sql, &syntax::parse(sql)?, text, columns)
}

/// The row-wise query of a source, as it was recorded. `None`: the source has no query.
///
/// # Errors
/// [`EngineError::Transform`] for one that was never applied, or that reads otherwise than it did.
pub(crate) fn recorded(source: &Source) -> Result<Option<RowWise>, EngineError> {
    let Some(transform) = &source.transform else { return Ok(None) };
    let failed = |reason: String| EngineError::Transform { source_name: source.name.clone(), reason };
    let Some(meaning) = &transform.meaning else { return Err(failed("it was never applied".to_owned())) };
    // Not all: what `*` passes is not recorded.
    let mut columns = SourceColumns { columns: Vec::new(), complete: false };
    for (name, value_type) in meaning.inputs.get(&source.name).into_iter().flatten() {
        columns.columns.push(KnownColumn { name: name.clone(), value_type: Ok(*value_type) });
    }
    // Columns that only pass have no recorded type, and need none.
    let bare = meaning.outputs.values().filter(|output| output.bare).flat_map(|output| &output.from);
    for name in bare.chain(&meaning.except) {
        if !columns.columns.iter().any(|known| known.name == *name) {
            let value_type = Err("no expression reads it".to_owned());
            columns.columns.push(KnownColumn { name: name.clone(), value_type });
        }
    }
    let query = syntax::parse(&transform.sql).map_err(|error| failed(error.to_string()))?;
    let Some(select) = row_wise::row_wise_select(&query) else {
        return Err(failed("it is not row-wise".to_owned()));
    };
    let row_wise =
        RowWise::new(select, &transform.sql, &columns).map_err(|error| failed(error.to_string()))?;
    Ok(Some(row_wise))
}
