//! `asof.v1.GetOnlineFeaturesResponse`, written without building it.
//!
//! Rows may come in any order of columns and rows, as a store meets them: each [`Column`] gathers packed lists, and
//! [`answer`] puts them together. The bytes are those that the library makes of the same message.

use std::fmt::Write as _;

use asof_model::{Instant, ScalarType, Status, Value, ValueType};
use bytes::Bytes;

use crate::messages::asof::v1;
use crate::wire::{Wire, bytes, nested, number, packed, tag, varint, zigzag};
use crate::{Cell, WrongCell};

/// What stands for an event instant where there is none. No instant has this number.
pub const NO_EVENT: i64 = i64::MIN;

/// Bytes that a row takes of a list, about: room is made for them at the beginning.
const ROW_BYTES: usize = 8;

/// One column of an answer, as it grows.
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    list: List,
    statuses: Vec<u8>,
    events: Vec<u8>,
}

/// A view that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewState<'a> {
    /// `view@version`.
    pub view: &'a str,
    /// The commit of its history that the answer reflects; `None` where history itself answered.
    pub position: Option<u64>,
    /// Whether it is behind its freshness promise.
    pub degraded: bool,
    /// Its newest event as far as the server has seen.
    pub newest_event: Option<Instant>,
}

impl Column {
    /// An empty column with room for some rows.
    pub fn new(name: impl Into<String>, declared: ValueType, rows: usize) -> Self {
        Self {
            name: name.into(),
            list: List::new(declared, rows),
            statuses: Vec::with_capacity(rows),
            events: Vec::with_capacity(rows * size_of::<i64>()),
        }
    }

    /// Its rows so far.
    pub fn rows(&self) -> usize {
        self.statuses.len()
    }

    /// Adds a row: its value after defaults, why it is what it is, and the event instant of the row that was met.
    ///
    /// # Errors
    /// [`WrongCell`] for a value of another type. The column is of no use then.
    pub fn push(&mut self, cell: Cell<'_>, status: Status, event: Option<Instant>) -> Result<(), WrongCell> {
        let (declared, row) = (self.list.declared, self.rows());
        if self.list.push(cell).is_none() {
            return Err(WrongCell { column: self.name.clone(), declared, row });
        }
        self.statuses.push(column_status(status) as u8);
        self.events.extend_from_slice(&event.map_or(NO_EVENT, Instant::micros).to_le_bytes());
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.name.len()
            + self.list.items.len()
            + self.list.nulls.len()
            + self.statuses.len()
            + self.events.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if !self.name.is_empty() {
            bytes(out, 1, self.name.as_bytes());
        }
        nested(out, 2, |out| self.list.write(out));
        packed(out, 3, &self.statuses);
        packed(out, 4, &self.events);
    }
}

