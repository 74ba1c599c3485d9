//! Reads definitions: YAML text becomes checked [`crate::spec`] objects, and every problem names file, line and
//! column.
//!
//! Two passes. The first reads each file on its own: text to positioned nodes (`yaml`, `node`), nodes to objects
//! (`entity`, `source`, `view` with `aggregation` and `on_demand`, `service`, and `keys` for what their mappings share). The second checks what
//! objects say about each other (`check`). Both go on after a problem, so that one run reports them all; what could
//! not be read is left out of the second pass, so that one mistake is one message.

mod aggregation;
mod check;
mod collector;
mod entity;
mod keys;
mod node;
mod on_demand;
mod places;
mod problem;
mod schema;
mod service;
mod source;
mod view;
mod yaml;

use crate::name::ViewId;
use crate::plan::ObjectKind;
use crate::spec::Definitions;
use collector::{Collector, Object};
use node::{Content, Entry, Node, quoted};

pub use places::{Place, Places};
pub(crate) use problem::in_order;
pub use problem::{PROBLEMS_MAX, Problem};
pub use schema::json_schema;
pub use view::canonical_default;

/// One file of definitions.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// Its path as users shall see it: relative to the project.
    pub path: &'a str,
    /// Its text. A byte-order mark at the start is skipped.
    pub text: &'a str,
}

/// What the files of a project define.
#[derive(Debug, Clone)]
pub struct ReadDefinitions {
    /// The objects, checked each by itself and against each other.
    pub definitions: Definitions,
    /// Where they stand.
    pub places: Places,
    /// What is allowed, and probably not meant. In the order of file, line and column.
    pub warnings: Vec<Problem>,
}

/// Reads the definitions of a project from all of its files. The order of `files` does not matter.
///
/// A file without content defines nothing; a file of several YAML documents is read as one file. Each file may hold
/// any of the sections `entities`, `sources`, `feature_views` and `feature_services`.
///
/// # Errors
/// Every problem of every file in the order of file, line and column. Past [`PROBLEMS_MAX`] a last one counts the
/// rest.
pub fn read(files: &[SourceFile<'_>]) -> Result<ReadDefinitions, Vec<Problem>> {
    let mut files = files.to_vec();
    files.sort_by_key(|file| file.path);
    let mut out = Collector::new(files.iter().map(|file| (file.path.to_owned(), file.text.into())).collect());
    let mut definitions = Definitions::default();
    for (index, file) in files.iter().enumerate() {
        out.enter_file(index);
        for document in yaml::read(file.text, &mut out) {
            read_document(&document, &mut definitions, &mut out);
        }
    }
    check::all(&definitions, &mut out);
    let (places, warnings) = out.finish()?;
    Ok(ReadDefinitions { definitions, places, warnings })
}

const SECTIONS: [&str; 4] = ["entities", "sources", "feature_views", "feature_services"];

fn read_document(document: &Node, definitions: &mut Definitions, out: &mut Collector) {
    if document.is_null() {
        return;
    }
    let Content::Map(sections) = document.content() else {
        let message = format!("definitions are a mapping, and this is {}", document.described());
        out.problem(document.at, message, Some(format!("begin with a section, such as `{}:`", SECTIONS[0])));
        return;
    };
    for section in sections {
        let Some(kind) = kind_of(&section.key.text) else {
            let hint = out.suggestion(&section.key.text, SECTIONS);
            out.problem(section.key.at, format!("unknown section {}", quoted(&section.key.text)), hint);
            continue;
        };
        match section.value.content() {
            Content::Map(objects) => {
                for object in objects {
                    read_object(kind, object, definitions, out);
                }
            }
            // A section whose objects are all commented out.
            _ if section.value.is_null() => {}
            _ => {
                let (name, found) = (&section.key.text, section.value.described());
                let message = format!("`{name}` is a mapping from names to definitions, and this is {found}");
                out.problem(section.value.at, message, None);
            }
        }
    }
}

fn kind_of(section: &str) -> Option<ObjectKind> {
    match section {
        "entities" => Some(ObjectKind::Entity),
        "sources" => Some(ObjectKind::Source),
        "feature_views" => Some(ObjectKind::View),
        "feature_services" => Some(ObjectKind::Service),
        _ => None,
    }
}

/// Reads one object into `definitions`. Of two with the same name the first stays, and the second is a problem.
fn read_object(kind: ObjectKind, entry: &Entry, definitions: &mut Definitions, out: &mut Collector) {
    if kind == ObjectKind::View {
        let Some(id) = view::id(&entry.key, out) else { return };
        let object = Object::view(&id);
        let new = declare(&object, &id.name, entry, out);
        let read = view::read(id.clone(), &object, entry, out);
        if new {
            definitions.views.insert(id, read);
        }
        return;
    }
    let object = Object::new(kind, &entry.key.text);
    out.check_name(&entry.key.text, &format!("{} name", kind.as_str()), entry.key.at);
    let new = declare(&object, &entry.key.text, entry, out);
    let name = entry.key.text.clone();
    match kind {
        ObjectKind::Entity => {
            let read = entity::read(&object, entry, out);
            new.then(|| definitions.entities.insert(name, read));
        }
        ObjectKind::Source => {
            let read = source::read(&object, entry, out);
            new.then(|| definitions.sources.insert(name, read));
        }
        ObjectKind::Service => {
            let read = service::read(&object, entry, out);
            new.then(|| definitions.services.insert(name, read));
        }
        ObjectKind::View => {}
    }
}

/// Claims the object's name in the project. False, and a problem, where it is taken; versions of a view share one.
fn declare(object: &Object, name: &str, entry: &Entry, out: &mut Collector) -> bool {
    let at = entry.key.at;
    match out.claim(object, name, at) {
        None => true,
        Some((taken, place)) if taken == *object => {
            let hint = match object.kind {
                ObjectKind::View => {
                    let next = ViewId::new(name, out.version_free(name));
                    format!("a view without a version is version 1; a new version would be `{next}`")
                }
                _ => "names are unique in a project; rename or remove one of the two".to_owned(),
            };
            out.problem(at, format!("{object} is already defined at {place}"), Some(hint));
            false
        }
        Some((taken, place)) => {
            let message = format!("{} is already the name of {taken} at {place}", quoted(name));
            out.problem(at, message, Some("names are unique in a project, across all kinds".to_owned()));
            false
        }
    }
}
