//! Joins.
//!
//! Rows meet where their keys have the same canonical bytes. A row whose key is in error meets none and becomes bad; so
//! that it comes out, a join with such rows is a full one, of which only what belongs to it is kept.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::DataType;
use asof_model::ValueType;
use datafusion::logical_expr::{Expr, JoinType, ident, lit};
use sqlparser::ast::{self, BinaryOperator, Spanned, visit_expressions};

use super::call::{binary, call, marked, row_bytes};
use super::plan::{Planner, Tables, built};
use super::relation::{Column, Relation, flag_name, value_name};
use crate::transform::error::TransformError;
use crate::transform::syntax::{Join, JoinKind, JoinOn, Result, unnested};

/// One side of a join with its key.
struct Side {
    relation: Relation,
    /// The column of key bytes.
    key: String,
    /// A column that is there in every row of the side.
    there: String,
}

impl<T: Tables> Planner<'_, T> {
    /// Joins two relations.
    pub(super) fn join(&mut self, left: Relation, right: Relation, join: &Join) -> Result<Relation> {
        let both = Relation {
            plan: left.plan.clone(),
            columns: left.columns.iter().chain(&right.columns).cloned().collect(),
            flag: None,
        };
        let mut keys: [Vec<ast::Expr>; 2] = [Vec::new(), Vec::new()];
        let mut rest = Vec::new();
        let mut hidden = BTreeSet::new();
        match &join.on {
            JoinOn::All => {}
            JoinOn::Using(names) => {
                if join.kind == JoinKind::Full {
                    let hint = "write `on a.key = b.key`, and `coalesce(a.key, b.key) as key`";
                    return Err(TransformError::at(join.span, "`using` in a full join", Some(hint)));
                }
                for name in names {
                    let mine = self.resolved(&ast::Expr::Identifier(name.clone()), &left)?;
                    let other = self.resolved(&ast::Expr::Identifier(name.clone()), &right)?;
                    // One of the two is the column of that name: the one that is always there.
                    let gone = if join.kind == JoinKind::Right { &mine } else { &other };
                    if let ast::Expr::Identifier(name) = gone {
                        hidden.insert(name.value.clone());
                    }
                    keys[0].push(mine);
                    keys[1].push(other);
                }
            }
            JoinOn::Condition(condition) => {
                let mut parts = Vec::new();
                conjuncts(condition, &mut parts);
                for part in parts {
                    let part = self.resolved(part, &both)?;
                    match equality(&part, &left, &right) {
                        Some([mine, other]) => {
                            keys[0].push(mine);
                            keys[1].push(other);
                        }
                        None => rest.push(part),
                    }
                }
            }
        }
        let (mut left, mut right) = (left, right);
        if join.kind != JoinKind::Inner {
            // What concerns the side that may be absent alone decides which of its rows there are to meet.
            for part in std::mem::take(&mut rest) {
                let [of_left, of_right] = [&left, &right].map(|side| reads_only(&part, side));
                match (join.kind, of_left, of_right) {
                    (JoinKind::Left, _, true) => right = self.filter(right, &part, "on")?,
                    (JoinKind::Right, true, _) => left = self.filter(left, &part, "on")?,
                    _ => {
                        let message = "this condition of an outer join is not built";
                        let hint = "an outer join takes equalities, and conditions on the side that may be absent; write \
                                    the rest in `where`, or use an inner join";
                        return Err(TransformError::at(part.span(), message, Some(hint)));
                    }
                }
            }
        }
        let joined = if keys[0].is_empty() {
            if join.kind != JoinKind::Inner {
                let hint = "join on an equality: `on a.key = b.key`";
                return Err(TransformError::at(join.span, "an outer join without an equality", Some(hint)));
            }
            self.crossed(left, right)?
        } else {
            self.met(left, right, keys, join.kind)?
        };
        let mut joined = rest.iter().try_fold(joined, |joined, part| self.filter(joined, part, "on"))?;
        for column in &mut joined.columns {
            column.hidden |= hidden.contains(&value_name(column.id));
        }
        Ok(joined)
    }

    /// Every pair of rows.
    fn crossed(&mut self, left: Relation, right: Relation) -> Result<Relation> {
        let columns: Vec<Column> = left.columns.iter().chain(&right.columns).cloned().collect();
        let (flags, id) = self.both_flags(&left, &right);
        let values = columns.iter().flat_map(|column| std::iter::once(column.value()).chain(column.mark()));
        let exprs: Vec<Expr> = values.chain(flags).collect();
        let right = right.plan;
        let plan = built(left.plan, |plan| plan.cross_join(right)?.project(exprs))?;
        Ok(Relation { plan, columns, flag: id })
    }

    /// Rows with equal keys.
    fn met(
        &mut self,
        left: Relation,
        right: Relation,
        keys: [Vec<ast::Expr>; 2],
        kind: JoinKind,
    ) -> Result<Relation> {
        let mut types: Vec<ValueType> = Vec::new();
        let mut of_sides = [Vec::new(), Vec::new()];
        for (mine, other) in keys[0].iter().zip(&keys[1]) {
            let one = self.typed(mine, &left)?;
            let two = self.typed(other, &right)?;
            let (a, b) = (one.value_type(), two.value_type());
            let common = match (one.clone().widened_to(b), two.clone().widened_to(a)) {
                (Some(widened), _) => Some((widened, two, b)),
                (None, Some(widened)) => Some((one, widened, a)),
                (None, None) => None,
            };
            let Some((one, two, of)) = common else {
                let message = format!("the sides of the join have the types {a} and {b}");
                return Err(TransformError::at(mine.span(), message, Some("cast one of them")));
            };
            types.push(of);
            of_sides[0].push((one, mine.clone()));
            of_sides[1].push((two, other.clone()));
        }
        let [of_left, of_right] = of_sides;
        let left = self.side(left, of_left, &types)?;
        let right = self.side(right, of_right, &types)?;
        let flagged = [left.relation.flag.is_some(), right.relation.flag.is_some()];
        // Which side's rows stay without a match, and so come out anyhow.
        let stays = match kind {
            JoinKind::Inner => [false, false],
            JoinKind::Left => [true, false],
            JoinKind::Right => [false, true],
            JoinKind::Full => [true, true],
        };
        let plain = flagged.iter().zip(stays).all(|(flagged, stays)| !flagged || stays);
        let join_type = match kind {
            _ if !plain => JoinType::Full,
            JoinKind::Inner => JoinType::Inner,
            JoinKind::Left => JoinType::Left,
            JoinKind::Right => JoinType::Right,
            JoinKind::Full => JoinType::Full,
        };
        let columns: Vec<Column> =
            left.relation.columns.iter().chain(&right.relation.columns).cloned().collect();
        let (flags, id) = self.both_flags(&left.relation, &right.relation);
        let keep = (!plain).then(|| {
            let mut arguments = vec![ident(&left.there), ident(&right.there)];
            arguments.extend(flags.clone());
            call(self.call_name(), arguments, DataType::Boolean, move |arrays, rows| {
                let (left, right) = (&arrays[0], &arrays[1]);
                let flags = arrays.get(2);
                let keep = (0..rows).map(|row| {
                    let met = left.is_valid(row) && right.is_valid(row);
                    let stays = (stays[0] && left.is_valid(row)) || (stays[1] && right.is_valid(row));
                    Some(met || stays || flags.is_some_and(|flags| flags.is_valid(row)))
                });
                Ok(Arc::new(keep.collect::<BooleanArray>()))
            })
        });
        let values = columns.iter().flat_map(|column| std::iter::once(column.value()).chain(column.mark()));
        let exprs: Vec<Expr> = values.chain(flags).collect();
        let on = (vec![left.key.as_str()], vec![right.key.as_str()]);
        let right_plan = right.relation.plan;
        let plan = built(left.relation.plan, |plan| {
            let joined = plan.join(right_plan, join_type, on, None)?;
            match keep {
                None => joined,
                Some(keep) => joined.filter(keep)?,
            }
            .project(exprs)
        })?;
        Ok(Relation { plan, columns, flag: id })
    }

    /// A side with its key as canonical bytes: null where a part is null or in error, so that the row meets none.
    fn side(
        &mut self,
        relation: Relation,
        keys: Vec<(asof_expression::Expression, ast::Expr)>,
        types: &[ValueType],
    ) -> Result<Side> {
        let (mut values, mut marks) = (Vec::new(), Vec::new());
        for (expression, expr) in keys {
            let computed = self.compiled(expression, &expr, &relation);
            values.push(computed.value);
            marks.extend(computed.mark);
        }
        let reason = "a key of the join is in ERROR".to_owned();
        let flag = self.flagged(&relation, marks.iter().map(|mark| (mark.clone(), reason.clone())).collect());
        let count = values.len();
        let types = types.to_vec();
        let arguments: Vec<Expr> = values.into_iter().chain(marks).chain(flag.clone()).collect();
        let has_flag = flag.is_some();
        let key = call(self.call_name(), arguments, DataType::Binary, move |arrays, rows| {
            let (values, rest) = arrays.split_at(count);
            let (flags, marks) = if has_flag {
                rest.split_last().map_or((None, rest), |(flags, marks)| (Some(flags), marks))
            } else {
                (None, rest)
            };
            let marks: Vec<_> = marks.iter().filter_map(marked).collect();
            Ok(binary(rows, |row, out| {
                let meets = values.iter().all(|values| values.is_valid(row))
                    && !marks.iter().any(|marks| marks.value(row))
                    && flags.is_none_or(|flags| flags.is_null(row));
                if meets {
                    row_bytes(&types, values, row, out);
                }
                meets
            }))
        });
        let (key_name, there) = (format!("__k{}", self.fresh()), format!("__k{}", self.fresh()));
        let (mut exprs, id) = self.reflagged(&relation, flag);
        exprs.push(key.alias(&key_name));
        exprs.push(lit(true).alias(&there));
        let plan = built(relation.plan, |plan| plan.project(exprs))?;
        Ok(Side { relation: Relation { plan, columns: relation.columns, flag: id }, key: key_name, there })
    }

    /// The reasons of both sides as one column.
    fn both_flags(&mut self, left: &Relation, right: &Relation) -> (Option<Expr>, Option<usize>) {
        let flags: Vec<Expr> = left.flag().into_iter().chain(right.flag()).collect();
        if flags.is_empty() {
            return (None, None);
        }
        let id = self.fresh();
        let first = call(self.call_name(), flags, DataType::Utf8, |arrays, rows| {
            use arrow::array::{AsArray, StringArray};
            let flags: Vec<&StringArray> = arrays.iter().map(|array| array.as_string::<i32>()).collect();
            let reason =
                |row: usize| flags.iter().find(|flags| flags.is_valid(row)).map(|flags| flags.value(row));
            Ok(Arc::new((0..rows).map(reason).collect::<StringArray>()))
        });
        (Some(first.alias(flag_name(id))), Some(id))
    }
}

