//! `POST /materialize` and `POST /materialize-incremental`: a load that a Feast client asks for, done in this process.
//!
//! The work belongs to the server once it has begun: a client that goes away does not end it, and a server that is told to
//! stop ends it between two steps; asked for again it goes on from there. A view is loaded by one of these requests at a
//! time, further ones for it are answered 409. Loads of different views wait for each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asof_model::plan::Catalog;
use asof_model::{Duration, Explain, Instant, Kind, Zone};
use asof_store::materialize::{MaterializeReport, MaterializeRequest, Mode};
use asof_store::{Progress, StoreError};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use super::fields::Body;
use super::problem::Problem;
use super::request::detail;
use crate::beside::verb::Verb;
use crate::openapi::{FeastAccepted, FeastConflict, FeastError, FeastIncremental, FeastMaterialize};
use crate::serving::Serving;
use crate::{http, json, metrics};

/// Loads that these routes work for at a time, those that wait for their turn among them. Further ones are refused and may be
/// asked for again.
pub(crate) const LOADS_MAX: usize = 16;

/// What the routes share.
pub(crate) struct Loads {
    serving: Arc<Serving>,
    /// The names of the views of each load that goes on, by its number.
    running: Arc<Mutex<Running>>,
}

/// The loads that go on.
#[derive(Default)]
struct Running {
    next: u64,
    loads: Vec<(u64, BTreeSet<String>)>,
}

/// The place of one load among those that go on. It ends with it.
struct Place {
    running: Arc<Mutex<Running>>,
    number: u64,
}

/// A load as it was asked for.
struct Asked {
    /// The views by name, as the request writes them or all.
    views: Vec<String>,
    request: MaterializeRequest,
}

/// Why there is no load.
enum Refusal {
    Problem(Problem),
    /// These views are loaded now.
    Conflict(Vec<String>),
    /// A view that does not come through: its error.
    Failed(Kind, String),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

/// The routes, for a server's own.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(serving: Arc<Serving>) -> Router<S> {
    Router::new()
        .route("/materialize", post(materialize))
        .route("/materialize-incremental", post(materialize_incremental))
        .with_state(Arc::new(Loads { serving, running: Arc::default() }))
}

/// `POST /materialize`: rows of views with events from `start_ts` to `end_ts`, both included.
#[utoipa::path(
    post,
    path = "/materialize",
    tag = "features",
    params(
        ("async" = Option<bool>, Query, description = "Whether to answer when the load has begun"),
        ("force" = Option<bool>, Query, description = "Whether to wait for a load of the same view instead of being refused")
    ),
    request_body = FeastMaterialize,
    responses(
        (status = 200, description = "The rows are loaded: null"),
        (status = 202, description = "The load has begun", body = FeastAccepted),
        (status = 404, description = "A view that does not exist", body = FeastError),
        (status = 409, description = "A view is being loaded", body = FeastConflict),
        (status = 422, description = "A wrong request, or a view that can't be loaded", body = FeastError),
        (status = 503, description = "Something needed is away, or too busy", body = FeastError)
    )
)]
pub(crate) async fn materialize(State(loads): State<Arc<Loads>>, request: Request) -> Response {
    answer(&loads, request, read_range).await
}

/// `POST /materialize-incremental`: rows of views that came since the last load, with events up to `end_ts`.
#[utoipa::path(
    post,
    path = "/materialize-incremental",
    tag = "features",
    params(
        ("async" = Option<bool>, Query, description = "Whether to answer when the load has begun"),
        ("force" = Option<bool>, Query, description = "Whether to wait for a load of the same view instead of being refused")
    ),
    request_body = FeastIncremental,
    responses(
        (status = 200, description = "The rows are loaded: null"),
        (status = 202, description = "The load has begun", body = FeastAccepted),
        (status = 404, description = "A view that does not exist", body = FeastError),
        (status = 409, description = "A view is being loaded", body = FeastConflict),
        (status = 422, description = "A wrong request, or a view that can't be loaded", body = FeastError),
        (status = 503, description = "Something needed is away, or too busy", body = FeastError)
    )
)]
pub(crate) async fn materialize_incremental(State(loads): State<Arc<Loads>>, request: Request) -> Response {
    answer(&loads, request, read_incremental).await
}

async fn answer(
    loads: &Arc<Loads>,
    request: Request,
    read: fn(&mut Body, Instant) -> MaterializeRequest,
) -> Response {
    let serving = &loads.serving;
    match load(loads, request, read).await {
        Ok(None) => http::respond(StatusCode::OK, "null"),
        Ok(Some(views)) => {
            let body = json!({ "status": "accepted", "feature_views": views });
            http::respond(StatusCode::ACCEPTED, body.to_string())
        }
        Err(Refusal::Problem(problem)) => problem.into_response(serving.project()),
        Err(Refusal::Conflict(views)) => {
            let error = format!(
                "Cannot start materialization: the following feature views are being materialized already: {}. Use \
                 ?force=true to wait for them.",
                views.join(", ")
            );
            let body = json!({ "error": error, "feature_views": views });
            http::respond(StatusCode::CONFLICT, body.to_string())
        }
        Err(Refusal::Failed(kind, message)) => {
            let status = match kind {
                // Nothing that it needs comes by asking again.
                Kind::Conflict | Kind::NotFound => StatusCode::UNPROCESSABLE_ENTITY,
                kind => http::status(kind),
            };
            http::respond(status, json::quoted(&message))
        }
    }
}

