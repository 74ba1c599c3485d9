//! How errors are printed: what failed, its causes, then what to do.

use std::io::{IsTerminal, Write};

use asof_bench::BenchError;
use asof_load::LoadError;
use asof_model::Kind;
use asof_server::ServerError;
use asof_server::beside::client::ClientError;
use asof_server::beside::told::Told;
use asof_store::StoreError;
use asof_store::materialize::ViewFailure;

/// What a command failed of: one error, or every problem of the files.
#[derive(Debug)]
pub(crate) struct Failure {
    parts: Vec<Told>,
}

impl Failure {
    /// An error in these words.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { parts: vec![Told::new(Kind::Invalid, message, None)] }
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(part) = self.parts.last_mut() {
            part.hint = Some(hint.into());
        }
        self
    }

    /// Views that could not be loaded, each in its own words; where there were others beside, each is named.
    pub(crate) fn of_views(failures: &[ViewFailure], alone: bool) -> Self {
        let part = |failure: &ViewFailure| Told {
            kind: failure.kind,
            message: match alone {
                true => failure.message.clone(),
                false => format!("view `{}`: {}", failure.view, failure.message),
            },
            causes: failure.causes.clone(),
            hint: failure.hint.clone(),
        };
        Self { parts: failures.iter().map(part).collect() }
    }

    /// Prints it to stderr. Nothing can be done where that fails.
    pub(crate) fn print(&self) {
        let _ = std::io::stderr().lock().write_all(self.text(&Paint::stderr()).as_bytes());
    }

    /// One error stands apart from its hint; of several, each is followed by its own.
    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        let alone = self.parts.len() == 1;
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&format!("{} {}\n", paint.red("error:"), part.message));
            for cause in &part.causes {
                text.push_str(&format!("  caused by: {cause}\n"));
            }
            if let Some(hint) = &part.hint {
                let gap = if alone { "\n" } else { "" };
                text.push_str(&format!("{gap}{} {hint}\n", paint.cyan("hint:")));
            }
        }
        text
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { parts: Told::all(&error) }
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self { parts: vec![Told::of(&error)] }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self { parts: vec![Told::of(&error)] }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self { parts: vec![Told::of(&error)] }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { parts: error.told() }
    }
}

/// Color, where the reader is a terminal and did not ask to go without.
pub(crate) struct Paint {
    colored: bool,
}

impl Paint {
    /// For stderr.
    pub(crate) fn stderr() -> Self {
        // An empty NO_COLOR is none: https://no-color.org
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colored: std::io::stderr().is_terminal() && !refused }
    }

    /// Whether there is any.
    pub(crate) fn is_colored(&self) -> bool {
        self.colored
    }

    fn red(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.paint("1;36", text)
    }

    /// For warnings.
    pub(crate) fn yellow(&self, text: &str) -> String {
        self.paint("1;33", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an error is printed with its causes and what to do; of several, each is followed by its own hint.
    #[test]
    fn texts() {
        let mut one = Told::new(Kind::Unavailable, "cannot go on", Some("ask"));
        one.causes.push("permission denied".to_owned());
        let plain = Paint { colored: false };
        let alone = Failure { parts: vec![one.clone()] }.text(&plain);
        assert_eq!(alone, "error: cannot go on\n  caused by: permission denied\n\nhint: ask\n");
        let other = Told::new(Kind::Invalid, "no", None);
        let both = Failure { parts: vec![one, other] }.text(&plain);
        assert_eq!(both, "error: cannot go on\n  caused by: permission denied\nhint: ask\n\nerror: no\n");
    }
}
