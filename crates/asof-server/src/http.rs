//! Routes, and the bounds that hold for all of them.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use asof_model::{Explain, Kind};
use asof_store::Store;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::encoding::{self, Encoding, Unpack};
use crate::load::Load;
use crate::serving::Serving;
use crate::{ServerError, feast, grpc, json, metrics, native, openapi, push, ready};

/// The largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 10_000_000;

/// How long a client may take to send a body.
pub const BODY_WAIT: Duration = Duration::from_secs(30);

/// The most characters of a path that a log line repeats.
const LOGGED_PATH_CHARS_MAX: usize = 80;

/// The longest id of a request that is given back, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// The header with the milliseconds that a request may take, from its head on.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("asof-timeout-ms");

/// The same header of gRPC.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The longest time that [`TIMEOUT`] may name, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// The header with a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route, for counting: what is asked elsewhere counts as `other`.
const ROUTES: [&str; 14] = [
    "/get-online-features",
    "/v1/online-features",
    "/v1/push",
    "/push",
    "/write-to-online-store",
    "/materialize",
    "/materialize-incremental",
    "/asof.v1.FeatureStore/GetOnlineFeatures",
    "/asof.v1.FeatureStore/Push",
    "/feast.serving.ServingService/GetOnlineFeatures",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
];

/// The number of entity rows of an answer, for the log.
#[derive(Debug, Clone, Copy)]
struct Rows(usize);

/// Notes how many entity rows were answered, where the log will say so.
pub(crate) fn note_rows(response: &mut Response, rows: usize) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        response.extensions_mut().insert(Rows(rows));
    }
}

/// A body that was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("the body has more than {BODY_BYTES_MAX} bytes, which is the most that is read")]
    TooLarge,
    /// Not complete within [`BODY_WAIT`].
    #[error("the body did not arrive within {} seconds", BODY_WAIT.as_secs())]
    TooSlow,
    /// The client broke it off, or sent something that is not HTTP.
    #[error("the body broke off")]
    Broken,
    /// Packed in a way that is not known.
    #[error("the body has a `content-encoding` that is not known")]
    Encoding,
    /// Not packed as its header says.
    #[error("the body is not what its `content-encoding` says")]
    NotPacked,
}

impl BodyError {
    /// The HTTP status of it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::NotPacked => StatusCode::BAD_REQUEST,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// What the client can do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::TooLarge => "cut the request into several",
            Self::TooSlow | Self::Broken => "send it again",
            Self::Encoding | Self::NotPacked => "send it as it is, or packed by gzip or zstd",
        }
    }
}

/// The routes over a store, for a server or a test. The online store is opened and held from here on; the registry
/// is read once and not followed, which [`crate::Server::run`] does.
///
/// # Errors
/// [`ServerError::Store`] where registry or online store can't be opened.
pub async fn router(store: Arc<Store>) -> Result<Router, ServerError> {
    Ok(routes(Arc::new(Serving::open(store).await?), Load::new()))
}

/// The routes over an open state.
pub(crate) fn routes(serving: Arc<Serving>, load: Load) -> Router {
    let grpc = grpc::routes(&serving).with_state(());
    Router::new()
        .route("/get-online-features", post(feast::get_online_features))
        .route("/v1/online-features", post(native::online_features))
        .route("/v1/push", post(push::push))
        .route("/push", post(feast::write::push))
        .route("/write-to-online-store", post(feast::write::write_to_online_store))
        .merge(feast::materialize::routes(serving.clone()))
        .merge(grpc)
        .route_layer(middleware::from_fn_with_state(load, bounded_route))
        .route("/health", get(ready::health))
        .route("/ready", get(ready::ready))
        .route("/metrics", get(exported))
        .route("/openapi.json", get(openapi::document))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(observed_route))
        .with_state(serving)
}

