//! The names of all keys, and where they stand.
//!
//! Entity keys are spread over [`BUCKETS`] buckets by their hash, and a bucket is one hash slot: the braces hold project and
//! bucket, never the bytes of an entity key, which could hold braces themselves. So all views of one entity share a slot, a
//! script can check and note what it does in the same slot, and a whole store is looked through in as many small commands as
//! there are buckets. In a cluster the smallest part that can move between nodes is a bucket.
//!
//! | key | holds |
//! | --- | --- |
//! | `asof:{P.B}:v<view>:<entity key>` | what is stored under the key ([`crate::value`]) |
//! | `asof:{P.B}:p<view>:<entity key>` | what stood there before the unit that is being written |
//! | `asof:{P.B}:i<view>` | sorted set of the entity keys |
//! | `asof:{P.B}:n<view>:<identity>`, `q`, `j` | the same three of what is remembered of events |
//! | `asof:{P.B}:mark` | how many calls were written to the bucket |
//! | `asof:{P.B}:fence` | the epoch of the process that may write |
//! | `asof:{P.B}:undo` | number and stamp of the unit that is being written, then the keys that it has written |
//! | `asof:{P}:…` | mark and fence of the journal, views, frontiers, units ([`crate::journal`]), the hold of the writer |

use asof_online::ViewHandle;

/// How many buckets the entity keys of a project are spread over. Never changes.
pub(crate) const BUCKETS: usize = 1024;
/// How many hash slots a cluster has.
pub(crate) const SLOTS: usize = 16384;
/// The longest identity of an event that stands in a key as it is.
const IDENTITY_BYTES_MAX: usize = 1_024;

/// The most digits of a view's number.
const NUMBER_BYTES_MAX: usize = 10;

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Space {
    /// The rows or events of an entity key.
    Rows,
    /// What is remembered of an event by its identity.
    Identities,
}

impl Space {
    fn letters(self) -> [char; 3] {
        match self {
            Self::Rows => ['v', 'p', 'i'],
            Self::Identities => ['n', 'q', 'j'],
        }
    }
}

/// One stored thing: its view, and its entity key or identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) space: Space,
    pub(crate) view: ViewHandle,
    pub(crate) member: Vec<u8>,
}

impl Name {
    pub(crate) fn row(view: ViewHandle, key: &[u8]) -> Self {
        Self { space: Space::Rows, view, member: key.to_vec() }
    }

    /// A long identity stands there by its digest.
    pub(crate) fn identity(view: ViewHandle, identity: &[u8]) -> Self {
        let member = match identity.len() <= IDENTITY_BYTES_MAX {
            true => identity.to_vec(),
            // Longer than any that stands as it is, so no two are taken for each other.
            false => [&identity[..IDENTITY_BYTES_MAX], blake3::hash(identity).as_bytes()].concat(),
        };
        Self { space: Space::Identities, view, member }
    }

    pub(crate) fn bucket(&self) -> usize {
        bucket_of(&self.member)
    }
}

/// The bucket of an entity key.
pub(crate) fn bucket_of(key: &[u8]) -> usize {
    usize::from(crc16(key)) % BUCKETS
}

/// The names of a project.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    project: String,
    /// What the keys of each bucket begin with, and behind them those of the journal.
    prefixes: Vec<Vec<u8>>,
    /// The slot of each bucket, and behind them that of the journal.
    slots: Vec<u16>,
}

