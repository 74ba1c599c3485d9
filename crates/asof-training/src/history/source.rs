//! The Parquet files of a source that is read in place, for one view or several: keys and instants of all rows that may
//! matter, features of the rows that some label met. Rows are admitted by the rules of a load.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampMicrosecondType};
use asof_engine::EngineError;
use asof_engine::columns::{ERRORS, arrow_type};
use asof_engine::source::admission::{AdmittedRows, FeatureAdmission, RowAdmission, error_type};
use asof_engine::source::convert::convert;
use asof_engine::source::parquet_file::ParquetRows;
use asof_engine::source::raw::Places;
use asof_engine::source::{RawBatch, SourceFile, Stamp, WantedColumn};
use asof_model::ValueType;
use asof_model::entry::Reading;
use asof_model::spec::{Feature, JoinKey, Source};
use asof_parquet::{ParquetFile, Selection};

use super::counts::{Counting, SourceCounts};
use super::files::{FilePiece, Look, ParquetFiles, event_predicate, key_predicate};
use super::{
    BATCH_ROWS, FeatureRows, FeaturesSink, History, HistorySource, Instants, InstantsSink, Piece, Reach,
    RowUnits, WantedKeys,
};
use crate::TrainingError;
use crate::explain::Skipped;

/// How far a local time may be from UTC, and more, in microseconds.
const LOCAL_SLACK: i64 = 26 * 3_600_000_000;

/// A source that is read in place.
pub struct SourceHistory {
    what: String,
    source: Source,
    files: Vec<(SourceFile, Stamp)>,
    views: Vec<SourceView>,
    /// The columns that any view needs for keys and instants, each once.
    columns: Vec<WantedColumn>,
}

/// One view over the source.
struct SourceView {
    keys: Vec<JoinKey>,
    features: Vec<Feature>,
    admission: RowAdmission,
    /// The columns of its admission, by their places among those of all.
    places: Vec<usize>,
    counting: Counting,
}

/// Puts columns into a list that holds each once; returns their places.
pub(super) fn places_among(all: &mut Vec<WantedColumn>, columns: &[WantedColumn]) -> Vec<usize> {
    let place = |column: &WantedColumn| match all.iter().position(|known| known.name == column.name) {
        Some(place) => {
            all[place].required |= column.required;
            place
        }
        None => {
            all.push(column.clone());
            all.len() - 1
        }
    };
    columns.iter().map(place).collect()
}

impl SourceHistory {
    /// The Parquet files of a source, as they are now, for views with these keys and features.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run; [`EngineError::Io`] for a file that is gone.
    pub fn new<'a>(
        source: &Source,
        files: Vec<SourceFile>,
        views: impl IntoIterator<Item = (&'a [JoinKey], &'a [Feature])>,
    ) -> Result<Self, EngineError> {
        let mut columns = Vec::new();
        let mut all = Vec::new();
        for (keys, features) in views {
            let admission = RowAdmission::new(source, keys)?;
            let places = places_among(&mut columns, admission.columns());
            let (keys, features) = (keys.to_vec(), features.to_vec());
            all.push(SourceView { keys, features, admission, places, counting: Counting::default() });
        }
        let stamped = |file: SourceFile| file.stamp().map(|stamp| (file, stamp));
        Ok(Self {
            what: format!("source `{}` in place", source.name),
            source: source.clone(),
            files: files.into_iter().map(stamped).collect::<Result<Vec<_>, _>>()?,
            views: all,
            columns,
        })
    }

    /// The columns that are read of the files, those of features included.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn wanted_columns(&self) -> Result<Vec<WantedColumn>, EngineError> {
        let mut all = self.columns.clone();
        for view in &self.views {
            places_among(&mut all, FeatureAdmission::new(&self.source, &view.features)?.columns());
        }
        Ok(all)
    }

    /// What was read for a view.
    pub fn counts(&self, view: usize) -> SourceCounts {
        self.views[view].counting.counts()
    }

    fn owner(&self) -> String {
        format!("source `{}`", self.source.name)
    }

    fn reading(&self) -> Reading {
        Reading { zone: self.source.zone(), unit: self.source.unit }
    }

    /// What rows that any view can use have, in one file.
    fn look(&self, reach: &[Reach], rows: &ParquetRows) -> Look {
        let schema = rows.parquet().schema();
        let columns = (0..self.columns.len()).filter_map(|column| rows.place(column)).collect();
        let mut predicates = Vec::new();
        let from = reach.iter().map(|reach| reach.from).min().unwrap_or(i64::MIN);
        let until = reach.iter().map(|reach| reach.until).max().unwrap_or(i64::MAX);
        // All views name one event.
        let of_view = |view: &SourceView, column: usize| rows.place(*view.places.get(column)?);
        let event = self.views.first().and_then(|view| of_view(view, view.admission.event_column()?));
        predicates.extend(event.and_then(|event| {
            let stored = stored_range(schema.field(event).data_type(), &self.reading(), from, until);
            event_predicate(event, stored)
        }));
        if let ([view], [reach]) = (self.views.as_slice(), reach) {
            let key = view.admission.key_column(0).and_then(|column| of_view(view, column));
            let stored = |key: usize| {
                // Numbers are compared as they are stored, so only those that are stored as they are.
                let declared = arrow_type(view.keys[0].value_type);
                let found = schema.field(key).data_type();
                let narrower = (&declared, found) == (&DataType::Int64, &DataType::Int32);
                // A uuid may be written in several ways.
                let as_it_stands = view.keys[0].value_type != ValueType::Uuid;
                (as_it_stands && (declared == *found || narrower)).then_some(key)
            };
            predicates.extend(
                key.and_then(stored).zip(reach.keys.as_ref()).map(|(key, wanted)| key_predicate(key, wanted)),
            );
        }
        Look { columns, predicates }
    }
}

