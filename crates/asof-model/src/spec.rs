//! Definitions after they were read and checked: what a project, an entity, a source, a view and a service are.
//!
//! These are the inner types. What the registry stores is their serde form inside a record that carries a format
//! number, so a later change of these types reads older records through a conversion.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregation::{Aggregation, Input};
use crate::name::ViewId;
use crate::on_demand::{Computation, InputView, OnDemand};
use crate::time::{Duration, Instant, TimeUnit, Zone};
use crate::transform::{Meaning, Output, Transform};
use crate::types::ValueType;
use crate::window::Edge;

/// One join key of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinKey {
    /// The column that carries it.
    pub name: String,
    /// Its type: one that [`ValueType::can_be_key`].
    #[serde(rename = "type")]
    pub value_type: ValueType,
}

/// Words for people, and nothing that changes a value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A thing that features describe, known by its join keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// At least one, in the order written.
    pub keys: Vec<JoinKey>,
    /// Words for people.
    #[serde(flatten)]
    pub about: About,
}

/// How the bytes of a file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header line, RFC 4180.
    Csv,
    /// JSON, one object on each line.
    Json,
    /// A Delta table: a folder of Parquet files with a log.
    Delta,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Parquet, Self::Csv, Self::Json, Self::Delta];

    /// The name used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Delta => "delta",
        }
    }

    /// The format of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }
}

/// A table of rows outside the store: where it is and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// A file, a folder, a pattern of them, or a URL, as written ([`crate::Location`]); paths are relative to the
    /// project, or absolute. Empty for a source without files of its own: its query reads other sources.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The format, where it is not told by the suffix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// The column of the event instant, by its name here.
    pub event: String,
    /// The column of the created instant, by its name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The IANA zone of times without offset. `None` is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The unit of integer times. `None`: integers are not instants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// Source column to name here, for columns whose name differs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The column that tells an event from all others, by its name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// What a second event with the identity of a first one does.
    #[serde(default, skip_serializing_if = "Repeats::is_keep_first")]
    pub repeats: Repeats,
    /// The column that says whether a version deletes its event, by its name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// Types of columns, by their name here, as queries read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ValueType>,
    /// Whether its rows are pushed, and its columns are all that they may have. Sources with files take pushes too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pushed: bool,
    /// The query that makes rows of the files' rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Words for people.
    #[serde(flatten)]
    pub about: About,
}

/// What a second event with the identity of a first one does (SEMANTICS 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Nothing: the first one stands.
    #[default]
    KeepFirst,
    /// The newest by created and bytes stands for all.
    Replace,
}

impl Repeats {
    fn is_keep_first(&self) -> bool {
        *self == Self::KeepFirst
    }

    /// The name used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepFirst => "keep_first",
            Self::Replace => "replace",
        }
    }
}

impl Source {
    /// What an apply made of the source's query, if it has one.
    pub fn meaning(&self) -> Option<&Meaning> {
        self.transform.as_ref()?.meaning.as_ref()
    }

    /// The zone of times without offset.
    pub fn zone(&self) -> Zone {
        self.zone.as_deref().and_then(Zone::named).unwrap_or_default()
    }

    /// The column of the source's files that carries `name`.
    pub fn column_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.fields.iter().find(|(_, here)| here.as_str() == name).map_or(name, |(column, _)| column.as_str())
    }
}

/// One feature of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name, which is also its column in the source.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// What replaces the value in every state but PRESENT: canonical text of the feature's type
    /// ([`crate::entry::from_text`] reads it back).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it aggregates, in a view of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// What it computes, in a view on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computation: Option<Computation>,
    /// Words for people.
    #[serde(flatten)]
    pub about: About,
}

/// A view: one version of it. It carries values, aggregates events, or is computed on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Name and version.
    pub id: ViewId,
    /// The names of its entities, in the order written. None: one row for the whole world.
    pub entities: Vec<String>,
    /// The name of its source. Empty for a view on demand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether its source is read anew for each training set, and no copy is kept (SEMANTICS 9).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
    /// Past it (`t - event > ttl`) a value is OUTSIDE_TTL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Past it (`t - event > keep`) a row is MISSING. `None` is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Duration>,
    /// How long history keeps rows that no newer row has replaced at the time. `None` is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_keep: Option<Duration>,
    /// Keys whose newest row is older when it is loaded are not put into the online store; history answers for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_within: Option<Duration>,
    /// How far back an event counts at all, in a view of events. `None`: as far as its windows reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
    /// Which edge windows have, in a view of events.
    #[serde(default, skip_serializing_if = "Edge::is_open")]
    pub edge: Edge,
    /// At least one. Once applied: in order of addition, which is the order of canonical bytes.
    pub features: Vec<Feature>,
    /// What is read of each event, in order of addition. Empty in a view that carries values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// What it reads, where it is computed on demand. Nothing is stored of such a view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemand>,
    /// How fresh the data promises to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Duration>,
    /// When it is materialised, as a cron line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// From this instant on, requests are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Instant>,
    /// Words for people.
    #[serde(flatten)]
    pub about: About,
}

impl View {
    /// Whether it is computed on demand, of other views and of what a request brings.
    pub fn is_on_demand(&self) -> bool {
        self.on_demand.is_some()
    }

    /// Whether it aggregates events. Otherwise it carries values, or is computed on demand.
    pub fn aggregates(&self) -> bool {
        self.features.iter().any(|feature| feature.aggregation.is_some())
    }

