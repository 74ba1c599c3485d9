//! Records in buckets: kept in memory up to a bound, beyond it in a file.
//!
//! A record is some bytes. Those of a bucket come back in no order that matters to anybody, all of them, in blocks that
//! hold whole records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::TrainingError;
use crate::scratch::{Scratch, ScratchFile};

/// Bytes that a block holds before it may go to the file; a record more or less.
const BLOCK_BYTES_MAX: usize = 128 * 1024;
const BLOCK_BYTES_MIN: usize = 4 * 1024;

/// Some buckets.
pub(crate) struct Buckets<'a> {
    scratch: &'a Scratch,
    file: OnceLock<ScratchFile<'a>>,
    making: Mutex<()>,
    buckets: Vec<Mutex<Bucket>>,
    block_bytes: usize,
    /// Bytes in memory, and how many may be.
    held: AtomicU64,
    held_max: u64,
}

#[derive(Default)]
struct Bucket {
    /// The block that is being filled.
    open: Vec<u8>,
    full: Vec<Block>,
    records: u64,
}

#[derive(Clone)]
enum Block {
    Held(Arc<[u8]>),
    /// Where it begins in the file, and its length.
    Written(u64, usize),
}

impl<'a> Buckets<'a> {
    /// So many empty buckets, which may take `held_max` bytes of memory. `scratch` holds the rest.
    pub fn new(scratch: &'a Scratch, count: usize, held_max: u64) -> Self {
        let fair = usize::try_from(held_max).unwrap_or(usize::MAX) / count.max(1) / 2;
        Self {
            scratch,
            file: OnceLock::new(),
            making: Mutex::new(()),
            buckets: (0..count).map(|_| Mutex::default()).collect(),
            // Without any memory everything is written at once.
            block_bytes: if held_max == 0 { 1 } else { fair.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) },
            held: AtomicU64::new(0),
            held_max,
        }
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// How many records a bucket holds.
    pub fn records(&self, bucket: usize) -> u64 {
        self.buckets[bucket].lock().records
    }

    /// Adds whole records, `count` of them.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn append(&self, bucket: usize, records: &[u8], count: u64) -> Result<(), TrainingError> {
        let mut bucket = self.buckets[bucket].lock();
        bucket.records += count;
        if bucket.open.is_empty() && bucket.open.capacity() == 0 {
            bucket.open.reserve(self.block_bytes);
        }
        bucket.open.extend_from_slice(records);
        self.held.fetch_add(records.len() as u64, Ordering::Relaxed);
        if bucket.open.len() >= self.block_bytes {
            let block = std::mem::take(&mut bucket.open);
            let block = match self.held.load(Ordering::Relaxed) > self.held_max {
                true => self.write(&block)?,
                false => Block::Held(block.into()),
            };
            bucket.full.push(block);
        }
        Ok(())
    }

    fn write(&self, block: &[u8]) -> Result<Block, TrainingError> {
        let at = self.file()?.append(block)?;
        self.held.fetch_sub(block.len() as u64, Ordering::Relaxed);
        Ok(Block::Written(at, block.len()))
    }

    fn file(&self) -> Result<&ScratchFile<'a>, TrainingError> {
        let _making = self.making.lock();
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.scratch.file()?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Takes the records of a bucket out, block by block. What lies in the file stays there.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`], and those of `with`.
    pub fn drain(
        &self,
        bucket: usize,
        mut with: impl FnMut(&[u8]) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        let bucket = std::mem::take(&mut *self.buckets[bucket].lock());
        for block in bucket.full.into_iter().chain([Block::Held(bucket.open.into())]) {
            match block {
                Block::Held(bytes) => {
                    self.held.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                    with(&bytes)?;
                }
                written => self.with_block(&written, &mut with)?,
            }
        }
        Ok(())
    }

    /// Reads the records of a bucket, block by block. They stay.
    ///
    /// # Errors
    /// As [`Buckets::drain`].
    pub fn read(
        &self,
        bucket: usize,
        mut with: impl FnMut(&[u8]) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        // Several threads may read a bucket at a time.
        let (full, open) = {
            let bucket = self.buckets[bucket].lock();
            (bucket.full.clone(), bucket.open.clone())
        };
        full.iter().try_for_each(|block| self.with_block(block, &mut with))?;
        with(&open)
    }

    fn with_block(
        &self,
        block: &Block,
        with: &mut impl FnMut(&[u8]) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        match block {
            Block::Held(bytes) => with(bytes),
            Block::Written(at, length) => {
                let mut bytes = vec![0; *length];
                self.file()?.read(&mut bytes, *at)?;
                with(&bytes)
            }
        }
    }
}

/// Reads numbers off the front of a record. The writer is in this crate, so a record is never short; if one were, numbers
/// would be 0.
pub(crate) struct Record<'a>(pub &'a [u8]);

impl<'a> Record<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let head = self.bytes(N);
        array[..head.len()].copy_from_slice(head);
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: every record comes back once from its bucket, whatever fits into memory.
        #[test]
        fn records_come_back(
            records in proptest::collection::vec((0_usize..5, 0_u32..1_000), 0..3_000),
            held_max in proptest::sample::select(vec![0, 10_000, u64::MAX]),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let scratch = Scratch::new(folder.path());
            let buckets = Buckets::new(&scratch, 5, held_max);
            let mut right: Vec<Vec<u32>> = vec![Vec::new(); 5];
            for (bucket, number) in &records {
                // Some records are longer than others.
                let mut record = number.to_le_bytes().to_vec();
                record.extend(vec![0; *number as usize % 7]);
                buckets.append(*bucket, &record, 1).unwrap();
                right[*bucket].push(*number);
            }
            for (bucket, right) in right.iter_mut().enumerate() {
                prop_assert_eq!(buckets.records(bucket), right.len() as u64);
                let found = |block: &[u8], found: &mut Vec<u32>| {
                    let mut record = Record(block);
                    while !record.is_empty() {
                        let number = record.u32();
                        record.bytes(number as usize % 7);
                        found.push(number);
                    }
                    Ok(())
                };
                let (mut read, mut drained) = (Vec::new(), Vec::new());
                buckets.read(bucket, |block| found(block, &mut read)).unwrap();
                buckets.drain(bucket, |block| found(block, &mut drained)).unwrap();
                for found in [&mut read, &mut drained] {
                    found.sort_unstable();
                    right.sort_unstable();
                    prop_assert_eq!(&*found, &*right);
                }
            }
        }
    }
}
