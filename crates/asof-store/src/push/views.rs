//! What folding needs to know of each view that takes pushes, made once for a revision of the registry; and what this
//! process remembers of how far each is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant as Moment;

use arrow::array::RecordBatch;
use asof_engine::source::Admission;
use asof_model::plan::Catalog;
use asof_model::spec::{Source, View};
use asof_online::ViewHandle;
use parking_lot::Mutex;

use super::fresh::Fresh;
use super::{admission, takes_pushes, topic_of};
use crate::journal::Note;
use crate::materialize::{ViewRows, finish_units};
use crate::{Store, StoreError};

/// Bytes of rows that are folded and not in history yet, which are kept in memory so that they need not be read from the log
/// again. What is more is read again.
const TAIL_BYTES_MAX: usize = 128 << 20;

/// One view that takes pushes.
pub(crate) struct PushedView {
    pub view: View,
    pub source: Source,
    pub rows: ViewRows,
    pub admission: Admission,
    pub handle: ViewHandle,
    /// What the log calls rows for it alone.
    topic: String,
}

impl PushedView {
    /// Whether rows of a topic of the log are for it.
    pub fn takes(&self, topic: &str) -> bool {
        topic == self.source.name || topic == self.topic
    }
}

/// All of them at one revision of the registry.
pub(crate) struct PushedViews {
    pub catalog: Catalog,
    pub views: Vec<PushedView>,
}

/// What a process knows of what was pushed.
#[derive(Default)]
pub(crate) struct Pushes {
    /// Held by who folds.
    pub folding: tokio::sync::Mutex<()>,
    /// Held by who brings rows into history. Taken behind `folding`, where both are.
    pub flushing: tokio::sync::Mutex<()>,
    views: Mutex<Option<Arc<PushedViews>>>,
    pub(super) fresh: Fresh,
    /// By history table.
    tails: Mutex<HashMap<String, Tail>>,
    /// History tables of views that have all that was pushed before.
    ready: Mutex<HashSet<String>>,
}

/// How far a view is, and its rows that are not in history yet.
#[derive(Default)]
struct Tail {
    /// The last log position that is folded.
    folded_to: u64,
    parts: VecDeque<Part>,
    bytes: usize,
    rows: u64,
    /// When the first of them was folded.
    since: Option<Moment>,
}

/// The rows of one unit.
pub(crate) struct Part {
    /// The first log position.
    pub from: u64,
    /// The last log position.
    pub to: u64,
    /// Admitted rows.
    pub batches: Vec<RecordBatch>,
}

impl Part {
    fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

impl Pushes {
    /// The last log position that is folded into a view, as far as this process knows.
    pub fn folded_to(&self, table: &str) -> Option<u64> {
        self.tails.lock().get(table).map(|tail| tail.folded_to)
    }

    pub fn set_folded(&self, table: &str, position: u64) {
        self.tails.lock().entry(table.to_owned()).or_default().folded_to = position;
    }

    /// Remembers rows that were folded.
    pub fn add(&self, table: &str, part: Part) {
        let mut tails = self.tails.lock();
        let tail = tails.entry(table.to_owned()).or_default();
        tail.rows += part.rows();
        tail.since.get_or_insert_with(Moment::now);
        let bytes = part.bytes();
        if tail.bytes + bytes <= TAIL_BYTES_MAX {
            tail.bytes += bytes;
            tail.parts.push_back(part);
        }
    }

    /// Rows that wait for history, and since when. `None`: none does, as far as this process knows.
    pub fn waits(&self, table: &str) -> Option<(u64, Moment)> {
        let tails = self.tails.lock();
        let tail = tails.get(table)?;
        Some((tail.rows, tail.since?))
    }

    /// The rows of a unit, if they are still in memory.
    pub fn part(&self, table: &str, from: u64, to: u64) -> Option<Vec<RecordBatch>> {
        let tails = self.tails.lock();
        let part = tails.get(table)?.parts.iter().find(|part| (part.from, part.to) == (from, to))?;
        Some(part.batches.clone())
    }

