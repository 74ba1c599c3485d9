//! An error as it is told to people: what is left of it when it crosses a socket, and all that a command prints.

use asof_model::{Explain, Kind};
use asof_store::StoreError;
use serde::{Deserialize, Serialize};

/// One error in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its class.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// Causes that the message does not tell, from the nearest to the first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Told {
    /// An error without a cause.
    pub fn new(kind: Kind, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: hint.map(str::to_owned) }
    }

    /// An error with its causes. One that the message carries already is not told again.
    pub fn of(error: &dyn Explain) -> Self {
        Self { kind: error.kind(), message: error.to_string(), causes: error.causes(), hint: error.hint() }
    }

    /// An error of the store: each of the problems that it collects, or itself.
    pub fn all(error: &StoreError) -> Vec<Self> {
        let parts = error.parts();
        if parts.is_empty() {
            return vec![Self::of(error)];
        }
        let part = |(message, hint)| Self { kind: error.kind(), message, causes: Vec::new(), hint };
        parts.into_iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a cause that the message already tells is not told twice, and one that it does not tell is told.
    #[test]
    fn causes_once() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let told = StoreError::Io { doing: "read", path: "a".into(), source: denied() };
        let expected = Told::new(Kind::Unavailable, "cannot read `a`: permission denied", None);
        assert_eq!(Told::all(&told), [expected]);

        #[derive(Debug, thiserror::Error)]
        #[error("cannot go on")]
        struct Untold(#[source] std::io::Error);
        impl Explain for Untold {
            fn kind(&self) -> Kind {
                Kind::Unavailable
            }
            fn hint(&self) -> Option<String> {
                Some("ask".to_owned())
            }
        }
        let told = Told::of(&Untold(denied()));
        assert_eq!(told.causes, ["permission denied"]);
        assert_eq!(told.hint.as_deref(), Some("ask"));
    }
}
