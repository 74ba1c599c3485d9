//! A request compiled for the online store.

use std::collections::BTreeMap;

use asof_model::plan::Catalog;
use asof_model::{Value, ValueType, ViewId};
use asof_online::{RowLayout, ViewHandle};

use crate::materialize::copy_stamps;
use crate::push::Flush;
use crate::request::{Naming, PlannedJoin, RequestPlan, Wanted};
use crate::windows::OnlineWindows;
use crate::{InPlaceWant, Store, StoreError};

/// A compiled request with what it needs of the online store: which rows to read, and where in them each value sits.
pub struct OnlinePlan {
    /// The request.
    pub plan: RequestPlan,
    /// For each join its view's handle; `None`: nothing was ever published for it.
    pub(super) handles: Vec<Option<ViewHandle>>,
    /// For each join the codec of its rows.
    pub(super) layouts: Vec<RowLayout>,
    /// For each join of a view of events, its windows.
    pub(crate) windows: Vec<Option<OnlineWindows>>,
    /// The different lists of key columns: views of one entity share one.
    pub(super) key_sets: Vec<Vec<String>>,
    /// For each join its list of key columns.
    pub(super) key_set_of: Vec<usize>,
}

impl OnlinePlan {
    fn new(
        plan: RequestPlan,
        handles: Vec<Option<ViewHandle>>,
        layouts: Vec<RowLayout>,
        windows: Vec<Option<OnlineWindows>>,
    ) -> Self {
        let mut key_sets: Vec<Vec<String>> = Vec::new();
        let mut key_set_of = Vec::with_capacity(plan.joins.len());
        for join in &plan.joins {
            let columns: Vec<String> = join.keys.iter().map(|(_, column)| column.clone()).collect();
            let known = key_sets.iter().position(|each| *each == columns);
            key_set_of.push(known.unwrap_or(key_sets.len()));
            if known.is_none() {
                key_sets.push(columns);
            }
        }
        Self { plan, handles, layouts, windows, key_sets, key_set_of }
    }

    /// For each view the position that an answer reflects, by the positions of its joins.
    pub fn positions(&self, of_joins: &[Option<u64>]) -> BTreeMap<ViewId, u64> {
        let joins = self.plan.joins.iter().zip(of_joins);
        joins.filter_map(|(join, position)| Some((join.view.id.clone(), (*position)?))).collect()
    }

    /// What replaces the value of a column in every state but PRESENT.
    pub(super) fn default_of(&self, join: usize, feature: usize) -> Option<&Value> {
        self.plan.joins[join].defaults[feature].as_ref()
    }
}

impl Store {
    /// Compiles a request for serving. Made once for a request shape and a registry revision.
    ///
    /// # Errors
    /// As [`Store::request`], and [`StoreError::SameName`]; [`StoreError::InPlace`]; those of the online store.
    pub async fn online_plan(
        &self,
        catalog: &Catalog,
        wanted: &Wanted,
        naming: &Naming,
    ) -> Result<OnlinePlan, StoreError> {
        let mut plan = self.request(catalog, wanted, naming).await?;
        plan.check_names()?;
        plan.refuse_in_place(InPlaceWant::Serving)?;
        // Also for a request without joins: whoever compiles for serving holds the store from here on.
        self.online().await?;
        self.fold_before_serving(plan.joins.iter().map(|join| join.table.as_str())).await?;
        let (mut handles, mut layouts, mut windows) = (Vec::new(), Vec::new(), Vec::new());
        for join in &mut plan.joins {
            handles.push(self.catch_up(catalog, join).await?);
            let types: Vec<ValueType> = join.view.stored().iter().map(|feature| feature.value_type).collect();
            windows.push(OnlineWindows::of(catalog, &join.view, &join.asked, &types)?);
            layouts.push(RowLayout::new(&types));
        }
        Ok(OnlinePlan::new(plan, handles, layouts, windows))
    }

    /// Compares the journal of a join with the online store, and takes up what only that one knows.
    async fn catch_up(
        &self,
        catalog: &Catalog,
        join: &mut PlannedJoin,
    ) -> Result<Option<ViewHandle>, StoreError> {
        let online = self.online().await?;
        let handle = online.find(&join.table).await?;
        let units = async || match handle {
            Some(handle) => Ok::<_, StoreError>(online.statistics(handle).await?.units),
            None => Ok(0),
        };
        let (mut found, expected) = (units().await?, join.journal.entries);
        if found < expected {
            // A unit of pushed rows may be between the journal beside history and the one online.
            let _flushing = self.pushes().flushing.lock().await;
            found = units().await?;
        }
        if found < expected {
            return Err(StoreError::OnlineLost { view: join.view.id.clone(), found, expected });
        }
        if let Some(handle) = handle.filter(|_| found > expected) {
            // A load that goes on, or died right behind a unit, has left its stamp online alone. What is answered from
            // it must be in history for whoever looks there.
            copy_stamps(online, handle, self.offline().await?, &join.table).await?;
            join.journal = self.view_journal(catalog, &join.view.id).await?;
        }
        Ok(handle)
    }

    /// The request of a plan with its journals as they are now: a load may have gone on since the plan was made, and
    /// whoever recomputes an answer must know every unit that it could have seen.
    pub(crate) async fn caught_up(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
    ) -> Result<RequestPlan, StoreError> {
        // What is folded and not in history yet could have been seen too.
        self.flush_pushed(Flush::All).await?;
        let mut plan = plan.plan.clone();
        for join in &mut plan.joins {
            join.journal = self.view_journal(catalog, &join.view.id).await?;
            self.catch_up(catalog, join).await?;
        }
        Ok(plan)
    }
}
