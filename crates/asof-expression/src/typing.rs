//! From SQL syntax to the typed tree: names are found, types checked, literals adapted, functions chosen.
//!
//! Reading order: this module (the dispatch), [`literal`], [`operators`], [`forms`], [`calls`], [`types`].

mod calls;
mod forms;
pub(crate) mod literal;
mod operators;
mod types;

use asof_model::ValueType;
use sqlparser::ast::{Expr, Ident, Spanned, UnaryOperator, Value as SqlValue};
use sqlparser::tokenizer::Span;

use crate::display;
use crate::error::{ExpressionError, Problem};
use crate::limits::DEPTH_MAX;
use crate::node::{Kind, Node};
use crate::parse;
use crate::scope::{Found, NotFound, Scope};
use literal::{Literal, Typed, What, constant};

pub(crate) type Result<T> = std::result::Result<T, ExpressionError>;

/// A column that an expression reads.
#[derive(Debug, Clone)]
pub(crate) struct ReadColumn {
    /// Its name, with its qualifier where it has one.
    pub name: String,
    /// The same as the canonical text has it.
    pub written: String,
    pub value_type: ValueType,
}

/// The typed tree and the columns it reads, in order of first use.
pub(crate) fn typed(expr: &Expr, text: &str, scope: &Scope) -> Result<(Node, Vec<ReadColumn>)> {
    let mut typer = Typer { scope, text, columns: Vec::new(), depth: 0 };
    let root = typer.expression(expr)?;
    let root = typer.settled(root)?;
    Ok((root, typer.columns))
}

/// Finds names and types.
struct Typer<'a> {
    scope: &'a Scope,
    /// The text that spans refer to.
    text: &'a str,
    columns: Vec<ReadColumn>,
    depth: usize,
}

impl Typer<'_> {
    fn expression(&mut self, expr: &Expr) -> Result<Typed> {
        if self.depth >= DEPTH_MAX {
            return Err(self.error(expr.span(), Problem::TooDeep(DEPTH_MAX), None));
        }
        self.depth += 1;
        let typed = self.dispatch(expr);
        self.depth -= 1;
        typed
    }

    /// Kept small: its frame stands on the stack once for each level.
    fn dispatch(&mut self, expr: &Expr) -> Result<Typed> {
        let mut expr = expr;
        while let Expr::Nested(inner) = expr {
            expr = inner;
        }
        match expr {
            Expr::Identifier(ident) => self.column(&ident.value, ident.quote_style.is_some(), ident.span),
            Expr::CompoundIdentifier(parts) => self.compound(parts, expr.span()),
            Expr::Value(value) => self.value(&value.value, value.span),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op, expr: operand } => self.unary(op, operand),
            Expr::Function(function) => self.function(function),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expr.span())
            }
            Expr::Between { expr: operand, negated, low, high } => self.between(operand, *negated, low, high),
            Expr::InList { expr: operand, list, negated } => self.in_list(operand, list, *negated),
            Expr::Cast { kind, expr: operand, data_type, array: false, format: None } => {
                self.cast(kind, operand, data_type)
            }
            _ => self.rarer(expr),
        }
    }

    fn rarer(&mut self, expr: &Expr) -> Result<Typed> {
        match expr {
            Expr::IsNull(operand) | Expr::IsUnknown(operand) => self.is_null(operand, false),
            Expr::IsNotNull(operand) | Expr::IsNotUnknown(operand) => self.is_null(operand, true),
            Expr::IsTrue(operand) => self.is_bool(operand, true, false),
            Expr::IsNotTrue(operand) => self.is_bool(operand, true, true),
            Expr::IsFalse(operand) => self.is_bool(operand, false, false),
            Expr::IsNotFalse(operand) => self.is_bool(operand, false, true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::Like { negated, any: false, expr: operand, pattern, escape_char } => {
                self.like("like", *negated, operand, pattern, escape_char.as_ref())
            }
            Expr::ILike { negated, any: false, expr: operand, pattern, escape_char } => {
                self.like("ilike", *negated, operand, pattern, escape_char.as_ref())
            }
            Expr::TypedString(string) => self.typed_string(string),
            Expr::Interval(interval) => self.interval(interval),
            Expr::Array(array) => self.array(&array.elem, expr.span()),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, expr.span()),
            Expr::Extract { field, expr: operand, .. } => self.extract(field, operand, expr.span()),
            Expr::Floor { expr: operand, field } => self.rounding("floor", operand, field, expr.span()),
            Expr::Ceil { expr: operand, field } => self.rounding("ceil", operand, field, expr.span()),
            Expr::Position { expr: operand, r#in } => self.position(operand, r#in, expr.span()),
            Expr::Substring { expr: operand, substring_from, substring_for, .. } => {
                self.substring(operand, substring_from.as_deref(), substring_for.as_deref(), expr.span())
            }
            Expr::Trim { expr: operand, trim_where, trim_what, trim_characters } => {
                self.trim(operand, *trim_where, trim_what.as_deref(), trim_characters.as_deref(), expr.span())
            }
            other => Err(self.unsupported(what_it_is(other), other.span())),
        }
    }

    fn value(&self, value: &SqlValue, span: Span) -> Result<Typed> {
        let literal = match value {
            SqlValue::Null => Literal::Null,
            SqlValue::Boolean(v) => {
                let value = asof_model::Value::Bool(*v);
                return Ok(Typed::node(constant(Some(value), ValueType::Bool, v.to_string()), span));
            }
            SqlValue::Number(text, false) => number(text),
            SqlValue::SingleQuotedString(text) => Literal::Text(text.clone()),
            _ => return Err(self.unsupported("this kind of literal".to_owned(), span)),
        };
        if let Literal::Number(text) = &literal
            && text.parse::<f64>().is_ok_and(f64::is_infinite)
        {
            let problem = Problem::Literal { text: text.clone(), expected: "a float64".to_owned() };
            return Err(self.error(span, problem, None));
        }
        Ok(Typed::literal(literal, span))
    }

    fn column(&mut self, name: &str, exact: bool, span: Span) -> Result<Typed> {
        let found = self.scope.find(name, exact);
        self.found(found, span)
    }

    fn found(&mut self, found: std::result::Result<Found<'_>, NotFound>, span: Span) -> Result<Typed> {
        let found = found.map_err(|(problem, hint)| self.error(span, problem, hint))?;
        let number = match self.columns.iter().position(|known| known.name == found.full) {
            Some(number) => number,
            None => {
                let written = display::name(found.qualifier, found.name);
                self.columns.push(ReadColumn { name: found.full.to_owned(), written, value_type: found.of });
                self.columns.len() - 1
            }
        };
        Ok(Typed::node(Node::new(Kind::Column(number), found.of, false), span))
    }

    /// `table.column`, `qualifier.column`, or a column whose name has a dot.
    fn compound(&mut self, parts: &[Ident], span: Span) -> Result<Typed> {
        let joined: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let joined = joined.join(".");
        if let [table, column] = parts {
            let exact = |part: &Ident| part.quote_style.is_some();
            if self.scope.is_table(&table.value) {
                return self.column(&column.value, exact(column), span);
            }
            let (qualifier, wanted) = ((&*table.value, exact(table)), (&*column.value, exact(column)));
            if let Some(found) = self.scope.find_qualified(qualifier, wanted) {
                return self.found(found, span);
            }
        }
        self.column(&joined, parts.iter().any(|part| part.quote_style.is_some()), span)
    }

    fn unary(&mut self, op: &UnaryOperator, operand: &Expr) -> Result<Typed> {
        let operand = self.expression(operand)?;
        match op {
            UnaryOperator::Plus => Ok(operand),
            UnaryOperator::Minus => self.negation(operand),
            UnaryOperator::Not => self.negated_bool(operand),
            other => Err(self.unsupported(format!("the operator `{other}`"), operand.span)),
        }
    }

    /// The part, its literals at the types that they have by themselves.
    fn settled(&self, typed: Typed) -> Result<Node> {
        let Some(of) = typed.settled_type() else {
            let (what, hint) = match typed.what {
                What::Interval(_) => ("an interval alone", "add it to an instant, or subtract it from one"),
                _ => ("a null without a type", "write `cast(null as ...)` with a type"),
            };
            let problem = Problem::Unsupported { what: what.to_owned() };
            return Err(self.error(typed.span, problem, Some(hint.to_owned())));
        };
        self.coerced(typed, of, "the value")
    }

    /// The part as one of that type, by widening and adapting alone. `what` says what it is for.
    fn coerced(&self, typed: Typed, to: ValueType, what: &str) -> Result<Node> {
        let (span, found) = (typed.span, typed.type_text());
        let hint = match typed.value_type() {
            Some(from) if crate::cast::exists(from, to) => Some(format!("write `cast(... as {to})`")),
            _ => None,
        };
        typed.coerced(to).ok_or_else(|| {
            let problem = Problem::WrongType { what: what.to_owned(), expected: to.to_string(), found };
            self.error(span, problem, hint)
        })
    }

    fn error(&self, span: Span, problem: Problem, hint: Option<String>) -> ExpressionError {
        ExpressionError::new(problem, parse::place(self.text, span), hint)
    }

    fn unsupported(&self, what: String, span: Span) -> ExpressionError {
        self.error(span, Problem::Unsupported { what }, None)
    }
}

