//! Writing: one list of changes becomes one revision, or nothing happens.

use asof_model::Instant;
use sqlx::sqlite::SqliteConnection;

use super::SqliteRegistry;
use super::read::{check_format, current};
use crate::error::RegistryError;
use crate::record::{Change, ObjectKey, Revision, SPEC_BYTES_MAX, SPEC_FORMAT, Verb};

/// The revision that is being written.
struct Writing {
    number: i64,
    at_micros: i64,
}

/// What an object has that an update must agree with.
#[derive(sqlx::FromRow)]
struct Stored {
    identity: String,
    format: u32,
}

impl SqliteRegistry {
    pub(super) async fn write_revision(
        &self,
        base_revision: u64,
        changes: &[Change],
        at: Instant,
        by: &str,
    ) -> Result<Revision, RegistryError> {
        // Checked before the lock is taken: other writers need not wait for it.
        let specs = changes.iter().map(spec_text).collect::<Result<Vec<_>, _>>()?;

        let explain = |error| self.place.explain(error);
        if changes.is_empty() {
            let mut connection = self.pool.acquire().await.map_err(explain)?;
            return current(&mut connection, &self.project, &self.place).await;
        }
        // IMMEDIATE: the write lock comes first, so the revision read below cannot move before the commit.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(explain)?;
        let found = current(&mut transaction, &self.project, &self.place).await?.number;
        if found != base_revision {
            return Err(RegistryError::Moved { expected: base_revision, found });
        }
        let number = i64::try_from(found).ok().and_then(|found| found.checked_add(1));
        let number = number.ok_or_else(|| self.place.damaged("revision numbers are used up"))?;
        let writing = Writing { number, at_micros: at.micros() };

        let insert = "INSERT INTO revisions (project, number, applied_at, applied_by) VALUES (?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(&self.project)
            .bind(writing.number)
            .bind(writing.at_micros)
            .bind(by)
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        for ((position, change), spec) in (0_i64..).zip(changes).zip(&specs) {
            let verb = match change {
                Change::Put { key, semantic_hash, identity, .. } => {
                    self.put(&mut transaction, &writing, key, spec, semantic_hash, identity).await?
                }
                Change::Remove { key } => self.remove(&mut transaction, key).await?,
            };
            self.record(&mut transaction, &writing, position, verb, change.key()).await?;
        }
        transaction.commit().await.map_err(explain)?;
        Ok(Revision { number: found + 1, applied_at: Some(at), applied_by: by.to_owned() })
    }

    async fn put(
        &self,
        connection: &mut SqliteConnection,
        writing: &Writing,
        key: &ObjectKey,
        spec: &str,
        semantic_hash: &str,
        identity: &str,
    ) -> Result<Verb, RegistryError> {
        let (verb, query) = match self.stored(connection, key).await? {
            Some(stored) => {
                check_format(key, stored.format)?;
                if stored.identity != identity {
                    let (stored, given) = (stored.identity, identity.to_owned());
                    return Err(RegistryError::IdentityChanged { key: key.clone(), stored, given });
                }
                let update = "UPDATE objects SET format = ?5, spec = ?6, semantic_hash = ?7, identity = ?8, \
                        updated_revision = ?9, updated_at = ?10 \
                    WHERE project = ?1 AND kind = ?2 AND name = ?3 AND version = ?4";
                (Verb::Updated, update)
            }
            None => {
                let insert = "INSERT INTO objects (project, kind, name, version, format, spec, semantic_hash, \
                        identity, created_revision, updated_revision, created_at, updated_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?10)";
                (Verb::Created, insert)
            }
        };
        sqlx::query(query)
            .bind(&self.project)
            .bind(key.kind.as_str())
            .bind(&key.name)
            .bind(key.version)
            .bind(SPEC_FORMAT)
            .bind(spec)
            .bind(semantic_hash)
            .bind(identity)
            .bind(writing.number)
            .bind(writing.at_micros)
            .execute(connection)
            .await
            .map_err(|error| self.place.explain(error))?;
        Ok(verb)
    }

    async fn stored(
        &self,
        connection: &mut SqliteConnection,
        key: &ObjectKey,
    ) -> Result<Option<Stored>, RegistryError> {
        let query = "SELECT identity, format FROM objects \
            WHERE project = ? AND kind = ? AND name = ? AND version = ?";
        sqlx::query_as(query)
            .bind(&self.project)
            .bind(key.kind.as_str())
            .bind(&key.name)
            .bind(key.version)
            .fetch_optional(connection)
            .await
            .map_err(|error| self.place.explain(error))
    }

    async fn remove(
        &self,
        connection: &mut SqliteConnection,
        key: &ObjectKey,
    ) -> Result<Verb, RegistryError> {
        let query = "DELETE FROM objects WHERE project = ? AND kind = ? AND name = ? AND version = ?";
        let removed = sqlx::query(query)
            .bind(&self.project)
            .bind(key.kind.as_str())
            .bind(&key.name)
            .bind(key.version)
            .execute(connection)
            .await
            .map_err(|error| self.place.explain(error))?;
        match removed.rows_affected() {
            0 => Err(RegistryError::Absent { key: key.clone() }),
            _ => Ok(Verb::Removed),
        }
    }

    async fn record(
        &self,
        connection: &mut SqliteConnection,
        writing: &Writing,
        position: i64,
        verb: Verb,
        key: &ObjectKey,
    ) -> Result<(), RegistryError> {
        let insert = "INSERT INTO changes (project, revision, position, verb, kind, name, version) \
            VALUES (?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(&self.project)
            .bind(writing.number)
            .bind(position)
            .bind(verb.as_str())
            .bind(key.kind.as_str())
            .bind(&key.name)
            .bind(key.version)
            .execute(connection)
            .await
            .map_err(|error| self.place.explain(error))?;
        Ok(())
    }
}

/// The JSON text of a change's spec, empty for a removal. Refuses a key that is none, and a spec that is too long or
/// would not read back as it is.
fn spec_text(change: &Change) -> Result<String, RegistryError> {
    let invalid = |reason| RegistryError::InvalidObject { key: change.key().clone(), reason };
    let Change::Put { key, spec, .. } = change else {
        return Ok(String::new());
    };
    if let Some(reason) = key.objection() {
        return Err(invalid(reason));
    }
    let text = spec.to_string();
    if text.len() > SPEC_BYTES_MAX {
        return Err(invalid(format!("its spec has {} bytes, the most is {SPEC_BYTES_MAX}", text.len())));
    }
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(back) if back == *spec => Ok(text),
        Ok(_) => Err(invalid("its spec does not read back as it was".to_owned())),
        Err(error) => Err(invalid(format!("its spec does not read back: {error}"))),
    }
}
