//! The life of a server: bind, run, stop.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use asof_store::Store;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::serving::Serving;
use crate::{ServerError, http};

/// How long requests in flight may take to finish once the server was told to stop.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// A server that listens, and holds the online store. Requests wait until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    serving: Arc<Serving>,
}

/// Serves a store on `listen` (`HOST:PORT`; port 0 takes a free one) until the process is told to stop by SIGINT or
/// SIGTERM. Then no connection is accepted any more, and requests in flight have [`SHUTDOWN_WAIT`] to finish.
///
/// # Errors
/// As [`Server::bind`] and [`Server::run`]; [`ServerError::Signals`].
pub async fn serve(store: Arc<Store>, listen: &str) -> Result<(), ServerError> {
    let told = told_to_stop()?;
    Server::bind(store, listen).await?.run(told).await
}

impl Server {
    /// Listens on `listen` (`HOST:PORT`; port 0 takes a free one), reads the registry and opens the online store.
    ///
    /// # Errors
    /// [`ServerError::Address`], [`ServerError::Listen`]; [`ServerError::Store`], such as an online store in use.
    pub async fn bind(store: Arc<Store>, listen: &str) -> Result<Self, ServerError> {
        let no_address = |source| ServerError::Address { listen: listen.to_owned(), source };
        let no_listener = |source| ServerError::Listen { listen: listen.to_owned(), source };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen).await.map_err(no_address)?.collect();
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(no_listener)?;
        let address = listener.local_addr().map_err(no_listener)?;
        let serving = Arc::new(Serving::open(store).await?);
        tracing::info!(%address, "listening");
        Ok(Self { listener, address, serving })
    }

    /// The address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves, and follows the registry, until `shutdown` is ready; then finishes the requests in flight, for at most
    /// [`SHUTDOWN_WAIT`].
    ///
    /// # Errors
    /// [`ServerError::Stopped`] where the listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        // Answers are small and complete: waiting to fill a packet would only delay them.
        let listener = self.listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
        });
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            tracing::info!("stopping");
            let _ = stop.send(());
        };
        let serving =
            axum::serve(listener, http::routes(self.serving.clone())).with_graceful_shutdown(shutdown);
        let waited = async {
            if stopping.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(SHUTDOWN_WAIT).await;
        };
        tokio::select! {
            done = serving.into_future() => done.map_err(|source| ServerError::Stopped { source })?,
            () = waited => tracing::warn!(waited = ?SHUTDOWN_WAIT, "connections were still open"),
            () = self.serving.follow() => {}
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Ready when the process is told to stop. From the call on, the signals no longer end the process by themselves.
#[cfg(unix)]
fn told_to_stop() -> Result<impl Future<Output = ()> + Send + 'static, ServerError> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|source| ServerError::Signals { source });
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when the process is told to stop.
#[cfg(not(unix))]
fn told_to_stop() -> Result<impl Future<Output = ()> + Send + 'static, ServerError> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
