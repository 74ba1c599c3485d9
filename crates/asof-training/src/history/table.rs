//! The history of one view: the data files of its table, whose rows are canonical.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use asof_engine::EngineError;
use asof_engine::columns::{CREATED, ERRORS, EVENT, UNIT, arrow_type};
use asof_engine::source::SourceFile;
use asof_engine::source::admission::error_type;
use asof_engine::source::parquet_file::failed;
use asof_model::ValueType;
use asof_model::spec::{Feature, JoinKey};
use asof_parquet::{ParquetFile, RowsBatch, Selection};

use super::files::{Look, ParquetFiles, event_predicate, key_predicate};
use super::{
    BATCH_ROWS, FeatureRows, FeaturesSink, History, HistorySource, Instants, InstantsSink, Piece, Reach,
    RowUnits, WantedKeys,
};
use crate::TrainingError;
use crate::explain::Skipped;
use crate::join::Units;

/// A data file of a table.
#[derive(Debug, Clone)]
pub struct TableFile {
    /// The file.
    pub file: SourceFile,
    /// The units that its rows are of.
    pub units: Vec<String>,
    /// No event in it is earlier, microseconds.
    pub event_min: i64,
    /// No event in it is later.
    pub event_max: i64,
    /// Its rows.
    pub rows: u64,
}

/// The history of a view.
pub struct TableHistory {
    /// "view `trips@1`".
    pub what: String,
    /// The view's join keys.
    pub keys: Vec<JoinKey>,
    /// Its features, in order of addition.
    pub features: Vec<Feature>,
    /// The journaled units. Rows of others are invisible.
    pub units: Arc<Units>,
    /// The instant before which rows may be gone, microseconds.
    pub cut: Option<i64>,
    /// The data files of one version of the table.
    pub files: Vec<TableFile>,
}

struct OpenTable<'a> {
    of: &'a TableHistory,
    files: ParquetFiles,
    /// For each file what is known of the units of its rows.
    units: Vec<FileUnits>,
    units_matter: bool,
}

/// The units of the rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileUnits {
    /// All are of this one.
    One(u32),
    /// They are of several, all of which are journaled; this is one of them.
    Several(u32),
    /// Some are of units that are not journaled.
    Mixed,
}

impl HistorySource for TableHistory {
    fn what(&self) -> &str {
        &self.what
    }

    fn views(&self) -> usize {
        1
    }

    fn features_come_later(&self) -> bool {
        true
    }

    fn open(&self, reach: &[Reach], threads: usize) -> Result<Box<dyn History + '_>, TrainingError> {
        let Some(reach) = reach.first() else { return Err(no_view()) };
        if let Some(cut) = self.cut.filter(|cut| reach.first_label < *cut) {
            return Err(TrainingError::HistoryCut {
                history: self.what.clone(),
                cut,
                label: reach.first_label,
            });
        }
        let (mut files, mut units, mut skipped) = (Vec::new(), Vec::new(), Skipped::default());
        for file in self.files.iter().filter(|file| file.rows > 0) {
            let known: Vec<u32> = file.units.iter().filter_map(|unit| self.units.number(unit)).collect();
            let of_units = match (known.as_slice(), file.units.len()) {
                // Nobody sees a row of it.
                ([], _) => continue,
                ([unit], 1) if !self.units.is_parted(*unit) => FileUnits::One(*unit),
                ([unit, ..], all) if known.len() == all => FileUnits::Several(*unit),
                _ => FileUnits::Mixed,
            };
            if file.event_max < reach.from || reach.until < file.event_min {
                skipped.files_out_of_time += 1;
                skipped.rows += file.rows;
                continue;
            }
            files.push(file.file.clone());
            units.push(of_units);
        }
        let units_matter = reach.units_matter;
        let look = |number: usize, parquet: &ParquetFile| {
            let place = |name: &str| parquet.schema().index_of(name).ok();
            let mut columns: Vec<usize> = self.keys.iter().filter_map(|key| place(&key.name)).collect();
            let event = place(EVENT);
            columns.extend([event, place(CREATED)].into_iter().flatten());
            if units_matter || units[number] == FileUnits::Mixed {
                columns.extend(place(UNIT));
            }
            let mut predicates = Vec::new();
            predicates.extend(event.and_then(|event| event_predicate(event, Some(reach.from..=reach.until))));
            let key = self.keys.first().and_then(|key| place(&key.name));
            predicates.extend(key.zip(reach.keys.as_ref()).map(|(key, wanted)| key_predicate(key, wanted)));
            Ok(Look { columns, predicates })
        };
        let mut files = ParquetFiles::open(files, threads, look)?;
        files.skipped.add(&skipped);
        Ok(Box::new(OpenTable { of: self, files, units, units_matter }))
    }
}

