//! The bytes of a row: features at fixed offsets, so that a subset is read without decoding the rest.
//!
//! Version 1, all integers little-endian:
//!
//! | part | bytes |
//! | --- | --- |
//! | head | version `u8` = 1, flags `u8` = 0, feature count `u16`, length of the fixed area `u32` |
//! | marks | 2 bits per feature, lowest first: 0 null, 1 error, 2 value |
//! | fixed area | int32, float32, date 4; int64, float64, timestamp 8; bool 1; decimal, uuid 16; embedding(n) 4 n; all others: end offset `u32` |
//! | variable area | strings, json and bytes, and the canonical bits of lists and maps, one after the other; an end offset counts from the start of this area |
//!
//! Features stand in order of addition. A row may hold fewer features than the layout (it is older than the last
//! ones) or more (it is newer than the plan that reads it): both are read, as an added feature must not disturb
//! those who do not ask for it (SEMANTICS 9). That is why the length of the fixed area is written down.
//! Versions are never reused: bytes written today are readable for ever.

use std::cmp::Ordering;

use asof_model::{Cell, Decimal, Uuid, Value, ValueType, canonical};

use crate::cell::CellRef;
use crate::error::OnlineError;
use crate::fields::Fields;

/// The most features a row can hold.
pub const FEATURES_MAX: usize = u16::MAX as usize;

const ROW_VERSION: u8 = 1;
const HEAD_BYTES: usize = 8;
const MARK_NULL: u8 = 0;
const MARK_ERROR: u8 = 1;
const MARK_VALUE: u8 = 2;

/// Where each feature of a view sits in the bytes of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLayout {
    types: Vec<ValueType>,
    /// Offset of each feature in the fixed area, and behind the last one its length.
    offsets: Vec<usize>,
    /// For each feature the offset of the last feature of variable length before it: its end is our start.
    starts: Vec<Option<usize>>,
}

impl RowLayout {
    /// The layout of rows with features of these types, in order of addition. Only the first [`FEATURES_MAX`] count.
    pub fn new(types: &[ValueType]) -> Self {
        let types = types[..types.len().min(FEATURES_MAX)].to_vec();
        let mut offsets = Vec::with_capacity(types.len() + 1);
        let mut starts = Vec::with_capacity(types.len());
        let (mut at, mut last_variable) = (0, None);
        for each in &types {
            offsets.push(at);
            starts.push(last_variable);
            if is_variable(*each) {
                last_variable = Some(at);
            }
            at += width(*each);
        }
        offsets.push(at);
        Self { types, offsets, starts }
    }

    /// The types of the features, in order of addition.
    pub fn types(&self) -> &[ValueType] {
        &self.types
    }

    /// The bytes of a row. `cells` may be fewer than the types: the row is older than the last features.
    ///
    /// Total: what the caller should never pass does no harm. A value of another type than declared, and one that
    /// would take the variable area past 4 GiB, is written as an error cell; cells beyond the types are not written.
    pub fn encode(&self, cells: &[Cell]) -> Vec<u8> {
        let count = cells.len().min(self.types.len());
        let marks_at = HEAD_BYTES;
        let fixed_at = marks_at + marks_bytes(count);
        let fixed_bytes = self.offsets[count];
        let mut row = vec![0; fixed_at + fixed_bytes];
        row[0] = ROW_VERSION;
        // At most 65,535 features of at most 65,536 bytes.
        row[2..4].copy_from_slice(&(count as u16).to_le_bytes());
        row[4..8].copy_from_slice(&(fixed_bytes as u32).to_le_bytes());
        let mut variable = Vec::new();
        for (feature, cell) in cells[..count].iter().enumerate() {
            let at = fixed_at + self.offsets[feature];
            let mark = match cell {
                Cell::Null => MARK_NULL,
                Cell::Error => MARK_ERROR,
                Cell::Value(value) if value.is_of(self.types[feature]) => {
                    write_value(&mut row[at..], &mut variable, value)
                }
                Cell::Value(_) => MARK_ERROR,
            };
            if is_variable(self.types[feature]) {
                // An end for nulls too, so that the next start is found in one step.
                row[at..at + 4].copy_from_slice(&(variable.len() as u32).to_le_bytes());
            }
            row[marks_at + feature / 4] |= mark << (feature % 4 * 2);
        }
        row.extend(variable);
        row
    }

