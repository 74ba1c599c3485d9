//! The expression layer: total, row-wise expressions over feature values (SEMANTICS 5).
//!
//! An expression is read once, typed when it is read, and evaluated by two evaluators of one tree: over Arrow columns,
//! and for one row. Every function has one row-wise implementation, which both share; the columnar one adds fast paths
//! for hot operators, and tests hold each to the row-wise result. The crate **must not know** DataFusion, stores, HTTP,
//! clocks, or where columns come from.
//!
//! Reading order: [`Scope`] and [`Expression`], `parse` (text to syntax, within [`limits`]), `typing` (syntax to the
//! tree of `node`), `row` (what the tree means, in one row), `function` and `functions` (the table), `order`,
//! `arithmetic`, `cast`, `widen` (the rules of values), `vector` (the same over columns), `reference` (the page made
//! from the table).

mod arithmetic;
mod cast;
mod dialect;
mod display;
mod error;
mod expression;
mod function;
mod functions;
mod interval;
pub mod limits;
mod node;
mod order;
mod parse;
pub mod reference;
mod row;
mod scope;
mod signature;
mod typing;
mod vector;
mod widen;

pub use dialect::SqlDialect;
pub use error::{ExpressionError, Place, Problem};
pub use expression::Expression;
pub use parse::{check_bounds, expression as syntax};
pub use scope::Scope;
pub use vector::{Column, RequestTimestamps};
