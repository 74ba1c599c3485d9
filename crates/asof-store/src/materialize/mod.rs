//! `materialize`: source rows become history, and the latest of them becomes the online store.
//!
//! One unit at a time: its rows are committed to history in one commit that names it; then rows, fold position and
//! stamp enter the online store in one atomic batch; then the stamp is copied beside history. A unit's name is drawn
//! from what it was made of, so a run that was killed at any point and is run again finds what is done and goes on.
//!
//! Several views are loaded at a time. One that fails does not hold up the others: each is reported.
//!
//! [`view_rows`] says what the rows of a view are, [`inputs`] says what is read and names the units, [`query`] reads for a query over all rows, [`loading`] reads and cuts, [`unit`] publishes one unit,
//! [`replace`] publishes a whole range anew, [`recover`] finishes what a killed run left half done and rebuilds a lost online store, [`parted`] likewise what was pushed, [`quarantine`] keeps the rows
//! set aside, [`jobs`] does several views at a time, [`report`] says what came of it.

mod inputs;
mod jobs;
mod loading;
mod parted;
mod quarantine;
mod query;
mod recover;
mod replace;
mod report;
mod unit;
mod view_rows;

use std::num::NonZeroUsize;

use asof_engine::source::{Admission, Fingerprint};
use asof_model::Instant;
use asof_model::name::ViewRef;
use asof_model::plan::Catalog;
use asof_model::spec::{Source, View};
use asof_training::join::Interval;
use serde::{Deserialize, Serialize};

use crate::journal::{Note, ViewJournal};
use crate::{InPlaceWant, Progress, Store, StoreError, catalog};
pub(crate) use inputs::Inputs;
use inputs::{Copies, Listing, Pack};
use loading::{Loading, Staged};
pub(crate) use quarantine::Quarantine;
pub(crate) use query::QueryInput;
pub(crate) use recover::finish_units;
use replace::Replacement;
pub use report::{LackingColumn, MaterializeReport, Totals, VANISHED_SHOWN_MAX, ViewFailure, ViewLoad};
pub(crate) use unit::{Target, copy_stamps, refuse_large};
pub(crate) use view_rows::ViewRows;

/// What to materialise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterializeRequest {
    /// Views by name with or without version; empty: every version of every view.
    pub views: Vec<String>,
    /// Events from this instant on. `None`: from the beginning.
    pub start: Option<Instant>,
    /// Events before this instant. `None`: to the end.
    pub end: Option<Instant>,
    /// What becomes of rows that are there.
    #[serde(default)]
    pub mode: Mode,
    /// How many views are loaded at a time. `None`: one for each core.
    #[serde(default)]
    pub jobs: Option<NonZeroUsize>,
}

/// What a materialisation does with what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Rows are added.
    #[default]
    Add,
    /// Rows are added that came since the last load: of files that are new or have changed, in all ranges that were loaded
    /// before and behind the last of them, whatever their event. Takes no range. A file whose size and time of change are
    /// those that were recorded is not read; [`Mode::Add`] looks at the content.
    SinceLast,
    /// The rows of the range are replaced by those that the source holds now, as one commit with one stamp
    /// (SEMANTICS 3 and 4): from then on the old ones are not served, and training does not see them any more, but under
    /// `served` at instants before.
    Replace,
}

