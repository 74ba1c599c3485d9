//! What an online store promises.
//!
//! - **Atomic.** A publication writes its rows, the fold position of its view and `unit -> visible` together, or
//!   nothing. Once acknowledged it is durable.
//! - **Once.** A unit is folded once; publishing it again answers its first stamp and changes nothing.
//! - **Whole replacements.** A publication that replaces a range of events takes the old rows away and brings the new ones
//!   at one stamp.
//! - **Order-free.** For every `t` not before the last stamp, the row in force depends on the set of rows
//!   published, not on their order or their split into units (SEMANTICS 3 and 8).
//! - **One instant per answer.** A read sees one snapshot; its `t` is drawn with it: not before any stamp in it,
//!   before every later one (SEMANTICS 1). A stamp is drawn once, strictly after every `t` and stamp before.
//! - **Readers never wait for a writer.** There is one writer at a time.
//!
//! Not done here: ttl, defaults and statuses (decided by whoever reads the row), and history.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use asof_model::spec::Repeats;
use asof_model::{Duration, Instant};

use crate::entry::StoredRow;
use crate::entry_cache::CacheCounts;
use crate::error::OnlineError;
use crate::events::StoredEvents;
use crate::layout::RowLayout;
use crate::row_bytes::RowBytes;
use crate::versions::Version;

/// A future that an implementation may compute inline or on its own runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The most rows in one publication. One publication is one atomic batch that is held in memory, written to the
/// journal in one piece, and read back in one piece after a crash; some 250,000 rows of 500 bytes are 125 MB.
/// The embedded engine itself counts the items of a batch in 32 bits and lets its journal file grow as needed.
pub const PUBLICATION_ROWS_MAX: usize = 500_000;
/// The most bytes of keys and rows in one publication, for the same reason.
pub const PUBLICATION_BYTES_MAX: usize = 1 << 30;
/// The most rows of a publication that replaces a range, and the most keys that it changes: they change together, so they
/// are held together, some 4 GB of memory with rows of 500 bytes in the worst case.
pub const REPLACEMENT_ROWS_MAX: usize = 4_000_000;
/// The most bytes of an encoded key. The embedded engine takes keys of 65,535 bytes and panics beyond; 4 of them
/// are the view's number, and 4 that of a segment.
pub const KEY_BYTES_MAX: usize = 65_527;
/// The most bytes of a view's identity or of a unit's name.
pub const NAME_BYTES_MAX: usize = 4_096;
/// The most bytes of a unit's note.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// The only source of the present. Nothing in this crate reads another clock.
pub trait Clock: Send + Sync {
    /// The present. May stand still or step back; the store keeps its own order.
    fn now(&self) -> Instant;
}

/// The durable small number of a view in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewHandle(u32);

impl ViewHandle {
    /// The handle of that number. For implementations of the trait; everybody else asks
    /// [`OnlineStore::register`] or [`OnlineStore::find`].
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A row to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRow {
    /// The encoded key (`asof_model::key`), at most [`KEY_BYTES_MAX`] bytes. Empty for a view without entities.
    pub key: Vec<u8>,
    /// When the fact became true.
    pub event: Instant,
    /// When its source says it was known.
    pub created: Instant,
    /// Its features, by [`RowLayout::encode`].
    pub row: Vec<u8>,
}

/// A half-open range of event instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRange {
    /// The first within.
    pub from: Instant,
    /// The first past it; `None`: to the end of time.
    pub until: Option<Instant>,
}

impl EventRange {
    /// Whether the instant lies within.
    pub fn contains(&self, event: Instant) -> bool {
        self.from <= event && self.until.is_none_or(|until| event < until)
    }
}

/// What a publication takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Rows of earlier units whose event lies in it no longer stand from the stamp on.
    pub events: EventRange,
    /// Rows of earlier units that stand, for keys that rest on a row that does not ([`OnlineStore::keys_resting_in`]):
    /// what the store dropped as beaten and only history still has. More of them than needed do no harm.
    pub restored: Vec<(Vec<u8>, StoredRow)>,
}

/// How the events of a view are kept: all that may still count, each for itself (SEMANTICS 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRule {
    /// How far before the stamp an event may lie to be kept. `None`: every one is.
    pub retention: Option<Duration>,
    /// The input that tells events apart.
    pub identity: Option<usize>,
    /// The input that says whether a version takes its event away, an integer ([`asof_model::aggregation::Withdrawal`]).
    pub withdrawal: Option<usize>,
    /// Whether versions are remembered by their identity ([`OnlineStore::versions`]), and what they do to each other.
    pub remembers: Option<Repeats>,
    /// Whether they were pushed: then a load that replaces their range leaves them alone.
    pub pushed: bool,
}

