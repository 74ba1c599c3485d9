//! Queries of which each output row is a function of one row of the source: a projection and a condition.
//!
//! Columns that are only named pass as they stand in the files. What is computed is read from typed columns.

use std::collections::{BTreeMap, BTreeSet};

use asof_expression::{Expression, Scope};
use asof_model::ValueType;
use asof_model::transform::{Meaning, Output};
use sqlparser::ast::{Expr, Spanned};

use super::aggregate_names::reads_several_rows;
use super::error::TransformError;
use super::syntax::{Body, Item, Query, Result, Select, TableWhat, unnested};
use super::table::SourceColumns;

/// A row-wise query, typed.
#[derive(Debug, Clone)]
pub struct RowWise {
    /// Which rows pass.
    pub(super) condition: Option<Expression>,
    /// The columns that it gives by name.
    pub(super) outputs: BTreeMap<String, Part>,
    star: bool,
    except: BTreeSet<String>,
}

/// One column that it gives.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// The column of the source, by its name here, as it stands.
    Passes(String),
    /// An expression.
    Computed(Expression),
}

/// The one select that a row-wise query is. `None`: the query is not row-wise.
pub(crate) fn row_wise_select(query: &Query) -> Option<&Select> {
    let [Body::Select(select)] = query.selects.as_slice() else { return None };
    let named =
        matches!(&select.from.what, TableWhat::Named(name) if name.value.eq_ignore_ascii_case(super::OWN));
    let plain = named
        && query.named.is_empty()
        && query.limit.is_none()
        && !select.distinct
        && select.joins.is_empty()
        && select.group_by.is_empty()
        && select.having.is_none()
        && select.qualify.is_none();
    let expressions = select.items.iter().filter_map(|item| match item {
        Item::Expr { expr, .. } => Some(expr),
        Item::Star { .. } => None,
    });
    let mut expressions = expressions.chain(&select.condition);
    (plain && !expressions.any(reads_several_rows)).then_some(select)
}

impl RowWise {
    /// Types the select over the source's columns.
    pub(crate) fn new(select: &Select, text: &str, columns: &SourceColumns) -> Result<Self> {
        let table = select.from.alias.as_ref().map_or(super::OWN, |alias| &alias.value);
        let scope = Scope::new(columns.typed()).with_table(table);
        let typed = |expr: &Expr| -> Result<Expression> {
            Expression::from_sql(expr, text, &scope).map_err(|error| columns.explain(error.into()))
        };
        let condition = match &select.condition {
            None => None,
            Some(expr) => {
                let condition = typed(expr)?;
                if condition.value_type() != ValueType::Bool {
                    let found = condition.value_type();
                    let message = format!("`where` takes a condition, and this is {found}");
                    return Err(TransformError::at(expr.span(), message, Some("write a comparison")));
                }
                Some(condition)
            }
        };
        let mut this = Self { condition, outputs: BTreeMap::new(), star: false, except: BTreeSet::new() };
        for item in &select.items {
            match item {
                Item::Star { table: of, except, span } => {
                    if let Some(other) = of.as_ref().filter(|of| !of.value.eq_ignore_ascii_case(table)) {
                        let message = format!("there is no table `{}` here", other.value);
                        return Err(TransformError::at(other.span, message, None));
                    }
                    if std::mem::replace(&mut this.star, true) {
                        return Err(TransformError::at(*span, "`*` stands twice", None));
                    }
                    for name in except {
                        this.except.insert(columns.find(name)?);
                    }
                }
                Item::Expr { expr, name } => {
                    let (part, name) = match bare(expr, table) {
                        Some(column) => {
                            let column = columns.find(column)?;
                            // Unless it was renamed, the name is the column's own, in its own letter case.
                            let own = name.value.eq_ignore_ascii_case(&column) && name.quote_style.is_none();
                            let shown = if own { column.clone() } else { name.value.clone() };
                            (Part::Passes(column), shown)
                        }
                        None => (Part::Computed(typed(expr)?), name.value.clone()),
                    };
                    if this.outputs.insert(name.clone(), part).is_some() {
                        let message = format!("two columns are named `{name}`");
                        return Err(TransformError::at(expr.span(), message, Some("give one another name")));
                    }
                }
            }
        }
        this.refuse_twice(select, columns)?;
        Ok(this)
    }

    /// Refuses a name that both `*` and an item give.
    fn refuse_twice(&self, select: &Select, columns: &SourceColumns) -> Result<()> {
        for item in &select.items {
            let Item::Expr { expr, name } = item else { continue };
            let same =
                matches!(self.outputs.get(&name.value), Some(Part::Passes(column)) if *column == name.value);
            let there = columns.columns.iter().any(|column| column.name == name.value);
            if self.star && there && !same && !self.except.contains(&name.value) {
                let message = format!("two columns are named `{}`: one of them comes with `*`", name.value);
                let hint = format!("write `* exclude ({})`, or give the new one another name", name.value);
                return Err(TransformError::at(expr.span(), message, Some(&hint)));
            }
        }
        Ok(())
    }

    /// The column of the source, by its name here, that `name` passes untouched.
    pub(super) fn passes<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.outputs.get(name) {
            Some(Part::Passes(column)) => Some(column),
            Some(Part::Computed(_)) => None,
            None => (self.star && !self.except.contains(name)).then_some(name),
        }
    }

    /// What to record of it. `own`: the source's name. `text`: the query in one spelling.
    pub(crate) fn meaning(&self, own: &str, text: String) -> Meaning {
        let mut types = BTreeMap::new();
        let mut output = |expression: &Expression| {
            types.extend(expression.columns().iter().cloned().zip(expression.column_types().iter().copied()));
            Output {
                text: expression.to_string(),
                bare: false,
                value_type: Some(expression.value_type()),
                from: expression.columns().to_vec(),
            }
        };
        let condition = self.condition.as_ref().map(&mut output);
        let outputs = self.outputs.iter().map(|(name, part)| {
            let output = match part {
                Part::Computed(expression) => output(expression),
                Part::Passes(column) => {
                    Output { text: column.clone(), bare: true, value_type: None, from: vec![column.clone()] }
                }
            };
            (name.clone(), output)
        });
        let outputs = outputs.collect();
        Meaning {
            row_wise: true,
            text,
            inputs: BTreeMap::from([(own.to_owned(), types)]),
            star: self.star,
            except: self.except.iter().cloned().collect(),
            condition,
            outputs,
        }
    }
}

/// The column that an expression is, if it is one and nothing else.
fn bare<'a>(expr: &'a Expr, table: &str) -> Option<&'a sqlparser::ast::Ident> {
    match unnested(expr) {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [of, ident] if of.value.eq_ignore_ascii_case(table) => Some(ident),
            _ => None,
        },
        _ => None,
    }
}
