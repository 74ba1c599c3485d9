//! The typed tree of an expression: what both evaluators walk.

use std::sync::Arc;

use asof_model::{Value, ValueType};

use crate::function::{Fast, Function, RowFunction};

/// One part of an expression with the type of its result.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    pub value_type: ValueType,
    /// Whether it can be in error where nothing that it reads is.
    pub can_fail: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A constant. `written` is its canonical text.
    Literal { value: Option<Value>, written: Arc<str> },
    /// The column of that number in [`crate::Expression::columns`].
    Column(usize),
    /// `t`.
    RequestTimestamp,
    /// Read left to right; the first false or ERROR decides.
    And(Vec<Node>),
    /// Read left to right; the first true or ERROR decides.
    Or(Vec<Node>),
    /// `is null` and `is not null`.
    IsNull { operand: Box<Node>, negated: bool },
    /// `case`: with an operand, an arm is selected where its condition equals it.
    Case { operand: Option<Box<Node>>, arms: Vec<(Node, Node)>, otherwise: Option<Box<Node>> },
    /// The first that is not null.
    Coalesce(Vec<Node>),
    /// `operand >= low and operand <= high`, the operand evaluated once.
    Between { operand: Box<Node>, low: Box<Node>, high: Box<Node>, negated: bool },
    /// `operand = first or operand = second ...`, the operand evaluated once.
    In { operand: Box<Node>, list: Vec<Node>, negated: bool },
    /// A cast to the node's type. One that nobody wrote is not part of the canonical text.
    Cast { operand: Box<Node>, attempt: bool, written: bool },
    /// A function or operator of the table, whose arguments are all evaluated.
    Call { function: &'static Function, row: RowFunction, fast: Option<Fast>, arguments: Vec<Node> },
}

impl Node {
    pub fn new(kind: Kind, value_type: ValueType, can_fail: bool) -> Self {
        let mut node = Self { kind, value_type, can_fail };
        let inside = node.children().any(|child| child.can_fail);
        node.can_fail |= inside;
        node
    }

    /// The parts it is made of, from left to right.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match &self.kind {
            Kind::Literal { .. } | Kind::Column(_) | Kind::RequestTimestamp => Box::new(std::iter::empty()),
            Kind::And(nodes) | Kind::Or(nodes) | Kind::Coalesce(nodes) => Box::new(nodes.iter()),
            Kind::IsNull { operand, .. } | Kind::Cast { operand, .. } => {
                Box::new(std::iter::once(operand.as_ref()))
            }
            Kind::Case { operand, arms, otherwise } => Box::new(
                operand
                    .iter()
                    .map(AsRef::as_ref)
                    .chain(arms.iter().flat_map(|(condition, result)| [condition, result]))
                    .chain(otherwise.iter().map(AsRef::as_ref)),
            ),
            Kind::Between { operand, low, high, .. } => {
                Box::new([operand.as_ref(), low.as_ref(), high.as_ref()].into_iter())
            }
            Kind::In { operand, list, .. } => Box::new(std::iter::once(operand.as_ref()).chain(list)),
            Kind::Call { arguments, .. } => Box::new(arguments.iter()),
        }
    }

    /// The constant that it is: null is `Some(None)`.
    pub fn literal(&self) -> Option<Option<&Value>> {
        match &self.kind {
            Kind::Literal { value, .. } => Some(value.as_ref()),
            _ => None,
        }
    }

    /// Whether `t` is read.
    pub fn reads_request_timestamp(&self) -> bool {
        matches!(self.kind, Kind::RequestTimestamp) || self.children().any(Node::reads_request_timestamp)
    }
}
