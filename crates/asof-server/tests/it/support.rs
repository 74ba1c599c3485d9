//! A small project with data, applied and materialised, and a way to ask its routes.

use std::path::Path;
use std::sync::Arc;

use asof_model::{Instant, Zone};
use asof_server::router;
use asof_store::materialize::MaterializeRequest;
use asof_store::{NoProgress, Project, Store};
use asof_testkit::clock::SteppedClock;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use tempfile::TempDir;
use tower::ServiceExt;

const SETTINGS: &str = "project = \"demo\"\n[online]\ncache = \"16MB\"\n";

const DEFINITIONS: &str = "
entities:
  sensor: { keys: { sensor_id: int64 } }
  place: { keys: { place: string } }
  odd: { keys: { at: timestamp, flag: bool, raw: bytes } }

sources:
  readings: { path: data/readings.csv, event: event_timestamp }
  recent_readings: { path: data/recent.csv, event: event_timestamp }
  place_table: { path: data/places.csv, event: event_timestamp }
  rate_table: { path: data/rates.csv, event: event_timestamp }
  odd_rows: { path: data/odd.csv, event: event_timestamp }

feature_views:
  every_type:
    entities: [sensor]
    source: readings
    features: { i32: int32, i64: int64, f32: float32, f64: float64, words: string, yes: bool, code: bytes, seen: timestamp, day: date }
  recent:
    entities: [sensor]
    source: recent_readings
    ttl: 1h
    features:
      temperature: { type: float64, default: -1.5 }
      level: int64
  place_facts:
    entities: [place]
    source: place_table
    features: { size: int64 }
  rates:
    source: rate_table
    features: { rate: float64 }
  odd_facts:
    entities: [odd]
    source: odd_rows
    features: { fact: int64 }
  old_facts:
    entities: [sensor]
    source: readings
    sunset: 2026-01-01T13:00:00Z
    features: { i64: int64 }
  never_loaded:
    entities: [sensor]
    source: recent_readings
    features: { level: int64 }

feature_services:
  sensor_model:
    features:
      - recent: [level, temperature]
      - every_type: [i64]
  trip_model:
    features:
      - place_facts: [size]
        as: origin
        keys: { place: from_place }
      - place_facts: [size]
        as: destination
        keys: { place: to_place }
";

const FILES: [(&str, &str); 5] = [
    (
        "readings.csv",
        "sensor_id,event_timestamp,i32,i64,f32,f64,words,yes,code,seen,day\n\
         1,2026-01-01T10:00:00Z,-5,9007199254740993,0.1,1,\"say \"\"hi\"\" é\",true,aGk=,2025-12-31T23:59:59.5Z,2025-02-28\n\
         2,2026-01-01T10:00:00.000001Z,,,,,,,,,\n\
         3,2026-01-01T10:00:00.250Z,many,1e3,nan,-inf,,maybe,?,then,2025-02-30\n",
    ),
    (
        "recent.csv",
        "sensor_id,event_timestamp,temperature,level\n\
         1,2026-01-01T11:45:00Z,21.5,3\n\
         2,2026-01-01T10:00:00Z,19,4\n\
         3,2026-01-01T11:50:00Z,,\n\
         4,2026-01-01T11:55:00Z,hot,high\n",
    ),
    ("places.csv", "place,event_timestamp,size\nBern,2026-01-01T10:00:00Z,7\nParis,2026-01-01T10:00:00Z,9\n"),
    ("rates.csv", "event_timestamp,rate\n2026-01-01T10:00:00Z,0.25\n"),
    ("odd.csv", "at,flag,raw,event_timestamp,fact\n2025-06-01T00:00:00Z,true,aGk=,2026-01-01T10:00:00Z,42\n"),
];

/// A project that was loaded at 12:00 and is asked at 12:30 on the first day of 2026.
pub struct World {
    pub clock: Arc<SteppedClock>,
    pub router: Router,
    /// Removed at the end.
    _dir: TempDir,
}

pub fn at(text: &str) -> Instant {
    Instant::parse(text, &Zone::utc()).unwrap()
}

impl World {
    pub async fn new() -> Self {
        let (dir, clock, store) = Self::stored().await;
        Self::over(dir, clock, store).await
    }

    /// A project as it is.
    pub async fn over(dir: TempDir, clock: Arc<SteppedClock>, store: Arc<Store>) -> Self {
        let router = router(store).await.unwrap();
        Self { clock, router, _dir: dir }
    }

    /// The project alone, without routes.
    pub async fn stored() -> (TempDir, Arc<SteppedClock>, Arc<Store>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("asof.toml"), SETTINGS).unwrap();
        std::fs::write(dir.path().join("features.yaml"), DEFINITIONS).unwrap();
        for (name, text) in FILES {
            std::fs::write(dir.path().join("data").join(name), text).unwrap();
        }
        let clock = Arc::new(SteppedClock::at(at("2026-01-01T12:00:00Z")));
        let store = open(dir.path(), clock.clone());
        store.apply(&[], "tester").await.unwrap();
        let views = ["every_type", "recent", "place_facts", "rates", "odd_facts", "old_facts"];
        let request = MaterializeRequest { views: views.map(str::to_owned).to_vec(), ..Default::default() };
        assert_eq!(store.materialize(&request, &NoProgress).await.unwrap().failures, []);
        clock.set(at("2026-01-01T12:30:00Z"));
        (dir, clock, store)
    }

    /// Posts a body; answers the status and the body as text.
    pub async fn post(&self, path: &str, body: &str) -> String {
        let response = self.send(Request::post(path).body(Body::from(body.to_owned())).unwrap()).await;
        text(response).await
    }

    /// Asks in Feast's shape.
    pub async fn feast(&self, body: &str) -> String {
        self.post("/get-online-features", body).await
    }

    /// Asks in our own shape.
    pub async fn native(&self, body: &str) -> String {
        self.post("/v1/online-features", body).await
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }
}

pub fn open(folder: &Path, clock: Arc<SteppedClock>) -> Arc<Store> {
    Arc::new(Store::new(Project::open(folder).unwrap(), clock, "a test"))
}

/// Status, then body.
pub async fn text(response: Response<Body>) -> String {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
}

/// An answer of Feast's shape, one line per column: easier to read than one long line. Everything of it is kept.
pub fn columns(answer: &str) -> String {
    answer.replace("},{\"values\"", "},\n{\"values\"").replace("],\"metadata\"", "],\n\"metadata\"")
}
