//! The values of pages and of dictionaries, and the columns that are built of them.

use arrow::array::BooleanBufferBuilder;
use bytes::Bytes;

use crate::error::{ParquetFailure, damaged};
use crate::hybrid::{Run, Runs, unpack};

/// Bytes of texts that are gathered at once, a text more or less: a dictionary says a long one once for any number of
/// rows.
pub(crate) const TEXT_BYTES: usize = 64 * 1024 * 1024;

/// How the values of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many bytes each, 4 or 8.
    Fixed4,
    Fixed8,
    /// Bits.
    Bits,
    /// A length and so many bytes.
    Texts,
}

/// The values of a dictionary.
pub(crate) enum Dictionary {
    Fixed4(Vec<u32>),
    Fixed8(Vec<u64>),
    /// Where each text ends in the bytes; the first begins at 0.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<u32>,
    },
}

/// The values of one page.
pub(crate) enum Values {
    /// Numbers one after the other.
    Plain(Bytes),
    /// Texts one after the other, each behind its length. `next` of them were passed, up to `at`.
    Texts { bytes: Bytes, next: usize, at: usize },
    /// Bits, from the lowest.
    Bits(Bytes),
    /// Places in the dictionary.
    Places(Vec<u32>),
}

/// The values of a column that were asked for; those that are null hold anything.
pub(crate) enum Gathered {
    Fixed4(Vec<u32>),
    Fixed8(Vec<u64>),
    Bits(BooleanBufferBuilder),
    Texts { bytes: Vec<u8>, ends: Vec<i32> },
}

impl Dictionary {
    /// Reads the plain values of a dictionary page.
    pub fn read(bytes: &[u8], count: usize, shape: Shape) -> Result<Self, ParquetFailure> {
        let short = || damaged("a dictionary is shorter than it says");
        Ok(match shape {
            Shape::Fixed4 => {
                let bytes = count.checked_mul(4).and_then(|length| bytes.get(..length)).ok_or_else(short)?;
                Self::Fixed4(bytes.as_chunks().0.iter().map(|each| u32::from_le_bytes(*each)).collect())
            }
            Shape::Fixed8 => {
                let bytes = count.checked_mul(8).and_then(|length| bytes.get(..length)).ok_or_else(short)?;
                Self::Fixed8(bytes.as_chunks().0.iter().map(|each| u64::from_le_bytes(*each)).collect())
            }
            Shape::Texts => {
                // Each text takes its length at least.
                let count = if count > bytes.len() / 4 { return Err(short()) } else { count };
                let (mut texts, mut ends) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(count));
                let mut at = 0;
                for _ in 0..count {
                    let text = text_at(bytes, at).ok_or_else(short)?;
                    texts.extend_from_slice(text);
                    ends.push(u32::try_from(texts.len()).map_err(|_| damaged("a dictionary is too large"))?);
                    at += 4 + text.len();
                }
                Self::Texts { bytes: texts, ends }
            }
            Shape::Bits => return Err(damaged("a column of bits has a dictionary")),
        })
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Fixed4(values) => values.len(),
            Self::Fixed8(values) => values.len(),
            Self::Texts { ends, .. } => ends.len(),
        }
    }
}

/// Reads `count` places in a dictionary of `size` values, all of which are within.
pub(crate) fn read_places(
    bytes: &[u8],
    count: usize,
    size: usize,
    mut out: Vec<u32>,
) -> Result<Vec<u32>, ParquetFailure> {
    out.clear();
    if count == 0 {
        return Ok(out);
    }
    let Some((width, rest)) = bytes.split_first() else { return Err(damaged("a page of places is empty")) };
    let mut runs = Runs::new(rest, usize::from(*width), count)?;
    out.reserve(count);
    while let Some(run) = runs.next()? {
        match run {
            Run::Repeated { value, count } => out.extend(std::iter::repeat_n(value, count)),
            Run::Packed { bytes, count } => unpack(bytes, usize::from(*width), count, &mut out),
        }
    }
    match out.iter().max() {
        Some(greatest) if *greatest as usize >= size => {
            Err(damaged("a page names a value that its dictionary does not have"))
        }
        _ => Ok(out),
    }
}

/// The text at `at`, behind its length. `None`: it is not all there.
fn text_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    rest.get(..u32::from_le_bytes(*length) as usize)
}

impl Gathered {
    pub fn new(shape: Shape, rows: usize) -> Self {
        match shape {
            Shape::Fixed4 => Self::Fixed4(Vec::with_capacity(rows)),
            Shape::Fixed8 => Self::Fixed8(Vec::with_capacity(rows)),
            Shape::Bits => Self::Bits(BooleanBufferBuilder::new(rows)),
            Shape::Texts => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Self::Texts { bytes: Vec::new(), ends }
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Fixed4(values) => values.len(),
            Self::Fixed8(values) => values.len(),
            Self::Bits(bits) => bits.len(),
            Self::Texts { ends, .. } => ends.len() - 1,
        }
    }