/// The numbers that a column may hold where its instants lie in a range, as they are stored. `None`: nothing is known.
fn stored_range(of: &DataType, reading: &Reading, from: i64, until: i64) -> Option<RangeInclusive<i64>> {
    let wider = |slack: i64| (from.saturating_sub(slack), until.saturating_add(slack));
    let scaled = |(from, until): (i64, i64), unit: TimeUnit| match unit {
        TimeUnit::Second => from.div_euclid(1_000_000)..=until.div_euclid(1_000_000).saturating_add(1),
        TimeUnit::Millisecond => from.div_euclid(1_000)..=until.div_euclid(1_000).saturating_add(1),
        TimeUnit::Microsecond => from..=until,
        TimeUnit::Nanosecond => from.saturating_mul(1_000)..=until.saturating_add(1).saturating_mul(1_000),
    };
    match of {
        DataType::Timestamp(unit, Some(_)) => Some(scaled((from, until), *unit)),
        DataType::Timestamp(unit, None) => Some(scaled(wider(LOCAL_SLACK), *unit)),
        DataType::Date32 => {
            let (from, until) = wider(LOCAL_SLACK);
            const DAY: i64 = 86_400_000_000;
            Some(from.div_euclid(DAY)..=until.div_euclid(DAY).saturating_add(1))
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let unit = match reading.unit? {
                asof_model::TimeUnit::Seconds => TimeUnit::Second,
                asof_model::TimeUnit::Milliseconds => TimeUnit::Millisecond,
                asof_model::TimeUnit::Microseconds => TimeUnit::Microsecond,
                asof_model::TimeUnit::Nanoseconds => TimeUnit::Nanosecond,
            };
            Some(scaled((from, until), unit))
        }
        _ => None,
    }
}

impl HistorySource for SourceHistory {
    fn what(&self) -> &str {
        &self.what
    }

    fn views(&self) -> usize {
        self.views.len()
    }

    fn features_come_later(&self) -> bool {
        true
    }

    fn open(&self, reach: &[Reach], threads: usize) -> Result<Box<dyn History + '_>, TrainingError> {
        self.views.iter().for_each(|view| view.counting.clear());
        let owner = self.owner();
        let files = self.files.iter().map(|(file, _)| file.clone()).collect();
        let look = |number: usize, parquet: &ParquetFile| {
            let rows = ParquetRows::new(&owner, &self.files[number].0, parquet.clone(), &self.columns)?;
            Ok(self.look(reach, &rows))
        };
        let files = ParquetFiles::open(files, threads, look)?;
        Ok(Box::new(OpenSource { of: self, owner, files }))
    }
}

struct OpenSource<'a> {
    of: &'a SourceHistory,
    owner: String,
    files: ParquetFiles,
}

