//! An object that is written from its beginning to its end, and is not there until it is complete.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use asof_model::ObjectUrl;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use crate::wait::{Pending, start};
use crate::{Objects, ObjectsError, wait};

/// Bytes of a part of an upload: not less than what every store takes, and the same for all parts but the last.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// Parts that an object may have; stores refuse more.
const PARTS_MAX: u64 = 10_000;

/// Parts that are under way at a time.
const PARTS_UNDER_WAY: usize = 2;

/// Writes an object, part by part. Dropped before it is complete, it leaves nothing behind.
///
/// Its errors hold an [`ObjectsError`].
pub struct ObjectWriter {
    objects: Objects,
    store: Arc<dyn ObjectStore>,
    url: ObjectUrl,
    path: Path,
    /// None before there is more than one part.
    upload: Option<Box<dyn MultipartUpload>>,
    part: Vec<u8>,
    parts: u64,
    under_way: VecDeque<Pending<object_store::Result<()>>>,
    bytes: u64,
}

impl Objects {
    /// A writer of the object at this URL. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// As [`Objects::store`] and [`Objects::path`].
    pub fn writer(&self, url: &ObjectUrl) -> Result<ObjectWriter, ObjectsError> {
        Ok(ObjectWriter {
            objects: self.clone(),
            store: self.store(url)?,
            url: url.clone(),
            path: self.path(url)?,
            upload: None,
            part: Vec::new(),
            parts: 0,
            under_way: VecDeque::new(),
            bytes: 0,
        })
    }
}

impl ObjectWriter {
    /// Makes the object appear, in the place of one that is there. Returns its bytes. Blocks.
    ///
    /// # Errors
    /// [`ObjectsError`]; then there is nothing new.
    pub fn complete(mut self) -> Result<u64, ObjectsError> {
        let last = std::mem::take(&mut self.part);
        if self.upload.is_none() {
            let (store, path) = (self.store.clone(), self.path.clone());
            let put = wait(async move { store.put(&path, PutPayload::from(last)).await })?;
            put.map_err(|error| self.explain(error))?;
            return Ok(self.bytes);
        }
        if !last.is_empty() {
            self.send(last)?;
        }
        while !self.under_way.is_empty() {
            self.settle_first()?;
        }
        if let Some(mut upload) = self.upload.take() {
            // An upload that fails here is left to be given up when this is dropped.
            let (upload, done) = wait(async move {
                let done = upload.complete().await;
                (upload, done)
            })?;
            if let Err(error) = done {
                self.upload = Some(upload);
                return Err(self.explain(error));
            }
        }
        Ok(self.bytes)
    }

    fn explain(&self, error: object_store::Error) -> ObjectsError {
        self.objects.explain(&self.url, error)
    }

    fn send(&mut self, part: Vec<u8>) -> Result<(), ObjectsError> {
        if self.parts == PARTS_MAX {
            let (url, max) = (self.url.to_string(), PARTS_MAX * PART_BYTES as u64);
            return Err(ObjectsError::TooLarge { url, max });
        }
        if self.upload.is_none() {
            let (store, path) = (self.store.clone(), self.path.clone());
            let upload = wait(async move { store.put_multipart(&path).await })?;
            self.upload = Some(upload.map_err(|error| self.explain(error))?);
        }
        while self.under_way.len() >= PARTS_UNDER_WAY {
            self.settle_first()?;
        }
        if let Some(upload) = &mut self.upload {
            self.under_way.push_back(start(upload.put_part(PutPayload::from(part)))?);
            self.parts += 1;
        }
        Ok(())
    }

    /// Waits for the part that was sent first.
    fn settle_first(&mut self) -> Result<(), ObjectsError> {
        match self.under_way.pop_front() {
            Some(part) => part.result()?.map_err(|error| self.explain(error)),
            None => Ok(()),
        }
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART_BYTES {
            let part = std::mem::take(&mut self.part);
            self.send(part).map_err(io::Error::other)?;
        }
        let count = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    /// Nothing is seen of an object before it is complete.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        while let Some(part) = self.under_way.pop_front() {
            let _ = part.result();
        }
        if let Some(mut upload) = self.upload.take() {
            // What can't be given up now, the store's own rule for unfinished uploads removes.
            let _ = wait(async move { upload.abort().await });
        }
    }
}
