//! What a feature of a view of events aggregates: its call, its condition and its bucket, typed over the columns of a source.

use std::collections::BTreeMap;

use asof_expression::{Expression, Scope, syntax};
use asof_model::aggregation::{Aggregation, Withdrawal};
use asof_model::{ScalarType, ValueType, name};
use asof_window::{Aggregate, Function};
use sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, UnaryOperator, Value,
};

use super::error::TransformError;
use super::syntax::{Result, unnested};
use super::table::SourceColumns;

/// An aggregation that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Understood {
    /// The name of the function.
    pub function: String,
    /// The numbers that it takes behind its argument, as canonical text.
    pub parameters: Vec<String>,
    /// Its argument. `None`: it counts events.
    pub argument: Option<Part>,
    /// The condition.
    pub filter: Option<Part>,
    /// The bucket.
    pub by: Option<Part>,
    /// The type of its result.
    pub value_type: ValueType,
    /// All of it in one spelling.
    pub text: String,
}

/// An expression over the columns of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// In one spelling.
    pub text: String,
    /// The column that it is, if it is one and nothing else.
    pub column: Option<String>,
    /// Its type.
    pub value_type: ValueType,
    /// The columns that it reads.
    pub from: BTreeMap<String, ValueType>,
}

/// Which part of an aggregation an error is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The call.
    Call,
    /// The condition.
    Filter,
    /// The bucket.
    By,
}

/// Types an aggregation over the columns of its source.
///
/// # Errors
/// [`TransformError`], and the part that it is of.
pub fn understood(
    of: &Aggregation,
    columns: &SourceColumns,
) -> std::result::Result<Understood, (Where, TransformError)> {
    let (function, parameters, argument) = call(&of.call, columns).map_err(|error| (Where::Call, error))?;
    let filter = of.filter.as_deref().map(|text| condition(text, columns)).transpose();
    let filter = filter.map_err(|error| (Where::Filter, error))?;
    let by =
        of.by.as_deref().map(|text| part(text, columns)).transpose().map_err(|error| (Where::By, error))?;
    let input = argument.as_ref().map_or(ValueType::Bool, |argument| argument.value_type);
    let single = aggregate(&function, &parameters, input).map_err(|error| (Where::Call, error))?.result();
    let value_type = match &by {
        None => single,
        Some(by) => {
            if matches!(by.value_type, ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_)) {
                let message = format!("a bucket has a name, and `{}` is {}", by.text, by.value_type);
                return Err((Where::By, plain(message, "name a column of text or numbers")));
            }
            let scalar = ScalarType::try_from(single).map_err(|_| {
                let message = format!("`{function}` gives {single}, which no map can hold");
                (Where::By, plain(message, "leave out `by`, or take a function that gives one value"))
            })?;
            ValueType::Map(scalar)
        }
    };
    let mut text = format!("{function}(");
    text.push_str(argument.as_ref().map_or("*", |argument| &argument.text));
    parameters.iter().for_each(|parameter| text.push_str(&format!(", {parameter}")));
    text.push(')');
    filter.iter().for_each(|filter| text.push_str(&format!(" where {}", filter.text)));
    by.iter().for_each(|by| text.push_str(&format!(" by {}", by.text)));
    Ok(Understood { function, parameters, argument, filter, by, value_type, text })
}

/// Whether a version of an event takes the event away, as a number ([`Withdrawal`]): what a column says, or that it does not.
///
/// # Errors
/// [`TransformError`] for a column that is not there, or is not a bool.
pub fn withdrawal(deleted: Option<&str>, columns: &SourceColumns) -> Result<Part> {
    let (stands, gone) = (Withdrawal::Stands.mark(), Withdrawal::Deleted.mark());
    let Some(column) = deleted else { return part(&stands.to_string(), columns) };
    let found = part(&format!("\"{}\"", column.replace('"', "\"\"")), columns)?;
    match found.value_type {
        ValueType::Bool => part(&format!("case when {} then {gone} else {stands} end", found.text), columns),
        other => {
            let message = format!("`deleted` says yes or no, and `{column}` is {other}");
            Err(plain(message, "name a column of bools"))
        }
    }
}

