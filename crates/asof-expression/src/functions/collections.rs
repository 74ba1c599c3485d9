//! Lists, maps and embeddings. A list is ordered, so sums add from its first item to its last.

use asof_model::Value;

use crate::function::{Args, Body, Failed, Function, Outcome, bool, count, entry, float, int};
use crate::limits::GROWN_LIST_ELEMENTS_MAX;
use crate::order;

const PAIR: &[&str] = &["(x embedding, y embedding) -> float64"];

pub(crate) const ALL: &[&Function] = &[
    &entry(
        "[]",
        &[
            "(items list, place int64) -> any",
            "(members map, key string) -> any",
            "(x embedding, place int64) -> float64",
        ],
        "`items[1]` is the first item, `members['a']` the value of the key. Null where there is none.",
        "",
        &[
            ("array[10, 20][2]", "20"),
            ("array[10, 20][3]", "null"),
            ("cast('{\"a\": 1}' as map(string, int64))['a']", "1"),
        ],
        Body::Plain(item),
    )
    .also(&["map_get", "list_get"]),
    &entry(
        "cardinality",
        &["(x list) -> int64", "(x map) -> int64", "(x embedding) -> int64"],
        "How many items there are, nulls among them.",
        "",
        &[("cardinality(array[1, null])", "2")],
        Body::Plain(|args| match args.value(0)? {
            Value::List(v) => count(v.len()),
            Value::Map(v) => count(v.len()),
            Value::Embedding(v) => count(v.len()),
            _ => Err(Failed),
        }),
    )
    .also(&["array_length", "list_length"]),
    &entry(
        "list_contains",
        &["(items list, x any) -> bool"],
        "Whether an item equals it.",
        "",
        &[("list_contains(array[1, 2], 2)", "true"), ("list_contains(array[1, null], 3)", "false")],
        Body::Plain(|args| {
            let wanted = args.value(1)?;
            bool(args.list(0)?.iter().flatten().any(|item| order::compare(item, wanted).is_eq()))
        }),
    )
    .also(&["array_contains", "list_has"]),
    &entry(
        "list_sum",
        &["(items list(int64)) -> int64", "(items list(float64)) -> float64"],
        "The sum from the first item to the last, nulls left out; floats are rounded at each step. Null without items.",
        "integers: the sum does not fit",
        &[("list_sum(array[1, null, 2])", "3"), ("list_sum(array[9223372036854775807, 1])", "ERROR")],
        Body::Plain(sum),
    ),
    &entry(
        "list_avg",
        &["(items list(float64)) -> float64"],
        "`list_sum` of the items as floats, divided by how many are not null. Null without items.",
        "",
        &[("list_avg(array[1, 2, null])", "1.5")],
        Body::Plain(|args| {
            let items = floats(args.list(0)?);
            if items.is_empty() {
                Ok(None)
            } else {
                float(items.iter().fold(0.0, |sum, v| sum + v) / items.len() as f64)
            }
        }),
    ),
    &entry(
        "list_min",
        &["(items list) -> any"],
        "The least item; nulls and NaN are left out (NaN alone: null).",
        "",
        &[("list_min(array[3, 1, null])", "1")],
        Body::Plain(|args| extreme(args, std::cmp::Ordering::is_lt)),
    ),
    &entry(
        "list_max",
        &["(items list) -> any"],
        "The greatest item; nulls and NaN are left out (NaN alone: null).",
        "",
        &[("list_max(array[3, 1, null])", "3")],
        Body::Plain(|args| extreme(args, std::cmp::Ordering::is_gt)),
    ),
    &entry(
        "list_sort",
        &["(items list) -> list", "(items list, direction literal string) -> list"],
        "In ascending order, or with `'desc'` in descending order; nulls last.",
        "",
        &[("list_sort(array[3, null, 1])", "[1,3,null]"), ("list_sort(array[1, 2], 'desc')", "[2,1]")],
        Body::Built(|nodes| {
            let descending = match nodes.get(1).map(crate::node::Node::literal) {
                None => false,
                Some(Some(Some(Value::String(text)))) if text.eq_ignore_ascii_case("asc") => false,
                Some(Some(Some(Value::String(text)))) if text.eq_ignore_ascii_case("desc") => true,
                Some(_) => {
                    return Err(crate::function::Refusal {
                        argument: 1,
                        expected: "'asc' or 'desc'".to_owned(),
                    });
                }
            };
            Ok(crate::function::Built::new(move |args| sorted(args, descending)))
        }),
    ),
    &entry(
        "list_distinct",
        &["(items list) -> list"],
        "Each value once, where it stands first.",
        "",
        &[("list_distinct(array[2, 1, 2])", "[2,1]")],
        Body::Plain(distinct),
    ),
    &entry(
        "list_slice",
        &["(items list, first int64, last int64) -> list"],
        "The items from the first place to the last, both counted from 1 and included.",
        "",
        &[("list_slice(array[1, 2, 3, 4], 2, 3)", "[2,3]")],
        Body::Plain(|args| {
            let items = args.list(0)?;
            let place = |at: i64| usize::try_from(at.max(0)).unwrap_or(usize::MAX).min(items.len());
            let (first, last) = (place(args.int(1)?.saturating_sub(1)), place(args.int(2)?));
            Ok(Some(Value::List(items.get(first..last).unwrap_or_default().to_vec())))
        }),
    ),
    &entry(
        "list_concat",
        &["(x list, y list, ...) -> list"],
        "The items of all lists; null if one is null. Also `x || y`.",
        "the result has more than 1048576 items",
        &[("list_concat(array[1], array[2, 3])", "[1,2,3]"), ("array[1] || array[2]", "[1,2]")],
        Body::Plain(|args| {
            let mut items = Vec::new();
            for at in 0..args.len() {
                items.extend_from_slice(args.list(at)?);
            }
            if items.len() > GROWN_LIST_ELEMENTS_MAX { Err(Failed) } else { Ok(Some(Value::List(items))) }
        }),
    )
    .also(&["list_cat", "array_concat"]),
    &entry(
        "list_reverse",
        &["(items list) -> list"],
        "The items from the last to the first.",
        "",
        &[("list_reverse(array[1, 2])", "[2,1]")],
        Body::Plain(|args| Ok(Some(Value::List(args.list(0)?.iter().rev().cloned().collect())))),
    ),
    &entry(
        "map_keys",
        &["(members map) -> list(string)"],
        "The keys in order.",
        "",
        &[("map_keys(cast('{\"b\": 1, \"a\": 2}' as map(string, int64)))", "[\"a\",\"b\"]")],
        Body::Plain(|args| {
            Ok(Some(Value::List(
                args.map(0)?.iter().map(|(key, _)| Some(Value::String(key.clone()))).collect(),
            )))
        }),
    ),
    &entry(
        "map_values",
        &["(members map) -> list"],
        "The values in the order of their keys.",
        "",
        &[("map_values(cast('{\"b\": 1, \"a\": 2}' as map(string, int64)))", "[2,1]")],
        Body::Plain(|args| {
            Ok(Some(Value::List(args.map(0)?.iter().map(|(_, value)| value.clone()).collect())))
        }),
    ),
    &entry(
        "map_contains_key",
        &["(members map, key string) -> bool"],
        "Whether the key is there, its value null or not.",
        "",
        &[("map_contains_key(cast('{\"a\": null}' as map(string, int64)), 'a')", "true")],
        Body::Plain(|args| {
            let key = args.text(1)?;
            bool(args.map(0)?.iter().any(|(each, _)| each == key))
        }),
    ),
    &entry(
        "dot_product",
        PAIR,
        "The sum of products, from the first dimension to the last.",
        "",
        &[("dot_product(cast('[1, 2]' as embedding(2)), cast('[3, 4]' as embedding(2)))", "11.0")],
        Body::Plain(|args| float(dot(args.embedding(0)?, args.embedding(1)?))),
    ),
    &entry(
        "cosine_similarity",
        PAIR,
        "The cosine of the angle between both; NaN where one is all zeros.",
        "",
        &[("cosine_similarity(cast('[1, 0]' as embedding(2)), cast('[0, 1]' as embedding(2)))", "0.0")],
        Body::Plain(|args| {
            let (a, b) = (args.embedding(0)?, args.embedding(1)?);
            float(dot(a, b) / (libm::sqrt(dot(a, a)) * libm::sqrt(dot(b, b))))
        }),
    ),
    &entry(
        "l2_distance",
        PAIR,
        "The Euclidean distance.",
        "",
        &[("l2_distance(cast('[0, 0]' as embedding(2)), cast('[3, 4]' as embedding(2)))", "5.0")],
        Body::Plain(|args| {
            let pairs = args.embedding(0)?.iter().zip(args.embedding(1)?);
            let squares = pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)).fold(0.0, |sum, d| sum + d * d);
            float(libm::sqrt(squares))
        }),
    ),
    &entry(
        "l2_norm",
        &["(x embedding) -> float64"],
        "The Euclidean length.",
        "",
        &[("l2_norm(cast('[3, 4]' as embedding(2)))", "5.0")],
        Body::Plain(|args| float(libm::sqrt(dot(args.embedding(0)?, args.embedding(0)?)))),
    ),
];