impl Store {
    /// Loads the rows of the views' sources in `[start, end)` of event time.
    ///
    /// Safe to kill at any point and to run again: it ends in the same state. One load runs at a time, others wait.
    ///
    /// A view that fails is in the report; the others are loaded all the same. Rows that can't be read are no failure:
    /// they are set aside and counted.
    ///
    /// # Errors
    /// What keeps every view from being loaded: [`StoreError::NothingApplied`], [`StoreError::Unknown`],
    /// [`StoreError::InPlace`], an empty range;
    /// those of opening history and the online store. [`StoreError::Stopped`] where nobody wants it any more, which is
    /// asked before each batch of rows.
    pub async fn materialize(
        &self,
        request: &MaterializeRequest,
        progress: &dyn Progress,
    ) -> Result<MaterializeReport, StoreError> {
        let started = std::time::Instant::now();
        if let (Some(start), Some(end)) = (request.start, request.end)
            && start >= end
        {
            let message = format!("the range is empty: start {start} is not before end {end}");
            return Err(StoreError::Request {
                message,
                hint: Some("the end itself is not part of the range".to_owned()),
            });
        }
        let _turn = self.turn(progress).await?;
        if request.mode == Mode::SinceLast && (request.start.is_some() || request.end.is_some()) {
            return Err(StoreError::Request {
                message: "a load since the last one takes no range".to_owned(),
                hint: Some("leave out start and end: what was loaded before says where to look".to_owned()),
            });
        }
        let catalog = self.applied_catalog().await?;
        let (in_place, views) = to_load(&catalog, &request.views)?;
        // What no view can do without fails once, and not once for each.
        self.online().await?;
        self.offline().await?;
        self.fold_pushed().await?;
        let at_a_time = jobs::count(request.jobs, views.len());
        let outcomes =
            jobs::each(&views, at_a_time, |view| Box::pin(self.load_view(&catalog, view, request, progress)));
        let outcomes = outcomes.await;
        if outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::Stopped))) {
            return Err(StoreError::Stopped);
        }
        let outcomes = views.iter().map(|view| view.id.clone()).zip(outcomes).collect();
        Ok(MaterializeReport::new(outcomes, in_place, started.elapsed().as_secs_f64()))
    }

    async fn load_view(
        &self,
        catalog: &Catalog,
        view: &View,
        request: &MaterializeRequest,
        progress: &dyn Progress,
    ) -> Result<ViewLoad, StoreError> {
        let started = std::time::Instant::now();
        let definitions = &catalog.definitions;
        let source = definitions.sources.get(&view.source).ok_or_else(|| missing("source", &view.source))?;
        let (reads, stored) = (view.reads(source), view.stored());
        let keys = definitions.join_keys(view);
        let range = Interval {
            from: request.start.unwrap_or(Instant::MIN).micros(),
            until: request.end.map_or(i64::MAX, Instant::micros),
        };
        let mut target = self.open_target(catalog, view).await?;
        let mut load = ViewLoad::new(&view.id);
        load.units_recovered = {
            // What is finished must not be on its way to history.
            let _flushing = self.pushes().flushing.lock().await;
            recover::finish_units(self, &mut target).await?
        };
        let journal = target.journal().await?;
        if source.path.is_empty() && source.transform.is_none() {
            // All of its rows are pushed, and those that are durable were folded before.
            if !journal.has_loaded(stored.len(), range) {
                let Interval { from, until } = range;
                target.mark(&Note::Load { features: stored.len(), from, until }).await?;
            }
            load.unchanged = true;
            load.seconds = started.elapsed().as_secs_f64();
            return Ok(load);
        }

        let what = format!("source `{}`", source.name);
        let features = stored.len();
        let mut replacing = request.mode == Mode::Replace;
        let mut range = range;
        let mut wanted = match request.mode {
            Mode::SinceLast => journal.since_last(),
            Mode::Add | Mode::Replace => vec![range],
        };
        let recorded = |path: &str| match request.mode {
            Mode::SinceLast => journal.settled(path).cloned(),
            Mode::Add | Mode::Replace => None,
        };
        let admit = |range: Interval, created: Option<Instant>| {
            let until = (range.until != i64::MAX).then(|| instant(range.until));
            let admission = Admission::new(&reads, &keys, &stored, instant(range.from), until)?;
            Ok::<_, StoreError>(admission.with_created(created))
        };
        // Where events have an identity, one that comes again is known by it.
        let by_identity = view.inputs.iter().any(|input| input.identity);
        let copies = if view.aggregates() && !by_identity { Copies::Count } else { Copies::Skip };
        let list = |replacing: bool, wanted: &[Interval]| {
            let unread = |hash: &str| match replacing {
                true => wanted.to_vec(),
                false => {
                    let of = |range: &Interval| journal.unread(hash, target.semantic_hash(), *range);
                    wanted.iter().flat_map(of).collect()
                }
            };
            match self.query_input(catalog, source)? {
                Some(query) => Ok(Inputs::of_query(query, unread)),
                None => {
                    let at = self.project().location(source)?;
                    let all = Interval { from: Instant::MIN.micros(), until: i64::MAX };
                    let admission = admit(all, None)?;
                    let columns = admission.columns();
                    let listing = Listing { at: &at, format: source.format, copies };
                    Inputs::read(&what, &listing, self.objects(), columns, unread, recorded)
                }
            }
        };
        let mut inputs = list(replacing, &wanted)?;
        let grew = by_identity || journal.only_grew(&inputs.identities);
        let carried = journal.answering(features) >= features;
        if view.aggregates() && !replacing && !(grew && carried) {
            // Events without an identity can't be told from those that are there: the range is loaded anew, as one commit.
            replacing = true;
            let first = wanted.first().map_or(range.from, |range| range.from);
            range = match (request.mode, carried) {
                (Mode::Add, true) => range,
                // Also what was loaded before lacks an input.
                _ => Interval { from: first.min(journal.loaded_from()), until: i64::MAX },
            };
            wanted = vec![range];
            inputs = list(replacing, &wanted)?;
        }
        if replacing {
            target.refuse_cut(range)?;
            target.refuse_versions()?;
        }
        (load.files, load.files_known, load.bytes) = (inputs.files, inputs.files_known, inputs.bytes());
        if request.mode == Mode::SinceLast {
            let gone = |file: &&Fingerprint| {
                !inputs.paths.contains(&file.path) && !inputs.identities.contains(&file.hash)
            };
            let mut vanished = journal.consumed().filter(gone).map(|file| file.path.clone());
            load.vanished = vanished.by_ref().take(VANISHED_SHOWN_MAX).collect();
            load.files_vanished = (load.vanished.len() + vanished.count()) as u64;
        }
        let digest = target.replacement_inputs(range, &inputs.packs);
        let unchanged = match replacing {
            true => journal.last_replacement == Some((range, digest.clone())),
            false => {
                inputs.packs.is_empty() && wanted.iter().all(|range| journal.has_loaded(features, *range))
            }
        };
        if unchanged {
            load.unchanged = true;
            load.bytes = 0;
        } else {
            let work = view.id.to_string();
            progress.begin(&work, "bytes", Some(load.bytes));
            let generation =
                format!("{}{}", if replacing { "replacement " } else { "" }, journal.replacements);
            // What was pushed before is in history then, and nothing follows until all is replaced.
            let _folding = match replacing {
                true => Some(self.hold_pushes().await?),
                false => None,
            };
            if replacing {
                target.table.refresh().await?;
            }
            // What a replacement was judged by must stand until all of it is published.
            let _judging = match replacing && target.judges() {
                true => Some(self.judging().lock().await),
                false => None,
            };
            let mut staged = match replacing {
                true => Some(Staged::new(target.before_next_stamp().await?)),
                false => None,
            };
            let mut quarantine = Quarantine::new(self.project().quarantine_path().join(target.table_name()));
            let noted = self.noted_erasures().await?;
            let erased = noted.as_ref().map(|noted| noted.of_view(definitions, view, source));
            let created = self.snapshot(source, &inputs, &journal, &target).await?;
            let mut loaded = Ok(());
            for packs in inputs.packs.chunk_by(|one, other| one.range == other.range) {
                let range = packs[0].range;
                let loading = Loading {
                    target: &mut target,
                    what: &what,
                    admission: admit(range, created)?,
                    range,
                    generation: &generation,
                    note: Note::Rows { features, bulk: journal.uncovered(range, features), pushed: None },
                    staged: staged.as_mut(),
                    quarantine: &mut quarantine,
                    erased: erased.as_ref(),
                    load: &mut load,
                    progress,
                };
                loaded = loading.read(packs).await;
                if loaded.is_err() {
                    break;
                }
            }
            load.quarantine = quarantine.folder();
            progress.finish(&work, &format!("{} rows", load.rows_read));
            loaded?;
            match staged {
                None => {
                    for Interval { from, until } in wanted {
                        target.mark(&Note::Load { features, from, until }).await?;
                    }
                }
                Some(Staged { rows, units, rows_held, .. }) => {
                    let Interval { from, until } = range;
                    let bulk = journal.uncovered(range, features);
                    let note =
                        Note::Replace { features, from, until, bulk, units, rows: rows_held, inputs: digest };
                    let name = target.replacement_name(&note, &generation);
                    let position = target.table.version();
                    let replacement = Replacement { name, range, note, position, rows };
                    let published = target.publish_replacement(replacement, None).await?;
                    load.count_unit(&unit::Outcome::of(&published));
                    load.replaced = true;
                }
            }
        }
        if replacing {
            // Also where a run before it was killed behind the replacement itself.
            let journal = target.journal().await?;
            let unread = |hash: &String| !journal.unread(hash, target.semantic_hash(), range).is_empty();
            for pack in &inputs.packs {
                if pack.hashes().iter().any(unread) {
                    target.mark_files(range, pack).await?;
                }
            }
        }
        load.seconds = started.elapsed().as_secs_f64();
        Ok(load)
    }
}