/// The aggregate of that name with these parameters, over values of a type.
///
/// # Errors
/// [`TransformError`]: there is none.
pub fn aggregate(function: &str, parameters: &[String], input: ValueType) -> Result<Aggregate> {
    let numbers: Vec<f64> = parameters.iter().filter_map(|each| each.parse().ok()).collect();
    let Some(made) = Function::of(function, &numbers) else {
        let known = Function::names().map(|(name, _)| name);
        let hint = name::suggestion(function, known);
        return Err(plain(format!("there is no aggregate function `{function}`"), &hint.unwrap_or_default()));
    };
    let made = made.map_err(|message| plain(message, ""))?;
    Aggregate::new(made, input).ok_or_else(|| {
        plain(format!("`{function}` does not take {input}"), "cast its argument, or take another function")
    })
}

fn plain(message: String, hint: &str) -> TransformError {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    TransformError { message, place: None, hint, unknown_column: false }
}

/// A function, its parameters, and its argument.
fn call(text: &str, columns: &SourceColumns) -> Result<(String, Vec<String>, Option<Part>)> {
    let expr = syntax(text)?;
    let example = "write a function over a column, such as `sum(amount)` or `count()`";
    let Expr::Function(function) = unnested(&expr) else {
        return Err(TransformError::at(expr.span(), "an aggregate is a function of events", Some(example)));
    };
    let name = function.name.to_string().to_ascii_lowercase();
    let FunctionArguments::List(list) = &function.args else {
        return Err(TransformError::at(expr.span(), "an aggregate is a function of events", Some(example)));
    };
    if function.filter.is_some() || function.over.is_some() || !list.clauses.is_empty() {
        let hint = "write `where`, `over` and `by` as keys of the feature";
        return Err(TransformError::at(
            expr.span(),
            "the call of an aggregate is its function alone",
            Some(hint),
        ));
    }
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
        let hint = "write `count_distinct(column)`";
        return Err(TransformError::at(expr.span(), "`distinct` is not part of a call", Some(hint)));
    }
    let mut argument = None;
    let mut parameters = Vec::new();
    for (place, each) in list.args.iter().enumerate() {
        let of = match each {
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if place == 0 && name == "count" => continue,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) => of,
            _ => {
                let message = format!("`{name}` does not take `{each}`");
                return Err(TransformError::at(expr.span(), message, Some(example)));
            }
        };
        match place {
            0 => argument = Some(part_of(of, text, columns)?),
            _ => parameters.push(number(of).ok_or_else(|| {
                let message =
                    format!("what `{name}` takes behind its argument are numbers, and `{of}` is none");
                TransformError::at(of.span(), message, None)
            })?),
        }
    }
    if argument.is_none() && name != "count" {
        let message = format!("`{name}` says nothing of what it is over");
        return Err(TransformError::at(expr.span(), message, Some(&format!("write `{name}(column)`"))));
    }
    Ok((name, parameters, argument))
}

/// A number as canonical text.
fn number(expr: &Expr) -> Option<String> {
    let (negative, expr) = match unnested(expr) {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (true, unnested(expr)),
        expr => (false, expr),
    };
    let Expr::Value(value) = expr else { return None };
    let Value::Number(text, _) = &value.value else { return None };
    let number: f64 = text.to_string().parse().ok()?;
    Some((if negative { -number } else { number }).to_string())
}

fn condition(text: &str, columns: &SourceColumns) -> Result<Part> {
    let part = part(text, columns)?;
    if part.value_type != ValueType::Bool {
        let message = format!("`where` takes a condition, and `{}` is {}", part.text, part.value_type);
        return Err(plain(message, "write a comparison"));
    }
    Ok(part)
}

fn part(text: &str, columns: &SourceColumns) -> Result<Part> {
    part_of(&syntax(text)?, text, columns)
}

fn part_of(expr: &Expr, text: &str, columns: &SourceColumns) -> Result<Part> {
    let scope = Scope::new(columns.typed());
    let typed = Expression::from_sql(expr, text, &scope).map_err(|error| columns.explain(error.into()))?;
    let column =
        matches!(unnested(expr), Expr::Identifier(_)).then(|| typed.columns().first().cloned()).flatten();
    Ok(Part {
        text: typed.to_string(),
        column,
        value_type: typed.value_type(),
        from: typed.columns().iter().cloned().zip(typed.column_types().iter().copied()).collect(),
    })
}
