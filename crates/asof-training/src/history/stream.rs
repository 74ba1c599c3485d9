//! What is read once, from beginning to end: CSV and JSON files of a source in place, and queries over all its rows.
//! Features come with keys and instants.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::EngineError;
use asof_engine::source::admission::Admission;
use asof_engine::source::{RawBatches, WantedColumn};
use asof_model::Instant;
use asof_model::spec::{Feature, JoinKey, Source};

use super::counts::{Counting, SourceCounts};
use super::source::places_among;
use super::{
    FeaturesSink, History, HistorySource, Instants, InstantsSink, Piece, Reach, RowUnits, WantedKeys,
};
use crate::TrainingError;
use crate::explain::Skipped;

/// Something that gives rows, the same each time it is opened.
pub trait StreamInput: Send + Sync {
    /// Reads columns of all its rows.
    ///
    /// # Errors
    /// Those of opening it; the iterator ends after its first error.
    fn open(&self, columns: &[WantedColumn]) -> Result<RawBatches, EngineError>;

    /// Its bytes, as they are stored.
    fn bytes(&self) -> u64;

    /// Checks that it is still what it was when it was listed.
    ///
    /// # Errors
    /// [`EngineError::Changed`].
    fn check_unchanged(&self) -> Result<(), EngineError>;
}

/// A source that is read in place, in a form that can't be read at chosen rows.
pub struct StreamHistory {
    what: String,
    inputs: Vec<Box<dyn StreamInput>>,
    pieces: Vec<Piece>,
    views: Vec<StreamView>,
    columns: Vec<WantedColumn>,
}

/// One view over the source.
struct StreamView {
    keys: usize,
    admission: Admission,
    places: Vec<usize>,
    counting: Counting,
}

impl StreamHistory {
    /// The inputs of a source, for views with these keys and features. `created`: the instant since which the rows of a
    /// query are known, where the source names no column of it.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn new<'a>(
        source: &Source,
        inputs: Vec<Box<dyn StreamInput>>,
        created: Option<Instant>,
        views: impl IntoIterator<Item = (&'a [JoinKey], &'a [Feature])>,
    ) -> Result<Self, EngineError> {
        let (mut columns, mut all) = (Vec::new(), Vec::new());
        for (keys, features) in views {
            let admission = Admission::new(source, keys, features, Instant::MIN, None)?.with_created(created);
            let places = places_among(&mut columns, admission.columns());
            all.push(StreamView { keys: keys.len(), admission, places, counting: Counting::default() });
        }
        let pieces = inputs.iter().map(|input| Piece { rows: None, bytes: input.bytes() }).collect();
        Ok(Self { what: format!("source `{}` in place", source.name), inputs, pieces, views: all, columns })
    }

    /// The columns that are read of the files.
    pub fn wanted_columns(&self) -> &[WantedColumn] {
        &self.columns
    }

    /// What was read for a view.
    pub fn counts(&self, view: usize) -> SourceCounts {
        self.views[view].counting.counts()
    }
}

impl HistorySource for StreamHistory {
    fn what(&self) -> &str {
        &self.what
    }

    fn views(&self) -> usize {
        self.views.len()
    }

    fn features_come_later(&self) -> bool {
        false
    }

    fn open(&self, _reach: &[Reach], _threads: usize) -> Result<Box<dyn History + '_>, TrainingError> {
        self.views.iter().for_each(|view| view.counting.clear());
        Ok(Box::new(OpenStream(self)))
    }
}

struct OpenStream<'a>(&'a StreamHistory);

impl History for OpenStream<'_> {
    fn pieces(&self) -> &[Piece] {
        &self.0.pieces
    }

    fn files(&self) -> u64 {
        self.0.inputs.len() as u64
    }

    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    fn instants(
        &self,
        piece: usize,
        _wanted: &dyn WantedKeys,
        sink: &mut InstantsSink<'_>,
    ) -> Result<u64, TrainingError> {
        let mut looked_at = 0;
        for raw in self.0.inputs[piece].open(&self.0.columns)? {
            let raw = raw?;
            looked_at += (raw.rows + raw.broken.len()) as u64;
            for (place, view) in self.0.views.iter().enumerate() {
                let admitted = view.admission.admit(&raw.project(&view.places))?;
                let rows = (raw.rows + raw.broken.len()) as u64;
                view.counting.rows(piece, rows, admitted.filtered, &admitted.bad);
                view.counting.errors(piece, admitted.feature_errors);
                sink(place, instants_and_features(&admitted.rows, view.keys)?)?;
            }
        }
        Ok(looked_at)
    }

    fn features(
        &self,
        _piece: usize,
        _view: usize,
        _features: &[usize],
        _rows: Arc<[u32]>,
        _sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError> {
        let reason = "features of a stream come with its rows".to_owned();
        Err(TrainingError::Arrow(arrow::error::ArrowError::NotYetImplemented(reason)))
    }

    fn check_unchanged(&self) -> Result<(), TrainingError> {
        self.0.inputs.iter().try_for_each(|input| Ok(input.check_unchanged()?))
    }
}

/// Admitted rows: join keys, event, created, features, errors.
fn instants_and_features(rows: &RecordBatch, keys: usize) -> Result<Instants, TrainingError> {
    let instants =
        |place: usize| rows.column(place).as_primitive::<TimestampMicrosecondType>().values().clone();
    let features: Vec<usize> = (keys + 2..rows.num_columns()).collect();
    Ok(Instants {
        rows: (0..rows.num_rows() as u32).collect(),
        keys: rows.columns()[..keys].to_vec(),
        events: instants(keys),
        createds: instants(keys + 1),
        units: RowUnits::All(0),
        features: Some(rows.project(&features)?),
    })
}
