//! `POST /v1/online-features`: our own shape, row by row, with statuses and event instants beside the values.
//!
//! The request is read strictly: a field that is not known is an error with the nearest one. Errors are
//! `{"error": {"kind", "message", "hint"}}`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use asof_model::{Explain, Instant, Kind, Zone, name};
use asof_store::StoreError;
use asof_store::get::{Answer, GetRequest};
use asof_store::request::{RequestPlan, Wanted};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use crate::http::{self, BodyError, Rows};
use crate::openapi::{OnlineAnswer, OnlineError, OnlineRequest};
use crate::past::GetError;
use crate::serving::{Serving, Shape};
use crate::{entity, json, strict};

/// Its route.
const ROUTE: &str = "/v1/online-features";

/// Every field of a request.
const FIELDS: [&str; 6] = ["service", "features", "entities", "now", "full_names", "include_expired"];

/// A request as it was read.
struct NativeRequest {
    wanted: Wanted,
    entities: Vec<Map<String, Json>>,
    now: Option<Instant>,
    full_names: bool,
    include_expired: bool,
}

/// Why a request is not answered.
enum Problem {
    Body(BodyError),
    Get(GetError),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Get(error.into())
    }
}

impl From<GetError> for Problem {
    fn from(error: GetError) -> Self {
        Self::Get(error)
    }
}

/// `POST /v1/online-features`: values row by row, with statuses and event instants beside them.
#[utoipa::path(
    post,
    path = "/v1/online-features",
    tag = "features",
    request_body = OnlineRequest,
    responses(
        (status = 200, description = "The values", body = OnlineAnswer),
        (status = 400, description = "The body broke off", body = OnlineError),
        (status = 404, description = "A service, view or feature that does not exist", body = OnlineError),
        (status = 405, description = "Another method than POST", body = OnlineError),
        (status = 408, description = "The body did not arrive in time", body = OnlineError),
        (status = 409, description = "Right, but not in the present state", body = OnlineError),
        (status = 413, description = "The body is too large", body = OnlineError),
        (status = 422, description = "A wrong request", body = OnlineError),
        (status = 500, description = "What is stored is damaged", body = OnlineError),
        (status = 503, description = "Something needed is away, or too busy", body = OnlineError)
    )
)]
pub(crate) async fn online_features(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    match answer(&serving, request).await {
        Ok(response) => response,
        Err(Problem::Body(error)) => {
            refusal(error.status(), Kind::Invalid, &error.to_string(), Some(error.hint()))
        }
        Err(Problem::Get(GetError::Busy)) => http::busy(ROUTE),
        Err(Problem::Get(GetError::Store(error))) => {
            http::log_failure(&error);
            let (status, hint) = (http::status(error.kind()), error.hint());
            refusal(status, error.kind(), &error.to_string(), hint.as_deref())
        }
    }
}

async fn answer(serving: &Serving, request: Request) -> Result<Response, Problem> {
    let body = http::body(request).await?;
    let asked = read(&body)?;
    let (compiled, plan) = serving.plan(Shape { wanted: asked.wanted, full_names: asked.full_names }).await?;
    let request = GetRequest {
        entities: key_columns(&plan.online.plan, &asked.entities)?,
        rows: asked.entities.len(),
        now: asked.now,
        include_expired: asked.include_expired,
        from_history: false,
    };
    let answer = serving.get(compiled, &plan, request).await?;
    let degraded = serving.behind(&plan.online.plan, answer.t);
    let mut response = http::respond(StatusCode::OK, written(&plan.online.plan, &answer, &degraded));
    response.extensions_mut().insert(Rows(answer.rows.len()));
    Ok(response)
}

fn read(body: &[u8]) -> Result<NativeRequest, StoreError> {
    let mut all = match strict::read(body) {
        Ok(Json::Object(all)) => all,
        Ok(_) => return Err(wrong("the body is not a JSON object".to_owned(), FORM)),
        Err(error) if error.is_data() => return Err(wrong(error.to_string(), "write each name once")),
        Err(error) => return Err(wrong(format!("the body is not JSON: {error}"), FORM)),
    };
    if let Some(unknown) = all.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        let message = format!("the request has no field `{unknown}`");
        return Err(StoreError::Request { message, hint: name::suggestion(unknown, FIELDS) });
    }
    let wanted = match (all.remove("service"), all.remove("features")) {
        (Some(Json::String(service)), None) => Wanted::Service(service),
        (None, Some(Json::Array(features))) => {
            let name = |feature: Json| match feature {
                Json::String(feature) => Ok(feature),
                other => Err(wrong(format!("`features` holds {}", shown(&other)), FEATURES)),
            };
            Wanted::Features(features.into_iter().map(name).collect::<Result<_, _>>()?)
        }
        (Some(_), None) => return Err(wrong("`service` is not text".to_owned(), FORM)),
        (None, Some(_)) => return Err(wrong("`features` is not a list".to_owned(), FEATURES)),
        (Some(_), Some(_)) => {
            return Err(wrong("both `service` and `features` are given".to_owned(), "keep one"));
        }
        (None, None) => return Err(wrong("neither `service` nor `features` is given".to_owned(), FORM)),
    };
    let row = |(place, row): (usize, Json)| match row {
        Json::Object(row) => Ok(row),
        other => {
            Err(wrong(format!("row {place} of `entities` (counted from 0) is {}", shown(&other)), ENTITIES))
        }
    };
    let entities = match all.remove("entities") {
        Some(Json::Array(rows)) => rows.into_iter().enumerate().map(row).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("`entities` is not a list".to_owned(), ENTITIES)),
        None => vec![Map::new()],
    };
    let now = match all.remove("now") {
        None | Some(Json::Null) => None,
        Some(given) => {
            let text = given.as_str().and_then(|text| Instant::parse(text, &Zone::utc()));
            Some(text.ok_or_else(|| wrong(format!("`now` is {}, not an instant", shown(&given)), NOW))?)
        }
    };
    let mut flag = |field: &str| match all.remove(field) {
        None => Ok(false),
        Some(Json::Bool(flag)) => Ok(flag),
        Some(other) => Err(wrong(format!("`{field}` is {}", shown(&other)), "write true or false")),
    };
    let (full_names, include_expired) = (flag("full_names")?, flag("include_expired")?);
    Ok(NativeRequest { wanted, entities, now, full_names, include_expired })
}

