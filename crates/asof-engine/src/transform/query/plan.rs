//! From a query to a plan of DataFusion.
//!
//! DataFusion brings rows together: it scans, joins, groups, sorts, and spills what does not fit. Every expression and
//! every aggregate in the plan is ours. A value in error travels as a mark beside its column. A row about which
//! something in error had to decide (a condition, a key) keeps a reason why it is bad, stays apart from the good ones in
//! every step, and comes out at the end to be set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use asof_expression::{Expression, Scope};
use asof_model::ValueType;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr as Sort, ident};
use sqlparser::ast::{self, Ident, Spanned};
use sqlparser::tokenizer::Span;

use super::call::{self, call, marked, marks_array, without};
use super::names::{internal, is_internal, ordinal, own_name, with_aliases, with_windows};
use super::relation::{Column, Relation, flag_name, mark_name, value_name};
use crate::columns::arrow_type;
use crate::transform::error::TransformError;
use crate::transform::syntax::{Body, Item, Query, Result, Select, Table, TableWhat, unnested};
use crate::transform::table::SourceColumns;

/// Where the tables of a query come from.
pub(crate) trait Tables {
    /// The source that a name in `from` means, and its columns.
    fn columns(&mut self, name: &Ident) -> Result<(String, SourceColumns)>;

    /// The rows of a source: these columns, each as values and as marks of what can't be read.
    fn rows(
        &mut self,
        source: &str,
        columns: &[(String, ValueType)],
        schema: SchemaRef,
    ) -> Result<Arc<dyn TableProvider>>;
}

/// Makes the plan of one query.
pub(crate) struct Planner<'a, T> {
    pub(super) text: &'a str,
    tables: &'a mut T,
    /// The source whose query it is: its columns are named without it in `from`.
    own: &'a str,
    pub(super) next: usize,
    named: Vec<(Ident, Query)>,
    depth: usize,
    /// By source, the columns that are read.
    pub used: BTreeMap<String, BTreeMap<String, ValueType>>,
}

/// The most queries inside each other, those that are named and read again included.
const QUERIES_DEPTH_MAX: usize = 32;

/// An expression in the plan.
pub(super) struct Computed {
    pub value: Expr,
    pub mark: Option<Expr>,
    pub value_type: ValueType,
    pub from: BTreeSet<String>,
}

/// A problem of DataFusion with a plan of ours.
pub(super) fn planning(error: DataFusionError) -> TransformError {
    TransformError::at(Span::empty(), format!("the query can't be planned: {error}"), None)
}

impl<'a, T: Tables> Planner<'a, T> {
    pub fn new(text: &'a str, own: &'a str, tables: &'a mut T) -> Self {
        Self { text, tables, own, next: 0, named: Vec::new(), depth: 0, used: BTreeMap::new() }
    }

    pub(super) fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    pub(super) fn call_name(&mut self) -> String {
        format!("__f{}", self.fresh())
    }

    /// The rows of a query.
    pub fn query(&mut self, query: &Query) -> Result<Relation> {
        self.depth += 1;
        if self.depth > QUERIES_DEPTH_MAX {
            let message = format!("more than {QUERIES_DEPTH_MAX} queries stand inside each other");
            return Err(TransformError::at(Span::empty(), message, None));
        }
        let outside = self.named.len();
        self.named.extend(query.named.iter().cloned());
        let mut so_far: Option<Relation> = None;
        for body in &query.selects {
            let (span, part) = match body {
                Body::Select(select) => (select.span, self.select(select)?),
                Body::Query(inner) => (Span::empty(), self.query(inner)?),
            };
            so_far = Some(match so_far {
                None => part,
                Some(before) => self.union(before, part, span)?,
            });
        }
        let Some(mut relation) = so_far else {
            return Err(TransformError::at(Span::empty(), "the query is empty", None));
        };
        if let Some(limit) = &query.limit {
            relation = self.limited(relation, limit)?;
        }
        self.named.truncate(outside);
        self.depth -= 1;
        Ok(relation)
    }

