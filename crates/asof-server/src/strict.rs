//! A body as JSON in which no name stands twice in one object. Elsewhere the last one would win in silence.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Reads a body.
///
/// # Errors
/// Text that is not JSON; a name that stands twice in an object.
pub(crate) fn read(body: &[u8]) -> serde_json::Result<Json> {
    serde_json::from_slice::<Strict>(body).map(|strict| strict.0)
}

struct Strict(Json);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole).map(Strict)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut all = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if all.contains_key(&name) {
                let name = Json::String(name);
                return Err(A::Error::custom(format!("the name {name} stands twice in one object")));
            }
            let Strict(value) = fields.next_value()?;
            all.insert(name, value);
        }
        Ok(Json::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is read is what any reader of JSON reads, and a name that stands twice is refused at any depth.
    #[test]
    fn strict() {
        let text = r#"{"a":[1,-2,3.5,1e400,18446744073709551615,null,true,"x\u00e9",{}],"b":{"a":{"a":1}}}"#;
        let text = text.replace(",1e400", "");
        assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Json>(&text).unwrap());
        for wrong in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"\u0061":3}}]"#] {
            assert!(
                read(wrong.as_bytes()).unwrap_err().to_string().contains("\"a\" stands twice"),
                "{wrong}"
            );
        }
        assert!(read(b"{\"a\":1} x").is_err());
        assert!(read("[".repeat(1000).as_bytes()).is_err());
    }
}
