//! One flat column of a row group, page by page, at chosen rows.
//!
//! A page without a wanted row is passed by its header alone; of the others only the wanted values are copied.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array,
    NullBufferBuilder, StringArray, UInt32Array, UInt64Array, make_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::{Encoding, Type as Physical};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::chunks::Chunks;
use crate::error::{ParquetFailure, damaged};
use crate::file::ParquetFile;
use crate::levels::Validity;
use crate::selection::Rows;
use crate::values::{Dictionary, Gathered, Shape, Values, read_places};
use crate::window::Window;

/// A column that is read in this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlatColumn {
    leaf: usize,
    shape: Shape,
    /// Whether it may hold nulls, which then stand as levels in each page.
    optional: bool,
    data_type: DataType,
}

impl FlatColumn {
    /// The column at `place`, with values of `data_type`. `None`: it is read by the decoder of the library.
    pub fn of(
        file: &ParquetFile,
        group: usize,
        place: usize,
        native: &DataType,
        data_type: &DataType,
    ) -> Option<Self> {
        let leaf = file.flat_leaf(place)?;
        let column = file.descriptor().column(leaf);
        let shape = match (column.physical_type(), data_type) {
            (Physical::INT32, DataType::Int32 | DataType::UInt32 | DataType::Date32)
            | (Physical::INT32, DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16)
            | (Physical::FLOAT, DataType::Float32) => Shape::Fixed4,
            (Physical::INT64, DataType::Int64 | DataType::UInt64 | DataType::Timestamp(..))
            | (Physical::DOUBLE, DataType::Float64) => Shape::Fixed8,
            (Physical::BOOLEAN, DataType::Boolean) => Shape::Bits,
            (Physical::BYTE_ARRAY, DataType::Utf8 | DataType::Binary) => Shape::Texts,
            _ => return None,
        };
        let same = match (native, data_type) {
            (DataType::Timestamp(one, zone), DataType::Timestamp(other, another)) => {
                one == other && zone.is_some() == another.is_some()
            }
            (native, data_type) => shape == Shape::Texts || native == data_type,
        };
        let known = |encoding: Encoding| {
            use Encoding::{PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
            matches!(encoding, PLAIN | PLAIN_DICTIONARY | RLE | RLE_DICTIONARY)
        };
        let known = file.chunk(group, leaf).encodings().all(known);
        let optional = column.max_def_level() == 1;
        (same && known).then(|| Self { leaf, shape, optional, data_type: data_type.clone() })
    }
}

/// Reads a column from its first row to its last.
pub(crate) struct ColumnReader {
    column: FlatColumn,
    pages: SerializedPageReader<Window>,
    chunks: Chunks,
    dictionary: Option<Dictionary>,
    page: Option<OpenPage>,
    /// The first row behind the open page.
    next_row: u32,
    /// For the places of the next page.
    spare: Vec<u32>,
}

/// A page whose rows are being read.
struct OpenPage {
    first_row: u32,
    validity: Option<Validity>,
    values: Values,
}

impl ColumnReader {
    /// `remote_bytes`: how much may be asked of an object store at once.
    pub fn new(
        file: &ParquetFile,
        group: usize,
        column: FlatColumn,
        remote_bytes: usize,
    ) -> Result<Self, ParquetFailure> {
        let chunk: &ColumnChunkMetaData = file.chunk(group, column.leaf);
        let (start, length) = chunk.byte_range();
        let window = Window::new(file.chunks().clone(), start..start.saturating_add(length), remote_bytes);
        let index = file.metadata().offset_index();
        let pages = index.map(|index| index[group][column.leaf].page_locations().clone());
        // An index that says nothing of a column is as good as none.
        let pages = pages.filter(|pages| !pages.is_empty());
        let pages = SerializedPageReader::new(Arc::new(window), chunk, file.rows_of(group), pages);
        let chunks = file.chunks().clone();
        let pages = pages.map_err(|error| chunks.explain(&error))?;
        Ok(Self { column, pages, chunks, dictionary: None, page: None, next_row: 0, spare: Vec::new() })
    }

