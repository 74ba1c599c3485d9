//! A relation on its way through a plan: its columns as the query names them, and as the plan does.

use std::collections::BTreeSet;

use asof_model::ValueType;
use datafusion::logical_expr::{Expr, LogicalPlan, ident};
use sqlparser::ast::Ident;

use crate::transform::error::TransformError;
use crate::transform::syntax::Result;
use crate::transform::table;

/// A column. In the plan it is a column of values and, where it can be in error, one of marks.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// What it may be qualified with.
    pub table: Option<String>,
    /// What the query calls it.
    pub name: String,
    pub value_type: ValueType,
    /// Names it in the plan.
    pub id: usize,
    pub fallible: bool,
    /// It is found by its qualified name alone, and is no part of `*`.
    pub hidden: bool,
    /// The columns of sources that it comes from.
    pub from: BTreeSet<String>,
}

/// What the values of a column are called in the plan.
pub(super) fn value_name(id: usize) -> String {
    format!("__v{id}")
}

/// What its marks are called.
pub(super) fn mark_name(id: usize) -> String {
    format!("__e{id}")
}

/// What the reasons are called why rows are bad.
pub(super) fn flag_name(id: usize) -> String {
    format!("__r{id}")
}

impl Column {
    pub fn value(&self) -> Expr {
        ident(value_name(self.id))
    }

    pub fn mark(&self) -> Option<Expr> {
        self.fallible.then(|| ident(mark_name(self.id)))
    }
}

/// Rows of a plan.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub plan: LogicalPlan,
    pub columns: Vec<Column>,
    /// The column of reasons why a row is bad; null: it is good. Once something that decides about rows was in error.
    pub flag: Option<usize>,
}

impl Relation {
    pub fn flag(&self) -> Option<Expr> {
        self.flag.map(|id| ident(flag_name(id)))
    }

    /// Every column of the plan.
    pub fn all(&self) -> Vec<Expr> {
        let columns =
            self.columns.iter().flat_map(|column| std::iter::once(column.value()).chain(column.mark()));
        columns.chain(self.flag()).collect()
    }

    /// The column that a name means.
    pub fn find(&self, table: Option<&Ident>, name: &Ident) -> Result<&Column> {
        let matches = |column: &&Column| match table {
            None => !column.hidden,
            Some(wanted) => {
                column.table.as_deref().is_some_and(|table| table.eq_ignore_ascii_case(&wanted.value))
            }
        };
        let candidates: Vec<&Column> = self.columns.iter().filter(matches).collect();
        if let Some(wanted) = table
            && candidates.is_empty()
        {
            let message = format!("there is no table `{}` here", wanted.value);
            return Err(TransformError::at(wanted.span, message, None));
        }
        let names: Vec<&str> = candidates.iter().map(|column| column.name.as_str()).collect();
        let found = table::find(name, &names)?.ok_or_else(|| table::unknown(name, names.iter().copied()))?;
        let same: Vec<&&Column> =
            candidates.iter().filter(|each| each.name == candidates[found].name).collect();
        if same.len() > 1 {
            let full = same.iter().map(|each| match &each.table {
                Some(table) => format!("`{table}.{}`", each.name),
                None => format!("`{}`", each.name),
            });
            let hint = format!("write {}", full.collect::<Vec<_>>().join(" or "));
            let message = format!("`{}` is a column of several tables", name.value);
            return Err(TransformError::at(name.span, message, Some(&hint)));
        }
        Ok(candidates[found])
    }
}
