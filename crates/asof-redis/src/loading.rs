//! Keys that are being read from the servers, so that many who ask for one at a time send one request.
//!
//! Who comes while a key is on its way waits for it, and then looks into memory again: what was found there is only used if
//! it holds for the one who waited, too. Otherwise, or where the first one failed, the key is simply read once more.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Keys on their way, by their hashes. Two keys of one hash only wait for each other.
#[derive(Default)]
pub(crate) struct Loading {
    keys: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

/// The place of a key that somebody else reads, and what ends when that is done.
pub(crate) type Other = (usize, Arc<Semaphore>);

/// Some keys that this reader reads, until it is dropped; then all that wait look again.
pub(crate) struct Load<'l> {
    loading: &'l Loading,
    hashes: Vec<u64>,
    /// Without places, so that nobody passes until it is closed.
    done: Arc<Semaphore>,
}

impl Loading {
    /// Takes on those of the keys that nobody reads yet. With it the others, and what they wait for.
    pub(crate) fn begin(
        &self,
        keys: impl Iterator<Item = (usize, u64)>,
    ) -> (Load<'_>, Vec<usize>, Vec<Other>) {
        let mut load = Load { loading: self, hashes: Vec::new(), done: Arc::new(Semaphore::new(0)) };
        let (mut own, mut others) = (Vec::new(), Vec::new());
        let mut loading = self.keys.lock();
        for (place, hash) in keys {
            match loading.get(&hash) {
                // One of our own: a key that stands twice in a request is read twice, or it would wait for itself.
                Some(other) if Arc::ptr_eq(other, &load.done) => own.push(place),
                Some(other) => others.push((place, other.clone())),
                None => {
                    loading.insert(hash, load.done.clone());
                    load.hashes.push(hash);
                    own.push(place);
                }
            }
        }
        (load, own, others)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        let mut keys = self.loading.keys.lock();
        for hash in &self.hashes {
            keys.remove(hash);
        }
        self.done.close();
    }
}

/// Waits until a key is there, or its reader gave up.
pub(crate) async fn wait(other: &Semaphore) {
    // Never a place: it is closed.
    let _ = other.acquire().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a key is read by the first who asks; others wait until that one is done, whether it read it or gave up.
    #[test]
    fn the_first_reads() {
        let loading = Loading::default();
        let (first, own, others) = loading.begin([(0, 7), (1, 8), (2, 7)].into_iter());
        assert_eq!((own, others.len()), (vec![0, 1, 2], 0));
        let (second, own, others) = loading.begin([(0, 8), (1, 9)].into_iter());
        assert_eq!((own, others.len(), others[0].0), (vec![1], 1, 0));
        assert!(!others[0].1.is_closed());
        drop(first);
        assert!(others[0].1.is_closed());
        drop(second);
        assert!(loading.keys.lock().is_empty());
    }
}
