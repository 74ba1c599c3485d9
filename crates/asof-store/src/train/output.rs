//! Where the rows of a training set go.

use std::path::Path;
use std::sync::Arc;

use asof_engine::EngineError;
use asof_engine::source::{self, files};
use asof_model::plan::Catalog;
use asof_model::spec::FileFormat;
use asof_model::{Instant, Location, ValueType, name};
use asof_training::labels::ValueColumn;
use asof_training::output::computed::{Computed, FeaturePlace};
use asof_training::output::{FolderOptions, Layout, Of, OutputColumn, OutputSpec, Split, What};

use super::TrainRequest;
use crate::on_demand::ComputeColumns;
use crate::request::{Origin, RequestPlan};
use crate::{Store, StoreError};

/// Which rows stand in which file of a folder. By default all stand in one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FolderRequest {
    /// Rows of a file, about.
    pub file_rows: Option<u64>,
    /// Columns whose values name folders.
    pub partition_by: Vec<String>,
    /// What is set apart for validation.
    pub split: Option<SplitRequest>,
}

/// Which rows validate.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitRequest {
    /// Labels from an instant on.
    Since(Instant),
    /// A share of all keys, from 0 to 1, with all of their labels.
    Keys {
        /// The share.
        share: f64,
        /// The join keys that make the key. Empty: all of the request.
        keys: Vec<String>,
    },
}

/// What is asked of an output.
///
/// # Errors
/// [`StoreError::Request`] for a location that is none, or for what only a folder can have;
/// [`EngineError::UnknownFormat`].
pub(super) fn spec(request: &TrainRequest, plan: &RequestPlan) -> Result<OutputSpec, StoreError> {
    let at = location("the output", &request.output)?;
    let layout = layout(request, plan, &at)?;
    let statistics = request.options.statistics;
    let columns = columns(plan, request.statuses);
    Ok(OutputSpec { at, layout, columns, computed: computed(request, plan), statistics })
}

/// What is computed, range by range. `None`: nothing is.
fn computed(request: &TrainRequest, plan: &RequestPlan) -> Option<Computed> {
    let on_demand = &plan.on_demand;
    if on_demand.is_empty() {
        return None;
    }
    let column = |(name, value_type)| ValueColumn { name, value_type, required: false };
    let inputs = on_demand.inputs.iter();
    Some(Computed {
        time: request.timestamp.clone(),
        request: on_demand.request_columns().into_iter().map(column).collect(),
        features: inputs.map(|input| FeaturePlace { view: input.join, feature: input.feature }).collect(),
        by: Arc::new(ComputeColumns(on_demand.clone())),
    })
}

/// A path of the current folder, or a URL.
pub(crate) fn location(what: &str, path: &Path) -> Result<Location, StoreError> {
    let Some(text) = path.to_str() else { return Ok(Location::Local(path.to_owned())) };
    Location::parse(text, Path::new("")).map_err(|error| StoreError::Request {
        message: format!("{what}: {error}"),
        hint: Some(error.hint()),
    })
}

fn layout(request: &TrainRequest, plan: &RequestPlan, at: &Location) -> Result<Layout, StoreError> {
    let folder = &request.options.folder;
    let text = request.output.to_string_lossy();
    let name = match at {
        Location::Local(path) => path.as_path(),
        Location::Object(url) => Path::new(&url.key),
    };
    if text.ends_with('/') || name.extension().is_none() {
        return Ok(Layout::Folder(FolderOptions {
            parquet: request.options.parquet,
            file_rows: folder.file_rows,
            partition_by: folder.partition_by.clone(),
            split: folder.split.as_ref().map(|split| split_of(split, request, plan)).transpose()?,
        }));
    }
    if *folder != FolderRequest::default() {
        let message = format!("`{text}` is one file, and what is asked for takes a folder of several");
        let hint = Some("name a folder: `-o training/`".to_owned());
        return Err(StoreError::Request { message, hint });
    }
    match files::format_of(name) {
        Some(FileFormat::Parquet) => Ok(Layout::Parquet(request.options.parquet)),
        Some(FileFormat::Csv) => Ok(Layout::Csv),
        _ => {
            let (what, path) = ("output".to_owned(), request.output.clone());
            Err(EngineError::UnknownFormat { what, path }.into())
        }
    }
}

