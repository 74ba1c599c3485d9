//! Which keys are verified: those with the smallest hashes, so that the same store gives the same sample.

use std::collections::BTreeMap;

use asof_engine::columns::UNIT;
use asof_model::EncodedKey;
use asof_offline::Scan;
use futures::TryStreamExt;

use super::{each_key, join_keys};
use crate::request::PlannedJoin;
use crate::{Store, StoreError};

/// Keys listed from the online store at a time.
const KEYS_PAGE: usize = 10_000;

/// The keys with the smallest hashes.
pub(super) struct Sample {
    size: usize,
    chosen: BTreeMap<[u8; 32], EncodedKey>,
}

impl Sample {
    pub fn new(size: usize) -> Self {
        Self { size, chosen: BTreeMap::new() }
    }

    fn offer(&mut self, key: &EncodedKey) {
        let hash = *blake3::hash(key).as_bytes();
        if self.chosen.len() >= self.size && self.chosen.keys().next_back().is_none_or(|last| *last <= hash) {
            return;
        }
        if self.chosen.insert(hash, key.clone()).is_none() && self.chosen.len() > self.size {
            self.chosen.pop_last();
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &EncodedKey> {
        self.chosen.values()
    }
}

impl Store {
    /// Offers every key of history to the sample.
    pub(super) async fn sample_history(
        &self,
        join: &PlannedJoin,
        sample: &mut Sample,
    ) -> Result<(), StoreError> {
        let Some(table) = self.offline().await?.existing_table(&join.table).await? else { return Ok(()) };
        let keys = join_keys(join);
        let mut batches =
            table.scan(Scan::of(keys.iter().map(|key| key.name.clone()).chain([UNIT.to_owned()])));
        while let Some(batch) = batches.try_next().await? {
            each_key(&batch, &keys, |_, key| sample.offer(key))?;
        }
        Ok(())
    }

    /// Offers every key of the online store to the sample: one that history lacks must not go unseen.
    pub(super) async fn sample_online(
        &self,
        join: &PlannedJoin,
        sample: &mut Sample,
    ) -> Result<(), StoreError> {
        let online = self.online().await?;
        let Some(handle) = online.find(&join.table).await? else { return Ok(()) };
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = online.keys(handle, after.as_deref(), KEYS_PAGE).await?;
            page.iter().for_each(|key| sample.offer(key));
            let full = page.len() == KEYS_PAGE;
            after = page.into_iter().next_back().filter(|_| full);
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
