//! Small worlds as labels and history, cut and read in any way.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{ArrayRef, AsArray, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::NoProgress;
use asof_engine::columns::{ColumnBuilder, ERRORS, EVENT, history_schema};
use asof_model::entry::to_text;
use asof_model::spec::{About, Feature, JoinKey};
use asof_model::{Cell, Instant, KnownAt, Value, ValueType};
use asof_oracle::{OracleAnswer, as_of_known};
use asof_testkit::world::{World, WorldFeature, WorldLabel, WorldRow};
use asof_training::explain::Skipped;
use asof_training::history::{
    FeatureRows, FeaturesSink, History, HistorySource, Instants, InstantsSink, KeyValuesWanted, Piece, Reach,
    RowUnits, WantedKeys,
};
use asof_training::join::{
    FeatureColumn, Interval, JoinSpec, Joins, RANGE_ROWS, Replaced, Resources, UnitFacts, Units, ViewReport,
    ViewSpec, join,
};
use asof_training::labels::MemoryLabels;
use asof_training::{Memory, Scratch, TrainingError};

/// How a world's history is handed to the join, and what is asked of it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Rows in the order in which they are read, some of them twice.
    pub order: Vec<usize>,
    /// Rows in each piece but the last.
    pub cuts: Vec<usize>,
    /// Rows that a piece gives at a time.
    pub batch_rows: usize,
    /// Whether features are asked for later, or come with the instants.
    pub later: bool,
    /// Whether rows are left out that can't matter, or whose key no label has.
    pub leaves_out: bool,
    /// Places of the asked features, in the asked order.
    pub asked: Vec<usize>,
    pub known_at: KnownAt,
    pub include_expired: bool,
    pub statuses: bool,
    /// For each unit the range of which it is the first complete load.
    pub bulk: Vec<Option<Interval>>,
    /// For each label how long after its time it knows, in microseconds. Empty: labels have no instant of knowledge.
    pub knows: Vec<i64>,
    pub memory: u64,
    pub threads: usize,
}

/// What a join answers.
pub struct Answers {
    pub columns: Vec<FeatureColumn>,
    pub events: Vec<Option<i64>>,
    pub report: ViewReport,
    pub spilled_bytes: u64,
}

impl Reading {
    /// The whole history in one piece, in the world's order.
    pub fn plain(world: &World, asked: &[usize], known_at: KnownAt) -> Self {
        Self {
            order: (0..world.rows.len()).collect(),
            cuts: Vec::new(),
            batch_rows: 1_000,
            later: true,
            leaves_out: false,
            asked: asked.to_vec(),
            known_at,
            include_expired: false,
            statuses: true,
            bulk: vec![None; world.units.len()],
            knows: Vec::new(),
            memory: 1 << 30,
            threads: 1,
        }
    }

    pub fn known(&self, label: usize, t: Instant) -> Instant {
        self.knows.get(label).map_or(t, |after| Instant::from_micros_clamped(t.micros() + after))
    }

    /// What the oracle says of the asked features of a label.
    pub fn right(&self, world: &World, label: usize, known_at: KnownAt) -> OracleAnswer {
        let of = &world.labels[label];
        let mut answer = as_of_known(
            &world.oracle_rows(),
            &world.types(),
            of.encoded_key().as_ref(),
            of.t,
            self.known(label, of.t),
            &world.rule(known_at, self.include_expired),
            &world.oracle_features(),
        );
        answer.values = self.asked.iter().map(|place| answer.values[*place].clone()).collect();
        answer
    }

    /// The row that a label meets, by its unit: the greatest, and of equal ones the first that became visible.
    pub fn unit_met<'a>(&self, world: &'a World, label: usize) -> Option<&'a WorldRow> {
        let of = &world.labels[label];
        let (key, known) = (of.encoded_key(), self.known(label, of.t));
        let seen = |row: &&WorldRow| {
            let visible = world.units[row.unit].visible;
            let served = self.known_at == KnownAt::Served;
            let stands = world.replaced_at(row).is_none_or(|replaced| served && known < replaced);
            let knowledge = match self.known_at {
                KnownAt::Event => true,
                KnownAt::Created => row.created <= known,
                KnownAt::Served => row.created <= known && visible <= known,
            };
            stands && knowledge && row.event <= of.t && Some(asof_model::key::encode_key(&row.key)) == key
        };
        let bytes = |row: &WorldRow| asof_model::canonical::row_bytes(&world.types(), &row.cells);
        let greatest =
            world.rows.iter().filter(seen).max_by_key(|row| (row.event, row.created, bytes(row)))?;
        let equal = |row: &&WorldRow| {
            (row.event, row.created) == (greatest.event, greatest.created) && bytes(row) == bytes(greatest)
        };
        world.rows.iter().filter(seen).filter(equal).min_by_key(|row| row.unit)
    }
}

