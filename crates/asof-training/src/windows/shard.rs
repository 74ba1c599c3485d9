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

/// An event, with the number of its key and where its cells stand.
struct Found {
    key: u32,
    head: Head,
    block: u32,
    offset: u32,
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
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        events.drain(number, |block| {
            blocks.push(block.to_vec());
            Ok(())
        })?;
        let found = found(view, &keys, keyed.form, &blocks);
        let asked = standing(view, found.iter(), view.known_at, &blocks);
        let in_force = served.then(|| standing(view, found.iter(), KnownAt::Served, &blocks));
        drop((found, blocks));
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

/// The events whose key a label has, in order of key and instants.
fn found(view: &WindowView, keys: &KeyTable, form: KeyForm, blocks: &[Vec<u8>]) -> Vec<Found> {
    let mut found = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let mut record = Record(block);
        while !record.is_empty() {
            let (head, of, bytes) = read_head(&mut record, form);
            let offset = (block.len() - record.0.len()) as u32;
            pass_cells(&mut record, &view.inputs);
            let key = match form {
                KeyForm::Number => keys.find_number(hash_number(of), of),
                KeyForm::Bytes => keys.find_bytes(hash_bytes(bytes), bytes),
            };
            if let Some(key) = key {
                found.push(Found { key, head, block: number as u32, offset });
            }
        }
    }
    found.sort_by_key(|found| (found.key, found.head.event, found.head.created));
    found
}

/// The events that may be known under a rule, with from when until when they stand.
fn standing<'f>(
    view: &WindowView,
    found: impl Iterator<Item = &'f Found>,
    known_at: KnownAt,
    blocks: &[Vec<u8>],
) -> Standing {
    let inputs = view.inputs.iter().map(|(_, input)| Column::new(input.value_type)).collect();
    let mut events = Events { inputs, identity: view.identity, ..Events::default() };
    let (mut keys, mut untils, mut ends) = (Vec::new(), Vec::new(), false);
    for found in found {
        let Head { event, created, unit } = found.head;
        let Some(seen) = Seen::of(known_at, event, created, view.units.facts(unit)) else { continue };
        keys.push(found.key);
        events.instants.push(event);
        events.createds.push(created);
        if known_at != KnownAt::Event {
            events.knowns.push(seen.known);
        }
        ends |= seen.until != i64::MAX;
        untils.push(seen.until);
        let mut record = Record(&blocks[found.block as usize][found.offset as usize..]);
        read_cells(&mut record, &mut events.inputs);
    }
    if ends {
        events.untils = untils;
    }
    let standing = Standing { events, keys };
    if view.identity.is_some() { standing.in_order() } else { standing }
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
