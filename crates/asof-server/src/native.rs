//! `POST /v1/online-features`: our own shape, row by row, with statuses and event instants beside the values.
//!
//! The request is read strictly: a field that is not known is an error with the nearest one. Errors are
//! `{"error": {"kind", "message", "hint"}}`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::{Explain, Instant, Kind, Status, Zone, name};
use asof_store::StoreError;
use asof_store::get::{Answer, GetRequest, OpenAnswer, OpenColumn};
use asof_store::request::{RequestPlan, Wanted};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use crate::entity::{Given, Named};
use crate::http::{self, BodyError};
use crate::openapi::{OnlineAnswer, OnlineError, OnlineRequest};
use crate::past::GetError;
use crate::required::Required;
use crate::serving::{Planned, Serving, ShapeText, ViewHealth};
use crate::{arrow, entity, json, required, strict};

/// Its route.
pub(crate) const ROUTE: &str = "/v1/online-features";

/// Every field of a request.
const FIELDS: [&str; 8] =
    ["service", "features", "entities", "now", "full_names", "include_expired", "statuses", "required"];

/// A request as it was read.
struct NativeRequest<'b> {
    /// What is asked for, as JSON: a list of features, or the name of a service.
    wanted: Cow<'b, str>,
    entities: Vec<Named<'b, Given<'b>>>,
    now: Option<Instant>,
    full_names: bool,
    include_expired: bool,
    /// Whether a table has columns of statuses; JSON always has them.
    statuses: bool,
    required: Required,
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
        (
            status = 200,
            description = "The values",
            content((OnlineAnswer = "application/json"), (Vec<u8> = "application/vnd.apache.arrow.stream"))
        ),
        (status = 400, description = "The body broke off", body = OnlineError),
        (status = 404, description = "A service, view or feature that does not exist", body = OnlineError),
        (status = 405, description = "Another method than POST", body = OnlineError),
        (status = 408, description = "The body did not arrive in time", body = OnlineError),
        (status = 409, description = "Right, but not in the present state", body = OnlineError),
        (status = 413, description = "The body is too large", body = OnlineError),
        (status = 415, description = "The body is packed in a way that is not known", body = OnlineError),
        (status = 422, description = "A wrong request", body = OnlineError),
        (status = 500, description = "What is stored is damaged", body = OnlineError),
        (status = 503, description = "Something needed is away, or too busy", body = OnlineError),
        (status = 504, description = "Not answered within the time that the request allows", body = OnlineError)
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
    let form = arrow::wanted(request.headers());
    let body = http::body(request).await?;
    let asked = read_request(&body)?;
    let text = ShapeText { text: &asked.wanted, full_names: asked.full_names };
    let (compiled, plan) = serving.plan_of_text(text, || wanted(&asked.wanted)).await?;
    let request = GetRequest {
        entities: key_columns(&plan.online.plan, &asked.entities)?,
        fields: request_columns(&plan.online.plan, &asked.entities)?,
        rows: asked.entities.len(),
        now: asked.now,
        include_expired: asked.include_expired,
        from_history: false,
    };
    let answer = serving.get(compiled, &plan, &request).await?;
    let open = answer.open(&plan.online)?;
    required::check(&plan, &asked.required, answer.rows(), &open)?;
    let mut response = match form {
        false => {
            let health = serving.health(&plan, &answer, &open);
            http::respond(StatusCode::OK, written(&plan, (&answer, &open), &health)?)
        }
        true => arrow::respond(&plan, &request, (&answer, &open), asked.statuses)?,
    };
    http::note_rows(&mut response, answer.rows());
    Ok(response)
}

/// The fields of a body that is as most are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'b> {
    #[serde(borrow)]
    service: Option<&'b RawValue>,
    #[serde(borrow)]
    features: Option<&'b RawValue>,
    #[serde(borrow)]
    entities: Vec<Named<'b, Given<'b>>>,
    #[serde(default)]
    full_names: bool,
    #[serde(default)]
    include_expired: bool,
    #[serde(default)]
    statuses: bool,
}

