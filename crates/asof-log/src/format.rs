//! Every byte of a segment, in one table. Numbers are little-endian.
//!
//! A segment is named after its first position in 20 digits (`00000000000000000001.segment`).
//!
//! | part | bytes | field |
//! | --- | --- | --- |
//! | segment | 8 | `asof-log` |
//! | | 1 | version, now 1 |
//! | | 3 | zero |
//! | | 8 | the first position |
//! | | 4 | CRC-32 of the 20 bytes before; these 24 bytes stay the same in every version |
//! | frame | 4 | `batc` |
//! | | 4 | bytes of the payload |
//! | | 8 | position of the first entry |
//! | | 4 | entries; none in a *mark*, which says that all before it was synced |
//! | | 8 | the byte of this segment at which the frame's *group* begins: all before it was synced when this was written |
//! | | 4 | CRC-32 of the payload |
//! | | 4 | CRC-32 of the 32 bytes before, the segment's first position, and the byte at which the frame begins |
//! | payload | 1 | 1 with a key, 0 without |
//! | | 8 | admitted: microseconds since 1970 |
//! | | 2 | bytes of the topic |
//! | | | topic, UTF-8 |
//! | | 2 | with a key: its bytes |
//! | | | with a key: the key |
//! | | 16 | with a key: digest of the entries, BLAKE3 over the length (8 bytes) and the bytes of each |
//! | | 4 each | bytes of each entry |
//! | | | the entries |
//! | keys | 8 | `asof-key`: the file `keys`, see `keys_file` |
//! | | 1 | version, now 1 |
//! | | 3 | zero |
//! | | 8 | the last position that was reclaimed |
//! | | 8 | the latest admitted there was, microseconds since 1970 |
//! | | 8 | number of keys |
//! | | 16 | for each key: BLAKE3 over the length of the topic (8 bytes), topic and key |
//! | | 16 | for each key: digest of the entries |
//! | | 8 | for each key: position of the first entry |
//! | | 4 | for each key: entries |
//! | | 8 | for each key: admitted, microseconds since 1970 |
//! | | 4 | CRC-32 of all before |
//!
//! A checksum of a header covers where it stands, so that a frame inside an entry, or one that was copied elsewhere, is
//! none. The group is what one write and one sync brought: a crash in it may leave any part of it, in any order. So a
//! broken frame is a torn write only while no later frame says that it was synced.

use asof_model::Instant;
use bytes::Bytes;

use crate::batch::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, KEY_BYTES_MAX, Record, TOPIC_BYTES_MAX};

/// The version of segments.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 24;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 36;
/// Bytes of a digest.
pub(crate) const DIGEST_BYTES: usize = 16;
/// Bytes of a payload, at most: all bounds of a batch at once.
const PAYLOAD_BYTES_MAX: usize =
    13 + TOPIC_BYTES_MAX + KEY_BYTES_MAX + DIGEST_BYTES + 4 * BATCH_ENTRIES_MAX + BATCH_BYTES_MAX;
/// The last position there can be: one that fits signed columns too.
pub(crate) const POSITION_MAX: u64 = i64::MAX as u64;

const SEGMENT_MAGIC: &[u8; 8] = b"asof-log";
/// The first bytes of a frame.
pub(crate) const FRAME_MAGIC: &[u8; 4] = b"batc";

/// A BLAKE3 hash cut to 16 bytes.
pub(crate) type Digest = [u8; DIGEST_BYTES];

/// Takes numbers and bytes off the front of stored bytes. `None` where they end too soon.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn instant(&mut self) -> Option<Instant> {
        self.array().map(i64::from_le_bytes).and_then(Instant::from_micros)
    }
}

/// The header of a segment that begins with `first`.
pub(crate) fn encode_segment_header(first: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..8].copy_from_slice(SEGMENT_MAGIC);
    bytes[8] = VERSION;
    bytes[12..20].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Version and first position of a segment. `None` where the bytes are no header.