fn split_of(split: &SplitRequest, request: &TrainRequest, plan: &RequestPlan) -> Result<Split, StoreError> {
    let reading = request.reading.clone();
    match split {
        SplitRequest::Since(from) => {
            Ok(Split::Time { column: request.timestamp.clone(), reading, from: from.micros() })
        }
        SplitRequest::Keys { share, keys } => {
            let mut all: Vec<(&str, &str, ValueType)> = Vec::new();
            for (key, column) in plan.joins.iter().flat_map(|join| &join.keys) {
                if !all.iter().any(|(_, known, _)| known == column) {
                    all.push((&key.name, column, key.value_type));
                }
            }
            // The same for the same keys, whatever order views stand in.
            all.sort_by_key(|(_, column, _)| *column);
            let mut columns = Vec::new();
            for (name, column, of) in &all {
                if keys.is_empty() || keys.iter().any(|key| key == name || key == column) {
                    columns.push(((*column).to_owned(), *of));
                }
            }
            let known = || all.iter().flat_map(|(name, column, _)| [*name, *column]);
            match keys.iter().find(|key| known().all(|known| known != key.as_str())) {
                Some(key) => Err(StoreError::Request {
                    message: format!("`{key}` is no join key of what is asked for"),
                    hint: name::suggestion(key, known()),
                }),
                None => Ok(Split::Keys { columns, reading, share: *share }),
            }
        }
    }
}

impl Store {
    /// Refuses an output that would replace the labels or a source, or be read as one later.
    pub(super) fn refuse_input_as_output(
        &self,
        catalog: &Catalog,
        request: &TrainRequest,
        spec: &OutputSpec,
    ) -> Result<(), StoreError> {
        let output = match &spec.at {
            Location::Local(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new(".")).canonicalize();
                // A folder that is not there holds no input; writing will say so.
                let (Ok(folder), Some(name)) = (folder, path.file_name()) else { return Ok(()) };
                Location::Local(folder.join(name).canonicalize().unwrap_or(folder.join(name)))
            }
            object => object.clone(),
        };
        let mut inputs = Vec::new();
        if let Some(files) = &request.labels.files {
            inputs.push(("the label table".to_owned(), location("labels", files)?));
        }
        for source in catalog.definitions.sources.values().filter(|source| !source.path.is_empty()) {
            inputs.push((format!("source `{}`", source.name), self.project().location(source)?));
        }
        for (what, at) in inputs {
            let shown = request.output.display();
            let hint = Some("write the training set somewhere else".to_owned());
            if source::holds(&at, &output) {
                let message = format!("the output `{shown}` would stand among the files of {what}");
                return Err(StoreError::Request { message, hint });
            }
            // Of a pattern the part that is none.
            let at = match at.pattern().map_or(at, |(fixed, _)| fixed) {
                Location::Local(path) => Location::Local(path.canonicalize().unwrap_or(path)),
                object => object,
            };
            if matches!(spec.layout, Layout::Folder(_)) && source::holds(&output, &at) {
                let message = format!("the output `{shown}` is a folder with {what} in it");
                return Err(StoreError::Request { message, hint });
            }
        }
        Ok(())
    }
}

/// The columns beside the labels'.
fn columns(plan: &RequestPlan, statuses: bool) -> Vec<OutputColumn> {
    let mut columns = Vec::new();
    for column in &plan.columns {
        let origin = plan.origin(column);
        let of = |name: String, origin: String, what: What| OutputColumn {
            name,
            origin,
            of: match column.origin {
                Origin::Stored { join, feature } => Of::Feature(FeaturePlace { view: join, feature }),
                Origin::Computed { step } => Of::Computed(step),
            },
            value_type: plan.feature(column).value_type,
            what,
        };
        columns.push(of(column.name.clone(), origin.clone(), What::Values));
        if statuses {
            let name = format!("{}__status", column.name);
            columns.push(of(name, format!("the status of {origin}"), What::Statuses));
        }
    }
    columns
}