    /// The values at some rows, in their order: rows of one call ascend, and lie behind those of the call before. Texts
    /// may stop early, behind one row at least.
    pub fn read(&mut self, steps: &[Rows<'_>]) -> Result<ArrayRef, ParquetFailure> {
        let count = steps.iter().map(|rows| rows.len()).sum();
        let mut gathered = Gathered::new(self.column.shape, count);
        let mut nulls = NullBufferBuilder::new(count);
        'rows: for rows in steps {
            let mut rest = *rows;
            while let Some(row) = rest.first() {
                self.open_page_of(row)?;
                let (here, behind) = rest.split_at_row(self.next_row);
                let Some(page) = &mut self.page else { return Err(no_page()) };
                let done = page.append(here, self.dictionary.as_ref(), &mut gathered, &mut nulls)?;
                if done < here.len() {
                    break 'rows;
                }
                rest = behind;
            }
        }
        self.array(gathered, nulls)
    }

    /// Opens the page that holds `row`, which is not before the open one.
    fn open_page_of(&mut self, row: u32) -> Result<(), ParquetFailure> {
        let chunks = self.chunks.clone();
        let explain = |error: parquet::errors::ParquetError| chunks.explain(&error);
        while row >= self.next_row {
            let facts = self.pages.peek_next_page().map_err(explain)?.ok_or_else(no_page)?;
            // In a flat column each level is a row.
            let rows = facts.num_rows.or(facts.num_levels);
            let rows = rows.filter(|_| !facts.is_dict).map(|rows| u32::try_from(rows).unwrap_or(u32::MAX));
            if let Some(rows) = rows
                && row - self.next_row >= rows
            {
                self.pages.skip_next_page().map_err(explain)?;
                self.next_row += rows;
                continue;
            }
            let page = self.pages.get_next_page().map_err(explain)?.ok_or_else(no_page)?;
            self.take_page(page)?;
        }
        Ok(())
    }

    fn take_page(&mut self, page: Page) -> Result<(), ParquetFailure> {
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                self.dictionary = Some(Dictionary::read(&buf, num_values as usize, self.column.shape)?);
                Ok(())
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let (levels, values) = if !self.column.optional {
                    (None, buf)
                } else if def_level_encoding == Encoding::RLE {
                    let (length, rest) = buf.split_first_chunk::<4>().ok_or_else(short_page)?;
                    let length = u32::from_le_bytes(*length) as usize;
                    if length > rest.len() {
                        return Err(short_page());
                    }
                    (Some(buf.slice(4..4 + length)), buf.slice(4 + length..))
                } else {
                    return Err(damaged("the levels of a page are in an encoding that is not read"));
                };
                self.open(num_values, levels, values, encoding)
            }
            Page::DataPageV2 {
                buf, num_values, encoding, rep_levels_byte_len, def_levels_byte_len, ..
            } => {
                let (skip, length) = (rep_levels_byte_len as usize, def_levels_byte_len as usize);
                if skip + length > buf.len() {
                    return Err(short_page());
                }
                let levels = self.column.optional.then(|| buf.slice(skip..skip + length));
                self.open(num_values, levels, buf.slice(skip + length..), encoding)
            }
        }
    }

    fn open(
        &mut self,
        rows: u32,
        levels: Option<Bytes>,
        bytes: Bytes,
        encoding: Encoding,
    ) -> Result<(), ParquetFailure> {
        let validity = match levels {
            Some(levels) => Validity::read(&levels, rows as usize)?,
            None => None,
        };
        let count = validity.as_ref().map_or(rows as usize, Validity::values);
        let values = match (encoding, self.column.shape) {
            (Encoding::PLAIN, Shape::Fixed4 | Shape::Fixed8) => Values::Plain(bytes),
            (Encoding::PLAIN, Shape::Texts) => Values::Texts { bytes, next: 0, at: 0 },
            (Encoding::PLAIN, Shape::Bits) => Values::Bits(bytes),
            (Encoding::RLE, Shape::Bits) => Values::Bits(repacked(&bytes, count)?),
            (Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY, _) => {
                let size = self.dictionary.as_ref().map_or(0, Dictionary::len);
                if let Some(OpenPage { values: Values::Places(places), .. }) = self.page.take() {
                    self.spare = places;
                }
                Values::Places(read_places(&bytes, count, size, std::mem::take(&mut self.spare))?)
            }
            _ => {
                return Err(damaged(&format!(
                    "a page is in the encoding {encoding}, which its footer does not name"
                )));
            }
        };
        self.page = Some(OpenPage { first_row: self.next_row, validity, values });
        self.next_row =
            self.next_row.checked_add(rows).ok_or_else(|| damaged("a row group has too many rows"))?;
        Ok(())
    }

    fn array(&self, gathered: Gathered, mut nulls: NullBufferBuilder) -> Result<ArrayRef, ParquetFailure> {
        let nulls = nulls.finish();
        let array: ArrayRef = match gathered {
            Gathered::Fixed4(values) => {
                let length = values.len();
                let values = Buffer::from_vec(values);
                match &self.column.data_type {
                    DataType::UInt32 => {
                        Arc::new(UInt32Array::new(ScalarBuffer::new(values, 0, length), nulls))
                    }
                    DataType::Float32 => {
                        Arc::new(Float32Array::new(ScalarBuffer::new(values, 0, length), nulls))
                    }
                    _ => Arc::new(Int32Array::new(ScalarBuffer::new(values, 0, length), nulls)),
                }
            }
            Gathered::Fixed8(values) => {
                let length = values.len();
                let values = Buffer::from_vec(values);
                match &self.column.data_type {
                    DataType::UInt64 => {
                        Arc::new(UInt64Array::new(ScalarBuffer::new(values, 0, length), nulls))
                    }
                    DataType::Float64 => {
                        Arc::new(Float64Array::new(ScalarBuffer::new(values, 0, length), nulls))
                    }
                    _ => Arc::new(Int64Array::new(ScalarBuffer::new(values, 0, length), nulls)),
                }
            }
            Gathered::Bits(mut bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Gathered::Texts { bytes, ends } => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
                match &self.column.data_type {
                    DataType::Binary => Arc::new(BinaryArray::new(ends, Buffer::from_vec(bytes), nulls)),
                    _ => {
                        let texts = StringArray::try_new(ends, Buffer::from_vec(bytes), nulls);
                        Arc::new(texts.map_err(|_| damaged("a text is not UTF-8"))?)
                    }
                }
            }
        };
        if array.data_type() == &self.column.data_type {
            return Ok(array);
        }
        match &self.column.data_type {
            // The same numbers under another name.
            DataType::Date32 | DataType::Timestamp(..) => {
                let data = array.into_data().into_builder().data_type(self.column.data_type.clone()).build();
                Ok(make_array(data.map_err(|error| damaged(&error.to_string()))?))
            }
            narrow => cast(&array, narrow).map_err(|error| damaged(&error.to_string())),
        }
    }
}