impl Store {
    /// The created instant of the rows of a query that is not row-wise, where none of its columns says it: when its inputs
    /// were first taken as they are. Journaled before anything is made of them, so that the same inputs make the same
    /// rows, also behind a kill.
    async fn snapshot(
        &self,
        source: &Source,
        inputs: &Inputs,
        journal: &ViewJournal,
        target: &Target<'_>,
    ) -> Result<Option<Instant>, StoreError> {
        let queried = source.meaning().is_some_and(|meaning| !meaning.row_wise);
        let identity = inputs.packs.first().and_then(Pack::identity);
        let (true, None, Some(identity)) = (queried, &source.created, identity) else { return Ok(None) };
        if let Some(known) = journal.snapshots.get(identity) {
            return Ok(Some(*known));
        }
        let now = self.now();
        target.mark(&Note::Snapshot { inputs: identity.to_owned(), created: now.micros() }).await?;
        Ok(Some(now))
    }
}

/// The views to load, and the names of those that are left out because they read their source in place.
///
/// # Errors
/// As [`with_rows`]; [`StoreError::InPlace`] for a name that means nothing else.
fn to_load<'a>(catalog: &'a Catalog, names: &[String]) -> Result<(Vec<String>, Vec<&'a View>), StoreError> {
    for name in names {
        let of_name = with_rows(catalog, std::slice::from_ref(name), "load")?;
        if let Some(view) = of_name.first().filter(|_| of_name.iter().all(|view| view.in_place)) {
            return Err(StoreError::InPlace { view: view.id.clone(), wanted: InPlaceWant::Load });
        }
    }
    let (in_place, views): (Vec<&View>, Vec<&View>) =
        with_rows(catalog, names, "load")?.into_iter().partition(|view| view.in_place);
    Ok((in_place.iter().map(|view| view.id.to_string()).collect(), views))
}