pub fn keys(world: &World) -> Vec<JoinKey> {
    let key = |(index, of): (usize, &ValueType)| JoinKey { name: format!("key{index}"), value_type: *of };
    world.key_types.iter().enumerate().map(key).collect()
}

pub fn features(world: &World) -> Vec<Feature> {
    let feature = |(index, of): (usize, &WorldFeature)| Feature {
        name: format!("feature{index}"),
        value_type: of.value_type,
        default: of.default.as_ref().map(to_text),
        aggregation: None,
        computation: None,
        about: About::default(),
    };
    world.features.iter().enumerate().map(feature).collect()
}

fn units(world: &World, bulk: &[Option<Interval>]) -> Units {
    let mut units = Units::default();
    for (index, (unit, bulk)) in world.units.iter().zip(bulk).enumerate() {
        if let Some((from, until)) = unit.replaces {
            let range = Interval { from: from.micros(), until: until.micros() };
            units.replace(Replaced { range, visible: unit.visible });
        }
        let facts = UnitFacts {
            visible: unit.visible,
            features: unit.features_held,
            bulk: bulk.iter().copied().collect(),
            replaced: Vec::new(),
            stays: false,
        };
        units.add(&format!("unit{index}"), facts);
    }
    units
}

/// A column of a type, one value for each row.
pub fn array<'a>(of: ValueType, values: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    let mut builder = ColumnBuilder::new(of, 0);
    values.for_each(|value| builder.append(value));
    builder.finish()
}

/// Rows as a history batch, without the names of units.
pub fn batch(world: &World, rows: &[usize]) -> RecordBatch {
    let rows: Vec<&WorldRow> = rows.iter().map(|row| &world.rows[*row]).collect();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, key_type) in world.key_types.iter().enumerate() {
        columns.push(array(*key_type, rows.iter().map(|row| row.key.get(index))));
    }
    let instants = |of: fn(&WorldRow) -> Instant| {
        let values: Vec<Value> = rows.iter().map(|row| Value::Timestamp(of(row))).collect();
        array(ValueType::Timestamp, values.iter().map(Some))
    };
    columns.push(instants(|row| row.event));
    columns.push(instants(|row| row.created));
    for (index, feature) in world.features.iter().enumerate() {
        let cell = |row: &&WorldRow| row.cells.get(index).cloned();
        let cells: Vec<Option<Cell>> = rows.iter().map(cell).collect();
        columns.push(array(feature.value_type, cells.iter().map(|cell| cell.as_ref().and_then(Cell::value))));
    }
    let mut errors = ListBuilder::new(StringBuilder::new());
    for row in &rows {
        let cells = row.cells.iter().enumerate().filter(|(_, cell)| **cell == Cell::Error);
        let names: Vec<Option<String>> = cells.map(|(index, _)| Some(format!("feature{index}"))).collect();
        errors.append_option((!names.is_empty()).then_some(names));
    }
    columns.push(Arc::new(errors.finish()));
    let schema = history_schema(&keys(world), &features(world));
    let unit = schema.index_of(asof_engine::columns::UNIT).unwrap();
    let places: Vec<usize> = (0..schema.fields().len()).filter(|place| *place != unit).collect();
    RecordBatch::try_new(Arc::new(schema.project(&places).unwrap()), columns).unwrap()
}

/// A world's history.
struct WorldHistory {
    world: World,
    /// The rows of each piece.
    pieces: Vec<Vec<usize>>,
    facts: Vec<Piece>,
    batch_rows: usize,
    later: bool,
    leaves_out: bool,
    one_unit: bool,
}

struct OpenWorld<'a> {
    of: &'a WorldHistory,
    reach: Reach,
}

impl WorldHistory {
    fn new(world: &World, reading: &Reading) -> Self {
        let mut rest: &[usize] = &reading.order;
        let mut pieces = Vec::new();
        for size in &reading.cuts {
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(head.to_vec());
            rest = tail;
        }
        pieces.push(rest.to_vec());
        let facts = pieces.iter().map(|rows| Piece { rows: Some(rows.len() as u64), bytes: 0 }).collect();
        let (world, batch_rows) = (world.clone(), reading.batch_rows.max(1));
        let (later, leaves_out) = (reading.later, reading.leaves_out);
        let one_unit = world.units.len() == 1;
        Self { world, pieces, facts, batch_rows, later, leaves_out, one_unit }
    }

