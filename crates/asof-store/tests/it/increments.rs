//! Loads since the last one: what is new is found by what was recorded, whatever happens to the files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration as Wait, SystemTime};

use asof_model::{Cell, Duration, Instant, KnownAt, Status, Value, ValueType};
use asof_oracle::OracleValue;
use asof_store::materialize::{MaterializeReport, MaterializeRequest, Mode, ViewLoad};
use asof_store::{Progress, StoreError};
use proptest::prelude::*;

use crate::project::{Ask, Project, at, features, int_keys, present, without_value};
use crate::tables::Column;

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp } }
feature_views: { v: { entities: id, source: rows, features: { n: int64 } } }
";

/// Keys that rows have.
const KEYS: i64 = 3;
/// Instants that events have, a minute apart.
const MINUTES: i64 = 12;

fn minute(minute: i64) -> Instant {
    at("2024-01-01T00:00:00Z").plus(Duration::from_micros(minute * 60_000_000))
}

/// A row: its key and the minute of its event, which tell its value.
type Row = (i64, i64);

fn value(row: Row) -> i64 {
    row.1 * 10 + row.0
}

/// A project, and files whose times of change are told rather than left to the pace of the machine.
struct Files {
    project: Project,
    writes: u64,
}

impl Files {
    fn new() -> Self {
        let mut project = Project::new(DEFINITIONS);
        project.apply();
        Self { project, writes: 0 }
    }

    fn write(&mut self, name: &str, rows: &BTreeSet<Row>, tag: u8) {
        let mut text = "id,event_timestamp,n,tag\n".to_owned();
        for row in rows {
            text.push_str(&format!("{},{},{},{tag}\n", row.0, minute(row.1), value(*row)));
        }
        self.project.write(&format!("data/{name}.csv"), text);
        self.touch(name);
    }

    /// Another time of change, and nothing else.
    fn touch(&mut self, name: &str) {
        self.writes += 1;
        let file = std::fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Wait::from_secs(1_700_000_000 + self.writes)).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.project.root.join(format!("data/{name}.csv"))
    }

    fn load(&mut self, mode: Mode, range: Option<(i64, i64)>) -> MaterializeReport {
        let request = MaterializeRequest {
            start: range.map(|range| minute(range.0)),
            end: range.map(|range| minute(range.1)),
            mode,
            ..MaterializeRequest::default()
        };
        self.project.try_materialize(&request).unwrap()
    }

    fn since_last(&mut self) -> ViewLoad {
        let mut report = self.load(Mode::SinceLast, None);
        assert_eq!(report.failures, []);
        report.views.remove(0)
    }

    /// A load that ends early, after so many steps.
    fn interrupted(&mut self, steps: u32) {
        let request = MaterializeRequest { mode: Mode::SinceLast, ..MaterializeRequest::default() };
        let (runtime, store) = self.project.store();
        let outcome =
            runtime.block_on(Box::pin(store.materialize(&request, &Patience(AtomicU32::new(steps)))));
        assert!(matches!(outcome, Ok(_) | Err(StoreError::Stopped)), "{outcome:?}");
    }
}

/// Wants the work for so many steps.
struct Patience(AtomicU32);

