//! The case files of windows through the product: a definition, events, and what is right at each label; in training, and
//! in serving with the events loaded, pushed, and half of each.
//!
//! A file has three parts: `[definitions]` as users write them, `[events]` and `[labels]` as CSV. A label's value is its
//! text, or `null`, `missing` or `error`.

use std::path::{Path, PathBuf};

use asof_model::{Instant, KnownAt, Status, Value, ValueType, entry};
use asof_oracle::OracleValue;
use asof_store::materialize::Mode;
use asof_store::push::PushRequest;

use crate::project::{Ask, Project, at, features, int_keys};
use crate::tables::{Carrier, Column};
use crate::windows::{dying, load, verify};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cases/windows");

struct WindowCase {
    name: String,
    definitions: String,
    /// A header and rows.
    events: Vec<Vec<String>>,
    labels: Vec<Vec<String>>,
}

fn cases() -> Vec<WindowCase> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(Path::new(CASES)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> WindowCase {
    let text = std::fs::read_to_string(path).unwrap();
    let part = |name: &str| {
        let start = text.find(&format!("\n[{name}]\n")).unwrap_or_else(|| panic!("{path:?}: no [{name}]"));
        let rest = &text[start + name.len() + 4..];
        rest.find("\n[").map_or(rest, |end| &rest[..end + 1]).to_owned()
    };
    WindowCase {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        definitions: part("definitions"),
        events: csv(&part("events")),
        labels: csv(&part("labels")),
    }
}

fn csv(text: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                letter => cell.push(letter),
            }
        }
        cells.push(cell);
        cells
    };
    text.lines().filter(|line| !line.is_empty()).map(line).collect()
}

impl WindowCase {
    fn names(&self) -> Vec<String> {
        self.labels[0][2..].iter().map(|name| format!("v:{name}")).collect()
    }

    fn label(&self, row: usize) -> (i64, Instant) {
        (self.labels[row][0].parse().unwrap(), at(&self.labels[row][1]))
    }

    fn csv_of(&self, rows: &[Vec<String>]) -> String {
        let lines = std::iter::once(&self.events[0]).chain(rows).map(|row| row.join(","));
        lines.map(|line| line + "\n").collect()
    }

    fn json_of(&self, row: &[String]) -> String {
        let member = |(name, value): (&String, &String)| {
            (!value.is_empty()).then(|| format!("\"{name}\":\"{value}\""))
        };
        let members: Vec<String> = self.events[0].iter().zip(row).filter_map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    /// A project with the events, the first `pushed` of them pushed and the others loaded.
    fn project(&self, pushed: usize) -> Project {
        let mut project = Project::new(&self.definitions);
        project.write("data/a.csv", self.csv_of(&self.events[1 + pushed..]));
        // Before every label, so that nothing is known too late. Known since it was pushed is known since then.
        let first = (1..self.labels.len()).map(|row| self.label(row).1).min().unwrap();
        project.clock.set(first.minus(asof_model::Duration::from_micros(60_000_000)));
        project.apply();
        assert!(load(&mut project, Mode::Add, usize::MAX));
        if pushed > 0 {
            let rows = self.events[1..1 + pushed].iter().map(|row| self.json_of(row)).collect();
            let request = PushRequest { source: "events".to_owned(), rows, key: None };
            let report = dying(&mut project, usize::MAX, async |store| store.push(&request).await).unwrap();
            assert_eq!(report.rejected, 0, "{}: {:?}", self.name, report.reasons);
        }
        project
    }

    fn assert_row(&self, how: &str, row: usize, found: &[OracleValue]) {
        for (value, right) in found.iter().zip(&self.labels[row][2..]) {
            let shown = match (&value.cell, value.status) {
                (_, Status::Null) => "null".to_owned(),
                (_, Status::Missing) => "missing".to_owned(),
                (_, Status::Error) => "error".to_owned(),
                (cell, _) => cell.value().map(entry::to_text).unwrap_or_default(),
            };
            let of = self.labels[row].join(",");
            assert_eq!(shown, *right, "{}, {how}, of {of}", self.name);
        }
    }
}

/// Goal: training answers every label as its file says.
#[test]
fn training() {
    let cases = cases();
    assert!(cases.len() >= 14, "{} cases", cases.len());
    for case in cases {
        let mut project = case.project(0);
        let labels: Vec<(i64, Instant)> = (1..case.labels.len()).map(|row| case.label(row)).collect();
        let users = labels.iter().map(|(user, _)| Some(Value::Int64(*user)));
        let times = labels.iter().map(|(_, t)| Some(Value::Timestamp(*t)));
        let columns = [
            Column::values("user", ValueType::Int64, users),
            Column::values("t", ValueType::Timestamp, times),
        ];
        let names = case.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for known_at in [KnownAt::Event, KnownAt::Created, KnownAt::Served] {
            let mut ask = Ask::of(features(&names), known_at);
            ask.labels = Carrier::Typed;
            let catalog = project.catalog();
            let view = catalog.definitions.views.values().next().unwrap();
            let type_of = |name: &&str| {
                let name = name.trim_start_matches("v:");
                let feature = view.features.iter().find(|feature| feature.name == name).unwrap();
                (name.to_owned(), feature.value_type)
            };
            let shown: Vec<(String, ValueType)> = names.iter().map(type_of).collect();
            let found = project.train(&ask, &columns).answers(&shown);
            for (row, found) in found.iter().enumerate() {
                case.assert_row(&format!("trained, known at {known_at}"), row + 1, found);
            }
        }
    }
}

/// Goal: serving answers every label at its instant, whatever came by a load and whatever was pushed, and verifies.
#[test]
fn serving() {
    for case in cases() {
        let events = case.events.len() - 1;
        for pushed in [0, events / 2, events] {
            let mut project = case.project(pushed);
            let mut rows: Vec<usize> = (1..case.labels.len()).collect();
            rows.sort_by_key(|row| case.label(*row).1);
            let names = case.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for row in rows {
                let (user, t) = case.label(row);
                project.clock.set(t);
                let found = project.get(&names, &int_keys("user", &[user])).remove(0);
                case.assert_row(&format!("served with {pushed} of {events} pushed"), row, &found);
            }
            verify(&mut project);
        }
    }
}