    fn units(&self, rows: &[usize]) -> RowUnits {
        match self.one_unit {
            true => RowUnits::All(0),
            false => RowUnits::Each(rows.iter().map(|row| self.world.rows[*row].unit as u32).collect()),
        }
    }
}

/// Numbers of rows have gaps.
fn number(place: usize) -> u32 {
    place as u32 * 3 + 1
}

impl HistorySource for WorldHistory {
    fn what(&self) -> &str {
        "a world"
    }

    fn views(&self) -> usize {
        1
    }

    fn features_come_later(&self) -> bool {
        self.later
    }

    fn open(&self, reach: &[Reach], _threads: usize) -> Result<Box<dyn History + '_>, TrainingError> {
        Ok(Box::new(OpenWorld { of: self, reach: reach[0].clone() }))
    }
}

impl OpenWorld<'_> {
    /// Whether a row may matter, as far as the join has told before reading.
    fn reaches(&self, row: usize) -> bool {
        let row = &self.of.world.rows[row];
        let in_time = (self.reach.from..=self.reach.until).contains(&row.event.micros());
        let key = match (&self.reach.keys, row.key.first()) {
            (Some(KeyValuesWanted::Numbers(all)), Some(key)) => all.contains(&number_in(key)),
            (Some(KeyValuesWanted::Between(from, until)), Some(key)) => {
                (*from..=*until).contains(&number_in(key))
            }
            (Some(KeyValuesWanted::Texts(all)), Some(key)) => match key {
                Value::String(text) => all.iter().any(|each| **each == *text.as_bytes()),
                Value::Bytes(bytes) => all.iter().any(|each| **each == **bytes),
                key => all.iter().any(|each| **each == *to_text(key).as_bytes()),
            },
            _ => true,
        };
        in_time && key
    }
}

fn number_in(key: &Value) -> i64 {
    match key {
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        Value::Timestamp(instant) => instant.micros(),
        Value::Bool(flag) => i64::from(*flag),
        Value::Date(day) => i64::from(*day),
        other => panic!("{other:?} is no number"),
    }
}

