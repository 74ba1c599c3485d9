//! An expression, ready to be evaluated.

use std::fmt;

use asof_model::{Cell, Instant, ValueType};
use sqlparser::ast::Expr;

use crate::cast;
use crate::display::Canonical;
use crate::error::ExpressionError;
use crate::limits::READING_STACK_BYTES;
use crate::node::Node;
use crate::parse;
use crate::row::{self, Row};
use crate::scope::Scope;
use crate::typing::{self, ReadColumn};

/// A row-wise expression with its types: a function of the columns it reads and of `t`, and of nothing else.
///
/// It is total: every row has a value, null or ERROR, whatever the other rows hold (SEMANTICS 5). It prints as its
/// canonical text, which is the same for spellings that differ in spaces, letter case or parentheses only.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(crate) root: Node,
    names: Vec<String>,
    /// The same as the canonical text has them.
    written: Vec<String>,
    types: Vec<ValueType>,
    reads_t: bool,
}

impl Expression {
    /// Reads the text of one expression over the columns of `scope`.
    ///
    /// # Errors
    /// [`ExpressionError`] with the place in the text: syntax, unknown names, types that do not go together, functions
    /// whose results would not depend on the row alone.
    pub fn parse(text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        on_large_stack(|| {
            let expr = parse::expression(text)?;
            Self::from_sql(&expr, text, scope)
        })
    }

    /// The same from the SQL syntax of an expression that is a part of `text`, to which places refer. Whoever parses
    /// such a text bounds it first with [`crate::check_bounds`].
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn from_sql(expr: &Expr, text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        let (root, columns) = on_large_stack(|| typing::typed(expr, text, scope))?;
        Ok(Self::new(root, columns))
    }

    fn new(root: Node, columns: Vec<ReadColumn>) -> Self {
        let reads_t = root.reads_request_timestamp();
        let (mut names, mut written, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for column in columns {
            names.push(column.name);
            written.push(column.written);
            types.push(column.value_type);
        }
        Self { root, names, written, types, reads_t }
    }

    /// The type of its values.
    pub fn value_type(&self) -> ValueType {
        self.root.value_type
    }

    /// The columns that it reads, in order of first use: also the order of the inputs of an evaluation. A column with a
    /// qualifier ([`Scope::with_qualified`]) is `qualifier.name`.
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// The types of [`Expression::columns`].
    pub fn column_types(&self) -> &[ValueType] {
        &self.types
    }

    /// Whether a row can be ERROR although nothing that it reads is. False is certain.
    pub fn can_fail(&self) -> bool {
        self.root.can_fail
    }

    /// Whether it asks for `t`.
    pub fn uses_request_timestamp(&self) -> bool {
        self.reads_t
    }

    /// The same expression with values of type `to`: unchanged, or widened where nothing is lost. `None` where that
    /// takes a cast, which is the user's to write.
    pub fn widened_to(mut self, to: ValueType) -> Option<Self> {
        self.root = typing::literal::widened(self.root, to)?;
        Some(self)
    }

    /// Whether a cast of its values to that type can succeed.
    pub fn casts_to(&self, to: ValueType) -> bool {
        cast::exists(self.value_type(), to)
    }

    /// The result in one row. `cells` are those of [`Expression::columns`], and `t` is the instant of the request,
    /// which only `request_timestamp()` reads. A missing cell, or one of another type, is ERROR.
    pub fn evaluate_row(&self, cells: &[Cell], t: Instant) -> Cell {
        self.evaluate_cells(&cells.iter().collect::<Vec<_>>(), t)
    }

    /// The same, of cells that need not stand next to each other.
    pub fn evaluate_cells(&self, cells: &[&Cell], t: Instant) -> Cell {
        row::evaluate(&self.root, &Row { cells, request_timestamp: t }).into_cell()
    }
}

/// Syntax is as deep as its text has operators, and is walked and dropped level by level.
fn on_large_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(READING_STACK_BYTES / 2, READING_STACK_BYTES, work)
}

/// The canonical text.
impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Canonical { node: &self.root, columns: &self.written }.fmt(out)
    }
}