    /// How many features the row holds; may be fewer or more than the layout has.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub fn feature_count(row: &[u8]) -> Result<usize, OnlineError> {
        Ok(Head::read(row)?.count)
    }

    /// The cell of one feature; `None` where the feature is newer than the row, or than the layout. Constant time,
    /// without decoding other features.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub fn cell<'r>(&self, row: &'r [u8], feature: usize) -> Result<Option<CellRef<'r>>, OnlineError> {
        let head = self.head(row)?;
        if feature >= head.count.min(self.types.len()) {
            return Ok(None);
        }
        self.cell_of(&head, feature).map(Some)
    }

    /// Opens a row to read several of its cells: its head is checked once.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    #[inline]
    pub fn open<'r>(&'r self, row: &'r [u8]) -> Result<OpenRow<'r>, OnlineError> {
        Ok(OpenRow { layout: self, head: self.head(row)? })
    }

    /// The cells of the row, as many as both the row and the layout have.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub fn cells(&self, row: &[u8]) -> Result<Vec<Cell>, OnlineError> {
        let head = self.head(row)?;
        (0..head.count.min(self.types.len()))
            .map(|feature| self.cell_of(&head, feature).map(CellRef::to_cell))
            .collect()
    }

    /// The canonical bytes of the row (SEMANTICS 2).
    ///
    /// # Errors
    /// [`OnlineError::RowNewer`] where the row holds more features than the layout; as [`RowLayout::cells`].
    pub fn canonical(&self, row: &[u8]) -> Result<Vec<u8>, OnlineError> {
        let features = Self::feature_count(row)?;
        if features > self.types.len() {
            return Err(OnlineError::RowNewer { features, known: self.types.len() });
        }
        Ok(canonical::row_bytes(&self.types, &self.cells(row)?))
    }

    /// The order of two rows by their canonical bytes: the last word where event and created are equal
    /// (SEMANTICS 3). A row that another one extends by later features is the smaller one.
    ///
    /// # Errors
    /// As [`RowLayout::canonical`].
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Result<Ordering, OnlineError> {
        Ok(self.canonical(a)?.cmp(&self.canonical(b)?))
    }

    /// Whether these are the bytes of a row that this layout can read in full, to be asked before they are stored.
    ///
    /// # Errors
    /// As [`RowLayout::canonical`].
    pub fn check(&self, row: &[u8]) -> Result<(), OnlineError> {
        let head = self.head(row)?;
        if head.count > self.types.len() {
            return Err(OnlineError::RowNewer { features: head.count, known: self.types.len() });
        }
        for feature in 0..head.count {
            self.cell_of(&head, feature)?;
        }
        Ok(())
    }

    /// The head of a row whose fixed area is what this layout expects.
    #[inline]
    fn head<'r>(&self, row: &'r [u8]) -> Result<Head<'r>, OnlineError> {
        let head = Head::read(row)?;
        let known = head.count.min(self.types.len());
        let fits = if head.count > known {
            head.fixed_bytes >= self.offsets[known]
        } else {
            head.fixed_bytes == self.offsets[known]
        };
        if fits {
            Ok(head)
        } else {
            Err(head.row.damaged("its fixed area does not fit the types of the view"))
        }
    }

    #[inline(always)]
    fn cell_of<'r>(&self, head: &Head<'r>, feature: usize) -> Result<CellRef<'r>, OnlineError> {
        let row = &head.row;
        match row.u8(HEAD_BYTES + feature / 4)? >> (feature % 4 * 2) & 3 {
            MARK_NULL => return Ok(CellRef::Null),
            MARK_ERROR => return Ok(CellRef::Error),
            MARK_VALUE => {}
            _ => return Err(row.damaged("a mark is neither null, error nor value")),
        }
        let at = head.fixed_at + self.offsets[feature];
        Ok(match self.types[feature] {
            ValueType::Int32 => CellRef::Int32(i32::from_le_bytes(row.array(at)?)),
            ValueType::Int64 => CellRef::Int64(i64::from_le_bytes(row.array(at)?)),
            ValueType::Float32 => CellRef::Float32(f32::from_bits(row.u32(at)?)),
            ValueType::Float64 => CellRef::Float64(f64::from_bits(row.u64(at)?)),
            ValueType::Date => CellRef::Date(i32::from_le_bytes(row.array(at)?)),
            ValueType::Timestamp => CellRef::Timestamp(row.instant(at)?),
            ValueType::Bool => match row.u8(at)? {
                0 => CellRef::Bool(false),
                1 => CellRef::Bool(true),
                _ => return Err(row.damaged("a bool is neither 0 nor 1")),
            },
            ValueType::Bytes => CellRef::Bytes(self.variable(head, feature, at)?),
            ValueType::String => CellRef::String(self.text(head, feature, at)?),
            ValueType::Json => CellRef::Json(self.text(head, feature, at)?),
            ValueType::Uuid => CellRef::Uuid(Uuid::from_bytes(row.array(at)?)),
            ValueType::Decimal(of) => CellRef::Decimal(
                Decimal::checked(i128::from_le_bytes(row.array(at)?), of)
                    .map_err(|_| row.damaged("a decimal has more digits than its type"))?,
            ),
            declared @ (ValueType::List(_) | ValueType::Map(_)) => {
                nested(row, declared, self.variable(head, feature, at)?)?
            }
            declared @ ValueType::Embedding(_) => {
                nested(row, declared, row.slice(at, at + width(declared))?)?
            }
        })
    }

    #[inline]
    fn text<'r>(&self, head: &Head<'r>, feature: usize, at: usize) -> Result<&'r str, OnlineError> {
        std::str::from_utf8(self.variable(head, feature, at)?)
            .map_err(|_| head.row.damaged("a text is not UTF-8"))
    }

    #[inline]
    fn variable<'r>(&self, head: &Head<'r>, feature: usize, at: usize) -> Result<&'r [u8], OnlineError> {
        let area = head.fixed_at + head.fixed_bytes;
        let start = match self.starts[feature] {
            Some(before) => head.row.u32(head.fixed_at + before)? as usize,
            None => 0,
        };
        let end = head.row.u32(at)? as usize;
        head.row.slice(area + start, area + end)
    }
}

