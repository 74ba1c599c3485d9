//! Label tables and training sets on disk: what tests make, write and read.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::NoProgress;
use asof_engine::columns::ColumnBuilder;
use asof_engine::source::admission::error_type;
use asof_model::entry::Reading;
use asof_model::spec::{About, Feature};
use asof_model::{Instant, Location, Rule, Value, ValueType, Zone};
use asof_objects::Objects;
use asof_training::explain::Skipped;
use asof_training::history::{
    FeatureRows, FeaturesSink, History, HistorySource, Instants, InstantsSink, Piece, Reach, RowUnits,
    WantedKeys,
};
use asof_training::join::{JoinSpec, Joins, Resources, UnitFacts, Units, ViewSpec, join};
use asof_training::labels::{LabelTable, Labels, ValueColumn};
use asof_training::output::computed::FeaturePlace;
use asof_training::output::spec::ParquetOptions;
use asof_training::output::{self, Layout, Of, OutputColumn, OutputSpec, What, Writing, Written};
use asof_training::{Memory, Scratch, TrainingError};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A feature with a value for each label.
pub(crate) struct Given {
    pub name: &'static str,
    pub value_type: ValueType,
    pub values: ArrayRef,
}

pub(crate) fn given(name: &'static str, value_type: ValueType, values: &[Option<Value>]) -> Given {
    let mut builder = ColumnBuilder::new(value_type, values.len());
    values.iter().for_each(|value| builder.append(value.as_ref()));
    Given { name, value_type, values: builder.finish() }
}

/// History with a row for each label time, which is its key and its event.
struct GivenHistory {
    times: ArrayRef,
    features: Vec<ArrayRef>,
    pieces: [Piece; 1],
}

impl HistorySource for GivenHistory {
    fn what(&self) -> &str {
        "what is given"
    }

    fn views(&self) -> usize {
        1
    }

    fn features_come_later(&self) -> bool {
        true
    }

    fn open(&self, _reach: &[Reach], _threads: usize) -> Result<Box<dyn History + '_>, TrainingError> {
        Ok(Box::new(self))
    }
}

impl History for &GivenHistory {
    fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    fn files(&self) -> u64 {
        0
    }

    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    fn instants(
        &self,
        _: usize,
        _: &dyn WantedKeys,
        sink: &mut InstantsSink<'_>,
    ) -> Result<u64, TrainingError> {
        let events = self.times.as_primitive::<TimestampMicrosecondType>().values().clone();
        let rows = (0..events.len() as u32).collect();
        let (keys, units) = (vec![self.times.clone()], RowUnits::All(0));
        let count = events.len() as u64;
        sink(0, Instants { rows, keys, createds: events.clone(), events, units, features: None })?;
        Ok(count)
    }

