//! Which keys labels have, for a history that can leave out rows of others early.

use std::sync::atomic::Ordering;

use arrow::array::ArrayRef;
use asof_model::ValueType;

use super::filter::KeyFilter;
use super::keys::Keys;
use super::scan::{Probe, Scanning, Target};
use crate::history::WantedKeys;

/// Rows after which it is known how many of them have a key of a label.
const MEASURED_ROWS: u64 = 65_536;

/// Of so many rows one has a key of a label, or fewer: then keys are looked at first.
const FEW: u64 = 16;

/// The keys of labels, for one history.
pub(super) struct KeysOf<'s, 'r, 'a> {
    pub scanning: &'s Scanning<'r, 'a>,
    pub history: usize,
}

impl WantedKeys for KeysOf<'_, '_, '_> {
    fn are_few(&self, view: usize) -> bool {
        let counts = &self.scanning.counts[self.history];
        let (asked, known) =
            (counts.keys_asked.load(Ordering::Relaxed), counts.keys_known.load(Ordering::Relaxed));
        let mut probes = self.probes(view);
        // Once few are looked up, those that are have a known key most often: what was measured before stands.
        let few = asked >= MEASURED_ROWS && known * FEW <= asked;
        few && probes.all(|probe| self.scanning.filter(probe.keys).is_some())
    }

    fn may_have(&self, view: usize, keys: &[ArrayRef]) -> Vec<bool> {
        let rows = keys.first().map_or(0, |key| key.len());
        let mut may = vec![false; rows];
        let mut hashes = Vec::new();
        for probe in self.probes(view) {
            let Some(filter) = self.scanning.filter(probe.keys) else { return vec![true; rows] };
            if hashes.is_empty() {
                let types = &self.scanning.scan.run.spec.keys[probe.keys];
                let columns: Vec<(&ArrayRef, ValueType)> =
                    keys.iter().zip(types.iter().map(|(_, of)| *of)).collect();
                Keys::new(&columns, rows).hashes(&mut hashes);
            }
            may.iter_mut().zip(&hashes).for_each(|(may, hash)| *may |= filter.may_hold(*hash));
        }
        let left_out = may.iter().filter(|may| !**may).count() as u64;
        self.scanning.counts[self.history].keys_asked.fetch_add(left_out, Ordering::Relaxed);
        may
    }
}

impl<'s, 'r> KeysOf<'s, 'r, '_> {
    fn probes(&self, view: usize) -> impl Iterator<Item = &'r Probe> + use<'s, 'r> {
        let history = self.history;
        let probes: &'r [Probe] = self.scanning.scan.probes;
        probes.iter().filter(move |probe| (probe.history, probe.view) == (history, view))
    }
}

impl Scanning<'_, '_> {
    pub(super) fn filter(&self, keys: usize) -> Option<&KeyFilter> {
        match self.scan.target {
            Target::Resident(_) => self.filters.get(keys),
            Target::Aside { filters, .. } => filters.get(keys),
        }
    }
}
