//! Names inside of expressions: those of items, of windows, and our own of computed columns.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Ident, VisitMut, VisitorMut};
use sqlparser::tokenizer::Span;

use super::relation::{Relation, value_name};
use crate::transform::error::TransformError;
use crate::transform::syntax::{Item, Result, unnested};

/// Calls that get a column of their own: equal ones share it.
pub(super) struct Calls {
    /// Each call with the number of its column.
    pub new: Vec<(ast::Function, usize)>,
    next: usize,
}

impl Calls {
    /// None yet; the numbers follow `last`.
    pub fn after(last: usize) -> Self {
        Self { new: Vec::new(), next: last }
    }

    /// The number of a call's column.
    pub fn number(&mut self, function: &ast::Function) -> usize {
        if let Some((_, id)) = self.new.iter().find(|(known, _)| known == function) {
            return *id;
        }
        self.next += 1;
        self.new.push((function.clone(), self.next));
        self.next
    }

    /// The last number given.
    pub fn last(&self) -> usize {
        self.next
    }
}

/// The name of a column of the plan, as an expression.
pub(super) fn internal(id: usize, span: Span) -> ast::Expr {
    ast::Expr::Identifier(Ident { value: value_name(id), quote_style: Some('"'), span })
}

/// Names that begin with two underscores are ours.
pub(super) fn is_internal(name: &Ident) -> bool {
    name.quote_style == Some('"') && name.value.starts_with("__v")
}

/// The column's own name, where an item is one and was not renamed.
pub(super) fn own_name(expr: &ast::Expr, name: &Ident, relation: &Relation) -> String {
    let column = match unnested(expr) {
        ast::Expr::Identifier(found) => {
            relation.columns.iter().find(|column| value_name(column.id) == found.value)
        }
        _ => None,
    };
    match column {
        Some(column) if name.quote_style.is_none() && column.name.eq_ignore_ascii_case(&name.value) => {
            column.name.clone()
        }
        _ => name.value.clone(),
    }
}

/// The number of an item, where an expression is one.
pub(super) fn ordinal(expr: &ast::Expr) -> Option<usize> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The expression with windows written out where they are named.
pub(super) fn with_windows(expr: &ast::Expr, windows: &[(Ident, ast::WindowSpec)]) -> Result<ast::Expr> {
    struct Windows<'a>(&'a [(Ident, ast::WindowSpec)]);
    impl VisitorMut for Windows<'_> {
        type Break = TransformError;

        fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<TransformError> {
            if let ast::Expr::Function(function) = expr
                && let Some(ast::WindowType::NamedWindow(name)) = &function.over
            {
                match self.0.iter().find(|(known, _)| known.value.eq_ignore_ascii_case(&name.value)) {
                    Some((_, spec)) => function.over = Some(ast::WindowType::WindowSpec(spec.clone())),
                    None => {
                        let message = format!("there is no window `{}`", name.value);
                        return ControlFlow::Break(TransformError::at(name.span, message, None));
                    }
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    match VisitMut::visit(&mut expr, &mut Windows(windows)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(expr),
    }
}

/// The expression with names of items replaced by what they name, unless a column has the name.
pub(super) fn with_aliases(
    expr: &ast::Expr,
    items: &[(&Item, &ast::Expr)],
    relation: &Relation,
) -> ast::Expr {
    let mut expr = expr.clone();
    let _ = ast::visit_expressions_mut(&mut expr, |part| {
        if let ast::Expr::Identifier(wanted) = part
            && !is_internal(wanted)
            && relation.find(None, wanted).is_err()
        {
            let item = items.iter().find_map(|(item, expr)| match item {
                Item::Expr { name, .. } if name.value.eq_ignore_ascii_case(&wanted.value) => Some(*expr),
                _ => None,
            });
            if let Some(expr) = item {
                *part = ast::Expr::Nested(Box::new(expr.clone()));
            }
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}