impl OpenPage {
    /// Appends the values of rows that are all in this page. Returns how many.
    fn append(
        &mut self,
        rows: Rows<'_>,
        dictionary: Option<&Dictionary>,
        gathered: &mut Gathered,
        nulls: &mut NullBufferBuilder,
    ) -> Result<usize, ParquetFailure> {
        let first = self.first_row;
        let Some(validity) = &self.validity else {
            let done = match rows {
                Rows::Range(start, end) => {
                    let (from, until) = ((start - first) as usize, (end - first) as usize);
                    gathered.append_range(&mut self.values, dictionary, from, until)?
                }
                Rows::List(rows) => {
                    let places = rows.iter().map(|row| Some((row - first) as usize));
                    gathered.append_each(&mut self.values, dictionary, places)?
                }
            };
            nulls.append_n_non_nulls(done);
            return Ok(done);
        };
        match rows {
            Rows::Range(start, end) => {
                let (from, until) = ((start - first) as usize, (end - first) as usize);
                let mut place = validity.values_before(from);
                let bits = validity.bits().slice(from, until - from);
                let places = bits.iter().map(|valid| {
                    valid.then(|| {
                        place += 1;
                        place - 1
                    })
                });
                let done = gathered.append_each(&mut self.values, dictionary, places)?;
                nulls.append_buffer(&bits.slice(0, done).into());
                Ok(done)
            }
            Rows::List(rows) => {
                let place = |row: &u32| validity.place((row - first) as usize);
                let done = gathered.append_each(&mut self.values, dictionary, rows.iter().map(place))?;
                for row in &rows[..done] {
                    nulls.append(validity.bits().value((row - first) as usize));
                }
                Ok(done)
            }
        }
    }
}

/// Bits in runs, behind the length of these, as plain ones.
fn repacked(bytes: &Bytes, count: usize) -> Result<Bytes, ParquetFailure> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short_page)?;
    let runs = rest.get(..u32::from_le_bytes(*length) as usize).ok_or_else(short_page)?;
    Ok(match Validity::read(runs, count)? {
        Some(bits) => bits.bits().sliced().as_slice().to_vec().into(),
        None => vec![0xff; count.div_ceil(8)].into(),
    })
}

fn no_page() -> ParquetFailure {
    damaged("a column ends before its last row")
}

fn short_page() -> ParquetFailure {
    damaged("a page ends before its values begin")
}
