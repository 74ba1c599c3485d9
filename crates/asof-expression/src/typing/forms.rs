//! Forms with a syntax of their own: `case`, `between`, `in`, casts, `is ...`, typed literals, arrays, subscripts.

use asof_model::entry;
use asof_model::{Value, ValueType, Zone};
use sqlparser::ast::{
    AccessExpr, CaseWhen, CastKind, DataType, ExactNumberInfo, Expr, Interval as SqlInterval, Spanned,
    Subscript, TypedString, Value as SqlValue,
};
use sqlparser::tokenizer::Span;

use super::literal::{Literal, Typed, What, constant, quoted};
use super::operators::{call, not};
use super::{Result, Typer, types};
use crate::cast;
use crate::error::{ExpressionError, Problem};
use crate::function::{self, RowFunction};
use crate::functions::operators as table;
use crate::interval::Interval;
use crate::node::{Kind, Node};
use crate::order::{self, Comparison};

impl Typer<'_> {
    pub(super) fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        span: Span,
    ) -> Result<Typed> {
        let operand = operand.map(|operand| self.expression(operand)).transpose()?;
        let whens: Vec<Typed> =
            conditions.iter().map(|arm| self.expression(&arm.condition)).collect::<Result<_>>()?;
        let (operand, whens) = match operand {
            None => {
                let whens = whens
                    .into_iter()
                    .map(|when| self.coerced(when, ValueType::Bool, "a condition of `case`"));
                (None, whens.collect::<Result<Vec<_>>>()?)
            }
            Some(operand) => {
                let (operand, whens) = self.alike("case", operand, whens, false)?;
                (Some(Box::new(operand)), whens)
            }
        };
        let mut results: Vec<Typed> =
            conditions.iter().map(|arm| self.expression(&arm.result)).collect::<Result<_>>()?;
        let has_otherwise = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            results.push(self.expression(otherwise)?);
        }
        let mut results = self.of_one_type("case", results)?;
        let of = results.first().map_or(ValueType::Bool, |node| node.value_type);
        let otherwise = if has_otherwise { results.pop().map(Box::new) } else { None };
        let kind = Kind::Case { operand, arms: whens.into_iter().zip(results).collect(), otherwise };
        Ok(Typed::node(Node::new(kind, of, false), span))
    }

    /// `if(condition, yes, no)` is a `case` with one arm.
    pub(super) fn if_call(&mut self, mut arguments: Vec<Typed>, span: Span) -> Result<Typed> {
        if !matches!(arguments.len(), 2 | 3) {
            return Err(self.wrong_arguments(&crate::functions::conditional::IF, &arguments, span));
        }
        let condition = self.coerced(arguments.remove(0), ValueType::Bool, "the condition of `if`")?;
        let mut results = self.of_one_type("if", arguments)?;
        let otherwise = if results.len() == 2 { results.pop().map(Box::new) } else { None };
        let arms: Vec<(Node, Node)> = std::iter::once(condition).zip(results).collect();
        let of = arms.first().map_or(ValueType::Bool, |(_, result)| result.value_type);
        Ok(Typed::node(Node::new(Kind::Case { operand: None, arms, otherwise }, of, false), span))
    }

    pub(super) fn coalesce(&mut self, arguments: Vec<Typed>, span: Span) -> Result<Typed> {
        if arguments.is_empty() {
            return Err(self.wrong_arguments(&crate::functions::conditional::COALESCE, &arguments, span));
        }
        let nodes = self.of_one_type("coalesce", arguments)?;
        let of = nodes.first().map_or(ValueType::Bool, |node| node.value_type);
        Ok(Typed::node(Node::new(Kind::Coalesce(nodes), of, false), span))
    }

    pub(super) fn between(
        &mut self,
        operand: &Expr,
        negated: bool,
        low: &Expr,
        high: &Expr,
    ) -> Result<Typed> {
        let span = operand.span().union(&high.span());
        let operand = self.expression(operand)?;
        let bounds = vec![self.expression(low)?, self.expression(high)?];
        let (operand, mut bounds) = self.alike("between", operand, bounds, true)?;
        let (Some(high), Some(low)) = (bounds.pop(), bounds.pop()) else {
            return Err(self.unsupported("`between` without bounds".to_owned(), span));
        };
        let kind =
            Kind::Between { operand: Box::new(operand), low: Box::new(low), high: Box::new(high), negated };
        Ok(Typed::node(Node::new(kind, ValueType::Bool, false), span))
    }

    pub(super) fn in_list(&mut self, operand: &Expr, list: &[Expr], negated: bool) -> Result<Typed> {
        let span = operand.span();
        let operand = self.expression(operand)?;
        let list = list.iter().map(|item| self.expression(item)).collect::<Result<Vec<_>>>()?;
        let (operand, list) = self.alike("in", operand, list, false)?;
        let kind = Kind::In { operand: Box::new(operand), list, negated };
        Ok(Typed::node(Node::new(kind, ValueType::Bool, false), span))
    }

    pub(super) fn is_null(&mut self, operand: &Expr, negated: bool) -> Result<Typed> {
        let operand = self.expression(operand)?;
        let span = operand.span;
        let operand = match operand.what {
            // Of which type a bare null is does not matter here.
            What::Literal(Literal::Null) => constant(None, ValueType::String, "null".to_owned()),
            _ => self.settled(operand)?,
        };
        Ok(Typed::node(
            Node::new(Kind::IsNull { operand: Box::new(operand), negated }, ValueType::Bool, false),
            span,
        ))
    }

    /// `is true` and its like: never null.
    pub(super) fn is_bool(&mut self, operand: &Expr, wanted: bool, negated: bool) -> Result<Typed> {
        let operand = self.expression(operand)?;
        let span = operand.span;
        let operand = self.coerced(operand, ValueType::Bool, "the operand of `is true` and `is false`")?;
        let wanted = constant(Some(Value::Bool(wanted)), ValueType::Bool, wanted.to_string());
        Ok(Typed::node(distinct(operand, wanted, !negated), span))
    }

    pub(super) fn distinct(&mut self, left: &Expr, right: &Expr, negated: bool) -> Result<Typed> {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let span = left.span.union(&right.span);
        let Some(common) = self.comparable(Comparison::Equal, &left, &right) else {
            let target = left.value_type().unwrap_or(ValueType::String);
            let hint = self.cast_hint(&left, &right, target);
            return Err(self.operands("is distinct from", &left, &right, hint));
        };
        let what = "an operand of `is distinct from`";
        let (left, right) = (self.coerced(left, common, what)?, self.coerced(right, common, what)?);
        Ok(Typed::node(distinct(left, right, negated), span))
    }

    pub(super) fn cast(&mut self, kind: &CastKind, operand: &Expr, to: &DataType) -> Result<Typed> {
        let operand = self.expression(operand)?;
        let span = operand.span;
        let to = match types::value_type(to) {
            Ok(to) => to,
            Err((problem, hint)) => return Err(self.error(span, problem, hint)),
        };
        let node = match &operand.what {
            What::Literal(Literal::Null) => constant(None, to, "null".to_owned()),
            // A number is read at the type it is cast to, so that it is rounded once.
            What::Literal(literal @ (Literal::Integer(_) | Literal::Number(_))) => {
                match (literal.adapted(to), to, literal.decimal_type()) {
                    (Some(_), _, _) => self.coerced(operand, to, "the value")?,
                    (None, ValueType::Decimal(_), Some(own)) => {
                        self.coerced(operand, ValueType::Decimal(own), "the value")?
                    }
                    _ => self.settled(operand)?,
                }
            }
            _ => self.settled(operand)?,
        };
        let from = node.value_type;
        if !cast::exists(from, to) {
            let hint = match (from, to) {
                (ValueType::Timestamp, ValueType::Int32 | ValueType::Int64) => {
                    Some("write `epoch_seconds(...)`, `epoch_millis(...)` or `epoch_micros(...)`".to_owned())
                }
                (ValueType::Int32 | ValueType::Int64, ValueType::Timestamp) => {
                    Some("write `to_timestamp(..., 's')` with the unit of the integer".to_owned())
                }
                _ => None,
            };
            return Err(self.error(span, Problem::NoCast { from, to }, hint));
        }
        let attempt = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
        let fails = !attempt && cast::can_fail(from, to);
        Ok(Typed::node(
            Node::new(Kind::Cast { operand: Box::new(node), attempt, written: true }, to, fails),
            span,
        ))
    }

    /// `timestamp '2024-01-01'`: read now, so a wrong one is refused.
    pub(super) fn typed_string(&mut self, string: &TypedString) -> Result<Typed> {
        let span = string.value.span;
        let of = match types::value_type(&string.data_type) {
            // `decimal '1.50'` has the digits that are written.
            Err(refused) => match own_digits(string) {
                Some(of) => Ok(of),
                None => Err(refused),
            },
            named => named,
        };
        let of = match of {
            Ok(of) => of,
            Err((problem, hint)) => return Err(self.error(span, problem, hint)),
        };
        let SqlValue::SingleQuotedString(text) = &string.value.value else {
            return Err(self.unsupported("this kind of literal".to_owned(), span));
        };
        match entry::from_text(text, of, &Zone::utc()) {
            Ok(value) => {
                let written = format!("{of} {}", quoted(&entry::to_text(&value)));
                let written = match of {
                    // The parser takes no such type before a text.
                    ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_) => {
                        format!("cast({} as {of})", quoted(&entry::to_text(&value)))
                    }
                    _ => written,
                };
                Ok(Typed::node(constant(Some(value), of, written), span))
            }
            Err(_) => {
                let problem = Problem::Literal { text: quoted(text), expected: format!("of type {of}") };
                Err(self.error(span, problem, None))
            }
        }
    }

    pub(super) fn interval(&mut self, interval: &SqlInterval) -> Result<Typed> {
        let span = interval.value.span();
        let text = match interval.value.as_ref() {
            Expr::Value(value) => match &value.value {
                SqlValue::SingleQuotedString(text) | SqlValue::Number(text, false) => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        let text = text.map(|text| match &interval.leading_field {
            Some(unit) => format!("{text} {}", unit.to_string().to_lowercase()),
            None => text,
        });
        match text.as_deref().and_then(Interval::parse) {
            Some(interval) => Ok(Typed { what: What::Interval(interval), span }),
            None => {
                let text = text.map_or_else(|| interval.value.to_string(), |text| quoted(&text));
                let problem = Problem::Literal { text, expected: "an interval".to_owned() };
                let hint = "write whole numbers and units, such as `interval '7 days'`; for a number that is computed, \
                            `date_add('day', n, instant)`";
                Err(self.error(span, problem, Some(hint.to_owned())))
            }
        }
    }

    pub(super) fn array(&mut self, items: &[Expr], span: Span) -> Result<Typed> {
        let items = items.iter().map(|item| self.expression(item)).collect::<Result<Vec<_>>>()?;
        if items.is_empty() {
            let problem = Problem::Unsupported { what: "an empty array without a type".to_owned() };
            return Err(self.error(
                span,
                problem,
                Some("write `cast('[]' as list(...))` with a type".to_owned()),
            ));
        }
        let items = self.of_one_type("array", items)?;
        let of = items.first().and_then(|item| crate::widen::scalar(item.value_type));
        let Some(of) = of else {
            return Err(self.unsupported("an array of lists, maps, json or embeddings".to_owned(), span));
        };
        let row = RowFunction::with_nulls(|args| {
            let items = (0..args.len()).map(|at| args.get(at).cloned()).collect();
            Ok(Some(Value::List(items)))
        });
        Ok(Typed::node(call(&table::ARRAY, row, None, items, ValueType::List(of), false), span))
    }

    /// `list[1]`, `map['key']`, `list[2:3]`.
    pub(super) fn access(&mut self, root: &Expr, chain: &[AccessExpr], span: Span) -> Result<Typed> {
        let mut value = self.expression(root)?;
        for access in chain {
            value = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let index = self.expression(index)?;
                    self.named_call("[]", vec![value, index])?
                }
                AccessExpr::Subscript(Subscript::Slice {
                    lower_bound: Some(first),
                    upper_bound: Some(last),
                    stride: None,
                }) => {
                    let bounds = [self.expression(first)?, self.expression(last)?];
                    self.named_call("list_slice", std::iter::once(value).chain(bounds).collect())?
                }
                _ => return Err(self.unsupported("this form of subscript".to_owned(), span)),
            };
        }
        Ok(value)
    }

    /// All parts at the one type that they have in common.
    pub(super) fn of_one_type(&self, name: &str, parts: Vec<Typed>) -> Result<Vec<Node>> {
        let of = match self.common_type(&parts.iter().collect::<Vec<_>>()) {
            Some(of) => of,
            None => return Err(self.no_common_type(name, &parts)),
        };
        let what = format!("a result of `{name}`");
        parts.into_iter().map(|part| self.coerced(part, of, &what)).collect()
    }

    /// The operand and what it is compared with, at the one type that they have in common.
    fn alike(
        &self,
        name: &str,
        operand: Typed,
        others: Vec<Typed>,
        ordered: bool,
    ) -> Result<(Node, Vec<Node>)> {
        let mut all = vec![operand];
        all.extend(others);
        let of = match self.common_type(&all.iter().collect::<Vec<_>>()) {
            Some(of) if !ordered || order::has_order(of) => of,
            Some(of) => {
                let what = format!("`{name}` on {of}, which has no order,");
                let span = all.first().map_or(Span::empty(), |operand| operand.span);
                return Err(self.unsupported(what, span));
            }
            None if all.iter().all(|part| matches!(part.what, What::Literal(Literal::Null))) => {
                ValueType::String
            }
            None => return Err(self.no_common_type(name, &all)),
        };
        let what = format!("an operand of `{name}`");
        let mut nodes =
            all.into_iter().map(|part| self.coerced(part, of, &what)).collect::<Result<Vec<_>>>()?;
        let others = nodes.split_off(1);
        let operand = nodes.into_iter().next();
        let operand =
            operand.ok_or_else(|| self.unsupported(format!("`{name}` of nothing"), Span::empty()))?;
        Ok((operand, others))
    }

    /// The first two parts that do not go together.
    fn no_common_type(&self, name: &str, parts: &[Typed]) -> ExpressionError {
        let first = parts.iter().find(|part| part.value_type().is_some()).or(parts.first());
        let Some(first) = first else {
            return self.unsupported(format!("`{name}` of nothing"), Span::empty());
        };
        let unlike = parts.iter().find(|part| self.common_type(&[first, part]).is_none());
        match unlike {
            Some(unlike) => {
                let target = first.settled_type().unwrap_or(ValueType::String);
                let hint = self.cast_hint(first, unlike, target);
                self.operands(name, first, unlike, hint)
            }
            // Nulls alone, or types that go together two by two only.
            None => {
                let problem =
                    Problem::Unsupported { what: format!("`{name}` without one type for its values") };
                let hint = Some("write `cast(... as ...)` with a type around one of them".to_owned());
                self.error(first.span, problem, hint)
            }
        }
    }
}

/// The digits of a decimal literal whose type names none.
fn own_digits(string: &TypedString) -> Option<ValueType> {
    let bare = matches!(
        string.data_type,
        DataType::Decimal(ExactNumberInfo::None) | DataType::Numeric(ExactNumberInfo::None)
    );
    match &string.value.value {
        SqlValue::SingleQuotedString(text) if bare => {
            Literal::Number(text.trim().to_owned()).decimal_type().map(ValueType::Decimal)
        }
        _ => None,
    }
}

/// `is distinct from`: never null.
fn distinct(left: Node, right: Node, negated: bool) -> Node {
    let row = RowFunction::with_nulls(|args| {
        let differ = match (args.get(0), args.get(1)) {
            (Some(a), Some(b)) => order::compare(a, b).is_ne(),
            (None, None) => false,
            _ => true,
        };
        function::bool(differ)
    });
    let node = call(&table::DISTINCT, row, None, vec![left, right], ValueType::Bool, false);
    if negated { not(node) } else { node }
}
