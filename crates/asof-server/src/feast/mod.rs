//! `POST /get-online-features`: the shape that a Feast client sends and reads.
//!
//! [`request`] reads the body and complains as FastAPI does, [`problem`] says all other errors as Feast does; here the
//! answer is written. Beside it: [`write`] (rows that clients write and push) and [`materialize`] (loads that they ask for),
//! whose bodies [`fields`] reads.
//!
//! | our status | Feast's | value | event timestamp |
//! | --- | --- | --- | --- |
//! | PRESENT | PRESENT | the value | of the row |
//! | NULL | NULL_VALUE | the default or null | of the row |
//! | MISSING | NOT_FOUND | the default or null | 1970 |
//! | OUTSIDE_TTL | OUTSIDE_MAX_AGE | the default or null; what the row holds with `include_expired` | of the row |
//! | ERROR | INVALID | the default or null | of the row |

mod fields;
pub(crate) mod materialize;
mod problem;
mod request;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::plan::Catalog;
use asof_model::{Instant, Status, Value};
use asof_store::StoreError;
use asof_store::get::{Answer, GetRequest};
use asof_store::request::RequestPlan;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value as Json;

use crate::http::{self, Rows};
use crate::openapi::{FeastAnswer, FeastError, FeastRequest, Timestamp};
use crate::serving::{Serving, Shape};
use crate::{entity, json};
use problem::Problem;
use request::FeastRequest as Asked;

/// Its route.
const ROUTE: &str = "/get-online-features";

/// The header that carries the instant an answer holds for.
const ASOF_T: HeaderName = HeaderName::from_static("asof-t");

/// A column of join keys: its name, and a value per entity row.
type KeyColumn = (String, Vec<Option<Value>>);

/// `POST /get-online-features`: values column by column, in Feast's shape. Mistakes of the client are 404 or 422, never
/// 500.
#[utoipa::path(
    post,
    path = "/get-online-features",
    tag = "features",
    request_body = FeastRequest,
    responses(
        (
            status = 200,
            description = "The values",
            body = FeastAnswer,
            headers(("asof-t" = Timestamp, description = "The instant that all values hold for"))
        ),
        (status = 400, description = "The body broke off", body = FeastError),
        (status = 404, description = "A service, view or feature that does not exist", body = FeastError),
        (status = 408, description = "The body did not arrive in time", body = FeastError),
        (status = 413, description = "The body is too large", body = FeastError),
        (status = 422, description = "A wrong request, or one that the present state can't answer", body = FeastError),
        (status = 500, description = "What is stored is damaged", body = FeastError),
        (status = 503, description = "Something needed is away, or too busy", body = FeastError)
    )
)]
pub(crate) async fn get_online_features(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    match answer(&serving, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(serving.project()),
    }
}

async fn answer(serving: &Serving, request: Request) -> Result<Response, Problem> {
    let body = http::body(request).await?;
    let asked = Asked::read(&body)?;
    let rows = rows(&asked.entities)?;
    let (compiled, plan) = serving.plan(Shape { wanted: asked.wanted, full_names: asked.full_names }).await?;
    let keys = key_columns(&compiled.catalog, &plan.online.plan, &asked.entities)?;
    let request = GetRequest {
        entities: keys.iter().cloned().collect::<BTreeMap<_, _>>(),
        rows: rows.unwrap_or(1),
        now: asked.now,
        include_expired: asked.include_expired,
        from_history: false,
    };
    let answer = serving.get(compiled, &plan, request).await?;
    let body = written(&plan.online.plan, &keys, &answer, asked.version_metadata);
    let mut response = http::respond(StatusCode::OK, body);
    if let Ok(t) = HeaderValue::from_str(&answer.t.to_string()) {
        response.headers_mut().insert(ASOF_T, t);
    }
    response.extensions_mut().insert(Rows(answer.rows.len()));
    Ok(response)
}

/// The number of entity rows: the length that all columns share. `None` where there is no column.
fn rows(entities: &[(String, Vec<Json>)]) -> Result<Option<usize>, StoreError> {
    let Some((first, values)) = entities.first() else { return Ok(None) };
    match entities.iter().find(|(_, others)| others.len() != values.len()) {
        None => Ok(Some(values.len())),
        Some((other, others)) => Err(StoreError::Request {
            message: format!(
                "All entity rows must have the same columns: `{first}` has {} values, `{other}` has {}",
                values.len(),
                others.len()
            ),
            hint: Some("give each column one value per entity row, null where it is not known".to_owned()),
        }),
    }
}

