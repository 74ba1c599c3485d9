//! What was erased, as loads must know it: rows of an erased key don't come back, not by another range, not by a new
//! version of a view, and not by a lost journal.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::EngineError;
use asof_engine::columns::{EVENT, KeyColumns};
use asof_engine::source::BadRow;
use asof_model::spec::{Definitions, Entity, JoinKey, Source, View};
use asof_model::{EncodedKey, Instant, ValueType, key};

use super::value_of;
use crate::journal::Note;
use crate::{Store, StoreError};

/// Everything that was erased.
pub(crate) struct Noted {
    salt: [u8; 32],
    /// Digest to instant.
    keys: HashMap<String, Instant>,
    /// Content hash of a source's file to the instant at which its rows were published, in whichever view.
    files: HashMap<String, Instant>,
}

/// What a load of one view leaves out.
pub(crate) struct Erased<'a> {
    noted: &'a Noted,
    entities: Vec<&'a Entity>,
    source: &'a Source,
}

/// What is kept of an entity key.
pub(super) fn digest(salt: &[u8; 32], entity: &str, encoded: &EncodedKey) -> String {
    let mut hasher = blake3::Hasher::new_keyed(salt);
    hasher.update(&(entity.len() as u64).to_le_bytes());
    hasher.update(entity.as_bytes());
    hasher.update(encoded);
    hasher.finalize().to_hex()[..32].to_owned()
}

impl Store {
    /// Everything that was erased. `None`: nothing ever was.
    ///
    /// # Errors
    /// Those of history.
    pub(crate) async fn noted_erasures(&self) -> Result<Option<Noted>, StoreError> {
        if !self.project().history_path().exists() {
            return Ok(None);
        }
        let offline = self.offline().await?;
        let erasures = offline.erasures().await?;
        if erasures.is_empty() {
            return Ok(None);
        }
        let mut files: HashMap<String, Instant> = HashMap::new();
        for table in offline.tables().await? {
            for entry in offline.journal(&table).await? {
                let Note::Files { hashes, files: read, .. } = Note::read(&entry.note)? else { continue };
                for hash in hashes.into_iter().chain(read.into_iter().map(|file| file.hash)) {
                    let first = files.entry(hash).or_insert(entry.visible);
                    *first = entry.visible.min(*first);
                }
            }
        }
        let keys = erasures.into_iter().map(|erasure| (erasure.digest, erasure.at)).collect();
        Ok(Some(Noted { salt: offline.erasure_salt().await?, keys, files }))
    }
}

impl Noted {
    /// What a load of `view` leaves out.
    pub(crate) fn of_view<'a>(
        &'a self,
        definitions: &'a Definitions,
        view: &View,
        source: &'a Source,
    ) -> Erased<'a> {
        let carried = |entity: &&Entity| definitions.carries_key(view, entity);
        let entities = definitions.entities.values().filter(carried).collect();
        Erased { noted: self, entities, source }
    }

    fn at(&self, entity: &Entity, encoded: &EncodedKey) -> Option<Instant> {
        self.keys.get(&digest(&self.salt, &entity.name, encoded)).copied()
    }
}

impl Erased<'_> {
    /// When the rows of the file with that content hash were read first.
    pub(crate) fn read_first(&self, file: &str) -> Option<Instant> {
        self.noted.files.get(file).copied()
    }

    /// The rows that stay of those that were admitted then, where that is known, and how many do not.
    ///
    /// A row is left out where its event is not after the erasure of one of its entities' keys, or where it was admitted
    /// before it.
    ///
    /// # Errors
    /// [`StoreError::Engine`], a defect of ours.
    pub(crate) fn leave_out(
        &self,
        rows: RecordBatch,
        admitted: Option<Instant>,
    ) -> Result<(RecordBatch, u64), StoreError> {
        let mut stays = vec![true; rows.num_rows()];
        for entity in &self.entities {
            let column = |name: &str| {
                rows.column_by_name(name)
                    .ok_or_else(|| StoreError::Corrupt(format!("admitted rows have no column `{name}`")))
            };
            let keys = entity.keys.iter().map(|key| Ok((column(&key.name)?, key.value_type)));
            let columns: Vec<(&ArrayRef, ValueType)> = keys.collect::<Result<_, StoreError>>()?;
            let columns = KeyColumns::new(columns);
            let events = column(EVENT)?.as_primitive::<TimestampMicrosecondType>().values();
            let mut encoded = EncodedKey::new();
            // Rows of one key often stand together, and a digest costs more than a comparison.
            let mut last: Option<(EncodedKey, Option<Instant>)> = None;
            for (row, stays) in stays.iter_mut().enumerate() {
                if !columns.encode(row, &mut encoded) {
                    continue;
                }
                if last.as_ref().is_none_or(|(key, _)| *key != encoded) {
                    last = Some((encoded.clone(), self.noted.at(entity, &encoded)));
                }
                if let Some((_, Some(at))) = &last {
                    let before = admitted.is_some_and(|admitted| admitted <= *at);
                    *stays &= !(before || events[row] <= at.micros());
                }
            }
        }
        let left_out = stays.iter().filter(|stays| !**stays).count() as u64;
        if left_out == 0 {
            return Ok((rows, 0));
        }
        let rows = filter_record_batch(&rows, &BooleanArray::from(stays)).map_err(EngineError::from)?;
        Ok((rows, left_out))
    }

    /// The bad rows that may be set aside, and how many may not: those of an erased key, as far as it can be read.
    pub(crate) fn leave_out_bad(&self, rows: Vec<BadRow>) -> (Vec<BadRow>, u64) {
        let before = rows.len();
        let erased = |row: &BadRow| {
            let keys = |entity: &&Entity| {
                let mut keys: Vec<EncodedKey> =
                    bad_row_key(row, entity, Some(self.source)).into_iter().collect();
                // A line that could not be taken apart: whatever in it may be a key of one part.
                if let ([part], Some(Some(line))) = (entity.keys.as_slice(), row.values.get("*")) {
                    let words = line.split([',', ';', '\t', '"', ' ', '\n', '\r']);
                    keys.extend(words.filter_map(|word| encoded(part, word)));
                }
                keys.iter().any(|key| self.noted.at(entity, key).is_some())
            };
            self.entities.iter().any(keys)
        };
        let rows: Vec<BadRow> = rows.into_iter().filter(|row| !erased(row)).collect();
        let left_out = (before - rows.len()) as u64;
        (rows, left_out)
    }
}

/// The key of a row that was set aside, where it can be read. Columns are those of the source's files.
pub(super) fn bad_row_key(row: &BadRow, entity: &Entity, source: Option<&Source>) -> Option<EncodedKey> {
    let mut whole = EncodedKey::new();
    for part in &entity.keys {
        let column = source.map_or(part.name.as_str(), |source| source.column_of(&part.name));
        whole.extend(encoded(part, row.values.get(column)?.as_deref()?)?);
    }
    Some(whole)
}

pub(super) fn encoded(part: &JoinKey, text: &str) -> Option<EncodedKey> {
    let mut bytes = EncodedKey::new();
    key::encode_part(&mut bytes, &value_of(part, text).ok()?);
    Some(bytes)
}
