//! Labels to records: for each choice of keys, the labels of each shard.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use asof_model::ValueType;
use parking_lot::Mutex;

use super::index::shard_count;
use super::keys::{KeyForm, KeyValues, Keys};
use super::lane::Lane;
use super::order::Order;
use super::run::Run;
use super::shard::Shard;
use crate::buckets::Buckets;
use crate::distinct::Distinct;
use crate::labels::{LABEL_ROWS_MAX, Labels, ValueColumn};
use crate::{TrainingError, pool};

/// Labels where nobody can tell how many there will be.
const ROWS_GUESSED: u64 = 1 << 20;

/// The labels by one choice of keys.
pub(crate) struct Keyed<'a> {
    pub form: KeyForm,
    /// The labels of each shard, as [`Shard::new`] takes them. Rows with a null key are in none: they are MISSING.
    pub records: Buckets<'a>,
    /// Bytes of keys beside what each label takes anyway.
    key_bytes: AtomicU64,
    distinct: Mutex<Distinct>,
    labels: AtomicU64,
    /// The least and the greatest key, where keys are numbers.
    least: AtomicI64,
    greatest: AtomicI64,
}

/// All labels.
pub(crate) struct LabelPass<'a> {
    pub keyed: Vec<Keyed<'a>>,
    pub rows: u64,
    /// The first and the last time, microseconds. Without labels the first is greater.
    pub times: (i64, i64),
    /// The last instant of knowledge.
    pub known_max: i64,
}

impl Keyed<'_> {
    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.records.len()
    }

    /// How many labels have a key.
    pub fn labels(&self) -> u64 {
        self.labels.load(Ordering::Relaxed)
    }

    /// The least and the greatest key. `None`: keys are no numbers, or there is none.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let bounds = (self.least.load(Ordering::Relaxed), self.greatest.load(Ordering::Relaxed));
        (bounds.0 <= bounds.1).then_some(bounds)
    }

    /// Bytes of the slots of all labels, with their keys. `lanes`: for each lane whether rows may be offered to spans.
    pub fn slot_bytes(&self, lanes: &[bool]) -> u64 {
        let places: u64 = lanes.iter().map(|spans| if *spans { 3 } else { 1 }).sum();
        let label = Shard::LABEL_BYTES + Lane::SLOT_BYTES * places;
        let key = Shard::KEY_BYTES + Lane::KEY_BYTES * lanes.len() as u64;
        let labels = self.labels();
        // The estimate may be off by some percent.
        let keys = self.distinct.lock().estimate();
        let keys = (keys + keys / 8).min(labels);
        label * labels + key * keys + self.key_bytes.load(Ordering::Relaxed)
    }
}