/// Reads a body: one that is as most are in one pass, without building a tree of it, and any other with care. Where both
/// read a body, they read the same.
fn read_request(body: &[u8]) -> Result<NativeRequest<'_>, StoreError> {
    match read_plain(body) {
        Some(request) => Ok(request),
        None => read(body),
    }
}

fn read_plain(body: &[u8]) -> Option<NativeRequest<'_>> {
    let plain: Plain<'_> = serde_json::from_slice(body).ok()?;
    let wanted = match (plain.service.map(RawValue::get), plain.features.map(RawValue::get)) {
        (Some(service), None) if service.starts_with('"') => service,
        (None, Some(features)) if features.starts_with("[\"") => features,
        _ => return None,
    };
    Some(NativeRequest {
        wanted: Cow::Borrowed(wanted),
        entities: plain.entities,
        now: None,
        full_names: plain.full_names,
        include_expired: plain.include_expired,
        statuses: plain.statuses,
        required: Required::Nothing,
    })
}

/// What a text of [`NativeRequest::wanted`] asks for.
pub(crate) fn wanted(text: &str) -> Result<Wanted, StoreError> {
    match serde_json::from_str(text) {
        Ok(Json::String(service)) => Ok(Wanted::Service(service)),
        Ok(Json::Array(features)) => {
            let name = |feature: Json| match feature {
                Json::String(feature) => Ok(feature),
                other => Err(wrong(format!("`features` holds {}", shown(&other)), FEATURES)),
            };
            Ok(Wanted::Features(features.into_iter().map(name).collect::<Result<_, _>>()?))
        }
        _ => Err(wrong("neither `service` nor `features` is given".to_owned(), FORM)),
    }
}

fn read(body: &[u8]) -> Result<NativeRequest<'static>, StoreError> {
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
        (Some(service @ Json::String(_)), None) => service,
        (None, Some(features @ Json::Array(_))) => features,
        (Some(_), None) => return Err(wrong("`service` is not text".to_owned(), FORM)),
        (None, Some(_)) => return Err(wrong("`features` is not a list".to_owned(), FEATURES)),
        (Some(_), Some(_)) => {
            return Err(wrong("both `service` and `features` are given".to_owned(), "keep one"));
        }
        (None, None) => return Err(wrong("neither `service` nor `features` is given".to_owned(), FORM)),
    };
    let wanted = wanted.to_string();
    // What is wrong with a list is said before what is wrong with the rows.
    self::wanted(&wanted)?;
    let row = |(place, row): (usize, Json)| match row {
        Json::Object(row) => {
            let given = row.iter().map(|(name, value)| (Cow::Owned(name.clone()), Given::of(value)));
            Ok(Named(given.collect()))
        }
        other => {
            Err(wrong(format!("row {place} of `entities` (counted from 0) is {}", shown(&other)), ENTITIES))
        }
    };
    let entities = match all.remove("entities") {
        Some(Json::Array(rows)) => rows.into_iter().enumerate().map(row).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("`entities` is not a list".to_owned(), ENTITIES)),
        None => vec![Named(Vec::new())],
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
    let statuses = flag("statuses")?;
    let required = Required::read(all.remove("required"))?;
    let wanted = Cow::Owned(wanted);
    Ok(NativeRequest { wanted, entities, now, full_names, include_expired, statuses, required })
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
    entities: &[Named<'_, Given<'_>>],
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

/// The request columns that features on demand read, column by column.
fn request_columns(
    plan: &RequestPlan,
    entities: &[Named<'_, Given<'_>>],
) -> Result<BTreeMap<String, Vec<Option<asof_model::Value>>>, StoreError> {
    let mut columns = BTreeMap::new();
    for column in &plan.on_demand.request {
        let mut values = Vec::with_capacity(entities.len());
        for (row, fields) in entities.iter().enumerate() {
            let Some(value) = fields.get(&column.name) else {
                plan.check_request_columns(fields.0.iter().map(|(name, _)| name.as_ref()))?;
                continue;
            };
            values.push(entity::field(column, row, value)?);
        }
        columns.insert(column.name.clone(), values);
    }
    Ok(columns)
}

