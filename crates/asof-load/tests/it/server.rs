//! A server within the test, that notes what it is asked and answers as it is told to.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asof_load::{
    Asked, Entities, KeySpec, Keys, LoadPlan, LoadReport, Mode, Popularity, Shape, TIMEOUT_DEFAULT, Target,
    What, run,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::runtime::Runtime;

/// What a server says to its `n`-th request, from 0.
pub(crate) type Answering = dyn Fn(u64) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync;

/// A server; it ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    _runtime: Runtime,
}

struct Inside {
    next: AtomicU64,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    answering: Box<Answering>,
}

impl Server {
    /// Answers the `n`-th request after the time, with the status and the body that `answer` says.
    pub(crate) fn new(answer: impl Fn(u64) -> (Duration, u16, String) + Send + Sync + 'static) -> Self {
        Self::with(Box::new(move |n| {
            let (time, status, body) = answer(n);
            Box::pin(async move {
                tokio::time::sleep(time).await;
                (StatusCode::from_u16(status).unwrap(), body).into_response()
            })
        }))
    }

    fn with(answering: Box<Answering>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let inside = Arc::new(Inside { next: AtomicU64::new(0), asked: asked.clone(), answering });
        let router = Router::new().fallback(handle).with_state(inside);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, _runtime: runtime }
    }

    /// What was asked so far: routes and bodies, in order.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn handle(State(inside): State<Arc<Inside>>, uri: Uri, body: Bytes) -> Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    inside.asked.lock().unwrap().push((uri.path().to_owned(), text));
    (inside.answering)(inside.next.fetch_add(1, Ordering::Relaxed)).await
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A closed run of one connection, without a warm-up.
pub(crate) fn plan(address: SocketAddr) -> LoadPlan {
    LoadPlan {
        targets: vec![Target::parse(&format!("http://{address}")).unwrap()],
        shape: Shape::Native,
        headers: vec![],
        asked: vec![Asked { what: What::Service("churn".to_owned()), weight: 1 }],
        entities: vec![Entities { rows: 1, weight: 1 }],
        keys: Keys::new(vec![KeySpec::parse("id", "int:0..1000").unwrap()], None).unwrap(),
        popularity: Popularity::Uniform,
        connections: 1,
        threads: 1,
        mode: Mode::Closed,
        wait: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: ms(300),
        timeout: TIMEOUT_DEFAULT,
        seed: 1,
    }
}

/// Runs to the end, and checks what holds of every report.
pub(crate) fn report(plan: &LoadPlan) -> LoadReport {
    let report = run(plan, &mut |_| true).unwrap();
    assert!(report.complete);
    let of_kinds = |what: fn(&asof_load::Measured) -> u64| {
        report.mix.iter().map(|kind| what(&kind.measured)).sum::<u64>()
    };
    for (all, sum) in [
        (report.all.requests, of_kinds(|each| each.requests)),
        (report.all.answers, of_kinds(|each| each.answers)),
        (report.all.bytes_received, of_kinds(|each| each.bytes_received)),
    ] {
        assert_eq!(all, sum);
    }
    for each in report.mix.iter().map(|kind| &kind.measured).chain([&report.all]) {
        assert_eq!(each.requests, each.answers + each.sheds + each.errors.total, "{each:?}");
    }
    report
}

/// An answer to one entity.
pub(crate) fn body(status: &str) -> String {
    format!(
        r#"{{"t":"x","rows":[{{"features":{{"a":1}},"statuses":{{"a":"{status}"}},"events":{{"a":null}}}}]}}"#
    )
}