    /// Appends the values at the places `from..until` of a page without nulls; returns how many. Texts stop at
    /// [`TEXT_BYTES`].
    pub fn append_range(
        &mut self,
        values: &mut Values,
        dictionary: Option<&Dictionary>,
        from: usize,
        until: usize,
    ) -> Result<usize, ParquetFailure> {
        match (&mut *self, &*values) {
            (Self::Fixed4(out), Values::Plain(bytes)) => {
                let bytes = bytes.get(from * 4..until * 4).ok_or_else(short)?;
                out.extend(bytes.as_chunks().0.iter().map(|each| u32::from_le_bytes(*each)));
            }
            (Self::Fixed8(out), Values::Plain(bytes)) => {
                let bytes = bytes.get(from * 8..until * 8).ok_or_else(short)?;
                out.extend(bytes.as_chunks().0.iter().map(|each| u64::from_le_bytes(*each)));
            }
            (Self::Bits(out), Values::Bits(bytes)) if until <= bytes.len() * 8 => {
                out.append_packed_range(from..until, bytes);
            }
            _ => return self.append_each(values, dictionary, (from..until).map(Some)),
        }
        Ok(until - from)
    }

    /// Appends the values at these places of a page, which ascend; anything where there is none, for a null. Returns how
    /// many were appended: texts stop at [`TEXT_BYTES`].
    pub fn append_each(
        &mut self,
        values: &mut Values,
        dictionary: Option<&Dictionary>,
        places: impl Iterator<Item = Option<usize>>,
    ) -> Result<usize, ParquetFailure> {
        let before = self.len();
        match (&mut *self, values) {
            (Self::Fixed4(out), Values::Plain(bytes)) => {
                let all = bytes.as_chunks::<4>().0;
                append_fixed(out, places, |place| all.get(place).map(|each| u32::from_le_bytes(*each)))?;
            }
            (Self::Fixed8(out), Values::Plain(bytes)) => {
                let all = bytes.as_chunks::<8>().0;
                append_fixed(out, places, |place| all.get(place).map(|each| u64::from_le_bytes(*each)))?;
            }
            (Self::Fixed4(out), Values::Places(all)) => {
                let Some(Dictionary::Fixed4(known)) = dictionary else { return Err(no_dictionary()) };
                append_fixed(out, places, |place| known.get(*all.get(place)? as usize).copied())?;
            }
            (Self::Fixed8(out), Values::Places(all)) => {
                let Some(Dictionary::Fixed8(known)) = dictionary else { return Err(no_dictionary()) };
                append_fixed(out, places, |place| known.get(*all.get(place)? as usize).copied())?;
            }
            (Self::Bits(out), Values::Bits(bytes)) => {
                for place in places {
                    let bit = |place: usize| bytes.get(place / 8).map(|byte| byte >> (place % 8) & 1 == 1);
                    out.append(place.map_or(Some(false), bit).ok_or_else(short)?);
                }
            }
            (Self::Texts { bytes: out, ends }, Values::Texts { bytes, next, at }) => {
                for place in places {
                    let text = match place {
                        None => &[],
                        Some(place) => {
                            while *next < place {
                                *at += 4 + text_at(bytes, *at).ok_or_else(short)?.len();
                                *next += 1;
                            }
                            text_at(bytes, *at).ok_or_else(short)?
                        }
                    };
                    push_text(out, ends, text)?;
                    if out.len() >= TEXT_BYTES {
                        break;
                    }
                }
            }
            (Self::Texts { bytes: out, ends }, Values::Places(all)) => {
                let Some(Dictionary::Texts { bytes, ends: known }) = dictionary else {
                    return Err(no_dictionary());
                };
                for place in places {
                    let text = match place {
                        None => &[],
                        Some(place) => {
                            let at = *all.get(place).ok_or_else(short)? as usize;
                            let start = if at == 0 { 0 } else { known[at - 1] as usize };
                            &bytes[start..known[at] as usize]
                        }
                    };
                    push_text(out, ends, text)?;
                    if out.len() >= TEXT_BYTES {
                        break;
                    }
                }
            }
            _ => return Err(damaged("a page holds values of another type than its column")),
        }
        Ok(self.len() - before)
    }
}

/// Appends the value at each place, or 0 for a null.
fn append_fixed<T: Copy + Default>(
    out: &mut Vec<T>,
    places: impl Iterator<Item = Option<usize>>,
    value: impl Fn(usize) -> Option<T>,
) -> Result<(), ParquetFailure> {
    for place in places {
        out.push(place.map_or(Some(T::default()), &value).ok_or_else(short)?);
    }
    Ok(())
}

fn push_text(out: &mut Vec<u8>, ends: &mut Vec<i32>, text: &[u8]) -> Result<(), ParquetFailure> {
    out.extend_from_slice(text);
    ends.push(i32::try_from(out.len()).map_err(|_| damaged("a text is too large"))?);
    Ok(())
}

fn short() -> ParquetFailure {
    damaged("a page holds fewer values than it says")
}

fn no_dictionary() -> ParquetFailure {
    damaged("a page names values of a dictionary that is not there")
}