    fn select(&mut self, select: &Select) -> Result<Relation> {
        let mut relation = self.table(&select.from)?;
        for join in &select.joins {
            let right = self.table(&join.table)?;
            relation = self.join(relation, right, join)?;
        }
        if let Some(condition) = &select.condition {
            let condition = self.resolved(condition, &relation)?;
            relation = self.filter(relation, &condition, "where")?;
        }
        let mut names = Vec::new();
        let mut exprs = Vec::new();
        for item in &select.items {
            match item {
                Item::Star { table, except, span } => {
                    for column in self.star(&relation, table.as_ref(), except, *span)? {
                        names.push(column.name.clone());
                        exprs.push(internal(column.id, *span));
                    }
                }
                Item::Expr { expr, name } => {
                    let expr = with_windows(expr, &select.windows)?;
                    let resolved = self.resolved(&expr, &relation)?;
                    names.push(own_name(&resolved, name, &relation));
                    exprs.push(resolved);
                }
            }
        }
        let aliases: Vec<(&Item, &ast::Expr)> = if exprs.len() == select.items.len() {
            select.items.iter().zip(&exprs).collect()
        } else {
            Vec::new()
        };
        let later = |planner: &mut Self, expr: &ast::Expr| {
            let expr = with_windows(expr, &select.windows)?;
            let expr = with_aliases(&expr, &aliases, &relation);
            planner.resolved(&expr, &relation)
        };
        let mut keys = Vec::new();
        for key in &select.group_by {
            keys.push(match ordinal(key) {
                Some(number) => match aliases.get(number.wrapping_sub(1)) {
                    Some((_, expr)) => (*expr).clone(),
                    None => {
                        let message = format!("there is no item {number} to group by");
                        return Err(TransformError::at(key.span(), message, None));
                    }
                },
                None => later(self, key)?,
            });
        }
        let mut having = select.having.as_ref().map(|expr| later(self, expr)).transpose()?;
        let mut qualify = select.qualify.as_ref().map(|expr| later(self, expr)).transpose()?;
        let groups = !keys.is_empty()
            || having.is_some()
            || exprs.iter().chain(&qualify).any(super::group::has_aggregate);
        if groups {
            let behind = exprs.iter_mut().chain(&mut having).chain(&mut qualify).collect();
            relation = self.group(relation, keys, behind)?;
        }
        if let Some(having) = &having {
            relation = self.filter(relation, having, "having")?;
        }
        relation = self.windows(relation, exprs.iter_mut().chain(&mut qualify).collect())?;
        if let Some(qualify) = &qualify {
            relation = self.filter(relation, qualify, "qualify")?;
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for (name, expr) in names.iter().zip(&exprs) {
            if !seen.insert(name) {
                let message = format!("two columns are named `{name}`");
                let hint = "give one another name, or leave it out of `*` with `* exclude (name)`";
                return Err(TransformError::at(expr.span(), message, Some(hint)));
            }
        }
        let items = names.into_iter().zip(exprs).collect();
        relation = self.project(&relation, items)?;
        if select.distinct {
            relation = self.distinct(relation, select.span)?;
        }
        Ok(relation)
    }

    /// A table of `from`.
    fn table(&mut self, table: &Table) -> Result<Relation> {
        let mut relation = match &table.what {
            TableWhat::Query(query) => self.query(query)?,
            TableWhat::Named(name) => {
                let found =
                    self.named.iter().rposition(|(known, _)| known.value.eq_ignore_ascii_case(&name.value));
                match found {
                    Some(place) => {
                        // It sees what stands before it.
                        let (_, query) = self.named[place].clone();
                        let behind = self.named.split_off(place);
                        let relation = self.query(&query)?;
                        self.named.extend(behind);
                        relation
                    }
                    None => self.source(name)?,
                }
            }
        };
        let alias = match (&table.alias, &table.what) {
            (Some(alias), _) => Some(alias.value.clone()),
            (None, TableWhat::Named(name)) => Some(name.value.clone()),
            (None, TableWhat::Query(_)) => None,
        };
        for column in &mut relation.columns {
            column.table = alias.clone();
            column.hidden = false;
        }
        Ok(relation)
    }

    /// The rows of a source's files.
    fn source(&mut self, name: &Ident) -> Result<Relation> {
        let (source, known) = self.tables.columns(name)?;
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        let mut read = Vec::new();
        for (column, value_type) in known.typed() {
            let id = self.fresh();
            fields.push(Field::new(value_name(id), arrow_type(value_type), true));
            fields.push(Field::new(mark_name(id), DataType::Boolean, true));
            read.push((column.to_owned(), value_type));
            let from = match source == self.own {
                true => column.to_owned(),
                false => format!("{source}.{column}"),
            };
            columns.push(Column {
                table: None,
                name: column.to_owned(),
                value_type,
                id,
                fallible: true,
                hidden: false,
                from: BTreeSet::from([from]),
            });
        }
        self.used.entry(source.clone()).or_default();
        let schema = Arc::new(Schema::new(fields));
        let rows = self.tables.rows(&source, &read, schema)?;
        let table = format!("t{}", self.fresh());
        let plan =
            LogicalPlanBuilder::scan(table.as_str(), provider_as_source(rows), None).map_err(planning)?;
        let relation = Relation { plan: plan.build().map_err(planning)?, columns, flag: None };
        // Without the table's name before each column.
        let all: Vec<Expr> = relation
            .columns
            .iter()
            .flat_map(|column| {
                let (value, mark) = (value_name(column.id), mark_name(column.id));
                [ident(&value).alias(value), ident(&mark).alias(mark)]
            })
            .collect();
        let plan = built(relation.plan, |plan| plan.project(all))?;
        Ok(Relation { plan, ..relation })
    }

    /// Notes that a column is read.
    fn note(&mut self, column: &Column) {
        for from in &column.from {
            let (source, name) = match from.split_once('.') {
                Some((source, name)) if self.used.contains_key(source) => {
                    (source.to_owned(), name.to_owned())
                }
                _ => (self.own.to_owned(), from.clone()),
            };
            if column.from.len() == 1 {
                self.used.entry(source).or_default().entry(name).or_insert(column.value_type);
            }
        }
    }

    /// The columns that `*` means.
    fn star(
        &mut self,
        relation: &Relation,
        table: Option<&Ident>,
        except: &[Ident],
        span: Span,
    ) -> Result<Vec<Column>> {
        let mut left_out = BTreeSet::new();
        for name in except {
            left_out.insert(relation.find(table, name)?.id);
        }
        let of_table = |column: &&Column| match table {
            None => !column.hidden,
            Some(wanted) => {
                column.table.as_deref().is_some_and(|table| table.eq_ignore_ascii_case(&wanted.value))
            }
        };
        let columns: Vec<Column> = relation
            .columns
            .iter()
            .filter(of_table)
            .filter(|each| !left_out.contains(&each.id))
            .cloned()
            .collect();
        if columns.is_empty() {
            return Err(TransformError::at(span, "`*` stands for no column here", None).of_unknown_column());
        }
        columns.iter().for_each(|column| self.note(column));
        Ok(columns)
    }

    /// The expression with each name replaced by that of its column in the plan.
    pub(super) fn resolved(&mut self, expr: &ast::Expr, relation: &Relation) -> Result<ast::Expr> {
        let mut expr = expr.clone();
        let mut found = Vec::new();
        let outcome = ast::visit_expressions_mut(&mut expr, |part| {
            let column = match part {
                ast::Expr::Identifier(name) if is_internal(name) => return ControlFlow::Continue(()),
                ast::Expr::Identifier(name) => relation.find(None, name).map(|column| (column, name.span)),
                ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [table, name] => relation.find(Some(table), name).map(|column| (column, table.span)),
                    _ => {
                        Err(TransformError::at(part.span(), "a name of several parts is not a column", None))
                    }
                },
                _ => return ControlFlow::Continue(()),
            };
            match column {
                Ok((column, span)) => {
                    found.push(column.clone());
                    *part = internal(column.id, span);
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error),
            }
        });
        if let ControlFlow::Break(error) = outcome {
            return Err(error);
        }
        found.iter().for_each(|column| self.note(column));
        Ok(expr)
    }

