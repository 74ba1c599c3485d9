//! JSON. Its null is null, wherever a value is taken out.

use asof_model::Value;
use asof_model::json::{self, JsonValue};

use crate::cast;
use crate::function::{Args, Body, Built, Function, Outcome, Refusal, count, entry, text};
use crate::node::Node;

pub(crate) const ALL: &[&Function] = &[
    &entry(
        "json_get",
        &["(x json, name string) -> json", "(x json, place int64) -> json"],
        "The member of that name, or the item at that place, counted from 0. Null where there is none. Also \
         `x -> 'name'`.",
        "",
        &[("json_get(json '{\"a\": [1, 2]}', 'a')", "[1,2]"), ("json '{\"a\": [1, 2]}' -> 'a' -> 1", "2")],
        Body::Plain(|args| Ok(member(args)?.map(Value::Json))),
    )
    .also(&["->"]),
    &entry(
        "json_get_text",
        &["(x json, name string) -> string", "(x json, place int64) -> string"],
        "The same as text: a JSON text without its quotes, anything else as JSON. Also `x ->> 'name'`.",
        "",
        &[("json '{\"a\": \"b\"}' ->> 'a'", "b")],
        Body::Plain(|args| match member(args)? {
            Some(found) => as_text(&found),
            None => Ok(None),
        }),
    )
    .also(&["->>"]),
    &entry(
        "json_path",
        &["(x json, path literal string) -> json"],
        "What stands at a path such as `$.user.emails[0]`, names in double quotes where they are no plain words. Null \
         where there is nothing.",
        "",
        &[("json_path(json '{\"a\": {\"b\": [5]}}', '$.a.b[0]')", "5")],
        Body::Built(path),
    ),
    &entry(
        "json_type",
        &["(x json) -> string"],
        "`object`, `array`, `string`, `number`, `boolean` or `null`.",
        "",
        &[("json_type(json '[1]')", "array")],
        Body::Plain(|args| {
            let whole = args.text(0)?;
            text(match JsonValue::of(whole) {
                JsonValue::Null => "null",
                JsonValue::Text(_) => "string",
                JsonValue::Bool(_) => "boolean",
                JsonValue::Number(_) => "number",
                JsonValue::Nested(nested) if nested.starts_with('[') => "array",
                JsonValue::Nested(_) => "object",
            })
        }),
    ),
    &entry(
        "json_length",
        &["(x json) -> int64"],
        "How many items an array has, or members an object. Null for anything else.",
        "",
        &[("json_length(json '[1, 2]')", "2"), ("json_length(json '5')", "null")],
        Body::Plain(|args| {
            let whole = args.text(0)?;
            let items = json::items(whole).map(|items| items.len());
            match items.or_else(|| json::members(whole).map(|members| members.len())) {
                Some(length) => count(length),
                None => Ok(None),
            }
        }),
    ),
    &entry(
        "to_json",
        &["(x any) -> json"],
        "The value as JSON: numbers and booleans as such, NaN and infinities as null, lists, maps and embeddings item by \
         item, everything else as its text.",
        "",
        &[("to_json('a\"b')", "\"a\\\"b\""), ("to_json(array[1, null])", "[1,null]")],
        Body::Plain(|args| cast::to_json(args.value(0)?).map(|text| Some(Value::Json(text)))),
    ),
];

/// One step into JSON.
#[derive(Debug, Clone)]
enum Step {
    Name(String),
    Place(usize),
}

fn member(args: &Args<'_>) -> Result<Option<String>, crate::function::Failed> {
    let step = match args.value(1)? {
        Value::Int64(place) => match usize::try_from(*place) {
            Ok(place) => Step::Place(place),
            Err(_) => return Ok(None),
        },
        _ => Step::Name(args.text(1)?.to_owned()),
    };
    Ok(taken(args.text(0)?, &step))
}

/// The canonical text of what a step leads to.
fn taken(whole: &str, step: &Step) -> Option<String> {
    let found = match step {
        Step::Place(place) => json::items(whole)?.into_iter().nth(*place)?,
        Step::Name(name) => json::members(whole)?.into_iter().find(|(each, _)| each == name)?.1,
    };
    match found {
        JsonValue::Null => None,
        JsonValue::Text(text) => {
            let mut quoted = String::new();
            json::write_text(&mut quoted, &text);
            Some(quoted)
        }
        JsonValue::Bool(v) => Some(v.to_string()),
        JsonValue::Number(text) | JsonValue::Nested(text) => Some(text.to_owned()),
    }
}

fn as_text(json: &str) -> Outcome {
    match JsonValue::of(json) {
        JsonValue::Text(unquoted) => text(unquoted),
        _ => text(json),
    }
}

fn path(nodes: &[Node]) -> Result<Built, Refusal> {
    let steps = match nodes.get(1).and_then(Node::literal) {
        Some(Some(Value::String(text))) => steps(text),
        _ => None,
    };
    let expected = "a path such as '$.user.emails[0]'".to_owned();
    let steps = steps.ok_or(Refusal { argument: 1, expected })?;
    Ok(Built::new(move |args| {
        let mut at = args.text(0)?.to_owned();
        for step in &steps {
            match taken(&at, step) {
                Some(found) => at = found,
                None => return Ok(None),
            }
        }
        Ok(Some(Value::Json(at)))
    }))
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (place, after) = after.split_once(']')?;
            steps.push(Step::Place(place.trim().parse().ok()?));
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let (name, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(['.', '[']).unwrap_or(after.len())),
            };
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        }
    }
    Some(steps)
}