impl OpenSource<'_> {
    fn rows(&self, piece: &FilePiece, columns: &[WantedColumn]) -> Result<Arc<ParquetRows>, TrainingError> {
        let parquet = self.files.parquet(piece.file)?;
        Ok(Arc::new(ParquetRows::new(&self.owner, self.files.file(piece.file), parquet, columns)?))
    }

    /// The rows of a piece whose keys labels may have, or can't be read. `None`: the keys are computed.
    fn with_wanted_keys(
        &self,
        piece: &FilePiece,
        view: &SourceView,
        wanted: &dyn WantedKeys,
    ) -> Result<Option<Selection>, TrainingError> {
        let columns: Option<Vec<WantedColumn>> = (0..view.keys.len())
            .map(|key| Some(view.admission.columns()[view.admission.key_column(key)?].clone()))
            .collect();
        let Some(columns) = columns.filter(|columns| !columns.is_empty()) else { return Ok(None) };
        let mut rows = Vec::new();
        let reading = self.of.reading();
        for raw in self.rows(piece, &columns)?.read(piece.group, piece.selection.clone(), BATCH_ROWS)? {
            let raw = raw?;
            let mut unreadable = vec![false; raw.rows];
            let mut keys: Vec<ArrayRef> = Vec::with_capacity(columns.len());
            for (key, column) in view.keys.iter().zip(&raw.columns) {
                let (array, failed) = convert(column, raw.rows, key.value_type, &reading);
                failed.into_iter().for_each(|(row, _)| unreadable[row] = true);
                (0..raw.rows).filter(|row| array.is_null(*row)).for_each(|row| unreadable[row] = true);
                keys.push(array);
            }
            let may_have = wanted.may_have(0, &keys);
            let wanted = |row: &usize| may_have[*row] || unreadable[*row];
            rows.extend((0..raw.rows).filter(wanted).map(|row| number_of(&raw, row)));
        }
        Ok(Some(Selection::Rows(rows.into())))
    }
}

/// The number of a row in its row group.
fn number_of(raw: &RawBatch, row: usize) -> u32 {
    match &raw.places {
        Places::Of { rows, .. } => rows[row],
        // Batches of Parquet files say where in a row group they are.
        _ => row as u32,
    }
}

/// Keys and instants of the rows that were admitted. `numbers`: the number of each row of the batch.
pub(super) fn instants_of(
    admitted: AdmittedRows,
    keys: usize,
    numbers: impl Fn(usize) -> u32,
    rows: usize,
) -> Result<(Instants, Option<BooleanArray>), TrainingError> {
    let AdmittedRows { taken, mut columns, .. } = admitted;
    let numbers: Vec<u32> = match &taken {
        None => (0..rows).map(numbers).collect(),
        Some(taken) => (0..rows).filter(|row| taken.value(*row)).map(numbers).collect(),
    };
    if let Some(taken) = &taken {
        for column in &mut columns {
            *column = filter(column, taken)?;
        }
    }
    let instants = columns.split_off(keys);
    let micros = |place: usize| -> ScalarBuffer<i64> {
        instants[place].as_primitive::<TimestampMicrosecondType>().values().clone()
    };
    let (events, createds) = (micros(0), micros(1));
    // Nobody published these rows: all are of the one unit that says so.
    let units = RowUnits::All(0);
    Ok((Instants { rows: numbers, keys: columns, events, createds, units, features: None }, taken))
}

impl History for OpenSource<'_> {
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
        let few = match self.of.views.as_slice() {
            [view] if wanted.are_few(0) => self.with_wanted_keys(of, view, wanted)?,
            _ => None,
        };
        let looked_at = of.selection.len() as u64;
        let mut read = 0;
        let selection = few.unwrap_or_else(|| of.selection.clone());
        for raw in self.rows(of, &self.of.columns)?.read(of.group, selection, BATCH_ROWS)? {
            let raw = raw?;
            read += raw.rows as u64;
            for (place, view) in self.of.views.iter().enumerate() {
                let own = raw.project(&view.places);
                let admitted = view.admission.admit(&own)?;
                view.counting.rows(piece, own.rows as u64, admitted.filtered, &admitted.bad);
                let number = |row: usize| number_of(&raw, row);
                let (instants, _) = instants_of(admitted, view.keys.len(), number, raw.rows)?;
                sink(place, instants)?;
            }
        }
        for view in &self.of.views {
            view.counting.rows(piece, looked_at - read, 0, &[]);
        }
        Ok(looked_at)
    }

    fn features(
        &self,
        piece: usize,
        view: usize,
        features: &[usize],
        rows: Arc<[u32]>,
        sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError> {
        let of = self.files.piece(piece);
        let view = &self.of.views[view];
        let features: Vec<Feature> = features.iter().map(|place| view.features[*place].clone()).collect();
        let admission = FeatureAdmission::new(&self.of.source, &features)?;
        let mut fields: Vec<Field> =
            features.iter().map(|each| Field::new(&each.name, arrow_type(each.value_type), true)).collect();
        fields.push(Field::new(ERRORS, error_type(), true));
        let schema = Arc::new(Schema::new(fields));
        let read = self.rows(of, admission.columns())?;
        for raw in read.read(of.group, Selection::Rows(rows), BATCH_ROWS)? {
            let found = admission.read(&raw?)?;
            view.counting.errors(piece, found.feature_errors);
            let columns = RecordBatch::try_new(schema.clone(), found.columns)?;
            sink(FeatureRows { columns, units: RowUnits::All(0) })?;
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), TrainingError> {
        for (file, stamp) in &self.of.files {
            file.check_stamp(*stamp)?;
        }
        Ok(())
    }
}
