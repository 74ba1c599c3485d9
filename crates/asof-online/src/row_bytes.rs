//! The bytes of a row in an answer.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of a row, a part of what all rows of an answer share.
#[derive(Clone, Default)]
pub struct RowBytes {
    /// `None`: there are no bytes.
    shared: Option<Arc<[u8]>>,
    from: usize,
    to: usize,
}

impl RowBytes {
    /// A part of the bytes that are shared. What lies outside of them is left out.
    pub fn part(shared: &Arc<[u8]>, part: Range<usize>) -> Self {
        let to = part.end.min(shared.len());
        Self { shared: Some(shared.clone()), from: part.start.min(to), to }
    }
}

impl From<&[u8]> for RowBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::part(&Arc::from(bytes), 0..bytes.len())
    }
}

impl Deref for RowBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.shared.as_ref().and_then(|shared| shared.get(self.from..self.to)).unwrap_or_default()
    }
}

impl PartialEq for RowBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RowBytes {}

impl fmt::Debug for RowBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RowBytes({:02x?})", &**self)
    }
}
