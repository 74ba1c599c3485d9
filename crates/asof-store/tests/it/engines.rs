//! Other engines read history at every moment: DuckDB and the Python package `deltalake`, which know nothing of us.
//!
//! The environment is made by `scripts/python_env`, once.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use asof_model::Duration;
use asof_store::train::{LabelRows, TrainRequest};
use serde_json::Value;

use crate::project::{Project, features as wanted};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/read_history.py");

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp, created: created_timestamp } }
feature_views: { v: { entities: id, source: rows, features: { n: int64, s: string } } }
";

/// The interpreter of the environment.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let made = Command::new(format!("{ROOT}/scripts/python_env")).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "the Python environment of the tests can't be made: {said}");
        Path::new(String::from_utf8(made.stdout).unwrap().trim()).join("bin/python")
    })
}

fn table(project: &Project) -> PathBuf {
    let folder = project.root.join(".asof/history/v");
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// What the other engines read.
fn read(project: &Project) -> Value {
    let run = Command::new(python()).arg(SCRIPT).arg(table(project)).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

fn counts(found: &Value) -> (u64, u64, u64) {
    let count = |name: &str| found[name].as_u64().unwrap();
    (count("rows"), count("distinct"), count("files"))
}

/// A file of five rows on each of three days; the first of each day is the same in every file.
fn write_file(project: &Project, file: i64, extra: &str) {
    let header = if extra.is_empty() { "" } else { ",extra" };
    let mut text = format!("id,event_timestamp,created_timestamp,n,s{header}\n");
    for day in 1..=3 {
        for row in 0..5 {
            let n = if row == 0 { 0 } else { file };
            let time = format!("2029-01-{day:02}T10:00:00Z");
            text += &format!("{row},{time},{time},{n},text {row}{extra}\n");
        }
    }
    project.write(&format!("data/{file}.csv"), text);
}

/// Goal: before and after compaction, with an added column, and after a vacuum, DuckDB and deltalake read the rows that
/// there are, over the log and over the files that it names.
#[test]
fn read_at_every_moment() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    for file in 1..=4 {
        write_file(&project, file, "");
        project.load(&[]);
    }
    assert_eq!(counts(&read(&project)), (60, 3 + 48, 12));
    project.compact();
    assert_eq!(counts(&read(&project)), (51, 51, 3));
    project.define(&DEFINITIONS.replace("s: string", "s: string, extra: float64"));
    project.apply();
    write_file(&project, 5, ",0.5");
    project.load(&[]);
    let found = read(&project);
    assert!(found["columns"].as_array().unwrap().contains(&"extra".into()));
    assert_eq!(found["distinct"], 63);
    project.compact();
    let compacted = read(&project);
    assert_eq!((&compacted["distinct"], &compacted["files"]), (&63.into(), &3.into()));
    project.vacuum(Duration::ZERO);
    assert_eq!(read(&project), compacted);
}

/// Goal: what the other engines read while a compaction goes on says what was there before it.
#[test]
fn read_during_compaction() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    for file in 1..=6 {
        write_file(&project, file, "");
        project.load(&[]);
    }
    let done = project.root.join("done");
    let mut reader = Command::new(python())
        .args([Path::new(SCRIPT), &table(&project), Path::new("until"), &done])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(counts(&next()), (90, 75, 18));
    // More than one compaction, each while it reads.
    let mut before = 75;
    for file in 7..=9 {
        project.compact();
        let after = 3 + 12 * (file as u64 - 1);
        loop {
            let (_, distinct, files) = counts(&next());
            assert!([before, after].contains(&distinct), "{distinct} of {before} or {after}");
            if (distinct, files) == (after, 3) {
                break;
            }
        }
        before = after;
        write_file(&project, file, "");
        project.load(&[]);
    }
    std::fs::write(&done, "").unwrap();
    assert!(reader.wait().unwrap().success());
}

const WINDOWS_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/compare_windows.py");

/// Goal: windows from an hour to ninety days over half a million real purchase lines, by customer, item and country, are what
/// DuckDB's range joins say, at, beside and far behind events.
#[test]
fn windows_over_real_lines() {
    let events = std::fs::canonicalize(format!("{ROOT}/examples/online_retail/data/events.parquet")).unwrap();
    let mut features = String::new();
    for window in ["1h", "1d", "7d", "30d", "90d"] {
        features += &format!(
            "
      count_{window}: {{ aggregate: count(), over: {window} }}
      orders_{window}: {{ aggregate: count_distinct(invoice_no), over: {window} }}
      revenue_{window}: {{ aggregate: sum(quantity * unit_price), over: {window}, where: quantity > 0 }}
      most_{window}: {{ aggregate: max(unit_price), over: {window} }}
      last_{window}: {{ aggregate: \"last_n(stock_code, 3)\", over: {window} }}"
        );
    }
    let keys = [("customer_id", "int64"), ("stock_code", "string"), ("country", "string")];
    let mut definitions = format!(
        "sources: {{ lines: {{ path: {}, event: invoice_date, zone: Europe/London, event_id: line_id }} }}\nentities:\n",
        events.display()
    );
    for (key, of) in keys {
        definitions += &format!("  {key}: {{ keys: {{ {key}: {of} }} }}\n");
    }
    definitions += "feature_views:\n";
    for (key, _) in keys {
        definitions += &format!(
            "  by_{key}:\n    entities: [{key}]\n    source: lines\n    in_place: true\n    features:{features}\n"
        );
    }
    let mut project = Project::new(&definitions);
    project.apply();
    let python = |arguments: &[&Path]| -> Value {
        let run = Command::new(python()).arg(WINDOWS_SCRIPT).args(arguments).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice(&run.stdout).unwrap_or_default()
    };
    let labels = project.root.join("labels.parquet");
    python(&[Path::new("labels"), &events, &labels]);
    for (key, _) in keys {
        let output = project.root.join(format!("{key}.parquet"));
        let request = TrainRequest {
            labels: LabelRows::of_files(labels.clone()),
            wanted: wanted(&[&format!("by_{key}:*")]),
            output: output.clone(),
            timestamp: "t".to_owned(),
            reading: asof_model::entry::Reading::default(),
            naming: Default::default(),
            known_at: asof_model::KnownAt::Event,
            statuses: false,
            include_expired: false,
            options: Default::default(),
        };
        let (runtime, store) = project.store();
        runtime.block_on(Box::pin(store.train(&request, &asof_store::NoProgress))).unwrap();
        let compared = python(&[Path::new("compare"), &events, &output, Path::new(key)]);
        let labels = compared["labels"].as_u64().unwrap();
        assert!(labels > 1_000, "{compared}");
        assert_eq!(compared["values"], 25 * labels);
    }
}