    fn features(
        &self,
        _piece: usize,
        _view: usize,
        features: &[usize],
        rows: Arc<[u32]>,
        sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError> {
        if self.features.iter().any(|values| values.len() != self.times.len()) {
            return Err(TrainingError::LabelsChanged);
        }
        let rows = arrow::array::UInt32Array::from(rows.to_vec());
        let taken = |array: &ArrayRef| arrow::compute::take(array, &rows, None).unwrap();
        let mut columns: Vec<(String, ArrayRef)> =
            features.iter().map(|place| (format!("c{place}"), taken(&self.features[*place]))).collect();
        columns.push(("errors".to_owned(), new_null_array(&error_type(), rows.len())));
        let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
        let columns = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
        sink(FeatureRows { columns, units: RowUnits::All(0) })
    }

    fn check_unchanged(&self) -> Result<(), TrainingError> {
        Ok(())
    }
}

pub(crate) fn open(
    path: &Path,
    zone: &Zone,
    time: &str,
    typed: bool,
) -> Result<Box<dyn Labels>, TrainingError> {
    let reading = Reading { zone: zone.clone(), unit: None };
    let at = Location::Local(path.to_owned());
    LabelTable { at: &at, shown: path, reading: &reading, time, typed }.open(&Objects::new([]))
}

/// All values of a column as a type.
pub(crate) fn values(
    labels: &dyn Labels,
    name: &str,
    value_type: ValueType,
    required: bool,
) -> Result<ArrayRef, TrainingError> {
    let columns = [ValueColumn { name: name.to_owned(), value_type, required }];
    let mut parts: Vec<ArrayRef> = Vec::new();
    for piece in 0..labels.pieces() {
        labels.values(piece, &columns, &mut |_, arrays| {
            parts.extend(arrays);
            Ok(())
        })?;
    }
    if parts.is_empty() {
        return Ok(ColumnBuilder::new(value_type, 0).finish());
    }
    let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    Ok(concat(&parts).unwrap())
}

pub(crate) fn times(labels: &dyn Labels, name: &str) -> Result<Vec<i64>, TrainingError> {
    let values = values(labels, name, ValueType::Timestamp, true)?;
    Ok(values.as_primitive::<TimestampMicrosecondType>().values().to_vec())
}

/// Makes a training set: the labels with the values that are given.
pub(crate) fn make(
    path: &Path,
    time: &str,
    given: &[Given],
    out: &Path,
    notes: &[(&str, &str)],
) -> Result<u64, TrainingError> {
    make_on(path, time, given, out, notes, 2)
}

pub(crate) fn make_on(
    path: &Path,
    time: &str,
    given: &[Given],
    out: &Path,
    notes: &[(&str, &str)],
    threads: usize,
) -> Result<u64, TrainingError> {
    let typed = out.extension().is_some_and(|suffix| suffix == "parquet");
    let layout = if typed { Layout::Parquet(ParquetOptions::default()) } else { Layout::Csv };
    let written = make_laid_out(path, time, given, out, layout, notes, (threads, 1 << 30))?;
    Ok(written.bytes)
}

/// Makes a training set of any layout on so many threads within so many bytes of memory.
pub(crate) fn make_laid_out(
    path: &Path,
    time: &str,
    given: &[Given],
    out: &Path,
    layout: Layout,
    notes: &[(&str, &str)],
    (threads, memory): (usize, u64),
) -> Result<Written, TrainingError> {
    let labels = open(path, &Zone::utc(), time, layout != Layout::Csv)?;
    let keys = values(labels.as_ref(), time, ValueType::Timestamp, false)?;
    let feature = |given: &Given| Feature {
        name: given.name.to_owned(),
        value_type: given.value_type,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    };
    let mut units = Units::default();
    let facts = UnitFacts {
        visible: Instant::MIN,
        features: given.len(),
        bulk: Vec::new(),
        replaced: Vec::new(),
        stays: false,
    };
    units.add("all", facts);
    let folder = tempfile::tempdir().unwrap();
    let history = GivenHistory {
        times: keys,
        features: given.iter().map(|given| given.values.clone()).collect(),
        pieces: [Piece { rows: None, bytes: 0 }],
    };
    let spec = JoinSpec {
        histories: vec![Arc::new(history)],
        keys: vec![vec![(time.to_owned(), ValueType::Timestamp)]],
        views: vec![ViewSpec {
            history: 0,
            view: 0,
            keys: 0,
            rule: Rule::default(),
            features: given.iter().map(feature).collect(),
            asked: (0..given.len()).collect(),
            units: Arc::new(units),
            compares: false,
        }],
        windows: Vec::new(),
        order: vec![Joins::Values(0)],
        time: time.to_owned(),
        known: None,
        request: Vec::new(),
        statuses: false,
        events: false,
        resources: Resources { memory: Memory::new(memory), threads, scratch: folder.path().to_owned() },
    };
    let column = |(place, given): (usize, &Given)| OutputColumn {
        name: given.name.to_owned(),
        origin: format!("feature `{}` of view `trips@1`", given.name),
        of: Of::Feature(FeaturePlace { view: 0, feature: place }),
        value_type: given.value_type,
        what: What::Values,
    };
    let output = OutputSpec {
        at: Location::Local(out.to_owned()),
        layout,
        columns: given.iter().enumerate().map(column).collect(),
        computed: None,
        statistics: true,
    };
    let scratch = Scratch::new(&spec.resources.scratch);
    let held = AtomicU64::new(0);
    let joined = join(&spec, labels.as_ref(), &scratch, &held, &NoProgress)?;
    let notes = || notes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let objects = Objects::new([]);
    let writing = Writing { scratch: &scratch, objects: &objects, threads, progress: &NoProgress };
    let written = output::write(&joined, labels.as_ref(), &output, writing, &notes)?;
    assert_eq!(written.statistics.as_ref().unwrap().len() as u64, written.columns);
    Ok(written)
}

pub(crate) fn write_parquet(path: &Path, rows: &RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The rows of a Parquet file, and the metadata of its schema.
pub(crate) fn read_parquet(path: &Path) -> (RecordBatch, HashMap<String, String>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let (schema, metadata) = (builder.schema().clone(), builder.schema().metadata().clone());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    (arrow::compute::concat_batches(&schema, &batches).unwrap(), metadata)
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