/// Loads, and waits for it; or says which views it has begun to load.
async fn load(
    loads: &Arc<Loads>,
    request: Request,
    read: fn(&mut Body, Instant) -> MaterializeRequest,
) -> Result<Option<Vec<String>>, Refusal> {
    let serving = &loads.serving;
    let (detached, force) = (query_flag(request.uri(), "async")?, query_flag(request.uri(), "force")?);
    let bytes = http::body(request).await?;
    let Asked { views, request } = asked(serving, &bytes, read)?;
    let place = loads.place(&views, force)?;
    let progress = UntilStopped(serving.stopping().clone());
    let working = serving.clone();
    let work = serving.workers().spawn(async move {
        let _place = place;
        let outcome = request.run(working.store(), &progress).await;
        let done = matches!(&outcome, Ok(report) if report.failures.is_empty());
        metrics::command(MaterializeRequest::NAME, done);
        working.look().await;
        let outcome = outcome.map(|report| failure(&report));
        match &outcome {
            Ok(None) => {}
            Ok(Some((_, message))) => tracing::warn!(message, "a load that a client asked for failed"),
            Err(error) => {
                tracing::warn!(%error, hint = error.hint(), "a load that a client asked for failed");
            }
        }
        outcome
    });
    let Some(work) = work else { return Err(Refusal::Problem(Problem::Busy)) };
    if detached {
        return Ok(Some(views));
    }
    match work.await {
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some((kind, message)))) => Err(Refusal::Failed(kind, message)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            Err(Refusal::Failed(Kind::Corrupt, "the server failed at it; look into its log".to_owned()))
        }
    }
}

/// The first view that did not come through, in words.
fn failure(report: &MaterializeReport) -> Option<(Kind, String)> {
    let first = report.failures.first()?;
    let hint = first.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    let message = format!("view `{}` was not materialized: {}{hint}", first.view, first.message);
    Some((first.kind, message))
}

fn asked(
    serving: &Serving,
    bytes: &[u8],
    read: fn(&mut Body, Instant) -> MaterializeRequest,
) -> Result<Asked, Refusal> {
    let mut body = Body::read(bytes)?;
    let mut names = body.texts("feature_views");
    body.flag("full_feature_names");
    if let Some(version) = body.text_or_none("version") {
        match (names.as_deref(), version.trim_start_matches('v').parse::<u32>()) {
            (Some([name]), Ok(version)) => names = Some(vec![format!("{name}@{version}")]),
            _ => body.wrong("version", "A version like 'v2' goes with exactly one feature view"),
        }
    }
    let mut request = read(&mut body, serving.store().now());
    body.check()?;
    let compiled = serving.catalog();
    let catalog = &compiled.catalog;
    if catalog.revision == 0 {
        return Err(StoreError::NothingApplied { project: serving.project().to_owned() }.into());
    }
    let views = match names {
        Some(names) => known(catalog, names)?,
        None => all(catalog),
    };
    request.views = views.clone();
    Ok(Asked { views, request })
}

/// Views by name, each of which exists.
fn known(catalog: &Catalog, names: Vec<String>) -> Result<Vec<String>, StoreError> {
    for name in &names {
        asof_store::materialize::selected(catalog, std::slice::from_ref(name))?;
    }
    if names.is_empty() {
        // An empty list means no view here, and all of them to the verb.
        return Err(StoreError::Request {
            message: "`feature_views` is empty".to_owned(),
            hint: Some("leave it out to load every view".to_owned()),
        });
    }
    Ok(names)
}

