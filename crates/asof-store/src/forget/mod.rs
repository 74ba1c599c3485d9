//! `forget`: one entity key goes, everywhere and for good (SEMANTICS 8).
//!
//! First the erasure is noted, so that from then on no load brings the key back; then its rows go from history, where
//! the files that held them are removed at once, from the online store, from quarantine and from the record of answers.
//! Killed on the way and run again it goes on: each step finds what is left.
//!
//! [`noted`] is what was erased and what a load leaves out for it, [`history`] the tables, [`beside`] the records beside
//! them.

mod beside;
mod history;
mod noted;
mod pushed;

use asof_model::spec::{Entity, JoinKey};
use asof_model::{EncodedKey, Instant, Value, Zone, entry, key, name};
use asof_offline::Erasure;
use serde::{Deserialize, Serialize};

pub(crate) use noted::{Erased, Noted};

use crate::{Progress, Store, StoreError};

/// The key to forget.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetRequest {
    /// The entity.
    pub entity: String,
    /// Its join keys, each once, with their values as text.
    pub keys: Vec<(String, String)>,
}

/// What was forgotten.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetReport {
    /// The entity.
    pub entity: String,
    /// What is kept of the key: a digest that only this project's salt makes.
    pub digest: String,
    /// Rows with an event up to this instant, and rows that were admitted before it, are forgotten.
    pub at: String,
    /// For each table of history whose keys contain the entity's.
    pub views: Vec<ViewForgotten>,
    /// Records of training sets over these views, which say now that they can't be made again as they were.
    #[serde(default)]
    pub training_sets: u64,
    /// Entries of the admission log.
    #[serde(default)]
    pub log_entries: u64,
    /// Views whose keys do not contain the entity's, and that carry a value of the name of one of its join keys.
    pub not_covered: Vec<String>,
    /// Views of the entity that read their source in place: what is read there are the source's files alone.
    #[serde(default)]
    pub in_place: Vec<String>,
}

/// What was forgotten of one view, or of what is left of one that is not applied any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ViewForgotten {
    /// The view; for one that is not applied any more, its table.
    pub view: String,
    /// Rows of history.
    pub rows: u64,
    /// Files of history that held them and were rewritten.
    pub files_rewritten: u64,
    /// Files of history that were removed from the disk: those and all that were replaced before.
    pub files_removed: u64,
    /// Keys of the online store.
    pub online_entries: u64,
    /// Rows that were set aside.
    pub quarantined: u64,
    /// Answers on record.
    pub answers: u64,
}

/// The key to forget, as rows carry it.
pub(crate) struct Forgotten {
    pub(crate) entity: Entity,
    /// As text, for what could not be read as rows.
    pub(crate) texts: Vec<String>,
    /// Its parts, encoded one after the other.
    pub(crate) encoded: EncodedKey,
}

impl Store {
    /// Forgets an entity key.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name, [`StoreError::Request`] and [`StoreError::BadKey`] for a key that
    /// is none; [`StoreError::CareHeld`]; those of the stores. What was done until then stays done: run it again.
    pub async fn forget(
        &self,
        request: &ForgetRequest,
        progress: &dyn Progress,
    ) -> Result<ForgetReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let entities = &catalog.definitions.entities;
        let entity = entities.get(&request.entity).ok_or_else(|| StoreError::Unknown {
            kind: "entity",
            name: request.entity.clone(),
            hint: name::suggestion(&request.entity, entities.keys().map(String::as_str)),
        })?;
        let forgotten = Forgotten::read(entity, &request.keys)?;
        let _turn = self.turn(progress).await?;
        // What was pushed before is in history then, and nothing follows until all is forgotten.
        let _folding = self.hold_pushes().await?;
        let _care = self.take_care()?;
        let offline = self.offline().await?;
        let online = match self.project().has_online_store() {
            true => Some(self.online().await?),
            false => None,
        };
        let mut at = self.now();
        for table in offline.tables().await? {
            // Stamps can be ahead of the clock, and what was admitted is admitted before now.
            at = offline.journal(&table).await?.iter().map(|entry| entry.visible).fold(at, Instant::max);
        }
        let digest = noted::digest(&offline.erasure_salt().await?, &entity.name, &forgotten.encoded);
        offline.note_erasure(&Erasure { digest: digest.clone(), at }).await?;

