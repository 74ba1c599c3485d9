//! Operands while types are being found: literals take the type that the other side has, where they are exact in it.

use std::sync::Arc;

use asof_model::decimal::Decimal;
use asof_model::entry::{self, Raw, Reading};
use asof_model::types::DecimalType;
use asof_model::{Value, ValueType, Zone};
use sqlparser::tokenizer::Span;

use crate::interval::Interval;
use crate::node::{Kind, Node};
use crate::widen;

/// An operand and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub what: What,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Something with a type of its own.
    Node(Node),
    /// A literal, whose type its surroundings choose.
    Literal(Literal),
    /// A span of time: only `+` and `-` take one.
    Interval(Interval),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    /// Digits, perhaps with a minus.
    Integer(String),
    /// Digits with a point or an exponent, perhaps with a minus.
    Number(String),
    Text(String),
}

impl Typed {
    pub fn node(node: Node, span: Span) -> Self {
        Self { what: What::Node(node), span }
    }

    pub fn literal(literal: Literal, span: Span) -> Self {
        Self { what: What::Literal(literal), span }
    }

    pub fn is_literal(&self) -> bool {
        matches!(self.what, What::Literal(_))
    }

    /// The type it has of its own.
    pub fn value_type(&self) -> Option<ValueType> {
        match &self.what {
            What::Node(node) => Some(node.value_type),
            What::Literal(_) | What::Interval(_) => None,
        }
    }

    /// The type it has where nothing asks for another. `None` for null and intervals.
    pub fn settled_type(&self) -> Option<ValueType> {
        match &self.what {
            What::Node(node) => Some(node.value_type),
            What::Literal(literal) => literal.own_type(),
            What::Interval(_) => None,
        }
    }

    /// Whether it is a literal that is exact in that type.
    pub fn adapts(&self, to: ValueType) -> bool {
        matches!(&self.what, What::Literal(literal) if literal.adapted(to).is_some())
    }

    /// The type as messages say it.
    pub fn type_text(&self) -> String {
        match &self.what {
            What::Node(node) => node.value_type.to_string(),
            What::Literal(literal) => match literal.own_type() {
                Some(of) => of.to_string(),
                None => "null".to_owned(),
            },
            What::Interval(_) => "an interval".to_owned(),
        }
    }

    /// As a part of that type: a literal adapts, anything else is widened. `None` where it does not by itself.
    pub fn coerced(self, to: ValueType) -> Option<Node> {
        match self.what {
            What::Literal(literal) => {
                let value = literal.adapted(to)?;
                Some(constant(value, to, literal.written()))
            }
            What::Node(node) => widened(node, to),
            What::Interval(_) => None,
        }
    }
}

/// The part with an unwritten cast where its type differs. `None` where it does not widen.
pub(crate) fn widened(node: Node, to: ValueType) -> Option<Node> {
    if node.value_type == to {
        return Some(node);
    }
    widen::widens(node.value_type, to).then(|| {
        let kind = Kind::Cast { operand: Box::new(node), attempt: false, written: false };
        Node::new(kind, to, false)
    })
}

/// A constant.
pub(crate) fn constant(value: Option<Value>, of: ValueType, written: String) -> Node {
    Node::new(Kind::Literal { value, written: Arc::from(written) }, of, false)
}

impl Literal {
    /// The type where nothing asks for another.
    pub fn own_type(&self) -> Option<ValueType> {
        match self {
            Self::Null => None,
            Self::Integer(digits) if digits.parse::<i64>().is_ok() => Some(ValueType::Int64),
            Self::Integer(_) => self.decimal_type().map(ValueType::Decimal),
            Self::Number(_) => Some(ValueType::Float64),
            Self::Text(_) => Some(ValueType::String),
        }
    }

    /// The smallest decimal type in which a number is exact.
    pub fn decimal_type(&self) -> Option<DecimalType> {
        let (Self::Integer(text) | Self::Number(text)) = self else { return None };
        let plain = text.trim_start_matches('-');
        if plain.contains(['e', 'E']) {
            return None;
        }
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let scale = u8::try_from(fraction.len()).ok()?;
        let whole = u8::try_from(whole.trim_start_matches('0').len()).ok()?;
        DecimalType::new(whole.checked_add(scale)?.max(1), scale)
    }

    /// Its value in that type, where it is exact: `Some(None)` is null.
    pub fn adapted(&self, to: ValueType) -> Option<Option<Value>> {
        let value = match (self, to) {
            (Self::Null, _) => return Some(None),
            (Self::Integer(digits), ValueType::Int32 | ValueType::Int64) => read(digits, to)?,
            (Self::Integer(digits), ValueType::Float32) => {
                let v: f32 = digits.parse().ok()?;
                (digits.parse() == Ok(v as i128)).then(|| Value::float32(v))?
            }
            (Self::Integer(digits), ValueType::Float64) => {
                let v: f64 = digits.parse().ok()?;
                // An int64 becomes the nearest float64 by itself; a longer number only where it is exact.
                let widens = digits.parse::<i64>().is_ok() || digits.parse() == Ok(v as i128);
                widens.then(|| Value::float64(v))?
            }
            (Self::Number(text), ValueType::Float64) => {
                Value::float64(text.parse().ok().filter(|v: &f64| v.is_finite())?)
            }
            (Self::Integer(text) | Self::Number(text), ValueType::Decimal(of)) => {
                let own = self.decimal_type()?;
                let exact = of.scale() >= own.scale();
                Value::Decimal(exact.then(|| Decimal::parse(text, of).ok())??)
            }
            (Self::Text(text), ValueType::String) => Value::String(text.clone()),
            (
                Self::Text(text),
                ValueType::Timestamp | ValueType::Date | ValueType::Uuid | ValueType::Json,
            ) => read(text, to)?,
            _ => return None,
        };
        Some(Some(value))
    }

    /// The canonical text.
    pub fn written(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Integer(digits) => digits.clone(),
            Self::Number(text) => text.clone(),
            Self::Text(text) => quoted(text),
        }
    }

    /// The opposite number.
    pub fn negated(&self) -> Option<Self> {
        let opposite = |text: &str| match text.strip_prefix('-') {
            Some(positive) => positive.to_owned(),
            None => format!("-{text}"),
        };
        match self {
            Self::Integer(text) if text.trim_start_matches('-') == "0" => Some(self.clone()),
            Self::Integer(text) => Some(Self::Integer(opposite(text))),
            Self::Number(text) => Some(Self::Number(opposite(text))),
            Self::Null | Self::Text(_) => None,
        }
    }
}

/// Text in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn read(text: &str, to: ValueType) -> Option<Value> {
    entry::from_raw(Raw::Text(text), to, &Reading { zone: Zone::utc(), unit: None }).ok()
}