fn no_view() -> TrainingError {
    let reason = "a history is read without a view".to_owned();
    TrainingError::Arrow(arrow::error::ArrowError::InvalidArgumentError(reason))
}

impl OpenTable<'_> {
    /// Whether the unit of each row has to be read to know keys and instants.
    fn reads_units(&self, file: usize) -> bool {
        match self.units[file] {
            FileUnits::One(_) => false,
            FileUnits::Several(_) => self.units_matter,
            FileUnits::Mixed => true,
        }
    }

    /// The rows of a piece whose keys labels may have.
    fn with_wanted_keys(
        &self,
        parquet: &ParquetFile,
        piece: usize,
        wanted: &dyn WantedKeys,
    ) -> Result<Selection, TrainingError> {
        let of = self.files.piece(piece);
        let names: Vec<(&str, DataType)> = self.key_columns().collect();
        let mut rows = Vec::new();
        for batch in self.read(parquet, of.file, of.group, &names, of.selection.clone())? {
            let batch = batch?;
            let may_have = wanted.may_have(0, &batch.columns);
            let these = batch.rows.iter().zip(may_have).filter(|(_, wanted)| *wanted);
            rows.extend(these.map(|(row, _)| *row));
        }
        Ok(Selection::Rows(rows.into()))
    }

    fn key_columns(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.of.keys.iter().map(|key| (key.name.as_str(), arrow_type(key.value_type)))
    }

    /// Columns by name, as their types; those that the file does not have are null.
    fn read<'a>(
        &'a self,
        parquet: &ParquetFile,
        file: usize,
        group: usize,
        columns: &'a [(&'a str, DataType)],
        selection: Selection,
    ) -> Result<impl Iterator<Item = Result<RowsBatch, TrainingError>> + use<'a>, TrainingError> {
        let place = |(name, data_type): &(&str, DataType)| {
            let place = parquet.schema().index_of(name).ok()?;
            // A list of features in error is never empty.
            let empty_is_null = !data_type.is_nested() || *name == ERRORS;
            (!(empty_is_null && parquet.holds_no_value(group, place))).then_some(place)
        };
        let places: Vec<Option<usize>> = columns.iter().map(place).collect();
        let read: Vec<usize> = places.iter().flatten().copied().collect();
        let batches = parquet.rows_at(group, &read, selection, BATCH_ROWS);
        let file = self.files.file(file);
        let batches = batches.map_err(|failure| failed(file, failure))?;
        Ok(batches.map(move |batch| {
            let batch = batch.map_err(|failure| failed(file, failure))?;
            let mut found = batch.columns.into_iter();
            let mut typed = Vec::with_capacity(columns.len());
            for ((name, data_type), place) in columns.iter().zip(&places) {
                typed.push(match place.and_then(|_| found.next()) {
                    Some(array) => conform(file, name, array, data_type)?,
                    None => new_null_array(data_type, batch.rows.len()),
                });
            }
            Ok(RowsBatch { rows: batch.rows, columns: typed })
        }))
    }

    /// The number of each row's unit, and which rows are visible; `None`: all.
    fn numbers(&self, names: &ArrayRef) -> (Vec<u32>, Option<Vec<bool>>) {
        let names = names.as_string::<i32>();
        let (mut numbers, mut visible, mut all) = (Vec::with_capacity(names.len()), Vec::new(), true);
        // Rows of one unit often stand together, so the name is looked up once for each run.
        let mut last: Option<(&str, Option<u32>)> = None;
        for name in names.iter().map(Option::unwrap_or_default) {
            let number = match last {
                Some((before, number)) if before == name => number,
                _ => self.of.units.number(name),
            };
            last = Some((name, number));
            all &= number.is_some();
            visible.push(number.is_some());
            numbers.push(number.unwrap_or(0));
        }
        (numbers, (!all).then_some(visible))
    }
}