fn item(args: &Args<'_>) -> Outcome {
    match args.value(0)? {
        Value::Map(members) => {
            let key = args.text(1)?;
            let found = members.binary_search_by(|(each, _)| each.as_str().cmp(key)).ok();
            Ok(found.and_then(|at| members.get(at)).and_then(|(_, value)| value.clone()))
        }
        Value::List(items) => Ok(place(args.int(1)?).and_then(|at| items.get(at)).and_then(Clone::clone)),
        Value::Embedding(items) => match place(args.int(1)?).and_then(|at| items.get(at)) {
            Some(v) => float(f64::from(*v)),
            None => Ok(None),
        },
        _ => Err(Failed),
    }
}

/// A place counted from 1, as one counted from 0.
fn place(at: i64) -> Option<usize> {
    usize::try_from(at.checked_sub(1)?).ok()
}

fn sum(args: &Args<'_>) -> Outcome {
    let items = args.list(0)?;
    let Some(first) = items.iter().flatten().next() else { return Ok(None) };
    if matches!(first, Value::Float64(_)) {
        return float(floats(items).iter().fold(0.0, |sum, v| sum + v));
    }
    let mut sum = 0_i128;
    for item in items.iter().flatten() {
        if let Value::Int64(v) = item {
            sum += i128::from(*v);
        }
    }
    // Only the final sum has to fit: the order of items does not matter.
    int(i64::try_from(sum).map_err(|_| Failed)?)
}

