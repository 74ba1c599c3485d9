//! The bytes under one (view, key) of a view of events: every event that may still count (SEMANTICS 4).
//!
//! Version 1. Numbers are variable-length, seven bits to a byte, the lowest first; those with a sign fold it into the lowest
//! bit.
//!
//! | part | bytes |
//! | --- | --- |
//! | head | `u8` 129: an entry of events, version 1; flags `u8` (1: events say when they were known); inputs; events |
//! | per event | event, the first one as it is, then each from the one before; created from event; 1 where it was pushed, else 0; with flag 1 known from event |
//! | its inputs | marks, 2 bits each, lowest first: 0 null, 1 error, 2 value; then values |
//! | values | integers as numbers; floats `f64` little-endian; all others their bytes behind their length: of text as it is, else the canonical bits |
//!
//! Events stand in order of their places.

use std::ops::Range;

use asof_model::{Cell, Instant, ValueType};
use asof_window::events::bytes_of;
use asof_window::{Column, Events, Mark};

use crate::error::OnlineError;
use crate::fields::Fields;

const EVENTS_VERSION: u8 = 129;
const FLAG_KNOWN: u8 = 1;
const MARK_NULL: u8 = 0;
const MARK_ERROR: u8 = 1;
const MARK_VALUE: u8 = 2;

/// The events of one key, as they are stored.
#[derive(Debug, Clone)]
pub struct KeyEvents {
    /// In order of their places. `knowns` is empty where every event is known at its instant.
    pub events: Events,
    /// Whether each was pushed; else it came of a load.
    pub pushed: Vec<bool>,
}

/// An event to add.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// When it happened.
    pub event: Instant,
    /// When its source says it was known.
    pub created: Instant,
    /// Since when it is readable here.
    pub visible: Instant,
    /// Whether it was pushed.
    pub pushed: bool,
    /// What it holds of each input. Later inputs hold nothing.
    pub cells: &'a [Cell],
}

/// Whether these are the bytes of an entry of events.
pub fn is_events(entry: &[u8]) -> bool {
    entry.first() == Some(&EVENTS_VERSION)
}

impl KeyEvents {
    /// No events, of inputs of these types. `identity`: which of them tells events apart.
    pub fn new(types: &[ValueType], identity: Option<usize>) -> Self {
        let inputs = types.iter().map(|of| Column::new(*of)).collect();
        Self { events: Events { inputs, identity, ..Events::default() }, pushed: Vec::new() }
    }

