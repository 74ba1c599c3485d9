//! What views of events aggregate, at apply: each call is checked and typed, and what it reads of an event is recorded with
//! the view.
//!
//! The type of a column is the one declared with the source; else the one recorded when the view was applied before; else
//! the one that the files say now. What was recorded keeps its column in history for ever.

use std::collections::BTreeMap;

use asof_engine::transform::aggregation::{Part, Understood, Where, understood, withdrawal};
use asof_engine::transform::{KnownColumn, SourceColumns, TransformError};
use asof_model::aggregation::{AggregationMeaning, INPUT_PREFIX, Input};
use asof_model::definition::{Problem, ReadDefinitions, canonical_default};
use asof_model::plan::{Catalog, ObjectKind};
use asof_model::spec::{Definitions, JoinKey, Repeats, Source, View};
use asof_model::{Explain, ValueType, ViewId};

use crate::{Store, StoreError};

impl Store {
    /// Finds out what the aggregations of the files' views say, and records it in `read`.
    ///
    /// # Errors
    /// [`StoreError::Definitions`] with every problem, at its place; those of reading files.
    pub(crate) fn type_aggregations(
        &self,
        recorded: &Catalog,
        read: &mut ReadDefinitions,
    ) -> Result<(), StoreError> {
        let mut problems = Vec::new();
        let ids: Vec<ViewId> = read
            .definitions
            .views
            .values()
            .filter(|view| view.aggregates())
            .map(|view| view.id.clone())
            .collect();
        for id in ids {
            let Some(view) = read.definitions.views.get(&id) else { continue };
            let before = recorded.definitions.views.get(&id);
            let source = read.definitions.sources.get(&view.source);
            let Some(source) = source.or_else(|| recorded.definitions.sources.get(&view.source)) else {
                continue;
            };
            let columns = self.columns_of_events(source, before)?;
            let keys = keys_of(view, &read.definitions, &recorded.definitions);
            let (typed, wrong) = typed(view, before, source, &columns, &keys);
            for (path, error) in wrong {
                problems.push(in_words(&error, &id, &path, read));
            }
            read.definitions.views.insert(id, typed);
        }
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        Err(StoreError::Definitions(problems))
    }

    /// The columns that an event of a source has, with their types.
    fn columns_of_events(&self, source: &Source, before: Option<&View>) -> Result<SourceColumns, StoreError> {
        let known: BTreeMap<&String, &ValueType> =
            before.into_iter().flat_map(|view| &view.inputs).flat_map(|input| &input.from).collect();
        let type_of = |name: &str| {
            let declared = source.columns.get(name).copied();
            declared.or_else(|| known.iter().find(|(column, _)| **column == name).map(|(_, of)| **of))
        };
        let mut columns = self.columns_of_files(source, &type_of)?.unwrap_or_default();
        for name in source.columns.keys().chain(known.keys().copied()) {
            if let (None, Some(value_type)) = (columns.type_of(name), type_of(name)) {
                columns.columns.push(KnownColumn { name: name.clone(), value_type: Ok(value_type) });
            }
        }
        let Some(meaning) = source.meaning() else { return Ok(columns) };
        // With a query they are what it gives.
        let mut given = SourceColumns { columns: Vec::new(), complete: columns.complete };
        for (name, output) in &meaning.outputs {
            let value_type = match (output.value_type, output.from.as_slice()) {
                (Some(of), _) => Ok(of),
                (None, [column]) => columns.type_of(column).ok_or_else(|| "nobody says its type".to_owned()),
                (None, _) => Err("nobody says its type".to_owned()),
            };
            given.columns.push(KnownColumn { name: name.clone(), value_type });
        }
        for column in columns.columns {
            let passes = meaning.passes(&column.name) == Some(column.name.as_str());
            if passes && given.columns.iter().all(|known| known.name != column.name) {
                given.columns.push(column);
            }
        }
        Ok(given)
    }
}

fn keys_of(view: &View, new: &Definitions, old: &Definitions) -> Vec<JoinKey> {
    let entity = |name: &String| new.entities.get(name).or_else(|| old.entities.get(name));
    view.entities.iter().filter_map(entity).flat_map(|entity| entity.keys.clone()).collect()
}

/// A view with its aggregations understood, and what is wrong with them by the keys that say it.
fn typed(
    view: &View,
    before: Option<&View>,
    source: &Source,
    columns: &SourceColumns,
    keys: &[JoinKey],
) -> (View, Vec<(String, TransformError)>) {
    let mut typed = view.clone();
    let mut wrong = Vec::new();
    let mut inputs =
        Inputs { all: before.map(|before| before.inputs.clone()).unwrap_or_default(), keys, source };
    let told_apart = match &source.event_id {
        Some(id) => inputs.add_event_id(id, columns).and_then(|()| inputs.add_withdrawal(view, columns)),
        None => Ok(()),
    };
    if let Err(error) = told_apart {
        wrong.push(("source".to_owned(), error));
    }
    // Those that were there before first, so that what they read keeps its place.
    let place =
        |name: &str| before.and_then(|before| before.features.iter().position(|each| each.name == name));
    let mut order: Vec<usize> = (0..typed.features.len()).collect();
    order.sort_by_key(|index| place(&typed.features[*index].name).unwrap_or(usize::MAX));
    for index in order {
        let feature = &mut typed.features[index];
        let Some(aggregation) = &mut feature.aggregation else { continue };
        let path = |key: &str| format!("features.{}.{key}", feature.name);
        let said = match understood(aggregation, columns) {
            Ok(said) => said,
            Err((of, error)) => {
                let key = match of {
                    Where::Call => "aggregate",
                    Where::Filter => "where",
                    Where::By => "by",
                };
                wrong.push((path(key), error));
                continue;
            }
        };
        feature.value_type = said.value_type;
        let meaning = inputs.meaning(said);
        match meaning {
            Ok(meaning) => aggregation.meaning = Some(meaning),
            Err(error) => wrong.push((path("aggregate"), error)),
        }
        if let Some(written) = &feature.default {
            match canonical_default(written, feature.value_type) {
                Ok(text) => feature.default = Some(text),
                Err((reason, hint)) => {
                    let message = format!("it cannot have this default: {reason}");
                    let error = TransformError { message, place: None, hint, unknown_column: false };
                    wrong.push((path("default"), error));
                }
            }
        }
    }
    typed.inputs = inputs.all;
    (typed, wrong)
}

