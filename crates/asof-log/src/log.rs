//! The door: a log, what it knows, and its end.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::append::Failure;
use crate::batch::LogOptions;
use crate::error::LogError;
use crate::folder::{self, Held};
use crate::keys::Keys;
use crate::open;
use crate::segment::Segment;
use crate::writer::{Staged, Writer};

/// The admission log in a folder. Share it between threads by reference.
pub struct Log {
    pub(crate) folder: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) state: Mutex<State>,
    /// A group was written, or could not be: who waits for its batch looks again.
    pub(crate) settled: Condvar,
    /// `durable` has grown: who waits for entries looks again.
    grown: Condvar,
    /// Held by who reclaims segments.
    pub(crate) reclaiming: Mutex<()>,
    _held: Held,
}

/// What changes. Never locked while a disk is waited for.
pub(crate) struct State {
    /// The durable part, at least one segment, in order.
    pub(crate) segments: VecDeque<Segment>,
    /// `None` while somebody leads, and for ever after a failure.
    pub(crate) writer: Option<Writer>,
    /// Batches that wait for the next group, in order.
    pub(crate) staged: Vec<Staged>,
    /// Bytes of `staged`.
    pub(crate) staged_bytes: u64,
    /// Bytes of the group that is being written.
    pub(crate) group_bytes: u64,
    /// The position that comes next.
    pub(crate) next: u64,
    /// The last durable position.
    pub(crate) durable: u64,
    /// The last position that everybody has folded.
    folded: u64,
    /// The byte of the whole log, as in [`Segment::start`], up to which everything is folded.
    folded_end: u64,
    /// Why the log takes no more.
    pub(crate) failure: Option<Failure>,
    pub(crate) keys: Keys,
    pub(crate) syncs: u64,
}

impl State {
    /// The first position that is still there, or comes first.
    pub(crate) fn first(&self) -> u64 {
        self.segments.front().map_or(self.next, |segment| segment.first)
    }

    /// The segment that holds a durable position.
    pub(crate) fn segment_of(&self, position: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        self.segments.get(after.checked_sub(1)?)
    }

    /// Takes note that all up to `position`, a durable one, is folded.
    pub(crate) fn fold(&mut self, position: u64) {
        self.folded = self.folded.max(position);
        let end = if self.folded >= self.durable {
            self.segments.back().map(Segment::end)
        } else {
            let next = self.folded + 1;
            self.segment_of(next).map(|segment| segment.start + segment.offset_before(next))
        };
        self.folded_end = end.unwrap_or(self.folded_end);
    }

    /// The last position that everybody has folded.
    pub(crate) fn folded(&self) -> u64 {
        self.folded
    }

    /// Bytes that wait to be folded: up to some KiB more than the truth, never less.
    pub(crate) fn unfolded(&self) -> u64 {
        let durable_end = self.segments.back().map_or(0, Segment::end);
        durable_end.saturating_sub(self.folded_end) + self.group_bytes + self.staged_bytes
    }
}

impl Log {
    /// Opens the log in `folder`, or begins one there. The folder is held until the log is dropped.
    ///
    /// Every batch is read and checked, so opening takes as long as reading what was not reclaimed. What a crash left
    /// half-written is cut off; it was never acknowledged. Until [`Log::folded`] is told again, all that is in the log
    /// counts as not folded.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::Damaged`], [`LogError::UnknownVersion`], or a failure of the file system.
    pub fn open(folder: &Path, options: LogOptions) -> Result<Self, LogError> {
        let held = folder::hold(folder)?;
        let opened = open::open(folder, &options)?;
        let next = opened.segments.back().map_or(1, |segment| segment.next);
        let mut state = State {
            segments: opened.segments,
            writer: Some(opened.writer),
            staged: Vec::new(),
            staged_bytes: 0,
            group_bytes: 0,
            next,
            durable: next - 1,
            folded: 0,
            folded_end: 0,
            failure: None,
            keys: opened.keys,
            syncs: 0,
        };
        state.fold(state.first() - 1);
        Ok(Self {
            folder: folder.to_owned(),
            options,
            state: Mutex::new(state),
            settled: Condvar::new(),
            grown: Condvar::new(),
            reclaiming: Mutex::new(()),
            _held: held,
        })
    }

    /// The last durable position. 0 if there never was an entry.
    pub fn durable(&self) -> u64 {
        self.state.lock().durable
    }

    /// The first position that was not reclaimed. Past [`Log::durable`] where no entry is there.
    pub fn first(&self) -> u64 {
        self.state.lock().first()
    }

    /// Waits until there is a durable position past `position`, at most for `timeout`; returns [`Log::durable`].
    pub fn wait_past(&self, position: u64, timeout: Duration) -> u64 {
        let mut state = self.state.lock();
        self.grown.wait_while_for(&mut state, |state| state.durable <= position, timeout);
        state.durable
    }

    /// Groups that were written and synced since the log was opened. One serves all batches that wait for it.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Tells all who wait that a group is settled.
    pub(crate) fn tell(&self) {
        self.settled.notify_all();
        self.grown.notify_all();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // With the mark the next opening can tell damage to the last group from a torn write. Without it, as after a
        // kill, nothing that was acknowledged is missing either.
        if let Some(writer) = &mut self.state.get_mut().writer {
            let _ = writer.mark();
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "log in `{}`", self.folder.display())
    }
}
