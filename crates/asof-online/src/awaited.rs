//! Keys whose rows somebody is fetching from history, to put them back.
//!
//! Between the look into history and the write a unit may come for such a key and leave it to history again: what is then
//! written would be older than what history holds. So whatever touches a key takes it out, and only keys that are still here
//! are written.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::store::{Publication, ViewHandle};

/// Keys that wait for their rows.
#[derive(Debug, Default)]
pub struct AwaitedKeys(Mutex<HashMap<ViewHandle, HashSet<Vec<u8>>>>);

impl AwaitedKeys {
    /// These keys wait, in place of all others of the view.
    pub fn begin(&self, view: ViewHandle, keys: HashSet<Vec<u8>>) {
        self.0.lock().insert(view, keys);
    }

    /// Something comes for keys of the view.
    pub fn touch<'k>(&self, view: ViewHandle, keys: impl Iterator<Item = &'k [u8]>) {
        if let Some(awaited) = self.0.lock().get_mut(&view) {
            keys.for_each(|key| {
                awaited.remove(key);
            });
        }
    }

    /// A unit comes: for its keys, or, where it replaces a range, for any.
    pub fn touched_by(&self, publication: &Publication<'_>) {
        match publication.replaces {
            Some(_) => self.touch_all(publication.view),
            None => self.touch(publication.view, publication.rows.iter().map(|row| &row.key[..])),
        }
    }

    /// Something comes for any key of the view.
    pub fn touch_all(&self, view: ViewHandle) {
        self.0.lock().remove(&view);
    }

    /// The keys that nothing came for.
    pub fn end(&self, view: ViewHandle) -> HashSet<Vec<u8>> {
        self.0.lock().remove(&view).unwrap_or_default()
    }
}
