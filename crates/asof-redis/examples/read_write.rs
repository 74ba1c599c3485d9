//! How fast rows are read and written, on a server that is given: `read_write redis://127.0.0.1:6379/0`.
//!
//! Question: reads of 50 keys per request, by 1 and by 16 callers at a time, and a bulk load, of rows of 20 numbers. Prints a
//! checksum beside each figure. Writes under the project `bench`, whose keys it drops nowhere else.

use std::sync::Arc;
use std::time::Instant as Timer;

use asof_model::{Cell, Instant, Value, ValueType};
use asof_online::{Clock, IncomingRow, OnlineStore, Publication, RowLayout, ViewHandle};
use asof_redis::{RedisSettings, RedisStore};

const KEYS: u32 = 100_000;
const KEYS_PER_UNIT: u32 = 20_000;
const KEYS_PER_READ: u32 = 50;
const READS: u32 = 4_000;
const FEATURES: usize = 20;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Instant::from_micros_clamped(since.as_micros() as i64)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/0".to_owned());
    let settings = RedisSettings::parse(&url, "bench")?;
    let begun = Timer::now();
    let store = Arc::new(RedisStore::connect(settings, 0, Arc::new(SystemClock), "read_write").await?);
    report("opened", 1, begun, 0);
    let layout = RowLayout::new(&[ValueType::Float64; FEATURES]);
    let view = store.register("rows@1").await?;
    let salt = SystemClock.now().micros();

    let begun = Timer::now();
    let mut added = 0;
    for from in (0..KEYS).step_by(KEYS_PER_UNIT as usize) {
        let rows = (from..from + KEYS_PER_UNIT).map(|key| row(&layout, key, salt)).collect();
        added += publish(&store, view, &layout, &format!("load {salt} {from}"), rows).await?;
    }
    report("rows loaded", KEYS, begun, added);

    let begun = Timer::now();
    let mut added = 0;
    for unit in 0..500 {
        let rows =
            (0..10).map(|n| row(&layout, (unit * 7_919 + n) % KEYS, salt + 1 + i64::from(unit))).collect();
        added += publish(&store, view, &layout, &format!("push {salt} {unit}"), rows).await?;
    }
    report("units of 10 rows", 500, begun, added);

    for callers in [1, 4, 16] {
        let begun = Timer::now();
        let mut tasks = Vec::new();
        for caller in 0..callers {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let mut found = 0;
                for read in 0..READS / callers {
                    let first = caller.wrapping_mul(31_337) + read * 977;
                    let keys: Vec<[u8; 4]> =
                        (0..KEYS_PER_READ).map(|n| ((first + n * 1_009) % KEYS).to_be_bytes()).collect();
                    let keys: Vec<(ViewHandle, &[u8])> = keys.iter().map(|key| (view, &key[..])).collect();
                    let answer = store.read(&keys, None).await.map_err(|error| error.to_string())?;
                    found += answer.rows.iter().flatten().count() as u64;
                }
                Ok::<u64, String>(found)
            }));
        }
        let mut found = 0;
        for task in tasks {
            found += task.await??;
        }
        report(&format!("reads of {KEYS_PER_READ} keys, {callers} at a time"), READS, begun, found);
    }
    Ok(())
}

async fn publish(
    store: &RedisStore,
    view: ViewHandle,
    layout: &RowLayout,
    unit: &str,
    rows: Vec<IncomingRow>,
) -> Result<u64, Box<dyn std::error::Error>> {
    let publication = Publication {
        view,
        layout,
        unit,
        position: 1,
        note: "",
        created_declared: true,
        active_within: None,
        visible: None,
        replaces: None,
        events: None,
        waits: false,
        rows,
    };
    Ok(store.publish(publication).await?.rows_added)
}

fn row(layout: &RowLayout, key: u32, micros: i64) -> IncomingRow {
    let cells: Vec<Cell> =
        (0..FEATURES).map(|feature| Cell::Value(Value::Float64(f64::from(key) + feature as f64))).collect();
    let event = Instant::from_micros_clamped(micros);
    IncomingRow { key: key.to_be_bytes().to_vec(), event, created: event, row: layout.encode(&cells) }
}

#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
fn report(what: &str, count: u32, begun: Timer, checksum: u64) {
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count:>8} {what:<34} {seconds:>8.3} s {:>10.0} /s  checksum {checksum}",
        f64::from(count) / seconds
    );
}
