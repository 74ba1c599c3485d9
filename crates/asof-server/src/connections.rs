//! The connections of clients: how many there are, what they may do, how they end.
//!
//! One port takes HTTP/1.1 and HTTP/2, which gRPC speaks; the first bytes of a connection say which.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The most connections at a time. Further ones wait in the system's queue until one ends.
pub const CONNECTIONS_MAX: usize = 4_096;

/// How long a connection of HTTP/1.1 may be without the complete head of its next request.
pub const HEAD_WAIT: Duration = Duration::from_secs(75);

/// The most requests at a time on one connection of HTTP/2.
pub const STREAMS_MAX: u32 = 128;

/// How often a silent connection of HTTP/2 is asked whether its client is there, and how long that may take to answer.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_WAIT: Duration = Duration::from_secs(20);

/// The most bytes of an HTTP/1.1 head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The pause after a connection could not be taken, as where the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections and serves `routes` on each, until `stop` is ready; then finishes the requests in flight.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT);
    let service = TowerToHyperService::new(routes);
    let (told, stopping) = watch::channel(());
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            // Never closed.
            let place = free.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Answers are small and complete: waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let connection = builder.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        let mut stopping = stopping.clone();
        tokio::spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let done = tokio::select! {
                done = connection.as_mut() => done,
                // Told, or nobody is there any more to tell it.
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = done {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    drop((listener, stopping));
    let _ = told.send(());
    // Ready when the last connection has let go of its receiver.
    told.closed().await;
}
