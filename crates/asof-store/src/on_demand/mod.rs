//! Views on demand (SEMANTICS 5): features that are computed of request fields and of other features, by one expression
//! for training and for serving.
//!
//! An apply types each expression and records it with its view ([`typing`]). A request is compiled once: the expressions
//! of what is asked for, in the order in which they depend on each other, and which features and request columns they read
//! (`compile`, into an [`OnDemandPlan`]). The plan is evaluated over columns, for training (`columns`), and row by row, for
//! serving ([`rows`]); a property test holds one to the other.
//!
//! Reading order: [`typing`], [`plan`], `compile`, [`rows`], `columns`.

mod columns;
mod compile;
pub mod plan;
pub mod rows;
#[cfg(test)]
mod tests;
pub(crate) mod typing;

pub(crate) use columns::ComputeColumns;
pub(crate) use compile::{Compiling, Need};
pub use plan::{Input, OnDemandPlan, RequestColumn, Step};
pub use rows::ComputedCells;

use asof_model::ViewId;
use asof_model::plan::Catalog;

use crate::{Store, StoreError};

impl Store {
    /// Whether the data of a view is complete: of a view on demand, that of every view that it reads.
    pub(crate) async fn is_active(&self, catalog: &Catalog, id: &ViewId) -> Result<bool, StoreError> {
        let Some(view) = catalog.definitions.views.get(id) else { return Ok(false) };
        for input in Compiling::new(catalog, self.now()).stored_inputs(view)? {
            if !self.view_journal(catalog, &input).await?.is_active() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
