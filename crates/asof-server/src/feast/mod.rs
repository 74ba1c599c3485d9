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
use asof_store::get::{Answer, GetRequest, OpenAnswer};
use asof_store::request::{RequestPlan, Wanted};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use crate::entity::{Given, Named};
use crate::http;
use crate::openapi::{FeastAnswer, FeastError, FeastRequest, Timestamp};
use crate::serving::{Planned, Serving, ShapeText};
use crate::{arrow, entity, json};
pub(crate) use problem::Problem;
use request::FeastRequest as Asked;
pub(crate) use request::reference;

/// Its route.
pub(crate) const ROUTE: &str = "/get-online-features";

/// The header that carries the instant an answer holds for.
const ASOF_T: HeaderName = HeaderName::from_static("asof-t");

/// Columns of a request: a value per entity row.
type KeyColumns = BTreeMap<String, Vec<Option<Value>>>;

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

/// What the JSON text of a list of features, or of the name of a service, asks for.
///
/// # Errors
/// [`Problem::Details`] where the list holds something else than texts.
pub(crate) fn wanted(text: &str) -> Result<Wanted, Problem> {
    Asked::wanted(text)
}

async fn answer(serving: &Serving, request: Request) -> Result<Response, Problem> {
    let as_table = arrow::wanted(request.headers());
    let body = http::body(request).await?;
    let asked = Asked::read(&body)?;
    let rows = rows(&asked.entities)?;
    let text = ShapeText { text: &asked.wanted, full_names: asked.full_names };
    let (compiled, plan) = serving.plan_of_text(text, || Asked::wanted(&asked.wanted)).await?;
    let (order, entities) = key_columns(&compiled.catalog, &plan.online.plan, &asked.entities)?;
    let request = GetRequest {
        entities,
        fields: request_columns(&plan.online.plan, &asked.entities)?,
        rows: rows.unwrap_or(1),
        now: asked.now,
        include_expired: asked.include_expired,
        from_history: false,
    };
    let answer = serving.get(compiled, &plan, &request).await?;
    let open = answer.open(&plan.online)?;
    let mut response = match as_table {
        false => {
            let body = written(&plan, (&order, &request), (&answer, &open), asked.version_metadata)?;
            http::respond(StatusCode::OK, body)
        }
        true => arrow::respond(&plan, &request, (&answer, &open), false)?,
    };
    if let Ok(t) = HeaderValue::from_str(&answer.t.text()) {
        response.headers_mut().insert(ASOF_T, t);
    }
    http::note_rows(&mut response, answer.rows());
    Ok(response)
}

/// The number of entity rows: the length that all columns share. `None` where there is no column.
fn rows(entities: &Named<'_, Vec<Given<'_>>>) -> Result<Option<usize>, StoreError> {
    let Some((first, values)) = entities.0.first() else { return Ok(None) };
    match entities.0.iter().find(|(_, others)| others.len() != values.len()) {
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

/// The columns that the plan is looked up by, with their names in request order. Others are left out.
fn key_columns(
    catalog: &Catalog,
    plan: &RequestPlan,
    entities: &Named<'_, Vec<Given<'_>>>,
) -> Result<(Vec<String>, KeyColumns), StoreError> {
    let (mut order, mut columns) = (Vec::new(), KeyColumns::new());
    for (given, values) in &entities.0 {
        let known = |name: &str| plan.key_columns.iter().find(|(column, _)| column == name);
        let Some((column, value_type)) = known(given).or_else(|| known(by_entity(catalog, entities, given)?))
        else {
            continue;
        };
        if columns.contains_key(column) {
            continue;
        }
        let mut read = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            read.push(entity::key(column, row, *value_type, value)?);
        }
        order.push(column.clone());
        columns.insert(column.clone(), read);
    }
    for (wanted, _) in plan.key_columns.iter().filter(|(wanted, _)| !columns.contains_key(wanted)) {
        if let Some(join) = entity::needed_by(plan, wanted) {
            let given = entities.0.iter().map(|(column, _)| column.as_ref());
            return Err(StoreError::MissingKey {
                key: wanted.clone(),
                view: join.view.id.clone(),
                hint: Some(entity::missing_hint(plan, wanted, given)),
            });
        }
    }
    Ok((order, columns))
}

/// The request columns that features on demand read.
fn request_columns(
    plan: &RequestPlan,
    entities: &Named<'_, Vec<Given<'_>>>,
) -> Result<KeyColumns, StoreError> {
    let mut columns = KeyColumns::new();
    for column in &plan.on_demand.request {
        // What is lacking is said when the request is checked.
        let Some(values) = entities.get(&column.name) else { continue };
        let read = values.iter().enumerate().map(|(row, value)| entity::field(column, row, value));
        columns.insert(column.name.clone(), read.collect::<Result<_, _>>()?);
    }
    Ok(columns)
}

/// The join key that is meant by the name of its entity, which Feast takes too. A column of the key's own name is
/// preferred.
fn by_entity<'a>(catalog: &'a Catalog, entities: &Named<'_, Vec<Given<'_>>>, given: &str) -> Option<&'a str> {
    match catalog.definitions.entities.get(given)?.keys.as_slice() {
        [key] => Some(key.name.as_str()).filter(|key| entities.get(key).is_none()),
        _ => None,
    }
}

