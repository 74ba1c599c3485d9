//! Where a request is answered.
//!
//! Reading features is asked thousands of times a second and waits for nothing, so it is answered at once, on the thread
//! that the connection lives on. Everything else may write, sync or compute for long: it goes to the common threads, and
//! keeps nobody's reads from being answered.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Handle;

use crate::load::Load;
use crate::serving::Serving;
use crate::{feast, http, native};

/// Reads over gRPC.
const GRPC_READS: [&str; 2] =
    ["/asof.v1.FeatureStore/GetOnlineFeatures", "/feast.serving.ServingService/GetOnlineFeatures"];

/// What every connection of one thread asks.
#[derive(Clone)]
pub(crate) struct Front {
    serving: Arc<Serving>,
    routes: TowerToHyperService<Router>,
    common: Handle,
    load: Load,
}

impl Front {
    /// - `common`: the threads that other requests go to
    /// - `load`: of the thread that asks
    pub fn new(serving: Arc<Serving>, routes: Router, common: Handle, load: Load) -> Self {
        Self { serving, routes: TowerToHyperService::new(routes), common, load }
    }

    /// How much this thread has to do.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The same for another thread.
    pub fn of_thread(&self) -> Self {
        Self { load: self.load.of_thread(), ..self.clone() }
    }
}

/// A read that has a handler of its own.
#[derive(Clone, Copy)]
enum Read {
    Feast,
    Native,
}

impl Service<axum::http::Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: axum::http::Request<Incoming>) -> Self::Future {
        let path = request.uri().path();
        let read = match (request.method(), path) {
            (&Method::POST, feast::ROUTE) => Read::Feast,
            (&Method::POST, native::ROUTE) => Read::Native,
            _ if GRPC_READS.contains(&path) => {
                let mut request = request;
                request.extensions_mut().insert(self.load.clone());
                return Box::pin(self.routes.call(request));
            }
            _ => return Box::pin(elsewhere(self.common.spawn(self.routes.call(request)))),
        };
        let (serving, load) = (self.serving.clone(), self.load.clone());
        Box::pin(async move {
            let answer = async |request: Request| match read {
                Read::Feast => feast::get_online_features(State(serving), request).await,
                Read::Native => native::online_features(State(serving), request).await,
            };
            let bounded = async |request: Request| http::bounded(&load, request, answer).await;
            Ok(http::observed(request.map(Body::new), bounded).await)
        })
    }
}

/// Waits for what the common threads answer.
async fn elsewhere(
    work: tokio::task::JoinHandle<Result<Response, Infallible>>,
) -> Result<Response, Infallible> {
    /// A client that goes away takes its request with it.
    struct Aborting(tokio::task::JoinHandle<Result<Response, Infallible>>);

    impl Drop for Aborting {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    let mut work = Aborting(work);
    match (&mut work.0).await {
        Ok(answered) => answered,
        // It panicked, or the process ends.
        Err(_) => Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}
