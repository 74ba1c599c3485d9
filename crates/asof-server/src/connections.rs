//! The connections of clients: how many there are, which threads they live on, what they may do, how they end.
//!
//! One port takes HTTP/1.1 and HTTP/2, which gRPC speaks; the first bytes of a connection say which. Connections are dealt
//! out to threads in turn, one for each processor, and stay there: a read is received, answered and sent without another
//! thread being woken.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::front::Front;

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

/// A connection, with its place among [`CONNECTIONS_MAX`].
type Taken = (TcpStream, OwnedSemaphorePermit);

/// Takes connections and serves `front` on each, until `stop` is ready; then finishes the requests in flight.
///
/// # Errors
/// Where the system has no more threads.
pub(crate) async fn serve(
    listener: TcpListener,
    front: Front,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (told, stopping) = watch::channel(());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = (0..processors).map(|_| begin_thread(front.of_thread(), stopping.clone()));
    let threads = threads.collect::<io::Result<Vec<_>>>()?;
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut in_turn = threads.iter().cycle();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            // Never closed.
            let place = free.clone().acquire_owned().await;
            (place, listener.accept().await.and_then(|(stream, _)| stream.into_std()))
        };
        tokio::select! {
            (place, accepted) = next => match (place, accepted, in_turn.next()) {
                (Ok(place), Ok(stream), Some(thread)) => {
                    // Threads are there until this is over.
                    let _ = thread.send((stream, place));
                }
                (_, Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                _ => {}
            },
            () = &mut stop => break,
        }
    }
    drop((listener, stopping, threads));
    let _ = told.send(());
    // Ready when the last connection has let go of its receiver.
    told.closed().await;
    Ok(())
}

/// A thread that serves the connections it is sent, until nobody sends any more and the last one has ended.
fn begin_thread(front: Front, stopping: watch::Receiver<()>) -> io::Result<mpsc::UnboundedSender<Taken>> {
    // Bounded by the places for connections.
    let (sender, connections) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("asof-answer".to_owned())
        .spawn(move || runtime.block_on(serve_all(front, connections, stopping)))?;
    Ok(sender)
}

async fn serve_all(
    front: Front,
    mut connections: mpsc::UnboundedReceiver<Taken>,
    stopping: watch::Receiver<()>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT);
    let measuring = tokio::spawn(front.load().clone().measure());
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            taken = connections.recv() => match taken {
                Some(taken) => {
                    open.spawn(serve_one(builder.clone(), front.clone(), taken, stopping.clone()));
                }
                None => break,
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    drop(stopping);
    while open.join_next().await.is_some() {}
    measuring.abort();
}

async fn serve_one(
    builder: Builder<TokioExecutor>,
    front: Front,
    (stream, _place): Taken,
    mut stopping: watch::Receiver<()>,
) {
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
    };
    // Answers are small and complete: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), front));
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
}
