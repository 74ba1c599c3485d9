//! The SQL of sources at apply: each query is checked, typed and recorded with its source.
//!
//! The type of a column that a query reads is the one declared with its source; else the one recorded when the query was
//! applied before; else the one that the files say now. A query that reads as it did keeps what was recorded, and no
//! file is looked at.

use asof_engine::source;
use asof_engine::transform::{self, KnownColumn, SourceColumns, TransformError, types};
use asof_engine::{EngineError, transform::OWN};
use asof_model::definition::{Places, Problem, ReadDefinitions};
use asof_model::name;
use asof_model::plan::{Catalog, ObjectKind};
use asof_model::spec::{Definitions, Source, View};
use asof_model::transform::Meaning;
use asof_model::{Explain, ValueType};

use crate::{Store, StoreError};

impl Store {
    /// Finds out what the queries of the files' sources say, and records it in `read`.
    ///
    /// # Errors
    /// [`StoreError::Definitions`] with every problem of a query, at its place; those of reading files.
    pub(crate) fn type_transforms(
        &self,
        recorded: &Catalog,
        read: &mut ReadDefinitions,
    ) -> Result<(), StoreError> {
        let mut problems = Vec::new();
        let names: Vec<String> = read.definitions.sources.keys().cloned().collect();
        for name in names {
            let Some(source) = read.definitions.sources.get(&name).filter(|each| each.transform.is_some())
            else {
                continue;
            };
            match self.meaning(source, &recorded.definitions, &read.definitions, Rows::AsTheyAre) {
                Ok(meaning) => {
                    let transform =
                        read.definitions.sources.get_mut(&name).and_then(|each| each.transform.as_mut());
                    if let Some(transform) = transform {
                        transform.meaning = Some(meaning);
                    }
                }
                Err(Failure::Query(error)) => problems.push(in_words(&error, &name, &read.places)),
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        check_names(&read.definitions, &read.places, &mut problems);
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        Err(StoreError::Definitions(problems))
    }

    /// What a query says that nobody has applied, over the sources of `known`.
    ///
    /// # Errors
    /// [`StoreError::Request`] with what is wrong and where; those of reading files.
    pub(crate) fn meaning_now(&self, source: &Source, known: &Definitions) -> Result<Meaning, StoreError> {
        self.meaning(source, known, known, Rows::OverAll).map_err(|failure| match failure {
            Failure::Query(error) => {
                let place = error.place.map(|(line, column)| format!(" (line {line}, column {column})"));
                let message = format!("`{}`{}: {}", source.name, place.unwrap_or_default(), error.message);
                StoreError::Request { message, hint: error.hint }
            }
            Failure::Other(error) => error,
        })
    }

    fn meaning(
        &self,
        source: &Source,
        old: &Definitions,
        new: &Definitions,
        rows: Rows,
    ) -> Result<Meaning, Failure> {
        let Some(transform) = &source.transform else {
            return Err(Failure::Other(StoreError::Corrupt(format!("source `{}` has no sql", source.name))));
        };
        let text = transform::canonical_text(&transform.sql)?;
        let before = old.sources.get(&source.name).and_then(Source::meaning);
        let lookback = old.sources.get(&source.name).and_then(|old| old.transform.as_ref()?.lookback);
        if let Some(meaning) = before
            && meaning.text == text
            && lookback == transform.lookback
            && still_typed(meaning, old, new)
        {
            return Ok(meaning.clone());
        }
        let columns = |wanted: &str| -> Result<SourceColumns, Failure> {
            let found = if wanted == source.name { Some(source) } else { find(wanted, old, new) };
            let Some(found) = found else {
                let known = new.sources.keys().map(String::as_str).chain([OWN]);
                let message = format!("there is no source `{wanted}`");
                let hint = name::suggestion(wanted, known);
                return Err(Failure::Query(TransformError {
                    message,
                    place: None,
                    hint,
                    unknown_column: false,
                }));
            };
            let refused = |message: String, hint: &str| {
                let hint = Some(hint.to_owned());
                Err(Failure::Query(TransformError { message, place: None, hint, unknown_column: false }))
            };
            if found.name == source.name && found.path.is_empty() {
                let hint = match rows {
                    Rows::AsTheyAre => "give it a `path`, or read other sources alone",
                    Rows::OverAll => "name them with `--labels`, or read sources of the project alone",
                };
                return refused(format!("source `{wanted}` has no files of its own"), hint);
            }
            if found.name != source.name && found.transform.is_some() {
                let message = format!("source `{wanted}` has sql of its own, and a query reads files alone");
                return refused(message, "define a source of the same path without sql, and read that");
            }
            let known = before.and_then(|before| before.inputs.get(wanted));
            let type_of = |name: &str| {
                found.columns.get(name).copied().or_else(|| known.and_then(|known| known.get(name).copied()))
            };
            if let Some(columns) = self.columns_of_files(found, &type_of)? {
                return Ok(columns);
            }
            let mut columns = SourceColumns::default();
            for name in found.columns.keys().chain(known.into_iter().flat_map(|known| known.keys())) {
                if columns.type_of(name).is_none()
                    && let Some(value_type) = type_of(name)
                {
                    columns.columns.push(KnownColumn { name: name.clone(), value_type: Ok(value_type) });
                }
            }
            Ok(columns)
        };
        match rows {
            Rows::AsTheyAre => transform::meaning(source, &transform.sql, columns),
            Rows::OverAll => transform::meaning_over_all_rows(source, &transform.sql, columns),
        }
    }

    /// The columns of a source's files. `None`: it has no files, or none yet.
    pub(crate) fn columns_of_files(
        &self,
        source: &Source,
        type_of: &dyn Fn(&str) -> Option<ValueType>,
    ) -> Result<Option<SourceColumns>, StoreError> {
        if source.path.is_empty() {
            return Ok(None);
        }
        let what = format!("source `{}`", source.name);
        let at = self.project().location(source)?;
        match source::list(&what, &at, source.format, self.objects()) {
            Ok(files) => {
                let mut columns = types::of_files(source, &files, type_of)?;
                for (name, value_type) in &source.columns {
                    if columns.type_of(name).is_none() {
                        // Declared, and in files to come.
                        columns.columns.push(KnownColumn { name: name.clone(), value_type: Ok(*value_type) });
                    }
                }
                Ok(Some(columns))
            }
            Err(EngineError::NoSuchPath { .. } | EngineError::NoFiles { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// How a query is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Row by row where it is row-wise.
    AsTheyAre,
    /// Over all rows, whatever it says.
    OverAll,
}

/// Why a query has no meaning.
enum Failure {
    /// It is wrong.
    Query(TransformError),
    /// What it reads can't be looked at.
    Other(StoreError),
}

impl From<TransformError> for Failure {
    fn from(error: TransformError) -> Self {
        Self::Query(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

/// A source by name: as the files define it, or as it is kept.
fn find<'a>(name: &str, old: &'a Definitions, new: &'a Definitions) -> Option<&'a Source> {
    new.sources.get(name).or_else(|| old.sources.get(name))
}

/// Whether the columns that a recorded query reads have the types that are declared now, in sources that are there.
fn still_typed(meaning: &Meaning, old: &Definitions, new: &Definitions) -> bool {
    meaning.inputs.iter().all(|(name, columns)| {
        find(name, old, new).is_some_and(|source| {
            columns.iter().all(|(column, recorded)| {
                source.columns.get(column).is_none_or(|declared| declared == recorded)
            })
        })
    })
}

/// A problem of a query at its place in the files.
fn in_words(error: &TransformError, source: &str, places: &Places) -> Problem {
    let (line, column) = error.place.unwrap_or((0, 0));
    let place = match error.place {
        Some(_) => places.within(ObjectKind::Source, source, "sql", line, column),
        None => None,
    };
    let place = place.or_else(|| places.key(ObjectKind::Source, source, "sql"));
    let (file, line, column) =
        place.map_or((String::new(), 0, 0), |place| (place.file.to_owned(), place.line, place.column));
    Problem { file, line, column, message: format!("source `{source}`: {error}"), hint: error.hint() }
}

/// Checks that queries give the columns that sources and views name.
fn check_names(definitions: &Definitions, places: &Places, problems: &mut Vec<Problem>) {
    let mut check = |kind: ObjectKind, object: &str, path: &str, source: &Source, name: &str| {
        let Some(meaning) = source.meaning().filter(|meaning| !meaning.gives(name)) else { return };
        let message = format!("the sql of source `{}` gives no column `{name}`", source.name);
        let hint = name::suggestion(name, meaning.outputs.keys().map(String::as_str));
        let place = places.key(kind, object, path);
        let (file, line, column) =
            place.map_or((String::new(), 0, 0), |place| (place.file.to_owned(), place.line, place.column));
        problems.push(Problem { file, line, column, message, hint });
    };
    for source in definitions.sources.values() {
        check(ObjectKind::Source, &source.name, "event", source, &source.event);
        if let Some(created) = &source.created {
            check(ObjectKind::Source, &source.name, "created", source, created);
        }
    }
    for view in definitions.views.values() {
        let Some(source) = definitions.sources.get(&view.source) else { continue };
        let View { id, features, .. } = view;
        for key in definitions.join_keys(view) {
            check(ObjectKind::View, &id.to_string(), "entities", source, &key.name);
        }
        // What a view of events reads was typed over these columns.
        for feature in features.iter().filter(|feature| feature.aggregation.is_none()) {
            let path = format!("features.{}", feature.name);
            check(ObjectKind::View, &id.to_string(), &path, source, &feature.name);
        }
    }
}