    /// A resolved expression, typed.
    pub(super) fn typed(&self, expr: &ast::Expr, relation: &Relation) -> Result<Expression> {
        let columns = relation.columns.iter().map(|column| (value_name(column.id), column.value_type));
        Ok(Expression::from_sql(expr, self.text, &Scope::new(columns))?)
    }

    /// A resolved expression in the plan.
    pub(super) fn computed(&mut self, expr: &ast::Expr, relation: &Relation) -> Result<Computed> {
        let expression = self.typed(expr, relation)?;
        Ok(self.compiled(expression, expr, relation))
    }

    /// A typed expression in the plan.
    pub(super) fn compiled(
        &mut self,
        expression: Expression,
        expr: &ast::Expr,
        relation: &Relation,
    ) -> Computed {
        let column = |name: &String| relation.columns.iter().find(|column| value_name(column.id) == *name);
        let columns: Vec<&Column> = expression.columns().iter().filter_map(column).collect();
        let from = columns.iter().flat_map(|column| column.from.iter().cloned()).collect();
        let value_type = expression.value_type();
        if let (ast::Expr::Identifier(_), [column]) = (unnested(expr), columns.as_slice())
            && column.value_type == value_type
        {
            return Computed { value: column.value(), mark: column.mark(), value_type, from };
        }
        let fallible: Vec<bool> = columns.iter().map(|column| column.fallible).collect();
        let values = columns.iter().map(|column| column.value());
        let arguments: Vec<Expr> = values.chain(columns.iter().filter_map(|column| column.mark())).collect();
        let fails = expression.can_fail() || fallible.contains(&true);
        let mark = fails.then(|| {
            let (expression, fallible) = (expression.clone(), fallible.clone());
            call(self.call_name(), arguments.clone(), DataType::Boolean, move |arrays, rows| {
                Ok(marks_array(call::evaluate(&expression, &fallible, arrays, rows)?.errors, rows))
            })
        });
        let value = call(self.call_name(), arguments, arrow_type(value_type), move |arrays, rows| {
            Ok(call::evaluate(&expression, &fallible, arrays, rows)?.values)
        });
        Computed { value, mark, value_type, from }
    }

