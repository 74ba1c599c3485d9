//! Which of several rows with equal instants is the greatest: by canonical bytes, and of equal ones the first that became
//! visible (SEMANTICS 3). A repeat changes nothing, so which of them is met does not depend on the order of reading.

use std::sync::Arc;

use arrow::array::ArrayRef;
use asof_engine::columns::row_bytes_at;
use asof_model::spec::Feature;

use super::kept::RowStore;
use super::lane::Address;
use super::units::Units;
use crate::TrainingError;

/// Sets that are ranked together: the bytes of one row of each are in memory.
const SETS_MAX: usize = 65_536;

/// Rows of one view whose columns can be had.
pub(crate) struct Ties<'r, 'a> {
    pub rows: &'r RowStore<'r, 'a>,
    pub view: usize,
    /// All of the view, in order of addition.
    pub features: &'r [Feature],
    pub units: &'r Units,
}

/// The greatest row of a set so far.
struct Best {
    bytes: Vec<u8>,
    /// When it became visible, and the number of its unit, which tells units of one instant apart.
    first: (i64, u32),
    address: Address,
}

impl Ties<'_, '_> {
    /// The greatest row of each set.
    ///
    /// # Errors
    /// Those of reading; [`TrainingError::NeedsWholeRows`] where rows are kept without all their features and differ in
    /// what there is.
    pub fn greatest(&self, sets: &[Vec<Address>]) -> Result<Vec<Address>, TrainingError> {
        let mut greatest = Vec::with_capacity(sets.len());
        for some in sets.chunks(SETS_MAX) {
            let mut best: Vec<Option<Best>> = Vec::new();
            best.resize_with(some.len(), || None);
            let mut rows: Vec<(Address, u32)> = Vec::new();
            for (set, addresses) in some.iter().enumerate() {
                rows.extend(addresses.iter().map(|address| (*address, set as u32)));
            }
            rows.sort_unstable();
            for of_piece in rows.chunk_by(|one, other| one.0 >> 32 == other.0 >> 32) {
                self.rank_piece(of_piece, &mut best)?;
            }
            // Each set has rows, and each row was read.
            greatest.extend(best.into_iter().flatten().map(|best| best.address));
        }
        Ok(greatest)
    }

    /// Rows of one piece in order, each with its set.
    fn rank_piece(&self, rows: &[(Address, u32)], best: &mut [Option<Best>]) -> Result<(), TrainingError> {
        let Some((first, _)) = rows.first() else { return Ok(()) };
        let piece = (first >> 32) as usize;
        let mut numbers: Vec<u32> = rows.iter().map(|(address, _)| *address as u32).collect();
        numbers.dedup();
        let wanted = self.rows.ranked_features(self.features.len());
        let whole = wanted.len() == self.features.len();
        let features: Vec<Feature> = wanted.iter().map(|place| self.features[*place].clone()).collect();
        let numbers: Arc<[u32]> = numbers.into();
        let (mut next, mut done) = (0, 0);
        self.rows.features(piece, self.view, &wanted, numbers.clone(), &mut |found| {
            let count = found.columns.num_rows();
            let (columns, errors) = found.columns.columns().split_at(features.len());
            let Some(errors) = errors.first() else { return Ok(()) };
            for row in 0..count {
                let unit = found.units.at(row);
                let bytes = self.bytes(columns, errors, &features, &wanted, unit, row);
                let first = (self.units.facts(unit).visible.micros(), unit);
                while rows.get(next).is_some_and(|(address, _)| *address as u32 == numbers[done + row]) {
                    let (address, set) = rows[next];
                    take_greater(&mut best[set as usize], &bytes, first, address, whole)?;
                    next += 1;
                }
            }
            done += count;
            Ok(())
        })
    }

    /// The canonical bytes of those features that the row carries.
    fn bytes(
        &self,
        columns: &[ArrayRef],
        errors: &ArrayRef,
        features: &[Feature],
        places: &[usize],
        unit: u32,
        row: usize,
    ) -> Vec<u8> {
        let carried = self.units.facts(unit).features;
        let count = places.partition_point(|place| *place < carried);
        row_bytes_at(&columns[..count], errors, &features[..count], row)
    }
}

fn take_greater(
    best: &mut Option<Best>,
    bytes: &[u8],
    first: (i64, u32),
    address: Address,
    whole: bool,
) -> Result<(), TrainingError> {
    use std::cmp::Ordering;
    let greater = match best {
        None => true,
        Some(best) => match bytes.cmp(&best.bytes) {
            // Alike in what was kept; of which unit the greatest is, the rest of the rows says.
            Ordering::Equal if !whole && first.1 != best.first.1 => {
                return Err(TrainingError::NeedsWholeRows);
            }
            Ordering::Equal => first < best.first,
            _ if !whole => return Err(TrainingError::NeedsWholeRows),
            rank => rank == Ordering::Greater,
        },
    };
    if greater {
        *best = Some(Best { bytes: bytes.to_vec(), first, address });
    }
    Ok(())
}
