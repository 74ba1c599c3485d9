//! How functions are called: signatures as text, read once, and the choice among them by the types of arguments.
//!
//! A signature such as `(text string, count int64) -> string` names its parameters and their types. Type words beside
//! those of definitions: `any` and `number` and `decimal` stand for one type each in the whole signature (all
//! arguments of it take their common type), `list` and `map` for those of `any`, `embedding` for any dimensions.
//! `literal` before a type asks for a constant; `...` repeats the last parameter, from once on.

use std::fmt;

use asof_model::ValueType;

use crate::typing::literal::Typed;
use crate::widen;

/// A type in a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(ValueType),
    Any,
    Number,
    Decimal,
    List,
    Map,
    Embedding,
}

#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub pattern: Pattern,
    pub literal: bool,
}

/// One way to call a function.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub parameters: Vec<Parameter>,
    pub repeats: bool,
    pub result: Pattern,
}

/// The types that arguments are brought to, and that of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub arguments: Vec<ValueType>,
    pub result: ValueType,
}

impl Signature {
    /// Reads a signature. `None` where it is none: tests read all that there are.
    pub fn parse(text: &str) -> Option<Self> {
        let (parameters, result) = text.strip_prefix('(')?.rsplit_once(") -> ")?;
        let mut repeats = false;
        let mut list = Vec::new();
        for part in split_parameters(parameters) {
            if part == "..." {
                repeats = true;
                continue;
            }
            let (_, of) = part.split_once(' ')?;
            let (literal, of) = match of.strip_prefix("literal ") {
                Some(of) => (true, of),
                None => (false, of),
            };
            list.push(Parameter { pattern: Pattern::parse(of)?, literal });
        }
        Some(Self { parameters: list, repeats, result: Pattern::parse(result)? })
    }

    /// The match for these arguments; `exact` takes no widening of what is not a literal.
    pub fn matches(&self, arguments: &[Typed], exact: bool) -> Option<Match> {
        let fits = match self.repeats {
            true => arguments.len() >= self.parameters.len(),
            false => arguments.len() == self.parameters.len(),
        };
        if !fits {
            return None;
        }
        let parameter = |at: usize| self.parameters.get(at).or(self.parameters.last());
        let mut bound: Option<ValueType> = None;
        // What has a type of its own says what the type words stand for; literals adapt afterwards.
        for literals in [false, true] {
            for (at, argument) in arguments.iter().enumerate() {
                let pattern = parameter(at)?.pattern;
                if argument.is_literal() == literals
                    && let Some(candidate) = pattern.binding(argument)?
                {
                    bound = Some(match bound {
                        None => candidate,
                        Some(so_far) if argument.adapts(so_far) => so_far,
                        Some(so_far) => widen::common(so_far, candidate)?,
                    });
                }
            }
        }
        let mut types = Vec::with_capacity(arguments.len());
        for (at, argument) in arguments.iter().enumerate() {
            let wanted = parameter(at)?;
            let target = wanted.pattern.applied(bound, argument.value_type())?;
            let takes = match argument.value_type() {
                _ if argument.is_literal() => argument.adapts(target),
                Some(from) if exact => from == target,
                Some(from) => widen::widens(from, target),
                None => false,
            };
            if !takes || (wanted.literal && !argument.is_literal()) {
                return None;
            }
            types.push(target);
        }
        let first = types.first().copied();
        Some(Match { result: self.result.applied(bound, first)?, arguments: types })
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Self::Any,
            "number" => Self::Number,
            "decimal" => Self::Decimal,
            "list" => Self::List,
            "map" => Self::Map,
            "embedding" => Self::Embedding,
            exact => Self::Exact(ValueType::parse(exact).ok()?),
        })
    }

    /// What an argument says of the type that the type words stand for. `None`: it does not fit at all.
    fn binding(self, argument: &Typed) -> Option<Option<ValueType>> {
        let of = argument.settled_type();
        match (self, of) {
            (Self::Exact(_), _) => Some(None),
            (_, None) => Some(None),
            (Self::Any, Some(of)) => Some(Some(of)),
            (Self::Number, Some(of)) => widen::is_number(of).then_some(Some(of)),
            (Self::Decimal, Some(of)) => matches!(of, ValueType::Decimal(_)).then_some(Some(of)),
            (Self::List, Some(ValueType::List(item))) => Some(Some(item.into())),
            (Self::Map, Some(ValueType::Map(value))) => Some(Some(value.into())),
            (Self::Embedding, Some(ValueType::Embedding(_))) => Some(of),
            _ => None,
        }
    }

    /// The type it stands for, once that is known.
    fn applied(self, bound: Option<ValueType>, own: Option<ValueType>) -> Option<ValueType> {
        match self {
            Self::Exact(of) => Some(of),
            Self::Any | Self::Number | Self::Decimal => bound,
            Self::List => widen::scalar(bound?).map(ValueType::List),
            Self::Map => widen::scalar(bound?).map(ValueType::Map),
            // Embeddings of other dimensions are other types.
            Self::Embedding => own.filter(|own| bound == Some(*own)),
        }
    }
}

/// Splits at commas outside of brackets.
fn split_parameters(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text.trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(out, "({}) -> {}", arguments.join(", "), self.result)
    }
}