/// A publication unit: rows that become readable together.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// The view.
    pub view: ViewHandle,
    /// The view's features, all that any of its rows has.
    pub layout: &'a RowLayout,
    /// The name of the unit, unique in its view for ever.
    pub unit: &'a str,
    /// The commit or log position that the unit reflects.
    pub position: u64,
    /// Any text to keep in the journal.
    pub note: &'a str,
    /// Whether the source names a created column: then equal instants with other bytes are no conflict.
    pub created_declared: bool,
    /// Keys whose row in force is older than this at the stamp are not taken in, unless they have a row in force
    /// already: history answers for them. `None`: every key is.
    pub active_within: Option<Duration>,
    /// The stamp, only when replaying a journal to rebuild a lost store: in order of visible within the view, and
    /// before anybody reads the view. Otherwise `None`: the store draws it.
    pub visible: Option<Instant>,
    /// The range that the rows replace. `None`: rows are only added.
    pub replaces: Option<Replaces>,
    /// How rows are kept where each is an event that counts for itself. `None`: the view carries values.
    pub events: Option<EventRule>,
    /// Whether the unit waits for history: it is readable as any other, but journaled apart, until
    /// [`OnlineStore::settle`] puts the unit that holds its rows in history in its place. Replayed, such units may come in
    /// any order of visible.
    pub waits: bool,
    /// The rows, in any order, at most [`PUBLICATION_ROWS_MAX`], or [`REPLACEMENT_ROWS_MAX`] where they replace a range.
    pub rows: Vec<IncomingRow>,
}

/// What a publication did. The counts of rows given add up, unless `already`: then all counts are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The unit's stamp; the first one if `already`.
    pub visible: Instant,
    /// The unit was journaled before: nothing was done.
    pub already: bool,
    /// Rows that are in force or wait now.
    pub rows_added: u64,
    /// Rows identical to one that the store holds, or to another one of the unit: the first visible stays.
    pub rows_repeated: u64,
    /// Rows smaller than the row in force: in history only.
    pub rows_beaten: u64,
    /// Rows in force that were not taken in, since their keys are not active: in history only.
    pub rows_inactive: u64,
    /// Rows of earlier units that were in force or waited, and no longer stand.
    pub rows_removed: u64,
    /// Rows that share (event, created) with another row of their key whose bytes differ, neither extending the
    /// other by later features, where the source names no created column (SEMANTICS 3).
    pub conflicts: u64,
    /// Rows that wait now under the keys of the unit, seen at its stamp.
    pub waiting: u64,
    /// Those of them that stand in overflow records.
    pub overflowed: u64,
}

/// A journaled unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStamp {
    /// The name of the unit.
    pub unit: String,
    /// When it became readable.
    pub visible: Instant,
    /// The position it reflects.
    pub position: u64,
    /// How many rows it was given.
    pub rows: u64,
    /// The note it was given.
    pub note: String,
}

/// A row of an answer. Of a view of events: all events of the key, and the instants of the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRow {
    /// When the fact became true.
    pub event: Instant,
    /// When its source says it was known.
    pub created: Instant,
    /// The stamp of the unit that first brought it.
    pub visible: Instant,
    /// The position of that unit.
    pub position: u64,
    /// Its features, for [`RowLayout::cell`]. Empty in a view of events.
    pub row: RowBytes,
    /// In a view of events all events of the key.
    pub events: Option<StoredEvents>,
}

/// How far a view has been folded in the snapshot of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontier {
    /// The view.
    pub view: ViewHandle,
    /// The greatest position folded; `None` before the first unit.
    pub position: Option<u64>,
    /// The last stamp; `None` before the first unit.
    pub last_visible: Option<Instant>,
}

/// One answer, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineAnswer {
    /// The instant the answer is for.
    pub t: Instant,
    /// Per asked key, in order, the row in force at `t`: the greatest with `max(event, created, visible) <= t`.
    pub rows: Vec<Option<AnswerRow>>,
    /// The frontier of each asked view, once each, in the order in which they were first asked for.
    pub frontiers: Vec<Frontier>,
}

/// How far a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewStatistics {
    /// The greatest position folded; `None` before the first unit.
    pub position: Option<u64>,
    /// The last stamp; `None` before the first unit.
    pub last_visible: Option<Instant>,
    /// Units journaled, but for those that wait for history.
    pub units: u64,
}

/// An online store. See the module for what every implementation keeps; `conformance` checks it.
pub trait OnlineStore: Send + Sync {
    /// The number of the view of that identity, given out now if there is none. The same identity has the same
    /// number for ever; numbers are durable before they are returned.
    ///
    /// # Errors
    /// [`OnlineError::TooLarge`] past [`NAME_BYTES_MAX`]; failures of the store.
    fn register<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<ViewHandle, OnlineError>>;

    /// The number of the view of that identity, if it was registered.
    ///
    /// # Errors
    /// Failures of the store.
    fn find<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<ViewHandle>, OnlineError>>;

