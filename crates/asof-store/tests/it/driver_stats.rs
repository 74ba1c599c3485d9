//! Feast's driver statistics (`data/driver_stats*.parquet`, Apache-2.0, feast-dev/feast): single-precision floats, a
//! created column without zone, equal rows, nanoseconds. What is right is computed by a loop over the file.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use asof_model::{Instant, KnownAt, Status, Value, ValueType};
use asof_oracle::OracleValue;

use crate::project::{Ask, Project, at, features, int_keys, present, read_parquet, without_value};
use crate::tables::{Carrier, Column};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const DAY_MICROS: i64 = 86_400_000_000;

const DEFINITIONS: &str = "
entities: { driver: { keys: { driver_id: int64 } } }
sources: { stats_file: { path: stats.parquet, event: event_timestamp, created: created } }
feature_views:
  stats:
    entities: driver
    source: stats_file
    ttl: 2d
    features: { conv_rate: float32, acc_rate: float32, avg_daily_trips: int32 }
";

/// A row of the file, instants in microseconds; floats as bits.
struct Row {
    driver: i64,
    event: i64,
    created: i64,
    conv_rate: Option<u32>,
    acc_rate: Option<u32>,
    trips: Option<i32>,
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let micros = |name: &str| {
        // Division here floors, since none of these instants is before 1970.
        let array = cast(column(name), &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
        array.as_primitive::<TimestampMicrosecondType>().values().to_vec()
    };
    let float = |name: &str, row: usize| {
        let array = column(name);
        array.is_valid(row).then(|| array.as_primitive::<Float32Type>().value(row).to_bits())
    };
    let (events, createds) = (micros("event_timestamp"), micros("created"));
    let row = |row: usize| {
        let trips = column("avg_daily_trips");
        Row {
            driver: column("driver_id").as_primitive::<Int64Type>().value(row),
            event: events[row],
            created: createds[row],
            conv_rate: float("conv_rate", row),
            acc_rate: float("acc_rate", row),
            trips: trips.is_valid(row).then(|| trips.as_primitive::<Int32Type>().value(row)),
        }
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The answer by a loop that a reader can check.
fn naive(rows: &[Row], driver: i64, t: i64, known_at: KnownAt) -> Vec<OracleValue> {
    let mut best: Option<&Row> = None;
    for row in rows {
        let seen = row.driver == driver && row.event <= t && (known_at == KnownAt::Event || row.created <= t);
        let newer = best.is_none_or(|best| (row.event, row.created) > (best.event, best.created));
        if seen && newer {
            best = Some(row);
        }
    }
    let Some(row) = best else { return vec![without_value(Status::Missing); 3] };
    if t - row.event > 2 * DAY_MICROS {
        return vec![without_value(Status::OutsideTtl); 3];
    }
    let or_null = |value: Option<Value>| value.map_or(without_value(Status::Null), present);
    vec![
        or_null(row.conv_rate.map(|bits| Value::float32(f32::from_bits(bits)))),
        or_null(row.acc_rate.map(|bits| Value::float32(f32::from_bits(bits)))),
        or_null(row.trips.map(Value::Int32)),
    ]
}

fn check(file: &str, shift: i64, rows_expected: usize) -> Vec<Status> {
    let mut project = Project::new(DEFINITIONS);
    std::fs::copy(format!("{DATA}/{file}"), project.root.join("stats.parquet")).unwrap();
    project.apply();
    let load = project.load(&[]);
    assert_eq!((load.rows_written, load.rows_bad, load.conflicts), (rows_expected as u64, 0, 0));
    let rows = rows(&read_parquet(&project.root.join("stats.parquet")));
    assert_eq!(rows.len(), rows_expected);

    let orders = std::fs::read_to_string(format!("{DATA}/orders_example.csv")).unwrap();
    let mut labels: Vec<(i64, i64)> = Vec::new();
    for line in orders.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        labels.push((fields[1].parse().unwrap(), at(fields[2]).micros() + shift));
    }
    // And long after everything was created, with a row in the last nanoseconds of a microsecond.
    labels.extend(rows.iter().map(|row| (row.driver, row.event)).step_by(13));
    labels.extend(rows.iter().map(|row| (row.driver, row.created + DAY_MICROS)).step_by(101));
    let columns = [
        Column::ints("driver_id", labels.iter().map(|label| label.0)),
        Column::instants("t", labels.iter().map(|label| Instant::from_micros(label.1).unwrap())),
    ];
    let names = [
        ("conv_rate".to_owned(), ValueType::Float32),
        ("acc_rate".to_owned(), ValueType::Float32),
        ("avg_daily_trips".to_owned(), ValueType::Int32),
    ];
    let mut statuses = Vec::new();
    for known_at in [KnownAt::Event, KnownAt::Created] {
        let ask = Ask { labels: Carrier::Csv, ..Ask::of(features(&["stats:*"]), known_at) };
        let found = project.train(&ask, &columns).answers(&names);
        for ((driver, t), found) in labels.iter().zip(found) {
            let right = naive(&rows, *driver, *t, known_at);
            assert_eq!(found, right, "driver {driver} at {t} under {known_at}");
            statuses.push(found[0].status);
        }
    }
    // Online, at a `t` at which the newest rows have expired.
    let drivers = [1001, 1002, 1003, 1004, 1005, 1099];
    let t = at(crate::project::START).micros();
    let online = project.get(&["stats:*"], &int_keys("driver_id", &drivers));
    let right: Vec<_> = drivers.iter().map(|driver| naive(&rows, *driver, t, KnownAt::Created)).collect();
    assert_eq!(online, right);
    statuses
}

/// Goal: the hourly statistics, with three equal rows and a created column without zone, answer as the loop does.
#[test]
fn microseconds() {
    let statuses = check("driver_stats.parquet", 0, 1_807);
    for status in [Status::Present, Status::Missing, Status::OutsideTtl] {
        assert!(statuses.contains(&status), "{status}");
    }
}

/// Goal: the same with nanoseconds, which floor.
#[test]
fn nanoseconds() {
    // The orders are of 2021, these rows of 2024.
    let shift = at("2024-08-26T00:00:00Z").micros() - at("2021-08-31T00:00:00Z").micros();
    let statuses = check("driver_stats_ns.parquet", shift, 1_808);
    for status in [Status::Present, Status::Missing, Status::OutsideTtl] {
        assert!(statuses.contains(&status), "{status}");
    }
}
