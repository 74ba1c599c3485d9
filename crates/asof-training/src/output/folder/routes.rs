//! Which file of a folder a row goes to: by whether it trains or validates, and by the values of columns.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::EngineError;
use asof_engine::columns::value_at;
use asof_engine::source::convert::convert;
use asof_engine::source::partitions;
use asof_engine::source::raw::{Form, RawColumn, normalise};
use asof_model::entry::Reading;
use asof_model::{ValueType, canonical, name};
use parking_lot::Mutex;

use crate::TrainingError;
use crate::output::rows::Rows;
use crate::output::spec::{FolderOptions, Split};
use crate::output::texts::{self, ColumnText};

/// The most folders that rows of one training set go to.
pub const FOLDERS_MAX: usize = 4_096;

/// Where rows that train, and rows that validate, stand.
const SPLIT: [&str; 2] = ["train/", "validation/"];

/// The folders that rows go to, numbered as they come up.
pub(super) struct Routes<'o> {
    split: Option<(&'o Split, Vec<usize>)>,
    /// The places of the columns that name folders, and what they are called.
    parted: Vec<(usize, &'o str)>,
    known: Mutex<HashMap<String, u32>>,
}

impl<'o> Routes<'o> {
    /// The routes of a folder.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`] for a column that the output lacks, or the labels for a split.
    pub fn new(rows: &Rows<'_, '_>, options: &'o FolderOptions) -> Result<Self, TrainingError> {
        let fields = rows.schema.fields();
        let place = |column: &str, among: usize| {
            let known = || fields[..among].iter().map(|field| field.name().as_str());
            known().position(|name| name == column).ok_or_else(|| EngineError::NoColumn {
                what: "the training set".to_owned(),
                path: rows.spec.at.to_string().into(),
                column: column.to_owned(),
                hint: name::suggestion(column, known()),
            })
        };
        let split = match &options.split {
            Some(split @ Split::Time { column, .. }) => Some((split, vec![place(column, rows.own)?])),
            Some(split @ Split::Keys { columns, .. }) => {
                let places = columns.iter().map(|(column, _)| place(column, rows.own));
                Some((split, places.collect::<Result<_, _>>()?))
            }
            None => None,
        };
        let parted = options
            .partition_by
            .iter()
            .map(|column| Ok::<_, EngineError>((place(column, fields.len())?, column.as_str())));
        Ok(Self { split, parted: parted.collect::<Result<_, _>>()?, known: Mutex::default() })
    }

    /// The places of the columns that stand in files, in order.
    pub fn in_files(&self, columns: usize) -> Vec<usize> {
        (0..columns).filter(|column| self.parted.iter().all(|(parted, _)| parted != column)).collect()
    }

    /// The folders that there are, by their numbers: empty, or ending in `/`.
    pub fn folders(&self) -> Vec<String> {
        let known = self.known.lock();
        let mut all = vec![String::new(); known.len()];
        known.iter().for_each(|(folder, number)| all[*number as usize].clone_from(folder));
        all
    }

    /// The numbers of the folders that rows go to.
    ///
    /// # Errors
    /// [`TrainingError::TooManyFolders`]; [`EngineError::Label`] for a time or a key that can't be read.
    pub fn of(
        &self,
        rows: &Rows<'_, '_>,
        columns: &[ArrayRef],
        count: usize,
    ) -> Result<Vec<u32>, TrainingError> {
        let validates = match &self.split {
            Some((split, places)) => Some(validates(split, places, columns, count)?),
            None => None,
        };
        let shown = texts::shown(rows, columns);
        let texts = self.parted.iter().map(|(place, _)| ColumnText::new(rows, &shown, *place));
        let texts: Vec<ColumnText<'_>> = texts.collect::<Result<_, _>>()?;
        let (mut numbers, mut folder) = (Vec::with_capacity(count), String::new());
        let mut last: Option<(String, u32)> = None;
        for row in 0..count {
            folder.clear();
            folder.push_str(validates.as_ref().map_or("", |validates| SPLIT[usize::from(validates[row])]));
            for (text, (_, column)) in texts.iter().zip(&self.parted) {
                folder.push_str(&partitions::folder_name(column, text.at(row)?.as_deref()));
                folder.push('/');
            }
            let number = match &last {
                Some((before, number)) if *before == folder => *number,
                _ => {
                    let number = self.number(&folder)?;
                    last = Some((folder.clone(), number));
                    number
                }
            };
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn number(&self, folder: &str) -> Result<u32, TrainingError> {
        let mut known = self.known.lock();
        if let Some(number) = known.get(folder) {
            return Ok(*number);
        }
        let next = known.len();
        if next == FOLDERS_MAX {
            return Err(TrainingError::TooManyFolders { max: FOLDERS_MAX });
        }
        known.insert(folder.to_owned(), next as u32);
        Ok(next as u32)
    }
}

/// Which rows validate.
fn validates(
    split: &Split,
    places: &[usize],
    columns: &[ArrayRef],
    count: usize,
) -> Result<Vec<bool>, TrainingError> {
    match split {
        Split::Time { column, reading, from } => {
            let times = values(column, &columns[places[0]], ValueType::Timestamp, reading)?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            Ok((0..count).map(|row| times.is_valid(row) && times.value(row) >= *from).collect())
        }
        Split::Keys { columns: keys, reading, share } => {
            let converted = keys.iter().zip(places);
            let converted = converted.map(|((name, of), place)| values(name, &columns[*place], *of, reading));
            let converted: Vec<ArrayRef> = converted.collect::<Result<_, _>>()?;
            let mut bytes = Vec::new();
            Ok((0..count)
                .map(|row| {
                    bytes.clear();
                    for ((_, of), values) in keys.iter().zip(&converted) {
                        let start = bytes.len();
                        if let Some(value) = value_at(values, *of, row) {
                            canonical::write_bits(&mut bytes, &value);
                        }
                        bytes.extend(((bytes.len() - start) as u32).to_le_bytes());
                    }
                    share_of(&bytes) >= 1.0 - share
                })
                .collect())
        }
    }
}

/// Where a key stands between 0 and 1: the first 53 bits of its BLAKE3 hash. The same in every version and on every
/// machine.
fn share_of(key: &[u8]) -> f64 {
    let hash = blake3::hash(key);
    let head = hash.as_bytes().iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
    (head >> 11) as f64 / (1_u64 << 53) as f64
}

fn values(
    column: &str,
    array: &ArrayRef,
    of: ValueType,
    reading: &Reading,
) -> Result<ArrayRef, TrainingError> {
    // The join has read them as this type already, so that they can be.
    let bad = |row: usize, reason: String| EngineError::Label {
        column: column.to_owned(),
        row: row as u64 + 1,
        reason,
    };
    let Some(plain) = normalise(array) else {
        return Err(bad(0, format!("its type {} holds no single values", array.data_type())).into());
    };
    let raw = RawColumn { name: column.to_owned(), array: plain, form: Form::Typed };
    let (values, failed) = convert(&raw, array.len(), of, reading);
    match failed.first() {
        Some((row, error)) => Err(bad(*row, error.to_string()).into()),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: of many keys the asked share validates, and a larger share holds the smaller one.
    #[test]
    fn shares_of_keys() {
        let at: Vec<f64> = (0..20_000_u32).map(|key| share_of(&key.to_le_bytes())).collect();
        assert!(at.iter().all(|at| (0.0..1.0).contains(at)));
        let above = |share: f64| at.iter().filter(|at| **at >= 1.0 - share).count();
        assert_eq!((above(0.0), above(1.0)), (0, at.len()));
        assert!((3_800..4_200).contains(&above(0.2)), "{}", above(0.2));
    }
}