/// The parts that `and` puts together.
fn conjuncts<'a>(expr: &'a ast::Expr, out: &mut Vec<&'a ast::Expr>) {
    match unnested(expr) {
        ast::Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        part => out.push(part),
    }
}

/// The two sides of an equality between what is left and what is right.
fn equality(expr: &ast::Expr, left: &Relation, right: &Relation) -> Option<[ast::Expr; 2]> {
    let ast::Expr::BinaryOp { left: one, op: BinaryOperator::Eq, right: other } = unnested(expr) else {
        return None;
    };
    let of = |expr: &ast::Expr, side: &Relation| reads_columns(expr) && reads_only(expr, side);
    if of(one, left) && of(other, right) {
        Some([(**one).clone(), (**other).clone()])
    } else if of(one, right) && of(other, left) {
        Some([(**other).clone(), (**one).clone()])
    } else {
        None
    }
}

fn names(expr: &ast::Expr) -> Vec<String> {
    let mut names = Vec::new();
    let _ = visit_expressions(expr, |part| {
        if let ast::Expr::Identifier(name) = part {
            names.push(name.value.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    names
}

fn reads_columns(expr: &ast::Expr) -> bool {
    !names(expr).is_empty()
}

/// Whether a resolved expression reads columns of that side alone.
fn reads_only(expr: &ast::Expr, side: &Relation) -> bool {
    names(expr).iter().all(|name| side.columns.iter().any(|column| value_name(column.id) == *name))
}
