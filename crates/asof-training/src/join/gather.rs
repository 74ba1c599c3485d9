//! Values of rows in parts, put together in the order of labels.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use super::parts::Winner;
use crate::TrainingError;

/// What rows hold of a column of type `of`; null where there is no row. `parts`: the column in each part.
///
/// # Errors
/// [`TrainingError::Arrow`], a defect of ours.
pub(super) fn gather(
    parts: &[&ArrayRef],
    winners: &[Winner],
    of: &DataType,
) -> Result<ArrayRef, TrainingError> {
    Ok(match of {
        DataType::Int32 => numbers::<Int32Type>(parts, winners, of),
        DataType::Int64 => numbers::<Int64Type>(parts, winners, of),
        DataType::Float32 => numbers::<Float32Type>(parts, winners, of),
        DataType::Float64 => numbers::<Float64Type>(parts, winners, of),
        DataType::Timestamp(..) => numbers::<TimestampMicrosecondType>(parts, winners, of),
        DataType::Utf8 => match texts(parts, winners) {
            Some(texts) => texts,
            None => any(parts, winners, of)?,
        },
        _ => any(parts, winners, of)?,
    })
}

fn numbers<T: ArrowPrimitiveType>(parts: &[&ArrayRef], winners: &[Winner], of: &DataType) -> ArrayRef {
    let values: Vec<&[T::Native]> =
        parts.iter().map(|part| part.as_primitive::<T>().values().as_ref()).collect();
    let value = |winner: &Winner| winner.place().map_or(T::default_value(), |(part, row)| values[part][row]);
    let gathered: Vec<T::Native> = winners.iter().map(value).collect();
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(gathered), validity(parts, winners));
    Arc::new(array.with_data_type(of.clone()))
}

/// `None`: they don't fit one array of texts.
fn texts(parts: &[&ArrayRef], winners: &[Winner]) -> Option<ArrayRef> {
    let parts_of_texts: Vec<(&[i32], &[u8])> = parts
        .iter()
        .map(|part| part.as_string::<i32>())
        .map(|texts| (texts.value_offsets(), texts.values().as_slice()))
        .collect();
    let text = |winner: &Winner| match winner.place() {
        Some((part, row)) => {
            let (offsets, bytes) = parts_of_texts[part];
            &bytes[offsets[row] as usize..offsets[row + 1] as usize]
        }
        None => &[],
    };
    let length = winners.iter().map(|winner| text(winner).len()).sum();
    let mut bytes: Vec<u8> = Vec::with_capacity(length);
    let mut ends: Vec<i32> = Vec::with_capacity(winners.len() + 1);
    ends.push(0);
    for winner in winners {
        bytes.extend_from_slice(text(winner));
        ends.push(i32::try_from(bytes.len()).ok()?);
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
    // Texts one after the other are text.
    let texts = StringArray::try_new(ends, bytes.into(), validity(parts, winners));
    texts.ok().map(|texts| Arc::new(texts) as ArrayRef)
}

fn any(parts: &[&ArrayRef], winners: &[Winner], of: &DataType) -> Result<ArrayRef, TrainingError> {
    let nothing = new_null_array(of, 1);
    let mut arrays: Vec<&dyn Array> = vec![nothing.as_ref()];
    arrays.extend(parts.iter().map(|part| part.as_ref()));
    let place = |winner: &Winner| winner.place().map_or((0, 0), |(part, row)| (part + 1, row));
    let places: Vec<(usize, usize)> = winners.iter().map(place).collect();
    Ok(interleave(&arrays, &places)?)
}

/// Which values are there.
fn validity(parts: &[&ArrayRef], winners: &[Winner]) -> Option<NullBuffer> {
    let nulls: Vec<Option<&BooleanBuffer>> = parts
        .iter()
        .map(|part| part.nulls().filter(|nulls| nulls.null_count() > 0).map(NullBuffer::inner))
        .collect();
    let valid = match nulls.iter().any(Option::is_some) {
        false => BooleanBuffer::collect_bool(winners.len(), |label| winners[label] != Winner::NONE),
        true => BooleanBuffer::collect_bool(winners.len(), |label| {
            winners[label].place().is_some_and(|(part, row)| nulls[part].is_none_or(|valid| valid.value(row)))
        }),
    };
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}
