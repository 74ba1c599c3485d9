//! `POST /push` and `POST /write-to-online-store`: rows in the shapes that a Feast client sends. Both become pushes, so what
//! is acknowledged is durable, and served by then.
//!
//! A push names a source, and its columns are the source's. A write names a view, and its columns are the view's own: join
//! keys, features, and two times that are called [`EVENT`] and [`CREATED`] whatever the source calls them. It reaches that
//! view alone, and is taken whole or not at all. A Feast client turns its own `push` into one write for each view.

use std::sync::Arc;

use asof_model::{Explain, Instant, ScalarType, ValueType, Zone, name};
use asof_store::StoreError;
use asof_store::push::{PushReport, PushRequest, ViewColumns, object_of_columns};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value as Json};

use super::fields::{Body, Table};
use super::problem::{Problem, raised};
use crate::openapi::{FeastError, FeastPush, FeastWrite};
use crate::push::key_of;
use crate::serving::Serving;
use crate::{http, json, metrics};

/// What a client calls the event time of a row.
const EVENT: &str = "event_timestamp";

/// What a client calls the time when a row was made. Null where it does not know.
const CREATED: &str = "created";

/// Where a push may go. Here every row goes everywhere: history and online are made of the same rows.
const DESTINATIONS: [&str; 3] = ["online", "offline", "online_and_offline"];

/// The seconds that a client sends for an instant that is null: what pandas makes of it.
const NO_TIME: i64 = i64::MIN;

/// Microseconds in a second.
const SECOND_MICROS: i64 = 1_000_000;

/// `POST /push`: rows for a source, column by column.
#[utoipa::path(
    post,
    path = "/push",
    tag = "features",
    request_body = FeastPush,
    responses(
        (status = 200, description = "The rows are durable"),
        (status = 413, description = "The body is too large", body = FeastError),
        (status = 422, description = "A source that does not exist, a wrong request, or rows that can't be taken", body = FeastError),
        (status = 429, description = "Too much waits to be taken in: try again after a while", body = FeastError),
        (status = 503, description = "Something needed is away", body = FeastError)
    )
)]
pub(crate) async fn push(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    let pushed = match take_push(&serving, request).await {
        Ok(report) => taken(&report),
        Err(problem) => Err(problem),
    };
    match pushed {
        Ok(()) => http::respond(StatusCode::OK, ""),
        Err(Problem::Store(StoreError::Unknown { kind: "source", name, hint })) => {
            let message = format!("Unable to find push source '{name}'.{}", shown(hint.as_deref()));
            raised(StatusCode::UNPROCESSABLE_ENTITY, "PushSourceNotFoundException", &message)
        }
        Err(problem) => refused(problem, serving.project()),
    }
}

/// `POST /write-to-online-store`: rows for a view, column by column.
#[utoipa::path(
    post,
    path = "/write-to-online-store",
    tag = "features",
    request_body = FeastWrite,
    responses(
        (status = 200, description = "The rows are durable: null"),
        (status = 404, description = "A view that does not exist", body = FeastError),
        (status = 413, description = "The body is too large", body = FeastError),
        (status = 422, description = "A view that takes no rows, a wrong request, or a row that can't be taken: then none is", body = FeastError),
        (status = 429, description = "Too much waits to be taken in: try again after a while", body = FeastError),
        (status = 503, description = "Something needed is away", body = FeastError)
    )
)]
pub(crate) async fn write_to_online_store(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    let written = match take_write(&serving, request).await {
        Ok(report) => taken(&report),
        Err(problem) => Err(problem),
    };
    match written {
        Ok(()) => http::respond(StatusCode::OK, "null"),
        Err(Problem::Store(StoreError::Unknown { kind: "view", name, hint })) => {
            let project = serving.project();
            let hint = shown(hint.as_deref());
            let message = format!("Feature view {name} does not exist in project {project}{hint}");
            raised(StatusCode::NOT_FOUND, "FeastObjectNotFoundException", &message)
        }
        Err(problem) => refused(problem, serving.project()),
    }
}

async fn take_push(serving: &Arc<Serving>, request: Request) -> Result<PushReport, Problem> {
    let key = key_of(&request);
    let bytes = http::body(request).await?;
    let mut body = Body::read(&bytes)?;
    let source = body.text("push_source_name");
    let Table { columns, rows } = body.table("df");
    let to = body.text_or_none("to");
    flags(&mut body);
    if to.is_some_and(|to| !DESTINATIONS.contains(&to.as_str())) {
        body.wrong(
            "to",
            &format!("Input should be one of {}", DESTINATIONS.map(|to| format!("'{to}'")).join(", ")),
        );
    }
    body.check()?;
    let rows = (0..rows).map(|row| object_of_columns(&columns, row)).collect();
    let catalog = serving.catalog();
    let report = serving.store().admit(&catalog.catalog, &PushRequest { source, rows, key }).await?;
    served(serving, &report).await;
    Ok(report)
}

async fn take_write(serving: &Arc<Serving>, request: Request) -> Result<PushReport, Problem> {
    let key = key_of(&request);
    let bytes = http::body(request).await?;
    let mut body = Body::read(&bytes)?;
    let view = body.text("feature_view_name");
    let table = body.table("df");
    flags(&mut body);
    body.check()?;
    let compiled = serving.catalog();
    let catalog = &compiled.catalog;
    if catalog.revision == 0 {
        return Err(StoreError::NothingApplied { project: serving.project().to_owned() }.into());
    }
    let columns = serving.store().view_columns(catalog, &view).await?;
    let rows = rows_of(&columns, table)?;
    let report = serving.store().admit_to_view(catalog, &columns.view, &rows, key.as_deref()).await?;
    served(serving, &report).await;
    Ok(report)
}

