//! The part of SQL that queries of sources may use: from text to a tree that holds it and nothing else.
//!
//! Every clause of the parser's tree is looked at. What is not in ours is refused by name and place, so that nothing
//! that was written is passed over in silence.

use asof_expression::{SqlDialect, check_bounds};
use asof_model::aggregation::INPUT_PREFIX;
use sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName,
    OrderByKind, SelectFlavor, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
    Statement, TableFactor, WildcardAdditionalOptions,
};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span};

use super::error::TransformError;

/// The most levels of parentheses, calls and subqueries that the parser follows.
const PARSER_DEPTH_MAX: usize = 128;

pub(crate) type Result<T> = std::result::Result<T, TransformError>;

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// Named queries, each of which may read those before it.
    pub named: Vec<(Ident, Query)>,
    /// The selects, whose rows are put together.
    pub selects: Vec<Body>,
    /// What the first rows are, where only so many are taken.
    pub limit: Option<Limit>,
}

/// One of the queries that `union all` puts together.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Select(Box<Select>),
    Query(Box<Query>),
}

/// `order by ... limit n`.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub order: Vec<Sort>,
    pub rows: u64,
}

/// One expression to sort by.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    pub expr: Expr,
    pub descending: bool,
    /// Nulls come first. By default they are greater than every value, as in PostgreSQL.
    pub nulls_first: bool,
}

/// `select ... from ...`.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub distinct: bool,
    pub items: Vec<Item>,
    pub from: Table,
    pub joins: Vec<Join>,
    pub condition: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
    pub qualify: Option<Expr>,
    /// Windows by name.
    pub windows: Vec<(Ident, ast::WindowSpec)>,
    pub span: Span,
}

/// One item of a select.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a query has few of them, and most are expressions")]
pub(crate) enum Item {
    /// `*` or `table.*`, without some columns.
    Star { table: Option<Ident>, except: Vec<Ident>, span: Span },
    /// An expression and its name.
    Expr { expr: Expr, name: Ident },
}

/// A table in `from`.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub what: TableWhat,
    /// What columns may be qualified with.
    pub alias: Option<Ident>,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum TableWhat {
    Named(Ident),
    Query(Box<Query>),
}

/// A table that is joined to what stands before it.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub table: Table,
    pub kind: JoinKind,
    pub on: JoinOn,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a query has few of them, and most are expressions")]
pub(crate) enum JoinOn {
    /// Every pair of rows.
    All,
    Condition(Expr),
    Using(Vec<Ident>),
}

/// Parses a text that is one query.
pub(crate) fn parse(text: &str) -> Result<Query> {
    query(&statement(text)?)
}

/// The parser's tree of a text that is one query.
pub(crate) fn statement(text: &str) -> Result<ast::Query> {
    check_bounds(text)?;
    let dialect = SqlDialect::new();
    let parser = Parser::new(&dialect).with_recursion_limit(PARSER_DEPTH_MAX);
    let parsed = parser.try_with_sql(text).and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(parser_error)?;
    let hint = Some("write one query: `select ... from source`");
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        (None, _) => Err(TransformError::at(Span::empty(), "the sql is empty", hint)),
        (Some(other), _) => Err(TransformError::at(other.span(), "the sql is not one query", hint)),
    }
}

/// The parser's message without its position, which becomes the place.
fn parser_error(error: ParserError) -> TransformError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            let message = format!("the query is nested more than {PARSER_DEPTH_MAX} levels deep");
            return TransformError::at(Span::empty(), message, None);
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (words, location) = match message.rsplit_once(" at Line: ") {
        Some((words, at)) => {
            let location = at.split_once(", Column: ").and_then(|(line, column)| {
                Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
            });
            (words.to_owned(), location)
        }
        None => (message, None),
    };
    let words = words.replace("Expected: ", "expected ").replace("found: EOF", "found its end");
    let span = location.map_or(Span::empty(), |location| Span::new(location, location));
    TransformError::at(span, words, None)
}

