//! Where the features of a row are: in its history, or kept since it was read.
//!
//! A history that can't be read twice, such as a CSV file or the result of a query, gives features with the instants. Of
//! those, rows are kept that were the greatest for some label when they came: in memory up to a bound, beyond it in
//! scratch. What they lose to later is left where it is.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use parking_lot::Mutex;

use crate::TrainingError;
use crate::history::{FeatureRows, History, RowUnits};
use crate::ipc;
use crate::scratch::{Scratch, ScratchFile};

/// The features of rows by their addresses.
pub(crate) enum RowStore<'k, 'a> {
    /// They are asked of the history.
    Read(&'k dyn History),
    /// They were kept.
    Kept(&'k Kept<'a>),
}

/// Rows of one view that were kept.
pub(crate) struct Kept<'a> {
    scratch: &'a Scratch,
    file: OnceLock<ScratchFile<'a>>,
    making: Mutex<()>,
    /// The features that are kept: places among those of the view, ascending.
    features: Vec<usize>,
    batches: Mutex<Vec<Arc<KeptBatch>>>,
    held: &'a AtomicU64,
    held_max: u64,
}

struct KeptBatch {
    /// The number of each row in the batch that it came in, ascending.
    rows: Vec<u32>,
    units: RowUnits,
    columns: Place,
}

enum Place {
    Held(RecordBatch),
    /// Where it begins in the file, and its length.
    Written(u64, usize),
}

impl<'a> Kept<'a> {
    /// No row yet. `held` counts the bytes in memory, with those of others; `held_max`: how many there may be.
    pub fn new(scratch: &'a Scratch, features: Vec<usize>, held: &'a AtomicU64, held_max: u64) -> Self {
        Self {
            scratch,
            file: OnceLock::new(),
            making: Mutex::new(()),
            features,
            batches: Mutex::new(Vec::new()),
            held,
            held_max,
        }
    }

    /// The number of the next batch, which is the piece of its rows' addresses. It is to be filled by [`Kept::fill`], or
    /// stays empty.
    pub fn reserve(&self) -> usize {
        let mut batches = self.batches.lock();
        let empty = KeptBatch {
            rows: Vec::new(),
            units: RowUnits::All(0),
            columns: Place::Held(RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()))),
        };
        batches.push(Arc::new(empty));
        batches.len() - 1
    }

    /// How many batches there are.
    pub fn len(&self) -> usize {
        self.batches.lock().len()
    }

    /// Keeps rows of a batch: those at the places `rows`, which ascend. `columns` are all features of the view in order,
    /// then errors.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn fill(
        &self,
        number: usize,
        rows: Vec<u32>,
        columns: &RecordBatch,
        units: &RowUnits,
    ) -> Result<(), TrainingError> {
        if rows.is_empty() {
            return Ok(());
        }
        let errors = columns.num_columns().saturating_sub(1);
        let wanted: Vec<usize> = self.features.iter().copied().chain([errors]).collect();
        let some = take_record_batch(&columns.project(&wanted)?, &UInt32Array::from(rows.clone()))?;
        let units = match units {
            RowUnits::All(unit) => RowUnits::All(*unit),
            RowUnits::Each(units) => RowUnits::Each(rows.iter().map(|row| units[*row as usize]).collect()),
        };
        let bytes = some.get_array_memory_size() as u64;
        let columns = if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > self.held_max {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            let mut encoded = Vec::new();
            ipc::write(&some, &mut encoded)?;
            Place::Written(self.file()?.append(&encoded)?, encoded.len())
        } else {
            Place::Held(some)
        };
        self.batches.lock()[number] = Arc::new(KeptBatch { rows, units, columns });
        Ok(())
    }

    fn file(&self) -> Result<&ScratchFile<'a>, TrainingError> {
        let _making = self.making.lock();
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.scratch.file()?;
        Ok(self.file.get_or_init(|| file))
    }

    fn features(&self, number: usize, places: &[usize], rows: &[u32]) -> Result<FeatureRows, TrainingError> {
        let batch = self.batches.lock()[number].clone();
        let columns = match &batch.columns {
            Place::Held(columns) => columns.clone(),
            Place::Written(at, length) => {
                let mut bytes = vec![0; *length];
                self.file()?.read(&mut bytes, *at)?;
                ipc::read(&bytes)?
            }
        };
        // Every row that is asked for was kept.
        let kept: Vec<u32> =
            rows.iter().map(|row| batch.rows.partition_point(|each| each < row) as u32).collect();
        let place = |place: &usize| self.features.partition_point(|each| each < place);
        let wanted: Vec<usize> = places.iter().map(place).chain([self.features.len()]).collect();
        let units = match &batch.units {
            RowUnits::All(unit) => RowUnits::All(*unit),
            RowUnits::Each(units) => RowUnits::Each(kept.iter().map(|row| units[*row as usize]).collect()),
        };
        Ok(FeatureRows {
            columns: take_record_batch(&columns.project(&wanted)?, &UInt32Array::from(kept))?,
            units,
        })
    }
}

impl RowStore<'_, '_> {
    /// The features by which rows are ranked: all of a view that has so many, or those that were kept.
    pub fn ranked_features(&self, all: usize) -> Vec<usize> {
        match self {
            Self::Read(_) => (0..all).collect(),
            Self::Kept(kept) => kept.features.clone(),
        }
    }

    /// Features of rows of a piece, as [`History::features`].
    ///
    /// # Errors
    /// Those of reading, and of `sink`.
    pub fn features(
        &self,
        piece: usize,
        view: usize,
        places: &[usize],
        rows: Arc<[u32]>,
        sink: &mut dyn FnMut(FeatureRows) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        match self {
            Self::Read(history) => history.features(piece, view, places, rows, sink),
            Self::Kept(kept) => sink(kept.features(piece, places, &rows)?),
        }
    }
}