/// The answer: the instant it holds for, its columns in this order, and the views that answered.
pub fn answer(t: Instant, columns: &[Column], views: &[ViewState<'_>]) -> Bytes {
    let room: usize = columns.iter().map(|column| column.bytes() + 32).sum();
    let mut out = Vec::with_capacity(16 + room + views.len() * 64);
    if t.micros() != 0 {
        fixed(&mut out, 1, t.micros());
    }
    for column in columns {
        nested(&mut out, 2, |out| column.write(out));
    }
    for view in views {
        nested(&mut out, 3, |out| {
            if !view.view.is_empty() {
                bytes(out, 1, view.view.as_bytes());
            }
            if let Some(position) = view.position {
                tag(out, 2, Wire::Varint);
                varint(out, position);
            }
            number(out, 3, view.degraded.into());
            if let Some(event) = view.newest_event {
                fixed(out, 4, event.micros());
            }
        });
    }
    out.into()
}

/// Our status as the message has it.
pub fn column_status(status: Status) -> v1::Status {
    match status {
        Status::Present => v1::Status::Present,
        Status::Null => v1::Status::Null,
        Status::Missing => v1::Status::Missing,
        Status::OutsideTtl => v1::Status::OutsideTtl,
        Status::Error => v1::Status::Error,
    }
}

fn fixed(out: &mut Vec<u8>, field: u32, value: i64) {
    tag(out, field, Wire::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Values of one type, as they grow: an `asof.v1.Values`.
#[derive(Debug, Clone)]
struct List {
    declared: ValueType,
    rows: u64,
    /// What is packed, or fields.
    items: Vec<u8>,
    /// Places of nulls, packed.
    nulls: Vec<u8>,
}

impl List {
    fn new(declared: ValueType, rows: usize) -> Self {
        Self { declared, rows: 0, items: Vec::with_capacity(rows * ROW_BYTES), nulls: Vec::new() }
    }

    /// A list of some items, of which some are null.
    fn of<'v>(declared: ValueType, items: impl IntoIterator<Item = Option<&'v Value>>) -> Option<Self> {
        let mut list = Self::new(declared, 0);
        items.into_iter().try_for_each(|item| list.push(Cell::from(item)))?;
        Some(list)
    }

    /// Adds a value. `None` where it is of another type.
    fn push(&mut self, cell: Cell<'_>) -> Option<()> {
        let out = &mut self.items;
        match (self.declared, cell) {
            (declared, Cell::Null) => {
                varint(&mut self.nulls, self.rows);
                zero(out, declared);
            }
            (ValueType::Int32, Cell::Int32(v)) => zigzag(out, v.into()),
            (ValueType::Int64, Cell::Int64(v)) => zigzag(out, v),
            (ValueType::Float32, Cell::Float32(v)) => out.extend_from_slice(&v.to_le_bytes()),
            (ValueType::Float64, Cell::Float64(v)) => out.extend_from_slice(&v.to_le_bytes()),
            (ValueType::String, Cell::String(v)) | (ValueType::Json, Cell::Json(v)) => {
                bytes(out, 1, v.as_bytes())
            }
            (ValueType::Bool, Cell::Bool(v)) => out.push(v.into()),
            (ValueType::Bytes, Cell::Bytes(v)) => bytes(out, 1, v),
            (ValueType::Timestamp, Cell::Timestamp(v)) => out.extend_from_slice(&v.micros().to_le_bytes()),
            (ValueType::Date, Cell::Date(v)) => zigzag(out, v.into()),
            (ValueType::Decimal(_), Cell::Decimal(v)) => text(out, v),
            (ValueType::Uuid, Cell::Uuid(v)) => text(out, v),
            (ValueType::List(of), Cell::List(items)) => {
                let list = Self::of(of.into(), items.iter().map(Option::as_ref))?;
                nested(out, 1, |out| list.write(out));
            }
            (ValueType::Map(of), Cell::Map(entries)) => nested(out, 1, |out| map(out, of, entries))?,
            (ValueType::Embedding(dimensions), Cell::Embedding(floats))
                if floats.len() == usize::from(dimensions) =>
            {
                floats.iter().for_each(|each| out.extend_from_slice(&each.to_le_bytes()));
            }
            _ => return None,
        }
        self.rows += 1;
        Some(())
    }

    /// Writes the fields of an `asof.v1.Values`.
    fn write(&self, out: &mut Vec<u8>) {
        let (field, is_packed) = match self.declared {
            ValueType::Int32 => (1, true),
            ValueType::Int64 => (2, true),
            ValueType::Float32 => (3, true),
            ValueType::Float64 => (4, true),
            ValueType::String => (5, false),
            ValueType::Bool => (6, true),
            ValueType::Bytes => (7, false),
            ValueType::Timestamp => (8, true),
            ValueType::Date => (9, true),
            ValueType::Decimal(_) => (10, false),
            ValueType::Uuid => (11, false),
            ValueType::Json => (12, false),
            ValueType::List(_) => (13, false),
            ValueType::Map(_) => (14, false),
            ValueType::Embedding(dimensions) => {
                nested(out, 15, |out| {
                    number(out, 1, dimensions.into());
                    packed(out, 2, &self.items);
                });
                return packed(out, 16, &self.nulls);
            }
        };
        match is_packed {
            true => nested(out, field, |out| packed(out, 1, &self.items)),
            false => bytes(out, field, &self.items),
        }
        packed(out, 16, &self.nulls);
    }
}

/// Writes what stands where a value is null.
fn zero(out: &mut Vec<u8>, declared: ValueType) {
    match declared {
        ValueType::Int32 | ValueType::Int64 | ValueType::Bool | ValueType::Date => out.push(0),
        ValueType::Float32 => out.extend_from_slice(&[0; 4]),
        ValueType::Float64 | ValueType::Timestamp => out.extend_from_slice(&[0; 8]),
        ValueType::Embedding(dimensions) => out.resize(out.len() + usize::from(dimensions) * 4, 0),
        ValueType::String
        | ValueType::Bytes
        | ValueType::Decimal(_)
        | ValueType::Uuid
        | ValueType::Json
        | ValueType::List(_)
        | ValueType::Map(_) => bytes(out, 1, &[]),
    }
}

/// Writes the fields of an `asof.v1.Map`.
fn map(out: &mut Vec<u8>, of: ScalarType, entries: &[(String, Option<Value>)]) -> Option<()> {
    let values = List::of(of.into(), entries.iter().map(|(_, value)| value.as_ref()))?;
    entries.iter().for_each(|(key, _)| bytes(out, 1, key.as_bytes()));
    nested(out, 2, |out| values.write(out));
    Some(())
}

fn text(out: &mut Vec<u8>, shown: impl std::fmt::Display) {
    let mut text = String::new();
    // Into memory: this does not fail.
    let _ = write!(text, "{shown}");
    bytes(out, 1, text.as_bytes());
}
