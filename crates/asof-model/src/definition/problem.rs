//! What is wrong in a file, and where.

use crate::explain::{Explain, Kind};

/// How many problems are reported at once.
pub const PROBLEMS_MAX: usize = 50;

/// Something wrong at one place of a file that users write. Prints as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Problem {
    /// The path of the file, as users see it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do next, where we know it.
    pub hint: Option<String>,
}

impl Explain for Problem {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// Sorts by file, line and column, and cuts after [`PROBLEMS_MAX`]; a last problem then counts the `unseen` ones,
/// which were not kept, and those that were cut.
pub(crate) fn in_order(mut problems: Vec<Problem>, unseen: usize) -> Vec<Problem> {
    problems.sort();
    let cut = problems.len().saturating_sub(PROBLEMS_MAX) + unseen;
    problems.truncate(PROBLEMS_MAX);
    if let (Some(last), true) = (problems.last(), cut > 0) {
        let message = format!("{cut} more problems are not shown");
        problems.push(Problem { message, hint: None, ..last.clone() });
    }
    problems
}
