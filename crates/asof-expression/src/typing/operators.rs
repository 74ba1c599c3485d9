//! Operators: arithmetic, comparison, logic, `||`, `like`, and those on intervals.

use asof_model::types::DecimalType;
use asof_model::{Value, ValueType};
use sqlparser::ast::{BinaryOperator, Expr, Spanned, ValueWithSpan};
use sqlparser::tokenizer::Span;

use super::literal::{Literal, Typed, What, constant};
use super::{Result, Typer};
use crate::arithmetic::{self, Arithmetic};
use crate::error::Problem;
use crate::function::{self, Fast, RowFunction};
use crate::functions::operators as table;
use crate::interval::Interval;
use crate::node::{Kind, Node};
use crate::order::{self, Comparison};
use crate::widen;

impl Typer<'_> {
    pub(super) fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        use BinaryOperator as B;
        if matches!(op, B::And | B::Or | B::StringConcat) {
            return self.chain(left, op, right);
        }
        let left = self.expression(left)?;
        let right = self.expression(right)?;
        match op {
            B::Plus => self.arithmetic(Arithmetic::Add, left, right),
            B::Minus => self.arithmetic(Arithmetic::Subtract, left, right),
            B::Multiply => self.arithmetic(Arithmetic::Multiply, left, right),
            B::Divide => self.arithmetic(Arithmetic::Divide, left, right),
            B::Modulo => self.arithmetic(Arithmetic::Modulo, left, right),
            B::Eq => self.comparison(Comparison::Equal, left, right),
            B::NotEq => self.comparison(Comparison::NotEqual, left, right),
            B::Lt => self.comparison(Comparison::Less, left, right),
            B::LtEq => self.comparison(Comparison::LessOrEqual, left, right),
            B::Gt => self.comparison(Comparison::Greater, left, right),
            B::GtEq => self.comparison(Comparison::GreaterOrEqual, left, right),
            B::Arrow => self.named_call("json_get", vec![left, right]),
            B::LongArrow => self.named_call("json_get_text", vec![left, right]),
            B::PGRegexMatch => self.named_call("regexp_like", vec![left, right]),
            other => {
                let span = left.span.union(&right.span);
                let hint = match other {
                    B::PGExp | B::BitwiseXor => Some("write `power(x, y)` for a power".to_owned()),
                    B::Spaceship => Some("write `is not distinct from`".to_owned()),
                    _ => None,
                };
                Err(self.error(span, Problem::Unsupported { what: format!("the operator `{other}`") }, hint))
            }
        }
    }

    /// A chain of one associative operator, however long, as one part.
    fn chain(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        let mut operands = vec![right];
        let mut rest = left;
        loop {
            match rest {
                Expr::Nested(inner) => rest = inner,
                Expr::BinaryOp { left, op: inner, right } if inner == op => {
                    operands.push(right);
                    rest = left;
                }
                _ => break,
            }
        }
        operands.push(rest);
        operands.reverse();
        let parts: Vec<Typed> =
            operands.into_iter().map(|part| self.expression(part)).collect::<Result<_>>()?;
        let span = Span::union_iter(parts.iter().map(|part| part.span));
        if matches!(op, BinaryOperator::StringConcat) {
            let lists = parts.iter().any(|part| matches!(part.value_type(), Some(ValueType::List(_))));
            return self.named_call(if lists { "list_concat" } else { "||" }, parts);
        }
        let what = format!("an operand of `{}`", op.to_string().to_lowercase());
        let parts = parts.into_iter().map(|part| self.coerced(part, ValueType::Bool, &what));
        let parts = parts.collect::<Result<Vec<Node>>>()?;
        let kind = if matches!(op, BinaryOperator::And) { Kind::And(parts) } else { Kind::Or(parts) };
        Ok(Typed::node(Node::new(kind, ValueType::Bool, false), span))
    }

    pub(super) fn arithmetic(&mut self, op: Arithmetic, left: Typed, right: Typed) -> Result<Typed> {
        let span = left.span.union(&right.span);
        if let (What::Interval(_), _) | (_, What::Interval(_)) = (&left.what, &right.what) {
            return self.interval_arithmetic(op, left, right, span);
        }
        if let (Some(a), Some(b)) = (left.settled_type(), right.settled_type()) {
            let time = |of| matches!(of, ValueType::Timestamp | ValueType::Date);
            if op == Arithmetic::Subtract && time(a) && time(b) {
                let hint = "write `date_diff('second', earlier, later)` with the unit you mean";
                return Err(self.operands(op.sign(), &left, &right, Some(hint.to_owned())));
            }
            if matches!(a, ValueType::Decimal(_)) || matches!(b, ValueType::Decimal(_)) {
                return self.decimal_arithmetic(op, left, right, span);
            }
        }
        let Some(common) = self.common_type(&[&left, &right]).filter(|of| widen::is_number(*of)) else {
            let number = |side: &Typed| side.settled_type().is_some_and(widen::is_number);
            let time =
                |side: &Typed| matches!(side.settled_type(), Some(ValueType::Timestamp | ValueType::Date));
            let hint = match (time(&left) || time(&right), number(&left) || number(&right)) {
                (true, true) => {
                    Some("add an interval: `interval '1 day'`, or `date_add('day', n, instant)`".to_owned())
                }
                (false, true) => self.cast_hint(&left, &right, ValueType::Float64),
                _ => None,
            };
            return Err(self.operands(op.sign(), &left, &right, hint));
        };
        let what = format!("an operand of `{}`", op.sign());
        let arguments = vec![self.coerced(left, common, &what)?, self.coerced(right, common, &what)?];
        Ok(Typed::node(arithmetic_node(op, arguments, common), span))
    }

    /// Operands keep their own digits: the type of the result says how many it needs.
    fn decimal_arithmetic(&mut self, op: Arithmetic, left: Typed, right: Typed, span: Span) -> Result<Typed> {
        let own = |operand: &Typed| -> Option<DecimalType> {
            match (&operand.what, operand.settled_type()) {
                (What::Literal(literal), _) => literal.decimal_type(),
                (_, Some(ValueType::Decimal(of))) => Some(of),
                (_, Some(of)) => widen::integer_as_decimal(of),
                _ => None,
            }
        };
        let types = own(&left).or(own(&right)).zip(own(&right).or(own(&left)));
        // A null literal takes the type of the other side.
        let fits = |operand: &Typed| own(operand).is_some() || operand.adapts(ValueType::Int64);
        let Some((a, b)) = types.filter(|_| fits(&left) && fits(&right)) else {
            let hint = self.cast_hint(&left, &right, ValueType::Float64);
            return Err(self.operands(op.sign(), &left, &right, hint));
        };
        let Some(result) = op.decimal_type(a, b) else {
            let hint = "the result has more than 38 digits behind the point: cast an operand to fewer";
            return Err(self.operands(op.sign(), &left, &right, Some(hint.to_owned())));
        };
        let what = format!("an operand of `{}`", op.sign());
        let arguments = vec![
            self.coerced(left, ValueType::Decimal(a), &what)?,
            self.coerced(right, ValueType::Decimal(b), &what)?,
        ];
        Ok(Typed::node(arithmetic_node(op, arguments, ValueType::Decimal(result)), span))
    }

    /// An instant plus or minus an interval. A day is its midnight.
    fn interval_arithmetic(
        &mut self,
        op: Arithmetic,
        left: Typed,
        right: Typed,
        span: Span,
    ) -> Result<Typed> {
        let hint = Some("an interval is added to an instant, or subtracted from one".to_owned());
        let (instant, interval) = match (op, &left.what, &right.what) {
            (Arithmetic::Add, What::Interval(interval), _) => (right.clone(), Some(*interval)),
            (Arithmetic::Add, _, What::Interval(interval)) => (left.clone(), Some(*interval)),
            (Arithmetic::Subtract, _, What::Interval(interval)) => (left.clone(), interval.negated()),
            _ => (left.clone(), None),
        };
        let (Some(interval), Some(instant)) = (interval, instant.coerced(ValueType::Timestamp)) else {
            return Err(self.operands(op.sign(), &left, &right, hint));
        };
        Ok(Typed::node(plus_interval(instant, interval), span))
    }

    pub(super) fn comparison(&mut self, op: Comparison, left: Typed, right: Typed) -> Result<Typed> {
        let span = left.span.union(&right.span);
        let Some(common) = self.comparable(op, &left, &right) else {
            let target = left.value_type().or(right.value_type()).unwrap_or(ValueType::String);
            let hint = self.cast_hint(&left, &right, target);
            return Err(self.operands(op.sign(), &left, &right, hint));
        };
        let what = format!("an operand of `{}`", op.sign());
        let arguments = vec![self.coerced(left, common, &what)?, self.coerced(right, common, &what)?];
        Ok(Typed::node(comparison_node(op, arguments), span))
    }

    /// The type in which both can be compared. Two bare nulls are compared as texts: the answer is null.
    pub(super) fn comparable(&self, op: Comparison, left: &Typed, right: &Typed) -> Option<ValueType> {
        let common = match (&left.what, &right.what) {
            (What::Literal(Literal::Null), What::Literal(Literal::Null)) => ValueType::String,
            _ => self.common_type(&[left, right])?,
        };
        (!op.needs_order() || order::has_order(common)).then_some(common)
    }

    pub(super) fn negation(&mut self, operand: Typed) -> Result<Typed> {
        let span = operand.span;
        match operand.what {
            What::Literal(literal) => match literal.negated() {
                Some(negated) => Ok(Typed::literal(negated, span)),
                None if literal == Literal::Null => Ok(Typed::literal(literal, span)),
                None => Err(self.not_a_number("string", span)),
            },
            What::Interval(interval) => match interval.negated() {
                Some(negated) => Ok(Typed { what: What::Interval(negated), span }),
                None => Err(self.not_a_number("an interval", span)),
            },
            What::Node(node) if widen::is_number(node.value_type) => {
                let of = node.value_type;
                let row = RowFunction::strict(|args| arithmetic::negated(args.value(0)?));
                let fails = matches!(of, ValueType::Int32 | ValueType::Int64);
                Ok(Typed::node(call(&table::NEGATE, row, Some(Fast::Negate), vec![node], of, fails), span))
            }
            What::Node(node) => Err(self.not_a_number(&node.value_type.to_string(), span)),
        }
    }

    fn not_a_number(&self, found: &str, span: Span) -> crate::ExpressionError {
        let problem = Problem::WrongType {
            what: "the operand of `-`".to_owned(),
            expected: "a number".to_owned(),
            found: found.to_owned(),
        };
        self.error(span, problem, None)
    }

    pub(super) fn negated_bool(&mut self, operand: Typed) -> Result<Typed> {
        let span = operand.span;
        let operand = self.coerced(operand, ValueType::Bool, "the operand of `not`")?;
        Ok(Typed::node(not(operand), span))
    }

    /// `like` and `ilike`, with a pattern that may be a column.
    pub(super) fn like(
        &mut self,
        name: &'static str,
        negated: bool,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<&ValueWithSpan>,
    ) -> Result<Typed> {
        let span = operand.span().union(&pattern.span());
        let mut arguments = vec![self.expression(operand)?, self.expression(pattern)?];
        if let Some(escape) = escape {
            arguments.push(self.value(&escape.value, escape.span)?);
        }
        let liked = self.named_call(name, arguments)?;
        match (negated, liked.what) {
            (true, What::Node(node)) => Ok(Typed::node(not(node), span)),
            (_, what) => Ok(Typed { what, span }),
        }
    }

    /// The type that all operands have in common: those with a type of their own first, then literals adapt.
    pub(super) fn common_type(&self, operands: &[&Typed]) -> Option<ValueType> {
        let mut common: Option<ValueType> = None;
        for literals in [false, true] {
            for operand in operands.iter().filter(|each| each.is_literal() == literals) {
                common = match (common, operand.settled_type()) {
                    (None, found) => match &operand.what {
                        What::Interval(_) => return None,
                        _ => found,
                    },
                    (Some(so_far), _) if operand.adapts(so_far) => Some(so_far),
                    (Some(so_far), found) => Some(joined(so_far, found?, &operand.what)?),
                };
            }
        }
        common
    }

    pub(super) fn operands(
        &self,
        operator: &str,
        left: &Typed,
        right: &Typed,
        hint: Option<String>,
    ) -> crate::ExpressionError {
        let problem = Problem::Operands {
            operator: operator.to_owned(),
            left: left.type_text(),
            right: right.type_text(),
        };
        self.error(left.span.union(&right.span), problem, hint)
    }

    /// Which cast would make two operands fit: of the one that is not of the type `to`.
    pub(super) fn cast_hint(&self, left: &Typed, right: &Typed, to: ValueType) -> Option<String> {
        let castable = |operand: &Typed| {
            operand.settled_type().is_some_and(|from| from != to && crate::cast::exists(from, to))
        };
        let side = match (castable(left), castable(right)) {
            (_, true) => "right",
            (true, false) => "left",
            (false, false) => return None,
        };
        Some(format!("cast the {side} side: `cast(... as {to})`"))
    }
}

