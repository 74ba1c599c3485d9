//! What every error of the house can say beyond its own text: its class, and what to do next.

use serde::{Deserialize, Serialize};

/// The class of an error. The edges map it to an exit code, an HTTP status or a Python exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The request or the input is wrong; repeating it will not help.
    Invalid,
    /// The request is right, but not in the present state: a breaking edit, a lost race.
    Conflict,
    /// Something needed is not there now (a lock, a disk, a server); repeating may help.
    Unavailable,
    /// A stored thing is damaged, or an invariant does not hold.
    Corrupt,
}

/// An error that names its class and the next step.
pub trait Explain: std::error::Error {
    /// The class of the error.
    fn kind(&self) -> Kind;

    /// What the reader can do next, where we know it. One sentence, no trailing newline.
    fn hint(&self) -> Option<String> {
        None
    }

    /// What is behind the error, the nearest cause first; a cause that its text tells already is left out.
    fn causes(&self) -> Vec<String> {
        let message = self.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors carry the text of their cause in their own.
            if !message.contains(&text) && !causes.iter().any(|known| known.contains(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

/// An error of a library and everything behind it in one line; parts that repeat their source are said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(each) = next {
        let part = each.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = each.source();
    }
    text
}