    /// A relation of these items alone.
    fn project(&mut self, relation: &Relation, items: Vec<(String, ast::Expr)>) -> Result<Relation> {
        let (mut columns, mut exprs) = (Vec::new(), Vec::new());
        for (name, expr) in items {
            let computed = self.computed(&expr, relation)?;
            columns.push(self.put(computed, name, &mut exprs));
        }
        exprs.extend(relation.flag());
        let plan = built(relation.plan.clone(), |plan| plan.project(exprs))?;
        Ok(Relation { plan, columns, flag: relation.flag })
    }

    /// A new column of what is computed; what to project for it is added to `exprs`.
    pub(super) fn put(&mut self, computed: Computed, name: String, exprs: &mut Vec<Expr>) -> Column {
        let id = self.fresh();
        let fallible = computed.mark.is_some();
        exprs.push(computed.value.alias(value_name(id)));
        exprs.extend(computed.mark.map(|mark| mark.alias(mark_name(id))));
        let (value_type, from) = (computed.value_type, computed.from);
        Column { table: None, name, value_type, id, fallible, hidden: false, from }
    }

    /// The rows for which a condition holds, and those for which it is in error, which become bad.
    pub(super) fn filter(
        &mut self,
        relation: Relation,
        condition: &ast::Expr,
        what: &str,
    ) -> Result<Relation> {
        let computed = self.computed(condition, &relation)?;
        if computed.value_type != ValueType::Bool {
            let message = format!("`{what}` takes a condition, and this is {}", computed.value_type);
            return Err(TransformError::at(condition.span(), message, Some("write a comparison")));
        }
        let reason = format!("the condition of `{what}` is in ERROR");
        let flag = self
            .flagged(&relation, computed.mark.iter().cloned().map(|mark| (mark, reason.clone())).collect());
        let (mut exprs, mut id) = (relation.all(), relation.flag);
        let keep = match flag {
            None => computed.value,
            Some(flag) => {
                if id.is_some() {
                    exprs.pop();
                }
                let new = self.fresh();
                id = Some(new);
                exprs.push(flag.clone().alias(flag_name(new)));
                call(self.call_name(), vec![computed.value, flag], DataType::Boolean, |arrays, rows| {
                    let (passes, flags) = (arrays[0].as_boolean(), &arrays[1]);
                    let keep = (0..rows)
                        .map(|row| Some(flags.is_valid(row) || (passes.is_valid(row) && passes.value(row))));
                    Ok(Arc::new(keep.collect::<BooleanArray>()))
                })
            }
        };
        let plan = built(relation.plan, |plan| plan.filter(keep)?.project(exprs))?;
        Ok(Relation { plan, columns: relation.columns, flag: id })
    }

