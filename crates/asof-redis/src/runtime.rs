//! Futures that run on any executor: timers and connections belong to the runtime that the store was opened on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asof_online::BoxFuture;
use tokio::runtime::Handle;

/// The same future, polled within that runtime whoever polls it.
pub(crate) fn within<'a, T: 'a>(
    handle: &Handle,
    future: impl Future<Output = T> + Send + 'a,
) -> BoxFuture<'a, T> {
    Box::pin(Within { handle: handle.clone(), future: Box::pin(future) })
}

struct Within<'a, T> {
    handle: Handle,
    future: BoxFuture<'a, T>,
}

impl<T> Future for Within<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let handle = self.handle.clone();
        let _entered = handle.enter();
        self.future.as_mut().poll(context)
    }
}
