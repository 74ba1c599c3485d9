//! The events that a feature looks at where those are not all of the key: of each bucket, those that pass its filter.

use std::collections::BTreeMap;
use std::ops::Range;

use asof_model::window::Span;
use asof_model::{Cell, Value, entry};

use crate::argument::Argument;
use crate::closing::WindowFeature;
use crate::distinct::Numbering;
use crate::events::{Column, Events, Mark};

/// The bucket of events whose `by` is null.
pub const NULL_BUCKET: &str = "__null";

/// The bucket of a value: its text. Text that could be taken for [`NULL_BUCKET`] has one more underscore in front.
pub fn bucket_name(value: &Value) -> String {
    let text = entry::to_text(value);
    let bare = text.trim_start_matches('_');
    let taken = bare == "null" && text.len() - bare.len() >= 2;
    if taken { format!("_{text}") } else { text }
}

impl WindowFeature {
    /// Whether its window looks at no event but those that it sees; otherwise what a filter lets pass is a matter of its
    /// argument.
    pub(crate) fn is_picky(&self) -> bool {
        let rows = matches!(self.window.span, Span::LastRows(_));
        let session = matches!(self.window.span, Span::Session { .. });
        self.by.is_some() || self.ranks_rows() || (self.filter.is_some() && (rows || session))
    }

    /// Whether it looks at the same events in the same order as another one, and at the same argument of them.
    pub(crate) fn shares(&self, other: &Self) -> bool {
        let inputs = |feature: &Self| (feature.argument, feature.filter, feature.by);
        let order = |feature: &Self| (feature.is_picky(), feature.ranks_rows());
        inputs(self) == inputs(other) && order(self) == order(other)
    }

    /// Whether which rows are the last is for the argument to say, of several at one place.
    pub(crate) fn ranks_rows(&self) -> bool {
        matches!(self.window.span, Span::LastRows(_)) && self.argument.is_some()
    }
}

/// Some events alone, and the argument that a feature has of them.
#[derive(Debug)]
pub(crate) struct Picked {
    pub events: Events,
    pub column: Column,
}

impl Picked {
    /// Some of the events that a feature sees, in the order of their places.
    pub fn new(feature: &WindowFeature, events: &Events, of: &[usize]) -> Self {
        let sorted;
        let of = match feature.argument.filter(|_| feature.ranks_rows()) {
            None => of,
            Some(argument) => {
                // Which of several at one place are the last is for their values to say, never for the order they came in.
                let input = &events.inputs[argument];
                let mut bytes: Vec<(usize, Vec<u8>)> =
                    of.iter().map(|event| (*event, input.bytes(*event))).collect();
                bytes.sort_by(|one, other| events.order(one.0, other.0).then_with(|| one.1.cmp(&other.1)));
                sorted = bytes.into_iter().map(|(event, _)| event).collect::<Vec<usize>>();
                &sorted
            }
        };
        let mut column = match feature.argument {
            Some(argument) => events.inputs[argument].pick(of),
            None => Column::events(of.len()),
        };
        if let Some(filter) = feature.filter {
            column = column.masked(&events.inputs[filter].pick(of));
        }
        let inputs: Vec<Column> =
            events.identity.iter().map(|identity| events.inputs[*identity].pick(of)).collect();
        let events = Events {
            instants: of.iter().map(|event| events.instants[*event]).collect(),
            createds: of.iter().map(|event| events.createds[*event]).collect(),
            identity: (!inputs.is_empty()).then_some(0),
            inputs,
            ..Events::default()
        };
        Self { events, column }
    }

    /// Adds more of the events that a feature sees, which stand behind these. False: where they stand is for their values to
    /// say, and nothing was added.
    pub fn extend(&mut self, feature: &WindowFeature, events: &Events, of: &[usize]) -> bool {
        if feature.ranks_rows() {
            return false;
        }
        let filter = feature.filter.map(|filter| &events.inputs[filter]);
        let of_events = Column::events(events.len());
        let argument = feature.argument.map_or(&of_events, |argument| &events.inputs[argument]);
        for event in of {
            self.events.instants.push(events.instants[*event]);
            self.events.createds.push(events.createds[*event]);
            if let (Some(identity), Some(input)) = (events.identity, self.events.inputs.first_mut()) {
                input.push_from(&events.inputs[identity], *event, None);
            }
            self.column.push_from(argument, *event, filter);
        }
        true
    }

    /// The argument of all of them.
    pub fn argument(&self) -> Argument<'_> {
        Argument { events: &self.events, column: &self.column, within: 0..self.events.len() }
    }
}

/// The events that pass the filter of a feature; those where it is an error, too.
pub(crate) fn seen(feature: &WindowFeature, events: &Events, within: Range<usize>) -> Vec<usize> {
    let passes = |event: &usize| match feature.filter.map(|filter| &events.inputs[filter]) {
        None => true,
        Some(filter) => filter.mark(*event) == Mark::Error || filter.is_true(*event),
    };
    within.filter(passes).collect()
}

/// Events by their bucket, and those whose bucket is in error: that is an error of the feature wherever the event counts.
pub(crate) fn buckets(by: &Column, seen: &[usize]) -> (BTreeMap<String, Vec<usize>>, Vec<usize>) {
    let picked = by.pick(seen);
    let none = Events::default();
    let of = Argument { events: &none, column: &picked, within: 0..seen.len() };
    let mut numbers = Vec::new();
    let different = Numbering::default().fill(&of, &mut numbers);
    let mut by_number: Vec<Vec<usize>> = vec![Vec::new(); different];
    let (mut nulls, mut unknown) = (Vec::new(), Vec::new());
    for (place, (event, number)) in seen.iter().zip(numbers).enumerate() {
        match picked.mark(place) {
            Mark::Error => unknown.push(*event),
            Mark::Null => nulls.push(*event),
            Mark::Value => by_number[number as usize].push(*event),
        }
    }
    let mut buckets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for of in by_number {
        if let Some(Cell::Value(value)) = of.first().map(|event| by.cell(*event)) {
            buckets.entry(bucket_name(&value)).or_default().extend(of);
        }
    }
    if !nulls.is_empty() {
        buckets.insert(NULL_BUCKET.to_owned(), nulls);
    }
    // Values of one text are of one bucket.
    buckets.values_mut().for_each(|of| of.sort_unstable());
    (buckets, unknown)
}