/// Reads a whole body, and unpacks it.
pub(crate) async fn body(request: Request) -> Result<Bytes, BodyError> {
    let encoding = Encoding::of_body(request.headers()).ok_or(BodyError::Encoding)?;
    let body = received(request).await?;
    match encoding {
        Encoding::Plain => Ok(body),
        packed => match packed.unpack(&body, BODY_BYTES_MAX) {
            Ok(body) => Ok(body.into()),
            Err(Unpack::TooLarge) => Err(BodyError::TooLarge),
            Err(Unpack::Broken) => Err(BodyError::NotPacked),
        },
    }
}

async fn received(request: Request) -> Result<Bytes, BodyError> {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > BODY_BYTES_MAX as u64) {
        return Err(BodyError::TooLarge);
    }
    let read = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX);
    match tokio::time::timeout(BODY_WAIT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// A JSON answer.
pub(crate) fn respond(status: StatusCode, body: impl Into<Body>) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body.into()).into_response()
}

/// The HTTP status of a class of errors.
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Corrupt => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Logs a failure that is ours, with its chain of causes. What a client did wrong is only answered.
pub(crate) fn log_failure(error: &asof_store::StoreError) {
    if status(error.kind()).is_server_error() {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        tracing::error!(%error, causes = causes.join(": "), hint = error.hint(), "a request failed");
    }
}

/// `GET /metrics`: the metrics of this process, as Prometheus reads them.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, description = "Metrics in Prometheus' text form", body = String, content_type = "text/plain"))
)]
pub(crate) async fn exported(State(serving): State<Arc<Serving>>) -> Response {
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    match serving.metrics() {
        Some(text) => (StatusCode::OK, [(header::CONTENT_TYPE, form)], text).into_response(),
        None => detail(StatusCode::NOT_FOUND, "the process records its metrics elsewhere"),
    }
}

async fn unknown_route(request: Request) -> Response {
    let path = shown_path(&request);
    if !is_native(&path) {
        return detail(StatusCode::NOT_FOUND, "Not Found");
    }
    let hint = "docs/http.md and `GET /openapi.json` list the routes";
    native::refusal(StatusCode::NOT_FOUND, Kind::NotFound, &format!("there is no route `{path}`"), Some(hint))
}

