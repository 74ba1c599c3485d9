//! What the reader gathers on its way: problems, places, and the names that are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::node::{Position, quoted};
use super::places::{Place, Places};
use super::problem::{self, Problem};
use crate::name::{self, NAME_BYTES_MAX, ViewId};
use crate::plan::ObjectKind;

/// Problems that are kept until they are sorted; later ones are only counted.
const PROBLEMS_KEPT_MAX: usize = 1_000;

/// The longest text, in bytes, for which a nearest name is looked for: comparing is quadratic.
const SUGGESTION_BYTES_MAX: usize = 2 * NAME_BYTES_MAX;

/// An object as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub kind: ObjectKind,
    /// A view's with its version.
    pub name: String,
}

impl Object {
    pub fn new(kind: ObjectKind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }

    pub fn view(id: &ViewId) -> Self {
        Self { kind: ObjectKind::View, name: id.to_string() }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind.as_str(), quoted(&self.name))
    }
}

/// Gathers problems and places while files are read.
#[derive(Debug)]
pub(super) struct Collector {
    file: usize,
    places: Places,
    problems: Vec<Problem>,
    problems_unseen: usize,
    warnings: Vec<Problem>,
    /// Name without version to the objects that have it.
    taken: BTreeMap<String, Vec<Object>>,
    /// Whether something could not be read, so that a name that is missing may stand there.
    incomplete: bool,
    /// Names of views of which a version could not be read.
    unreadable_views: BTreeSet<String>,
}

impl Collector {
    pub fn new(files: Vec<(String, Arc<str>)>) -> Self {
        Self {
            file: 0,
            places: Places::new(files),
            problems: Vec::new(),
            problems_unseen: 0,
            warnings: Vec::new(),
            taken: BTreeMap::new(),
            incomplete: false,
            unreadable_views: BTreeSet::new(),
        }
    }

    /// Positions are in this file from now on.
    pub fn enter_file(&mut self, index: usize) {
        self.file = index;
    }

    /// The places and warnings, or every problem.
    pub fn finish(self) -> Result<(Places, Vec<Problem>), Vec<Problem>> {
        if self.problems.is_empty() {
            Ok((self.places, problem::in_order(self.warnings, 0)))
        } else {
            Err(problem::in_order(self.problems, self.problems_unseen))
        }
    }

    /// Reports a problem of the present file.
    pub fn problem(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let made = self.made(self.places.place(self.file, at), message.into(), hint);
        self.keep(made);
    }

    /// Reports a problem at a key of an object, whatever file that is in. See [`Places::key`] for paths.
    pub fn problem_in(
        &mut self,
        object: &Object,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if let Some(place) = self.places.key(object.kind, &object.name, path) {
            let made = self.made(place, message.into(), hint);
            self.keep(made);
        }
    }

    /// Reports what is allowed and probably not meant, at a key of an object.
    pub fn warning_in(&mut self, object: &Object, path: &str, message: String, hint: Option<String>) {
        if let Some(place) = self.places.key(object.kind, &object.name, path) {
            self.warnings.push(self.made(place, message, hint));
        }
    }

    /// Notes where a key of an object stands.
    pub fn note(&mut self, object: &Object, path: impl Into<String>, at: Position) {
        self.places.note(object.kind, &object.name, path.into(), self.file, at);
    }

    /// Takes `name`, which is the object's without version, for the object. Where it is taken: by whom, and where.
    pub fn claim(&mut self, object: &Object, name: &str, at: Position) -> Option<(Object, String)> {
        let holders = self.taken.entry(name.to_owned()).or_default();
        let both_views = |held: &Object| held.kind == ObjectKind::View && object.kind == ObjectKind::View;
        if let Some(held) = holders.iter().find(|held| *held == object || !both_views(held)).cloned() {
            let place = self.places.object(held.kind, &held.name).map(|place| place.to_string());
            return Some((held, place.unwrap_or_default()));
        }
        holders.push(object.clone());
        self.note(object, "", at);
        None
    }

    /// The version after the highest one of a view read so far.
    pub fn version_free(&self, view: &str) -> u32 {
        let versions = self.taken.get(view).into_iter().flatten();
        let versions = versions.filter_map(|held| name::ViewRef::parse(&held.name)?.version);
        versions.max().unwrap_or(0).saturating_add(1)
    }

    /// A file could not be read to its end: what it defines is unknown.
    pub fn file_unreadable(&mut self) {
        self.incomplete = true;
    }

    /// Whether every file could be read, so that a name that was not found does not exist.
    pub fn complete(&self) -> bool {
        !self.incomplete
    }

    /// A version of that view could not be read.
    pub fn view_unreadable(&mut self, name: &str) {
        self.unreadable_views.insert(name.to_owned());
    }

    /// Whether every version of that view could be read.
    pub fn view_complete(&self, name: &str) -> bool {
        self.complete() && !self.unreadable_views.contains(name)
    }

    /// Reports a name that cannot be one. `what` is what it would name: `entity name`.
    pub fn check_name(&mut self, text: &str, what: &str, at: Position) {
        if name::is_name(text) {
            return;
        }
        let hint = if text.starts_with("__") {
            "names that start with `__` belong to Asof".to_owned()
        } else if text.len() > NAME_BYTES_MAX {
            format!("a name has at most {NAME_BYTES_MAX} bytes")
        } else {
            "a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`".to_owned()
        };
        self.problem(at, format!("{} is not a valid {what}", quoted(text)), Some(hint));
    }

    /// The hint for a name that does not exist: the nearest known one, or the short list.
    pub fn suggestion<'a>(&self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let worth = wrong.len() <= SUGGESTION_BYTES_MAX && self.problems.len() < PROBLEMS_KEPT_MAX;
        let known = known.into_iter().filter(|name| name.len() <= SUGGESTION_BYTES_MAX);
        if worth { name::suggestion(wrong, known) } else { None }
    }

    fn made(&self, place: Place<'_>, message: String, hint: Option<String>) -> Problem {
        Problem { file: place.file.to_owned(), line: place.line, column: place.column, message, hint }
    }

    fn keep(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(problem);
        } else {
            self.problems_unseen += 1;
        }
    }
}