        let mut views = Vec::new();
        let mut online_keys = Vec::new();
        for table in offline.tables().await? {
            let Some(held) = self.held(&catalog, &table, &forgotten).await? else { continue };
            progress.begin(&held.name, "files", None);
            let done = self.forget_table(&table, &held, &forgotten).await;
            progress.finish(&held.name, "forgotten");
            let mut done = done?;
            if let Some(online) = online {
                let keys = history::online_keys(online, &table, &held, &forgotten).await?;
                done.online_entries = keys.len() as u64;
                online_keys.extend(keys);
            }
            done.quarantined = self.forget_quarantined(&table, &held, &forgotten)?;
            views.push((table, held, done));
        }
        if let Some(online) = online {
            // Also with no key: an erasure that was killed may have left old bytes.
            online.erase(&online_keys).await?;
        }
        let log_entries = self.forget_pushed(&catalog, &forgotten, at).await?;
        self.forget_answers(&forgotten, &mut views)?;
        let held = views.iter().filter(|(_, _, done)| done.rows > 0).map(|(_, _, done)| done.view.as_str());
        let training_sets = self.mark_training_sets(&entity.name, at, &held.collect::<Vec<_>>())?;
        let views_of_all = catalog.definitions.views.values();
        let in_place = views_of_all
            .clone()
            .filter(|view| view.in_place && catalog.definitions.carries_key(view, entity))
            .map(|view| view.id.to_string());
        let apart = |view: &&asof_model::spec::View| !catalog.definitions.carries_key(view, entity);
        let named = |view: &&asof_model::spec::View| {
            view.features.iter().any(|feature| {
                entity.keys.iter().any(|key| key.name == feature.name && key.value_type == feature.value_type)
            })
        };
        let others = views_of_all.filter(|view| !view.is_on_demand()).filter(apart).filter(named);
        Ok(ForgetReport {
            entity: entity.name.clone(),
            digest,
            at: at.to_string(),
            views: views.into_iter().map(|(_, _, done)| done).collect(),
            training_sets,
            log_entries,
            not_covered: others.map(|view| view.id.to_string()).collect(),
            in_place: in_place.collect(),
        })
    }
}

impl Forgotten {
    fn read(entity: &Entity, given: &[(String, String)]) -> Result<Self, StoreError> {
        let known = || entity.keys.iter().map(|key| key.name.as_str());
        if let Some((unknown, _)) = given.iter().find(|(key, _)| !known().any(|known| known == key)) {
            return Err(StoreError::Request {
                message: format!("entity `{}` has no join key `{unknown}`", entity.name),
                hint: name::suggestion(unknown, known()),
            });
        }
        let mut texts = Vec::new();
        let mut encoded = EncodedKey::new();
        for key in &entity.keys {
            let mut values = given.iter().filter(|(name, _)| *name == key.name);
            let (Some((_, text)), None) = (values.next(), values.next()) else {
                let all = known().map(|key| format!("{key}=...")).collect::<Vec<_>>().join(" ");
                return Err(StoreError::Request {
                    message: format!(
                        "join key `{}` of entity `{}` must be given once",
                        key.name, entity.name
                    ),
                    hint: Some(format!("write `{all}`")),
                });
            };
            let value =
                value_of(key, text).map_err(|reason| StoreError::BadKey { key: key.name.clone(), reason })?;
            key::encode_part(&mut encoded, &value);
            texts.push(text.clone());
        }
        Ok(Self { entity: entity.clone(), texts, encoded })
    }
}

/// The value of a join key that was written as text.
fn value_of(key: &JoinKey, text: &str) -> Result<Value, String> {
    entry::from_text(text, key.value_type, &Zone::utc()).map_err(|error| error.to_string())
}