/// The views with rows of their own that names mean: each version of a bare name, or all. Views on demand have none.
/// `doing` is what is wanted of their rows.
///
/// # Errors
/// [`StoreError::Unknown`] with the nearest name; [`StoreError::OnDemand`] for a name that means nothing else.
pub(crate) fn with_rows<'a>(
    catalog: &'a Catalog,
    names: &[String],
    doing: &'static str,
) -> Result<Vec<&'a View>, StoreError> {
    for name in names {
        let of_name = selected(catalog, std::slice::from_ref(name))?;
        if let Some(view) = of_name.first().filter(|_| of_name.iter().all(|view| view.is_on_demand())) {
            let inputs = view.on_demand.iter().flat_map(|on_demand| &on_demand.inputs);
            let inputs = inputs.map(|input| format!("`{input}`")).collect();
            return Err(StoreError::OnDemand { view: view.id.clone(), doing, inputs });
        }
    }
    Ok(selected(catalog, names)?.into_iter().filter(|view| !view.is_on_demand()).collect())
}

/// The views that names mean: each version of a bare name, or all.
///
/// # Errors
/// [`StoreError::Unknown`]; [`StoreError::Request`] for what is no name.
pub fn selected<'a>(catalog: &'a Catalog, names: &[String]) -> Result<Vec<&'a View>, StoreError> {
    let views = &catalog.definitions.views;
    if names.is_empty() {
        return Ok(views.values().collect());
    }
    let mut found: Vec<&View> = Vec::new();
    for name in names {
        let wanted = view_ref(name)?;
        // Refuses an unknown name with the nearest one.
        catalog::find_view(catalog, &wanted, |_| true)?;
        let matches = |view: &&View| {
            view.id.name == wanted.name && wanted.version.is_none_or(|version| version == view.id.version)
        };
        for view in views.values().filter(matches) {
            if !found.iter().any(|each| each.id == view.id) {
                found.push(view);
            }
        }
    }
    Ok(found)
}

pub(crate) fn view_ref(name: &str) -> Result<ViewRef, StoreError> {
    ViewRef::parse(name).ok_or_else(|| StoreError::Request {
        message: format!("`{name}` is not the name of a view"),
        hint: Some("write `view` or `view@2`".to_owned()),
    })
}

fn missing(kind: &str, name: &str) -> StoreError {
    StoreError::Corrupt(format!("the registry has no {kind} `{name}`, which a view names"))
}

fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}