    /// How far back an event counts at all; `None`: for ever. What is written, or as far as the furthest window reaches.
    pub fn retained(&self) -> Option<Duration> {
        if self.retention.is_some() {
            return self.retention;
        }
        let reaches = self.features.iter().filter_map(|feature| feature.aggregation.as_ref());
        reaches.map(|aggregation| aggregation.window.reach()).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The smallest delay of its windows.
    pub fn smallest_delay(&self) -> Duration {
        let windows = self.features.iter().filter_map(|feature| Some(feature.aggregation.as_ref()?.window));
        windows.map(|window| window.delay).min().unwrap_or(Duration::ZERO)
    }

    /// What rows of its history hold: its features, or what it reads of each event; nothing of a view on demand.
    pub fn stored(&self) -> Cow<'_, [Feature]> {
        if self.is_on_demand() {
            return Cow::Borrowed(&[]);
        }
        if !self.aggregates() {
            return Cow::Borrowed(&self.features);
        }
        let stored = |input: &Input| Feature {
            name: input.name.clone(),
            value_type: input.value_type,
            default: None,
            aggregation: None,
            computation: None,
            about: About::default(),
        };
        Cow::Owned(self.inputs.iter().map(stored).collect())
    }

    /// How many of its features answer where rows hold so many of [`View::stored`], in order of addition.
    pub fn answering(&self, stored: usize) -> usize {
        let loaded = |feature: &Feature| match feature.aggregation.as_ref().and_then(|of| of.meaning.as_ref())
        {
            Some(meaning) => meaning.inputs().all(|input| input < stored),
            None => true,
        };
        match self.aggregates() {
            true => self.features.iter().take_while(|feature| loaded(feature)).count(),
            false => stored.min(self.features.len()),
        }
    }

    /// The source as its rows are read: with what the view computes of each event, which only a source without a query of
    /// its own allows.
    pub fn reads(&self, source: &Source) -> Source {
        let computed: Vec<&Input> = self.inputs.iter().filter(|input| !input.bare).collect();
        let mut source = source.clone();
        if computed.is_empty() {
            return source;
        }
        let columns = computed.iter().flat_map(|input| input.from.clone());
        let inputs = BTreeMap::from([(source.name.clone(), columns.collect())]);
        let items: Vec<String> =
            computed.iter().map(|input| format!("({}) as \"{}\"", input.text, input.name)).collect();
        let sql = format!("select *, {} from source", items.join(", "));
        let output = |input: &&Input| {
            let output = Output {
                text: input.text.clone(),
                bare: false,
                value_type: Some(input.value_type),
                from: input.from.keys().cloned().collect(),
            };
            (input.name.clone(), output)
        };
        let meaning = Meaning {
            row_wise: true,
            text: sql.clone(),
            inputs,
            star: true,
            except: Vec::new(),
            condition: None,
            outputs: computed.iter().map(output).collect(),
        };
        source.transform = Some(Transform { sql, lookback: None, meaning: Some(meaning) });
        source
    }
}

/// Which features of a view a service takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// `"*"`: every feature that answers, in order of addition.
    All,
    /// These, in this order.
    Named(Vec<String>),
}

/// One view as a service or a request joins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The view's name.
    pub view: String,
    /// The version: as written, or as resolved when it was applied.
    pub version: Option<u32>,
    /// Whether the version was written by the user.
    pub pinned: bool,
    /// The features taken.
    pub features: Selection,
    /// The prefix in full names, where it is not the view's name; lets one view be joined several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Join key of the view to column of the request or label table, where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
}

/// The features that a model reads, under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// At least one join.
    pub joins: Vec<Join>,
    /// Words for people.
    #[serde(flatten)]
    pub about: About,
}

/// Everything a project defines. Keys are names; a view's key is its name and version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions {
    /// By name.
    pub entities: BTreeMap<String, Entity>,
    /// By name.
    pub sources: BTreeMap<String, Source>,
    /// By name and version.
    pub views: BTreeMap<ViewId, View>,
    /// By name.
    pub services: BTreeMap<String, Service>,
}

impl Definitions {
    /// Whether the rows of a view carry the key of an entity: each of its join keys, by name and type, whichever entity
    /// of the view brings it. A key of one part stands in every composite key that has that part (SEMANTICS 8).
    pub fn carries_key(&self, view: &View, entity: &Entity) -> bool {
        let keys = self.join_keys(view);
        entity.keys.iter().all(|part| keys.contains(part))
    }

    /// The view version that an input means: the one written or recorded, else the highest there is.
    pub fn input(&self, input: &InputView) -> Option<&View> {
        match input.id() {
            Some(id) => self.views.get(&id),
            None => {
                let versions = ViewId::new(&*input.view, 0)..=ViewId::new(&*input.view, u32::MAX);
                self.views.range(versions).next_back().map(|(_, view)| view)
            }
        }
    }

    /// The join keys that a request brings for a view: its own, or of a view on demand those of its inputs, each name
    /// once. Inputs that are not defined, or that read each other, are left out.
    pub fn request_keys(&self, view: &View) -> Vec<JoinKey> {
        let mut keys: Vec<JoinKey> = Vec::new();
        let mut seen: Vec<&ViewId> = Vec::new();
        let mut left: Vec<&View> = vec![view];
        while let Some(view) = left.pop() {
            if seen.contains(&&view.id) {
                continue;
            }
            seen.push(&view.id);
            for key in self.join_keys(view) {
                if !keys.iter().any(|known| known.name == key.name) {
                    keys.push(key);
                }
            }
            let inputs = view.on_demand.iter().flat_map(|on_demand| &on_demand.inputs);
            // The first one written comes first.
            left.extend(inputs.rev().filter_map(|input| self.input(input)));
        }
        keys
    }

    /// The join keys of a view: its entities' keys in the order written. Empty for a view without entities, and
    /// for entities that are not defined (which the reader of definitions refuses).
    pub fn join_keys(&self, view: &View) -> Vec<JoinKey> {
        view.entities.iter().filter_map(|name| self.entities.get(name)).flat_map(|e| e.keys.clone()).collect()
    }
}
