//! Reading: the current revision, its objects, and the history.

use asof_model::Instant;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::SqliteRegistry;
use super::fault::Place;
use crate::error::RegistryError;
use crate::record::{
    ChangeSummary, ObjectKey, ObjectKind, ObjectRecord, Revision, RevisionSummary, SPEC_FORMAT, Snapshot,
    Verb,
};

impl SqliteRegistry {
    pub(super) async fn read_number(&self) -> Result<u64, RegistryError> {
        let query = "SELECT coalesce(max(number), 0) FROM revisions WHERE project = ?";
        let number = sqlx::query_scalar(query).bind(&self.project).fetch_one(&self.pool).await;
        count(number.map_err(|error| self.place.explain(error))?, &self.place)
    }

    pub(super) async fn read_snapshot(&self) -> Result<Snapshot, RegistryError> {
        // Both queries read the state at the first one.
        let mut transaction = self.pool.begin().await.map_err(|error| self.place.explain(error))?;
        let revision = current(&mut transaction, &self.project, &self.place).await?;
        let query = "SELECT kind, name, version, format, spec, semantic_hash, identity, \
            created_revision, updated_revision, created_at, updated_at FROM objects WHERE project = ?";
        let rows = sqlx::query(query).bind(&self.project).fetch_all(&mut *transaction).await;
        let rows = rows.map_err(|error| self.place.explain(error))?;
        // Sorted here: the database orders kinds as text, and each database in its own way.
        let mut objects = rows.iter().map(|row| object(row, &self.place)).collect::<Result<Vec<_>, _>>()?;
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Snapshot { revision, objects })
    }

    pub(super) async fn read_history(&self, limit: u32) -> Result<Vec<RevisionSummary>, RegistryError> {
        let explain = |error| self.place.explain(error);
        let mut transaction = self.pool.begin().await.map_err(explain)?;
        let query = "SELECT number, applied_at, applied_by FROM revisions WHERE project = ? \
            ORDER BY number DESC LIMIT ?";
        let rows = sqlx::query(query).bind(&self.project).bind(limit).fetch_all(&mut *transaction).await;
        let mut history = Vec::new();
        for row in rows.map_err(explain)? {
            let revision = revision(&row, &self.place)?;
            history.push(RevisionSummary { revision, changes: Vec::new() });
        }
        let Some(oldest) = history.last().map(|each| each.revision.number) else {
            return Ok(history);
        };
        let query = "SELECT revision, verb, kind, name, version FROM changes WHERE project = ? AND revision >= ? \
            ORDER BY revision DESC, position";
        let rows = sqlx::query(query)
            .bind(&self.project)
            .bind(i64::try_from(oldest).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await;
        for row in rows.map_err(explain)? {
            let number = count(column(&row, "revision", &self.place)?, &self.place)?;
            let change = change(&row, &self.place)?;
            // Newest first, so the place of a number is found from the other end.
            let found = history.binary_search_by(|each| number.cmp(&each.revision.number));
            let summary = found.ok().and_then(|place| history.get_mut(place));
            let missing = || self.place.damaged(format!("revision {number} is missing"));
            summary.ok_or_else(missing)?.changes.push(change);
        }
        Ok(history)
    }
}

/// The current revision of a project.
pub(super) async fn current(
    connection: &mut SqliteConnection,
    project: &str,
    place: &Place,
) -> Result<Revision, RegistryError> {
    let query = "SELECT number, applied_at, applied_by FROM revisions WHERE project = ? \
        ORDER BY number DESC LIMIT 1";
    let row = sqlx::query(query).bind(project).fetch_optional(connection).await;
    match row.map_err(|error| place.explain(error))? {
        Some(row) => revision(&row, place),
        None => Ok(Revision::none()),
    }
}

fn revision(row: &SqliteRow, place: &Place) -> Result<Revision, RegistryError> {
    Ok(Revision {
        number: count(column(row, "number", place)?, place)?,
        applied_at: Some(instant(row, "applied_at", place)?),
        applied_by: column(row, "applied_by", place)?,
    })
}

fn object(row: &SqliteRow, place: &Place) -> Result<ObjectRecord, RegistryError> {
    let key = key(row, place)?;
    check_format(&key, column(row, "format", place)?)?;
    let spec: &str = column(row, "spec", place)?;
    let spec = serde_json::from_str(spec)
        .map_err(|error| place.damaged(format!("the spec of {} `{key}` is not JSON: {error}", key.kind)))?;
    Ok(ObjectRecord {
        key,
        spec,
        semantic_hash: column(row, "semantic_hash", place)?,
        identity: column(row, "identity", place)?,
        created_revision: count(column(row, "created_revision", place)?, place)?,
        updated_revision: count(column(row, "updated_revision", place)?, place)?,
        created_at: instant(row, "created_at", place)?,
        updated_at: instant(row, "updated_at", place)?,
    })
}

/// Refuses what a newer program wrote.
pub(super) fn check_format(key: &ObjectKey, found: u32) -> Result<(), RegistryError> {
    if found > SPEC_FORMAT {
        return Err(RegistryError::NewerFormat { key: key.clone(), found, known: SPEC_FORMAT });
    }
    Ok(())
}

fn change(row: &SqliteRow, place: &Place) -> Result<ChangeSummary, RegistryError> {
    let verb: &str = column(row, "verb", place)?;
    let unknown = || place.damaged(format!("a change has the verb `{verb}`"));
    Ok(ChangeSummary { verb: Verb::parse(verb).ok_or_else(unknown)?, key: key(row, place)? })
}

fn key(row: &SqliteRow, place: &Place) -> Result<ObjectKey, RegistryError> {
    let kind: &str = column(row, "kind", place)?;
    let unknown = || place.damaged(format!("an object has the kind `{kind}`"));
    Ok(ObjectKey {
        kind: ObjectKind::parse(kind).ok_or_else(unknown)?,
        name: column(row, "name", place)?,
        version: column(row, "version", place)?,
    })
}

fn instant(row: &SqliteRow, name: &'static str, place: &Place) -> Result<Instant, RegistryError> {
    let micros: i64 = column(row, name, place)?;
    Instant::from_micros(micros).ok_or_else(|| place.damaged(format!("`{name}` is {micros}, not an instant")))
}

fn count(number: i64, place: &Place) -> Result<u64, RegistryError> {
    u64::try_from(number).map_err(|_| place.damaged(format!("a revision has the number {number}")))
}

fn column<'r, T>(row: &'r SqliteRow, name: &'static str, place: &Place) -> Result<T, RegistryError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(name).map_err(|error| place.explain(error))
}
