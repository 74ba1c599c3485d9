//! The evaluation of columns: node by node over the whole batch, with the results that `crate::row` gives row by row.
//!
//! Every part is evaluated for every row; forms that read from left to right then choose, so an ERROR that is not
//! selected has no effect. Calls with a fast path work on Arrow's buffers, all others run their row-wise function in a
//! loop. A part that is constant stays one cell.

mod arithmetic;
mod choice;
mod lane;
mod logic;

use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use asof_arrow::{ColumnBuilder, arrow_type};
use asof_model::{Cell, Instant, Value, ValueType};

use crate::cast;
use crate::error::{ExpressionError, Problem};
use crate::expression::Expression;
use crate::function::{Fast, RowFunction};
use crate::node::{Kind, Node};
use crate::row;
use lane::{Lane, Rows};

/// A column of values with the rows that are ERROR.
#[derive(Debug, Clone)]
pub struct Column {
    /// The values, of the Arrow type that `asof_arrow::arrow_type` gives; null where a row is null or ERROR.
    pub values: ArrayRef,
    /// Which rows are ERROR. `None`: none is.
    pub errors: Option<BooleanBuffer>,
}

/// The instants that `request_timestamp()` gives.
#[derive(Debug, Clone, Copy)]
pub enum RequestTimestamps<'a> {
    /// The same one in every row: a request.
    Same(Instant),
    /// One for each row: labels.
    Each(&'a TimestampMicrosecondArray),
}

impl Column {
    /// A column without errors.
    pub fn new(values: ArrayRef) -> Self {
        Self { values, errors: None }
    }

    /// The cell of a row.
    pub fn cell(&self, of: ValueType, row: usize) -> Cell {
        if self.errors.as_ref().is_some_and(|errors| errors.value(row)) {
            return Cell::Error;
        }
        asof_arrow::value_at(&self.values, of, row).map_or(Cell::Null, Cell::Value)
    }
}

impl Expression {
    /// The results for `rows` rows. `inputs` are the columns of [`Expression::columns`], in that order, each with the
    /// Arrow type of its type. The result has the Arrow type of [`Expression::value_type`].
    ///
    /// A row's result is what [`Expression::evaluate_row`] gives for its cells, whatever the other rows hold.
    ///
    /// # Errors
    /// [`Problem::Inputs`] where the inputs are not those columns: a defect of the caller.
    pub fn evaluate(
        &self,
        inputs: &[Column],
        rows: usize,
        t: RequestTimestamps<'_>,
    ) -> Result<Column, ExpressionError> {
        self.check_inputs(inputs, rows, &t)?;
        let lane = Batch { inputs, rows, t }.evaluate(&self.root);
        Ok(lane.into_column(self.root.value_type, rows))
    }

    fn check_inputs(
        &self,
        inputs: &[Column],
        rows: usize,
        t: &RequestTimestamps<'_>,
    ) -> Result<(), ExpressionError> {
        let wrong = |what: String| Err(ExpressionError::new(Problem::Inputs(what), None, None));
        if inputs.len() != self.columns().len() {
            return wrong(format!("{} columns instead of {}", inputs.len(), self.columns().len()));
        }
        for ((input, of), name) in inputs.iter().zip(self.column_types()).zip(self.columns()) {
            if *input.values.data_type() != arrow_type(*of) {
                return wrong(format!("`{name}` has the Arrow type {}", input.values.data_type()));
            }
            let errors = input.errors.as_ref().map_or(rows, BooleanBuffer::len);
            if input.values.len() != rows || errors != rows {
                return wrong(format!("`{name}` has not {rows} rows"));
            }
        }
        match t {
            RequestTimestamps::Each(instants) if instants.len() != rows || instants.null_count() > 0 => {
                wrong(format!("not each of {rows} rows has an instant"))
            }
            _ => Ok(()),
        }
    }
}

/// The inputs of one evaluation.
struct Batch<'a> {
    inputs: &'a [Column],
    rows: usize,
    t: RequestTimestamps<'a>,
}