/// The common type of a type and of a literal that is not exact in it, or of two types.
fn joined(so_far: ValueType, found: ValueType, what: &What) -> Option<ValueType> {
    match (so_far, what) {
        // A number literal beside a decimal is that decimal number, not a float.
        (ValueType::Decimal(_), What::Literal(literal)) => {
            widen::common(so_far, ValueType::Decimal(literal.decimal_type()?))
        }
        _ => widen::common(so_far, found),
    }
}

/// A call of an operator.
pub(super) fn call(
    function: &'static function::Function,
    row: RowFunction,
    fast: Option<Fast>,
    arguments: Vec<Node>,
    of: ValueType,
    can_fail: bool,
) -> Node {
    Node::new(Kind::Call { function, row, fast, arguments }, of, can_fail)
}

fn arithmetic_node(op: Arithmetic, arguments: Vec<Node>, of: ValueType) -> Node {
    let row = RowFunction::strict(move |args| op.apply(args.value(0)?, args.value(1)?, of));
    call(table::arithmetic(op), row, Some(Fast::Arithmetic(op)), arguments, of, op.can_fail(of))
}

fn comparison_node(op: Comparison, arguments: Vec<Node>) -> Node {
    let row = RowFunction::strict(move |args| {
        function::bool(op.holds(order::compare(args.value(0)?, args.value(1)?)))
    });
    call(table::comparison(op), row, Some(Fast::Compare(op)), arguments, ValueType::Bool, false)
}

pub(super) fn not(operand: Node) -> Node {
    let row = RowFunction::strict(|args| function::bool(!args.bool(0)?));
    call(&table::NOT, row, Some(Fast::Not), vec![operand], ValueType::Bool, false)
}

fn plus_interval(instant: Node, interval: Interval) -> Node {
    let text = interval.text();
    let row = RowFunction::strict(move |args| {
        let later = interval.after(args.instant(0)?).ok_or(function::Failed)?;
        Ok(Some(Value::Timestamp(later)))
    });
    let written =
        constant(Some(Value::String(text.clone())), ValueType::String, super::literal::quoted(&text));
    call(&table::PLUS_INTERVAL, row, None, vec![instant, written], ValueType::Timestamp, true)
}
