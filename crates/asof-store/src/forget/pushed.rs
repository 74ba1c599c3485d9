//! The admission log and its archive: entries of the key are emptied.

use std::collections::HashMap;

use asof_model::plan::Catalog;
use asof_model::spec::Source;
use asof_model::{EncodedKey, Instant};
use serde_json::{Map, Value};

use super::Forgotten;
use super::noted::encoded;
use crate::push::{Flush, topic_of};
use crate::train::blocking;
use crate::{Store, StoreError};

impl Store {
    /// Empties the entries of the key that were admitted until `at`. The caller holds what folds. Returns how many there were.
    pub(super) async fn forget_pushed(
        &self,
        catalog: &Catalog,
        forgotten: &Forgotten,
        at: Instant,
    ) -> Result<u64, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(0);
        }
        // What came since is folded without the key; then all that was admitted until now is in whole segments, and these
        // are archived.
        self.fold_alone().await?;
        let log = self.log().await?;
        blocking(|| log.seal())?;
        self.flush_pushed(Flush::All).await?;
        let definitions = &catalog.definitions;
        let carries = |source: &&Source| {
            let mut views = definitions.views.values().filter(|view| view.source == source.name);
            views.any(|view| definitions.carries_key(view, &forgotten.entity))
        };
        let mut topics: HashMap<String, (&Source, bool)> = definitions
            .sources
            .values()
            .map(|source| (source.name.clone(), (source, carries(&source))))
            .collect();
        // Rows for one view alone.
        topics.extend(definitions.views.values().filter_map(|view| {
            let source = definitions.sources.get(&view.source)?;
            Some((topic_of(&view.id), (source, definitions.carries_key(view, &forgotten.entity))))
        }));
        let erased = |topic: &str, admitted: Instant, entry: &[u8]| match topics.get(topic) {
            _ if admitted > at => false,
            Some((source, true)) => forgotten.is_in(source, entry),
            Some((_, false)) => false,
            // Nobody reads them any more, so that one too many does no harm.
            None => forgotten.may_be_in(entry),
        };
        Ok(blocking(|| log.erase_archived(erased))?)
    }
}

impl Forgotten {
    /// Whether an entry of a source is of the key. One that can't be read is, where it may be.
    fn is_in(&self, source: &Source, entry: &[u8]) -> bool {
        let Ok(members) = serde_json::from_slice::<Map<String, Value>>(entry) else {
            return self.may_be_in(entry);
        };
        let mut own = EncodedKey::new();
        for part in &self.entity.keys {
            let text = match members.get(source.column_of(&part.name)) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                // The source's sql may compute it.
                None => return source.transform.is_some() && self.may_be_in(entry),
            };
            match encoded(part, &text) {
                Some(part) => own.extend(part),
                None => return self.may_be_in(entry),
            }
        }
        own == self.encoded
    }

    /// Whether the text of every part of the key is in an entry.
    fn may_be_in(&self, entry: &[u8]) -> bool {
        let entry = String::from_utf8_lossy(entry);
        self.texts.iter().all(|text| entry.contains(text.as_str()))
    }
}