impl Batch<'_> {
    fn evaluate(&self, node: &Node) -> Lane {
        match &node.kind {
            Kind::Literal { value, .. } => Lane::Same(value.clone().map_or(Cell::Null, Cell::Value)),
            Kind::Column(number) => self.inputs.get(*number).map_or(Lane::Same(Cell::Error), |column| {
                Lane::Rows(Rows::new(column.values.clone(), column.errors.clone()))
            }),
            Kind::RequestTimestamp => self.request_timestamps(),
            Kind::And(parts) => logic::and(parts.iter().map(|part| self.evaluate(part)), self.rows),
            Kind::Or(parts) => logic::or(parts.iter().map(|part| self.evaluate(part)), self.rows),
            Kind::IsNull { operand, negated } => logic::is_null(self.evaluate(operand), *negated, self.rows),
            Kind::Coalesce(parts) => {
                let parts: Vec<Lane> = parts.iter().map(|part| self.evaluate(part)).collect();
                choice::coalesce(&parts, node.value_type, self.rows)
            }
            Kind::Case { operand, arms, otherwise } => {
                let operand = operand.as_ref().map(|operand| (self.evaluate(operand), operand.value_type));
                let conditions = arms.iter().map(|(condition, _)| {
                    let condition = self.evaluate(condition);
                    match &operand {
                        None => condition,
                        Some((operand, of)) => logic::equal(operand, &condition, *of, self.rows),
                    }
                });
                let conditions: Vec<Lane> = conditions.collect();
                let mut results: Vec<Lane> = arms.iter().map(|(_, result)| self.evaluate(result)).collect();
                results.push(otherwise.as_ref().map_or(Lane::Same(Cell::Null), |node| self.evaluate(node)));
                choice::case(&conditions, &results, node.value_type, self.rows)
            }
            Kind::Between { operand, low, high, negated } => {
                let of = operand.value_type;
                let operand = self.evaluate(operand);
                let above = logic::at_least(&operand, &self.evaluate(low), of, self.rows);
                let below = logic::at_most(&operand, &self.evaluate(high), of, self.rows);
                let inside = logic::and([above, below].into_iter(), self.rows);
                if *negated { logic::not(inside, self.rows) } else { inside }
            }
            Kind::In { operand, list, negated } => {
                let of = operand.value_type;
                let operand = self.evaluate(operand);
                let equal =
                    list.iter().map(|item| logic::equal(&operand, &self.evaluate(item), of, self.rows));
                let found = logic::or(equal, self.rows);
                if *negated { logic::not(found, self.rows) } else { found }
            }
            Kind::Cast { operand, attempt, .. } => {
                self.cast(self.evaluate(operand), operand.value_type, node.value_type, *attempt)
            }
            Kind::Call { row, fast, arguments, .. } => {
                let lanes: Vec<Lane> = arguments.iter().map(|argument| self.evaluate(argument)).collect();
                let types: Vec<ValueType> = arguments.iter().map(|argument| argument.value_type).collect();
                self.call(row, *fast, &lanes, &types, node.value_type)
            }
        }
    }

    fn request_timestamps(&self) -> Lane {
        match self.t {
            RequestTimestamps::Same(t) => Lane::Same(Cell::Value(Value::Timestamp(t))),
            RequestTimestamps::Each(instants) => {
                let values = instants.clone().with_data_type(arrow_type(ValueType::Timestamp));
                Lane::Rows(Rows::new(std::sync::Arc::new(values), None))
            }
        }
    }

    fn call(
        &self,
        row: &RowFunction,
        fast: Option<Fast>,
        lanes: &[Lane],
        types: &[ValueType],
        of: ValueType,
    ) -> Lane {
        if let Some(same) = lane::all_same(lanes) {
            return Lane::Same(row::call(row, &same));
        }
        let quick = match (fast, lanes) {
            (Some(Fast::Arithmetic(op)), [left, right]) => {
                arithmetic::arithmetic(op, left, right, of, self.rows)
            }
            (Some(Fast::Compare(op)), [left, right]) => logic::compare(op, left, right, types[0], self.rows),
            (Some(Fast::Not), [operand]) => Some(logic::not(operand.clone(), self.rows)),
            (Some(Fast::Negate), [operand]) => arithmetic::negate(operand, of),
            (Some(Fast::Float(run)), [operand]) => arithmetic::float(run, operand),
            (Some(Fast::Floats(run)), [left, right]) => arithmetic::floats(run, left, right, self.rows),
            _ => None,
        };
        quick.unwrap_or_else(|| self.row_by_row(lanes, types, of, |cells| row::call(row, cells)))
    }

    fn cast(&self, operand: Lane, from: ValueType, to: ValueType, attempt: bool) -> Lane {
        let one = |cells: &[Cell]| match cells {
            [Cell::Value(value)] => row::cast(value, to, attempt),
            [other] => other.clone(),
            _ => Cell::Error,
        };
        if from == to {
            return operand;
        }
        if let Lane::Same(cell) = &operand {
            return Lane::Same(one(std::slice::from_ref(cell)));
        }
        if let Some(quick) = arithmetic::cast(&operand, from, to, attempt) {
            return quick;
        }
        debug_assert!(cast::exists(from, to));
        self.row_by_row(&[operand], &[from], to, one)
    }

    /// The row-wise function over every row.
    fn row_by_row(
        &self,
        lanes: &[Lane],
        types: &[ValueType],
        of: ValueType,
        run: impl Fn(&[Cell]) -> Cell,
    ) -> Lane {
        let mut builder = ColumnBuilder::new(of, self.rows);
        let mut errors = lane::Errors::new(self.rows);
        let mut cells = vec![Cell::Null; lanes.len()];
        for row in 0..self.rows {
            for ((cell, lane), of) in cells.iter_mut().zip(lanes).zip(types) {
                *cell = lane.cell(*of, row);
            }
            match run(&cells) {
                Cell::Value(value) => builder.append(Some(&value)),
                Cell::Null => builder.append(None),
                Cell::Error => {
                    builder.append(None);
                    errors.set(row);
                }
            }
        }
        Lane::Rows(Rows::new(builder.finish(), errors.finish()))
    }
}
