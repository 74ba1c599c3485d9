//! Expressions: text in, values out, of one row and of columns.

#![allow(clippy::unwrap_used, clippy::panic)]

mod columns;
mod reference;
mod semantics;
mod texts;

use asof_expression::{Expression, Scope};
use asof_model::{Cell, Instant, Value, ValueType, Zone, entry};

/// The `t` of every test.
fn t() -> Instant {
    Instant::parse("2024-05-06T07:08:09.123456Z", &Zone::utc()).unwrap()
}

/// One column of each type, named after it.
fn columns() -> Vec<(&'static str, ValueType)> {
    [
        ("i32", "int32"),
        ("i64", "int64"),
        ("f32", "float32"),
        ("f64", "float64"),
        ("text", "string"),
        ("flag", "bool"),
        ("raw", "bytes"),
        ("ts", "timestamp"),
        ("day", "date"),
        ("amount", "decimal(10, 2)"),
        ("fee", "decimal(6, 4)"),
        ("id", "uuid"),
        ("doc", "json"),
        ("ints", "list(int64)"),
        ("floats", "list(float64)"),
        ("words", "list(string)"),
        ("counts", "map(string, int64)"),
        ("vector", "embedding(3)"),
        ("Population", "int64"),
    ]
    .into_iter()
    .map(|(name, of)| (name, ValueType::parse(of).unwrap()))
    .collect()
}

fn scope() -> Scope {
    Scope::new(columns()).with_table("source").with_request_timestamp()
}

fn parse(text: &str) -> Expression {
    Expression::parse(text, &scope()).unwrap_or_else(|error| panic!("{text}: {}", error.sentence()))
}

/// What is wrong with a text, as one line.
fn refusal(text: &str) -> String {
    match Expression::parse(text, &scope()) {
        Ok(expression) => panic!("{text} is read as {expression}"),
        Err(error) => error.sentence(),
    }
}

/// The text of a cell.
fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Error => "ERROR".to_owned(),
        Cell::Value(value) => entry::to_text(value),
    }
}

/// The result over one row, whose columns are null but for those given as text.
fn row(text: &str, values: &[(&str, &str)]) -> String {
    let expression = parse(text);
    let cells: Vec<Cell> = expression
        .columns()
        .iter()
        .zip(expression.column_types())
        .map(|(name, of)| match values.iter().find(|(each, _)| each == name) {
            None => Cell::Null,
            Some((_, "ERROR")) => Cell::Error,
            Some((_, text)) => Cell::Value(value(text, *of)),
        })
        .collect();
    shown(&expression.evaluate_row(&cells, t()))
}

fn value(text: &str, of: ValueType) -> Value {
    entry::from_text(text, of, &Zone::utc()).unwrap()
}
