//! `group by` and aggregates.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;
use asof_window::{Aggregate, Function};
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    self, CaseWhen, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, VisitMut,
    VisitorMut, visit_expressions,
};

use super::call::{call, fold};
use super::names::{Calls, internal, is_internal};
use super::plan::{Planner, Tables, built};
use super::relation::{Column, Relation, flag_name, mark_name, value_name};
use super::sets::refuse_unordered;
use crate::columns::arrow_type;
use crate::transform::aggregate_names::{AGGREGATES, name_of};
use crate::transform::error::TransformError;
use crate::transform::syntax::{Result, unnested};

/// Whether an expression has an aggregate in it that makes groups.
pub(super) fn has_aggregate(expr: &ast::Expr) -> bool {
    let found = visit_expressions(expr, |part| match part {
        ast::Expr::Function(function) if makes_groups(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn makes_groups(function: &ast::Function) -> bool {
    function.over.is_none() && AGGREGATES.contains(&name_of(function).as_str())
}

/// An aggregate call, read.
pub(super) struct AggregateCall {
    pub function: Function,
    /// What is folded. `None`: each row.
    pub argument: Option<ast::Expr>,
}

/// Reads an aggregate call. A filter becomes a part of its argument.
pub(super) fn aggregate_call(function: &ast::Function) -> Result<AggregateCall> {
    let name = name_of(function);
    let span = function.name.span();
    let refuse =
        |what: &str, hint: &str| Err(TransformError::at(span, format!("`{name}` {what}"), Some(hint)));
    let Some(kind) = Function::named(&name) else {
        return refuse(
            "is not an aggregate of queries",
            "there is count, sum, avg, min, max, bool_and, bool_or, var_pop, var_samp, stddev_pop, stddev_samp",
        );
    };
    let FunctionArguments::List(list) = &function.args else {
        return refuse("has no arguments", "write one");
    };
    let plain = matches!(function.parameters, FunctionArguments::None)
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && list.clauses.is_empty();
    if !plain {
        return refuse("in this form can't be used in the sql of a source", "write the argument alone");
    }
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let kind = match (kind, distinct) {
        (Function::Count, true) => Function::CountDistinct,
        (Function::Min | Function::Max | Function::BoolAnd | Function::BoolOr, _) => kind,
        (kind, false) => kind,
        (_, true) => {
            return refuse(
                "of distinct values is not built",
                "select them with `distinct` in a query inside",
            );
        }
    };
    let argument = match list.args.as_slice() {
        [] if name == "count" && !distinct => None,
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if name == "count" && !distinct => None,
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
        _ => return refuse("takes one argument", "write one expression"),
    };
    let argument = match &function.filter {
        None => argument,
        Some(condition) => Some(ast::Expr::Case {
            case_token: AttachedToken::empty(),
            end_token: AttachedToken::empty(),
            operand: None,
            conditions: vec![CaseWhen {
                condition: (**condition).clone(),
                result: argument.unwrap_or_else(|| {
                    ast::Expr::Value(ast::Value::Boolean(true).with_span(function.name.span()))
                }),
            }],
            else_result: None,
        }),
    };
    Ok(AggregateCall { function: kind, argument })
}

impl<T: Tables> Planner<'_, T> {
    /// The arguments of an aggregate in the plan: values and marks; and the aggregate.
    pub(super) fn folded(
        &mut self,
        read: &AggregateCall,
        relation: &Relation,
        call: &ast::Function,
    ) -> Result<(Aggregate, asof_model::ValueType, [Expr; 2], BTreeSet<String>)> {
        let (value, mark, of, from) = match &read.argument {
            None => (lit(true), None, asof_model::ValueType::Bool, BTreeSet::new()),
            Some(argument) => {
                let computed = self.computed(argument, relation)?;
                (computed.value, computed.mark, computed.value_type, computed.from)
            }
        };
        let Some(aggregate) = Aggregate::new(read.function, of) else {
            let message = format!("`{}` does not take values of type {of}", name_of(call));
            return Err(TransformError::at(call.name.span(), message, Some("cast the argument")));
        };
        Ok((aggregate, of, [value, mark.unwrap_or_else(|| lit(false))], from))
    }

    /// Groups by resolved keys. `behind` are the resolved expressions that are evaluated on groups: keys and aggregates in
    /// them become columns of the result.
    pub(super) fn group(
        &mut self,
        relation: Relation,
        keys: Vec<ast::Expr>,
        behind: Vec<&mut ast::Expr>,
    ) -> Result<Relation> {
        let mut columns = Vec::new();
        let mut before = Vec::new();
        let mut marks = Vec::new();
        let mut known: Vec<(ast::Expr, usize)> = Vec::new();
        for key in keys {
            let computed = self.computed(&key, &relation)?;
            refuse_unordered(computed.value_type, "`group by`", key.span())?;
            let id = self.fresh();
            let value = self.unmarked(computed.value, computed.mark.clone(), computed.value_type);
            before.push(value.alias(value_name(id)));
            marks.extend(computed.mark.map(|mark| (mark, "a key of `group by` is in ERROR".to_owned())));
            let name = match unnested(&key) {
                ast::Expr::Identifier(name) => {
                    relation.columns.iter().find(|column| value_name(column.id) == name.value)
                }
                _ => None,
            };
            columns.push(Column {
                table: name.and_then(|column| column.table.clone()),
                name: name.map_or_else(|| value_name(id), |column| column.name.clone()),
                value_type: computed.value_type,
                id,
                fallible: false,
                hidden: false,
                from: computed.from,
            });
            known.push((unnested(&key).clone(), id));
        }
        // Bad rows make groups of their own.
        let flag = self.flagged(&relation, marks);
        let fallible = flag.is_some();
        let flag_id = self.fresh();
        before.push(flag.unwrap_or_else(|| lit(ScalarValue::Utf8(None))).alias(flag_name(flag_id)));
        let groups = known.iter().map(|(_, id)| ident(value_name(*id)));
        let groups: Vec<Expr> = groups.chain([ident(flag_name(flag_id))]).collect();

        let mut aggregates = Vec::new();
        let mut after: Vec<Expr> =
            columns.iter().map(Column::value).chain(fallible.then(|| ident(flag_name(flag_id)))).collect();
        let mut behind = behind;
        let mut rewriting = Rewriting { known: &known, calls: Calls::after(self.next) };
        for expr in &mut behind {
            if let ControlFlow::Break(error) = VisitMut::visit(*expr, &mut rewriting) {
                return Err(error);
            }
        }
        self.next = rewriting.calls.last();
        let new = rewriting.calls.new;
        for (function, id) in new {
            let read = aggregate_call(&function)?;
            let (aggregate, of, [value, mark], from) = self.folded(&read, &relation, &function)?;
            before.push(value.alias(value_name(id)));
            before.push(mark.alias(mark_name(id)));
            let arguments = vec![ident(value_name(id)), ident(mark_name(id))];
            let result = format!("__a{id}");
            aggregates.push(fold(aggregate, of).call(arguments).alias(&result));
            let column = Column {
                table: None,
                name: value_name(id),
                value_type: aggregate.result(),
                id,
                fallible: true,
                hidden: true,
                from,
            };
            after.extend(self.unpacked(&column, ident(result)));
            columns.push(column);
        }
        let plan = built(relation.plan.clone(), |plan| {
            plan.project(before)?.aggregate(groups, aggregates)?.project(after)
        })?;
        let grouped = Relation { plan, columns, flag: fallible.then_some(flag_id) };
        for expr in &behind {
            Self::check_grouped(expr, &grouped, &relation)?;
        }
        Ok(grouped)
    }

    /// The value and the mark of a column, from the struct that an aggregate gives.
    pub(super) fn unpacked(&mut self, column: &Column, result: Expr) -> [Expr; 2] {
        let part = |name: String, place: usize, of: DataType| {
            call(name, vec![result.clone()], of, move |arrays: &[ArrayRef], _| {
                Ok(arrays[0].as_struct().column(place).clone())
            })
        };
        let value = part(self.call_name(), 0, arrow_type(column.value_type)).alias(value_name(column.id));
        let mark = part(self.call_name(), 1, DataType::Boolean).alias(mark_name(column.id));
        [value, mark]
    }

    /// Says of a name that is neither grouped by nor inside an aggregate what is wrong with it.
    pub(super) fn check_grouped(expr: &ast::Expr, grouped: &Relation, relation: &Relation) -> Result<()> {
        let outcome = visit_expressions(expr, |part| match part {
            ast::Expr::Identifier(name) if is_internal(name) => {
                if grouped.columns.iter().any(|column| value_name(column.id) == name.value) {
                    return ControlFlow::Continue(());
                }
                let column = relation.columns.iter().find(|column| value_name(column.id) == name.value);
                let shown = column.map_or("", |column| column.name.as_str());
                let message = format!("`{shown}` is neither grouped by nor inside an aggregate");
                let hint = format!("add it to `group by`, or write `max({shown})`");
                ControlFlow::Break(TransformError::at(name.span, message, Some(&hint)))
            }
            _ => ControlFlow::Continue(()),
        });
        match outcome {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Replaces keys and aggregates by the columns that hold them.
struct Rewriting<'a> {
    known: &'a [(ast::Expr, usize)],
    calls: Calls,
}

impl VisitorMut for Rewriting<'_> {
    type Break = TransformError;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<TransformError> {
        let span = expr.span();
        if let Some((_, id)) = self.known.iter().find(|(key, _)| key == unnested(expr)) {
            *expr = internal(*id, span);
        } else if let ast::Expr::Function(function) = expr
            && makes_groups(function)
        {
            let inside = match &function.args {
                FunctionArguments::List(list) => list.args.iter().any(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => has_aggregate(argument),
                    _ => false,
                }),
                _ => false,
            };
            if inside {
                let message = "an aggregate inside an aggregate";
                let hint = "compute the inner one in a query inside";
                return ControlFlow::Break(TransformError::at(span, message, Some(hint)));
            }
            *expr = internal(self.calls.number(function), span);
        }
        ControlFlow::Continue(())
    }
}