impl Keys {
    pub(crate) fn new(project: &str) -> Self {
        // No brace or other sign that means something in a key or a pattern.
        let mut name = String::new();
        for byte in project.bytes() {
            match byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
                true => name.push(char::from(byte)),
                false => name.push_str(&format!("%{byte:02x}")),
            }
        }
        let mut slots: Vec<u16> = (0..BUCKETS).map(|bucket| slot_of(&format!("{name}.{bucket}"))).collect();
        slots.push(slot_of(&name));
        let prefix = |bucket| format!("asof:{{{name}.{bucket}}}:").into_bytes();
        let mut prefixes: Vec<Vec<u8>> = (0..BUCKETS).map(prefix).collect();
        prefixes.push(format!("asof:{{{name}}}:").into_bytes());
        Self { project: name, prefixes, slots }
    }

    /// The hash slot of a bucket; that of the journal at [`BUCKETS`].
    pub(crate) fn slot(&self, bucket: usize) -> u16 {
        self.slots.get(bucket).copied().unwrap_or_default()
    }

    /// Two patterns that match every key of the project and no other.
    pub(crate) fn patterns(&self) -> [String; 2] {
        [format!("asof:{{{}.*}}:*", self.project), format!("asof:{{{}}}:*", self.project)]
    }

    /// A key of a bucket, or at [`BUCKETS`] of the journal.
    pub(crate) fn of(&self, bucket: usize, what: &str) -> Vec<u8> {
        [self.prefix(bucket), what.as_bytes()].concat()
    }

    fn prefix(&self, bucket: usize) -> &[u8] {
        self.prefixes.get(bucket.min(BUCKETS)).map_or(&[], Vec::as_slice)
    }

    fn named(&self, name: &Name, letter: char) -> Vec<u8> {
        let prefix = self.prefix(name.bucket());
        let mut key = Vec::with_capacity(prefix.len() + name.member.len() + NUMBER_BYTES_MAX + 2);
        key.extend_from_slice(prefix);
        key.extend_from_slice(format!("{letter}{}:", name.view.number()).as_bytes());
        key.extend_from_slice(&name.member);
        key
    }

    /// Where a value stands.
    pub(crate) fn value(&self, name: &Name) -> Vec<u8> {
        self.named(name, name.space.letters()[0])
    }

    /// Where the value of before stands.
    pub(crate) fn previous(&self, name: &Name) -> Vec<u8> {
        self.named(name, name.space.letters()[1])
    }

    /// The sorted set of the members of a view in a bucket.
    pub(crate) fn index(&self, space: Space, view: ViewHandle, bucket: usize) -> Vec<u8> {
        self.of(bucket, &format!("{}{}", space.letters()[2], view.number()))
    }

    /// The name of which a key of values was made. `None`: it is none.
    pub(crate) fn parse_value(&self, bucket: usize, key: &[u8]) -> Option<Name> {
        let rest = key.strip_prefix(&self.of(bucket, "")[..])?;
        let (letter, rest) = rest.split_first()?;
        let space = [Space::Rows, Space::Identities]
            .into_iter()
            .find(|space| space.letters()[0] == char::from(*letter))?;
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let number = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
        Some(Name { space, view: ViewHandle::from_number(number), member: rest[colon + 1..].to_vec() })
    }
}

/// The hash slot of a tag.
fn slot_of(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % SLOTS as u16
}

/// CRC-16 as a cluster computes it (XMODEM: polynomial 0x1021, from 0).
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: slots are those of the cluster specification, whose example this is.
    #[test]
    fn slots() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("user1000"), 3443);
    }

    /// Goal: no two names share a key, whatever their bytes; braces and colons in them change nothing; and a name is read back.
    #[test]
    fn names() {
        let keys = Keys::new("my{shop}");
        let view = ViewHandle::from_number;
        for key in [&b""[..], b"}{", b":", b"1:", b"\0\xff"] {
            let name = Name::row(view(1), key);
            let stored = keys.value(&name);
            assert_eq!(keys.parse_value(name.bucket(), &stored), Some(name.clone()));
            assert!(stored.starts_with(format!("asof:{{my%7bshop%7d.{}}}:v1:", name.bucket()).as_bytes()));
            assert_eq!(
                name.bucket(),
                Name::row(view(2), key).bucket(),
                "all views of an entity share a bucket"
            );
        }
        let long = Name::identity(view(1), &[7; 5_000]);
        assert_eq!(long.member.len(), IDENTITY_BYTES_MAX + 32);
        assert_ne!(long, Name::identity(view(1), &[7; 5_001]));
    }
}
