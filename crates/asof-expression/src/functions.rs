//! The table of functions and operators: one entry each. Adding one is adding an entry to a group.

mod collections;
pub(crate) mod conditional;
mod hash;
mod json;
mod math;
pub(crate) mod operators;
mod pattern;
mod text;
pub(crate) mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::function::Function;
use crate::signature::Signature;

/// The groups of the table with their titles, in the order of the reference.
pub(crate) const GROUPS: &[(&str, &[&Function])] = &[
    ("Operators and forms", operators::ALL),
    ("Conditions and nulls", conditional::ALL),
    ("Numbers", math::ALL),
    ("Text", text::ALL),
    ("Patterns", pattern::ALL),
    ("Time", time::ALL),
    ("Lists, maps and embeddings", collections::ALL),
    ("JSON", json::ALL),
    ("Hashes", hash::ALL),
];

struct Entry {
    function: &'static Function,
    signatures: Vec<Signature>,
}

static BY_NAME: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| {
    let mut entries = HashMap::new();
    for function in GROUPS.iter().flat_map(|(_, functions)| functions.iter()) {
        for name in std::iter::once(&function.name).chain(function.aliases) {
            let signatures = function.signatures.iter().filter_map(|text| Signature::parse(text)).collect();
            entries.insert(*name, Entry { function, signatures });
        }
    }
    entries
});

/// The function of that name, in lower case.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).map(|entry| entry.function)
}

/// The ways to call a function.
pub(crate) fn signatures(function: &Function) -> &'static [Signature] {
    BY_NAME.get(function.name).map_or(&[], |entry| entry.signatures.as_slice())
}

/// The names that can be called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME
        .iter()
        .filter(|(name, entry)| {
            let called = format!("{name}(");
            entry.function.signatures.iter().any(|text| text.starts_with('(') || text.starts_with(&called))
        })
        .map(|(name, _)| *name)
}

/// What is said where somebody reaches for a function over many rows.
pub(crate) const NOT_ROW_WISE_HINT: &str =
    "an expression sees one row; aggregates over events are written as `aggregate:` of a feature";

/// What a name that is no function of the table stands for.
pub(crate) enum Meaning {
    /// Nothing special.
    Unknown,
    /// A function of SQL that is refused on purpose.
    Refused { reason: &'static str, hint: Option<&'static str> },
}

/// Names that SQL users reach for and that can't be had: what is volatile, and what needs more than a row.
pub(crate) fn meaning(name: &str) -> Meaning {
    match name {
        "now"
        | "current_timestamp"
        | "localtimestamp"
        | "transaction_timestamp"
        | "statement_timestamp"
        | "clock_timestamp"
        | "sysdate"
        | "getdate"
        | "unix_timestamp" => Meaning::Refused {
            reason: "it depends on when it is run, so training and serving would differ",
            hint: Some("write `request_timestamp()` for the instant of the request"),
        },
        "current_date" | "today" => Meaning::Refused {
            reason: "it depends on when it is run, so training and serving would differ",
            hint: Some("write `cast(request_timestamp() as date)` for the day of the request"),
        },
        "current_time" | "localtime" => Meaning::Refused {
            reason: "it depends on when it is run, so training and serving would differ",
            hint: Some("write `date_part('hour', request_timestamp())` for the hour of the request"),
        },
        "random" | "rand" | "randn" | "setseed" | "uniform" => Meaning::Refused {
            reason: "it gives another value each time, so training and serving would differ",
            hint: Some("write `hash_bucket(key, n)` for a choice that is the same everywhere"),
        },
        "uuid" | "gen_random_uuid" | "uuid_generate_v4" | "generate_uuid" | "newid" => Meaning::Refused {
            reason: "it gives another value each time, so training and serving would differ",
            hint: None,
        },
        "current_user" | "session_user" | "user" | "current_catalog" | "current_schema" | "version"
        | "current_database" | "pg_sleep" | "nextval" => Meaning::Refused {
            reason: "it depends on who runs it and where, so training and serving would differ",
            hint: None,
        },
        "sum"
        | "count"
        | "avg"
        | "mean"
        | "min"
        | "max"
        | "median"
        | "stddev"
        | "stddev_pop"
        | "stddev_samp"
        | "variance"
        | "var_pop"
        | "var_samp"
        | "array_agg"
        | "string_agg"
        | "count_if"
        | "any_value"
        | "approx_distinct"
        | "approx_count_distinct"
        | "bool_and"
        | "bool_or"
        | "first_value"
        | "last_value"
        | "row_number"
        | "rank"
        | "dense_rank"
        | "lag"
        | "lead"
        | "ntile"
        | "unnest"
        | "generate_series" => {
            Meaning::Refused { reason: "it needs more than one row", hint: Some(NOT_ROW_WISE_HINT) }
        }
        _ => Meaning::Unknown,
    }
}
