//! The evaluation of one row: a walk over the tree, as the semantics say it, checkable by eye.
//!
//! ERROR in an argument is the result, also beside a null. `and`, `or`, `case`, `coalesce`, `between` and `in` read
//! from left to right and stop where the result is known; what they do not reach does not matter.

use std::borrow::Cow;

use asof_model::{Cell, Instant, Value, ValueType};

use crate::cast;
use crate::function::{Args, Outcome, RowFunction};
use crate::node::{Kind, Node};
use crate::order;

/// What a part of an expression gives in one row.
#[derive(Debug, Clone)]
pub(crate) enum Got<'a> {
    Null,
    Error,
    Value(Cow<'a, Value>),
}

/// True, false, null or ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Null,
    Error,
}

/// The inputs of one row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The columns that the expression reads, in its order.
    pub cells: &'a [&'a Cell],
    pub request_timestamp: Instant,
}

/// The result of a part in one row.
pub(crate) fn evaluate<'a>(node: &'a Node, row: &Row<'a>) -> Got<'a> {
    match &node.kind {
        Kind::Literal { value, .. } => {
            value.as_ref().map_or(Got::Null, |value| Got::Value(Cow::Borrowed(value)))
        }
        Kind::Column(number) => match row.cells.get(*number).copied() {
            Some(Cell::Value(value)) => Got::Value(Cow::Borrowed(value)),
            Some(Cell::Null) => Got::Null,
            Some(Cell::Error) | None => Got::Error,
        },
        Kind::RequestTimestamp => Got::Value(Cow::Owned(Value::Timestamp(row.request_timestamp))),
        Kind::And(parts) => truth_value(all(parts, row)),
        Kind::Or(parts) => truth_value(any(parts, row)),
        Kind::IsNull { operand, negated } => match evaluate(operand, row) {
            Got::Error => Got::Error,
            Got::Null => truth_value(if *negated { Truth::False } else { Truth::True }),
            Got::Value(_) => truth_value(if *negated { Truth::True } else { Truth::False }),
        },
        Kind::Coalesce(parts) => coalesce(parts, row),
        Kind::Case { operand, arms, otherwise } => case(operand.as_deref(), arms, otherwise.as_deref(), row),
        Kind::Between { operand, low, high, negated } => {
            let operand = evaluate(operand, row);
            let above = compared(&operand, low, row, |order| order.is_ge());
            let inside = match above {
                Truth::False | Truth::Error => above,
                above => and(above, compared(&operand, high, row, |order| order.is_le())),
            };
            truth_value(if *negated { opposite(inside) } else { inside })
        }
        Kind::In { operand, list, negated } => {
            let found = is_in(&evaluate(operand, row), list, row);
            truth_value(if *negated { opposite(found) } else { found })
        }
        Kind::Cast { operand, attempt, .. } => match evaluate(operand, row) {
            Got::Value(value) if value.is_of(node.value_type) => Got::Value(value),
            Got::Value(value) => match cast(&value, node.value_type, *attempt) {
                Cell::Value(value) => Got::Value(Cow::Owned(value)),
                Cell::Null => Got::Null,
                Cell::Error => Got::Error,
            },
            other => other,
        },
        Kind::Call { row: function, arguments, .. } => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                match evaluate(argument, row) {
                    Got::Error => return Got::Error,
                    Got::Null => values.push(None),
                    Got::Value(value) => values.push(Some(value)),
                }
            }
            got(function.call(&Args(&values)))
        }
    }
}

impl Got<'_> {
    /// As a cell of its own.
    pub fn into_cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Error => Cell::Error,
            Self::Value(value) => Cell::Value(value.into_owned()),
        }
    }
}

fn got<'a>(outcome: Outcome) -> Got<'a> {
    match outcome {
        Ok(Some(value)) => Got::Value(Cow::Owned(value)),
        Ok(None) => Got::Null,
        Err(_) => Got::Error,
    }
}

/// A call over cells.
pub(crate) fn call(function: &RowFunction, cells: &[Cell]) -> Cell {
    if cells.contains(&Cell::Error) {
        return Cell::Error;
    }
    let values: Vec<Option<Cow<'_, Value>>> =
        cells.iter().map(|cell| cell.value().map(Cow::Borrowed)).collect();
    got(function.call(&Args(&values))).into_cell()
}