/// Reads keys and instants of all labels.
///
/// # Errors
/// Those of the label table; [`TrainingError::TooManyLabels`].
pub(crate) fn read<'a>(run: &Run<'a>, labels: &dyn Labels) -> Result<LabelPass<'a>, TrainingError> {
    let spec = run.spec;
    // Key columns, each once, then the instants.
    let mut columns: Vec<ValueColumn> = Vec::new();
    let mut place = |name: &str, value_type: ValueType, required: bool| {
        let same = |known: &ValueColumn| known.name == name && known.value_type == value_type;
        let place = columns.iter().position(same).unwrap_or(columns.len());
        match columns.get_mut(place) {
            Some(known) => known.required |= required,
            None => columns.push(ValueColumn { name: name.to_owned(), value_type, required }),
        }
        place
    };
    let mut of_keys = |keys: &Vec<(String, ValueType)>| {
        keys.iter().map(|(name, value_type)| place(name, *value_type, false)).collect()
    };
    let keys: Vec<Vec<usize>> = spec.keys.iter().map(&mut of_keys).collect();
    let time = place(&spec.time, ValueType::Timestamp, true);
    let known = spec.known.as_ref().map(|known| place(known, ValueType::Timestamp, true));
    for (name, value_type) in &spec.request {
        place(name, *value_type, false);
    }

    let told = labels.rows();
    let shards = shard_count(if told == 0 { ROWS_GUESSED } else { told });
    let held_max = run.memory.buckets() / spec.keys.len().max(1) as u64;
    let keyed = spec.keys.iter().map(|keys| {
        let types: Vec<ValueType> = keys.iter().map(|(_, of)| *of).collect();
        Keyed {
            form: KeyForm::of(&types),
            records: Buckets::new(run.scratch, shards, held_max),
            key_bytes: AtomicU64::new(0),
            distinct: Mutex::default(),
            labels: AtomicU64::new(0),
            least: AtomicI64::new(i64::MAX),
            greatest: AtomicI64::new(i64::MIN),
        }
    });
    let keyed: Vec<Keyed<'_>> = keyed.collect();
    let (first, last) = (AtomicI64::new(i64::MAX), AtomicI64::new(i64::MIN));
    let known_last = AtomicI64::new(i64::MIN);
    let work = |pad: &mut Pad, piece: usize| {
        labels.values(piece, &columns, &mut |first_row, arrays| {
            run.check()?;
            let rows = arrays[time].len();
            let last_row = first_row + rows as u64;
            if last_row > LABEL_ROWS_MAX {
                return Err(TrainingError::TooManyLabels { rows: last_row, max: LABEL_ROWS_MAX });
            }
            let times = arrays[time].as_primitive::<TimestampMicrosecondType>().values();
            let knowns = known.map(|known| arrays[known].as_primitive::<TimestampMicrosecondType>().values());
            if let Some((least, greatest)) = bounds(times.iter().copied()) {
                first.fetch_min(least, Ordering::Relaxed);
                last.fetch_max(greatest, Ordering::Relaxed);
            }
            if let Some((_, greatest)) = bounds(knowns.unwrap_or(times).iter().copied()) {
                known_last.fetch_max(greatest, Ordering::Relaxed);
            }
            for (place, ((keyed, columns), types)) in keyed.iter().zip(&keys).zip(&spec.keys).enumerate() {
                let columns: Vec<(&ArrayRef, ValueType)> =
                    columns.iter().zip(types).map(|(place, (_, of))| (&arrays[*place], *of)).collect();
                pad.add(
                    (keyed, place),
                    &Keys::new(&columns, rows),
                    first_row as u32,
                    times,
                    knowns.map(|known| &**known),
                )?;
            }
            run.progress.advance(READ_LABELS, rows as u64);
            Ok(())
        })
    };
    run.progress.begin(READ_LABELS, "rows", (told > 0).then_some(told));
    let pad = || Pad { distinct: keyed.iter().map(|_| Distinct::default()).collect(), ..Pad::default() };
    let read = pool::run(run.threads, labels.pieces(), pad, work, |pad| {
        keyed.iter().zip(&pad.distinct).for_each(|(keyed, of_pad)| keyed.distinct.lock().merge(of_pad));
        Ok(())
    });
    run.progress.finish(READ_LABELS, &format!("{} rows", labels.rows()));
    read?;
    Ok(LabelPass {
        keyed,
        rows: labels.rows(),
        times: (first.into_inner(), last.into_inner()),
        known_max: known_last.into_inner(),
    })
}

/// The least and the greatest of some numbers.
fn bounds(numbers: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    numbers.fold(None, |bounds: Option<(i64, i64)>, number| {
        Some(bounds.map_or((number, number), |(least, greatest)| (least.min(number), greatest.max(number))))
    })
}

/// What the first step is called.
const READ_LABELS: &str = "read labels";

/// What a thread works in.
#[derive(Default)]
struct Pad {
    hashes: Vec<u64>,
    order: Order,
    records: Vec<u8>,
    /// The keys that were met, for each choice of keys.
    distinct: Vec<Distinct>,
}

impl Pad {
    fn add(
        &mut self,
        (keyed, place): (&Keyed<'_>, usize),
        keys: &Keys,
        first_row: u32,
        times: &[i64],
        knowns: Option<&[i64]>,
    ) -> Result<(), TrainingError> {
        keys.hashes(&mut self.hashes);
        self.order.sort(&self.hashes, keyed.shards(), |row| keys.is_valid(row));
        let mut key_bytes = 0;
        if let KeyValues::Numbers(numbers) = &keys.values {
            let valid = numbers.iter().enumerate().filter(|(row, _)| keys.is_valid(*row));
            if let Some((least, greatest)) = bounds(valid.map(|(_, number)| *number)) {
                keyed.least.fetch_min(least, Ordering::Relaxed);
                keyed.greatest.fetch_max(greatest, Ordering::Relaxed);
            }
        }
        for shard in 0..keyed.shards() {
            let rows = self.order.of(shard);
            if rows.is_empty() {
                continue;
            }
            self.records.clear();
            for row in rows.iter().map(|row| *row as usize) {
                let (number, key) = match &keys.values {
                    KeyValues::Numbers(numbers) => (numbers[row], None),
                    bytes => (0, Some(bytes.bytes_at(row))),
                };
                key_bytes += key.map_or(0, |key| key.len() as u64);
                self.distinct[place].add(self.hashes[row]);
                let known = knowns.map(|knowns| knowns[row]);
                Shard::write_label(&mut self.records, number, key, first_row + row as u32, times[row], known);
            }
            keyed.records.append(shard, &self.records, rows.len() as u64)?;
            keyed.labels.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        keyed.key_bytes.fetch_add(key_bytes, Ordering::Relaxed);
        Ok(())
    }
}