impl History for OpenWorld<'_> {
    fn pieces(&self) -> &[Piece] {
        &self.of.facts
    }

    fn files(&self) -> u64 {
        1
    }

    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    fn instants(
        &self,
        piece: usize,
        wanted: &dyn WantedKeys,
        sink: &mut InstantsSink<'_>,
    ) -> Result<u64, TrainingError> {
        let world = &self.of.world;
        let keys = world.key_types.len();
        for (part, rows) in self.of.pieces[piece].chunks(self.of.batch_rows).enumerate() {
            let first = part * self.of.batch_rows;
            let mut places: Vec<usize> = (0..rows.len()).collect();
            if self.of.leaves_out {
                let may = wanted.may_have(0, &batch(world, rows).columns()[..keys]);
                places.retain(|place| (keys == 0 || may[*place]) && self.reaches(rows[*place]));
            }
            let rows: Vec<usize> = places.iter().map(|place| rows[*place]).collect();
            let batch = batch(world, &rows);
            let instants = |place: usize| {
                batch.column(place).as_primitive::<TimestampMicrosecondType>().values().clone()
            };
            let features: Vec<usize> = (keys + 2..batch.num_columns()).collect();
            sink(
                0,
                Instants {
                    rows: places.iter().map(|place| number(first + place)).collect(),
                    keys: batch.columns()[..keys].to_vec(),
                    events: instants(keys),
                    createds: instants(keys + 1),
                    units: self.of.units(&rows),
                    features: (!self.of.later).then(|| batch.project(&features).unwrap()),
                },
            )?;
        }
        Ok(self.of.pieces[piece].len() as u64)
    }

    fn features(
        &self,
        piece: usize,
        _view: usize,
        features: &[usize],
        rows: Arc<[u32]>,
        sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError> {
        assert!(self.of.later && rows.windows(2).all(|pair| pair[0] < pair[1]));
        for rows in rows.chunks(self.of.batch_rows) {
            let rows: Vec<usize> =
                rows.iter().map(|row| self.of.pieces[piece][(*row as usize - 1) / 3]).collect();
            let batch = batch(&self.of.world, &rows);
            let names = features.iter().map(|place| format!("feature{place}")).chain([ERRORS.to_owned()]);
            let places: Vec<usize> = names.map(|name| batch.schema().index_of(&name).unwrap()).collect();
            sink(FeatureRows { columns: batch.project(&places).unwrap(), units: self.of.units(&rows) })?;
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), TrainingError> {
        Ok(())
    }
}

fn labels(world: &World, reading: &Reading) -> MemoryLabels {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (index, of) in world.key_types.iter().enumerate() {
        let parts = world.labels.iter().map(|label: &WorldLabel| label.key[index].as_ref());
        columns.push((format!("key{index}"), array(*of, parts)));
    }
    let times: Vec<Value> = world.labels.iter().map(|label| Value::Timestamp(label.t)).collect();
    columns.push((EVENT.to_owned(), array(ValueType::Timestamp, times.iter().map(Some))));
    let label = |(place, label): (usize, &WorldLabel)| Value::Timestamp(reading.known(place, label.t));
    let knowns: Vec<Value> = world.labels.iter().enumerate().map(label).collect();
    columns.push(("known".to_owned(), array(ValueType::Timestamp, knowns.iter().map(Some))));
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    MemoryLabels::new(RecordBatch::try_from_iter_with_nullable(nullable).unwrap())
}

/// What the join answers over a world's own history.
pub fn run(world: &World, reading: &Reading) -> Answers {
    let history = Arc::new(WorldHistory::new(world, reading));
    run_on(world, reading, history, units(world, &reading.bulk), true).unwrap()
}

/// What the join answers over rows of a world in any form. `compares`: with what was served.
pub fn run_on(
    world: &World,
    reading: &Reading,
    history: Arc<dyn HistorySource>,
    units: Units,
    compares: bool,
) -> Result<Answers, TrainingError> {
    let key_columns = keys(world).into_iter().map(|key| (key.name, key.value_type)).collect();
    let folder = tempfile::tempdir().unwrap();
    let spec = JoinSpec {
        histories: vec![history],
        keys: vec![key_columns],
        views: vec![ViewSpec {
            history: 0,
            view: 0,
            keys: 0,
            rule: world.rule(reading.known_at, reading.include_expired),
            features: features(world),
            asked: reading.asked.clone(),
            units: Arc::new(units),
            compares,
        }],
        windows: Vec::new(),
        order: vec![Joins::Values(0)],
        time: EVENT.to_owned(),
        request: Vec::new(),
        known: (!reading.knows.is_empty()).then(|| "known".to_owned()),
        statuses: reading.statuses,
        events: reading.statuses,
        resources: Resources {
            memory: Memory { limit: reading.memory },
            threads: reading.threads,
            scratch: folder.path().to_owned(),
        },
    };
    let scratch = Scratch::new(&spec.resources.scratch);
    let held = AtomicU64::new(0);
    let labels = labels(world, reading);
    let joined = join(&spec, &labels, &scratch, &held, &NoProgress)?;
    assert_eq!(joined.labels(), world.labels.len() as u64);
    let mut events = Vec::new();
    let mut parts: Vec<Vec<FeatureColumn>> = Vec::new();
    for range in 0..joined.ranges() {
        joined.compare(0, range)?;
        let answer = joined.answer(0, range)?;
        assert!(answer.len() as u64 <= RANGE_ROWS);
        events.extend((0..answer.len()).map(|label| answer.event(label)));
        let columns: Vec<FeatureColumn> =
            (0..answer.features()).map(|place| answer.column(place).unwrap()).collect();
        for (place, column) in columns.iter().enumerate() {
            assert_eq!(&answer.values(place).unwrap(), &column.values, "values alone are the same");
        }
        parts.push(columns);
    }
    let places = 0..reading.asked.len();
    let column = |place: usize| {
        let arrays: Vec<&dyn arrow::array::Array> =
            parts.iter().map(|part| part[place].values.as_ref()).collect();
        FeatureColumn {
            feature: features(world)[reading.asked[place]].clone(),
            values: match arrays.is_empty() {
                true => array(world.features[reading.asked[place]].value_type, std::iter::empty()),
                false => arrow::compute::concat(&arrays).unwrap(),
            },
            statuses: parts.iter().flat_map(|part| part[place].statuses.clone()).collect(),
        }
    };
    Ok(Answers {
        columns: places.map(column).collect(),
        events,
        report: joined.report(0),
        spilled_bytes: joined.explained.spilled_bytes,
    })
}
