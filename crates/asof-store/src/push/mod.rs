//! `push`: rows that come one by one, acknowledged once they are durable in the admission log, and folded from there into
//! history and the online store of every view over their source (SEMANTICS 8).
//!
//! `fold` takes what is durable, in order, and makes it readable in units of log positions; `flush` brings many units at a
//! time into history. A unit is named by its positions, and a view goes on behind the last unit that its journal names, so a
//! crash anywhere loses nothing and doubles nothing. `views` is what both need to know, `file` reads what is to be pushed,
//! `to_view` writes to one view alone.

mod file;
mod flush;
mod fold;
mod fresh;
mod to_view;
mod views;

use std::collections::HashMap;
use std::path::Path;

use asof_engine::source::pushed::batch_of;
use asof_engine::source::{Admission, Admitted, WantedColumn};
use asof_log::{BATCH_ENTRIES_MAX, Batch};
use asof_model::plan::Catalog;
use asof_model::spec::{Source, View};
use asof_model::{Instant, ViewId, name};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::train::blocking;
use crate::{Store, StoreError};

pub use asof_engine::source::pushed::object_of_columns;
pub use file::{PushBatch, PushFile};
pub use flush::Flush;
pub use fold::Folded;
use fresh::{FreshBatch, OfView};
pub use to_view::{ViewColumn, ViewColumns};
use views::PushedView;
pub(crate) use views::Pushes;

/// Rejected rows that a report shows, each with its reason.
pub const REJECTED_SHOWN_MAX: usize = 100;

/// Rows for one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The source.
    pub source: String,
    /// JSON objects, a text each, with the columns of the source by their names in its files.
    pub rows: Vec<String>,
    /// What tells this push from all others: pushed again, it changes nothing.
    pub key: Option<String>,
}

/// What came of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushReport {
    /// The source.
    pub source: String,
    /// Rows that are durable.
    pub accepted: u64,
    /// Rows that no view over the source can take.
    pub rejected: u64,
    /// The first of them, at most [`REJECTED_SHOWN_MAX`].
    pub reasons: Vec<Rejected>,
    /// The log positions of the accepted rows, first and last. `None`: there is none.
    pub positions: Option<(u64, u64)>,
    /// Whether the same push came before: nothing was done.
    pub repeat: bool,
    /// Whether the same rows, pushed again, would count once: they have an identity, or the push has a key.
    pub exactly_once: bool,
    /// The views that take them.
    pub views: Vec<String>,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its place in the push, from 1.
    pub row: u64,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Admits rows and folds them: when it returns they are served. History follows ([`Store::flush_pushed`]).
    ///
    /// # Errors
    /// As [`Store::admit`] and [`Store::fold_pushed`].
    pub async fn push(&self, request: &PushRequest) -> Result<PushReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let report = self.admit(&catalog, request).await?;
        self.fold_pushed().await?;
        Ok(report)
    }

    /// Admits rows: when it returns they are durable in the log. Whoever folds brings them to views.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]; [`StoreError::Request`] for a source that takes no pushes; those of the log, of which
    /// [`asof_log::LogError::Full`] says to come again later.
    pub async fn admit(&self, catalog: &Catalog, request: &PushRequest) -> Result<PushReport, StoreError> {
        let PushRequest { source, rows, key } = request;
        self.admit_rows(catalog, ToAdmit { source, view: None, rows, key: key.as_deref() }).await
    }

    async fn admit_rows(&self, catalog: &Catalog, admit: ToAdmit<'_>) -> Result<PushReport, StoreError> {
        let ToAdmit { view: of_view, rows, key, .. } = admit;
        let source = pushed_source(catalog, admit.source)?;
        let of = self.pushed_views_at(catalog).await?;
        let topic = of_view.map_or_else(|| source.name.clone(), topic_of);
        let views: Vec<&PushedView> = of.views.iter().filter(|view| view.takes(&topic)).collect();
        if views.is_empty() {
            return Err(StoreError::Request {
                message: format!("no view keeps rows of source `{}`", source.name),
                hint: Some("define a view over it, and run `asof apply`".to_owned()),
            });
        }
        if rows.len() > BATCH_ENTRIES_MAX {
            return Err(StoreError::Request {
                message: format!(
                    "a push has at most {BATCH_ENTRIES_MAX} rows, and this one has {}",
                    rows.len()
                ),
                hint: Some("cut it into several".to_owned()),
            });
        }
        let admitted = self.now();
        let ReadRows { rejected: mut reasons, views: of_views, identified } =
            read_rows(source, &views, rows, admitted)?;
        let entries = match of_view {
            // All or none.
            Some(_) if !reasons.is_empty() => Vec::new(),
            _ => taken(rows, &reasons),
        };
        let count = reasons.len() as u64;
        reasons.truncate(REJECTED_SHOWN_MAX);
        let mut report = PushReport {
            source: source.name.clone(),
            accepted: entries.len() as u64,
            rejected: count,
            reasons,
            positions: None,
            repeat: false,
            exactly_once: key.is_some() || identified,
            views: views.iter().map(|view| view.rows.name.clone()).collect(),
        };
        if entries.is_empty() {
            return Ok(report);
        }
        let log = self.log().await?;
        let batch = Batch { topic: &topic, key: key.map(str::as_bytes), admitted, entries: &entries };
        let appended = blocking(|| log.append(batch))?;
        if count == 0 && !appended.repeat {
            let (revision, last) = (of.catalog.revision, appended.last);
            let batch = FreshBatch { revision, last, admitted, views: of_views };
            self.pushes().fresh.add(appended.first, batch);
        }
        report.positions = Some((appended.first, appended.last));
        report.repeat = appended.repeat;
        Ok(report)
    }

    /// The columns that the views over a source read of it, for whoever brings rows of files.
    ///
    /// # Errors
    /// As [`Store::admit`].
    pub fn pushed_columns(&self, catalog: &Catalog, source: &str) -> Result<Vec<WantedColumn>, StoreError> {
        let source = pushed_source(catalog, source)?;
        let mut columns: Vec<WantedColumn> = Vec::new();
        for view in views_over(catalog, source) {
            for column in admission(catalog, source, view)?.columns() {
                if !columns.iter().any(|known| known.name == column.name) {
                    columns.push(column.clone());
                }
            }
        }
        Ok(columns)
    }
}