fn missing(plan: &RequestPlan, column: &str, row: usize, fields: &Named<'_, Given<'_>>) -> StoreError {
    let view = entity::needed_by(plan, column).map(|join| &join.view.id);
    let needed = view.map_or_else(String::new, |view| format!(", which view `{view}` is looked up by"));
    StoreError::Request {
        message: format!("row {row} of `entities` (counted from 0) lacks the join key `{column}`{needed}"),
        hint: Some(entity::missing_hint(plan, column, fields.0.iter().map(|(name, _)| name.as_ref()))),
    }
}

fn written(
    plan: &Planned,
    (answer, open): (&Answer, &OpenAnswer<'_>),
    health: &[ViewHealth],
) -> Result<Vec<u8>, StoreError> {
    let columns: Vec<OpenColumn<'_>> = (0..plan.names.len()).map(|place| open.column(place)).collect();
    let mut tally = plan.tally();
    let mut judged: Vec<(Status, Option<Instant>)> = Vec::with_capacity(columns.len());
    let mut out = Vec::with_capacity(256 + answer.rows() * (64 + columns.len() * VALUE_BYTES));
    let name = |out: &mut Vec<u8>, place: usize| {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(plan.names[place].as_bytes());
        out.push(b':');
    };
    let mut text = json::Repeated::default();
    out.extend_from_slice(b"{\"t\":");
    json::instant(&mut out, Some(answer.t));
    out.extend_from_slice(b",\"rows\":[");
    for row in 0..answer.rows() {
        out.extend_from_slice(if row > 0 { b",{\"features\":{" } else { b"{\"features\":{" });
        judged.clear();
        for (place, column) in columns.iter().enumerate() {
            let cell = column.get(row)?;
            name(&mut out, place);
            json::answered(&mut out, cell.value);
            judged.push((cell.status, cell.event));
        }
        out.extend_from_slice(b"},\"statuses\":{");
        for (place, (status, _)) in judged.iter().enumerate() {
            name(&mut out, place);
            json::plain(&mut out, status.as_str());
        }
        out.extend_from_slice(b"},\"events\":{");
        for (place, (_, event)) in judged.iter().enumerate() {
            name(&mut out, place);
            text.write(&mut out, &[*event], json::instant);
        }
        out.extend_from_slice(b"}}");
        for (column, (status, _)) in plan.online.plan.columns.iter().zip(&judged) {
            tally.add(column, &[*status]);
        }
    }
    plan.count(answer.rows(), &tally);
    out.extend_from_slice(b"],\"positions\":{");
    let positions = plan.online.positions(&answer.positions);
    json::list(&mut out, &positions, |out, (view, position)| {
        json::text(out, &view.to_string());
        out.extend_from_slice(format!(":{position}").as_bytes());
    });
    out.extend_from_slice(b"},\"freshness_ms\":{");
    let known = health.iter().filter_map(|view| Some((&view.view, view.freshness_ms?)));
    json::list(&mut out, known, |out, (view, freshness)| {
        json::text(out, view);
        out.extend_from_slice(format!(":{freshness}").as_bytes());
    });
    out.push(b'}');
    if health.iter().any(|view| view.degraded) {
        out.extend_from_slice(b",\"degraded\":[");
        let degraded = health.iter().filter(|view| view.degraded);
        json::list(&mut out, degraded, |out, view| json::text(out, &view.view));
        out.push(b']');
    }
    out.push(b'}');
    Ok(out)
}

/// Bytes that a value, its status and its event instant take, with their names, more or less.
const VALUE_BYTES: usize = 128;

/// An error in our own shape.
pub(crate) fn refusal(status: StatusCode, kind: Kind, message: &str, hint: Option<&str>) -> Response {
    let body = json!({ "error": { "kind": kind, "message": message, "hint": hint } });
    http::respond(status, body.to_string())
}