/// What a view reads of each event, as it is gathered.
struct Inputs<'a> {
    all: Vec<Input>,
    keys: &'a [JoinKey],
    source: &'a Source,
}

impl Inputs<'_> {
    fn meaning(&mut self, said: Understood) -> Result<AggregationMeaning, TransformError> {
        let mut add = |part: Option<Part>| part.map(|part| self.add(part)).transpose();
        Ok(AggregationMeaning {
            argument: add(said.argument)?,
            filter: add(said.filter)?,
            by: add(said.by)?,
            function: said.function,
            parameters: said.parameters,
            text: said.text,
        })
    }

    fn add_event_id(&mut self, column: &str, columns: &SourceColumns) -> Result<(), TransformError> {
        if self.all.iter().any(|input| input.identity) {
            return Ok(());
        }
        let value_type = columns.type_of(column).ok_or_else(|| TransformError {
            message: format!("the type of `event_id` column `{column}` is not known"),
            place: None,
            hint: Some(format!("declare it with the source: `columns: {{ {column}: int64 }}`")),
            unknown_column: true,
        })?;
        if !value_type.can_be_key() {
            return Err(TransformError {
                message: format!("`{column}` is {value_type}, which can't tell events apart"),
                place: None,
                hint: Some("name a column of integers, text, or uuids".to_owned()),
                unknown_column: false,
            });
        }
        let text = columns.named(column);
        let from = BTreeMap::from([(column.to_owned(), value_type)]);
        let place = self.add(Part { text, column: Some(column.to_owned()), value_type, from })?;
        self.all[place].identity = true;
        Ok(())
    }

    /// What says whether a version takes its event away, where versions do replace each other.
    fn add_withdrawal(&mut self, view: &View, columns: &SourceColumns) -> Result<(), TransformError> {
        let known = self.all.iter().any(|input| input.withdrawal);
        // Without a copy of its own a view has only what its source says.
        let says = self.source.deleted.is_some() || !view.in_place;
        if known || self.source.repeats != Repeats::Replace || !says {
            return Ok(());
        }
        if self.source.transform.is_some() {
            return Err(TransformError {
                message: format!(
                    "source `{}` has sql of its own, and versions of one event replace each other only without it",
                    self.source.name
                ),
                place: None,
                hint: Some(
                    "leave out `repeats: replace`, or move the sql to where the rows are written".to_owned(),
                ),
                unknown_column: false,
            });
        }
        let part = withdrawal(self.source.deleted.as_deref(), columns)?;
        self.all.push(Input {
            name: format!("{INPUT_PREFIX}{}", self.all.len()),
            text: part.text,
            bare: false,
            identity: false,
            withdrawal: true,
            value_type: part.value_type,
            from: part.from,
        });
        Ok(())
    }

    /// The place of a part among the inputs, known or new.
    fn add(&mut self, part: Part) -> Result<usize, TransformError> {
        let known = |input: &Input| input.text == part.text && input.value_type == part.value_type;
        if let Some(place) = self.all.iter().position(known) {
            return Ok(place);
        }
        // A column that is a join key too is there twice, once as what it is to the feature.
        let taken = |name: &String| {
            self.keys.iter().any(|key| key.name.eq_ignore_ascii_case(name))
                || self.all.iter().any(|input| input.name.eq_ignore_ascii_case(name))
                || name.starts_with("__")
                || ["event_timestamp", "created_timestamp"].contains(&name.to_ascii_lowercase().as_str())
        };
        let bare = part.column.clone().filter(|column| !taken(column));
        if bare.is_none() && self.source.transform.is_some() {
            return Err(TransformError {
                message: format!(
                    "source `{}` has sql of its own, and `{}` is no column of it",
                    self.source.name, part.text
                ),
                place: None,
                hint: Some(format!("compute it there: `select *, {} as amount from source`", part.text)),
                unknown_column: false,
            });
        }
        let place = self.all.len();
        self.all.push(Input {
            name: bare.clone().unwrap_or_else(|| format!("{INPUT_PREFIX}{place}")),
            text: part.text,
            bare: bare.is_some(),
            identity: false,
            withdrawal: false,
            value_type: part.value_type,
            from: part.from,
        });
        Ok(place)
    }
}

/// A problem of a feature at its place in the files.
fn in_words(error: &TransformError, view: &ViewId, path: &str, read: &ReadDefinitions) -> Problem {
    let place = read.places.key(ObjectKind::View, &view.to_string(), path);
    let (file, line, column) =
        place.map_or((String::new(), 0, 0), |place| (place.file.to_owned(), place.line, place.column));
    let feature = path.strip_prefix("features.").and_then(|path| path.split('.').next());
    let of = feature.map_or_else(String::new, |feature| format!(", feature `{feature}`"));
    Problem { file, line, column, message: format!("view `{view}`{of}: {error}"), hint: error.hint() }
}