    /// The reasons why rows are bad, with these marks and what each means. `None`: none can be.
    pub(super) fn flagged(&mut self, relation: &Relation, marks: Vec<(Expr, String)>) -> Option<Expr> {
        if marks.is_empty() {
            return relation.flag();
        }
        let (mut arguments, reasons): (Vec<Expr>, Vec<String>) = marks.into_iter().unzip();
        arguments.extend(relation.flag());
        let count = reasons.len();
        Some(call(self.call_name(), arguments, DataType::Utf8, move |arrays, rows| {
            let before = arrays.get(count).map(|flags| flags.as_string::<i32>());
            let marks: Vec<_> = arrays[..count].iter().map(marked).collect();
            let reason = |row: usize| {
                if let Some(before) = before.filter(|before| before.is_valid(row)) {
                    return Some(before.value(row));
                }
                let place =
                    marks.iter().position(|marks| marks.as_ref().is_some_and(|marks| marks.value(row)))?;
                Some(reasons[place].as_str())
            };
            Ok(Arc::new((0..rows).map(reason).collect::<StringArray>()) as ArrayRef)
        }))
    }

    /// The columns of a relation with another flag, if there is one; with the number of the flag that they have then.
    pub(super) fn reflagged(
        &mut self,
        relation: &Relation,
        flag: Option<Expr>,
    ) -> (Vec<Expr>, Option<usize>) {
        let (mut exprs, mut id) = (relation.all(), relation.flag);
        if let Some(flag) = flag {
            // The flag stands last.
            if id.is_some() {
                exprs.pop();
            }
            let new = self.fresh();
            id = Some(new);
            exprs.push(flag.alias(flag_name(new)));
        }
        (exprs, id)
    }

    /// Values without those that are marked: what is grouped and joined by must not depend on what stands under a mark.
    pub(super) fn unmarked(&mut self, value: Expr, mark: Option<Expr>, of: ValueType) -> Expr {
        let Some(mark) = mark else { return value };
        call(self.call_name(), vec![value, mark], arrow_type(of), |arrays, _| {
            without(&arrays[0], marked(&arrays[1]).as_ref())
        })
    }

    /// The whole query: its plan, in an order that depends on the rows alone.
    pub fn finished(&mut self, query: &Query) -> Result<(LogicalPlan, Relation)> {
        let relation = self.query(query)?;
        let sorts = self.ties(&relation);
        let flag = relation.flag().map(|flag| Sort::new(flag, true, true));
        let plan = built(relation.plan.clone(), |plan| plan.sort(sorts.into_iter().chain(flag)))?;
        Ok((plan, relation))
    }
}

/// One more step on a plan.
pub(super) fn built(
    plan: LogicalPlan,
    step: impl FnOnce(LogicalPlanBuilder) -> datafusion::common::Result<LogicalPlanBuilder>,
) -> Result<LogicalPlan> {
    step(LogicalPlanBuilder::new(plan)).and_then(LogicalPlanBuilder::build).map_err(planning)
}