    /// Folds one unit: rows, fold position and `unit -> visible` in one atomic durable write.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; [`OnlineError::TooLarge`]; [`OnlineError::ReplayOrder`]; damaged rows, stored
    /// or given; failures of the store. Nothing has been written then, with one exception: when the durable write
    /// itself fails, its outcome shows when the store is opened again. Until then reads go on, at instants before
    /// the unit's stamp, and further publications are refused as [`OnlineError::Poisoned`].
    fn publish<'a>(&'a self, publication: Publication<'a>) -> BoxFuture<'a, Result<Published, OnlineError>>;

    /// The rows in force for all these keys at one `t`, from one snapshot. Without `now` the store draws `t`.
    ///
    /// # Errors
    /// [`OnlineError::NowAhead`] where `now` is beyond the store's clock (while a unit is being written, its clock
    /// stands just before that unit's stamp); [`OnlineError::NowBehind`] where `now` is before the last stamp of an
    /// asked view; [`OnlineError::UnknownView`]; damaged entries; failures of the store.
    fn read<'a>(
        &'a self,
        keys: &'a [(ViewHandle, &'a [u8])],
        now: Option<Instant>,
    ) -> BoxFuture<'a, Result<OnlineAnswer, OnlineError>>;

    /// Says that rows of these keys are being fetched from history, in place of any others of the view. What comes for one of
    /// them until [`OnlineStore::restore`] takes it out.
    fn await_restored(&self, view: ViewHandle, keys: HashSet<Vec<u8>>);

    /// Puts rows of earlier units back under keys that were left to history ([`Publication::active_within`]): all that matter
    /// of a key, best first. Keys that are not awaited any more, or hold something, are left alone; answers how many were
    /// not. No unit comes of it, and nothing that is answered changes.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store.
    fn restore<'a>(
        &'a self,
        view: ViewHandle,
        rows: Vec<(Vec<u8>, Vec<StoredRow>)>,
    ) -> BoxFuture<'a, Result<u64, OnlineError>>;

    /// The view's units in order of visible, but for those that wait for history.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store.
    fn journal(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>>;

    /// The units that wait for history, in order of visible ([`Publication::waits`]).
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store.
    fn waiting(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>>;

    /// Puts a unit into the journal in place of all waiting ones up to its visible, in one atomic durable write: history
    /// holds their rows now, and says of each when it became visible. Nothing that is answered changes. Done again it
    /// changes nothing.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; [`OnlineError::TooLarge`]; failures of the store, as of a publication.
    fn settle<'a>(&'a self, view: ViewHandle, unit: &'a UnitStamp) -> BoxFuture<'a, Result<(), OnlineError>>;

    /// Up to `limit` keys of the view that hold a row in force or waiting, in key order, beginning strictly behind
    /// `after`.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store.
    fn keys<'a>(
        &'a self,
        view: ViewHandle,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>>;

    /// Up to `limit` keys of the view, in key order and strictly behind `after`, whose smallest stored row has its event in
    /// `events`: what came before that row was dropped, and replacing the range brings it back.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; damaged entries; failures of the store.
    fn keys_resting_in<'a>(
        &'a self,
        view: ViewHandle,
        events: EventRange,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>>;

    /// The keys under which versions of events are remembered, each once.
    ///
    /// # Errors
    /// As [`OnlineStore::versions`].
    fn version_keys(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<Vec<u8>>, OnlineError>>;

    /// What is remembered of events by their identity ([`EventRule::identity_of`]): for each identity its versions, in the order
    /// in which they became readable. Nothing for one that is not known.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; a damaged entry; failures of the store.
    fn versions<'a>(
        &'a self,
        view: ViewHandle,
        identities: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Vec<Version>>, OnlineError>>;

    /// How far the view is.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store.
    fn statistics(&self, view: ViewHandle) -> BoxFuture<'_, Result<ViewStatistics, OnlineError>>;

    /// Bytes of memory that the servers of the store use, with whatever else they hold. `None`: it stands in a folder, whose
    /// size is that of its files.
    ///
    /// # Errors
    /// Failures of the store.
    fn memory_bytes(&self) -> BoxFuture<'_, Result<Option<u64>, OnlineError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Brings rows into memory ahead of those who will ask for them, as long as there is room, and answers how many. Goes on
    /// while `wanted` says so, which is asked every few thousand rows. A store whose rows are a round trip away brings none.
    ///
    /// # Errors
    /// Failures of the store.
    fn warm_up<'a>(
        &'a self,
        _wanted: &'a (dyn Fn() -> bool + Sync),
    ) -> BoxFuture<'a, Result<u64, OnlineError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// How often keys were found in memory, and how often not.
    fn cache_counts(&self) -> CacheCounts;

    /// Erases what is held under these keys, in force or waiting, and answers how many keys held something. Afterwards
    /// nothing below the store holds them any more: neither what was replaced before, nor a log. Units and frontiers
    /// stay. Also with no key given, what an interrupted erasure has left goes.
    ///
    /// # Errors
    /// [`OnlineError::UnknownView`]; failures of the store. Erase again then.
    fn erase<'a>(&'a self, keys: &'a [(ViewHandle, Vec<u8>)]) -> BoxFuture<'a, Result<u64, OnlineError>>;
}
