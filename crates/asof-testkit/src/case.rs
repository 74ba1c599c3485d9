//! Case files: the rule of the product, readable by a data scientist, run on every path.
//!
//! ```text
//! # Goal: the ttl is inclusive.
//! view trips  entity=driver  ttl=2h
//!   driver | event_timestamp | created_timestamp | trips
//!   7      | 10:00           | 10:01             | 3        # a comment
//!
//! expect  known_at=event  paths=training
//!   driver | t     | trips | status
//!   7      | 12:00 | 3     | PRESENT
//!   7      | 12:01 | null  | OUTSIDE_TTL
//! ```
//!
//! **Lines.** The first one is `# Goal:`. What follows a `#` that stands at the start or after a space is a comment.
//! A line that starts with a letter opens a section, indented lines are its table: a header, then rows.
//!
//! **`view NAME`** options: `entity=A,B` (its join keys; left out, one row for the whole world), `ttl=`, `keep=`, and
//! `zone=` for its event and created times without offset; and, as often as ranges were replaced,
//! `replace=FROM..UNTIL@VISIBLE`: at VISIBLE the rows that become visible then took the place of every earlier one with
//! its event in [FROM, UNTIL). Its columns: the join keys, `event_timestamp`, optionally
//! `created_timestamp` (default: the event) and `visible` (default: the created instant), and the features.
//! A column is `name`, `name:type` or `name:type default=value`; without a type it is an int64.
//!
//! **`computed NAME`** is a view on demand: options `inputs=A,B` (views above) and `request=FIELD:TYPE,...`; its table has the
//! columns `feature` (as a view's: `name:type default=value`) and `expr`. It stands behind all views.
//!
//! **`expect`** options: `known_at=event|created|served` (default `event`), `paths=A,B` (see [`CasePath`]; left out,
//! every one that answers under this `known_at`), `include_expired`. Its columns: the join keys of the views it reads,
//! the request fields that are read, `t`, features as `feature` or `view:feature`, and `status` for all of them or `FEATURE__status` for one.
//!
//! **Cells.** `null`; `ERROR`, or `raw:TEXT` for a text that is not a value of the type; `absent` for a feature newer
//! than the row (last ones only); else a value: text bare or as a JSON string, bytes as `0x00ff`, times as `10:00`
//! (on 2024-01-01), `2024-01-02T10:00` or RFC 3339, and in UTC but for a `zone`. A row with null or `raw:` text in a
//! key, event or created column is a bad row, which counts for nothing.

mod computed;
mod literal;
mod parse;
mod rewrite;
mod run;
mod table;

use std::path::PathBuf;

use asof_model::explain::{Explain, Kind};
use asof_model::key::encode_key;
use asof_model::knowledge::{KnownAt, Rule};
use asof_model::{Cell, Duration, EncodedKey, Instant, Value, ValueType, Zone};
use asof_oracle::{OracleFeature, OracleRow, OracleValue};

pub use computed::CaseComputed;
pub use parse::parse_case;
pub use rewrite::rewrite_expectations;
pub use run::{CaseReport, CaseRunner, OracleRunner, case_files, run_cases, update_cases};

/// One file.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its file name without the suffix, or what the parser was told.
    pub name: String,
    /// What the file proves: its first line.
    pub goal: String,
    /// At least one, or something computed.
    pub views: Vec<CaseView>,
    /// The views on demand.
    pub computed: Vec<CaseComputed>,
    /// At least one.
    pub expectations: Vec<Expectation>,
}

/// A view and its history.
#[derive(Debug, Clone)]
pub struct CaseView {
    /// The line that opens it, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its join keys, in order. None: one row for the whole world.
    pub keys: Vec<CaseKey>,
    /// Its ttl.
    pub ttl: Option<Duration>,
    /// Its keep.
    pub keep: Option<Duration>,
    /// The zone of its source and its IANA name, where one is written.
    pub zone: Option<(String, Zone)>,
    /// Whether its source names a created column.
    pub created_named: bool,
    /// The ranges of events that were replaced, in order of their instants.
    pub replacements: Vec<CaseReplacement>,
    /// Its features, in order of addition.
    pub features: Vec<CaseFeature>,
    /// Its rows in the order written, bad ones included.
    pub rows: Vec<CaseRow>,
}