pub(crate) fn decode_segment_header(bytes: &[u8]) -> Option<(u8, u64)> {
    let mut fields = Fields(bytes);
    let whole = fields.array::<8>()? == *SEGMENT_MAGIC;
    let [version, _, _, _] = fields.array::<4>()?;
    let first = fields.u64()?;
    let whole = whole && fields.u32()? == crc32fast::hash(bytes.get(..20)?);
    whole.then_some((version, first))
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Bytes of the payload.
    pub(crate) length: u32,
    /// Position of the first entry; in a mark, of the entry that comes next.
    pub(crate) first: u64,
    /// Entries.
    pub(crate) entries: u32,
    /// The byte of the segment at which the group begins.
    pub(crate) group: u64,
    /// CRC-32 of the payload.
    pub(crate) checksum: u32,
}

impl FrameHeader {
    /// The header as it stands at byte `offset` of the segment that begins with `segment`.
    pub(crate) fn encode(&self, segment: u64, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..4].copy_from_slice(FRAME_MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.entries.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.group.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = placed(&bytes[..32], segment, offset);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at byte `offset` of the segment that begins with `segment`. `None` where the bytes are none, or
    /// are one of another place.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES], segment: u64, offset: u64) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.array::<4>()? != *FRAME_MAGIC {
            return None;
        }
        let header = Self {
            length: fields.u32()?,
            first: fields.u64()?,
            entries: fields.u32()?,
            group: fields.u64()?,
            checksum: fields.u32()?,
        };
        (fields.u32()? == placed(&bytes[..32], segment, offset)).then_some(header)
    }

    /// The frame is within the bounds that it was written under.
    pub(crate) fn possible(&self) -> bool {
        self.length as usize <= PAYLOAD_BYTES_MAX
            && self.entries as usize <= BATCH_ENTRIES_MAX
            && self.first >= 1
            && self.first <= POSITION_MAX
    }

    /// Bytes of the frame, header and payload.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.length)
    }

    /// The position after the last entry.
    pub(crate) fn next(&self) -> u64 {
        self.first + u64::from(self.entries)
    }
}

fn placed(header: &[u8], segment: u64, offset: u64) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(header);
    checksum.update(&segment.to_le_bytes());
    checksum.update(&offset.to_le_bytes());
    checksum.finalize()
}

/// The payload of a batch that keeps to its bounds. `digest` is there if and only if the batch has a key.
pub(crate) fn encode_payload(batch: &Batch<'_>, digest: Option<Digest>) -> Vec<u8> {
    let entry_bytes: usize = batch.entries.iter().map(|entry| entry.len() + 4).sum();
    let key_bytes = batch.key.map_or(0, |key| key.len() + DIGEST_BYTES);
    let mut payload = Vec::with_capacity(13 + batch.topic.len() + key_bytes + entry_bytes);
    payload.push(u8::from(batch.key.is_some()));
    payload.extend(batch.admitted.micros().to_le_bytes());
    // The bounds of a topic and of a key fit 16 bits, those of an entry 32.
    payload.extend((batch.topic.len() as u16).to_le_bytes());
    payload.extend(batch.topic.as_bytes());
    if let (Some(key), Some(digest)) = (batch.key, digest) {
        payload.extend((key.len() as u16).to_le_bytes());
        payload.extend(key);
        payload.extend(digest);
    }
    for entry in batch.entries {
        payload.extend((entry.len() as u32).to_le_bytes());
    }
    for entry in batch.entries {
        payload.extend_from_slice(entry);
    }
    payload
}

/// A payload in its parts.
pub(crate) struct Payload<'a> {
    pub(crate) admitted: Instant,
    pub(crate) topic: &'a str,
    pub(crate) key: Option<(&'a [u8], Digest)>,
    /// Bytes of each entry, 4 bytes each.
    lengths: &'a [u8],
    /// The entries.
    body: &'a [u8],
}

impl<'a> Payload<'a> {
    /// The parts of a payload of `entries` entries. `None` where it is not one.
    pub(crate) fn decode(payload: &'a [u8], entries: u32) -> Option<Self> {
        let mut fields = Fields(payload);
        let keyed = fields.u8()?;
        let admitted = fields.instant()?;
        let topic_bytes = fields.u16()?;
        let topic = std::str::from_utf8(fields.bytes(usize::from(topic_bytes))?).ok()?;
        let key = match keyed {
            0 => None,
            1 => {
                let key_bytes = fields.u16()?;
                Some((fields.bytes(usize::from(key_bytes))?, fields.array()?))
            }
            _ => return None,
        };
        let lengths = fields.bytes(4 * entries as usize)?;
        let decoded = Self { admitted, topic, key, lengths, body: fields.0 };
        (decoded.lengths().sum::<usize>() == decoded.body.len()).then_some(decoded)
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + 'a {
        let (lengths, _) = self.lengths.as_chunks::<4>();
        lengths.iter().map(|length| u32::from_le_bytes(*length) as usize)
    }
}