impl Progress for Patience {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn finish(&self, _: &str, _: &str) {}
    fn wanted(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, BTreeSet<Row>, u8),
    Touch(usize),
    Remove(usize),
    Load(Option<(i64, i64)>),
    SinceLast,
    Interrupted(u32),
    LoseOnline,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn any_step() -> impl Strategy<Value = Step> {
    let file = || 0..NAMES.len();
    let rows = proptest::collection::btree_set((0..KEYS, 0..MINUTES), 0..5);
    let range = (0..MINUTES, 1..MINUTES).prop_map(|(from, more)| (from, from + more));
    prop_oneof![
        5 => (file(), rows, 0..2_u8).prop_map(|(file, rows, tag)| Step::Write(file, rows, tag)),
        1 => file().prop_map(Step::Touch),
        1 => file().prop_map(Step::Remove),
        2 => proptest::option::weighted(0.8, range).prop_map(Step::Load),
        4 => Just(Step::SinceLast),
        2 => (0..4_u32).prop_map(Step::Interrupted),
        1 => Just(Step::LoseOnline),
    ]
}

/// The naive model: files as they are, rows that were in one when it was loaded, ranges that were loaded.
#[derive(Default)]
struct Model {
    files: BTreeMap<usize, BTreeSet<Row>>,
    there: BTreeSet<Row>,
    /// Minutes that loads have covered, and whether one had no end or no beginning.
    minutes: BTreeSet<i64>,
    loaded: bool,
}

impl Model {
    fn load(&mut self, range: Option<(i64, i64)>) {
        let (from, until) = range.unwrap_or((i64::MIN, i64::MAX));
        let rows = self.files.values().flatten().filter(|row| from <= row.1 && row.1 < until);
        self.there.extend(rows.copied());
        self.minutes.extend((0..MINUTES).filter(|minute| from <= *minute && *minute < until));
        // Ranges begin within the minutes and may end behind them, which is the same.
        self.loaded = true;
    }

    /// From the first minute that was loaded to the end, without gaps; all of it where nothing was.
    fn since_last(&mut self) {
        if !self.loaded {
            return self.load(None);
        }
        let last = self.minutes.iter().max().copied().unwrap_or(MINUTES);
        let covered: BTreeSet<i64> =
            (0..MINUTES).filter(|minute| self.minutes.contains(minute) || *minute > last).collect();
        let rows = self.files.values().flatten().filter(|row| covered.contains(&row.1));
        self.there.extend(rows.copied());
        self.minutes = covered;
    }

    fn right(&self, key: i64, until: i64) -> OracleValue {
        let row = self.there.iter().filter(|row| row.0 == key && row.1 <= until).max_by_key(|row| row.1);
        row.map_or(without_value(Status::Missing), |row| present(Value::Int64(value(*row))))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Goal: files appear, change, are touched, copied and vanish; loads are of ranges, since the last one, cut short; the
    /// online store is lost: in the end exactly the rows stand that were there when they were loaded, and a load since the
    /// last one behind another one finds nothing to do.
    #[test]
    fn what_is_new_is_found(steps in proptest::collection::vec(any_step(), 1..10)) {
        let mut files = Files::new();
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Write(file, rows, tag) => {
                    files.write(NAMES[*file], rows, *tag);
                    model.files.insert(*file, rows.clone());
                    continue;
                }
                Step::Touch(file) if model.files.contains_key(file) => {
                    files.touch(NAMES[*file]);
                    continue;
                }
                Step::Remove(file) if model.files.remove(file).is_some() => {
                    std::fs::remove_file(files.path(NAMES[*file])).unwrap();
                    continue;
                }
                Step::Touch(_) | Step::Remove(_) => continue,
                // A source without any file is refused.
                _ if model.files.is_empty() => continue,
                Step::Load(range) => {
                    let report = files.load(Mode::Add, *range);
                    prop_assert_eq!(report.failures, []);
                    model.load(*range);
                }
                Step::SinceLast => {
                    files.since_last();
                    model.since_last();
                }
                Step::Interrupted(steps) => {
                    files.interrupted(*steps);
                    files.since_last();
                    model.since_last();
                }
                Step::LoseOnline if model.loaded => {
                    files.project.lose_online();
                    files.since_last();
                    model.since_last();
                }
                Step::LoseOnline => continue,
            }
            let keys: Vec<i64> = (0..KEYS).collect();
            let found = files.project.get(&["v:n"], &int_keys("id", &keys));
            let right: Vec<_> = keys.iter().map(|key| vec![model.right(*key, MINUTES)]).collect();
            prop_assert_eq!(found, right, "after {:?}", step);
        }
        if model.loaded && !model.files.is_empty() {
            files.since_last();
            model.since_last();
            let entries = files.project.journal("v").entries;
            let again = files.since_last();
            prop_assert!(again.unchanged && again.units_published == 0 && again.rows_read == 0, "{:?}", again);
            prop_assert_eq!(files.project.journal("v").entries, entries, "nothing new leaves no mark");
            let labels: Vec<Row> = (0..KEYS).flat_map(|key| (0..MINUTES).map(move |at| (key, at))).collect();
            let columns = [
                Column::ints("id", labels.iter().map(|label| label.0)),
                Column::instants("t", labels.iter().map(|label| minute(label.1))),
            ];
            let set = files.project.train(&Ask::of(features(&["v:n"]), KnownAt::Event), &columns);
            let found = set.answers(&[("n".to_owned(), ValueType::Int64)]);
            let right: Vec<_> = labels.iter().map(|label| vec![model.right(label.0, label.1)]).collect();
            prop_assert_eq!(found, right);
        }
    }
}

