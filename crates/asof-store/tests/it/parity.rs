//! The parity law (SEMANTICS 7): what `get` answered at `t` equals `train` under `served` at `t`, and both equal the
//! naive rule, in canonical bytes and status, whatever happened on the way: compaction, kills, lost state.

use std::collections::BTreeMap;

use asof_model::canonical::row_bytes;
use asof_model::{Cell, Duration, Instant, KnownAt, Value, ValueType};
use asof_oracle::{OracleAnswer, OracleRow, as_of};
use asof_store::journal::ViewJournal;
use asof_store::materialize::{MaterializeRequest, Mode};
use asof_testkit::values::spelled_otherwise;
use asof_testkit::world::{Shape, World, WorldLabel, WorldRow, small_world};
use proptest::prelude::*;

use crate::definitions::{ViewText, definitions};
use crate::project::{Ask, Entities, Project, features};
use crate::tables::{Carrier, Column, FieldOf};

/// The most answers that are asked once more from history, one by one.
const ASKED_AGAIN_MAX: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    /// Goal: units in any order, files cut in any way, a folder copied between loads, a lost online store and repeated
    /// loads: online answers equal history under `served` equal the oracle, and so do `event` and `created`.
    #[test]
    fn units_in_any_order(
        world in small_world(Shape::default()),
        choices in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let mut choices = Choices::new(choices);
        let mut order: Vec<usize> = (0..world.units.len()).collect();
        choices.shuffle(&mut order);
        Run::new(world, choices, false).through(&order)?;
    }

    /// Goal: the same while loads replace ranges of events.
    #[test]
    fn ranges_replaced(
        world in small_world(Shape { added_features: false, replaced_ranges: true }),
        choices in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let mut choices = Choices::new(choices);
        let mut order: Vec<usize> = (0..world.units.len()).collect();
        choices.shuffle(&mut order);
        let alone = choices.below(2) == 0;
        Run::new(world, choices, alone).through(&order)?;
    }

    /// Goal: the same while features are added between loads.
    #[test]
    fn features_added_between_units(
        world in small_world(Shape { added_features: true, replaced_ranges: false }),
        choices in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let order: Vec<usize> = (0..world.units.len()).collect();
        Run::new(world, Choices::new(choices), true).through(&order)?;
    }
}

/// The stamp of the last unit of rows.
fn last_unit(journal: &ViewJournal) -> Option<Instant> {
    (0..journal.units.len() as u32).map(|number| journal.units.facts(number).visible).max()
}

/// Decisions drawn beforehand, one after the other and round again.
struct Choices {
    drawn: Vec<u8>,
    next: usize,
}

impl Choices {
    fn new(drawn: Vec<u8>) -> Self {
        Self { drawn, next: 0 }
    }

