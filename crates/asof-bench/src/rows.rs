//! The rows of history and of labels: each batch is drawn from the seed and its own place, so that it is the same whoever
//! makes it, and when.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use fastrand::Rng;

use crate::Workload;

/// The most that a row comes after its time, microseconds.
const LATE_MAX: i64 = 3_600_000_000;

/// One row in so many corrects the one before.
const CORRECTION_EACH: u64 = 100;

/// One label in so many has a key without history.
const UNKNOWN_EACH: u64 = 50;

const CATEGORIES: usize = 40;

fn instant(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

/// The columns of history.
pub(crate) fn history_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("entity_id", DataType::Int64, false),
        instant("event_timestamp"),
        instant("created_timestamp"),
        Field::new("amount", DataType::Float64, true),
        Field::new("visits", DataType::Int64, true),
        Field::new("score", DataType::Float32, true),
        Field::new("category", DataType::Utf8, true),
    ]))
}

/// The columns of labels.
pub(crate) fn label_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("label_id", DataType::Int64, false),
        Field::new("entity_id", DataType::Int64, false),
        instant("event_timestamp"),
        Field::new("target", DataType::Boolean, false),
        Field::new("weight", DataType::Int32, false),
    ]))
}

fn rng(workload: &Workload, table: u64, first: u64) -> Rng {
    // Far apart for neighbours, as seeds that differ by one would not be.
    Rng::with_seed(
        (workload.seed ^ table << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ first.wrapping_mul(0xd1b5_4a32_d192_ed03),
    )
}

/// A key: small ones are frequent.
fn key(rng: &mut Rng, entities: u64) -> i64 {
    let uniform = rng.f64();
    ((entities as f64 * uniform * uniform) as u64).min(entities - 1) as i64
}

fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

/// Rows of history by their numbers.
pub(crate) fn history(workload: &Workload, rows: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let mut rng = rng(workload, 1, rows.start);
    let count = (rows.end - rows.start) as usize;
    let (mut keys, mut events, mut createds) =
        (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut amounts, mut visits, mut scores, mut categories) = (
        Vec::with_capacity(count),
        Vec::with_capacity(count),
        Vec::with_capacity(count),
        Vec::with_capacity(count),
    );
    let names: Vec<String> = (0..CATEGORIES).map(|number| format!("category-{number:02}")).collect();
    for row in rows.clone() {
        let place = (i128::from(row) * i128::from(workload.span()) / i128::from(workload.rows)) as i64;
        let corrected = (keys.last().copied(), events.last().copied(), createds.last().copied());
        match corrected {
            (Some(key), Some(event), Some(created)) if row % CORRECTION_EACH == CORRECTION_EACH - 1 => {
                keys.push(key);
                events.push(event);
                createds.push(created + 1 + rng.i64(0..LATE_MAX));
            }
            _ => {
                let event = (Workload::START + place - rng.i64(0..LATE_MAX)).max(Workload::START);
                keys.push(key(&mut rng, workload.entities));
                events.push(event);
                createds.push(event + rng.i64(0..LATE_MAX / 6));
            }
        }
        amounts.push((rng.u8(..20) > 0).then(|| rng.i64(0..10_000_000) as f64 / 100.0));
        visits.push(Some(rng.i64(0..1_000)));
        scores.push(Some(rng.f32()));
        categories.push(Some(names[rng.usize(..CATEGORIES)].as_str()));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys)),
        instants(events),
        instants(createds),
        Arc::new(Float64Array::from(amounts)),
        Arc::new(Int64Array::from(visits)),
        Arc::new(Float32Array::from(scores)),
        Arc::new(StringArray::from(categories)),
    ];
    RecordBatch::try_new(history_schema(), columns)
}

/// Label rows by their numbers.
pub(crate) fn labels(workload: &Workload, rows: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let mut rng = rng(workload, 2, rows.start);
    let count = (rows.end - rows.start) as usize;
    let (mut keys, mut times) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut targets, mut weights) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for row in rows.clone() {
        let known = key(&mut rng, workload.entities);
        // Beyond all that have history.
        keys.push(if row % UNKNOWN_EACH == 0 { workload.entities as i64 + known } else { known });
        times.push(Workload::START + rng.i64(workload.span() / 10..workload.span()));
        targets.push(rng.u8(..4) == 0);
        weights.push(rng.i32(1..10));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64))),
        Arc::new(Int64Array::from(keys)),
        instants(times),
        Arc::new(BooleanArray::from(targets)),
        Arc::new(Int32Array::from(weights)),
    ];
    RecordBatch::try_new(label_schema(), columns)
}