/// A cast of a value; one that is an attempt gives null where the cast is ERROR.
pub(crate) fn cast(value: &Value, to: ValueType, attempt: bool) -> Cell {
    match cast::cast(value, to) {
        Err(_) if attempt => Cell::Null,
        outcome => got(outcome).into_cell(),
    }
}

fn coalesce<'a>(parts: &'a [Node], row: &Row<'a>) -> Got<'a> {
    for part in parts {
        match evaluate(part, row) {
            Got::Null => {}
            decided => return decided,
        }
    }
    Got::Null
}

fn case<'a>(
    operand: Option<&'a Node>,
    arms: &'a [(Node, Node)],
    otherwise: Option<&'a Node>,
    row: &Row<'a>,
) -> Got<'a> {
    let operand = operand.map(|operand| evaluate(operand, row));
    for (condition, result) in arms {
        let selected = match &operand {
            None => truth(&evaluate(condition, row)),
            Some(operand) => compared(operand, condition, row, |order| order.is_eq()),
        };
        match selected {
            Truth::True => return evaluate(result, row),
            Truth::Error => return Got::Error,
            Truth::False | Truth::Null => {}
        }
    }
    otherwise.map_or(Got::Null, |otherwise| evaluate(otherwise, row))
}

fn is_in<'a>(operand: &Got<'a>, list: &'a [Node], row: &Row<'a>) -> Truth {
    let mut found = Truth::False;
    for item in list {
        match compared(operand, item, row, |order| order.is_eq()) {
            Truth::False => {}
            Truth::Null => found = Truth::Null,
            decided => return decided,
        }
    }
    found
}

fn all<'a>(parts: &'a [Node], row: &Row<'a>) -> Truth {
    let mut so_far = Truth::True;
    for part in parts {
        match truth(&evaluate(part, row)) {
            Truth::True => {}
            Truth::Null => so_far = Truth::Null,
            decided => return decided,
        }
    }
    so_far
}

fn any<'a>(parts: &'a [Node], row: &Row<'a>) -> Truth {
    let mut so_far = Truth::False;
    for part in parts {
        match truth(&evaluate(part, row)) {
            Truth::False => {}
            Truth::Null => so_far = Truth::Null,
            decided => return decided,
        }
    }
    so_far
}

/// `left and right`, where left is true or null.
fn and(left: Truth, right: Truth) -> Truth {
    match right {
        Truth::True => left,
        decided => decided,
    }
}

fn opposite(of: Truth) -> Truth {
    match of {
        Truth::True => Truth::False,
        Truth::False => Truth::True,
        other => other,
    }
}

/// A comparison of a value at hand with another part: ERROR before null, as in every call.
fn compared<'a>(
    left: &Got<'a>,
    right: &'a Node,
    row: &Row<'a>,
    holds: impl Fn(std::cmp::Ordering) -> bool,
) -> Truth {
    match (left, evaluate(right, row)) {
        (Got::Error, _) | (_, Got::Error) => Truth::Error,
        (Got::Null, _) | (_, Got::Null) => Truth::Null,
        (Got::Value(left), Got::Value(right)) if holds(order::compare(left, &right)) => Truth::True,
        _ => Truth::False,
    }
}

fn truth(got: &Got<'_>) -> Truth {
    match got {
        Got::Null => Truth::Null,
        Got::Error => Truth::Error,
        Got::Value(value) => match value.as_ref() {
            Value::Bool(true) => Truth::True,
            Value::Bool(false) => Truth::False,
            // Conditions are typed: a value of another type is a defect of the caller, and is said.
            _ => Truth::Error,
        },
    }
}

fn truth_value<'a>(truth: Truth) -> Got<'a> {
    match truth {
        Truth::True => Got::Value(Cow::Owned(Value::Bool(true))),
        Truth::False => Got::Value(Cow::Owned(Value::Bool(false))),
        Truth::Null => Got::Null,
        Truth::Error => Got::Error,
    }
}
