//! `verify`: served answers, recomputed from history, byte for byte (SEMANTICS 7).
//!
//! A sample of keys is answered by the online store, in one snapshot at one `t`; then the same values are computed
//! for the same `t` from history under `served`, by the kernel that makes training sets, and on request by the naive
//! oracle too. The answers that a server recorded are recomputed likewise, each for its own `t`. Values are compared
//! in canonical bytes, with their statuses and event instants.
//!
//! [`sample`] chooses keys, [`oracle`] asks the oracle, [`verdict`] compares.

mod oracle;
mod sample;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch};
use asof_engine::columns::KeyColumns;
use asof_model::plan::Catalog;
use asof_model::spec::JoinKey;
use asof_model::{EncodedKey, Instant, ValueType, ViewId, key, name};
use serde::{Deserialize, Serialize};

use crate::answers::{RecordedAnswer, answered_bytes, hex, unhex};
use crate::get::{Answered, ENTITY_ROWS_MAX, GetRequest};
use crate::materialize::view_ref;
use crate::on_demand::Compiling;
use crate::request::{Naming, PlannedJoin, RequestPlan, Wanted};
use crate::{Progress, Store, StoreError, catalog};
use oracle::by_oracle;
use sample::Sample;
pub use verdict::{DIFFERENCES_SHOWN_MAX, Difference};
use verdict::{Verdict, in_words, key_in_words};

/// What to verify.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// Views and services; empty: every view.
    pub names: Vec<String>,
    /// The most keys of each view, at most [`ENTITY_ROWS_MAX`], and the most recorded answers. Keys are chosen by their
    /// hash, so the same ones are chosen each time.
    pub sample: usize,
    /// Whether the naive oracle computes every value too.
    pub oracle: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyReport {
    /// For each view what was compared.
    pub views: Vec<ViewVerified>,
    /// Views that were left out because they are past their sunset.
    pub past_sunset: Vec<String>,
    /// Views that were left out because they read their source in place: nothing of them is served.
    #[serde(default)]
    pub in_place: Vec<String>,
    /// Values compared, over all views.
    pub values: u64,
    /// Of those, values that are the same in bytes, status and event instant.
    pub identical: u64,
    /// Whether the oracle computed every value too.
    pub oracle: bool,
}

/// What was compared of one view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ViewVerified {
    /// The view.
    pub view: String,
    /// The instant of the served answers.
    pub t: String,
    /// The commit of history that they reflect.
    pub position: Option<u64>,
    /// Keys compared.
    pub keys: u64,
    /// Values compared.
    pub values: u64,
    /// Of those, values that are the same in bytes, status and event instant.
    pub identical: u64,
    /// Values of answers that a server gave and recorded, each recomputed for its own instant.
    pub recorded_values: u64,
    /// Of those, values that are the same.
    pub recorded_identical: u64,
    /// The first that are not.
    pub differences: Vec<Difference>,
}

/// What came of recorded answers.
#[derive(Debug, Default)]
struct Recorded {
    values: u64,
    identical: u64,
}

impl Store {
    /// Compares served answers with their recomputation; of views on demand those of the views that they read.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name; those of the stores. A difference is no error: it is reported.
    pub async fn verify(
        &self,
        request: &VerifyRequest,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let mut report = VerifyReport {
            views: Vec::new(),
            past_sunset: Vec::new(),
            in_place: Vec::new(),
            values: 0,
            identical: 0,
            oracle: request.oracle,
        };
        let views = self.views_to_verify(&catalog, &request.names).await?;
        progress.begin("verify", "views", Some(views.len() as u64));
        for view in views {
            if !progress.wanted() {
                return Err(StoreError::Stopped);
            }
            let verified = match self.verify_view(&catalog, &view, request).await {
                // A view past its sunset answers nobody, so there is nothing to hold it to unless it was named.
                Err(StoreError::PastSunset { view, .. }) if request.names.is_empty() => {
                    report.past_sunset.push(view.to_string());
                    continue;
                }
                Err(StoreError::InPlace { view, .. }) => {
                    report.in_place.push(view.to_string());
                    continue;
                }
                verified => verified?,
            };
            report.values += verified.values + verified.recorded_values;
            report.identical += verified.identical + verified.recorded_identical;
            report.views.push(verified);
            progress.advance("verify", 1);
        }
        progress.finish("verify", "verified");
        Ok(report)
    }

