//! JSON: its one canonical text, and single values as raw input.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::entry::Raw;
use crate::value::canonical_f64;

/// The canonical text of a JSON text: no spaces, members sorted by name (as UTF-8), text with the fewest escapes.
/// Whole numbers that fit 64 bits keep their digits; every other number is the nearest double, written as an integer
/// where it is one below 2^53.
///
/// # Errors
/// Why it is not JSON, in words; a name that stands twice in an object; nesting past 128 levels.
pub fn canonical_text(text: &str) -> Result<String, String> {
    let node: Node = serde_json::from_str(text).map_err(|error| plain_reason(&error))?;
    let mut out = String::with_capacity(text.len());
    write_node(&mut out, &node);
    Ok(out)
}

/// The reason without the position, which is inside of one value and means nothing to the reader of a file.
fn plain_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

enum Node {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

fn write_node(out: &mut String, node: &Node) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        Node::Int(v) => out.push_str(&v.to_string()),
        Node::UInt(v) => out.push_str(&v.to_string()),
        Node::Float(v) => write_float(out, *v),
        Node::Text(v) => write_text(out, v),
        Node::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_node(out, item);
            }
            out.push(']');
        }
        Node::Object(members) => {
            out.push('{');
            for (place, (name, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_text(out, name);
                out.push(':');
                write_node(out, value);
            }
            out.push('}');
        }
    }
}

/// A double as JSON: an integer where it is one below 2^53, else the shortest text that reads back.
fn write_float(out: &mut String, v: f64) {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    let v = canonical_f64(v);
    if v.trunc() == v && v.abs() < EXACT_BELOW {
        out.push_str(&(v as i64).to_string());
    } else {
        out.push_str(&format!("{v:?}"));
    }
}

/// Text in quotes, with the fewest escapes.
pub fn write_text(out: &mut String, text: &str) {
    // Text always has a JSON form.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
        Ok(Node::UInt(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
        Ok(Node::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Text(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                Err(A::Error::custom(format!("the name {:?} stands twice in one object", pair[0].0)))
            }
            None => Ok(Node::Object(members)),
        }
    }
}

/// One JSON value, read so far that it can be handed on as [`Raw`].
#[derive(Debug, Clone, PartialEq)]
pub enum JsonValue<'a> {
    /// `null`
    Null,
    /// A text, without its escapes.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A number as written, so that its declared type rounds it once.
    Number(&'a str),
    /// The text of an array or object.
    Nested(&'a str),
}

impl<'a> JsonValue<'a> {
    /// Reads the text of one JSON value. It must be valid JSON, such as the text of a [`RawValue`].
    pub fn of(text: &'a str) -> Self {
        let text = text.trim();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map_or(Self::Null, Self::Text),
            Some(b't' | b'f') => Self::Bool(text == "true"),
            Some(b'[' | b'{') => Self::Nested(text),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text),
        }
    }

    /// The raw value; `None` for null.
    pub fn raw(&self) -> Option<Raw<'_>> {
        Some(match self {
            Self::Null => return None,
            Self::Text(text) => Raw::Text(text),
            Self::Bool(v) => Raw::Bool(*v),
            Self::Number(text) => Raw::Number(text),
            Self::Nested(text) => Raw::Json(text),
        })
    }
}

/// The items of the text of a JSON array. `None`: it is none.
pub fn items(text: &str) -> Option<Vec<JsonValue<'_>>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(items.into_iter().map(|item| JsonValue::of(item.get())).collect())
}

/// The members of the text of a JSON object, in the order written, names that stand twice included. `None`: it is none.
pub fn members(text: &str) -> Option<Vec<(String, JsonValue<'_>)>> {
    struct Members<'a>(Vec<(String, &'a RawValue)>);
    struct MembersVisitor;
    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Members<'de>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = entries.next_entry()? {
                members.push(member);
            }
            Ok(Members(members))
        }
    }
    impl<'de> Deserialize<'de> for Members<'de> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_map(MembersVisitor)
        }
    }
    let Members(members) = serde_json::from_str(text).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, JsonValue::of(value.get()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: texts that mean the same have one canonical text, and it is its own.
    #[test]
    fn one_text() {
        for (text, canonical) in [
            (r#" { "b" : 1.0 , "a" : [ 1e2, -0.0, null, true ] } "#, r#"{"a":[100,0,null,true],"b":1}"#),
            (r#""\u00e9\/""#, "\"é/\""),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("0.1", "0.1"),
            ("1e300", "1e300"),
            (r#"{"é":1,"z":2}"#, r#"{"z":2,"é":1}"#),
        ] {
            let once = canonical_text(text).unwrap();
            assert_eq!(once, canonical, "{text}");
            assert_eq!(canonical_text(&once).as_deref(), Ok(canonical));
        }
    }

    /// Goal: what is not one JSON value is refused with a reason.
    #[test]
    fn refusals() {
        assert_eq!(
            canonical_text(r#"{"a":1,"a":2}"#),
            Err("the name \"a\" stands twice in one object".to_owned())
        );
        assert!(canonical_text("{'a':1}").is_err());
        assert!(canonical_text("1 2").is_err());
        assert!(canonical_text("NaN").is_err());
        assert!(canonical_text("1e999").is_err());
        assert!(canonical_text(&"[".repeat(100_000)).is_err());
    }

    /// Goal: numbers are handed on as written, texts without escapes, the rest as text.
    #[test]
    fn values() {
        use JsonValue as J;
        assert_eq!(
            items(r#"[1.10, "a\n", null, {"x": 1}, true]"#).unwrap(),
            [J::Number("1.10"), J::Text("a\n".into()), J::Null, J::Nested(r#"{"x": 1}"#), J::Bool(true)]
        );
        assert_eq!(items("{}"), None);
        assert_eq!(
            members(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap(),
            [("b".into(), J::Number("1")), ("a".into(), J::Number("2")), ("b".into(), J::Number("3"))]
        );
    }
}
