//! Steps over rows as a whole: distinct rows, several queries below each other, the first rows of an order.

use arrow::datatypes::DataType;
use asof_model::ValueType;
use asof_model::order::has_order;
use datafusion::logical_expr::{LogicalPlanBuilder, SortExpr as Sort, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::Spanned;
use sqlparser::tokenizer::Span;

use super::call::{binary, call, row_bytes};
use super::plan::{Planner, Tables, built};
use super::relation::{Column, Relation, flag_name, mark_name, value_name};
use crate::transform::error::TransformError;
use crate::transform::syntax::{self, Result};

impl<T: Tables> Planner<'_, T> {
    pub(super) fn distinct(&mut self, relation: Relation, span: Span) -> Result<Relation> {
        for column in &relation.columns {
            refuse_unordered(column.value_type, "`distinct`", span)?;
        }
        let plan = built(relation.plan.clone(), LogicalPlanBuilder::distinct)?;
        Ok(Relation { plan, ..relation })
    }

    pub(super) fn union(&mut self, left: Relation, right: Relation, span: Span) -> Result<Relation> {
        if left.columns.len() != right.columns.len() {
            let (one, other) = (left.columns.len(), right.columns.len());
            let message = format!("`union all` of {one} and {other} columns");
            return Err(TransformError::at(
                span,
                message,
                Some("give each select the same columns, in one order"),
            ));
        }
        let mut sides = [Vec::new(), Vec::new()];
        let mut columns = Vec::new();
        for (one, other) in left.columns.iter().zip(&right.columns) {
            if one.value_type != other.value_type {
                let (here, there) = (one.value_type, other.value_type);
                let message = format!("`union all`: `{}` is {here}, and here it is {there}", one.name);
                let hint = format!("write `cast({} as {here}) as {}`", other.name, one.name);
                return Err(TransformError::at(span, message, Some(&hint)));
            }
            let id = self.fresh();
            let fallible = one.fallible || other.fallible;
            for (side, column) in sides.iter_mut().zip([one, other]) {
                side.push(column.value().alias(value_name(id)));
                if fallible {
                    side.push(column.mark().unwrap_or_else(|| lit(false)).alias(mark_name(id)));
                }
            }
            let from = one.from.union(&other.from).cloned().collect();
            columns.push(Column { id, fallible, from, ..one.clone() });
        }
        let flag = (left.flag.is_some() || right.flag.is_some()).then(|| self.fresh());
        if let Some(id) = flag {
            for (side, relation) in sides.iter_mut().zip([&left, &right]) {
                let none = lit(ScalarValue::Utf8(None));
                side.push(relation.flag().unwrap_or(none).alias(flag_name(id)));
            }
        }
        let [of_left, of_right] = sides;
        let right = built(right.plan, |plan| plan.project(of_right))?;
        let plan = built(left.plan, |plan| plan.project(of_left)?.union(right))?;
        Ok(Relation { plan, columns, flag })
    }

    pub(super) fn limited(&mut self, relation: Relation, limit: &syntax::Limit) -> Result<Relation> {
        let mut marks = Vec::new();
        let mut sorts = Vec::new();
        for sort in &limit.order {
            let expr = self.resolved(&sort.expr, &relation)?;
            let computed = self.computed(&expr, &relation)?;
            refuse_unordered(computed.value_type, "`order by`", sort.expr.span())?;
            let value = self.unmarked(computed.value, computed.mark.clone(), computed.value_type);
            marks.extend(computed.mark.map(|mark| (mark, "a key of `order by` is in ERROR".to_owned())));
            sorts.push(Sort::new(value, !sort.descending, sort.nulls_first));
        }
        sorts.extend(self.ties(&relation));
        let flag = self.flagged(&relation, marks);
        // A bad row takes no place among the first.
        sorts.splice(0..0, flag.clone().map(|flag| Sort::new(flag, true, true)));
        let rows = usize::try_from(limit.rows).unwrap_or(usize::MAX);
        let (exprs, id) = self.reflagged(&relation, flag);
        let plan = built(relation.plan, |plan| plan.sort_with_limit(sorts, Some(rows)))?;
        let plan = built(plan, |plan| plan.project(exprs))?;
        Ok(Relation { plan, columns: relation.columns, flag: id })
    }

    /// What decides between rows that are equal so far: all of their columns. Rows that are equal then are the same.
    pub(super) fn ties(&mut self, relation: &Relation) -> Vec<Sort> {
        let (ordered, others): (Vec<&Column>, Vec<&Column>) =
            relation.columns.iter().partition(|column| has_order(column.value_type));
        let mut sorts = Vec::new();
        for column in ordered {
            sorts.push(Sort::new(column.value(), true, false));
            sorts.extend(column.mark().map(|mark| Sort::new(mark, true, false)));
        }
        if !others.is_empty() {
            let types: Vec<ValueType> = others.iter().map(|column| column.value_type).collect();
            let values = others.iter().map(|column| column.value()).collect();
            let bytes = call(self.call_name(), values, DataType::Binary, move |arrays, rows| {
                Ok(binary(rows, |row, out| {
                    row_bytes(&types, arrays, row, out);
                    true
                }))
            });
            sorts.push(Sort::new(bytes, true, false));
            let marks = others.iter().filter_map(|column| column.mark());
            sorts.extend(marks.map(|mark| Sort::new(mark, true, false)));
        }
        sorts
    }
}

pub(super) fn refuse_unordered(of: ValueType, what: &str, span: Span) -> Result<()> {
    if has_order(of) {
        return Ok(());
    }
    let message = format!("{what} does not take values of type {of}");
    Err(TransformError::at(span, message, Some("compute a number, text or time from it first")))
}