    /// Below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let drawn = self.drawn[self.next % self.drawn.len()];
        self.next += 1;
        usize::from(drawn) % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// One world on its way through a project.
struct Run {
    world: World,
    choices: Choices,
    /// Whether each load finds the files of its unit alone, since older files lack the columns of added features.
    alone: bool,
    project: Project,
    /// The stamp of each unit that is loaded.
    stamps: BTreeMap<usize, Instant>,
    /// The ranges that were replaced, from and until, and when.
    replaced: Vec<((Instant, Instant), Instant)>,
    /// Features that the view has now.
    held: usize,
    /// Nothing is asked or stamped before it any more.
    high: Instant,
    /// What the online store answered.
    asked: Vec<Asked>,
}

/// One answer of the online store.
struct Asked {
    label: WorldLabel,
    answer: OracleAnswer,
}

impl Run {
    fn new(world: World, choices: Choices, alone: bool) -> Self {
        Self {
            project: Project::new(""),
            held: 0,
            high: Instant::MIN,
            world,
            choices,
            alone,
            stamps: BTreeMap::new(),
            replaced: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn through(mut self, order: &[usize]) -> Result<(), TestCaseError> {
        let instants: Vec<Instant> = self.world.units.iter().map(|unit| unit.visible).collect();
        for (unit, instant) in order.iter().zip(instants) {
            let replaces = self.world.units[*unit].replaces.is_some();
            if !self.world.rows.iter().any(|row| row.unit == *unit) && (!replaces || self.stamps.is_empty()) {
                continue;
            }
            self.load(*unit, instant)?;
            self.ask()?;
            self.disturb()?;
        }
        if self.held > 0 {
            self.served_again()?;
            self.train_all()?;
        }
        Ok(())
    }

    /// Adds the unit's files and loads, with the clock at `instant`.
    fn load(&mut self, unit: usize, instant: Instant) -> Result<(), TestCaseError> {
        let held = self.world.units[unit].features_held;
        if held != self.held {
            self.held = held;
            self.project.define(&definitions(&[self.view_text()]));
            self.project.apply();
        }
        let replaces = self.world.units[unit].replaces;
        if self.alone || replaces.is_some() {
            let _ = std::fs::remove_dir_all(self.project.root.join("data"));
        }
        self.write_unit(unit);
        self.project.clock.set(instant);
        if let Some(range) = replaces {
            return self.replace(unit, range);
        }
        let load = self.project.load(&[]);
        prop_assert_eq!((load.rows_bad, load.units_recovered), (0, 0));
        let journal = self.project.journal("things");
        let last = last_unit(&journal).unwrap();
        self.stamps.insert(unit, last);
        // Files that hold what an earlier load found, to the byte, are no new unit: their rows keep the stamp they have.
        prop_assert_eq!(load.units_published, u64::from(last > self.high));
        self.high = self.high.max(journal.last_visible.unwrap());
        Ok(())
    }

    /// Replaces the range by the unit's rows.
    fn replace(&mut self, unit: usize, range: (Instant, Instant)) -> Result<(), TestCaseError> {
        let whole = range == (Instant::MIN, Instant::MAX);
        let request = MaterializeRequest {
            start: (!whole).then_some(range.0),
            end: (!whole).then_some(range.1),
            mode: Mode::Replace,
            ..MaterializeRequest::default()
        };
        let report = self.project.try_materialize(&request).unwrap();
        prop_assert_eq!(&report.failures, &[]);
        let journal = self.project.journal("things");
        let before = (0..journal.units.len() as u32).map(|number| journal.units.facts(number));
        let visible = before.flat_map(|facts| facts.replaced.last()).map(|replaced| replaced.visible).max();
        let visible = visible.max(last_unit(&journal)).unwrap();
        prop_assert!(visible > self.high && report.views[0].replaced, "{:?}", report);
        self.stamps.insert(unit, visible);
        self.replaced.push((range, visible));
        self.high = journal.last_visible.unwrap();
        if self.choices.below(2) == 0 {
            let again = self.project.try_materialize(&request).unwrap();
            prop_assert!(again.views[0].unchanged, "the same replacement once more: {:?}", again);
        }
        Ok(())
    }

    fn write_unit(&mut self, unit: usize) {
        let mut rows: Vec<WorldRow> =
            self.world.rows.iter().filter(|row| row.unit == unit).cloned().collect();
        self.choices.shuffle(&mut rows);
        let files = 1 + self.choices.below(3);
        let mut parts: BTreeMap<(usize, Vec<bool>), Vec<WorldRow>> = BTreeMap::new();
        for row in rows {
            // A string in error is bytes that are no text; in Parquet its whole column is of bytes then.
            let broken = row
                .cells
                .iter()
                .zip(&self.world.features)
                .map(|(cell, feature)| feature.value_type == ValueType::String && *cell == Cell::Error);
            let part = (self.choices.below(files), broken.collect());
            parts.entry(part).or_default().push(row);
        }
        if parts.is_empty() {
            parts.insert((0, Vec::new()), Vec::new());
        }
        for (place, rows) in parts.into_values().enumerate() {
            let mut columns = self.columns(&rows);
            if self.world.units.iter().any(|unit| unit.replaces.is_some()) {
                // A column that no view reads tells files apart: the rows of one that comes again behind a replacement
                // would have two stamps.
                columns.push(Column::ints("unit", rows.iter().map(|_| unit as i64)));
            }
            let mut carriers = vec![Carrier::Typed, Carrier::Text, Carrier::Json];
            if columns.iter().all(Column::fits_csv) {
                carriers.push(Carrier::Csv);
            }
            let carrier = carriers[self.choices.below(carriers.len())];
            // Files are read in the order of their names, which is none of the order of units.
            let name = format!("data/things/{}-{unit}-{place}", self.choices.below(10));
            self.project.write_table(&name, &columns, carrier);
        }
    }

    fn columns(&mut self, rows: &[WorldRow]) -> Vec<Column> {
        let mut columns = Vec::new();
        for (place, of) in self.world.key_types.iter().enumerate() {
            let values = rows.iter().map(|row| Some(row.key[place].clone()));
            columns.push(Column::values(&format!("key{place}"), *of, values));
        }
        columns.push(Column::instants("event_timestamp", rows.iter().map(|row| row.event)));
        columns.push(Column::instants("created_timestamp", rows.iter().map(|row| row.created)));
        for (place, feature) in self.world.features.iter().take(self.held).enumerate() {
            let mut column = Column::new(&format!("feature{place}"), feature.value_type);
            for row in rows {
                let mut field = FieldOf::of_cell(&row.cells[place], feature.value_type);
                if let (Some(FieldOf::Value(value)), 0) = (&mut field, self.choices.below(2)) {
                    *value = spelled_otherwise(value);
                }
                column.fields.push(field);
            }
            columns.push(column);
        }
        columns
    }

    fn view_text(&self) -> ViewText {
        let features = self.world.features.iter().take(self.held).enumerate();
        let keys = self.world.key_types.iter().enumerate();
        ViewText {
            name: "things".to_owned(),
            keys: keys.map(|(place, of)| (format!("key{place}"), *of)).collect(),
            features: features
                .map(|(place, each)| (format!("feature{place}"), each.value_type, each.default.clone()))
                .collect(),
            ttl: self.world.ttl,
            keep: self.world.keep,
            zone: None,
            created: true,
        }
    }

    /// What is right at `label.t` with what is loaded, for the features that the view has now.
    fn right(&self, label: &WorldLabel, known_at: KnownAt, include_expired: bool) -> OracleAnswer {
        let row = |row: &WorldRow| {
            let visible = *self.stamps.get(&row.unit)?;
            let replacing = |((from, until), replaced): &&((Instant, Instant), Instant)| {
                visible < *replaced && *from <= row.event && row.event < *until
            };
            Some(OracleRow {
                key: asof_model::key::encode_key(&row.key),
                event: row.event,
                created: row.created,
                visible,
                replaced: self.replaced.iter().find(replacing).map(|(_, replaced)| *replaced),
                cells: row.cells.clone(),
            })
        };
        let rows: Vec<OracleRow> = self.world.rows.iter().filter_map(row).collect();
        let types = self.world.types();
        let features = &self.world.oracle_features()[..self.held];
        let rule = self.world.rule(known_at, include_expired);
        as_of(&rows, &types, label.encoded_key().as_ref(), label.t, &rule, features)
    }

    /// Asks the online store for every key, at instants from the last stamp on.
    fn ask(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2 {
            let step = [0, 1, 999, 60_000_000][self.choices.below(4)];
            self.high = self.high.plus(Duration::from_micros(step));
            for key in self.keys() {
                let label = WorldLabel { key, t: self.high };
                let answer = self.get(&label, false)?;
                let right = self.right(&label, KnownAt::Served, false);
                prop_assert_eq!(&answer, &right, "online, at {}", label.t);
                self.asked.push(Asked { label, answer });
            }
        }
        Ok(())
    }

    /// The keys of the labels, each once.
    fn keys(&self) -> Vec<Vec<Option<Value>>> {
        let mut keys: Vec<Vec<Option<Value>>> = Vec::new();
        for label in &self.world.labels {
            if !keys.contains(&label.key) {
                keys.push(label.key.clone());
            }
        }
        keys
    }

    fn get(&mut self, label: &WorldLabel, from_history: bool) -> Result<OracleAnswer, TestCaseError> {
        let key = label.key.iter().enumerate();
        let entities: Entities =
            key.map(|(place, value)| (format!("key{place}"), vec![value.clone()])).collect();
        self.project.clock.set(self.high.max(label.t));
        let ask = Ask::of(features(&["things:*"]), KnownAt::Served);
        let answer = self.project.try_get(&ask, &entities, 1, Some(label.t), from_history);
        let answer = answer.map_err(|error| TestCaseError::fail(format!("at {}: {error}", label.t)))?;
        prop_assert_eq!(answer.t, label.t);
        let events: Vec<Option<Instant>> = answer.rows[0].iter().map(|value| value.event).collect();
        prop_assert!(events.windows(2).all(|pair| pair[0] == pair[1]), "one row, one event: {:?}", events);
        Ok(OracleAnswer { values: crate::project::answers(&answer).remove(0), event: events[0] })
    }

    /// Whether the last load replaced a range: then a plain load still has to look at what the files hold beside it.
    fn replaced_last(&self) -> bool {
        self.replaced.last().map(|(_, visible)| *visible) == self.stamps.values().copied().max()
    }

    /// Something that must change no answer.
    fn disturb(&mut self) -> Result<(), TestCaseError> {
        match self.choices.below(6) {
            0 => return Ok(()),
            4 => {
                self.project.compact();
                prop_assert!(self.project.compact().views.iter().all(|view| view.files_before == 0));
                self.project.vacuum(asof_model::Duration::ZERO);
            }
            5 => {
                let polls = 1 + 3 * self.choices.below(40);
                self.project.compact_killed_after(polls);
            }
            1 => {
                let load = self.project.load(&[]);
                prop_assert!(
                    (load.unchanged || self.replaced_last()) && load.units_published == 0,
                    "{:?}",
                    load
                );
            }
            2 => self.project = self.project.copy(),
            _ => {
                self.project.lose_online();
                let load = self.project.load(&[]);
                prop_assert!(load.units_published == 0 && load.units_recovered > 0, "{:?}", load);
            }
        }
        // A load behind a replacement leaves marks for what files hold beside the range.
        self.high = self.high.max(self.project.journal("things").last_visible.unwrap());
        self.ask()
    }

    /// Everything that was answered, from history: through `train` and, for some, through `get`.
    fn served_again(&mut self) -> Result<(), TestCaseError> {
        let asked = std::mem::take(&mut self.asked);
        let labels: Vec<WorldLabel> = asked.iter().map(|each| each.label.clone()).collect();
        let found = self.train(&labels, KnownAt::Served, false);
        for (each, found) in asked.iter().zip(found) {
            let right = &each.answer.values;
            prop_assert_eq!(&found[..right.len()], &right[..], "history at {}", each.label.t);
            self.same_bytes(&found[..right.len()], right)?;
        }
        let step = asked.len().div_ceil(ASKED_AGAIN_MAX);
        for each in asked.iter().step_by(step) {
            let found = self.get(&each.label, true)?;
            let right = &each.answer;
            prop_assert_eq!(
                &found.values[..right.values.len()],
                &right.values[..],
                "again at {}",
                each.label.t
            );
            prop_assert_eq!(found.event, right.event);
        }
        Ok(())
    }

    /// Equality of values is equality of bytes; this says so of the bytes themselves.
    fn same_bytes(
        &self,
        found: &[asof_oracle::OracleValue],
        right: &[asof_oracle::OracleValue],
    ) -> Result<(), TestCaseError> {
        let bytes = |values: &[asof_oracle::OracleValue]| {
            let cells: Vec<Cell> = values.iter().map(|value| value.cell.clone()).collect();
            row_bytes(&self.world.types(), &cells)
        };
        prop_assert_eq!(bytes(found), bytes(right));
        Ok(())
    }

    /// The labels of the world under every rule.
    fn train_all(&mut self) -> Result<(), TestCaseError> {
        let labels = self.world.labels.clone();
        for known_at in [KnownAt::Event, KnownAt::Created, KnownAt::Served] {
            let include_expired = self.choices.below(2) == 0;
            let found = self.train(&labels, known_at, include_expired);
            for (label, found) in labels.iter().zip(found) {
                let right = self.right(label, known_at, include_expired).values;
                prop_assert_eq!(found, right, "under {} at {:?}", known_at, label);
            }
        }
        Ok(())
    }

    fn train(
        &mut self,
        labels: &[WorldLabel],
        known_at: KnownAt,
        include_expired: bool,
    ) -> Vec<Vec<asof_oracle::OracleValue>> {
        let mut columns = Vec::new();
        for (place, of) in self.world.key_types.iter().enumerate() {
            let values = labels.iter().map(|label| label.key[place].clone());
            columns.push(Column::values(&format!("key{place}"), *of, values));
        }
        columns.push(Column::instants("t", labels.iter().map(|label| label.t)));
        let csv = columns.iter().all(Column::fits_csv) && self.choices.below(2) == 0;
        let labels = if csv { Carrier::Csv } else { Carrier::Typed };
        let ask = Ask { include_expired, labels, ..Ask::of(features(&["things:*"]), known_at) };
        let set = self.project.train(&ask, &columns);
        let features = self.world.features.iter().take(self.held).enumerate();
        let names: Vec<_> =
            features.map(|(place, each)| (format!("feature{place}"), each.value_type)).collect();
        set.answers(&names)
    }
}
