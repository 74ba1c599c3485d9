//! Window functions.
//!
//! Which row is next to which must depend on the rows alone: where the order of a window leaves rows equal, all of their
//! columns decide.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use asof_expression::{Expression, Scope};
use asof_model::{Cell, Instant, Value, ValueType};
use datafusion::functions_window::{lead_lag, nth_value, rank, row_number};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlanBuilder, SortExpr as Sort, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, WindowUDF, ident,
};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, VisitMut, VisitorMut};

use super::call::{call, fold};
use super::group::aggregate_call;
use super::names::{Calls, internal};
use super::plan::{Planner, Tables, built, planning};
use super::relation::{Column, Relation, flag_name, mark_name, value_name};
use super::sets::refuse_unordered;
use crate::transform::aggregate_names::{AGGREGATES, WINDOW_FUNCTIONS, name_of};
use crate::transform::error::TransformError;
use crate::transform::syntax::{self, Result};

/// The frame of a window as the query has it.
struct Frame {
    frame: WindowFrame,
    /// The order must tell every two rows apart.
    total: bool,
    /// The one key of the order is counted in whole numbers.
    counted: bool,
}

impl<T: Tables> Planner<'_, T> {
    /// Computes the window functions in these resolved expressions, and puts their columns in their place.
    pub(super) fn windows(&mut self, relation: Relation, exprs: Vec<&mut ast::Expr>) -> Result<Relation> {
        let mut finding = Finding(Calls::after(self.next));
        for expr in exprs {
            if let ControlFlow::Break(error) = VisitMut::visit(expr, &mut finding) {
                return Err(error);
            }
        }
        self.next = finding.0.last();
        let new = finding.0.new;
        let mut relation = relation;
        for (function, id) in new {
            relation = self.window(relation, &function, id)?;
        }
        Ok(relation)
    }

    fn window(&mut self, relation: Relation, function: &ast::Function, id: usize) -> Result<Relation> {
        let name = name_of(function);
        let span = function.name.span();
        let refuse =
            |what: &str, hint: &str| Err(TransformError::at(span, format!("`{name}` {what}"), Some(hint)));
        let Some(ast::WindowType::WindowSpec(spec)) = &function.over else {
            return refuse("has no window", "write `over (...)`");
        };
        if spec.window_name.is_some() {
            return refuse("has a window that extends another", "write it out");
        }
        let mut before = relation.all();
        if relation.flag.is_some() {
            before.pop();
        }
        let mut marks = Vec::new();
        let mut partitions = Vec::new();
        for key in &spec.partition_by {
            let computed = self.computed(key, &relation)?;
            refuse_unordered(computed.value_type, "`partition by`", key.span())?;
            let value = self.unmarked(computed.value, computed.mark.clone(), computed.value_type);
            marks.extend(computed.mark.map(|mark| (mark, "a key of `partition by` is in ERROR".to_owned())));
            let key = format!("__k{}", self.fresh());
            before.push(value.alias(&key));
            partitions.push(ident(key));
        }
        let mut order = Vec::new();
        let mut of_order = Vec::new();
        for sort in &spec.order_by {
            let sort = syntax::sort(sort)?;
            let computed = self.computed(&sort.expr, &relation)?;
            refuse_unordered(computed.value_type, "`order by`", sort.expr.span())?;
            let value = self.unmarked(computed.value, computed.mark.clone(), computed.value_type);
            marks.extend(computed.mark.map(|mark| (mark, "a key of `order by` is in ERROR".to_owned())));
            of_order.push((value, computed.value_type, sort));
        }
        let frame = Self::frame(function, spec.window_frame.as_ref(), &of_order)?;
        for (value, of, sort) in of_order {
            let key = format!("__k{}", self.fresh());
            let value = if frame.counted { self.counted(value, of) } else { value };
            before.push(value.alias(&key));
            order.push(Sort::new(ident(key), !sort.descending, sort.nulls_first));
        }
        if frame.total {
            order.extend(self.ties(&relation));
        }
        let flag = self.flagged(&relation, marks);
        let flag_id = flag.is_some().then(|| self.fresh());
        if let (Some(flag), Some(id)) = (flag, flag_id) {
            before.push(flag.alias(flag_name(id)));
            // Bad rows are among themselves.
            partitions.push(ident(flag_name(id)));
        }
        let relation = Relation { plan: relation.plan, columns: relation.columns, flag: flag_id };
        let mut after = relation.all();
        let over = |fun: WindowFunctionDefinition, args: Vec<Expr>| {
            Expr::WindowFunction(Box::new(WindowFunction {
                fun,
                params: WindowFunctionParams {
                    args,
                    partition_by: partitions.clone(),
                    order_by: order.clone(),
                    window_frame: frame.frame.clone(),
                    filter: None,
                    null_treatment: None,
                    distinct: false,
                },
            }))
        };
        let mut exprs = Vec::new();
        let mut result = |expr: Expr| {
            let name = expr.schema_name().to_string();
            exprs.push(expr);
            ident(name)
        };
        let udf = |udf: Arc<WindowUDF>| WindowFunctionDefinition::WindowUDF(udf);
        let mut column = Column {
            table: None,
            name: value_name(id),
            value_type: ValueType::Int64,
            id,
            fallible: false,
            hidden: true,
            from: BTreeSet::new(),
        };
        if AGGREGATES.contains(&name.as_str()) {
            let read = aggregate_call(function)?;
            let (aggregate, of, [value, mark], from) = self.folded(&read, &relation, function)?;
            let (v, e) = (format!("__k{}", self.fresh()), format!("__k{}", self.fresh()));
            before.push(value.alias(&v));
            before.push(mark.alias(&e));
            let fun = WindowFunctionDefinition::AggregateUDF(fold(aggregate, of));
            let folded = result(over(fun, vec![ident(v), ident(e)]));
            (column.value_type, column.fallible, column.from) = (aggregate.result(), true, from);
            after.extend(self.unpacked(&column, folded));
        } else {
            let arguments = arguments(function)?;
            match (name.as_str(), arguments.as_slice()) {
                ("row_number" | "rank" | "dense_rank", []) => {
                    let fun = match name.as_str() {
                        "row_number" => row_number::row_number_udwf(),
                        "rank" => rank::rank_udwf(),
                        _ => rank::dense_rank_udwf(),
                    };
                    let number = result(over(udf(fun), Vec::new()));
                    let number = call(self.call_name(), vec![number], DataType::Int64, |arrays, _| {
                        let numbers = arrays[0].as_primitive::<UInt64Type>();
                        let numbers =
                            numbers.iter().map(|number| number.and_then(|each| i64::try_from(each).ok()));
                        Ok(Arc::new(numbers.collect::<Int64Array>()))
                    });
                    after.push(number.alias(value_name(id)));
                }
                ("lag" | "lead" | "first_value" | "last_value", [argument, rest @ ..]) => {
                    let shift = match rest {
                        [] => None,
                        [shift] if matches!(name.as_str(), "lag" | "lead") => match literal_count(shift) {
                            Some(shift) => Some(shift),
                            None => {
                                return refuse(
                                    "takes a whole number of rows",
                                    "write it out, such as `lag(x, 1)`",
                                );
                            }
                        },
                        _ => {
                            return refuse(
                                "takes fewer arguments",
                                "write `coalesce(lag(x), default)` for a default",
                            );
                        }
                    };
                    let fun = match name.as_str() {
                        "lag" => lead_lag::lag_udwf(),
                        "lead" => lead_lag::lead_udwf(),
                        "first_value" => nth_value::first_value_udwf(),
                        _ => nth_value::last_value_udwf(),
                    };
                    let computed = self.computed(argument, &relation)?;
                    (column.value_type, column.from) = (computed.value_type, computed.from);
                    column.fallible = computed.mark.is_some();
                    let parts = [(Some(computed.value), value_name(id)), (computed.mark, mark_name(id))];
                    for (part, name) in parts {
                        let Some(part) = part else { continue };
                        let key = format!("__k{}", self.fresh());
                        before.push(part.alias(&key));
                        let shift = shift.map(|shift| Expr::Literal(ScalarValue::Int64(Some(shift)), None));
                        let arguments = std::iter::once(ident(key)).chain(shift).collect();
                        after.push(result(over(udf(fun.clone()), arguments)).alias(name));
                    }
                }
                _ if WINDOW_FUNCTIONS.contains(&name.as_str()) => {
                    return refuse("does not take these arguments", "see the page on SQL transforms");
                }
                _ => {
                    let known = WINDOW_FUNCTIONS.iter().chain(&AGGREGATES[..7]);
                    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
                    return refuse(
                        "is not a window function of queries",
                        &format!("there is {}", known.join(", ")),
                    );
                }
            }
        }
        let plan = built(relation.plan, |plan| plan.project(before))?;
        let plan = LogicalPlanBuilder::window_plan(plan, exprs).map_err(planning)?;
        let plan = built(plan, |plan| plan.project(after))?;
        let columns = relation.columns.into_iter().chain([column]).collect();
        Ok(Relation { plan, columns, flag: flag_id })
    }

    /// Whole numbers in the order of the values, for frames of so much before and behind.
    fn counted(&mut self, value: Expr, of: ValueType) -> Expr {
        call(self.call_name(), vec![value], DataType::Int64, move |arrays, _| {
            let array: &ArrayRef = &arrays[0];
            let numbers: Int64Array = match of {
                ValueType::Timestamp => array.as_primitive::<TimestampMicrosecondType>().iter().collect(),
                ValueType::Date => {
                    array.as_primitive::<Date32Type>().iter().map(|day| day.map(i64::from)).collect()
                }
                ValueType::Int32 => {
                    array.as_primitive::<Int32Type>().iter().map(|each| each.map(i64::from)).collect()
                }
                _ => array.as_primitive::<Int64Type>().clone(),
            };
            Ok(Arc::new(numbers))
        })
    }

    fn frame(
        function: &ast::Function,
        frame: Option<&ast::WindowFrame>,
        order: &[(Expr, ValueType, syntax::Sort)],
    ) -> Result<Frame> {
        let name = name_of(function);
        let span = function.name.span();
        let refuse = |message: String, hint: &str| Err(TransformError::at(span, message, Some(hint)));
        let moves = matches!(name.as_str(), "row_number" | "lag" | "lead" | "first_value" | "last_value");
        let ranks = matches!(name.as_str(), "rank" | "dense_rank");
        if (moves || ranks) && order.is_empty() {
            return refuse(
                format!("`{name}` without `order by`"),
                "which row comes first must not depend on files",
            );
        }
        let unbounded = ScalarValue::UInt64(None);
        let Some(frame) = frame else {
            let (units, end) = if order.is_empty() {
                (WindowFrameUnits::Rows, WindowFrameBound::Following(unbounded.clone()))
            } else if moves {
                (WindowFrameUnits::Rows, WindowFrameBound::CurrentRow)
            } else {
                (WindowFrameUnits::Range, WindowFrameBound::CurrentRow)
            };
            let start = match units {
                WindowFrameUnits::Range => WindowFrameBound::Preceding(ScalarValue::Null),
                _ => WindowFrameBound::Preceding(unbounded),
            };
            let frame = WindowFrame::new_bounds(units, start, end);
            return Ok(Frame { frame, total: moves, counted: false });
        };
        if order.is_empty() {
            return refuse("a frame without `order by`".to_owned(), "rows have no order of their own");
        }
        let end = frame.end_bound.clone().unwrap_or(ast::WindowFrameBound::CurrentRow);
        let offset = |bound: &ast::WindowFrameBound| {
            matches!(
                bound,
                ast::WindowFrameBound::Preceding(Some(_)) | ast::WindowFrameBound::Following(Some(_))
            )
        };
        let counted =
            frame.units == ast::WindowFrameUnits::Range && (offset(&frame.start_bound) || offset(&end));
        let of = match (counted, order) {
            (
                true,
                [
                    (
                        _,
                        of @ (ValueType::Timestamp | ValueType::Date | ValueType::Int32 | ValueType::Int64),
                        _,
                    ),
                ],
            ) => Some(*of),
            (true, _) => {
                let hint = "order by one timestamp, date or integer, or use `rows`";
                return refuse("a range of so much before or behind takes one key".to_owned(), hint);
            }
            (false, _) => None,
        };
        let bound = |bound: &ast::WindowFrameBound| {
            let size = |size: &Option<Box<ast::Expr>>| match size {
                None if frame.units == ast::WindowFrameUnits::Range && !counted => Ok(ScalarValue::Null),
                None if counted => Ok(ScalarValue::Int64(None)),
                None => Ok(ScalarValue::UInt64(None)),
                Some(size) => frame_size(size, of),
            };
            Ok::<_, TransformError>(match bound {
                ast::WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
                ast::WindowFrameBound::Preceding(by) => WindowFrameBound::Preceding(size(by)?),
                ast::WindowFrameBound::Following(by) => WindowFrameBound::Following(size(by)?),
            })
        };
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => WindowFrameUnits::Rows,
            ast::WindowFrameUnits::Range => WindowFrameUnits::Range,
            ast::WindowFrameUnits::Groups => {
                return refuse("a frame of groups".to_owned(), "use `rows` or `range`");
            }
        };
        if moves && units == WindowFrameUnits::Range {
            return refuse(format!("`{name}` over a range"), "use `rows`");
        }
        let (start, end) = (bound(&frame.start_bound)?, bound(&end)?);
        let total = moves || units == WindowFrameUnits::Rows;
        Ok(Frame { frame: WindowFrame::new_bounds(units, start, end), total, counted })
    }
}

