//! Names: of objects, of view versions, and the nearest one to a name that does not exist.

use serde::{Deserialize, Serialize};

/// A version of a view: `view@2` and `view@1` are different views that share a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewId {
    /// The view's name.
    pub name: String,
    /// From 1.
    pub version: u32,
}

impl ViewId {
    /// The version `version` of the view `name`.
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self { name: name.into(), version }
    }
}

impl std::fmt::Display for ViewId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}@{}", self.name, self.version)
    }
}

/// A name with or without a version, as users write it: `view` or `view@2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewRef {
    /// The view's name.
    pub name: String,
    /// The version, where it is pinned.
    pub version: Option<u32>,
}

impl ViewRef {
    /// Reads `name` or `name@version`. `None` where the version is not a number from 1 on, or the name is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => {
                let digits = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
                let number = version.parse::<u32>().ok().filter(|n| digits && *n >= 1)?;
                (name, Some(number))
            }
        };
        is_name(name).then(|| Self { name: name.to_owned(), version })
    }
}

impl std::fmt::Display for ViewRef {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            Some(version) => write!(out, "{}@{version}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

/// The longest name, in bytes. Names become folder names and parts of column names.
pub const NAME_BYTES_MAX: usize = 128;

/// Whether `text` can name an object, a join key or a feature: an ASCII letter or one underscore first, then
/// letters, digits and underscores. Names that start with two underscores are ours.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first
        && text.len() <= NAME_BYTES_MAX
        && !text.starts_with("__")
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The known name nearest to `wrong`, where one is near enough to be meant.
///
/// Near enough: at most a third of the longer name's letters differ (insertions, deletions, replacements and swaps
/// of neighbours count one each), letter case aside. Of equally near names the first in order wins.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let mut best: Option<(usize, &'a str)> = None;
    for name in known {
        let distance = strsim::damerau_levenshtein(&lower, &name.to_lowercase());
        let longest = lower.chars().count().max(name.chars().count());
        let near = distance <= (longest / 3).max(1) && distance < longest;
        if near && best.is_none_or(|(least, first)| (distance, name) < (least, first)) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// A sentence that helps with a name that does not exist: the nearest one, or the short list of what there is.
pub fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// How many names are listed where none is near.
    const LISTED_MAX: usize = 8;
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    if let Some(name) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    match known.len() {
        0 => None,
        n if n <= LISTED_MAX => Some(format!("there is {}", backticked(&known))),
        n => Some(format!("there is {} and {} more", backticked(&known[..LISTED_MAX]), n - LISTED_MAX)),
    }
}

fn backticked(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a slip of the finger finds the name that was meant, and a different word finds none.
    #[test]
    fn nearest_names() {
        let known = ["population", "city", "state"];
        assert_eq!(nearest("poplation", known), Some("population"));
        assert_eq!(nearest("City", known), Some("city"));
        assert_eq!(nearest("ctiy", known), Some("city"));
        assert_eq!(nearest("wages", known), None);
        assert_eq!(suggestion("wages", known).as_deref(), Some("there is `city`, `population`, `state`"));
    }

    /// Goal: versions are numbers from one, and nothing else passes for a name.
    #[test]
    fn view_references() {
        assert_eq!(ViewRef::parse("trips"), Some(ViewRef { name: "trips".into(), version: None }));
        assert_eq!(ViewRef::parse("trips@2"), Some(ViewRef { name: "trips".into(), version: Some(2) }));
        for wrong in ["trips@0", "trips@", "trips@+1", "trips@x", "2trips", "__x", "", "a-b", "a@1@2"] {
            assert_eq!(ViewRef::parse(wrong), None, "{wrong}");
        }
    }
}
