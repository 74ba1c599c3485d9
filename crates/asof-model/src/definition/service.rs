//! Reads a service: the views that it joins.

use std::collections::BTreeMap;

use super::collector::{Collector, Object};
use super::keys::{self, Fields, KnownKeys};
use super::node::{Content, Entry, Node, Position, quoted};
use crate::name::{NAME_BYTES_MAX, ViewRef};
use crate::spec::{About, Join, Selection, Service};

pub(super) const KEYS: KnownKeys = KnownKeys { read: &["features", "description", "owner", "tags"] };

/// Keys of an item that do not name a view.
const ITEM_KEYS: [&str; 2] = ["as", "keys"];

/// What an item may look like.
const EXAMPLE: &str = "`- view: [feature, feature]`, `- view: \"*\"` or `- view:feature`";

/// Reads a service. What could not be read is left out, with a problem.
pub(super) fn read(object: &Object, entry: &Entry, out: &mut Collector) -> Service {
    let mut service = Service { name: object.name.clone(), joins: Vec::new(), about: About::default() };
    let Some(fields) = Fields::open(object, &object.to_string(), "", entry, &KEYS, out) else {
        return service;
    };
    service.about = fields.about(out);
    let Some(written) = fields.entry("features") else {
        let hint = Some(format!("list the views that it joins: {EXAMPLE}"));
        out.problem(entry.key.at, format!("{object} has no `features`"), hint);
        return service;
    };
    let Content::List(items) = written.value.content() else {
        let message = format!("`features` of a service is a list, and this is {}", written.value.described());
        out.problem(written.at(), message, Some(format!("begin each view with `- `: {EXAMPLE}")));
        return service;
    };
    if items.is_empty() {
        let hint = Some(format!("list the views that it joins: {EXAMPLE}"));
        out.problem(written.key.at, format!("{object} has no feature"), hint);
    }
    let mut reader = Joins { object, joins: Vec::new(), open: false };
    for item in items {
        reader.item(item, out);
    }
    service.joins = reader.joins;
    service
}

struct Joins<'n> {
    object: &'n Object,
    joins: Vec<Join>,
    /// Whether the last join came from `view:feature`, so that a next one of that view adds to it.
    open: bool,
}

