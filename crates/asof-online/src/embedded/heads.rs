//! The heads of keys of events as they were written last, so that the next unit need not look for them in the tree. Who writes
//! holds them, so they are never behind what is stored.

use std::collections::HashMap;

use fjall::Slice;

/// The most bytes of heads that are kept. Beyond them all are forgotten, and those that come next are kept.
const HEADS_BYTES_MAX: usize = 64 << 20;
/// What one takes beside its bytes and those of its key, in bytes.
const HEAD_OVERHEAD_BYTES: usize = 96;

/// What whoever writes knows of what is stored.
#[derive(Default)]
pub(super) struct Heads {
    /// By stored key.
    heads: HashMap<Vec<u8>, Slice>,
    bytes: usize,
}

impl Heads {
    /// The head of a key. `None`: it is for the store to say.
    pub(super) fn get(&self, stored_key: &[u8]) -> Option<Slice> {
        self.heads.get(stored_key).cloned()
    }

    /// Takes note of what was written under a key; `None`: nothing is there any more.
    pub(super) fn put(&mut self, stored_key: Vec<u8>, head: Option<Slice>) {
        let size = |key: usize, head: &Slice| key + head.len() + HEAD_OVERHEAD_BYTES;
        if let Some(before) = self.heads.remove(&stored_key) {
            self.bytes -= size(stored_key.len(), &before);
        }
        let Some(head) = head else { return };
        let bytes = size(stored_key.len(), &head);
        if self.bytes + bytes > HEADS_BYTES_MAX {
            self.clear();
        }
        if bytes <= HEADS_BYTES_MAX {
            self.bytes += bytes;
            self.heads.insert(stored_key, head);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the last head of a key is kept, within the bound; what is past it goes with all before.
    #[test]
    fn heads_within_bounds() {
        let mut heads = Heads::default();
        heads.put(vec![1], Some(Slice::from(&b"one"[..])));
        heads.put(vec![1], Some(Slice::from(&b"other"[..])));
        heads.put(vec![2], Some(Slice::from(&b"two"[..])));
        heads.put(vec![2], None);
        assert_eq!(heads.get(&[1]).as_deref(), Some(&b"other"[..]));
        assert_eq!((heads.get(&[2]), heads.bytes), (None, 1 + 5 + HEAD_OVERHEAD_BYTES));
        heads.put(vec![3], Some(Slice::from(vec![0; HEADS_BYTES_MAX / 2])));
        heads.put(vec![4], Some(Slice::from(vec![0; HEADS_BYTES_MAX / 2])));
        assert_eq!((heads.get(&[1]), heads.get(&[3])), (None, None));
        assert!(heads.get(&[4]).is_some());
        heads.put(vec![5], Some(Slice::from(vec![0; HEADS_BYTES_MAX + 1])));
        assert_eq!((heads.heads.len(), heads.bytes), (0, 0));
    }
}