/// Flags that Feast's server knows and that mean nothing here: there is no cache of the registry to go round, and what is
/// computed on demand is computed at reading.
fn flags(body: &mut Body) {
    body.flag("allow_registry_cache");
    body.flag("transform_on_write");
}

/// The rows of a write as the source of its view has them.
fn rows_of(view: &ViewColumns, table: Table) -> Result<Vec<String>, StoreError> {
    let Table { columns: mut given, rows } = table;
    let mut columns = Map::new();
    let lacking = |column: &str, given: &Map<String, Json>| {
        let message = format!("`df` lacks the column `{column}` of view `{}`", view.view);
        StoreError::Request { message, hint: name::suggestion(column, given.keys().map(String::as_str)) }
    };
    let mut features: Vec<&str> = Vec::new();
    for column in &view.columns {
        match given.remove(&column.name) {
            Some(values) => {
                columns
                    .insert(column.in_source.clone(), each(values, &|value| typed(column.value_type, value)));
            }
            None if column.key => return Err(lacking(&column.name, &given)),
            None => features.push(column.name.as_str()),
        }
    }
    // A row that was made by those who call the columns as the source does is as good.
    let mut time = |name: &str, in_source: &str| given.remove(name).or_else(|| given.remove(in_source));
    let created = view.created.as_deref().and_then(|created| Some((created, time(CREATED, created)?)));
    let event = time(EVENT, &view.event);
    given.remove(CREATED);
    match event {
        Some(values) => columns.insert(view.event.clone(), each(values, &instant)),
        None => return Err(lacking(EVENT, &given)),
    };
    if let Some((created, values)) = created {
        columns.insert(created.to_owned(), each(values, &instant));
    }
    // A feature that was added since the client was written is null. But a column too many beside one too few is a
    // misspelling, or another view.
    if let (false, Some(wrong)) = (features.is_empty(), given.keys().next()) {
        let message = format!("view `{}` has no column `{wrong}`", view.view);
        return Err(StoreError::Request { message, hint: name::suggestion(wrong, features) });
    }
    Ok((0..rows).map(|row| object_of_columns(&columns, row)).collect())
}

/// A column with each of its values changed.
fn each(values: Json, change: &dyn Fn(Json) -> Json) -> Json {
    match values {
        Json::Array(values) => values.into_iter().map(change).collect(),
        other => other,
    }
}

/// A value as its type is written in a push: a client sends instants as seconds since 1970.
fn typed(declared: ValueType, value: Json) -> Json {
    match declared {
        ValueType::Timestamp => seconds(value),
        ValueType::List(ScalarType::Timestamp) => each(value, &seconds),
        _ => value,
    }
}

fn seconds(value: Json) -> Json {
    let of_seconds = |seconds: i64| Instant::from_micros(seconds.checked_mul(SECOND_MICROS)?);
    match value.as_i64() {
        Some(NO_TIME) => Json::Null,
        given => match given.and_then(of_seconds) {
            Some(instant) => instant.to_string().into(),
            None => instant(value),
        },
    }
}

/// A time without offset is in UTC, whatever the zone of the source. What is no time is left for the source to refuse.
fn instant(value: Json) -> Json {
    match value.as_str().and_then(|text| Instant::parse(text, &Zone::utc())) {
        Some(instant) => instant.to_string().into(),
        None => value,
    }
}

/// Waits until what was taken is served: a client reads what it wrote.
async fn served(serving: &Arc<Serving>, report: &PushReport) {
    metrics::pushed(report);
    if report.accepted == 0 {
        return;
    }
    let folding = serving.clone();
    let fold = serving.workers().spawn(async move { folding.store().fold_pushed().await });
    let Some(fold) = fold else { return serving.pushed() };
    match fold.await {
        Ok(Ok(folded)) => metrics::folded(&folded),
        // It is durable, and is folded when that is possible again; whoever folds all the time says what is wrong.
        Ok(Err(_)) | Err(_) => serving.pushed(),
    }
}

/// Whether every row was taken.
fn taken(report: &PushReport) -> Result<(), Problem> {
    let Some(first) = report.reasons.first() else { return Ok(()) };
    let (rejected, all) = (report.rejected, report.rejected + report.accepted);
    let first = format!("row {} (counted from 1): {}", first.row, first.reason);
    let message = match (report.accepted, rejected) {
        (0, 1) => format!("1 row can't be taken, and none was; {first}"),
        (0, _) => format!("{rejected} rows can't be taken, and none was; {first}"),
        _ => format!("{rejected} of {all} rows can't be taken; {first}"),
    };
    Err(StoreError::Request { message, hint: None }.into())
}

fn refused(problem: Problem, project: &str) -> Response {
    match problem {
        Problem::Store(error) if error.is_full() => {
            let text = format!("{error}{}", shown(error.hint().as_deref()));
            let mut response = http::respond(StatusCode::TOO_MANY_REQUESTS, json::quoted(&text));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        problem => problem.into_response(project),
    }
}

fn shown(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!(" ({hint})"))
}
