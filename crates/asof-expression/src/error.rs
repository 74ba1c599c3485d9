//! What is wrong with an expression, and where.

use asof_model::{Explain, Kind, ValueType};

/// Where in the text something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first byte, from 0.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
    /// The line, from 1.
    pub line: u32,
    /// The column of that line, in characters, from 1.
    pub column: u32,
}

/// An expression that cannot be used: what is wrong, where, and what to do.
///
/// The text of the error is the problem alone; whoever shows it adds the place in its own way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct ExpressionError {
    /// What is wrong.
    pub problem: Box<Problem>,
    /// Where, if it stands in one place.
    pub place: Option<Place>,
    /// What to do. One sentence.
    pub hint: Option<String>,
}

/// What can be wrong with an expression.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Text that is not one SQL expression.
    #[error("{0}")]
    Syntax(String),
    /// Text beyond the bounds of [`crate::limits`].
    #[error("the expression has {found} {what}, at most {most} are read")]
    TooLong {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Nesting beyond [`crate::limits::DEPTH_MAX`].
    #[error("the expression is nested more than {0} levels deep")]
    TooDeep(usize),
    /// A name that is no column.
    #[error("`{name}` is not a column here")]
    UnknownColumn {
        /// The name.
        name: String,
    },
    /// A name that differs from several columns in letter case alone.
    #[error("`{name}` could be any of {candidates}")]
    AmbiguousColumn {
        /// The name.
        name: String,
        /// The columns.
        candidates: String,
    },
    /// A name that is no function.
    #[error("there is no function `{name}`")]
    UnknownFunction {
        /// The name.
        name: String,
    },
    /// A name that is no type.
    #[error("there is no type `{name}`")]
    UnknownType {
        /// The name.
        name: String,
    },
    /// A function whose result is not a function of the row and `t`.
    #[error("`{name}` is refused: {reason}")]
    Refused {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Arguments that a function does not take.
    #[error("`{function}` does not take {found}")]
    Arguments {
        /// The function.
        function: String,
        /// The types of the arguments.
        found: String,
    },
    /// Two operands without a common type.
    #[error("`{operator}` between {left} and {right}")]
    Operands {
        /// The operator.
        operator: String,
        /// The type on the left.
        left: String,
        /// The type on the right.
        right: String,
    },
    /// A value of one type where another is needed.
    #[error("{what} must be {expected}, and this is {found}")]
    WrongType {
        /// What it is for.
        what: String,
        /// The type that is needed.
        expected: String,
        /// The type it has.
        found: String,
    },
    /// A cast that never succeeds.
    #[error("there is no cast from {from} to {to}")]
    NoCast {
        /// The type of the value.
        from: ValueType,
        /// The type asked for.
        to: ValueType,
    },
    /// A literal that is not of its type.
    #[error("{text} is not {expected}")]
    Literal {
        /// As written.
        text: String,
        /// What it should be, with its article.
        expected: String,
    },
    /// SQL that expressions do not have.
    #[error("{what} can't be used in an expression")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// Columns handed to the evaluation that are not those of the expression: a defect of the caller.
    #[error("an expression was evaluated over other columns than it reads: {0}")]
    Inputs(String),
}

impl ExpressionError {
    pub(crate) fn new(problem: Problem, place: Option<Place>, hint: Option<String>) -> Self {
        Self { problem: Box::new(problem), place, hint }
    }

    /// The problem, its place and its hint as one line: `line 1, column 5: ...; did you mean ...`.
    pub fn sentence(&self) -> String {
        let mut text = String::new();
        if let Some(place) = self.place {
            text.push_str(&format!("line {}, column {}: ", place.line, place.column));
        }
        text.push_str(&self.problem.to_string());
        if let Some(hint) = &self.hint {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }
}

impl Explain for ExpressionError {
    fn kind(&self) -> Kind {
        match *self.problem {
            Problem::Inputs(_) => Kind::Corrupt,
            _ => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
