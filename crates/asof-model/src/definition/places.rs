//! Where objects and their keys stand in the files.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The text of each file.
    texts: Vec<Arc<str>>,
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

    /// The place of a line and column, from 1, within the text that a key has. Where the text is not laid out as in the
    /// file (folded over lines), the place of the text.
    pub fn within(
        &self,
        kind: ObjectKind,
        name: &str,
        path: &str,
        line: u32,
        column: u32,
    ) -> Option<Place<'_>> {
        let &(file, at) = self.objects.get(&(kind, name.to_owned()))?.get(path)?;
        let inside = self
            .texts
            .get(file)
            .and_then(|text| inside(text, at, usize::try_from(line).ok()?, usize::try_from(column).ok()?));
        Some(self.place(file, inside.unwrap_or(at)))
    }

    pub(super) fn new(files: Vec<(String, Arc<str>)>) -> Self {
        let (files, texts) = files.into_iter().unzip();
        Self { files, texts, objects: BTreeMap::new() }
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

/// Where a line and column of a scalar that begins at `at` stand in the file. `None`: can't be told.
fn inside(text: &str, at: Position, line: usize, column: usize) -> Option<Position> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().skip(at.line.saturating_sub(2));
    let before = if at.line > 1 { lines.next()? } else { "" };
    let found = match block_sign(before) {
        // A block that is kept as it is: its lines follow each other, all of them indented alike.
        Some('|') => Position { line: at.line + line - 1, column: at.column + column - 1 },
        Some(_) => return None,
        // A text in one line of its own may be folded from several lines of the file.
        None if line > 1 => return None,
        None => {
            let first = lines.next()?.chars().nth(at.column.checked_sub(1)?)?;
            let shift = usize::from(matches!(first, '"' | '\''));
            Position { line: at.line, column: at.column + shift + column - 1 }
        }
    };
    let length = text.lines().nth(found.line - 1)?.chars().count();
    (found.column <= length + 1).then_some(found)
}

/// The sign with which a line opens a block of text: `|` or `>`, with what may follow it.
fn block_sign(line: &str) -> Option<char> {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let sign =
        line.trim_end_matches(|letter: char| letter == '-' || letter == '+' || letter.is_ascii_digit());
    let before = sign.strip_suffix(['|', '>'])?;
    (before.ends_with([' ', '\t']) || before.is_empty()).then(|| sign.chars().last())?
}
