//! One object as it was listed: what identifies it, and its bytes by ranges.
//!
//! Each read asks for the very content that was listed; an object that was replaced meanwhile is an error, never a
//! mixture of two.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use asof_model::ObjectUrl;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};

use crate::wait::{Pending, start};
use crate::{Objects, ObjectsError, wait};

/// Bytes of one request of a reader that goes from beginning to end.
const STREAM_BYTES: u64 = 4 * 1024 * 1024;

/// Requests that such a reader has under way, ahead of where it is.
const STREAM_REQUESTS_MAX: usize = 2;

/// An object. Cheap to clone.
#[derive(Clone)]
pub struct ObjectFile {
    objects: Objects,
    store: Arc<dyn ObjectStore>,
    url: ObjectUrl,
    path: Path,
    /// Bytes.
    pub size: u64,
    /// Last change, microseconds since 1970.
    pub modified: i64,
    /// What the store says of the content: equal tags mean equal bytes at this URL. `None`: it says nothing.
    pub etag: Option<String>,
}

impl ObjectFile {
    pub(crate) fn new(
        objects: Objects,
        store: Arc<dyn ObjectStore>,
        url: ObjectUrl,
        path: Path,
        size: u64,
        modified: i64,
        etag: Option<String>,
    ) -> Self {
        Self { objects, store, url, path, size, modified, etag }
    }

    /// The object's URL.
    pub fn url(&self) -> &ObjectUrl {
        &self.url
    }

    /// The bytes in `range`, all of them. Blocks.
    ///
    /// # Errors
    /// [`ObjectsError::Changed`] for an object that was replaced since it was listed.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        if range.is_empty() {
            // Which no store takes for a range.
            return Ok(Bytes::new());
        }
        wait(self.request(range))?
    }

    /// A reader from the beginning to the end, some requests ahead.
    pub fn stream(&self) -> ObjectReader {
        ObjectReader { file: self.clone(), next: 0, coming: VecDeque::new(), block: Bytes::new() }
    }

    fn request(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, ObjectsError>> + Send + use<> {
        let file = self.clone();
        async move {
            let asked = range.end - range.start;
            let options = GetOptions {
                range: Some(GetRange::Bounded(range)),
                if_match: file.etag.clone(),
                ..GetOptions::default()
            };
            let explain = |error| file.objects.explain(&file.url, error);
            let answer = file.store.get_opts(&file.path, options).await.map_err(explain)?;
            let bytes = answer.bytes().await.map_err(explain)?;
            // A store without conditional reads gives what is there now.
            if bytes.len() as u64 != asked {
                return Err(ObjectsError::Changed { url: file.url.to_string() });
            }
            Ok(bytes)
        }
    }
}

impl fmt::Debug for ObjectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectFile({}, {} bytes)", self.url, self.size)
    }
}

impl PartialEq for ObjectFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, self.size, &self.etag, self.modified)
            == (&other.url, other.size, &other.etag, other.modified)
    }
}

impl Eq for ObjectFile {}

/// Reads an object once through. Its errors hold an [`ObjectsError`].
pub struct ObjectReader {
    file: ObjectFile,
    /// The first byte that was not asked for yet.
    next: u64,
    coming: VecDeque<Pending<Result<Bytes, ObjectsError>>>,
    /// What is left of the block that is being read.
    block: Bytes,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            while self.coming.len() < STREAM_REQUESTS_MAX && self.next < self.file.size {
                let end = self.file.size.min(self.next + STREAM_BYTES);
                self.coming.push_back(start(self.file.request(self.next..end)).map_err(io::Error::other)?);
                self.next = end;
            }
            let Some(block) = self.coming.pop_front() else { return Ok(0) };
            let block = block.result().and_then(|block| block);
            self.block = block.map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.block.len());
        buffer[..count].copy_from_slice(&self.block.split_to(count));
        Ok(count)
    }
}