/// A row whose head was checked.
#[derive(Clone, Copy)]
pub struct OpenRow<'r> {
    layout: &'r RowLayout,
    head: Head<'r>,
}

impl<'r> OpenRow<'r> {
    /// As [`RowLayout::cell`].
    ///
    /// # Errors
    /// [`OnlineError::Damaged`].
    #[inline(always)]
    pub fn cell(&self, feature: usize) -> Result<Option<CellRef<'r>>, OnlineError> {
        if feature >= self.head.count.min(self.layout.types.len()) {
            return Ok(None);
        }
        self.layout.cell_of(&self.head, feature).map(Some)
    }

    /// The bytes of a value of fixed width, of a feature of such a type. `None` where there is none: null, error, or newer
    /// than the row.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`].
    #[inline(always)]
    pub fn fixed<const N: usize>(&self, feature: usize) -> Result<Option<[u8; N]>, OnlineError> {
        if !self.holds(feature)? {
            return Ok(None);
        }
        self.head.row.array(self.head.fixed_at + self.layout.offsets[feature]).map(Some)
    }

    /// The text of a feature of type string. `None` as of [`OpenRow::fixed`].
    ///
    /// # Errors
    /// [`OnlineError::Damaged`].
    #[inline(always)]
    pub fn text(&self, feature: usize) -> Result<Option<&'r str>, OnlineError> {
        if !self.holds(feature)? {
            return Ok(None);
        }
        let at = self.head.fixed_at + self.layout.offsets[feature];
        self.layout.text(&self.head, feature, at).map(Some)
    }

    /// Whether the row holds a value of a feature.
    #[inline(always)]
    fn holds(&self, feature: usize) -> Result<bool, OnlineError> {
        if feature >= self.head.count.min(self.layout.types.len()) {
            return Ok(false);
        }
        match self.head.row.u8(HEAD_BYTES + feature / 4)? >> (feature % 4 * 2) & 3 {
            MARK_NULL | MARK_ERROR => Ok(false),
            MARK_VALUE => Ok(true),
            _ => Err(self.head.row.damaged("a mark is neither null, error nor value")),
        }
    }
}

