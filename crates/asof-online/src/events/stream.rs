//! The bytes of events, one behind the other in the order in which they came.
//!
//! Bytes are only ever added behind, and the bytes of two streams one after the other are a stream: so an event is
//! added, and a tail becomes a segment, without reading what is there. All numbers are of variable length.
//!
//! | part | bytes |
//! | --- | --- |
//! | flags | 1: pushed; 2: it says when it was known; 4: a restart |
//! | inputs | at a restart: how many inputs events have from here on |
//! | event | at a restart as it is, else from the one before |
//! | created | from event |
//! | known | with flag 2, from event; else it is created |
//! | marks | 2 bits for each input, lowest first: 0 null, 1 error, 2 value |
//! | values | integers as numbers; floats `f64` little-endian; all others their bytes behind their length: of text as it is, else the canonical bits |

use asof_model::{Cell, Value, ValueType};
use asof_window::events::bytes_of;
use asof_window::{Column, Mark};

use super::KeyEvents;
use crate::error::OnlineError;
use crate::varint::{Input, number, signed};

const FLAG_PUSHED: u64 = 1;
const FLAG_KNOWN: u64 = 2;
const FLAG_RESTART: u64 = 4;
const FLAGS: u64 = FLAG_PUSHED | FLAG_KNOWN | FLAG_RESTART;

const MARK_NULL: u8 = 0;
const MARK_ERROR: u8 = 1;
const MARK_VALUE: u8 = 2;

/// An event to store. Instants are microseconds.
#[derive(Debug, Clone, Copy)]
pub struct StreamEvent<'a> {
    /// When it happened.
    pub event: i64,
    /// When its source says it was known.
    pub created: i64,
    /// From when on it is known.
    pub known: i64,
    /// Whether it was pushed; else it came of a load.
    pub pushed: bool,
    /// What it holds of each input.
    pub cells: &'a [Cell],
}

/// The end of a stream, to which events are added.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The events.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u64,
    /// The least event instant.
    pub oldest: i64,
    /// The greatest event instant.
    pub newest: i64,
    /// The instant of the last event in the bytes, and its inputs.
    pub last: i64,
    /// How many inputs the last event has.
    pub inputs: usize,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunk {
    /// Without events.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), count: 0, oldest: i64::MAX, newest: i64::MIN, last: 0, inputs: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, new: &StreamEvent<'_>) {
        let restart = self.bytes.is_empty() || self.inputs != new.cells.len();
        let mut flags = if new.pushed { FLAG_PUSHED } else { 0 };
        if new.known != new.created {
            flags |= FLAG_KNOWN;
        }
        let out = &mut self.bytes;
        if restart {
            number(out, flags | FLAG_RESTART);
            number(out, new.cells.len() as u64);
            signed(out, new.event);
        } else {
            number(out, flags);
            signed(out, new.event.wrapping_sub(self.last));
        }
        signed(out, new.created.wrapping_sub(new.event));
        if new.known != new.created {
            signed(out, new.known.wrapping_sub(new.event));
        }
        let marks_at = out.len();
        out.resize(marks_at + new.cells.len().div_ceil(4), 0);
        for (input, cell) in new.cells.iter().enumerate() {
            let mark = match cell {
                Cell::Null => MARK_NULL,
                Cell::Error => MARK_ERROR,
                Cell::Value(_) => MARK_VALUE,
            };
            out[marks_at + input / 4] |= mark << (input % 4 * 2);
        }
        for cell in new.cells {
            if let Cell::Value(value) = cell {
                write_value(out, value);
            }
        }
        self.count += 1;
        self.oldest = self.oldest.min(new.event);
        self.newest = self.newest.max(new.event);
        (self.last, self.inputs) = (new.event, new.cells.len());
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int32(value) => signed(out, (*value).into()),
        Value::Int64(value) => signed(out, *value),
        Value::Float32(value) => out.extend(f64::from(*value).to_le_bytes()),
        Value::Float64(value) => out.extend(value.to_le_bytes()),
        value => {
            let bytes = bytes_of(value);
            number(out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Where reading a stream stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resume {
    last: i64,
    inputs: Option<usize>,
}

/// Events as they are read, in the order in which they came.
#[derive(Debug)]
pub struct Decoded {
    /// Without `knowns`.
    pub events: KeyEvents,
    /// From when on each is known.
    pub knowns: Vec<i64>,
    /// Whether one is known later than it happened.
    pub late: bool,
}

impl Decoded {
    /// Without events, of inputs of these types. `identity`: which of them tells events apart.
    pub fn new(types: &[ValueType], identity: Option<usize>) -> Self {
        Self { events: KeyEvents::new(types, identity), knowns: Vec::new(), late: false }
    }

    /// Reads more of the stream. Inputs that an event does not have hold nothing.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], also for an event of more inputs than there are types.
    pub fn read(&mut self, bytes: &[u8], resume: &mut Resume) -> Result<(), OnlineError> {
        let mut input = Input::new("entry of events", bytes);
        while !input.is_empty() {
            self.read_event(&mut input, resume)?;
        }
        Ok(())
    }

    fn read_event(&mut self, input: &mut Input<'_>, resume: &mut Resume) -> Result<(), OnlineError> {
        let flags = input.number()?;
        if flags & !FLAGS != 0 {
            return Err(input.fields.damaged("an event carries flags that this version does not have"));
        }
        let event = if flags & FLAG_RESTART != 0 {
            resume.inputs = Some(input.size()?);
            input.signed()?
        } else {
            resume.last.wrapping_add(input.signed()?)
        };
        let Some(inputs) = resume.inputs else {
            return Err(input.fields.damaged("it begins in the middle of its events"));
        };
        let columns = &mut self.events.events.inputs;
        if inputs > columns.len() {
            return Err(input.fields.damaged("it has more inputs than its view"));
        }
        resume.last = event;
        let created = event.wrapping_add(input.signed()?);
        let known = match flags & FLAG_KNOWN {
            0 => created,
            _ => event.wrapping_add(input.signed()?),
        };
        let marks = input.slice(inputs.div_ceil(4))?;
        for (place, column) in columns.iter_mut().enumerate() {
            // An input that is newer than the event holds nothing.
            let mark = marks.get(place / 4).map_or(MARK_NULL, |four| four >> (place % 4 * 2) & 3);
            match mark {
                MARK_NULL => column.push_mark(Mark::Null),
                MARK_VALUE => read_value(input, column)?,
                _ => column.push_mark(Mark::Error),
            }
        }
        self.events.events.instants.push(event);
        self.events.events.createds.push(created);
        self.events.pushed.push(flags & FLAG_PUSHED != 0);
        self.knowns.push(known);
        self.late |= known > event;
        Ok(())
    }

    /// The events that do not lie before `bound`, in the order of their places.
    pub fn finish(self, bound: i64) -> KeyEvents {
        let Self { mut events, knowns, late } = self;
        if late {
            events.events.knowns = knowns;
        }
        events.settle_from(bound);
        events
    }
}

fn read_value(input: &mut Input<'_>, column: &mut Column) -> Result<(), OnlineError> {
    match column.value_type() {
        ValueType::Int32 | ValueType::Int64 => column.push_integer(input.signed()?),
        ValueType::Float32 | ValueType::Float64 => column.push_float(f64::from_le_bytes(input.array()?)),
        _ => {
            let length = input.size()?;
            if !column.push_bytes(input.slice(length)?) {
                return Err(input.fields.damaged("a value in it is not of its type"));
            }
        }
    }
    Ok(())
}