/// The columns that the plan is looked up by, in request order. Others are left out.
fn key_columns(
    catalog: &Catalog,
    plan: &RequestPlan,
    entities: &[(String, Vec<Json>)],
) -> Result<Vec<KeyColumn>, StoreError> {
    let mut columns = Vec::new();
    for (given, values) in entities {
        let known = |name: &str| plan.key_columns.iter().find(|(column, _)| column == name);
        let Some((column, value_type)) = known(given).or_else(|| known(by_entity(catalog, entities, given)?))
        else {
            continue;
        };
        if columns.iter().any(|(taken, _): &KeyColumn| taken == column) {
            continue;
        }
        let mut read = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            read.push(entity::key(column, row, *value_type, value)?);
        }
        columns.push((column.clone(), read));
    }
    for (wanted, _) in &plan.key_columns {
        let join =
            entity::needed_by(plan, wanted).filter(|_| columns.iter().all(|(column, _)| column != wanted));
        if let Some(join) = join {
            let given = entities.iter().map(|(column, _)| column.as_str());
            return Err(StoreError::MissingKey {
                key: wanted.clone(),
                view: join.view.id.clone(),
                hint: Some(entity::missing_hint(plan, wanted, given)),
            });
        }
    }
    Ok(columns)
}

/// The join key that is meant by the name of its entity, which Feast takes too. A column of the key's own name is
/// preferred.
fn by_entity<'a>(catalog: &'a Catalog, entities: &[(String, Vec<Json>)], given: &str) -> Option<&'a str> {
    match catalog.definitions.entities.get(given)?.keys.as_slice() {
        [key] => Some(key.name.as_str()).filter(|key| entities.iter().all(|(column, _)| column != key)),
        _ => None,
    }
}

fn written(plan: &RequestPlan, keys: &[KeyColumn], answer: &Answer, version_metadata: bool) -> Vec<u8> {
    let cells = (keys.len() + plan.columns.len()) * answer.rows.len();
    let mut out = Vec::with_capacity(256 + cells * 48);
    out.extend_from_slice(b"{\"results\":[");
    json::list(&mut out, keys, |out, (_, values)| {
        let cell = |value: &Option<Value>| match value {
            Some(_) => (Status::Present, Instant::EPOCH),
            None => (Status::Missing, Instant::EPOCH),
        };
        column(out, values.len(), |row| (values[row].as_ref(), cell(&values[row])));
    });
    if !keys.is_empty() && !plan.columns.is_empty() {
        out.push(b',');
    }
    json::list(&mut out, 0..plan.columns.len(), |out, place| {
        column(out, answer.rows.len(), |row| {
            let cell = &answer.rows[row][place];
            let event = cell.event.filter(|_| cell.status != Status::Missing).unwrap_or(Instant::EPOCH);
            (cell.value.as_ref(), (cell.status, event))
        });
    });
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":[");
    let names = keys.iter().map(|(name, _)| name).chain(plan.columns.iter().map(|column| &column.name));
    json::list(&mut out, names, |out, name| json::text(out, name));
    out.push(b']');
    if version_metadata {
        out.extend_from_slice(b",\"feature_view_metadata\":[");
        json::list(&mut out, &plan.joins, |out, join| {
            out.extend_from_slice(b"{\"name\":");
            json::text(out, &join.prefix);
            out.extend_from_slice(format!(",\"version\":{}}}", join.view.id.version).as_bytes());
        });
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
    out
}

/// Writes one column: its values, statuses and event timestamps, which are left out where there are no rows.
fn column<'a>(
    out: &mut Vec<u8>,
    rows: usize,
    cell: impl Fn(usize) -> (Option<&'a Value>, (Status, Instant)),
) {
    out.extend_from_slice(b"{\"values\":[");
    json::list(out, 0..rows, |out, row| json::value(out, cell(row).0));
    out.extend_from_slice(b"],\"statuses\":[");
    json::list(out, 0..rows, |out, row| json::plain(out, status(cell(row).1.0)));
    out.push(b']');
    if rows > 0 {
        out.extend_from_slice(b",\"event_timestamps\":[");
        json::list(out, 0..rows, |out, row| json::instant(out, Some(cell(row).1.1)));
        out.push(b']');
    }
    out.push(b'}');
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Present => "PRESENT",
        Status::Null => "NULL_VALUE",
        Status::Missing => "NOT_FOUND",
        Status::OutsideTtl => "OUTSIDE_MAX_AGE",
        Status::Error => "INVALID",
    }
}