/// Rows that ask to be taken.
struct ToAdmit<'a> {
    source: &'a str,
    /// The view that they are for; `None`: all over the source.
    view: Option<&'a ViewId>,
    rows: &'a [String],
    key: Option<&'a str>,
}

/// What the log calls rows for one view. Rows for all views over a source have the source's name, in which there is no `@`.
pub(crate) fn topic_of(view: &ViewId) -> String {
    view.to_string()
}

/// A source that takes pushes.
fn pushed_source<'a>(catalog: &'a Catalog, wanted: &str) -> Result<&'a Source, StoreError> {
    let sources = &catalog.definitions.sources;
    let source = sources.get(wanted).ok_or_else(|| StoreError::Unknown {
        kind: "source",
        name: wanted.to_owned(),
        hint: name::suggestion(wanted, sources.keys().map(String::as_str)),
    })?;
    match takes_pushes(source) {
        true => Ok(source),
        false => Err(StoreError::Request {
            message: format!("source `{wanted}` takes no pushes: its sql runs over all rows"),
            hint: Some("push to the source that it reads, or to one without sql".to_owned()),
        }),
    }
}

/// Whether rows of a source can come one by one.
pub(crate) fn takes_pushes(source: &Source) -> bool {
    source.meaning().is_none_or(|meaning| meaning.row_wise)
}

/// The views that keep the rows of a source.
fn views_over<'a>(catalog: &'a Catalog, source: &Source) -> Vec<&'a View> {
    let views = catalog.definitions.views.values();
    views.filter(|view| view.source == source.name && !view.in_place).collect()
}

/// How pushed rows become rows of a view.
pub(crate) fn admission(catalog: &Catalog, source: &Source, view: &View) -> Result<Admission, StoreError> {
    let keys = catalog.definitions.join_keys(view);
    Ok(Admission::new(&view.reads(source), &keys, &view.stored(), Instant::MIN, None)?)
}

/// The rows but for those that are rejected, as entries of the log.
fn taken(rows: &[String], rejected: &[Rejected]) -> Vec<Bytes> {
    let mut next = rejected.iter().map(|each| each.row).peekable();
    let taken = rows.iter().zip(1..).filter(|(_, row)| next.next_if_eq(row).is_none());
    taken.map(|(text, _)| Bytes::copy_from_slice(text.as_bytes())).collect()
}

/// What views make of rows.
struct ReadRows {
    /// The rows that no view can take, in order.
    rejected: Vec<Rejected>,
    /// By history table.
    views: HashMap<String, OfView>,
    /// Whether every row has an identity, in every view.
    identified: bool,
}

fn read_rows(
    source: &Source,
    views: &[&PushedView],
    rows: &[String],
    admitted: Instant,
) -> Result<ReadRows, StoreError> {
    let mut rejected: Option<Vec<Rejected>> = None;
    let mut of_views = HashMap::with_capacity(views.len());
    let mut identified = source.event_id.is_some();
    for view in views {
        let raw = batch_of(Path::new(&origin_of(source)), rows, view.admission.columns());
        let Admitted { rows, bad, .. } = view.admission.admit_pushed(&raw, admitted)?;
        let mut of_view: Vec<Rejected> =
            bad.iter().map(|bad| Rejected { row: bad.row, reason: bad.reason.clone() }).collect();
        of_view.sort_by_key(|rejected| rejected.row);
        if let Some(input) = view.view.inputs.iter().find(|input| input.identity) {
            identified &= rows.column_by_name(&input.name).is_some_and(|column| column.null_count() == 0);
        }
        of_views.insert(view.rows.table_name.clone(), OfView { rows, bad });
        rejected = Some(match rejected {
            None => of_view,
            Some(before) => {
                let also = |row: u64| of_view.binary_search_by_key(&row, |each| each.row).is_ok();
                before.into_iter().filter(|each| also(each.row)).collect()
            }
        });
    }
    Ok(ReadRows { rejected: rejected.unwrap_or_default(), views: of_views, identified })
}

/// What messages and set-aside rows call pushed rows.
fn origin_of(source: &Source) -> String {
    format!("pushes to `{}`", source.name)
}
