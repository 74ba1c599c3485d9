//! What is wrong with the SQL of a source, and where.

use asof_expression::ExpressionError;
use asof_model::{Explain, Kind};
use sqlparser::tokenizer::Span;

/// A query that can't be used: what is wrong, where in its text, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransformError {
    /// What is wrong. One sentence without a full stop.
    pub message: String,
    /// The line and the column, both from 1, the column in characters. `None`: it stands in no one place.
    pub place: Option<(u32, u32)>,
    /// What to do.
    pub hint: Option<String>,
    /// A column or a type of it is not known, because no file was looked at.
    pub unknown_column: bool,
}

impl TransformError {
    /// A problem at a place of the parser.
    pub(crate) fn at(span: Span, message: impl Into<String>, hint: Option<&str>) -> Self {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let place = (span.start.line > 0).then(|| (short(span.start.line), short(span.start.column)));
        Self { message: message.into(), place, hint: hint.map(str::to_owned), unknown_column: false }
    }

    /// The same of a column that is not known.
    pub(crate) fn of_unknown_column(mut self) -> Self {
        self.unknown_column = true;
        self
    }
}

impl From<ExpressionError> for TransformError {
    fn from(error: ExpressionError) -> Self {
        let unknown_column = matches!(*error.problem, asof_expression::Problem::UnknownColumn { .. });
        let place = error.place.map(|place| (place.line, place.column));
        Self { message: error.problem.to_string(), place, hint: error.hint, unknown_column }
    }
}

impl Explain for TransformError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
