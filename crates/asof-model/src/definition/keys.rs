//! What the mappings of all objects share: known keys, words for people, durations, types.

use std::collections::BTreeMap;

use super::collector::{Collector, Object};
use super::node::{Content, Entry, Node, Position, quoted};
use crate::spec::About;
use crate::time::Duration;
use crate::types::{TypeError, ValueType};

/// The keys that a mapping may have.
pub(super) struct KnownKeys {
    /// Those that are read.
    pub read: &'static [&'static str],
}

/// A mapping whose keys are known.
pub(super) struct Fields<'n> {
    object: &'n Object,
    /// Where the mapping stands in the object: empty for the object itself, otherwise a path and a dot.
    path: String,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Opens the mapping of `entry`: refuses unknown keys, notes the places of the rest.
    /// `subject` is what messages call it, `path` is where it stands in `object`.
    pub fn open(
        object: &'n Object,
        subject: &str,
        path: &str,
        entry: &'n Entry,
        known: &KnownKeys,
        out: &mut Collector,
    ) -> Option<Self> {
        let Content::Map(entries) = entry.value.content() else {
            let message = format!("{subject} is a mapping, and this is {}", entry.value.described());
            out.problem(entry.at(), message, None);
            return None;
        };
        let path = if path.is_empty() { String::new() } else { format!("{path}.") };
        for each in entries {
            let key = each.key.text.as_str();
            if known.read.contains(&key) {
                out.note(object, format!("{path}{key}"), each.at());
            } else {
                let hint = out.suggestion(key, known.read.iter().copied());
                out.problem(each.key.at, format!("unknown key {} in {subject}", quoted(key)), hint);
            }
        }
        Some(Self { object, path, entries })
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// The text of a key and where it stands. `None` where the key is missing; also, with a problem, where it is
    /// not text.
    pub fn text(&self, key: &str, out: &mut Collector) -> Option<(&'n str, Position)> {
        let entry = self.entry(key)?;
        Some((text(&entry.value, &format!("`{key}`"), entry.key.at, out)?, entry.value.at))
    }

    /// The text of a key that is not empty.
    pub fn filled_text(&self, key: &str, out: &mut Collector) -> Option<(&'n str, Position)> {
        let (text, at) = self.text(key, out)?;
        if text.trim().is_empty() {
            out.problem(at, format!("`{key}` is empty"), None);
            return None;
        }
        Some((text, at))
    }

    /// The duration of a key.
    pub fn duration(&self, key: &str, zero_allowed: bool, out: &mut Collector) -> Option<Duration> {
        let (text, at) = self.text(key, out)?;
        match Duration::parse(text) {
            Some(Duration::ZERO) if !zero_allowed => {
                out.problem(at, format!("`{key}` must be longer than zero"), None);
                None
            }
            Some(duration) => Some(duration),
            None => {
                let hint = "a duration is a whole number and one of `w`, `d`, `h`, `m`, `s`, `ms`, such as `90d`; \
                            there are no months or years";
                let message = format!("`{key}` is a duration, and {} is not", quoted(text));
                out.problem(at, message, Some(hint.to_owned()));
                None
            }
        }
    }

    /// Whether a key says `true`. False where it is missing; also, with a problem, where it is neither `true` nor `false`.
    pub fn flag(&self, key: &str, out: &mut Collector) -> bool {
        match self.text(key, out) {
            None | Some(("false", _)) => false,
            Some(("true", _)) => true,
            Some((other, at)) => {
                let message = format!("`{key}` is `true` or `false`, and {} is neither", quoted(other));
                out.problem(at, message, None);
                false
            }
        }
    }

    /// The entries of a key whose value is a mapping of free keys. Empty where the key is missing; also, with a
    /// problem, where it is no mapping. `example` is what to write.
    pub fn map(&self, key: &str, example: &str, out: &mut Collector) -> &'n [Entry] {
        let Some(entry) = self.entry(key) else { return &[] };
        let Content::Map(entries) = entry.value.content() else {
            let message = format!("`{key}` is a mapping, and this is {}", entry.value.described());
            out.problem(entry.at(), message, Some(format!("write `{key}: {example}`")));
            return &[];
        };
        for each in entries {
            out.note(self.object, format!("{}{key}.{}", self.path, each.key.text), each.key.at);
        }
        entries
    }

    /// `description`, `owner` and `tags`.
    pub fn about(&self, out: &mut Collector) -> About {
        // A block of text ends with a line break that nobody means.
        let mut words = |key| self.text(key, out).map(|(text, _)| text.trim_end().to_owned());
        let (description, owner) = (words("description"), words("owner"));
        let mut tags = BTreeMap::new();
        for tag in self.map("tags", "{ name: value }", out) {
            let what = format!("tag {}", quoted(&tag.key.text));
            if let Some(value) = text(&tag.value, &what, tag.key.at, out) {
                tags.insert(tag.key.text.clone(), value.to_owned());
            }
        }
        About { description, owner, tags }
    }
}

