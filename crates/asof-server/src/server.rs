//! The life of a server: bind, run, stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use asof_model::Explain;
use asof_store::{Project, Store};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::beside::client::{Client, ClientError};
use crate::beside::socket::{self, Socket};
use crate::front::Front;
use crate::load::Load;
use crate::serving::Serving;
use crate::{ServerError, beside, connections, http};

/// How long requests in flight may take to finish once the server was told to stop.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// How long a server that starts waits for a command that holds the online store.
pub const HELD_WAIT: Duration = Duration::from_secs(60);
/// The pause between two tries to take the online store.
const HELD_PAUSE: Duration = Duration::from_millis(200);

/// A server that listens, and holds the online store. Requests wait until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    serving: Arc<Serving>,
    /// For commands beside it; `None` where there can't be one.
    socket: Option<Socket>,
}

/// Serves a store on `listen` (`HOST:PORT`; port 0 takes a free one) until the process is told to stop by SIGINT or
/// SIGTERM. Then no connection is accepted any more, and requests in flight have [`SHUTDOWN_WAIT`] to finish. A command
/// that holds the online store is waited for, for at most [`HELD_WAIT`]; another server is not.
///
/// # Errors
/// As [`Server::bind`] and [`Server::run`]; [`ServerError::Signals`].
pub async fn serve(store: Arc<Store>, listen: &str) -> Result<(), ServerError> {
    let mut told = Box::pin(told_to_stop()?);
    let server = tokio::select! {
        server = bind_in_turn(store, listen) => server?,
        () = &mut told => return Ok(()),
    };
    server.run(told).await
}

/// Binds once the command that holds the online store has ended.
async fn bind_in_turn(store: Arc<Store>, listen: &str) -> Result<Server, ServerError> {
    let until = tokio::time::Instant::now() + HELD_WAIT;
    let mut said = false;
    loop {
        match Server::bind(store.clone(), listen).await {
            Err(ServerError::Store(held)) if held.is_held() && tokio::time::Instant::now() < until => {
                // A server goes on for good.
                if !matches!(Client::connect(store.project()).await, Ok(None)) {
                    return Err(ServerError::Store(held));
                }
                if !std::mem::replace(&mut said, true) {
                    tracing::info!(reason = %held, "waiting for the online store");
                }
                tokio::time::sleep(HELD_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

impl Server {
    /// Listens on `listen` (`HOST:PORT`; port 0 takes a free one), reads the registry, opens the online store, and
    /// listens for commands on the project's socket. Without a socket, such as on a disk that can't be written, it
    /// serves all the same, and says so in its log.
    ///
    /// # Errors
    /// [`ServerError::Address`], [`ServerError::Listen`]; [`ServerError::Store`], such as an online store in use;
    /// [`ServerError::Served`].
    pub async fn bind(store: Arc<Store>, listen: &str) -> Result<Self, ServerError> {
        let no_address = |source| ServerError::Address { listen: listen.to_owned(), source };
        let no_listener = |source| ServerError::Listen { listen: listen.to_owned(), source };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen).await.map_err(no_address)?.collect();
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(no_listener)?;
        let address = listener.local_addr().map_err(no_listener)?;
        let serving = Arc::new(Serving::open(store).await?);
        let socket = listen_beside(serving.store().project()).await?;
        tracing::info!(%address, "listening");
        Ok(Self { listener, address, serving, socket })
    }

    /// The address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves, and follows the registry, until `shutdown` is ready; then finishes the requests in flight, for at most
    /// [`SHUTDOWN_WAIT`]. What it does for commands beside it stops between two steps then.
    ///
    /// # Errors
    /// [`ServerError::Stopped`] where the listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let (stop, stopping) = watch::channel(false);
        let stopped = |mut stopping: watch::Receiver<bool>| async move {
            // A sender that is gone has told everybody.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        self.serving.warm_up();
        let load = Load::new();
        let measuring = tokio::spawn(load.clone().measure());
        let routes = http::routes(self.serving.clone(), load.clone());
        let front = Front::new(self.serving.clone(), routes, Handle::current(), load);
        let public = connections::serve(self.listener, front, stopped(stopping.clone()));
        let no_more_work = self.serving.stopping().clone();
        let beside = async {
            let Some(Socket { listener, file }) = self.socket else { return Ok(()) };
            let told = stopped(stopping.clone());
            let until = async move {
                told.await;
                // Commands that come now find nobody, rather than somebody who is about to leave.
                drop(file);
            };
            let routes = beside::routes::routes(self.serving.clone());
            axum::serve(listener, routes).with_graceful_shutdown(until).await
        };
        let told = async {
            shutdown.await;
            tracing::info!("stopping");
            no_more_work.store(true, Ordering::Relaxed);
            let _ = stop.send(true);
            std::future::pending::<()>().await;
        };
        let waited = async {
            stopped(stopping.clone()).await;
            tokio::time::sleep(SHUTDOWN_WAIT).await;
        };
        let both = async { tokio::try_join!(public, beside) };
        tokio::select! {
            done = both => { done.map_err(|source| ServerError::Stopped { source })?; }
            () = waited => tracing::warn!(waited = ?SHUTDOWN_WAIT, "connections were still open"),
            () = told => {}
            () = self.serving.follow() => {}
            () = self.serving.fold() => {}
            () = self.serving.flush() => {}
            () = self.serving.bring_back() => {}
        }
        measuring.abort();
        self.serving.settle().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Listens for commands. The caller holds the online store, so a socket that answers is of a server on another one.
async fn listen_beside(project: &Project) -> Result<Option<Socket>, ServerError> {
    match Client::connect(project).await {
        Ok(None) => {}
        Ok(Some(client)) => return Err(ServerError::Served { process: client.server().process }),
        Err(ClientError::OtherVersion { process, .. }) => return Err(ServerError::Served { process }),
        Err(error) => {
            tracing::warn!(%error, hint = error.hint(), "commands can't reach this server");
            return Ok(None);
        }
    }
    match socket::listen(project) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => {
            let path = socket::path(project);
            tracing::warn!(path = %path.display(), %error, "commands can't reach this server: no socket");
            Ok(None)
        }
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
