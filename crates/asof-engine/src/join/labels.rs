//! The label table as slots: for each key its distinct times, in order.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::columns::KeyColumns;

/// No slot: the label's key is null.
const NO_SLOT: u32 = u32::MAX;

/// A place where a label's value is gathered: one key at one time. Labels with equal key and time share it.
pub type Slot = u32;

/// The number of a key among the keys of the labels.
pub type Group = u32;

/// Label rows grouped by key, and each group's distinct times in ascending order.
///
/// At most `u32::MAX - 1` label rows; [`LabelIndex::new`] takes slices, whose length the label reader bounds.
pub struct LabelIndex {
    hasher: FixedState,
    /// Group numbers by the hash of their key.
    groups: HashTable<u32>,
    /// The keys of all groups, one after the other.
    key_bytes: Vec<u8>,
    /// Where each group's key ends in `key_bytes`.
    key_ends: Vec<usize>,
    /// Where each group's slots begin; one more entry than groups.
    group_slots: Vec<u32>,
    /// The time of each slot, microseconds.
    times: Vec<i64>,
    /// For each label row its slot.
    slot_of_label: Vec<Slot>,
}

impl LabelIndex {
    /// Groups label rows by the keys in `keys` and the instants in `times` (microseconds). Rows with a null key part
    /// get no slot: they are MISSING.
    pub fn new(keys: &KeyColumns<'_>, times: &[i64]) -> Self {
        let mut index = Self {
            hasher: FixedState::default(),
            groups: HashTable::new(),
            key_bytes: Vec::new(),
            key_ends: Vec::new(),
            group_slots: Vec::new(),
            times: Vec::new(),
            slot_of_label: vec![NO_SLOT; times.len()],
        };
        let mut by_group: Vec<(u32, i64, u32)> = Vec::with_capacity(times.len());
        let mut key = Vec::new();
        for (row, time) in times.iter().enumerate() {
            if keys.encode(row, &mut key) {
                by_group.push((index.group_of(&key), *time, row as u32));
            }
        }
        by_group.sort_unstable();
        index.cut_slots(&by_group);
        index
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.times.len()
    }

    /// The slot of each label row, in the order of the labels. `None` for a null key.
    pub fn slot_of_label(&self) -> impl ExactSizeIterator<Item = Option<Slot>> + '_ {
        self.slot_of_label.iter().map(|slot| (*slot != NO_SLOT).then_some(*slot))
    }

    /// The group of the labels with `key`; `None` where there is no such label.
    pub fn group(&self, key: &[u8]) -> Option<Group> {
        self.groups.find(self.hasher.hash_one(key), |group| self.key(*group) == key).copied()
    }

    /// The first slot of `group` whose time is `from` or later; `None` where no label can see such a row.
    pub fn first_slot(&self, group: Group, from: i64) -> Option<Slot> {
        let (start, end) = (self.group_slots[group as usize], self.group_slots[group as usize + 1]);
        let times = &self.times[start as usize..end as usize];
        let ahead = times.partition_point(|time| *time < from);
        (ahead < times.len()).then(|| start + ahead as u32)
    }

    /// The slots of `group` with `from <= time < until`.
    pub fn slots_between(&self, group: Group, from: i64, until: i64) -> std::ops::Range<usize> {
        let (start, end) =
            (self.group_slots[group as usize] as usize, self.group_slots[group as usize + 1] as usize);
        let times = &self.times[start..end];
        let first = start + times.partition_point(|time| *time < from);
        let past = start + times.partition_point(|time| *time < until);
        first..past.max(first)
    }

    /// The slots of each group, in ascending order of time.
    pub fn runs(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.group_slots.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    fn key(&self, group: u32) -> &[u8] {
        let group = group as usize;
        let start = if group == 0 { 0 } else { self.key_ends[group - 1] };
        &self.key_bytes[start..self.key_ends[group]]
    }

    fn group_of(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        if let Some(group) = self.groups.find(hash, |group| self.key(*group) == key) {
            return *group;
        }
        let group = self.key_ends.len() as u32;
        self.key_bytes.extend_from_slice(key);
        self.key_ends.push(self.key_bytes.len());
        let (bytes, ends, hasher) = (&self.key_bytes, &self.key_ends, &self.hasher);
        self.groups.insert_unique(hash, group, |group| {
            let group = *group as usize;
            let start = if group == 0 { 0 } else { ends[group - 1] };
            hasher.hash_one(&bytes[start..ends[group]])
        });
        group
    }

    /// `by_group` is sorted by (group, time).
    fn cut_slots(&mut self, by_group: &[(u32, i64, u32)]) {
        let mut before: Option<(u32, i64)> = None;
        for (group, time, row) in by_group {
            if before.is_none_or(|(last, _)| last != *group) {
                self.group_slots.push(self.times.len() as u32);
            }
            if before != Some((*group, *time)) {
                self.times.push(*time);
                before = Some((*group, *time));
            }
            self.slot_of_label[*row as usize] = (self.times.len() - 1) as Slot;
        }
        self.group_slots.push(self.times.len() as u32);
    }
}