    async fn views_to_verify(
        &self,
        catalog: &Catalog,
        names: &[String],
    ) -> Result<BTreeSet<ViewId>, StoreError> {
        let all = &catalog.definitions;
        if names.is_empty() {
            // What is computed on demand follows from the others, by the same expressions wherever it is asked for.
            let stored = all.views.values().filter(|view| !view.is_on_demand());
            return Ok(stored.map(|view| view.id.clone()).collect());
        }
        let mut views = BTreeSet::new();
        for wanted in names {
            if let Some(service) = all.services.get(wanted) {
                let ids = service
                    .joins
                    .iter()
                    .filter_map(|join| Some(ViewId::new(join.view.clone(), join.version?)));
                views.extend(ids);
                continue;
            }
            let reference = view_ref(wanted)?;
            if !all.views.keys().any(|id| id.name == reference.name) {
                let known = all
                    .views
                    .keys()
                    .map(|id| id.name.as_str())
                    .chain(all.services.keys().map(String::as_str));
                let hint = name::suggestion(wanted, known);
                return Err(StoreError::Unknown { kind: "view or service", name: wanted.clone(), hint });
            }
            match reference.version {
                Some(_) => views.extend([catalog::find_view(catalog, &reference, |_| true)?.id.clone()]),
                None => views.extend(all.views.keys().filter(|id| id.name == reference.name).cloned()),
            }
        }
        // Of a view on demand what it reads.
        let compiling = Compiling::new(catalog, self.now());
        let stored =
            views.iter().filter_map(|id| all.views.get(id)).map(|view| compiling.stored_inputs(view));
        Ok(stored.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    async fn verify_view(
        &self,
        catalog: &Catalog,
        view: &ViewId,
        request: &VerifyRequest,
    ) -> Result<ViewVerified, StoreError> {
        let wanted = Wanted::Features(vec![format!("{view}:*")]);
        let plan = self.online_plan(catalog, &wanted, &Naming::default()).await?;
        let join = &plan.plan.joins[0];
        let mut sample = Sample::new(request.sample.min(ENTITY_ROWS_MAX));
        self.sample_history(join, &mut sample).await?;
        self.sample_online(join, &mut sample).await?;
        let keys: Vec<EncodedKey> = sample.keys().cloned().collect();
        let asked = entities(join, &keys)?;

        let answer =
            self.get(catalog, &plan, &GetRequest { include_expired: false, ..asked.clone() }).await?;
        let (t, served) = (answer.t, answer.to_rows(&plan)?);
        // What an expired row holds is served on request, so it is held to the same law.
        let mut held = None;
        if join.view.ttl.is_some() {
            let request = GetRequest { include_expired: true, now: Some(t), ..asked.clone() };
            held = Some(self.get(catalog, &plan, &request).await?.to_rows(&plan)?);
        }
        let recorded = self.recorded_answers(&join.table, request.sample)?;

        // Only now: a load beside may have gone on, and every unit that was served from must be known.
        let known = self.caught_up(catalog, &plan).await?;
        let mut verdict = Verdict::new(&plan, &keys);
        let recomputed = self.recompute(catalog, &known, &asked, t, false).await?;
        verdict.compare(&served, &recomputed, "history");
        if let Some(held) = &held {
            let recomputed = self.recompute(catalog, &known, &asked, t, true).await?;
            verdict.compare(held, &recomputed, "history");
        }
        if request.oracle {
            let join = &known.joins[0];
            let rows = self.oracle_rows(join, &keys).await?;
            verdict.compare(&served, &by_oracle(join, &plan, &rows, &keys, t, false), "oracle");
            if let Some(held) = &held {
                verdict.compare(held, &by_oracle(join, &plan, &rows, &keys, t, true), "oracle");
            }
        }
        let recorded = self.verify_recorded(catalog, &known, &recorded, &mut verdict.shown).await?;
        Ok(ViewVerified {
            recorded_values: recorded.values,
            recorded_identical: recorded.identical,
            view: view.to_string(),
            t: t.to_string(),
            position: answer.positions.first().copied().flatten(),
            keys: keys.len() as u64,
            values: verdict.values(),
            identical: verdict.values() - verdict.differing.len() as u64,
            differences: verdict.shown,
        })
    }

    async fn recompute(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
        asked: &GetRequest,
        t: Instant,
        include_expired: bool,
    ) -> Result<Vec<Vec<Answered>>, StoreError> {
        let request = GetRequest { include_expired, ..asked.clone() };
        self.get_history(catalog, plan, &request, &vec![t.micros(); asked.rows]).await
    }

    /// Recomputes the answers that a server recorded, each for its own instant. Returns how many values were compared;
    /// those that differ are added to `differences`, which is bounded, and counted.
    async fn verify_recorded(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
        all: &[RecordedAnswer],
        differences: &mut Vec<Difference>,
    ) -> Result<Recorded, StoreError> {
        let join = &plan.joins[0];
        let mut found = Recorded::default();
        let table = self.offline().await?.existing_table(&join.table).await?;
        // What was in force before the cut can't be computed any more.
        let cut = table.map(|table| table.cut()).transpose()?.flatten().map_or(i64::MIN, Instant::micros);
        for include_expired in [false, true] {
            let records: Vec<(EncodedKey, RecordedAnswer)> = all
                .iter()
                .filter(|record| record.include_expired == include_expired && record.t >= cut)
                .filter_map(|record| Some((unhex(&record.key)?, record.clone())))
                .collect();
            let keys: Vec<EncodedKey> = records.iter().map(|(key, _)| key.clone()).collect();
            let times: Vec<i64> = records.iter().map(|(_, record)| record.t).collect();
            let request = GetRequest { include_expired, ..entities(join, &keys)? };
            let rows = self.get_history(catalog, plan, &request, &times).await?;
            for ((key, record), row) in records.iter().zip(&rows) {
                for (column, computed) in plan.columns.iter().zip(row) {
                    let feature = plan.feature(column);
                    let Some(served) = record.features.get(&feature.name) else { continue };
                    found.values += 1;
                    if *served == hex(&answered_bytes(feature.value_type, computed)) {
                        found.identical += 1;
                    } else if differences.len() < DIFFERENCES_SHOWN_MAX {
                        differences.push(Difference {
                            key: key_in_words(join, key),
                            feature: feature.name.clone(),
                            served: format!("bytes {served} at {}", Instant::from_micros_clamped(record.t)),
                            computed: in_words(computed),
                            by: "history".to_owned(),
                        });
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The request for these keys.
fn entities(join: &PlannedJoin, keys: &[EncodedKey]) -> Result<GetRequest, StoreError> {
    let types: Vec<ValueType> = join.keys.iter().map(|(key, _)| key.value_type).collect();
    let mut entities: BTreeMap<String, Vec<_>> =
        join.keys.iter().map(|(_, column)| (column.clone(), Vec::with_capacity(keys.len()))).collect();
    for bytes in keys {
        let values = key::decode_key(&types, bytes)
            .ok_or_else(|| StoreError::Corrupt(format!("`{}` holds a key that is none", join.table)))?;
        for ((_, column), value) in join.keys.iter().zip(values) {
            entities.entry(column.clone()).or_default().push(Some(value));
        }
    }
    let fields = BTreeMap::new();
    Ok(GetRequest {
        entities,
        fields,
        rows: keys.len(),
        now: None,
        include_expired: false,
        from_history: true,
    })
}

fn join_keys(join: &PlannedJoin) -> Vec<JoinKey> {
    join.keys.iter().map(|(key, _)| key.clone()).collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, StoreError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| StoreError::Corrupt(format!("history rows have no column `{name}`")))
}

/// Calls `with` for each row and its encoded key.
fn each_key(
    batch: &RecordBatch,
    keys: &[JoinKey],
    mut with: impl FnMut(usize, &EncodedKey),
) -> Result<(), StoreError> {
    let columns = keys.iter().map(|key| Ok((column(batch, &key.name)?, key.value_type)));
    let columns = KeyColumns::new(columns.collect::<Result<Vec<_>, StoreError>>()?);
    let mut key = EncodedKey::new();
    for row in 0..batch.num_rows() {
        if columns.encode(row, &mut key) {
            with(row, &key);
        }
    }
    Ok(())
}