impl Joins<'_> {
    fn item(&mut self, item: &Node, out: &mut Collector) {
        match item.content() {
            Content::Map(entries) => {
                self.open = false;
                self.mapping(item, entries, out);
            }
            _ => match item.text() {
                Some(text) => self.line(text, item.at, out),
                None => {
                    let message = format!("an item of `features` is {}", item.described());
                    out.problem(item.at, message, Some(format!("write {EXAMPLE}")));
                }
            },
        }
    }

    /// `view`, `view@2`, `view:feature` or `view:*`.
    fn line(&mut self, text: &str, at: Position, out: &mut Collector) {
        let (view, feature) = match text.split_once(':') {
            None => (text, "*"),
            Some((view, feature)) => (view.trim(), feature.trim()),
        };
        let Some(view) = reference(view, at, out) else { return };
        let features = match feature {
            "" => {
                out.problem(
                    at,
                    format!("{} names no feature", quoted(text)),
                    Some(format!("write {EXAMPLE}")),
                );
                return;
            }
            "*" => Selection::All,
            name => Selection::Named(vec![name.to_owned()]),
        };
        if let (true, Some(last), Selection::Named(more)) = (self.open, self.joins.last_mut(), &features)
            && last.view == view.name
            && last.version == view.version
            && let Selection::Named(names) = &mut last.features
        {
            if names.iter().any(|seen| seen == feature) {
                out.problem(at, format!("feature {} is listed twice", quoted(feature)), None);
                return;
            }
            names.extend(more.iter().cloned());
            let (join, index) = (self.joins.len() - 1, names_len(self.joins.last()));
            out.note(self.object, format!("features.{join}.features.{}", index - 1), at);
            return;
        }
        let join = self.joins.len();
        out.note(self.object, format!("features.{join}"), at);
        self.open = matches!(features, Selection::Named(_));
        self.joins.push(joined(view, features));
    }

    /// `view: [feature, feature]` with `as` and `keys` beside it.
    fn mapping(&mut self, item: &Node, entries: &[Entry], out: &mut Collector) {
        let index = self.joins.len();
        let mut views = entries.iter().filter(|entry| !ITEM_KEYS.contains(&entry.key.text.as_str()));
        let Some(named) = views.next() else {
            out.problem(item.at, "the item names no view", Some(format!("write {EXAMPLE}")));
            return;
        };
        for other in views {
            let message = format!("{} is a second key in one item", quoted(&other.key.text));
            let hint = "an item is one view, with `as` and `keys` beside it; begin the next view with `- `";
            out.problem(other.key.at, message, Some(hint.to_owned()));
        }
        let Some(view) = reference(&named.key.text, named.key.at, out) else { return };
        let Some(features) = self.selection(index, named, out) else { return };
        // Only now: a join that is not kept leaves its number, and the places below it, to the next one.
        out.note(self.object, format!("features.{index}"), named.key.at);
        let mut join = joined(view, features);
        for entry in entries {
            match entry.key.text.as_str() {
                "as" => {
                    out.note(self.object, format!("features.{index}.as"), entry.at());
                    join.alias = keys::text(&entry.value, "`as`", entry.key.at, out).map(|alias| {
                        out.check_name(alias, "alias", entry.value.at);
                        alias.to_owned()
                    });
                }
                "keys" => join.keys = self.renamed_keys(index, entry, out),
                _ => {}
            }
        }
        self.joins.push(join);
    }

    fn selection(&self, index: usize, entry: &Entry, out: &mut Collector) -> Option<Selection> {
        match entry.value.content() {
            Content::List(items) if !items.is_empty() => {
                let mut names: Vec<String> = Vec::new();
                for item in items {
                    let Some(name) = keys::text(item, "a feature's name", item.at, out) else { continue };
                    if name == "*" && items.len() == 1 {
                        return Some(Selection::All);
                    } else if name == "*" {
                        let message = "`*` is every feature, and stands alone".to_owned();
                        out.problem(item.at, message, None);
                    } else if names.iter().any(|seen| seen == name) {
                        out.problem(item.at, format!("feature {} is listed twice", quoted(name)), None);
                    } else {
                        let path = format!("features.{index}.features.{}", names.len());
                        out.note(self.object, path, item.at);
                        names.push(name.to_owned());
                    }
                }
                Some(Selection::Named(names))
            }
            Content::Scalar { .. } if !entry.value.is_null() => {
                out.note(self.object, format!("features.{index}.features.0"), entry.value.at);
                match entry.value.text().unwrap_or_default() {
                    "*" => Some(Selection::All),
                    name => Some(Selection::Named(vec![name.to_owned()])),
                }
            }
            Content::Map(_) => {
                let message = "the features of a view are a list, and this is a mapping";
                out.problem(entry.key.at, message, Some(format!("write {EXAMPLE}")));
                None
            }
            _ => {
                let message = format!("{} lists no feature", quoted(&entry.key.text));
                let hint = format!("write `- {}: \"*\"` for every feature", entry.key.text);
                out.problem(entry.key.at, message, Some(hint));
                None
            }
        }
    }

    /// `keys`: join key of the view to column of the request or label table.
    fn renamed_keys(&self, index: usize, entry: &Entry, out: &mut Collector) -> BTreeMap<String, String> {
        let mut renamed = BTreeMap::new();
        let Content::Map(entries) = entry.value.content() else {
            let message = format!("`keys` is a mapping, and this is {}", entry.value.described());
            let hint = "write `keys: { join_key_of_the_view: column_of_the_request }`".to_owned();
            out.problem(entry.at(), message, Some(hint));
            return renamed;
        };
        for key in entries {
            out.note(self.object, format!("features.{index}.keys.{}", key.key.text), key.key.at);
            let what = format!("the column for join key {}", quoted(&key.key.text));
            let Some(column) = keys::text(&key.value, &what, key.key.at, out) else { continue };
            if column.trim().is_empty() {
                out.problem(key.value.at, format!("{what} is empty"), None);
            } else if column.starts_with("__") || column.len() > NAME_BYTES_MAX {
                // Such columns have names of their users' making, which are only kept out of ours.
                out.check_name(column, "column name", key.value.at);
            }
            renamed.insert(key.key.text.clone(), column.to_owned());
        }
        renamed
    }
}

fn names_len(join: Option<&Join>) -> usize {
    match join.map(|join| &join.features) {
        Some(Selection::Named(names)) => names.len(),
        _ => 1,
    }
}

fn joined(view: ViewRef, features: Selection) -> Join {
    let pinned = view.version.is_some();
    Join { view: view.name, version: view.version, pinned, features, alias: None, keys: BTreeMap::new() }
}

fn reference(text: &str, at: Position, out: &mut Collector) -> Option<ViewRef> {
    let read = ViewRef::parse(text);
    if read.is_none() {
        let message = format!("{} does not name a view", quoted(text));
        out.problem(at, message, Some("a view is `name`, or pinned to a version `name@2`".to_owned()));
    }
    read
}