/// The head of a row, read and checked.
#[derive(Clone, Copy)]
struct Head<'r> {
    row: Fields<'r>,
    count: usize,
    fixed_at: usize,
    fixed_bytes: usize,
}

impl<'r> Head<'r> {
    #[inline]
    fn read(bytes: &'r [u8]) -> Result<Self, OnlineError> {
        let row = Fields::new("row", bytes);
        row.check_version(ROW_VERSION)?;
        if row.u8(1)? != 0 {
            return Err(row.damaged("it carries flags that version 1 does not have"));
        }
        let count = usize::from(row.u16(2)?);
        let fixed_bytes = row.u32(4)? as usize;
        let fixed_at = HEAD_BYTES + marks_bytes(count);
        if fixed_at + fixed_bytes > bytes.len() {
            return Err(row.damaged("it ends before its variable area"));
        }
        Ok(Self { row, count, fixed_at, fixed_bytes })
    }
}

fn nested<'r>(row: &Fields<'r>, declared: ValueType, bits: &'r [u8]) -> Result<CellRef<'r>, OnlineError> {
    match canonical::read_bits(declared, bits) {
        Some(_) => Ok(CellRef::Nested(declared, bits)),
        None => Err(row.damaged("a list, map or embedding is not in canonical form")),
    }
}

fn is_variable(of: ValueType) -> bool {
    matches!(
        of,
        ValueType::String | ValueType::Bytes | ValueType::Json | ValueType::List(_) | ValueType::Map(_)
    )
}

/// Bytes of a type in the fixed area.
fn width(of: ValueType) -> usize {
    match of {
        ValueType::Bool => 1,
        ValueType::Int32 | ValueType::Float32 | ValueType::Date => 4,
        ValueType::Int64 | ValueType::Float64 | ValueType::Timestamp => 8,
        ValueType::Decimal(_) | ValueType::Uuid => 16,
        ValueType::Embedding(dimensions) => 4 * usize::from(dimensions),
        // The end in the variable area.
        ValueType::String | ValueType::Bytes | ValueType::Json | ValueType::List(_) | ValueType::Map(_) => 4,
    }
}

fn marks_bytes(count: usize) -> usize {
    count.div_ceil(4)
}

/// Writes the bits of a value to the start of `fixed`, or its text behind `variable`; returns its mark.
fn write_value(fixed: &mut [u8], variable: &mut Vec<u8>, value: &Value) -> u8 {
    match value {
        Value::Int32(v) | Value::Date(v) => fixed[..4].copy_from_slice(&v.to_le_bytes()),
        Value::Float32(v) => fixed[..4].copy_from_slice(&v.to_bits().to_le_bytes()),
        Value::Int64(v) => fixed[..8].copy_from_slice(&v.to_le_bytes()),
        Value::Float64(v) => fixed[..8].copy_from_slice(&v.to_bits().to_le_bytes()),
        Value::Timestamp(v) => fixed[..8].copy_from_slice(&v.micros().to_le_bytes()),
        Value::Bool(v) => fixed[0] = u8::from(*v),
        Value::Decimal(v) => fixed[..16].copy_from_slice(&v.units.to_le_bytes()),
        Value::Uuid(v) => fixed[..16].copy_from_slice(v.as_bytes()),
        Value::Embedding(_) => {
            let bits = canonical::bits(value);
            fixed[..bits.len()].copy_from_slice(&bits);
        }
        Value::List(_) | Value::Map(_) => return write_variable(variable, &canonical::bits(value)),
        Value::String(v) | Value::Json(v) => return write_variable(variable, v.as_bytes()),
        Value::Bytes(v) => return write_variable(variable, v),
    }
    MARK_VALUE
}

fn write_variable(variable: &mut Vec<u8>, bytes: &[u8]) -> u8 {
    if u32::try_from(variable.len() + bytes.len()).is_err() {
        return MARK_ERROR;
    }
    variable.extend(bytes);
    MARK_VALUE
}