fn refuse<T>(span: Span, what: &str, hint: &str) -> Result<T> {
    Err(TransformError::at(span, format!("{what} can't be used in the sql of a source"), Some(hint)))
}

/// Refuses a clause that is there.
fn none<T>(there: bool, span: Span, what: &str, hint: &str, or: T) -> Result<T> {
    if there { refuse(span, what, hint) } else { Ok(or) }
}

fn query(query: &ast::Query) -> Result<Query> {
    let ast::Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let span = query.span();
    none(fetch.is_some(), span, "`fetch`", "write `order by ... limit n`", ())?;
    let rare = !locks.is_empty()
        || for_clause.is_some()
        || settings.is_some()
        || format_clause.is_some()
        || !pipe_operators.is_empty();
    none(rare, span, "a clause behind the query", "leave it out", ())?;
    let mut named = Vec::new();
    if let Some(with) = with {
        none(with.recursive, with.span(), "`with recursive`", "write the query without recursion", ())?;
        for cte in &with.cte_tables {
            none(
                !cte.alias.columns.is_empty(),
                cte.span(),
                "a list of column names",
                "name them in the query",
                (),
            )?;
            named.push((cte.alias.name.clone(), self::query(&cte.query)?));
        }
    }
    let mut selects = Vec::new();
    bodies(body, &mut selects)?;
    let order = match order_by {
        None => Vec::new(),
        Some(order) => match &order.kind {
            OrderByKind::Expressions(sorts) if order.interpolate.is_none() => {
                sorts.iter().map(sort).collect::<Result<_>>()?
            }
            _ => return refuse(order.span(), "this form of `order by`", "name the expressions"),
        },
    };
    let rows = match limit_clause {
        None => None,
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by })
            if limit_by.is_empty() =>
        {
            Some(count(limit)?)
        }
        Some(other) => return refuse(other.span(), "this form of `limit`", "write `order by ... limit n`"),
    };
    let limit = match (rows, order.first()) {
        (None, None) => None,
        (Some(rows), Some(_)) => Some(Limit { order, rows }),
        (None, Some(first)) => {
            let hint = "the rows of a source have no order; leave it out, or add `limit n`";
            return refuse(first.expr.span(), "`order by` without `limit`", hint);
        }
        (Some(_), None) => {
            let hint = "which rows are the first must not depend on files: add `order by`";
            let span = limit_clause.as_ref().map_or(span, Spanned::span);
            return refuse(span, "`limit` without `order by`", hint);
        }
    };
    Ok(Query { named, selects, limit })
}