/// A range of events that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseReplacement {
    /// The first event instant of the range.
    pub from: Instant,
    /// The first past it.
    pub until: Instant,
    /// When: the rows that become visible then are those of the replacement.
    pub visible: Instant,
}

/// One join key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseKey {
    /// Its column.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFeature {
    /// Its column.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// What replaces its value in every state but PRESENT.
    pub default: Option<CaseCell>,
}

/// A cell: what it is, and how a source that is text would carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseCell {
    /// What it is.
    pub cell: Cell,
    /// Its text in a source: as written here for numbers, RFC 3339 for instants, base64 for bytes, unquoted for
    /// strings, and something that is no value for an error. `None` for null.
    pub text: Option<String>,
}

/// One row of a view.
#[derive(Debug, Clone)]
pub struct CaseRow {
    /// Its line, from 1.
    pub line: usize,
    /// One for each join key.
    pub key: Vec<CaseCell>,
    /// When the fact became true. The text is local where the view has a zone and the text no offset.
    pub event: CaseCell,
    /// When its source says that it was known; the event where the view has no created column.
    pub created: CaseCell,
    /// When the store published it: rows with equal instants are one unit.
    pub visible: Instant,
    /// One for each feature that the row is not older than.
    pub cells: Vec<CaseCell>,
}

/// A path that answers cases. The oracle is always asked and is never named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CasePath {
    /// Materialised history joined to labels; answers under every `known_at`.
    Training,
    /// The online store after a batch, asked at `t`; answers under `served` alone.
    Serving,
    /// The online store after pushes or a stream; answers under `served` alone.
    Stream,
}

/// Questions and their right answers.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The line that opens it, from 1.
    pub line: usize,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// Whether expired values are asked for.
    pub include_expired: bool,
    /// The paths that must answer so.
    pub paths: Vec<CasePath>,
    /// The features asked for, in the order of their columns.
    pub features: Vec<FeaturePlace>,
    /// The join key columns of the labels: every join key of the views asked, once.
    pub keys: Vec<CaseKey>,
    /// The request field columns of the labels: those that are read, once.
    pub request: Vec<CaseKey>,
    /// The questions.
    pub labels: Vec<CaseLabel>,
    /// What each column of the table is, for whoever writes it anew.
    columns: Vec<Column>,
    /// The line of the table's header, from 1.
    header_line: usize,
}

/// Where a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeaturePlace {
    /// Its place in [`Case::views`], and behind them in [`Case::computed`].
    pub view: usize,
    /// Its place among the features of the view.
    pub feature: usize,
}

/// One question.
#[derive(Debug, Clone)]
pub struct CaseLabel {
    /// Its line, from 1.
    pub line: usize,
    /// One for each of [`Expectation::keys`]; `None` is null.
    pub keys: Vec<Option<Value>>,
    /// One for each of [`Expectation::request`]; `None` is null.
    pub request: Vec<Option<Value>>,
    /// The instant asked for.
    pub t: Instant,
    /// What is right: one for each of [`Expectation::features`].
    pub expected: Vec<OracleValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Key(usize),
    Request(usize),
    T,
    Value(usize),
    Status(usize),
    StatusOfAll,
}

impl Case {
    /// The name of the view at a place, and the feature.
    pub fn feature(&self, place: FeaturePlace) -> (&str, &CaseFeature) {
        match self.views.get(place.view) {
            Some(view) => (&view.name, &view.features[place.feature]),
            None => {
                let computed = &self.computed[place.view - self.views.len()];
                (&computed.name, &computed.features[place.feature])
            }
        }
    }
}

impl CaseView {
    /// The types of the features, in order of addition.
    pub fn types(&self) -> Vec<ValueType> {
        self.features.iter().map(|feature| feature.value_type).collect()
    }