async fn unknown_method(request: Request) -> Response {
    let path = shown_path(&request);
    if !is_native(&path) {
        return detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let message = format!("`{path}` does not take `{}`", request.method());
    native::refusal(StatusCode::METHOD_NOT_ALLOWED, Kind::Invalid, &message, Some("use POST"))
}

/// Whether errors of a path come in our own shape.
fn is_native(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// The path of a request, as far as an answer or a log line repeats it.
fn shown_path(request: &Request) -> String {
    request.uri().path().chars().take(LOGGED_PATH_CHARS_MAX).collect()
}

/// That the server has no time now, in the shape of the path asked.
pub(crate) fn busy(path: &str) -> Response {
    const MESSAGE: &str = "the server is busy";
    const HINT: &str = "try again in a second";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = refused(path, status, Kind::Unavailable, MESSAGE, Some(HINT));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Whether reading failed on the length or on the connection: the limit is the only source that says so.
fn broken(error: &axum::Error) -> BodyError {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        if cause.to_string() == "length limit exceeded" {
            return BodyError::TooLarge;
        }
        next = cause.source();
    }
    BodyError::Broken
}

fn detail(status: StatusCode, text: &str) -> Response {
    respond(status, format!("{{\"detail\":{}}}", json::quoted(text)))
}

async fn bounded_route(State(load): State<Load>, request: Request, next: Next) -> Response {
    // Where it is answered on another thread than those that the routes know, that one's load counts.
    let load = request.extensions().get::<Load>().cloned().unwrap_or(load);
    bounded(&load, request, |request| next.run(request)).await
}

async fn observed_route(request: Request, next: Next) -> Response {
    observed(request, |request| next.run(request)).await
}

/// Turns away what there is no time for, and ends what takes longer than its client waits. Long answers are packed as the
/// client takes them.
pub(crate) async fn bounded(
    load: &Load,
    request: Request,
    run: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Some(_place) = load.place() else { return busy(request.uri().path()) };
    let encoding = Encoding::taken(request.headers());
    let wait = request.headers().get(TIMEOUT).map(timeout);
    let response = match wait.or_else(|| request.headers().get(GRPC_TIMEOUT).map(grpc_timeout)) {
        None => run(request).await,
        Some(None) => {
            let message =
                format!("the header `{TIMEOUT}` is no number of milliseconds from 1 to {TIMEOUT_MS_MAX}");
            return refused(
                request.uri().path(),
                StatusCode::UNPROCESSABLE_ENTITY,
                Kind::Invalid,
                &message,
                None,
            );
        }
        Some(Some(wait)) => {
            let path = shown_path(&request);
            match tokio::time::timeout(wait, run(request)).await {
                Ok(response) => response,
                Err(_) => {
                    let message = format!("the answer was not there within {} ms", wait.as_millis());
                    let hint = format!("allow more in the header `{TIMEOUT}`, or ask for less");
                    let status = StatusCode::GATEWAY_TIMEOUT;
                    return refused(&path, status, Kind::Unavailable, &message, Some(&hint));
                }
            }
        }
    };
    match encoding {
        Encoding::Plain => response,
        encoding => encoding::pack(encoding, response).await,
    }
}

/// The time that a gRPC client allows a call: up to eight digits and a unit.
fn grpc_timeout(header: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = header.to_str().ok()?.split_at_checked(header.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount.checked_mul(3_600)?),
        "M" => Duration::from_secs(amount.checked_mul(60)?),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

fn timeout(header: &HeaderValue) -> Option<Duration> {
    let wait = header.to_str().ok()?.trim().parse().ok()?;
    (1..=TIMEOUT_MS_MAX).contains(&wait).then(|| Duration::from_millis(wait))
}

/// An error in the shape of the path asked.
fn refused(path: &str, status: StatusCode, kind: Kind, message: &str, hint: Option<&str>) -> Response {
    if grpc::is_route(path) {
        let code = match status {
            StatusCode::GATEWAY_TIMEOUT => tonic::Code::DeadlineExceeded,
            StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
            _ => tonic::Code::InvalidArgument,
        };
        return tonic::Status::new(code, message).into_http();
    }
    match (is_native(path), hint) {
        (true, hint) => native::refusal(status, kind, message, hint),
        (false, Some(hint)) => respond(status, json::quoted(&format!("{message}; {hint}"))),
        (false, None) => respond(status, json::quoted(message)),
    }
}

/// One line and one count per request. Times are measured from the head of the request to the head of the answer. An
/// id that the client gives its request comes back with the answer.
pub(crate) async fn observed(request: Request, run: impl AsyncFnOnce(Request) -> Response) -> Response {
    static COUNTED: LazyLock<Vec<metrics::Requests>> =
        LazyLock::new(|| ROUTES.into_iter().chain(["other"]).map(metrics::Requests::new).collect());
    let started = Instant::now();
    let path = request.uri().path();
    let route = ROUTES.iter().position(|route| *route == path).unwrap_or(ROUTES.len());
    let shown =
        tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), shown_path(&request)));
    let id = request.headers().get(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_BYTES_MAX).cloned();
    let mut response = run(request).await;
    let took = started.elapsed();
    let status = response.status().as_u16();
    COUNTED[route].count(status, took.as_secs_f64());
    if let Some((method, path)) = shown {
        let rows = response.extensions().get::<Rows>().map_or(0, |rows| rows.0);
        let id = id.as_ref().and_then(|id| id.to_str().ok());
        tracing::debug!(%method, path, status, rows, duration_us = took.as_micros() as u64, id, "request");
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
