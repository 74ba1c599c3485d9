//! What a function of the table is: its signatures, its meaning in words, and its one row-wise implementation.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use asof_model::{Instant, Value};

use crate::arithmetic::Arithmetic;
use crate::node::Node;
use crate::order::Comparison;

/// The result of one row is ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// What a function gives in one row: a value, null, or ERROR.
pub(crate) type Outcome = Result<Option<Value>, Failed>;

/// One entry of the function table. The reference in `docs/expressions.md` is made from it.
pub(crate) struct Function {
    /// In lower case; an operator's sign where it is one.
    pub name: &'static str,
    /// Other names of the same function.
    pub aliases: &'static [&'static str],
    /// How it is called, such as `(text string, count int64) -> string`; see [`crate::signature`]. For forms with a
    /// syntax of their own, that syntax.
    pub signatures: &'static [&'static str],
    /// What it gives.
    pub gives: &'static str,
    /// When a row is ERROR though no argument is. Empty: never.
    pub error: &'static str,
    /// Expressions with their results as text. They are run as tests.
    pub examples: &'static [(&'static str, &'static str)],
    /// How it is evaluated.
    pub body: Body,
}

/// How a function is evaluated.
pub(crate) enum Body {
    /// By one function; null if an argument is.
    Plain(fn(&Args<'_>) -> Outcome),
    /// By one function that is also given nulls.
    Nulls(fn(&Args<'_>) -> Outcome),
    /// From one float to one float, without errors.
    Float(fn(f64) -> f64),
    /// From two floats to one float, without errors.
    Floats(fn(f64, f64) -> f64),
    /// Made when the expression is read, from literal arguments; null if another argument is.
    Built(fn(&[Node]) -> Result<Built, Refusal>),
    /// A form with a syntax of its own, or an operator: made by `crate::typing`.
    Syntax,
}

/// A function made for one call.
pub(crate) struct Built {
    pub row: RowFunction,
}

impl Built {
    /// A function that is given no nulls.
    pub fn new(row: impl Fn(&Args<'_>) -> Outcome + Send + Sync + 'static) -> Self {
        Self { row: RowFunction::strict(row) }
    }
}

/// Why a function does not take a literal argument.
pub(crate) struct Refusal {
    /// The number of the argument, from 0.
    pub argument: usize,
    /// What it should be, with its article.
    pub expected: String,
}

/// The row-wise implementation of a call.
#[derive(Clone)]
pub(crate) struct RowFunction {
    /// Whether the function wants to see nulls; otherwise a null argument makes its result null.
    pub sees_nulls: bool,
    run: Run,
}

#[derive(Clone)]
enum Run {
    Plain(fn(&Args<'_>) -> Outcome),
    Float(fn(f64) -> f64),
    Floats(fn(f64, f64) -> f64),
    Made(Arc<dyn Fn(&Args<'_>) -> Outcome + Send + Sync>),
}

impl RowFunction {
    /// Of a closure that is given no nulls.
    pub fn strict(run: impl Fn(&Args<'_>) -> Outcome + Send + Sync + 'static) -> Self {
        Self { sees_nulls: false, run: Run::Made(Arc::new(run)) }
    }

    /// Of a closure that is also given nulls.
    pub fn with_nulls(run: impl Fn(&Args<'_>) -> Outcome + Send + Sync + 'static) -> Self {
        Self { sees_nulls: true, run: Run::Made(Arc::new(run)) }
    }

    pub fn plain(run: fn(&Args<'_>) -> Outcome, sees_nulls: bool) -> Self {
        Self { sees_nulls, run: Run::Plain(run) }
    }

    pub fn float(run: fn(f64) -> f64) -> Self {
        Self { sees_nulls: false, run: Run::Float(run) }
    }

    pub fn floats(run: fn(f64, f64) -> f64) -> Self {
        Self { sees_nulls: false, run: Run::Floats(run) }
    }

    /// The result for arguments of which none is in error.
    pub fn call(&self, args: &Args<'_>) -> Outcome {
        if !self.sees_nulls && args.0.iter().any(Option::is_none) {
            return Ok(None);
        }
        match &self.run {
            Run::Plain(run) => run(args),
            Run::Float(run) => float(run(args.float(0)?)),
            Run::Floats(run) => float(run(args.float(0)?, args.float(1)?)),
            Run::Made(run) => run(args),
        }
    }
}

impl fmt::Debug for RowFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("RowFunction")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Function({})", self.name)
    }
}

/// Calls that have a columnar implementation beside the row-wise one. Tests hold each to the same results.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fast {
    Arithmetic(Arithmetic),
    Compare(Comparison),
    Not,
    Negate,
    Float(fn(f64) -> f64),
    Floats(fn(f64, f64) -> f64),
}

/// The arguments of one row. `None` is null.
pub(crate) struct Args<'a>(pub &'a [Option<Cow<'a, Value>>]);

/// Arguments have the types that the signature says; the accessors fail only where that is broken.
impl<'a> Args<'a> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, at: usize) -> Option<&Value> {
        self.0.get(at)?.as_deref()
    }

    pub fn value(&self, at: usize) -> Result<&Value, Failed> {
        self.get(at).ok_or(Failed)
    }

    pub fn float(&self, at: usize) -> Result<f64, Failed> {
        match self.value(at)? {
            Value::Float64(v) => Ok(*v),
            _ => Err(Failed),
        }
    }

    pub fn int(&self, at: usize) -> Result<i64, Failed> {
        match self.value(at)? {
            Value::Int64(v) => Ok(*v),
            _ => Err(Failed),
        }
    }

    pub fn bool(&self, at: usize) -> Result<bool, Failed> {
        match self.value(at)? {
            Value::Bool(v) => Ok(*v),
            _ => Err(Failed),
        }
    }

    pub fn text(&self, at: usize) -> Result<&str, Failed> {
        match self.value(at)? {
            Value::String(v) | Value::Json(v) => Ok(v),
            _ => Err(Failed),
        }
    }

    pub fn instant(&self, at: usize) -> Result<Instant, Failed> {
        match self.value(at)? {
            Value::Timestamp(v) => Ok(*v),
            _ => Err(Failed),
        }
    }

    pub fn list(&self, at: usize) -> Result<&[Option<Value>], Failed> {
        match self.value(at)? {
            Value::List(v) => Ok(v),
            _ => Err(Failed),
        }
    }

    pub fn map(&self, at: usize) -> Result<&[(String, Option<Value>)], Failed> {
        match self.value(at)? {
            Value::Map(v) => Ok(v),
            _ => Err(Failed),
        }
    }

    pub fn embedding(&self, at: usize) -> Result<&[f32], Failed> {
        match self.value(at)? {
            Value::Embedding(v) => Ok(v),
            _ => Err(Failed),
        }
    }
}

/// A canonical float.
pub(crate) fn float(v: f64) -> Outcome {
    Ok(Some(Value::float64(v)))
}

/// An integer.
pub(crate) fn int(v: i64) -> Outcome {
    Ok(Some(Value::Int64(v)))
}

/// A boolean.
pub(crate) fn bool(v: bool) -> Outcome {
    Ok(Some(Value::Bool(v)))
}

/// A text.
pub(crate) fn text(v: impl Into<String>) -> Outcome {
    Ok(Some(Value::String(v.into())))
}

/// A length or position: they are far below the range of `int64`.
pub(crate) fn count(v: usize) -> Outcome {
    int(i64::try_from(v).unwrap_or(i64::MAX))
}

/// An entry of the table.
pub(crate) const fn entry(
    name: &'static str,
    signatures: &'static [&'static str],
    gives: &'static str,
    error: &'static str,
    examples: &'static [(&'static str, &'static str)],
    body: Body,
) -> Function {
    Function { name, aliases: &[], signatures, gives, error, examples, body }
}

impl Function {
    /// The same with other names.
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// How it is called, as the reference and messages write it.
    pub fn usage(&self, signature: &str) -> String {
        if signature.starts_with('(') { format!("{}{signature}", self.name) } else { signature.to_owned() }
    }
}
