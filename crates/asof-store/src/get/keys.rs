//! The keys of a request as bytes, each once.

use std::hash::BuildHasher;

use asof_model::{Value, key};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::GetRequest;

/// The place of an entity row whose key has a null part: there is nothing to read.
pub(super) const NO_KEY: u32 = u32::MAX;

/// The keys of a request's entity rows by one list of key columns.
pub(super) struct RequestKeys {
    /// The different keys, one after the other.
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// For each entity row the place of its key among the different ones, or [`NO_KEY`].
    places: Vec<u32>,
}

impl RequestKeys {
    /// Encodes the keys. The columns are there, as was checked.
    pub fn encode(columns: &[String], request: &GetRequest) -> Self {
        let values: Vec<&Vec<Option<Value>>> =
            columns.iter().filter_map(|column| request.entities.get(column)).collect();
        let mut keys = Self { bytes: Vec::new(), ends: Vec::new(), places: Vec::with_capacity(request.rows) };
        let hasher = RandomState::default();
        let mut known: HashTable<u32> = HashTable::new();
        for row in 0..request.rows {
            let start = keys.bytes.len();
            if !keys.encode_row(&values, row) {
                keys.bytes.truncate(start);
                keys.places.push(NO_KEY);
                continue;
            }
            // A single row has nothing to be compared with.
            let hash = if request.rows > 1 { hasher.hash_one(&keys.bytes[start..]) } else { 0 };
            let is_it = |place: &u32| keys.key(*place) == &keys.bytes[start..];
            if let Some(place) = known.find(hash, is_it).copied() {
                keys.bytes.truncate(start);
                keys.places.push(place);
                continue;
            }
            // A request has at most `ENTITY_ROWS_MAX` rows.
            let place = keys.ends.len() as u32;
            keys.ends.push(keys.bytes.len());
            keys.places.push(place);
            if request.rows > 1 {
                let Self { bytes, ends, .. } = &keys;
                known.insert_unique(hash, place, |place| hasher.hash_one(part(bytes, ends, *place)));
            }
        }
        keys
    }

    /// The different keys.
    pub fn unique(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|place| self.key(place))
    }

    /// For each entity row the place of its key among [`RequestKeys::unique`], or [`NO_KEY`].
    pub fn into_places(self) -> Vec<u32> {
        self.places
    }

    fn key(&self, place: u32) -> &[u8] {
        part(&self.bytes, &self.ends, place)
    }

    /// Whether the row has a key, which is then appended.
    fn encode_row(&mut self, columns: &[&Vec<Option<Value>>], row: usize) -> bool {
        columns.iter().all(|column| match column.get(row) {
            Some(Some(value)) => {
                key::encode_part(&mut self.bytes, value);
                true
            }
            _ => false,
        })
    }
}

fn part<'b>(bytes: &'b [u8], ends: &[usize], place: u32) -> &'b [u8] {
    let place = place as usize;
    let start = if place == 0 { 0 } else { ends[place - 1] };
    &bytes[start..ends[place]]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn request(columns: &[(&str, &[Option<i64>])]) -> GetRequest {
        let values = |values: &[Option<i64>]| values.iter().map(|value| value.map(Value::Int64)).collect();
        let entities: BTreeMap<String, _> =
            columns.iter().map(|(name, given)| ((*name).to_owned(), values(given))).collect();
        let rows = columns[0].1.len();
        GetRequest {
            entities,
            fields: BTreeMap::new(),
            rows,
            now: None,
            include_expired: false,
            from_history: false,
        }
    }

    /// Goal: each key stands once, in the order of its first row, and every row finds its own.
    #[test]
    fn each_key_once() {
        let one = [Some(1), None, Some(2), Some(1), Some(1), Some(2)];
        let two = [Some(7), Some(7), Some(7), Some(7), Some(8), None];
        let keys = RequestKeys::encode(&["a".into(), "b".into()], &request(&[("a", &one), ("b", &two)]));
        let expected: Vec<Vec<u8>> =
            [[1, 7], [2, 7], [1, 8]].map(|parts| key::encode_key(&parts.map(Value::Int64))).to_vec();
        assert_eq!(keys.unique().map(<[u8]>::to_vec).collect::<Vec<_>>(), expected);
        assert_eq!(keys.into_places(), [0, NO_KEY, 1, 0, 2, NO_KEY]);
    }

    /// Goal: a view without keys has one row for the whole world, which every entity row finds.
    #[test]
    fn no_key_columns() {
        let keys = RequestKeys::encode(&[], &request(&[("a", &[Some(1), None])]));
        assert_eq!(keys.unique().collect::<Vec<_>>(), [b""]);
        assert_eq!(keys.into_places(), [0, 0]);
    }
}