/// Every view that can be loaded, each name once.
fn all(catalog: &Catalog) -> Vec<String> {
    let loaded = catalog.definitions.views.values().filter(|view| !view.in_place);
    loaded.map(|view| view.id.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn read_range(body: &mut Body, _: Instant) -> MaterializeRequest {
    if body.flag("disable_event_timestamp") {
        // All that there is, each row at its own event time.
        return MaterializeRequest::default();
    }
    let (start, end) = (time(body, "start_ts"), time(body, "end_ts"));
    let end = end.map(after);
    if let (Some(start), Some(end)) = (start, end)
        && start >= end
    {
        body.wrong("start_ts", "start_ts must be before end_ts");
    }
    MaterializeRequest { start, end, ..Default::default() }
}

fn read_incremental(body: &mut Body, now: Instant) -> MaterializeRequest {
    match time(body, "end_ts") {
        // To the end of what is known: only files that are new or have changed are read.
        Some(end) if end >= now => MaterializeRequest { mode: Mode::SinceLast, ..Default::default() },
        end => MaterializeRequest { end: end.map(after), ..Default::default() },
    }
}

/// A range ends before its end, and a client's ends with it.
fn after(end: Instant) -> Instant {
    end.plus(Duration::from_micros(1))
}

/// A time that must be there; without offset it is UTC.
fn time(body: &mut Body, field: &str) -> Option<Instant> {
    let text = body.text(field);
    if text.is_empty() {
        return None;
    }
    let read = Instant::parse(&text, &Zone::utc());
    if read.is_none() {
        body.wrong(field, "Input should be a time like 2026-01-31T12:00:00Z");
    }
    read
}

/// A flag of the query; false where it is not there.
fn query_flag(uri: &Uri, name: &str) -> Result<bool, Problem> {
    let given = uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = given.into_iter().find(|(given, _)| *given == name) else { return Ok(false) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => {
            let mut wrong =
                detail("bool_parsing", &[], "Input should be a valid boolean", &Json::from(value));
            wrong["loc"] = json!(["query", name]);
            Err(Problem::Details(vec![wrong]))
        }
    }
}

impl Loads {
    /// A place for a load of these views.
    fn place(&self, views: &[String], force: bool) -> Result<Place, Refusal> {
        let bare = |name: &String| name.split('@').next().unwrap_or(name).to_owned();
        let wanted: BTreeSet<String> = views.iter().map(bare).collect();
        let mut running = self.running.lock();
        let loaded: BTreeSet<&String> = running.loads.iter().flat_map(|(_, views)| views).collect();
        let conflicts: Vec<String> = wanted.iter().filter(|view| loaded.contains(view)).cloned().collect();
        if !conflicts.is_empty() && !force {
            return Err(Refusal::Conflict(conflicts));
        }
        if running.loads.len() >= LOADS_MAX {
            return Err(Refusal::Problem(Problem::Busy));
        }
        let number = running.next;
        running.next += 1;
        running.loads.push((number, wanted));
        Ok(Place { running: self.running.clone(), number })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.lock().loads.retain(|(number, _)| *number != self.number);
    }
}

/// Work that is wanted until the server is told to stop.
struct UntilStopped(Arc<AtomicBool>);

impl Progress for UntilStopped {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}

    fn advance(&self, _: &str, _: u64) {}

    fn finish(&self, _: &str, _: &str) {}

    fn wanted(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use asof_store::{Project, Store, SystemClock};
    use axum::body::Body;

    use super::*;

    async fn loads(folder: &std::path::Path) -> Arc<Loads> {
        let definitions = "
entities: { a: { keys: { id: int64 } } }
sources: { rows: { push: { id: int64, n: int64 }, event: at } }
feature_views: { one: { entities: a, source: rows, features: { n: int64 } }, two: { entities: a, source: rows, features: { n: int64 } } }
";
        std::fs::write(folder.join("asof.toml"), "").unwrap();
        std::fs::write(folder.join("features.yaml"), definitions).unwrap();
        let store = Store::new(Project::open(folder).unwrap(), Arc::new(SystemClock), "a test");
        store.apply(&[], "tester").await.unwrap();
        let serving = Arc::new(Serving::open(Arc::new(store)).await.unwrap());
        Arc::new(Loads { serving, running: Arc::default() })
    }

    async fn ask(loads: &Arc<Loads>, query: &str, views: &str) -> String {
        let body = format!(r#"{{"end_ts":"2026-01-01","feature_views":{views}}}"#);
        let request =
            Request::post(format!("/materialize-incremental{query}")).body(Body::from(body)).unwrap();
        let response = materialize_incremental(State(loads.clone()), request).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
    }

    /// Goal: a view is loaded once at a time unless that is forced, whatever version is named; others are not held up, loads
    /// are bounded, and a place is free again when its load has ended.
    #[tokio::test]
    async fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let loads = loads(dir.path()).await;
        let Ok(held) = loads.place(&["one".to_owned()], false) else { panic!("there is no load yet") };
        let conflict = ask(&loads, "?async=true", r#"["two","one@1"]"#).await;
        assert!(conflict.starts_with("409 {\"error\":\"Cannot start materialization"), "{conflict}");
        assert!(conflict.ends_with("\"feature_views\":[\"one\"]}"), "{conflict}");
        assert_eq!(ask(&loads, "", r#"["one"]"#).await.get(..3), Some("409"));
        assert_eq!(ask(&loads, "", r#"["two"]"#).await, "200 null");
        assert_eq!(ask(&loads, "?force=true", r#"["one"]"#).await, "200 null");
        let others: Vec<Place> = (1..LOADS_MAX).filter_map(|_| loads.place(&[], false).ok()).collect();
        assert_eq!(ask(&loads, "", r#"["two"]"#).await.get(..3), Some("503"));
        drop((held, others));
        assert_eq!(ask(&loads, "", r#"["one"]"#).await, "200 null");
        assert!(loads.running.lock().loads.is_empty());
    }
}
