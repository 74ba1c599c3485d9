//! The bytes of fields, written one behind the other into memory.
//!
//! A field that holds others carries its length before them, which is known only afterwards: [`nested`] leaves one byte
//! for it, and moves what it wrote where that is too little.

/// The kinds of fields that are written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The most bytes of a varint.
const VARINT_BYTES_MAX: usize = 10;

/// Values below this one are a varint of one byte.
const VARINT_ONE_BYTE_END: u64 = 0x80;

/// Writes a number in groups of 7 bits, the lowest first.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= VARINT_ONE_BYTE_END {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a signed number with its sign as the lowest bit, as `sint32` and `sint64` are written.
pub(crate) fn zigzag(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Writes the head of a field.
pub(crate) fn tag(out: &mut Vec<u8>, field: u32, wire: Wire) {
    varint(out, u64::from(field) << 3 | wire as u64);
}

/// Writes bytes with their length.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    tag(out, field, Wire::Bytes);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a packed list, or nothing where it is empty.
pub(crate) fn packed(out: &mut Vec<u8>, field: u32, items: &[u8]) {
    if !items.is_empty() {
        bytes(out, field, items);
    }
}

/// Writes a number, or nothing where it is 0.
pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, Wire::Varint);
        varint(out, value);
    }
}

/// The bytes that [`varint`] writes.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes a field that holds what `write` writes.
pub(crate) fn nested<T>(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    tag(out, field, Wire::Bytes);
    let at = out.len();
    out.push(0);
    let written = write(out);
    let length = (out.len() - at - 1) as u64;
    if length < VARINT_ONE_BYTE_END {
        out[at] = length as u8;
    } else {
        let mut head = Vec::with_capacity(VARINT_BYTES_MAX);
        varint(&mut head, length);
        out.splice(at..=at, head);
    }
    written
}

#[cfg(test)]
mod tests {
    use prost::encoding;

    use super::*;

    /// Goal: numbers and lengths are written as the library writes them, at every length of a varint.
    #[test]
    fn as_the_library() {
        let powers = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in powers.chain([u64::MAX]) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            varint(&mut ours, value);
            encoding::encode_varint(value, &mut theirs);
            assert_eq!((ours.len(), &ours), (varint_len(value), &theirs));
            for signed in [value as i64, (value as i64).wrapping_neg()] {
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                tag(&mut ours, 3, Wire::Varint);
                zigzag(&mut ours, signed);
                encoding::sint64::encode(3, &signed, &mut theirs);
                assert_eq!(ours, theirs);
            }
        }
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let text = vec![b'x'; length];
            let (mut ours, mut theirs) = (vec![1], vec![1]);
            nested(&mut ours, 2000, |out| bytes(out, 1, &text));
            let mut inner = Vec::new();
            encoding::bytes::encode(1, &text, &mut inner);
            encoding::bytes::encode(2000, &inner, &mut theirs);
            assert_eq!(ours, theirs);
        }
    }
}
