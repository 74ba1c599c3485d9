//! The keys of some labels, numbered from 0: which number a key has, and which hashes and values there are.

use super::keys::{KeyForm, hash_number};

/// Keys by their hashes.
pub(crate) struct KeyTable {
    form: KeyForm,
    /// By the lower bits of a key's hash, each entry at the first free place from there on.
    entries: Vec<Entry>,
    /// All keys one after the other, where they are bytes, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    count: u32,
}

/// A key in the table. A quarter of a cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The number that the key is, or the hash of its bytes.
    key: u64,
    /// The number of the key, from 1; 0 in a free entry.
    number: u32,
}

impl KeyTable {
    /// Bytes for each key at most: the places of a table that has just grown.
    pub const KEY_BYTES: u64 = 4 * size_of::<Entry>() as u64;

    /// No keys yet.
    pub fn new(form: KeyForm) -> Self {
        Self { form, entries: vec![Entry::default(); 64], bytes: Vec::new(), ends: Vec::new(), count: 0 }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Reads what finding keys of these hashes begins with. Nothing depends on any of it, so that the processor waits for
    /// memory once and not once for each.
    #[inline]
    pub fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let mask = self.entries.len() - 1;
        let read = |all: u64, hash: u64| all ^ self.entries[hash as usize & mask].key;
        std::hint::black_box(hashes.fold(0, read));
    }

    /// The number of the key that is this number.
    #[inline]
    pub fn find_number(&self, hash: u64, number: i64) -> Option<u32> {
        self.find(hash, number as u64, |_| true)
    }

    /// The number of the key that is these bytes.
    #[inline]
    pub fn find_bytes(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.find(hash, hash, |number| self.text(number) == key)
    }

    #[inline]
    fn find(&self, hash: u64, key: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let entry = &self.entries[place];
            if entry.number == 0 {
                return None;
            }
            if entry.key == key && is(entry.number - 1) {
                return Some(entry.number - 1);
            }
            place = (place + 1) & mask;
        }
    }

    /// The number of a key that is a number, new or known.
    pub fn number(&mut self, number: i64) -> u32 {
        let hash = hash_number(number);
        match self.find_number(hash, number) {
            Some(known) => known,
            None => self.add(hash, number as u64),
        }
    }

    /// The number of a key that is bytes, new or known.
    pub fn number_of_bytes(&mut self, hash: u64, key: &[u8]) -> u32 {
        if let Some(known) = self.find_bytes(hash, key) {
            return known;
        }
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
        self.add(hash, hash)
    }

    /// The hashes of all keys.
    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        self.taken().map(|entry| self.hash(entry))
    }

    /// The number of each key, with its hash.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, u64)> {
        self.taken().map(|entry| (entry.number - 1, self.hash(entry)))
    }

    /// The numbers that are keys, where keys are numbers.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        self.taken().map(|entry| entry.key as i64)
    }

    /// The keys, where they are bytes.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|number| self.text(number))
    }

    fn taken(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.number > 0)
    }

    fn hash(&self, entry: &Entry) -> u64 {
        match self.form {
            KeyForm::Number => hash_number(entry.key as i64),
            KeyForm::Bytes => entry.key,
        }
    }

    fn text(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.bytes[start..self.ends[number] as usize]
    }

    fn add(&mut self, hash: u64, key: u64) -> u32 {
        // Half of the table is free, so that the search for a key that is not there is short.
        if (self.len() + 1) * 2 > self.entries.len() {
            let mut larger = vec![Entry::default(); self.entries.len() * 2];
            self.taken().for_each(|entry| put(&mut larger, self.hash(entry), *entry));
            self.entries = larger;
        }
        self.count += 1;
        put(&mut self.entries, hash, Entry { key, number: self.count });
        self.count - 1
    }
}

/// Puts an entry at the first free place for its hash. There is one.
fn put(table: &mut [Entry], hash: u64, entry: Entry) {
    let mask = table.len() - 1;
    let mut place = hash as usize & mask;
    while table[place].number > 0 {
        place = (place + 1) & mask;
    }
    table[place] = entry;
}

#[cfg(test)]
mod tests {
    use super::super::keys::hash_bytes;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: each key has one number, in order of first appearance, is found by it, and no other is.
        #[test]
        fn keys_are_numbered(keys in proptest::collection::vec(0_i64..400, 1..600)) {
            let mut right: Vec<i64> = Vec::new();
            let (mut numbers, mut texts) = (KeyTable::new(KeyForm::Number), KeyTable::new(KeyForm::Bytes));
            for key in &keys {
                let place = right.iter().position(|known| known == key).unwrap_or(right.len());
                if place == right.len() {
                    right.push(*key);
                }
                let text = key.to_string();
                prop_assert_eq!(numbers.number(*key) as usize, place);
                prop_assert_eq!(texts.number_of_bytes(hash_bytes(text.as_bytes()), text.as_bytes()) as usize, place);
            }
            for key in 0..400 {
                let (place, text) = (right.iter().position(|known| *known == key), key.to_string());
                let found = numbers.find_number(hash_number(key), key);
                prop_assert_eq!(found.map(|found| found as usize), place);
                prop_assert_eq!(texts.find_bytes(hash_bytes(text.as_bytes()), text.as_bytes()), found);
            }
            prop_assert_eq!((numbers.len(), texts.len()), (right.len(), right.len()));
            let texts: Vec<String> = texts.texts().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            prop_assert_eq!(texts, right.iter().map(i64::to_string).collect::<Vec<_>>());
            let mut found: Vec<i64> = numbers.numbers().collect();
            found.sort_unstable();
            right.sort_unstable();
            prop_assert_eq!(found, right);
        }
    }
}
