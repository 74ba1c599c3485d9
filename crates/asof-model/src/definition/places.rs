//! Where objects and their keys stand in the files.

use std::collections::BTreeMap;

use super::node::Position;
use crate::plan::ObjectKind;

/// A place in a file. Prints as `file:line:column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The path of the file, as users see it.
    pub file: &'a str,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where each object stands, and each key that it writes.
///
/// An object is named by its kind and its name; a view by `name@version`, also where the file leaves out `@1`. Keys
/// are paths with dots: `ttl`, `features.city`, `features.city.default`, and for items of lists their number from 0:
/// `entities.0`, `features.1.as`. The place of a key is its value where that is a scalar, otherwise the key itself.
#[derive(Debug, Clone, Default)]
pub struct Places {
    files: Vec<String>,
    /// The empty path is the object itself.
    objects: BTreeMap<(ObjectKind, String), BTreeMap<String, (usize, Position)>>,
}

impl Places {
    /// The place of an object's name.
    pub fn object(&self, kind: ObjectKind, name: &str) -> Option<Place<'_>> {
        self.key(kind, name, "")
    }

    /// The place of a key of an object; where that is not written, of the nearest key around it, at last of the
    /// object. `None` where the object itself is not defined.
    pub fn key(&self, kind: ObjectKind, name: &str, path: &str) -> Option<Place<'_>> {
        let keys = self.objects.get(&(kind, name.to_owned()))?;
        let mut path = path;
        loop {
            if let Some(&(file, at)) = keys.get(path) {
                return Some(self.place(file, at));
            }
            path = match path.rsplit_once('.') {
                Some((around, _)) => around,
                None if path.is_empty() => return None,
                None => "",
            };
        }
    }

    pub(super) fn new(files: Vec<String>) -> Self {
        Self { files, objects: BTreeMap::new() }
    }

    pub(super) fn place(&self, file: usize, at: Position) -> Place<'_> {
        let file = self.files.get(file).map_or("", String::as_str);
        Place { file, line: at.line, column: at.column }
    }

    /// Notes a place. The first one noted stays: it belongs to the definition that stays.
    pub(super) fn note(&mut self, kind: ObjectKind, name: &str, path: String, file: usize, at: Position) {
        let keys = self.objects.entry((kind, name.to_owned())).or_default();
        keys.entry(path).or_insert((file, at));
    }
}
