//! `POST /v1/push`: rows that are acknowledged once they are durable, and follow into views at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::{Explain, Kind, name};
use asof_store::StoreError;
use asof_store::push::{PushReport, PushRequest};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::http::{self, BodyError};
use crate::openapi::{OnlineError, PushAnswer, PushRows};
use crate::serving::Serving;
use crate::{metrics, native};

/// The header that carries what tells a push from all others.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Every field of a request.
const FIELDS: [&str; 3] = ["source", "rows", "key"];

/// What to do about a wrong request.
const FORM: &str = "send `{\"source\": \"...\", \"rows\": [{...}, ...]}`";

/// Why a push is refused.
enum Problem {
    Body(BodyError),
    Store(StoreError),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The body. Rows stay as they are written, so that no digit of a number is lost.
#[derive(Deserialize)]
struct Native<'b> {
    source: String,
    #[serde(borrow)]
    rows: Vec<&'b RawValue>,
    key: Option<String>,
}

/// `POST /v1/push`: rows for a source. The answer says that they are durable; views follow within milliseconds.
#[utoipa::path(
    post,
    path = "/v1/push",
    tag = "features",
    request_body = PushRows,
    responses(
        (status = 200, description = "The rows are durable", body = PushAnswer),
        (status = 404, description = "A source that does not exist", body = OnlineError),
        (status = 409, description = "The key was used for other rows", body = OnlineError),
        (status = 413, description = "The body is too large", body = OnlineError),
        (status = 422, description = "A wrong request, or no row that can be taken", body = OnlineError),
        (status = 429, description = "Too much waits to be taken in: try again after a while", body = OnlineError),
        (status = 503, description = "Something needed is away", body = OnlineError)
    )
)]
pub(crate) async fn push(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    match take(&serving, request).await {
        Ok(report) => {
            let status = match report.accepted {
                0 if report.rejected > 0 => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::OK,
            };
            let mut response = http::respond(status, answer(&report));
            http::note_rows(&mut response, report.accepted as usize);
            response
        }
        Err(problem) => refused(problem),
    }
}

async fn take(serving: &Arc<Serving>, request: Request) -> Result<PushReport, Problem> {
    let key = key_of(&request);
    let body = http::body(request).await?;
    let mut asked = read(&body)?;
    asked.key = asked.key.or(key);
    Ok(admit(serving, &asked).await?)
}

/// What tells a push from all others, by its header.
pub(crate) fn key_of(request: &Request) -> Option<String> {
    request.headers().get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).map(str::to_owned)
}

/// Takes a push: answers once its rows are durable.
///
/// # Errors
/// As [`asof_store::Store::admit`].
pub(crate) async fn admit(serving: &Serving, asked: &PushRequest) -> Result<PushReport, StoreError> {
    let catalog = serving.catalog();
    let report = serving.store().admit(&catalog.catalog, asked).await?;
    metrics::pushed(&report);
    serving.pushed();
    Ok(report)
}

fn wrong(message: String) -> StoreError {
    StoreError::Request { message, hint: Some(FORM.to_owned()) }
}

fn read(body: &[u8]) -> Result<PushRequest, StoreError> {
    // Rows are not taken apart here.
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("the body is not a JSON object: {error}")))?;
    if let Some(unknown) = all.keys().find(|field| !FIELDS.contains(&field.as_ref())) {
        let message = format!("the request has no field `{unknown}`");
        return Err(StoreError::Request { message, hint: name::suggestion(unknown, FIELDS) });
    }
    let Native { source, rows, key } =
        serde_json::from_slice(body).map_err(|error| wrong(format!("the request can't be read: {error}")))?;
    let rows = rows.iter().map(|row| row.get().to_owned()).collect();
    Ok(PushRequest { source, rows, key })
}

fn answer(report: &PushReport) -> String {
    let PushReport { source, accepted, rejected, reasons, positions, repeat, exactly_once, views } = report;
    json!({
        "source": source,
        "accepted": accepted,
        "rejected": rejected,
        "reasons": reasons,
        "positions": positions,
        "repeat": repeat,
        "delivery": if *exactly_once { "exactly once" } else { "at least once" },
        "views": views,
    })
    .to_string()
}

fn refused(problem: Problem) -> Response {
    let error = match problem {
        Problem::Body(error) => {
            return native::refusal(error.status(), Kind::Invalid, &error.to_string(), Some(error.hint()));
        }
        Problem::Store(error) => error,
    };
    let full = error.is_full();
    let status = if full { StatusCode::TOO_MANY_REQUESTS } else { http::status(error.kind()) };
    if status.is_server_error() {
        http::log_failure(&error);
    }
    let mut response = native::refusal(status, error.kind(), &error.to_string(), error.hint().as_deref());
    if full {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
