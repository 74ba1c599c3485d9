//! Which calls in a query are not scalar: aggregates and window functions.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Function, visit_expressions};

/// The aggregate functions of queries.
pub(crate) const AGGREGATES: [&str; 14] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "var_pop",
    "var_samp",
    "variance",
    "stddev_pop",
    "stddev_samp",
    "stddev",
    "array_agg",
];

/// The functions that look at other rows of a window.
pub(crate) const WINDOW_FUNCTIONS: [&str; 7] =
    ["row_number", "rank", "dense_rank", "lag", "lead", "first_value", "last_value"];

/// The function's name in lower case.
pub(crate) fn name_of(function: &Function) -> String {
    function.name.to_string().to_lowercase()
}

/// Whether it is a call over several rows.
pub(crate) fn is_over_rows(function: &Function) -> bool {
    let name = name_of(function);
    function.over.is_some()
        || AGGREGATES.contains(&name.as_str())
        || WINDOW_FUNCTIONS.contains(&name.as_str())
}

/// Whether an expression has a call over several rows in it.
pub(crate) fn reads_several_rows(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |part| match part {
        Expr::Function(function) if is_over_rows(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
