//! Where the values of join keys come from: made by a rule, or read from a file.

use std::io::Write;

use serde::{Serialize, Serializer};

use crate::error::{LoadError, plan};
use crate::keys_file::KeysFile;
use crate::pick::KEY_SPACE_MAX;

/// The most digits that a pattern may ask for.
const WIDTH_MAX: usize = 40;
/// The most join keys of a request.
pub const JOIN_KEYS_MAX: usize = 64;

/// The join keys of a run: each is made by a rule of its own, or is a column of the file, whose rows stay together.
#[derive(Debug, Clone, Serialize)]
pub struct Keys {
    made: Vec<KeySpec>,
    file: Option<KeysFile>,
}

impl Keys {
    /// Join keys by rules and from a file. There may be none: a view without an entity has no join key.
    ///
    /// # Errors
    /// [`LoadError::Plan`] where two have the same name, or there are more than [`JOIN_KEYS_MAX`].
    pub fn new(made: Vec<KeySpec>, file: Option<KeysFile>) -> Result<Self, LoadError> {
        let columns = file.iter().flat_map(|file| file.names());
        let mut names: Vec<&str> = made.iter().map(|spec| spec.name.as_str()).chain(columns).collect();
        if names.len() > JOIN_KEYS_MAX {
            return Err(plan(format!("a request has {JOIN_KEYS_MAX} join keys at most")));
        }
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(plan(format!("the join key `{name}` is given twice")));
        }
        Ok(Self { made, file })
    }

    pub(crate) fn made(&self) -> &[KeySpec] {
        &self.made
    }

    pub(crate) fn file(&self) -> Option<&KeysFile> {
        self.file.as_ref()
    }
}

/// A join key and the rule that makes its values: `int:0..1000000`, or `text:user-%06d:0..50000`. The end of the range is not
/// one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySpec {
    /// The join key.
    pub name: String,
    /// The rule.
    pub values: Values,
}

impl KeySpec {
    /// Reads a rule: `int:START..END`, or `text:PATTERN:START..END`, where `%d` in the pattern stands for the number, `%06d` for it
    /// with zeros before, up to that width, and `%%` for a percent sign.
    ///
    /// # Errors
    /// [`LoadError::Key`].
    pub fn parse(name: &str, text: &str) -> Result<Self, LoadError> {
        let values = Values::parse(text.trim());
        let values = values.map_err(|reason| LoadError::Key {
            name: name.to_owned(),
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self { name: name.to_owned(), values })
    }
}

/// The values of a join key, by number from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    start: i64,
    count: u64,
    pattern: Option<Pattern>,
    text: String,
}

/// The text around a number, as JSON, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    before: Vec<u8>,
    width: usize,
    after: Vec<u8>,
}

impl Values {
    fn parse(text: &str) -> Result<Self, String> {
        let (pattern, range) = match text.split_once(':') {
            Some(("int", range)) => (None, range),
            Some(("text", rest)) => match rest.rsplit_once(':') {
                Some((pattern, range)) => (Some(Pattern::parse(pattern)?), range),
                None => return Err("names no range, as in `text:user-%06d:0..50000`".to_owned()),
            },
            _ => return Err("is neither `int:` nor `text:`".to_owned()),
        };
        let numbers = range.split_once("..").and_then(|(start, end)| {
            Some((start.trim().parse::<i64>().ok()?, end.trim().parse::<i64>().ok()?))
        });
        let Some((start, end)) = numbers else {
            return Err(format!("has the range `{range}`, which is not `START..END` of whole numbers"));
        };
        let count = match end.checked_sub(start).map(u64::try_from) {
            Some(Ok(count @ 1..=KEY_SPACE_MAX)) => count,
            Some(Ok(0) | Err(_)) => {
                return Err("has an empty range: the end is not one of the values".to_owned());
            }
            _ => return Err(format!("has more than {KEY_SPACE_MAX} values")),
        };
        if pattern.is_some() && start < 0 {
            return Err("puts numbers below zero into a text".to_owned());
        }
        Ok(Self { start, count, pattern, text: text.to_owned() })
    }

