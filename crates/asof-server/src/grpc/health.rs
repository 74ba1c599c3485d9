//! `grpc.health.v1.Health`: serving while the online store can be read and the server is not told to stop.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use super::SERVICES;
use crate::serving::Serving;

/// How often a watcher's status is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The service over a server's state.
pub(super) struct Health(pub Arc<Serving>);

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match is_known(&service) {
            true => Ok(Response::new(response(now(&self.0).await))),
            false => Err(Status::not_found(format!("there is no service `{service}`"))),
        }
    }

    type WatchStream = Statuses;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Statuses>, Status> {
        let known = is_known(&request.into_inner().service);
        let changes = unfold((self.0.clone(), None), move |(serving, last)| async move {
            loop {
                if last.is_some() {
                    tokio::time::sleep(WATCH_EVERY).await;
                }
                let status = if known { now(&serving).await } else { ServingStatus::ServiceUnknown };
                if last != Some(status) {
                    return Some((Ok(response(status)), (serving, Some(status))));
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

async fn now(serving: &Serving) -> ServingStatus {
    match !serving.stopping().load(Ordering::Relaxed) && serving.check().await.is_ok() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