fn floats(items: &[Option<Value>]) -> Vec<f64> {
    let floats = items.iter().flatten().filter_map(|item| match item {
        Value::Float64(v) => Some(*v),
        _ => None,
    });
    floats.collect()
}

fn extreme(args: &Args<'_>, better: fn(std::cmp::Ordering) -> bool) -> Outcome {
    let is_nan = |value: &Value| match value {
        Value::Float32(v) => v.is_nan(),
        Value::Float64(v) => v.is_nan(),
        _ => false,
    };
    let mut best: Option<&Value> = None;
    for value in args.list(0)?.iter().flatten().filter(|value| !is_nan(value)) {
        if best.is_none_or(|best| better(order::compare(value, best))) {
            best = Some(value);
        }
    }
    Ok(best.cloned())
}

fn sorted(args: &Args<'_>, descending: bool) -> Outcome {
    let mut items = args.list(0)?.to_vec();
    items.sort_by(|a, b| match (a, b) {
        (Some(a), Some(b)) if descending => order::compare(b, a),
        (a, b) => order::compare_nulls_last(a.as_ref(), b.as_ref()),
    });
    Ok(Some(Value::List(items)))
}

fn distinct(args: &Args<'_>) -> Outcome {
    let items = args.list(0)?;
    let mut places: Vec<usize> = (0..items.len()).collect();
    // Equal items side by side, the first of them first.
    places.sort_by(|a, b| order::compare_nulls_last(items[*a].as_ref(), items[*b].as_ref()).then(a.cmp(b)));
    places.dedup_by(|b, a| items[*a] == items[*b]);
    places.sort_unstable();
    Ok(Some(Value::List(places.into_iter().map(|at| items[at].clone()).collect())))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + f64::from(*a) * f64::from(*b))
}
