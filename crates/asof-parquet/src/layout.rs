//! How a column is best written, by what some of its values are like: quick to read, and not larger than it has to be.

use std::collections::HashSet;
use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use foldhash::quality::FixedState;

/// Rows for each distinct value from which on a dictionary pays.
const ROWS_FOR_EACH_VALUE: usize = 4;

/// Bytes of a column that are packed to see what that saves.
const SAMPLE_BYTES: usize = 64 * 1024;

/// Packing pays where it leaves at most so much of a column: less is not worth the time of each reader.
const LEFT_MAX: f64 = 0.65;

/// Whether the values of a flat column repeat often enough for a dictionary: otherwise to look each one up costs more than
/// to write it. Nested columns count as repeating.
pub fn repeats(values: &ArrayRef) -> bool {
    if values.is_empty() || matches!(values.data_type(), DataType::Boolean) || values.data_type().is_nested()
    {
        return true;
    }
    let converted = RowConverter::new(vec![SortField::new(values.data_type().clone())])
        .and_then(|converter| converter.convert_columns(std::slice::from_ref(values)));
    let Ok(rows) = converted else { return true };
    let most = values.len() / ROWS_FOR_EACH_VALUE;
    let mut distinct = HashSet::new();
    rows.iter().all(|row| {
        // Two values of one hash would be taken for one, which changes nothing.
        distinct.insert(FixedState::default().hash_one(row.data()));
        distinct.len() <= most.max(1)
    })
}

/// Whether Zstandard at its first level saves enough of a column that is written without a dictionary. Columns whose bytes
/// can't be looked at count as such.
pub fn packs(values: &ArrayRef) -> bool {
    let data = values.to_data();
    let bytes = match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            let (first, last) = (texts.value_offsets()[0], texts.value_offsets()[texts.len()]);
            texts.values().as_slice().get(first as usize..last as usize)
        }
        DataType::Binary => return true,
        of => of.primitive_width().and_then(|width| {
            let buffer = data.buffers().first()?.as_slice();
            buffer.get(data.offset() * width..(data.offset() + data.len()) * width)
        }),
    };
    let Some(bytes) = bytes.map(|bytes| &bytes[..bytes.len().min(SAMPLE_BYTES)]) else { return true };
    match zstd::bulk::compress(bytes, 1) {
        Ok(packed) => packed.len() as f64 <= bytes.len() as f64 * LEFT_MAX,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    /// Goal: columns are told apart as a reader would wish.
    #[test]
    fn columns_of_several_kinds() {
        let scattered = |n: i64| n.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(n >> 3);
        let noise: ArrayRef =
            Arc::new(Float64Array::from_iter_values((0..9_000).map(|n| scattered(n) as f64)));
        let few: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..9_000).map(|n| format!("c{}", n % 7))));
        let sorted: ArrayRef = Arc::new(Int64Array::from_iter_values((0..9_000).map(|n| n * 3)));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true; 9_000]));
        assert_eq!((repeats(&noise), packs(&noise)), (false, false));
        assert_eq!((repeats(&few), packs(&few)), (true, true));
        assert_eq!((repeats(&sorted), packs(&sorted)), (false, true));
        assert!(repeats(&flags) && packs(&flags));
        assert!(!packs(&noise.slice(100, 5_000)) && packs(&sorted.slice(8_000, 1_000)));
        assert!(repeats(&noise.slice(0, 0)));
    }
}