/// How far a frame reaches: rows, or in the units of its key.
fn frame_size(size: &ast::Expr, of: Option<ValueType>) -> Result<ScalarValue> {
    let refuse = |hint: &str| {
        Err(TransformError::at(size.span(), "this is not how far a frame can reach", Some(hint)))
    };
    match (of, literal_count(size)) {
        (None, Some(rows)) => return Ok(ScalarValue::UInt64(u64::try_from(rows).ok())),
        (None, None) => return refuse("write a number of rows"),
        (Some(ValueType::Int32 | ValueType::Int64), Some(size)) => {
            return Ok(ScalarValue::Int64(Some(size)));
        }
        (Some(ValueType::Int32 | ValueType::Int64), None) => return refuse("write a whole number"),
        _ => {}
    }
    // What an interval takes from an instant, if it takes the same from every one.
    let micros = |text: &str| {
        let at = Expression::parse(&format!("timestamp '{text}' + {size}"), &Scope::default()).ok()?;
        let start = Instant::parse(text, &asof_model::Zone::utc())?;
        match at.evaluate_row(&[], Instant::MIN) {
            Cell::Value(Value::Timestamp(end)) => Some(end.micros() - start.micros()),
            _ => None,
        }
    };
    const DAY: i64 = 86_400_000_000;
    match (of, micros("2001-02-01T00:00:00Z"), micros("2004-07-31T00:00:00Z")) {
        (Some(ValueType::Timestamp), Some(one), Some(other)) if one == other && one >= 0 => {
            Ok(ScalarValue::Int64(Some(one)))
        }
        (Some(ValueType::Date), Some(one), Some(other)) if one == other && one >= 0 && one % DAY == 0 => {
            Ok(ScalarValue::Int64(Some(one / DAY)))
        }
        _ => refuse(
            "write an interval of days or less, such as `interval '7 days'`; months have no one length",
        ),
    }
}

fn arguments(function: &ast::Function) -> Result<Vec<ast::Expr>> {
    let FunctionArguments::List(list) = &function.args else { return Ok(Vec::new()) };
    let plain = list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && function.filter.is_none()
        && function.null_treatment.is_none();
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if plain => Ok(expr.clone()),
        _ => {
            let message =
                format!("`{}` in this form can't be used in the sql of a source", name_of(function));
            Err(TransformError::at(function.name.span(), message, Some("write the arguments alone")))
        }
    };
    list.args.iter().map(argument).collect()
}

fn literal_count(expr: &ast::Expr) -> Option<i64> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(text, _) => text.parse().ok().filter(|count| *count >= 0),
            _ => None,
        },
        _ => None,
    }
}

/// Finds window functions and puts the names of their columns in their place.
struct Finding(Calls);

impl VisitorMut for Finding {
    type Break = TransformError;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<TransformError> {
        if let ast::Expr::Function(function) = expr
            && function.over.is_some()
        {
            let span = function.name.span();
            *expr = internal(self.0.number(function), span);
        }
        ControlFlow::Continue(())
    }
}
