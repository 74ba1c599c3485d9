//! What a request computes, compiled: expressions in the order in which they depend on each other.

use asof_expression::Expression;
use asof_model::spec::Feature;
use asof_model::{Cell, Instant, Status, Value, ValueType, ViewId};

/// What a request computes. Made once for a request shape and a registry revision; evaluating it looks nothing up.
#[derive(Debug, Clone, Default)]
pub struct OnDemandPlan {
    /// The features that are read: what an evaluation is given first. Each once.
    pub inputs: Vec<Input>,
    /// The request columns that are read: what it is given second. Each once.
    pub request: Vec<RequestColumn>,
    /// What is computed, each step behind those that it reads.
    pub steps: Vec<Step>,
}

/// A feature that is read.
#[derive(Debug, Clone)]
pub struct Input {
    /// The place of its join in [`RequestPlan::joins`](crate::request::RequestPlan::joins).
    pub join: usize,
    /// Its place in [`PlannedJoin::asked`](crate::request::PlannedJoin::asked).
    pub feature: usize,
    /// The type of its values.
    pub value_type: ValueType,
    /// What replaces its value in every state but PRESENT.
    pub default: Option<Value>,
}

/// A column of the request that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestColumn {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// A view that reads it, for messages.
    pub view: ViewId,
}

/// One feature that is computed.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its view.
    pub view: ViewId,
    /// From this instant on, requests are refused.
    pub sunset: Option<Instant>,
    /// The feature.
    pub feature: Feature,
    /// Its expression, of the type that the feature declares.
    pub(crate) expression: Expression,
    /// Where the columns of the expression come from, in its order.
    pub(crate) reads: Vec<Slot>,
    /// What replaces its value in every state but PRESENT.
    pub(crate) default: Option<Cell>,
}

/// Where a column of an expression comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The place among [`OnDemandPlan::inputs`].
    Input(usize),
    /// The place among [`OnDemandPlan::request`].
    Request(usize),
    /// The place among [`OnDemandPlan::steps`].
    Step(usize),
}

impl OnDemandPlan {
    /// Whether nothing is computed.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The columns of [`OnDemandPlan::request`] with their types.
    pub fn request_columns(&self) -> Vec<(String, ValueType)> {
        self.request.iter().map(|column| (column.name.clone(), column.value_type)).collect()
    }
}

impl Input {
    /// What a feature is to the expressions that read it, of what a request answers for it (SEMANTICS 5): its value where
    /// it is PRESENT, else its default; else ERROR where that is its status, and null. A value that is shown although it
    /// has expired does not count.
    pub fn entering(&self, value: Option<Value>, status: Status) -> Cell {
        let value = if status == Status::Present { value } else { self.default.clone() };
        match (value, status) {
            (Some(value), _) => Cell::Value(value),
            (None, Status::Error) => Cell::Error,
            (None, _) => Cell::Null,
        }
    }
}

impl Step {
    /// The value that is answered for what the expression gave, with its status.
    pub fn answered<'a>(&'a self, computed: &'a Cell) -> (Option<&'a Value>, Status) {
        let default = || self.default.as_ref().and_then(Cell::value);
        match computed {
            Cell::Value(value) => (Some(value), Status::Present),
            Cell::Null => (default(), Status::Null),
            Cell::Error => (default(), Status::Error),
        }
    }

    /// What the feature is to the expressions that read it.
    pub(crate) fn entering<'a>(&'a self, computed: &'a Cell) -> &'a Cell {
        match (computed, &self.default) {
            (Cell::Null | Cell::Error, Some(default)) => default,
            _ => computed,
        }
    }
}