/// The record of a frame. `None` where its payload is not one.
pub(crate) fn decode_record(header: &FrameHeader, payload: Vec<u8>) -> Option<Record> {
    let payload = Bytes::from(payload);
    let parts = Payload::decode(&payload, header.entries)?;
    let mut at = payload.len() - parts.body.len();
    let mut entries = Vec::with_capacity(header.entries as usize);
    for length in parts.lengths() {
        entries.push(payload.slice(at..at + length));
        at += length;
    }
    Some(Record {
        first: header.first,
        topic: parts.topic.to_owned(),
        key: parts.key.map(|(key, _)| Bytes::copy_from_slice(key)),
        admitted: parts.admitted,
        entries,
    })
}

/// The digest of entries, which tells a repeat from another batch under the same key.
pub(crate) fn digest_entries(entries: &[Bytes]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        hasher.update(&(entry.len() as u64).to_le_bytes());
        hasher.update(entry);
    }
    cut(&hasher)
}

/// The name under which a key of a topic is remembered.
pub(crate) fn digest_key(topic: &str, key: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(topic.len() as u64).to_le_bytes());
    hasher.update(topic.as_bytes());
    hasher.update(key);
    cut(&hasher)
}

fn cut(hasher: &blake3::Hasher) -> Digest {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..DIGEST_BYTES]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader { length: 7, first: 12, entries: 3, group: 24, checksum: 99 }
    }

    /// Goal: a header is read where it was written, and nowhere else; any byte changed, it is none.
    #[test]
    fn a_header_belongs_to_its_place() {
        let bytes = header().encode(10, 24);
        assert_eq!(FrameHeader::decode(&bytes, 10, 24), Some(header()));
        assert_eq!(FrameHeader::decode(&bytes, 10, 25), None);
        assert_eq!(FrameHeader::decode(&bytes, 11, 24), None);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(FrameHeader::decode(&changed, 10, 24), None, "byte {at}");
        }
    }

    /// Goal: a payload that is cut, longer, or of another number of entries is none, and never a panic.
    #[test]
    fn payloads_that_are_none() {
        let entries = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let batch = Batch { topic: "trips", key: Some(b"k"), admitted: Instant::EPOCH, entries: &entries };
        let payload = encode_payload(&batch, Some(digest_entries(&entries)));
        let frame = FrameHeader { first: 5, entries: 3, ..header() };
        let record = decode_record(&frame, payload.clone()).unwrap();
        assert_eq!((record.first, record.last()), (5, 7));
        assert_eq!(record.entries, entries);
        for end in 0..payload.len() {
            assert!(Payload::decode(&payload[..end], 3).is_none(), "cut at {end}");
        }
        assert!(Payload::decode(&[payload.clone(), vec![0]].concat(), 3).is_none());
        assert!(Payload::decode(&payload, 2).is_none());
        assert!(Payload::decode(&payload, u32::MAX).is_none());
    }

    /// Goal: entries that only differ in where they are cut, and topics and keys likewise, have different digests.
    #[test]
    fn digests_know_where_things_end() {
        let entries =
            |parts: &[&'static str]| parts.iter().map(|part| Bytes::from(*part)).collect::<Vec<_>>();
        assert_ne!(digest_entries(&entries(&["ab", "c"])), digest_entries(&entries(&["a", "bc"])));
        assert_ne!(digest_key("ab", b"c"), digest_key("a", b"bc"));
    }

    /// Goal: the first version of a segment's header stays readable.
    #[test]
    fn the_first_version_of_a_segment() {
        let bytes = b"asof-log\x01\0\0\0\x07\0\0\0\0\0\0\0";
        let header = encode_segment_header(7);
        assert_eq!(header[..20], bytes[..]);
        assert_eq!(decode_segment_header(&header), Some((1, 7)));
    }
}
