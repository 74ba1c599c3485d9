//! Reclaiming: what everybody has folded leaves the log, in whole segments.
//!
//! First they are archived, where that is asked for; then the file of keys is durable, then segments go. A crash in between
//! leaves segments that are archived again, or that the next opening removes.

use crate::archive;
use crate::error::LogError;
use crate::folder;
use crate::keys_file::Unwritten;
use crate::log::Log;
use crate::segment::{self, Segment};

/// Keys that are copied while the lock is held.
const KEYS_PER_TURN: usize = 16_384;

impl Log {
    /// Takes note that everybody has folded all positions up to `position`, that one included, and durably so.
    ///
    /// Whole segments of such positions are removed, never the last one. Their keys are remembered as
    /// [`LogOptions`](crate::LogOptions) says. Bytes up to `position` no longer count against `unfolded_bytes_max`, those of the
    /// batch that holds it and some KiB before it excepted. A position before one that was told earlier counts as that one.
    ///
    /// # Errors
    /// [`LogError::NeverGiven`] where `position` is past [`Log::durable`]: it is of another log. Otherwise a failure of
    /// the file system, after which the log goes on, and what was to be removed is removed later.
    pub fn folded(&self, position: u64) -> Result<(), LogError> {
        let _turn = self.reclaiming.lock();
        let Some((until, count)) = self.fold(position)? else { return Ok(()) };
        if self.options.archive {
            // One after the other: nobody else takes segments away.
            for place in 0..count {
                let segment = self.state.lock().segments.get(place).map(Segment::without_places);
                if let Some(segment) = segment {
                    archive::keep(&self.folder, &segment)?;
                }
            }
        }
        self.remembered(until).write(&self.folder)?;
        let removed: Vec<u64> = {
            let mut state = self.state.lock();
            state.keys.reclaim(until);
            state.segments.drain(..count).map(|segment| segment.first).collect()
        };
        for first in removed {
            segment::remove(&self.folder, first)?;
        }
        folder::sync(&self.folder)
    }

    /// The last position of the segments to be removed, and how many those are. `None` where there are none.
    fn fold(&self, position: u64) -> Result<Option<(u64, usize)>, LogError> {
        let mut state = self.state.lock();
        if position > state.durable {
            let (path, durable) = (self.folder.clone(), state.durable);
            return Err(LogError::NeverGiven { path, position, durable });
        }
        state.fold(position);
        let folded = state.folded();
        let below = state.segments.partition_point(|segment| segment.next <= folded + 1);
        let count = below.min(state.segments.len() - 1);
        let last = count.checked_sub(1).and_then(|at| state.segments.get(at));
        Ok(last.map(|segment| (segment.next - 1, count)))
    }

    /// The file of keys for a log that was reclaimed up to `until`. Appenders go on meanwhile.
    fn remembered(&self, until: u64) -> Unwritten {
        let mut file = Unwritten::new(until, self.state.lock().keys.newest());
        let mut from = 0;
        loop {
            let staying = self.state.lock().keys.staying(until, from, KEYS_PER_TURN);
            let Some((records, next)) = staying else { return file };
            records.iter().for_each(|record| file.push(record));
            from = next;
        }
    }
}
