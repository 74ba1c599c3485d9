//! What a query over all rows says: typed over the columns of its sources, without a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use asof_model::ValueType;
use asof_model::spec::Source;
use asof_model::transform::{Meaning, Output};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use sqlparser::ast::Ident;
use sqlparser::tokenizer::Span;

use super::plan::{Planner, Tables};
use crate::transform::OWN;
use crate::transform::error::TransformError;
use crate::transform::syntax::{Query, Result};
use crate::transform::table::SourceColumns;

/// Types a query that is not row-wise. `text` is the query in one spelling.
pub(crate) fn meaning<E: From<TransformError>>(
    source: &Source,
    sql: &str,
    query: &Query,
    text: String,
    columns: impl FnMut(&str) -> std::result::Result<SourceColumns, E>,
) -> std::result::Result<Meaning, E> {
    let mut tables = Typing { own: &source.name, columns, known: BTreeMap::new(), failed: None };
    let mut planner = Planner::new(sql, &source.name, &mut tables);
    let planned = planner.finished(query);
    let inputs = std::mem::take(&mut planner.used);
    let (plan, relation) = match (tables.failed.take(), planned) {
        (Some(error), _) => return Err(error),
        (None, Err(error)) => {
            let explained = tables.known.values().fold(error, |error, columns| columns.explain(error));
            return Err(explained.into());
        }
        (None, Ok(planned)) => planned,
    };
    check_lookback(source, &tables.known)?;
    check_plan(plan)?;
    let outputs = relation.columns.iter().map(|column| {
        let output = Output {
            text: column.name.clone(),
            bare: false,
            value_type: Some(column.value_type),
            from: column.from.iter().cloned().collect(),
        };
        (column.name.clone(), output)
    });
    let outputs = outputs.collect();
    Ok(Meaning { row_wise: false, text, inputs, star: false, except: Vec::new(), condition: None, outputs })
}

/// A lookback is measured from the event of the files' rows.
fn check_lookback(source: &Source, known: &BTreeMap<String, SourceColumns>) -> Result<()> {
    let lookback = source.transform.as_ref().and_then(|transform| transform.lookback);
    let (Some(_), Some(columns)) = (lookback, known.get(&source.name)) else { return Ok(()) };
    if columns.complete && !columns.columns.iter().any(|column| column.name == source.event) {
        let message = format!(
            "`lookback` needs the event of the files' rows, and they have no column `{}`",
            source.event
        );
        let hint = "let `event` name a column of the files, which the query passes on";
        return Err(TransformError::at(Span::empty(), message, Some(hint)));
    }
    Ok(())
}

/// Lets DataFusion make all of the plan that it would run.
fn check_plan(plan: LogicalPlan) -> Result<()> {
    let failed = |reason: String| {
        TransformError::at(Span::empty(), format!("the query can't be planned: {reason}"), None)
    };
    let check = move || -> std::result::Result<(), String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let context = SessionContext::new();
        let physical = runtime.block_on(context.state().create_physical_plan(&plan));
        physical.map(drop).map_err(|error| error.to_string())
    };
    // In a thread of its own: whoever calls may be in a runtime already.
    let thread = std::thread::Builder::new().spawn(check).map_err(|error| failed(error.to_string()))?;
    match thread.join() {
        Ok(checked) => checked.map_err(failed),
        Err(_) => Err(failed("the planner stopped".to_owned())),
    }
}

/// Sources without rows.
struct Typing<'a, F, E> {
    own: &'a str,
    columns: F,
    known: BTreeMap<String, SourceColumns>,
    failed: Option<E>,
}

impl<E: From<TransformError>, F: FnMut(&str) -> std::result::Result<SourceColumns, E>> Tables
    for Typing<'_, F, E>
{
    fn columns(&mut self, name: &Ident) -> Result<(String, SourceColumns)> {
        let source = match name.value.eq_ignore_ascii_case(OWN) {
            true => self.own.to_owned(),
            false if name.value == self.own => {
                let message = format!("source `{}` reads itself", name.value);
                return Err(TransformError::at(
                    name.span,
                    message,
                    Some("its own files are called `source`"),
                ));
            }
            false => name.value.clone(),
        };
        if let Some(known) = self.known.get(&source) {
            return Ok((source, known.clone()));
        }
        match (self.columns)(&source) {
            Ok(columns) => {
                self.known.insert(source.clone(), columns.clone());
                Ok((source, columns))
            }
            Err(error) => {
                self.failed = Some(error);
                Err(TransformError::at(name.span, "the columns are not known", None))
            }
        }
    }

    fn rows(
        &mut self,
        _: &str,
        _: &[(String, ValueType)],
        schema: SchemaRef,
    ) -> Result<Arc<dyn TableProvider>> {
        // One partition without rows: some plans have no place for none.
        let table = MemTable::try_new(schema, vec![Vec::new()]);
        let table = table.map_err(|error| TransformError::at(Span::empty(), error.to_string(), None))?;
        Ok(Arc::new(table))
    }
}