    /// How many there are: 1 to [`KEY_SPACE_MAX`].
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes the value of a number below [`Values::count`] as JSON.
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        // Within the range by construction, and a vector takes all that is written.
        let value = self.start.wrapping_add_unsigned(number);
        let _ = match &self.pattern {
            None => write!(out, "{value}"),
            Some(Pattern { before, width, after }) => {
                out.extend_from_slice(before);
                let written = write!(out, "{value:0width$}");
                out.extend_from_slice(after);
                written
            }
        };
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut before, mut after, mut width) = (String::new(), String::new(), None);
        let mut rest = text;
        while let Some((plain, tail)) = rest.split_once('%') {
            let part = if width.is_none() { &mut before } else { &mut after };
            part.push_str(plain);
            if let Some(tail) = tail.strip_prefix('%') {
                part.push('%');
                rest = tail;
                continue;
            }
            let (digits, tail) = tail
                .split_once('d')
                .ok_or_else(|| "has a `%` that is neither `%d` nor `%06d` nor `%%`".to_owned())?;
            let wide = match digits {
                "" => Some(0),
                // Without the zero a number would be filled up with spaces, which no key wants.
                _ => digits.strip_prefix('0').and_then(|digits| digits.parse().ok()),
            };
            match (wide, width) {
                (Some(0..=WIDTH_MAX), None) => width = wide,
                (_, Some(_)) => return Err("has two numbers in its pattern".to_owned()),
                _ => {
                    return Err(format!(
                        "has `%{digits}d`, which is neither `%d` nor `%01d` to `%0{WIDTH_MAX}d`"
                    ));
                }
            }
            rest = tail;
        }
        let Some(width) = width else {
            return Err("has no `%d` in its pattern, so all values would be the same".to_owned());
        };
        after.push_str(rest);
        let (mut before, after) = (json_text(&before), json_text(&after));
        // The two texts are one in JSON: the quotes between them go.
        before.pop();
        Ok(Self { before, width, after: after.get(1..).unwrap_or_default().to_vec() })
    }
}

/// A text as JSON.
pub(crate) fn json_text(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let values = KeySpec::parse("k", text).unwrap().values;
        (0..values.count())
            .map(|number| {
                let mut out = Vec::new();
                values.write(number, &mut out);
                String::from_utf8(out).unwrap()
            })
            .collect()
    }

    /// Goal: rules make the values that they say, as JSON, and not the end of the range.
    #[test]
    fn values_of_rules() {
        assert_eq!(values("int:-1..2"), ["-1", "0", "1"]);
        assert_eq!(values("text:u-%03d:9..11"), [r#""u-009""#, r#""u-010""#]);
        assert_eq!(values("text:%d:0..1"), [r#""0""#]);
        assert_eq!(values(r#"text:100%% "%d": x:7..8"#), [r#""100% \"7\": x""#]);
        assert_eq!(values(&format!("int:{}..{}", i64::MAX - 1, i64::MAX)), [(i64::MAX - 1).to_string()]);
    }

    /// Goal: a rule that can't be read says its key, itself and the reason.
    #[test]
    fn rules_that_cannot_be_read() {
        for (text, reason) in [
            ("", "is neither `int:` nor `text:`"),
            ("0..10", "is neither `int:` nor `text:`"),
            ("int:10", "has the range `10`, which is not `START..END` of whole numbers"),
            ("int:a..b", "has the range `a..b`"),
            ("int:5..5", "has an empty range"),
            ("int:5..4", "has an empty range"),
            ("int:0..999999999999999999", "has more than 281474976710656 values"),
            ("int:-9000000000000000000..9000000000000000000", "has more than"),
            ("text:u-%d", "names no range"),
            ("text:u:0..5", "has no `%d` in its pattern"),
            ("text:%d-%d:0..5", "has two numbers"),
            ("text:%6d:0..5", "has `%6d`"),
            ("text:%041d:0..5", "has `%041d`"),
            ("text:%s:0..5", "has a `%` that is neither"),
            ("text:u-%d:-1..5", "puts numbers below zero into a text"),
        ] {
            let refused = KeySpec::parse("user", text).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("key `user`: `{text}` {reason}")), "{refused}");
        }
    }

    /// Goal: a join key has one source.
    #[test]
    fn names_once() {
        let spec = |name: &str| KeySpec::parse(name, "int:0..9").unwrap();
        let refused = Keys::new(vec![spec("b"), spec("a"), spec("b")], None).unwrap_err();
        assert_eq!(refused.to_string(), "the join key `b` is given twice");
        assert!(Keys::new(vec![], None).is_ok());
        let many = (0..=JOIN_KEYS_MAX).map(|n| spec(&format!("k{n}"))).collect();
        assert_eq!(Keys::new(many, None).unwrap_err().to_string(), "a request has 64 join keys at most");
    }
}