/// A whole number that is written out.
fn count(expr: &Expr) -> Result<u64> {
    let written = match expr {
        Expr::Value(value) => match &value.value {
            ast::Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    written.ok_or_else(|| TransformError::at(expr.span(), "`limit` takes a whole number", None))
}

pub(super) fn sort(sort: &ast::OrderByExpr) -> Result<Sort> {
    none(sort.with_fill.is_some(), sort.expr.span(), "`with fill`", "leave it out", ())?;
    let descending = sort.options.asc == Some(false);
    let nulls_first = sort.options.nulls_first.unwrap_or(descending);
    Ok(Sort { expr: sort.expr.clone(), descending, nulls_first })
}

/// The queries that a body puts together.
fn bodies(body: &SetExpr, out: &mut Vec<Body>) -> Result<()> {
    match body {
        SetExpr::Select(each) => out.push(Body::Select(Box::new(select(each)?))),
        SetExpr::Query(inner) => {
            let inner = query(inner)?;
            // Parentheses around it change nothing.
            if inner.named.is_empty() && inner.limit.is_none() {
                out.extend(inner.selects);
            } else {
                out.push(Body::Query(Box::new(inner)));
            }
        }
        SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier: SetQuantifier::All, right } => {
            bodies(left, out)?;
            bodies(right, out)?;
        }
        SetExpr::SetOperation { op, .. } => {
            let hint = "only `union all` puts queries together; `select distinct` folds repeated rows";
            return refuse(body.span(), &format!("`{}`", op.to_string().to_lowercase()), hint);
        }
        _ => return refuse(body.span(), "this statement", "write `select ... from source`"),
    }
    Ok(())
}

fn select(select: &ast::Select) -> Result<Select> {
    let ast::Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    let span = select.select_token.0.span;
    let distinct = match distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) => true,
        Some(Distinct::On(_)) => {
            let hint = "write `qualify row_number() over (partition by ... order by ...) = 1`";
            return refuse(span, "`distinct on`", hint);
        }
    };
    none(top.is_some(), span, "`top`", "write `order by ... limit n`", ())?;
    none(exclude.is_some(), span, "`exclude` here", "write `* exclude (column)`", ())?;
    none(into.is_some(), span, "`into`", "the rows go to the views of the source", ())?;
    none(
        *flavor != SelectFlavor::Standard,
        span,
        "`from` before `select`",
        "write `select ... from ...`",
        (),
    )?;
    let rare = !optimizer_hints.is_empty()
        || select_modifiers.is_some()
        || !lateral_views.is_empty()
        || prewhere.is_some()
        || !connect_by.is_empty()
        || !cluster_by.is_empty()
        || !distribute_by.is_empty()
        || !sort_by.is_empty()
        || value_table_mode.is_some();
    none(
        rare,
        span,
        "a clause of this select",
        "use select, from, join, where, group by, having, qualify",
        (),
    )?;
    let group_by = match group_by {
        GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => expressions.clone(),
        _ => return refuse(group_by.span(), "this form of `group by`", "name the expressions"),
    };
    let mut windows = Vec::new();
    for window in named_window {
        match &window.1 {
            ast::NamedWindowExpr::WindowSpec(spec) => windows.push((window.0.clone(), spec.clone())),
            ast::NamedWindowExpr::NamedWindow(_) => {
                return refuse(window.0.span, "a window that renames another", "use that one");
            }
        }
    }
    let Some((first, rest)) = from.split_first() else {
        return refuse(span, "a select without `from`", "write `from source`");
    };
    let mut joins = first.joins.iter().map(join).collect::<Result<Vec<_>>>()?;
    for each in rest {
        let table = table(&each.relation)?;
        joins.push(Join { span: table.span, table, kind: JoinKind::Inner, on: JoinOn::All });
        joins.extend(each.joins.iter().map(join).collect::<Result<Vec<_>>>()?);
    }
    let items = projection.iter().map(item).collect::<Result<Vec<_>>>()?;
    Ok(Select {
        distinct,
        items,
        from: table(&first.relation)?,
        joins,
        condition: selection.clone(),
        group_by,
        having: having.clone(),
        qualify: qualify.clone(),
        windows,
        span,
    })
}

fn item(item: &ast::SelectItem) -> Result<Item> {
    match item {
        ast::SelectItem::Wildcard(options) => {
            Ok(Item::Star { table: None, except: left_out(options)?, span: options.wildcard_token.0.span })
        }
        ast::SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            let table = plain_name(name)?;
            Ok(Item::Star { span: table.span, table: Some(table), except: left_out(options)? })
        }
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Ok(Item::Expr { expr: expr.clone(), name: checked_name(alias.clone())? })
        }
        ast::SelectItem::UnnamedExpr(expr) => match unnested(expr) {
            Expr::Identifier(name) => Ok(Item::Expr { expr: expr.clone(), name: name.clone() }),
            Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
                Ok(Item::Expr { expr: expr.clone(), name: parts[1].clone() })
            }
            _ => {
                let message = "the expression has no name";
                Err(TransformError::at(expr.span(), message, Some("write `... as name`")))
            }
        },
        other => refuse(other.span(), "this item", "write an expression with a name, or `*`"),
    }
}