    /// The events of an entry. Inputs that it does not have hold nothing.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub fn read(entry: &[u8], types: &[ValueType], identity: Option<usize>) -> Result<Self, OnlineError> {
        let mut input = Input { fields: Fields::new("entry of events", entry), at: 0 };
        match input.byte()? {
            EVENTS_VERSION => {}
            found => {
                return Err(OnlineError::UnknownVersion {
                    what: "entry of events",
                    found,
                    newest: EVENTS_VERSION,
                });
            }
        }
        let known = input.byte()? & FLAG_KNOWN != 0;
        let (inputs, count) = (input.number()? as usize, input.number()? as usize);
        // Each event takes four bytes at least.
        if count > entry.len() || inputs > entry.len() {
            return Err(input.fields.damaged("it says that it has more events than fit into it"));
        }
        let mut read = Self::new(types, identity);
        let (mut event, mut late) = (0_i64, false);
        let mut knowns = Vec::with_capacity(count);
        for _ in 0..count {
            event = event.wrapping_add(input.signed()?);
            let created = event.wrapping_add(input.signed()?);
            read.pushed.push(input.number()? == 1);
            let from = if known { event.wrapping_add(input.signed()?) } else { created };
            late |= from > event;
            read.events.instants.push(event);
            read.events.createds.push(created);
            knowns.push(from);
            let marks = input.slice(inputs.div_ceil(4))?;
            for place in 0..inputs.max(types.len()) {
                let mark = marks.get(place / 4).map_or(MARK_NULL, |four| four >> (place % 4 * 2) & 3);
                let column = read.events.inputs.get_mut(place);
                let (Some(column), true) = (column, place < inputs) else {
                    // An input that is newer than the entry holds nothing; one that is newer than the reader is an error.
                    match read.events.inputs.get_mut(place) {
                        Some(column) => column.push_mark(Mark::Null),
                        None => return Err(input.fields.damaged("it has more inputs than its view")),
                    }
                    continue;
                };
                match mark {
                    MARK_NULL => column.push_mark(Mark::Null),
                    MARK_VALUE => input.value(column)?,
                    _ => column.push_mark(Mark::Error),
                }
            }
        }
        if late {
            read.events.knowns = knowns;
        }
        Ok(read)
    }

    /// Adds an event; [`KeyEvents::settle`] follows.
    pub fn push(&mut self, new: NewEvent<'_>) {
        let NewEvent { event, created, visible, pushed, cells } = new;
        let known = match self.events.identity {
            // Which of several came first depends on when they came.
            Some(_) => created.max(visible),
            None => created,
        };
        if self.events.knowns.is_empty() && known > event {
            // Those before are known at their instants.
            self.events.knowns.clone_from(&self.events.instants);
            self.events.knowns.push(known.micros());
        } else if !self.events.knowns.is_empty() {
            self.events.knowns.push(known.micros());
        }
        self.events.instants.push(event.micros());
        self.events.createds.push(created.micros());
        self.pushed.push(pushed);
        for (place, column) in self.events.inputs.iter_mut().enumerate() {
            column.push(cells.get(place).unwrap_or(&Cell::Null));
        }
    }

    /// Keeps the events that `stays` says so of, by their places, and puts them in order.
    pub fn settle(&mut self, stays: impl Fn(usize) -> bool) {
        let mut places: Vec<usize> = (0..self.events.len()).filter(|place| stays(*place)).collect();
        let ordered = places.windows(2).all(|pair| self.events.order(pair[0], pair[1]).is_le());
        if ordered && places.len() == self.events.len() {
            return;
        }
        places.sort_by(|one, other| self.events.order(*one, *other));
        let knowns = match self.events.knowns.is_empty() {
            true => Vec::new(),
            false => places.iter().map(|place| self.events.knowns[*place]).collect(),
        };
        self.pushed = places.iter().map(|place| self.pushed[*place]).collect();
        self.events = Events { knowns, ..self.events.picked(&places) };
    }

    /// The entry of the events.
    pub fn write(&self) -> Vec<u8> {
        let events = &self.events;
        let known = !events.knowns.is_empty();
        let mut out = Vec::with_capacity(8 + events.len() * (12 + 9 * events.inputs.len()));
        out.extend([EVENTS_VERSION, if known { FLAG_KNOWN } else { 0 }]);
        number(&mut out, events.inputs.len() as u64);
        number(&mut out, events.len() as u64);
        let mut before = 0_i64;
        for place in 0..events.len() {
            let event = events.instants[place];
            signed(&mut out, event.wrapping_sub(before));
            signed(&mut out, events.createds[place].wrapping_sub(event));
            number(&mut out, u64::from(self.pushed[place]));
            if known {
                signed(&mut out, events.knowns[place].wrapping_sub(event));
            }
            before = event;
            let mut marks = vec![0; events.inputs.len().div_ceil(4)];
            for (input, column) in events.inputs.iter().enumerate() {
                let mark = match column.mark(place) {
                    Mark::Null => MARK_NULL,
                    Mark::Error => MARK_ERROR,
                    Mark::Value => MARK_VALUE,
                };
                marks[input / 4] |= mark << (input % 4 * 2);
            }
            out.extend(marks);
            for column in events.inputs.iter().filter(|column| column.mark(place) == Mark::Value) {
                write_value(&mut out, column, place);
            }
        }
        out
    }

    /// Whether an event has its instant in a range, in microseconds, and did not come of a push.
    pub fn any_loaded_in(&self, range: Range<i64>) -> bool {
        (0..self.events.len()).any(|place| self.is_loaded_in(place, &range))
    }

    /// The same of one event.
    pub fn is_loaded_in(&self, place: usize, range: &Range<i64>) -> bool {
        !self.pushed[place] && range.contains(&self.events.instants[place])
    }
}

fn write_value(out: &mut Vec<u8>, column: &Column, place: usize) {
    match column.cell(place) {
        Cell::Value(asof_model::Value::Int32(value)) => signed(out, value.into()),
        Cell::Value(asof_model::Value::Int64(value)) => signed(out, value),
        Cell::Value(asof_model::Value::Float32(value)) => out.extend(f64::from(value).to_le_bytes()),
        Cell::Value(asof_model::Value::Float64(value)) => out.extend(value.to_le_bytes()),
        Cell::Value(value) => {
            let bytes = bytes_of(&value);
            number(out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
        }
        Cell::Null | Cell::Error => {}
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that are read from the front.
struct Input<'b> {
    fields: Fields<'b>,
    at: usize,
}

impl<'b> Input<'b> {
    fn byte(&mut self) -> Result<u8, OnlineError> {
        self.at += 1;
        self.fields.u8(self.at - 1)
    }

    fn slice(&mut self, length: usize) -> Result<&'b [u8], OnlineError> {
        let end = self.at.saturating_add(length);
        let slice = self.fields.slice(self.at, end)?;
        self.at = end;
        Ok(slice)
    }

    fn number(&mut self) -> Result<u64, OnlineError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.fields.damaged("a number in it has no end"))
    }

    fn signed(&mut self) -> Result<i64, OnlineError> {
        let folded = self.number()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    fn value(&mut self, column: &mut Column) -> Result<(), OnlineError> {
        match column.value_type() {
            ValueType::Int32 | ValueType::Int64 => column.push_integer(self.signed()?),
            ValueType::Float32 | ValueType::Float64 => {
                let bytes =
                    self.slice(8)?.try_into().map_err(|_| self.fields.damaged("it ends too early"))?;
                column.push_float(f64::from_le_bytes(bytes));
            }
            _ => {
                let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
                if !column.push_bytes(self.slice(length)?) {
                    return Err(self.fields.damaged("a value in it is not of its type"));
                }
            }
        }
        Ok(())
    }
}
