//! Rows that were read when they were admitted, for the fold that follows: so they need not be read from the log and
//! taken apart a second time. A convenience only: what is not here is read from the log.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use asof_engine::source::BadRow;
use asof_model::Instant;
use parking_lot::Mutex;

/// Bytes of rows that are kept so. What is more is read from the log.
const FRESH_BYTES_MAX: usize = 64 << 20;

/// What a view makes of a batch of the log.
#[derive(Debug, Clone)]
pub(super) struct OfView {
    /// The rows that it takes, as they are admitted.
    pub rows: RecordBatch,
    /// Those that it can't take.
    pub bad: Vec<BadRow>,
}

/// A batch of the log, as the views take it.
#[derive(Debug)]
pub(super) struct FreshBatch {
    /// The revision of the registry that says how views take rows.
    pub revision: u64,
    /// Its last position.
    pub last: u64,
    /// When it was admitted.
    pub admitted: Instant,
    /// By history table. A view that is not here takes no rows of its source.
    pub views: HashMap<String, OfView>,
}

/// The batches that are not folded yet.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By first position.
    batches: BTreeMap<u64, FreshBatch>,
    bytes: usize,
}

impl FreshBatch {
    fn bytes(&self) -> usize {
        self.views.values().map(|of| of.rows.get_array_memory_size()).sum()
    }
}

impl Fresh {
    /// Keeps a batch that begins at a position, where there is room.
    pub fn add(&self, first: u64, batch: FreshBatch) {
        let bytes = batch.bytes();
        let mut held = self.held.lock();
        if held.bytes + bytes <= FRESH_BYTES_MAX {
            held.bytes += bytes;
            held.batches.insert(first, batch);
        }
    }

    /// The last position of the batch that begins at one, when it was admitted, and what a view makes of it. `None`: it is
    /// for the log to say.
    pub fn at(&self, first: u64, revision: u64, table: &str) -> Option<(u64, Instant, Option<OfView>)> {
        let held = self.held.lock();
        let batch = held.batches.get(&first).filter(|batch| batch.revision == revision)?;
        Some((batch.last, batch.admitted, batch.views.get(table).cloned()))
    }

    /// Forgets batches up to a position, which every view has folded.
    pub fn forget_to(&self, position: u64) {
        let mut held = self.held.lock();
        while let Some(first) = held.batches.first_entry().filter(|first| first.get().last <= position) {
            let bytes = first.remove().bytes();
            held.bytes -= bytes;
        }
    }
}