/// Goal: a load since the last one reads new and changed files alone, wherever their events lie; it tells which files are
/// gone, keeps their rows, and takes a file that moved for what it is; another time of change is no change.
#[test]
fn new_changed_moved_and_vanished_files() {
    let mut files = Files::new();
    let rows = |rows: &[Row]| rows.iter().copied().collect::<BTreeSet<Row>>();
    files.write("a", &rows(&[(0, 5)]), 0);
    files.write("b", &rows(&[(1, 5)]), 0);
    // Nothing was loaded before, so everything is new.
    let first = files.since_last();
    assert_eq!((first.files, first.rows_written, first.unchanged), (2, 2, false));
    files.touch("a");
    let touched = files.since_last();
    assert!(touched.unchanged && touched.rows_read == 0);

    files.write("c", &rows(&[(0, 1)]), 0);
    files.write("b", &rows(&[(1, 5), (1, 7)]), 0);
    let more = files.since_last();
    assert_eq!((more.files, more.files_known, more.rows_read, more.rows_repeated), (3, 1, 3, 1));
    let now = files.project.get(&["v:n"], &int_keys("id", &[0, 1]));
    assert_eq!(now, [50, 71].map(|n| [present(Value::Int64(n))]), "a late row changes nothing here");

    std::fs::remove_file(files.path("a")).unwrap();
    std::fs::rename(files.path("b"), files.path("moved")).unwrap();
    let gone = files.since_last();
    assert!(gone.unchanged);
    assert_eq!(gone.files_vanished, 1);
    assert!(gone.vanished[0].ends_with("a.csv"), "{:?}", gone.vanished);
    assert_eq!(files.project.get(&["v:n"], &int_keys("id", &[0])), [[present(Value::Int64(50))]]);
}

/// Goal: a range that was left out stays left out; what lies behind the last range is new.
#[test]
fn ranges_and_what_is_behind_them() {
    let mut files = Files::new();
    let all: BTreeSet<Row> = (0..MINUTES).map(|at| (0, at)).collect();
    files.write("a", &all, 0);
    for range in [(0, 2), (4, 6)] {
        assert_eq!(files.load(Mode::Add, Some(range)).views[0].rows_written, 2);
    }
    let behind = files.since_last();
    assert_eq!(behind.rows_written, MINUTES as u64 - 6, "the minutes from 6 on");
    let labels =
        [Column::ints("id", (0..MINUTES).map(|_| 0)), Column::instants("t", (0..MINUTES).map(minute))];
    let set = files.project.train(&Ask::of(features(&["v:n"]), KnownAt::Event), &labels);
    let found = set.answers(&[("n".to_owned(), ValueType::Int64)]);
    let right = [0, 1, 1, 1, 4, 5, 6, 7, 8, 9, 10, 11].map(|at| Cell::Value(Value::Int64(at * 10)));
    assert_eq!(found.iter().map(|row| row[0].cell.clone()).collect::<Vec<_>>(), right);
    assert!(files.since_last().unchanged);
    let request =
        MaterializeRequest { start: Some(minute(0)), mode: Mode::SinceLast, ..MaterializeRequest::default() };
    assert!(files.project.try_materialize(&request).is_err(), "it takes no range");
}