fn written(
    plan: &Planned,
    (order, request): (&[String], &GetRequest),
    (answer, open): (&Answer, &OpenAnswer<'_>),
    version_metadata: bool,
) -> Result<Vec<u8>, StoreError> {
    let rows = answer.rows();
    let columns = &plan.online.plan.columns;
    let mut out = Vec::with_capacity(256 + (order.len() + columns.len()) * (rows * VALUE_BYTES + 64));
    let mut writer = Writer::default();
    out.extend_from_slice(b"{\"results\":[");
    for (place, name) in order.iter().enumerate() {
        separate(&mut out, place);
        let values = request.entities.get(name).map_or(&[][..], Vec::as_slice);
        writer.begin(&mut out);
        for (row, value) in values.iter().enumerate() {
            separate(&mut out, row);
            json::value(&mut out, value.as_ref());
            writer.judged(if value.is_some() { Status::Present } else { Status::Missing }, None);
        }
        writer.end(&mut out);
    }
    let mut tally = plan.tally();
    for (place, column) in columns.iter().enumerate() {
        separate(&mut out, order.len() + place);
        let values = open.column(place);
        writer.begin(&mut out);
        let mut row = 0;
        values.each(rows, |cell| {
            separate(&mut out, row);
            json::answered(&mut out, cell.value);
            writer.judged(cell.status, cell.event);
            row += 1;
        })?;
        tally.add(column, &writer.statuses);
        writer.end(&mut out);
    }
    plan.count(rows, &tally);
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":[");
    for (place, name) in order.iter().enumerate() {
        separate(&mut out, place);
        json::text(&mut out, name);
    }
    for (place, name) in plan.names.iter().enumerate() {
        separate(&mut out, order.len() + place);
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b']');
    if version_metadata {
        out.extend_from_slice(b",\"feature_view_metadata\":[");
        json::list(&mut out, &plan.online.plan.joins, |out, join| {
            out.extend_from_slice(b"{\"name\":");
            json::text(out, &join.prefix);
            out.extend_from_slice(format!(",\"version\":{}}}", join.view.id.version).as_bytes());
        });
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
    Ok(out)
}

/// Bytes that a value, its status and its event timestamp take, more or less.
const VALUE_BYTES: usize = 52;

/// Writes columns: values, statuses and event timestamps, which are left out where there are no rows.
#[derive(Default)]
struct Writer {
    /// Of the column that is written.
    statuses: Vec<Status>,
    events: Vec<Instant>,
    status_text: json::Repeated<Status>,
    event_text: json::Repeated<Instant>,
}

impl Writer {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.statuses.clear();
        self.events.clear();
        out.extend_from_slice(b"{\"values\":[");
    }

    /// Takes note of a value that was written.
    fn judged(&mut self, status: Status, event: Option<Instant>) {
        self.statuses.push(status);
        self.events.push(event.filter(|_| status != Status::Missing).unwrap_or(Instant::EPOCH));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"statuses\":[");
        self.status_text.write(out, &self.statuses, |out, each| json::plain(out, status(each)));
        out.push(b']');
        if !self.events.is_empty() {
            out.extend_from_slice(b",\"event_timestamps\":[");
            self.event_text.write(out, &self.events, |out, each| json::instant(out, Some(each)));
            out.push(b']');
        }
        out.push(b'}');
    }
}

/// The comma in front of all but the first.
fn separate(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
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