const FORM: &str = "write {\"service\": \"...\", \"entities\": [{\"join_key\": ...}]}";
const FEATURES: &str = "write a list like [\"view:feature\", \"view@2:feature\"]";
const ENTITIES: &str = "write a list of objects, one for each entity row, with the join keys as fields";
const NOW: &str = "write it like \"2026-01-31T12:00:00Z\", or leave it out to ask for the present";

fn wrong(message: String, hint: &str) -> StoreError {
    StoreError::Request { message, hint: Some(hint.to_owned()) }
}

/// A wrong input in a few words.
fn shown(input: &Json) -> String {
    match input {
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        Json::String(text) if text.chars().count() > 40 => "a long text".to_owned(),
        other => other.to_string(),
    }
}

/// The join keys of the entity rows, column by column. Fields that no view needs are left out.
fn key_columns(
    plan: &RequestPlan,
    entities: &[Map<String, Json>],
) -> Result<BTreeMap<String, Vec<Option<asof_model::Value>>>, StoreError> {
    let mut columns = BTreeMap::new();
    for (column, value_type) in &plan.key_columns {
        let mut values = Vec::with_capacity(entities.len());
        for (row, fields) in entities.iter().enumerate() {
            let Some(value) = fields.get(column) else {
                return Err(missing(plan, column, row, fields));
            };
            values.push(entity::key(column, row, *value_type, value)?);
        }
        columns.insert(column.clone(), values);
    }
    Ok(columns)
}

fn missing(plan: &RequestPlan, column: &str, row: usize, fields: &Map<String, Json>) -> StoreError {
    let view = entity::needed_by(plan, column).map(|join| &join.view.id);
    let needed = view.map_or_else(String::new, |view| format!(", which view `{view}` is looked up by"));
    StoreError::Request {
        message: format!("row {row} of `entities` (counted from 0) lacks the join key `{column}`{needed}"),
        hint: Some(entity::missing_hint(plan, column, fields.keys().map(String::as_str))),
    }
}

fn written(plan: &RequestPlan, answer: &Answer, degraded: &BTreeSet<String>) -> Vec<u8> {
    let names: Vec<String> =
        plan.columns.iter().map(|column| format!("{}:", json::quoted(&column.name))).collect();
    let mut out = Vec::with_capacity(128 + answer.rows.len() * (64 + names.len() * 128));
    out.extend_from_slice(b"{\"t\":");
    json::instant(&mut out, Some(answer.t));
    out.extend_from_slice(b",\"rows\":[");
    json::list(&mut out, &answer.rows, |out, row| {
        let cells = || names.iter().zip(row);
        out.extend_from_slice(b"{\"features\":{");
        json::list(out, cells(), |out, (name, cell)| {
            out.extend_from_slice(name.as_bytes());
            json::value(out, cell.value.as_ref());
        });
        out.extend_from_slice(b"},\"statuses\":{");
        json::list(out, cells(), |out, (name, cell)| {
            out.extend_from_slice(name.as_bytes());
            json::plain(out, cell.status.as_str());
        });
        out.extend_from_slice(b"},\"events\":{");
        json::list(out, cells(), |out, (name, cell)| {
            out.extend_from_slice(name.as_bytes());
            json::instant(out, cell.event);
        });
        out.extend_from_slice(b"}}");
    });
    out.extend_from_slice(b"],\"positions\":{");
    json::list(&mut out, &answer.positions, |out, (view, position)| {
        json::text(out, &view.to_string());
        out.extend_from_slice(format!(":{position}").as_bytes());
    });
    out.push(b'}');
    if !degraded.is_empty() {
        out.extend_from_slice(b",\"degraded\":[");
        json::list(&mut out, degraded, |out, view| json::text(out, view));
        out.push(b']');
    }
    out.push(b'}');
    out
}

/// An error in our own shape.
pub(crate) fn refusal(status: StatusCode, kind: Kind, message: &str, hint: Option<&str>) -> Response {
    let body = json!({ "error": { "kind": kind, "message": message, "hint": hint } });
    http::respond(status, body.to_string())
}