    /// Forgets rows up to a log position, which history holds now.
    pub fn flushed(&self, table: &str, to: u64, rows: u64) {
        let mut tails = self.tails.lock();
        let Some(tail) = tails.get_mut(table) else { return };
        while let Some(part) = tail.parts.pop_front_if(|part| part.to <= to) {
            tail.bytes -= part.bytes();
        }
        tail.rows = tail.rows.saturating_sub(rows);
        tail.since = (tail.rows > 0).then(Moment::now);
    }

    /// Whether a view has all that was pushed before this process began to serve it.
    pub fn is_ready(&self, table: &str) -> bool {
        self.ready.lock().contains(table)
    }

    pub fn set_ready(&self, table: &str) {
        let mut ready = self.ready.lock();
        if !ready.contains(table) {
            ready.insert(table.to_owned());
        }
    }

    /// Forgets all of a view: what is stored says how far it is.
    pub fn forget(&self, table: &str) {
        self.tails.lock().remove(table);
    }
}

impl Store {
    /// The views that take pushes.
    pub(crate) async fn pushed_views(&self) -> Result<Arc<PushedViews>, StoreError> {
        let revision = self.revision().await?;
        let known = self.pushes().views.lock().clone();
        if let Some(known) = known.filter(|known| known.catalog.revision == revision && revision > 0) {
            return Ok(known);
        }
        let catalog = self.applied_catalog().await?;
        self.make_pushed_views(catalog).await
    }

    /// Those of a catalog, or of a later one.
    pub(super) async fn pushed_views_at(&self, catalog: &Catalog) -> Result<Arc<PushedViews>, StoreError> {
        let known = self.pushes().views.lock().clone();
        match known.filter(|known| known.catalog.revision >= catalog.revision && catalog.revision > 0) {
            Some(known) => Ok(known),
            None => self.make_pushed_views(catalog.clone()).await,
        }
    }

    async fn make_pushed_views(&self, catalog: Catalog) -> Result<Arc<PushedViews>, StoreError> {
        let mut views = Vec::new();
        for view in catalog.definitions.views.values().filter(|view| !view.in_place) {
            let Some(source) = catalog.definitions.sources.get(&view.source) else { continue };
            if takes_pushes(source) {
                let rows = ViewRows::new(&catalog, view)?;
                let handle = self.online().await?.register(&rows.table_name).await?;
                let admission = admission(&catalog, source, view)?;
                views.push(PushedView {
                    view: view.clone(),
                    source: source.clone(),
                    rows,
                    admission,
                    handle,
                    topic: topic_of(&view.id),
                });
            }
        }
        let made = Arc::new(PushedViews { catalog, views });
        *self.pushes().views.lock() = Some(made.clone());
        Ok(made)
    }

    /// The last log position that is folded into a view. What a process before this one left half done is finished first.
    pub(super) async fn folded_to(&self, of: &PushedViews, view: &PushedView) -> Result<u64, StoreError> {
        let table = &view.rows.table_name;
        if let Some(known) = self.pushes().folded_to(table) {
            return Ok(known);
        }
        let mut target = self.open_target(&of.catalog, &view.view).await?;
        finish_units(self, &mut target).await?;
        let mut folded_to = target.journal().await?.pushed_to;
        let mut rows = 0;
        for unit in target.online.waiting(target.handle).await? {
            if let Note::Waiting { to, .. } = Note::read(&unit.note)? {
                folded_to = folded_to.max(to);
            }
            rows += unit.rows;
        }
        let log = self.log().await?;
        if log.durable() < folded_to {
            return Err(StoreError::Corrupt(format!(
                "`{}` has rows up to position {folded_to} of the admission log, which ends at {}: it is another log",
                view.rows.name,
                log.durable()
            )));
        }
        self.pushes().set_folded(table, folded_to);
        if rows > 0 {
            let tail = &self.pushes().tails;
            let mut tails = tail.lock();
            let tail = tails.entry(table.clone()).or_default();
            (tail.rows, tail.since) = (rows, Some(Moment::now()));
        }
        Ok(folded_to)
    }
}