/// A number as written, in one form: no leading zeros, no plus, a small `e`.
fn number(text: &str) -> Literal {
    let lower = text.to_ascii_lowercase();
    if !lower.contains(['.', 'e']) {
        let digits = lower.trim_start_matches('0');
        return Literal::Integer(if digits.is_empty() { "0".to_owned() } else { digits.to_owned() });
    }
    let (mantissa, exponent) = lower.split_once('e').map_or((lower.as_str(), None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let whole = whole.trim_start_matches('0');
    let mut written = format!(
        "{}.{}",
        if whole.is_empty() { "0" } else { whole },
        if fraction.is_empty() { "0" } else { fraction }
    );
    if let Some(exponent) = exponent {
        written.push('e');
        written.push_str(exponent.trim_start_matches('+'));
    }
    Literal::Number(written)
}

/// What a form of SQL is called that expressions do not have.
fn what_it_is(expr: &Expr) -> String {
    match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => "a subquery".to_owned(),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => "`*`".to_owned(),
        Expr::AtTimeZone { .. } => "`at time zone`".to_owned(),
        Expr::Convert { .. } => "`convert`".to_owned(),
        Expr::Collate { .. } => "`collate`".to_owned(),
        Expr::Tuple(_) => "a tuple".to_owned(),
        Expr::Struct { .. } | Expr::Dictionary(_) | Expr::Named { .. } => "a struct".to_owned(),
        Expr::SimilarTo { .. } => "`similar to`".to_owned(),
        Expr::RLike { .. } => "`rlike`".to_owned(),
        Expr::AnyOp { .. } | Expr::AllOp { .. } => "`any` and `all`".to_owned(),
        Expr::Lambda(_) => "a lambda".to_owned(),
        Expr::Overlay { .. } => "`overlay`".to_owned(),
        Expr::Cast { .. } => "this form of `cast`".to_owned(),
        _ => "this form of SQL".to_owned(),
    }
}