/// The text of a scalar. `None`, and a problem, where it is nothing, a list or a mapping. `what` names it in the
/// message; nothing is reported at `key_at`, because it has no place of its own.
pub(super) fn text<'n>(node: &'n Node, what: &str, key_at: Position, out: &mut Collector) -> Option<&'n str> {
    if node.is_null() {
        out.problem(key_at, format!("{what} has no value"), None);
    } else if node.text().is_none() {
        out.problem(node.at, format!("{what} is text, and this is {}", node.described()), None);
    }
    node.text()
}

/// What other systems call a type, and what it is called here.
const TYPE_SYNONYMS: [(&str, &str); 24] = [
    ("int", "int64"),
    ("integer", "int64"),
    ("long", "int64"),
    ("bigint", "int64"),
    ("i64", "int64"),
    ("i32", "int32"),
    ("double", "float64"),
    ("float", "float64"),
    ("number", "float64"),
    ("real", "float32"),
    ("f64", "float64"),
    ("f32", "float32"),
    ("str", "string"),
    ("text", "string"),
    ("varchar", "string"),
    ("boolean", "bool"),
    ("datetime", "timestamp"),
    ("unixtimestamp", "timestamp"),
    ("binary", "bytes"),
    ("blob", "bytes"),
    ("numeric", "decimal(10, 2)"),
    ("array", "list(int64)"),
    ("vector", "embedding(3)"),
    ("jsonb", "json"),
];

/// The type of that name. `None`, and a problem, where there is none.
pub(super) fn value_type(name: &str, at: Position, out: &mut Collector) -> Option<ValueType> {
    /// The longest text, in bytes, for which the nearest type is looked for.
    const TYPE_BYTES_MAX: usize = 64;
    let error = match ValueType::parse(name) {
        Ok(found) => return Some(found),
        Err(error @ TypeError::Parameters { .. }) => {
            // In a mapping in braces, YAML ends the text at the comma.
            let hint = (name.contains('(') && !name.contains(')')).then(|| {
                "in braces, put a type with a comma in quotes: `{ price: \"decimal(10, 2)\" }`".to_owned()
            });
            // A text over several lines is shown on one.
            out.problem(at, error.to_string().split_whitespace().collect::<Vec<_>>().join(" "), hint);
            return None;
        }
        Err(TypeError::Unknown(unknown)) => unknown,
    };
    let word = error.split(['(', '<', '[', '{']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let hint = match TYPE_SYNONYMS.iter().find(|(synonym, _)| *synonym == word) {
        Some((_, meant)) => Some(format!("did you mean `{meant}`?")),
        None if word.len() <= TYPE_BYTES_MAX => crate::name::nearest(&word, ValueType::SPELLINGS.map(bare))
            .map(|near| ValueType::SPELLINGS.into_iter().find(|each| bare(each) == near).unwrap_or(near))
            .map(|near| format!("did you mean `{near}`?")),
        None => None,
    };
    out.problem(at, format!("unknown type {}", quoted(name)), hint.or_else(|| Some(every_type())));
    None
}

/// The name of a type without its parameters.
fn bare(spelling: &'static str) -> &'static str {
    spelling.split('(').next().unwrap_or(spelling)
}

fn every_type() -> String {
    format!("a type is one of {}", listed(ValueType::SPELLINGS))
}

/// Names in backticks, with commas.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
