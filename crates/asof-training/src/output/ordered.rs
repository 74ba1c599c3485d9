//! What threads make out of order, taken in order.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::TrainingError;

/// Things by their number, which are taken one after the other by whoever brings the one that is next. Threads take their
/// numbers in ascending order, so no more wait than there are threads.
pub(crate) struct Ordered<T, S>(Mutex<Waiting<T, S>>);

struct Waiting<T, S> {
    next: usize,
    waiting: BTreeMap<usize, T>,
    sink: S,
}

impl<T, S> Ordered<T, S> {
    /// Takes things from number 0 on.
    pub fn new(sink: S) -> Self {
        Self(Mutex::new(Waiting { next: 0, waiting: BTreeMap::new(), sink }))
    }

    /// Brings a thing; `take` is given it and those behind it, as soon as it is their turn.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn bring(
        &self,
        number: usize,
        thing: T,
        mut take: impl FnMut(&mut S, T) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        let mut all = self.0.lock();
        all.waiting.insert(number, thing);
        loop {
            let next = all.next;
            let Some(thing) = all.waiting.remove(&next) else { return Ok(()) };
            take(&mut all.sink, thing)?;
            all.next += 1;
        }
    }

    /// What took them.
    pub fn into_sink(self) -> S {
        self.0.into_inner().sink
    }
}
