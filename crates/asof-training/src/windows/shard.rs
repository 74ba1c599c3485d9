//! The events and the labels of one shard to values.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::{Field, Schema};
use asof_engine::columns::{ColumnBuilder, ERRORS, arrow_type};
use asof_engine::source::admission::error_type;
use asof_model::{Cell, KnownAt};
use asof_window::{Ask, Closed, Column, Events};

use super::record::{Head, pass_cells, read_cells, read_head};
use super::{WindowCounts, WindowView};
use crate::TrainingError;
use crate::buckets::{Buckets, Record};
use crate::history::{FeatureRows, RowUnits};
use crate::join::key_table::KeyTable;
use crate::join::keys::{KeyForm, hash_bytes, hash_number};
use crate::join::label_pass::Keyed;
use crate::join::parts::{Delivery, Parts};
use crate::join::run::Run;
use crate::join::shard::Seen;

/// A label, with the number of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    key: u32,
    time: i64,
    known: i64,
    row: u32,
}

impl<'a> Run<'a> {
    /// Closes the windows of the labels of a shard. Returns how many labels it has.
    pub(super) fn close_shard(
        &self,
        view: &WindowView,
        keyed: &Keyed<'_>,
        events: &Buckets<'_>,
        number: usize,
        served: bool,
        (parts, counts): (&Parts<'a>, &WindowCounts),
    ) -> Result<u64, TrainingError> {
        let mut keys = KeyTable::new(keyed.form);
        let labels = self.labels_of(keyed, number, &mut keys)?;
        let mut found = Found::new(view);
        events.drain(number, |block| {
            found.read(view, &keys, keyed.form, block);
            Ok(())
        })?;
        let order = found.order(keys.len());
        let asked = found.standing(view, &order, view.known_at);
        let in_force = served.then(|| found.standing(view, &order, KnownAt::Served));
        drop((found, order));
        self.answer(view, &labels, &asked, in_force.as_ref(), (parts, counts))?;
        Ok(labels.len() as u64)
    }

    fn labels_of(
        &self,
        keyed: &Keyed<'_>,
        number: usize,
        keys: &mut KeyTable,
    ) -> Result<Vec<Label>, TrainingError> {
        let knows = self.spec.known.is_some();
        let mut labels = Vec::new();
        keyed.records.read(number, |block| {
            let mut record = Record(block);
            while !record.is_empty() {
                let (row, time) = (record.u32(), record.i64());
                let known = if knows { record.i64() } else { time };
                let key = match keyed.form {
                    KeyForm::Number => keys.number(record.i64()),
                    KeyForm::Bytes => {
                        let length = record.u32() as usize;
                        let key = record.bytes(length);
                        keys.number_of_bytes(hash_bytes(key), key)
                    }
                };
                labels.push(Label { key, time, known, row });
            }
            Ok(())
        })?;
        labels.sort_unstable();
        Ok(labels)
    }

    /// Answers the labels of a shard, key by key.
    fn answer(
        &self,
        view: &WindowView,
        labels: &[Label],
        asked: &Standing,
        served: Option<&Standing>,
        (parts, counts): (&Parts<'a>, &WindowCounts),
    ) -> Result<(), TrainingError> {
        let mut answers = Answers::new(view, labels.len());
        let (mut closed, mut in_force) = (Closed::default(), Closed::default());
        let arguments = view.closing.arguments(&asked.events);
        let served = served.map(|served| (served, view.closing.arguments(&served.events)));
        let (mut matched, mut differing) = (0, 0);
        let mut asks: Vec<Ask> = Vec::new();
        let (mut next, mut next_served) = (0, 0);
        for of_key in labels.chunk_by(|one, other| one.key == other.key) {
            asks.clear();
            asks.extend(of_key.iter().map(|label| Ask { t: label.time, known: label.known }));
            let within = asked.of_key(of_key[0].key, &mut next);
            view.closing.close(&asked.events, &arguments, within, &asks, &mut closed);
            if let Some((served, arguments)) = &served {
                let within = served.of_key(of_key[0].key, &mut next_served);
                view.closing.close(&served.events, arguments, within, &asks, &mut in_force);
                let same = |ask: usize| {
                    closed.newest[ask].is_some() == in_force.newest[ask].is_some()
                        && closed.cells.iter().zip(&in_force.cells).all(|(one, other)| one[ask] == other[ask])
                };
                differing += (0..asks.len()).filter(|ask| !same(*ask)).count() as u64;
            }
            for (place, label) in of_key.iter().enumerate() {
                if let Some(newest) = closed.newest[place] {
                    answers.add(&closed, place, label.row, newest);
                    matched += 1;
                }
            }
        }
        counts.matched.fetch_add(matched, Ordering::Relaxed);
        counts.differing.fetch_add(differing, Ordering::Relaxed);
        answers.deliver(view, parts)
    }
}

/// The events of a shard in order of key and place.
struct Standing {
    events: Events,
    keys: Vec<u32>,
}

impl Standing {
    /// The events of a key. Keys are asked for in ascending order; `next` is where the last one ended.
    fn of_key(&self, key: u32, next: &mut usize) -> std::ops::Range<usize> {
        let rest = &self.keys[*next..];
        let start = *next + rest.partition_point(|each| *each < key);
        let end = start + self.keys[start..].partition_point(|each| *each == key);
        *next = end;
        start..end
    }
}

/// The events whose key a label has, as they came.
struct Found {
    events: Events,
    /// The numbers of their keys.
    keys: Vec<u32>,
    /// Their publication units.
    units: Vec<u32>,
}

impl Found {
    fn new(view: &WindowView) -> Self {
        let inputs = view.inputs.iter().map(|(_, input)| Column::new(input.value_type)).collect();
        let events = Events { inputs, identity: view.identity, ..Events::default() };
        Self { events, keys: Vec::new(), units: Vec::new() }
    }

    /// Adds the events of a block.
    fn read(&mut self, view: &WindowView, keys: &KeyTable, form: KeyForm, block: &[u8]) {
        let mut record = Record(block);
        while !record.is_empty() {
            let (Head { event, created, unit }, of, bytes) = read_head(&mut record, form);
            let key = match form {
                KeyForm::Number => keys.find_number(hash_number(of), of),
                KeyForm::Bytes => keys.find_bytes(hash_bytes(bytes), bytes),
            };
            let Some(key) = key else {
                pass_cells(&mut record, &view.inputs);
                continue;
            };
            self.keys.push(key);
            self.units.push(unit);
            self.events.instants.push(event);
            self.events.createds.push(created);
            read_cells(&mut record, &mut self.events.inputs);
        }
    }

    /// Their places in order of key, event and created; equal ones as they came. By counting, since each key has many.
    fn order(&self, keys: usize) -> Vec<usize> {
        let mut starts = vec![0; keys + 1];
        self.keys.iter().for_each(|key| starts[*key as usize + 1] += 1);
        (0..keys).for_each(|key| starts[key + 1] += starts[key]);
        let (mut order, mut next) = (vec![0; self.keys.len()], starts.clone());
        for (place, key) in self.keys.iter().enumerate() {
            order[next[*key as usize]] = place;
            next[*key as usize] += 1;
        }
        let at = |place: &usize| (self.events.instants[*place], self.events.createds[*place]);
        for bounds in starts.windows(2) {
            let of_key = &mut order[bounds[0]..bounds[1]];
            if !of_key.is_sorted_by_key(at) {
                of_key.sort_by_key(at);
            }
        }
        order
    }

    /// Those that may be known under a rule, with from when until when they stand.
    fn standing(&self, view: &WindowView, order: &[usize], known_at: KnownAt) -> Standing {
        let seen = |place: usize| {
            let (event, created) = (self.events.instants[place], self.events.createds[place]);
            Seen::of(known_at, event, created, view.units.facts(self.units[place]))
        };
        let (mut places, mut untils, mut ends) = (Vec::with_capacity(order.len()), Vec::new(), false);
        let mut knowns = Vec::new();
        for place in order {
            let Some(seen) = seen(*place) else { continue };
            places.push(*place);
            if known_at != KnownAt::Event {
                knowns.push(seen.known);
                ends |= seen.until != i64::MAX;
                untils.push(seen.until);
            }
        }
        if !ends {
            untils = Vec::new();
        }
        let events = Events { knowns, untils, ..self.events.picked(&places) };
        let standing = Standing { events, keys: places.iter().map(|place| self.keys[*place]).collect() };
        if view.identity.is_some() { standing.in_order() } else { standing }
    }
}

impl Standing {
    /// With events of equal instants in order of their identity.
    fn in_order(self) -> Self {
        let same = |one: usize, other: usize| self.keys[one] == self.keys[other];
        let right = |at: usize| !same(at, at + 1) || self.events.order(at, at + 1).is_le();
        let count = self.keys.len();
        if (0..count.saturating_sub(1)).all(right) {
            return self;
        }
        let mut places: Vec<usize> = (0..count).collect();
        places.sort_by(|one, other| {
            self.keys[*one].cmp(&self.keys[*other]).then_with(|| self.events.order(*one, *other))
        });
        let moved = |of: &[i64]| -> Vec<i64> {
            if of.is_empty() { Vec::new() } else { places.iter().map(|place| of[*place]).collect() }
        };
        let (knowns, untils) = (moved(&self.events.knowns), moved(&self.events.untils));
        // Keys stand in order already.
        Self { events: Events { knowns, untils, ..self.events.picked(&places) }, keys: self.keys }
    }
}

/// The values of labels that met something, as they are delivered.
struct Answers {
    columns: Vec<ColumnBuilder>,
    /// By row, the places of features in error.
    errors: Vec<(u32, usize)>,
    labels: Vec<Delivery>,
}

impl Answers {
    fn new(view: &WindowView, labels: usize) -> Self {
        let columns = view.features.iter().map(|feature| ColumnBuilder::new(feature.value_type, labels));
        Self { columns: columns.collect(), errors: Vec::new(), labels: Vec::with_capacity(labels) }
    }

    fn add(&mut self, closed: &Closed, place: usize, label: u32, newest: i64) {
        let row = self.labels.len() as u32;
        for (feature, (column, cells)) in self.columns.iter_mut().zip(&closed.cells).enumerate() {
            match &cells[place] {
                Cell::Value(value) => column.append(Some(value)),
                Cell::Null => column.append(None),
                Cell::Error => {
                    column.append(None);
                    self.errors.push((row, feature));
                }
            }
        }
        self.labels.push(Delivery { row, label, expired: false, event: newest });
    }

    fn deliver(self, view: &WindowView, parts: &Parts<'_>) -> Result<(), TrainingError> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let rows = self.labels.len();
        let mut columns: Vec<ArrayRef> = self.columns.into_iter().map(ColumnBuilder::finish).collect();
        columns.push(match self.errors.is_empty() {
            true => new_null_array(&error_type(), rows),
            false => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                let mut errors = self.errors.into_iter().peekable();
                for row in 0..rows as u32 {
                    let mut any = false;
                    while let Some((_, feature)) = errors.next_if(|(of, _)| *of == row) {
                        lists.values().append_value(&view.features[feature].name);
                        any = true;
                    }
                    lists.append(any);
                }
                Arc::new(lists.finish())
            }
        });
        let fields =
            view.features.iter().map(|each| Field::new(&each.name, arrow_type(each.value_type), true));
        let fields: Vec<Field> = fields.chain([Field::new(ERRORS, error_type(), true)]).collect();
        let columns = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        parts.deliver(FeatureRows { columns, units: RowUnits::All(0) }, self.labels)
    }
}