impl History for OpenTable<'_> {
    fn pieces(&self) -> &[Piece] {
        self.files.facts()
    }

    fn files(&self) -> u64 {
        self.files.files_read()
    }

    fn skipped(&self) -> Skipped {
        self.files.skipped
    }

    fn instants(
        &self,
        piece: usize,
        wanted: &dyn WantedKeys,
        sink: &mut InstantsSink<'_>,
    ) -> Result<u64, TrainingError> {
        let of = self.files.piece(piece);
        let parquet = self.files.parquet(of.file)?;
        let selection = match wanted.are_few(0) {
            true => self.with_wanted_keys(&parquet, piece, wanted)?,
            false => of.selection.clone(),
        };
        let mut columns: Vec<(&str, DataType)> = self.key_columns().collect();
        let keys = columns.len();
        columns.extend([EVENT, CREATED].map(|name| (name, arrow_type(ValueType::Timestamp))));
        if self.reads_units(of.file) {
            columns.push((UNIT, DataType::Utf8));
        }
        for batch in self.read(&parquet, of.file, of.group, &columns, selection)? {
            let RowsBatch { mut rows, mut columns } = batch?;
            let units = match self.units[of.file] {
                _ if columns.len() > keys + 2 => {
                    let names = columns.remove(keys + 2);
                    let (mut numbers, visible) = self.numbers(&names);
                    if let Some(visible) = visible {
                        let kept = arrow::array::BooleanArray::from(visible.clone());
                        for column in &mut columns {
                            *column = arrow::compute::filter(column, &kept)?;
                        }
                        let mut place = visible.iter();
                        rows.retain(|_| place.next().copied().unwrap_or(false));
                        let mut place = visible.iter();
                        numbers.retain(|_| place.next().copied().unwrap_or(false));
                    }
                    RowUnits::Each(numbers)
                }
                FileUnits::One(unit) | FileUnits::Several(unit) => RowUnits::All(unit),
                // Their units are read.
                FileUnits::Mixed => continue,
            };
            let instants = columns.split_off(keys);
            let micros = |place: usize| -> ScalarBuffer<i64> {
                instants[place].as_primitive::<TimestampMicrosecondType>().values().clone()
            };
            let (events, createds) = (micros(0), micros(1));
            sink(0, Instants { rows, keys: columns, events, createds, units, features: None })?;
        }
        Ok(of.selection.len() as u64)
    }

    fn features(
        &self,
        piece: usize,
        _view: usize,
        features: &[usize],
        rows: Arc<[u32]>,
        sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError> {
        let of = self.files.piece(piece);
        let parquet = self.files.parquet(of.file)?;
        let mut columns: Vec<(&str, DataType)> = features
            .iter()
            .map(|place| &self.of.features[*place])
            .map(|feature| (feature.name.as_str(), arrow_type(feature.value_type)))
            .collect();
        columns.push((ERRORS, error_type()));
        let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let known = match self.units[of.file] {
            FileUnits::One(unit) => Some(RowUnits::All(unit)),
            _ => {
                columns.push((UNIT, DataType::Utf8));
                None
            }
        };
        for batch in self.read(&parquet, of.file, of.group, &columns, Selection::Rows(rows))? {
            let RowsBatch { mut columns, .. } = batch?;
            let units = match &known {
                Some(known) => known.clone(),
                None => match columns.pop() {
                    Some(names) => RowUnits::Each(self.numbers(&names).0),
                    None => continue,
                },
            };
            sink(FeatureRows { columns: RecordBatch::try_new(schema.clone(), columns)?, units })?;
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), TrainingError> {
        // Files of a table are never written again.
        Ok(())
    }
}

/// A column as its type says; Parquet does not say all of it, such as that lists of a column have one length.
fn conform(
    file: &SourceFile,
    name: &str,
    array: ArrayRef,
    data_type: &DataType,
) -> Result<ArrayRef, TrainingError> {
    use DataType::{FixedSizeList, List};
    if array.data_type() == data_type {
        return Ok(array);
    }
    let same = match (data_type, array.data_type()) {
        (List(one) | FixedSizeList(one, _), List(other)) => {
            one.data_type().equals_datatype(other.data_type())
        }
        (one, other) => one.equals_datatype(other),
    };
    let damaged = |reason: String| EngineError::Damaged {
        path: file.path.to_path_buf(),
        format: "Parquet",
        reason: format!("its column `{name}` {reason}"),
    };
    if !same {
        return Err(damaged(format!("is {}, not {data_type}", array.data_type())).into());
    }
    Ok(cast(&array, data_type).map_err(|error| damaged(error.to_string()))?)
}
