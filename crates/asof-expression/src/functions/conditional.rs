//! Choosing among values.

use asof_model::Value;

use crate::function::{Args, Body, Function, Outcome, entry};
use crate::order;

static CASE: Function = entry(
    "case",
    &[
        "case when bool then any ... [else any] end -> any",
        "case any when any then any ... [else any] end -> any",
    ],
    "The result of the first arm whose condition is true, else that of `else`, else null. Arms that are not selected do \
     not matter, ERROR included; conditions are read in order.",
    "",
    &[
        ("case when 1 > 2 then 1 / 0 else 5 end", "5"),
        ("case 2 when 1 then 'one' when 2 then 'two' end", "two"),
    ],
    Body::Syntax,
);
/// `if(condition, yes, no)`
pub(crate) static IF: Function = entry(
    "if",
    &["if(bool, any [, any]) -> any"],
    "`case when condition then yes else no end`.",
    "",
    &[("if(1 < 2, 'yes', 'no')", "yes")],
    Body::Syntax,
)
.also(&["iff"]);
/// `coalesce(...)`
pub(crate) static COALESCE: Function = entry(
    "coalesce",
    &["coalesce(any, ...) -> any"],
    "The first that is not null. What stands behind it does not matter, ERROR included; an ERROR before it is the result.",
    "",
    &[("coalesce(null, 5, 1 / 0)", "5"), ("coalesce(1 / 0, 5)", "ERROR")],
    Body::Syntax,
)
.also(&["ifnull", "nvl"]);

pub(crate) const ALL: &[&Function] = &[
    &CASE,
    &IF,
    &COALESCE,
    &entry(
        "nullif",
        &["(x any, y any) -> any"],
        "Null where both are equal, else the first.",
        "",
        &[("nullif(5, 0)", "5"), ("nullif(0, 0)", "null")],
        Body::Nulls(nullif),
    ),
    &entry(
        "greatest",
        &["(x any, ...) -> any"],
        "The greatest that is not null; NaN is greater than every number. Null if all are null.",
        "",
        &[("greatest(3, null, 7)", "7"), ("greatest('a', 'b')", "b")],
        Body::Nulls(|args| extreme(args, std::cmp::Ordering::is_gt)),
    ),
    &entry(
        "least",
        &["(x any, ...) -> any"],
        "The least that is not null. Null if all are null.",
        "",
        &[("least(3, null, 7)", "3")],
        Body::Nulls(|args| extreme(args, std::cmp::Ordering::is_lt)),
    ),
];

fn nullif(args: &Args<'_>) -> Outcome {
    Ok(match (args.get(0), args.get(1)) {
        (Some(a), Some(b)) if order::compare(a, b).is_eq() => None,
        (a, _) => a.cloned(),
    })
}

fn extreme(args: &Args<'_>, better: fn(std::cmp::Ordering) -> bool) -> Outcome {
    let mut best: Option<&Value> = None;
    for value in (0..args.len()).filter_map(|at| args.get(at)) {
        if best.is_none_or(|best| better(order::compare(value, best))) {
            best = Some(value);
        }
    }
    Ok(best.cloned())
}