/// Names that begin with two underscores are ours.
fn checked_name(name: Ident) -> Result<Ident> {
    // What views compute of events are columns beside the source's own.
    if name.value.starts_with("__") && !name.value.starts_with(INPUT_PREFIX) {
        let message = format!("`{}` can't be the name of a column", name.value);
        return Err(TransformError::at(
            name.span,
            message,
            Some("names that start with `__` belong to Asof"),
        ));
    }
    Ok(name)
}

/// The columns that `except` or `exclude` name.
fn left_out(options: &WildcardAdditionalOptions) -> Result<Vec<Ident>> {
    let WildcardAdditionalOptions {
        wildcard_token,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let rare = opt_ilike.is_some() || opt_replace.is_some() || opt_rename.is_some() || opt_alias.is_some();
    let hint = "write `* exclude (column)`, and the new one beside it";
    none(rare, wildcard_token.0.span, "this form of `*`", hint, ())?;
    let mut names = Vec::new();
    if let Some(except) = opt_except {
        names.push(except.first_element.clone());
        names.extend(except.additional_elements.iter().cloned());
    }
    match opt_exclude {
        None => {}
        Some(ast::ExcludeSelectItem::Single(name)) => names.push(plain_name(name)?),
        Some(ast::ExcludeSelectItem::Multiple(more)) => {
            for name in more {
                names.push(plain_name(name)?);
            }
        }
    }
    Ok(names)
}

fn table(factor: &TableFactor) -> Result<Table> {
    let alias_of = |alias: &Option<ast::TableAlias>| match alias {
        Some(alias) if !alias.columns.is_empty() || alias.at.is_some() => {
            refuse(alias.name.span, "a list of column names", "name them in the query")
        }
        alias => Ok(alias.as_ref().map(|alias| alias.name.clone())),
    };
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
            let name = plain_name(name)?;
            Ok(Table { span: name.span, what: TableWhat::Named(name), alias: alias_of(alias)? })
        }
        TableFactor::Table { sample: Some(_), .. } => {
            refuse(factor.span(), "a sample", "its rows are others each time; write a condition")
        }
        TableFactor::Derived { lateral: false, subquery, alias, sample: None } => Ok(Table {
            what: TableWhat::Query(Box::new(query(subquery)?)),
            alias: alias_of(alias)?,
            span: factor.span(),
        }),
        other => refuse(other.span(), "this kind of table", "name a source, or write a query in parentheses"),
    }
}

fn join(join: &ast::Join) -> Result<Join> {
    let table = table(&join.relation)?;
    let span = table.span;
    none(join.global, span, "`global`", "leave it out", ())?;
    let (kind, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinKind::Inner, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (JoinKind::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (JoinKind::Right, constraint)
        }
        JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
        JoinOperator::CrossJoin(JoinConstraint::None) => {
            return Ok(Join { table, kind: JoinKind::Inner, on: JoinOn::All, span });
        }
        JoinOperator::AsOf { .. } => {
            let hint = "join on the key with `on`, and let the view take the newest row";
            return refuse(span, "`asof join`", hint);
        }
        _ => return refuse(span, "this kind of join", "use inner, left, right, full or cross join"),
    };
    let on = match constraint {
        JoinConstraint::On(condition) => JoinOn::Condition(condition.clone()),
        JoinConstraint::Using(names) => JoinOn::Using(names.iter().map(plain_name).collect::<Result<_>>()?),
        JoinConstraint::Natural => {
            return refuse(span, "a natural join", "a new column would change it in silence: write `on`");
        }
        JoinConstraint::None => {
            return refuse(span, "a join without condition", "write `on`, or `cross join`");
        }
    };
    Ok(Join { table, kind, on, span })
}

/// A name of one part.
fn plain_name(name: &ObjectName) -> Result<Ident> {
    match name.0.as_slice() {
        [part] if part.as_ident().is_some() => Ok(part.as_ident().cloned().unwrap_or_else(|| Ident::new(""))),
        _ => refuse(name.span(), "a name of several parts", "sources have names of one part"),
    }
}

/// The expression without the parentheses around it.
pub(crate) fn unnested(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}