    /// The view's rule under an expectation.
    pub fn rule(&self, expectation: &Expectation) -> Rule {
        Rule {
            known_at: expectation.known_at,
            ttl: self.ttl,
            keep: self.keep,
            include_expired: expectation.include_expired,
        }
    }

    /// The rows as the oracle reads them, without the bad ones.
    pub fn oracle_rows(&self) -> Vec<OracleRow> {
        self.rows
            .iter()
            .filter_map(|row| {
                let event = row.event.instant()?;
                let replacing = |each: &&CaseReplacement| {
                    row.visible < each.visible && each.from <= event && event < each.until
                };
                Some(OracleRow {
                    key: row.encoded_key()?,
                    event,
                    created: row.created.instant()?,
                    visible: row.visible,
                    replaced: self.replacements.iter().find(replacing).map(|each| each.visible),
                    cells: row.cells.iter().map(|each| each.cell.clone()).collect(),
                })
            })
            .collect()
    }

    /// A feature as the oracle reads it.
    pub fn oracle_feature(&self, index: usize) -> OracleFeature {
        let feature = &self.features[index];
        OracleFeature {
            index,
            value_type: feature.value_type,
            default: feature.default.as_ref().and_then(|each| each.cell.value()).cloned(),
        }
    }
}

impl CaseRow {
    /// Its key. `None` where a part of it is null or bad.
    pub fn encoded_key(&self) -> Option<EncodedKey> {
        let parts: Option<Vec<Value>> = self.key.iter().map(|part| part.cell.value().cloned()).collect();
        parts.map(|parts| encode_key(&parts))
    }

    /// Whether it is a bad row: to be quarantined and counted, and to count for nothing.
    pub fn bad(&self) -> bool {
        self.encoded_key().is_none() || self.event.instant().is_none() || self.created.instant().is_none()
    }
}

impl CaseCell {
    /// The instant, in a cell that holds one.
    pub fn instant(&self) -> Option<Instant> {
        match self.cell {
            Cell::Value(Value::Timestamp(instant)) => Some(instant),
            _ => None,
        }
    }
}

impl CasePath {
    /// Every path.
    pub const ALL: [CasePath; 3] = [Self::Training, Self::Serving, Self::Stream];

    /// The name used in case files, and by [`CaseRunner::name`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Serving => "serving",
            Self::Stream => "stream",
        }
    }

    /// Whether the path can answer under that `known_at`: who serves, serves what is known.
    pub fn answers(self, known_at: KnownAt) -> bool {
        self == Self::Training || known_at == KnownAt::Served
    }
}

impl Expectation {
    /// The key that a label asks of a view. `None` where a part of it is null.
    pub fn encoded_key(&self, view: &CaseView, label: &CaseLabel) -> Option<EncodedKey> {
        let parts: Option<Vec<Value>> = view
            .keys
            .iter()
            .map(|key| {
                let place = self.keys.iter().position(|each| each.name == key.name)?;
                label.keys[place].clone()
            })
            .collect();
        parts.map(|parts| encode_key(&parts))
    }
}

/// Why cases did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A case file does not have the form.
    #[error("line {line}: {problem}")]
    Form {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },

    /// The same, with the file.
    #[error("`{}`: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<CaseError>,
    },

    /// A file or folder cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A folder held nothing for the runner, so nothing was tested.
    #[error("no expectation below `{}` names the path `{runner}`", folder.display())]
    NothingRan {
        /// The folder.
        folder: PathBuf,
        /// The runner's name.
        runner: String,
    },

    /// Answers differ from what is expected. Each entry is one difference, with file and line.
    #[error("`{runner}` differs in {} places:\n{}", differences.len(), differences.join("\n"))]
    Differs {
        /// The runner's name.
        runner: String,
        /// At least one.
        differences: Vec<String>,
    },
}

impl Explain for CaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::Form { .. } | Self::InFile { .. } | Self::Differs { .. } => Kind::Invalid,
            Self::File { .. } | Self::NothingRan { .. } => Kind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Differs { .. } => Some(
                "if the expectation is wrong, rewrite it with `UPDATE_CASES=1 cargo nextest run -p asof-testkit` \
                 and review the difference like code"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
