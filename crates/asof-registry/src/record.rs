//! What a registry stores: objects by key, and the revisions that put them there.

use std::fmt;

use asof_model::Instant;
use asof_model::name::{NAME_BYTES_MAX, is_name};
use serde::{Deserialize, Serialize};

/// The format of the specs that this program writes, and the greatest that it reads. It is stored beside each spec.
pub const SPEC_FORMAT: u32 = 1;

/// The longest spec, in bytes of JSON text: room for tens of thousands of features.
pub const SPEC_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an object is. The order is that of a listing: what others refer to comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Join keys under a name.
    Entity,
    /// Where rows come from.
    Source,
    /// Features of entities; has versions.
    View,
    /// A choice of features for a model.
    Service,
}

impl ObjectKind {
    /// Every kind, in order.
    pub const ALL: [Self; 4] = [Self::Entity, Self::Source, Self::View, Self::Service];

    /// The name by which the kind is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Source => "source",
            Self::View => "view",
            Self::Service => "service",
        }
    }

    /// The kind of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Names one object of a project. Prints as `name`, and as `name@version` for a view.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ObjectKey {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, which is unique per kind (and version) in a project.
    pub name: String,
    /// From 1 for views; 0 for kinds without versions.
    pub version: u32,
}

impl ObjectKey {
    /// The entity of that name.
    pub fn entity(name: impl Into<String>) -> Self {
        Self { kind: ObjectKind::Entity, name: name.into(), version: 0 }
    }

    /// The source of that name.
    pub fn source(name: impl Into<String>) -> Self {
        Self { kind: ObjectKind::Source, name: name.into(), version: 0 }
    }

    /// A version of the view of that name; versions count from 1.
    pub fn view(name: impl Into<String>, version: u32) -> Self {
        Self { kind: ObjectKind::View, name: name.into(), version }
    }

    /// The service of that name.
    pub fn service(name: impl Into<String>) -> Self {
        Self { kind: ObjectKind::Service, name: name.into(), version: 0 }
    }

    /// What keeps this from being a key, if anything does.
    pub(crate) fn objection(&self) -> Option<String> {
        if !is_name(&self.name) {
            let rule = "an ASCII letter or one underscore, then letters, digits and underscores";
            return Some(format!("a name is {rule}, at most {NAME_BYTES_MAX} bytes"));
        }
        match (self.kind, self.version) {
            (ObjectKind::View, 0) => Some("versions of a view count from 1".to_owned()),
            (ObjectKind::View, _) | (_, 0) => None,
            (kind, version) => Some(format!("a {kind} has no versions, but {version} is given")),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ObjectKind::View => write!(out, "{}@{}", self.name, self.version),
            _ => out.write_str(&self.name),
        }
    }
}

/// One object as it stands in a revision.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Names it.
    pub key: ObjectKey,
    /// The definition. A registry returns it as it was given, with its members in the same order.
    pub spec: serde_json::Value,
    /// Views: covers everything in the definition that can change bytes (SEMANTICS 9). Empty otherwise.
    pub semantic_hash: String,
    /// Views: the semantic hash at creation, which names the stored data. Empty otherwise.
    pub identity: String,
    /// The revision that created it. Removing and creating it again makes it a new object.
    pub created_revision: u64,
    /// The revision that last put it.
    pub updated_revision: u64,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last put.
    pub updated_at: Instant,
}

/// One step of a project's definitions. Revisions count from 1 without gaps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// 0 while nothing was applied yet.
    pub number: u64,
    /// When it was applied; `None` for revision 0.
    pub applied_at: Option<Instant>,
    /// Who applied it, in the caller's words; empty for revision 0.
    pub applied_by: String,
}

impl Revision {
    /// The revision of a project to which nothing was applied yet.
    pub fn none() -> Self {
        Self { number: 0, applied_at: None, applied_by: String::new() }
    }
}

/// One whole revision: what it is, and every object in it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// Its objects, ordered by key.
    pub objects: Vec<ObjectRecord>,
}

impl Snapshot {
    /// The object of that key, if the revision has one.
    pub fn get(&self, key: &ObjectKey) -> Option<&ObjectRecord> {
        let place = self.objects.binary_search_by(|each| each.key.cmp(key)).ok()?;
        self.objects.get(place)
    }
}

/// One edit. The edits of one apply take effect in order, all or none.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// Creates the object, or replaces its definition.
    Put {
        /// Names it.
        key: ObjectKey,
        /// The definition, in format [`SPEC_FORMAT`].
        spec: serde_json::Value,
        /// As in [`ObjectRecord::semantic_hash`].
        semantic_hash: String,
        /// As in [`ObjectRecord::identity`]. An update must repeat the stored one: another would orphan the data.
        identity: String,
    },
    /// Removes the object.
    Remove {
        /// Names it.
        key: ObjectKey,
    },
}

impl Change {
    /// The object that is edited.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Put { key, .. } | Self::Remove { key } => key,
        }
    }
}

/// What a change turned out to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// The object was not there before.
    Created,
    /// The object was there, and its definition was put again.
    Updated,
    /// The object is no longer there.
    Removed,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Removed];

    /// The name by which the verb is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }

    /// The verb of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }
}

/// One change in a history: what was done to which object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeSummary {
    /// What was done.
    pub verb: Verb,
    /// To which object.
    pub key: ObjectKey,
}

/// A revision with the changes that made it, in the order in which they were applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevisionSummary {
    /// The revision: number, time, and who applied it.
    pub revision: Revision,
    /// What it did.
    pub changes: Vec<ChangeSummary>,
}
