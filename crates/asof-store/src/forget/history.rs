//! Forgetting in the tables of history, and which keys of the online store go with them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use asof_engine::columns::KeyColumns;
use asof_model::plan::Catalog;
use asof_model::spec::{JoinKey, Source, View};
use asof_model::{Duration, EncodedKey, ValueType, key};
use asof_offline::{RowChoice, UnitRank, Vacuum};
use asof_online::{OnlineStore, ViewHandle};

use super::{Forgotten, ViewForgotten};
use crate::journal::{Entry, Note, ViewJournal};
use crate::{Store, StoreError};

/// Keys that are listed from the online store at a time.
const KEYS_PAGE: usize = 10_000;

/// A table whose keys contain the entity's.
pub(super) struct Held {
    /// The view, or the table of one that is not applied any more.
    pub(super) name: String,
    /// The view as it is applied.
    pub(super) view: Option<View>,
    /// Its source.
    pub(super) source: Option<Source>,
    /// All its join keys. Unknown without the view.
    pub(super) keys: Vec<JoinKey>,
}

impl Store {
    /// The table, if its rows can hold the key.
    pub(super) async fn held(
        &self,
        catalog: &Catalog,
        table: &str,
        forgotten: &Forgotten,
    ) -> Result<Option<Held>, StoreError> {
        let of_table = |view: &&View| catalog.table_name(&view.id).as_deref() == Some(table);
        if let Some(view) = catalog.definitions.views.values().find(of_table) {
            let keys = catalog.definitions.join_keys(view);
            let source = catalog.definitions.sources.get(&view.source).cloned();
            let held = Held { name: view.id.to_string(), view: Some(view.clone()), source, keys };
            return Ok(catalog.definitions.carries_key(view, &forgotten.entity).then_some(held));
        }
        // A view that is not applied any more is told by the names of its columns: join keys stand before the event.
        let Some(found) = self.offline().await?.existing_table(table).await? else { return Ok(None) };
        let columns: Vec<&str> = found.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let keys: Vec<&str> =
            columns.into_iter().take_while(|name| *name != asof_engine::columns::EVENT).collect();
        let all = forgotten.entity.keys.iter().all(|key| keys.contains(&key.name.as_str()));
        Ok(all.then(|| Held { name: table.to_owned(), view: None, source: None, keys: Vec::new() }))
    }

    /// Rewrites the files that hold the key, and removes every file that was replaced.
    pub(super) async fn forget_table(
        &self,
        name: &str,
        held: &Held,
        forgotten: &Forgotten,
    ) -> Result<ViewForgotten, StoreError> {
        let offline = self.offline().await?;
        let mut done = ViewForgotten { view: held.name.clone(), ..ViewForgotten::default() };
        let Some(mut table) = offline.existing_table(name).await? else { return Ok(done) };
        let read = |entry: asof_offline::JournalEntry| {
            let note = Note::read(&entry.note)?;
            Ok(Entry { note, unit: entry.unit, visible: entry.visible, position: entry.position })
        };
        let entries = offline.journal(name).await?.into_iter().map(read);
        let mut ranks = ViewJournal::new(&entries.collect::<Result<Vec<_>, StoreError>>()?).ranks(false);
        // What is not published yet must go as well. Nobody knows its place, so it is folded with nothing.
        for (place, unit) in table.units()?.into_iter().enumerate() {
            let alone = UnitRank { place: u64::MAX, kind: u64::MAX - place as u64, folds: false };
            ranks.entry(unit).or_insert(alone);
        }
        let columns: Vec<String> = forgotten.entity.keys.iter().map(|key| key.name.clone()).collect();
        let choice = others(&forgotten.entity.keys, &forgotten.encoded);
        let files = table.files()?.into_iter().filter(|file| file.rows > 0).collect();
        let touched = table.files_touched(files, &columns, &ranks, choice.clone()).await?;
        let rewritten = table.rewrite_files(touched, &ranks, choice).await?;
        (done.rows, done.files_rewritten) = (rewritten.rows_dropped, rewritten.files_before);
        // Nobody else writes: this command has the turn, and the right to rewrite.
        let vacuum = Vacuum { older_than: Duration::ZERO, alone: true, dry_run: false };
        done.files_removed = offline.vacuum(name, &vacuum).await?.files;
        Ok(done)
    }
}

/// The rows of all other keys.
fn others(keys: &[JoinKey], encoded: &EncodedKey) -> RowChoice {
    let (keys, encoded) = (keys.to_vec(), encoded.clone());
    Arc::new(move |batch: &RecordBatch| {
        let column = |key: &JoinKey| -> Result<(&ArrayRef, ValueType), ArrowError> {
            let missing = || ArrowError::SchemaError(format!("history rows have no column `{}`", key.name));
            // Borrowed from the batch, not from the closure.
            let at = batch.schema_ref().index_of(&key.name).map_err(|_| missing())?;
            Ok((batch.column(at), key.value_type))
        };
        let columns = KeyColumns::new(keys.iter().map(column).collect::<Result<Vec<_>, ArrowError>>()?);
        let mut key = EncodedKey::new();
        let other = |row: usize| !(columns.encode(row, &mut key) && key == encoded);
        Ok(BooleanArray::from((0..batch.num_rows()).map(other).collect::<Vec<bool>>()))
    })
}

/// The keys of the online store that contain the entity's.
pub(super) async fn online_keys(
    online: &dyn OnlineStore,
    table: &str,
    held: &Held,
    forgotten: &Forgotten,
) -> Result<Vec<(ViewHandle, Vec<u8>)>, StoreError> {
    let Some(handle) = online.find(table).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = online.keys(handle, after.as_deref(), KEYS_PAGE).await?;
        let full = page.len() == KEYS_PAGE;
        after = page.last().cloned().filter(|_| full);
        found.extend(page.into_iter().filter(|key| held.has(key, forgotten)).map(|key| (handle, key)));
        if after.is_none() {
            // Of what left retention only the identity is remembered.
            let versions = online.version_keys(handle).await?.into_iter();
            let known: HashSet<Vec<u8>> = found.iter().map(|(_, key)| key.clone()).collect();
            let more = versions.filter(|key| !known.contains(key) && held.has(key, forgotten));
            found.extend(more.map(|key| (handle, key)));
            return Ok(found);
        }
    }
}

impl Held {
    /// Whether an encoded key of this table contains the entity's.
    pub(super) fn has(&self, encoded: &[u8], forgotten: &Forgotten) -> bool {
        if self.view.is_none() {
            // Nobody reads these rows any more, so that one too many does no harm.
            return encoded.windows(forgotten.encoded.len().max(1)).any(|part| part == forgotten.encoded);
        }
        let types: Vec<ValueType> = self.keys.iter().map(|key| key.value_type).collect();
        let Some(values) = key::decode_key(&types, encoded) else { return false };
        let mut own = EncodedKey::new();
        for key in &forgotten.entity.keys {
            let place = self.keys.iter().position(|each| each.name == key.name);
            let Some(value) = place.and_then(|place| values.get(place)) else { return false };
            key::encode_part(&mut own, value);
        }
        own == forgotten.encoded
    }
}
