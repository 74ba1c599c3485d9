//! Reads an entity.

use super::collector::{Collector, Object};
use super::keys::{self, Fields, KnownKeys, listed};
use super::node::{Entry, quoted};
use super::view::RESERVED_COLUMNS;
use crate::spec::{About, Entity, JoinKey};
use crate::types::ValueType;

pub(super) const KEYS: KnownKeys = KnownKeys { read: &["keys", "description", "owner", "tags"] };

/// Reads an entity. What could not be read is left out, with a problem.
pub(super) fn read(object: &Object, entry: &Entry, out: &mut Collector) -> Entity {
    let mut entity = Entity { name: object.name.clone(), keys: Vec::new(), about: About::default() };
    let Some(fields) = Fields::open(object, &object.to_string(), "", entry, &KEYS, out) else {
        return entity;
    };
    entity.about = fields.about(out);
    let Some(written) = fields.entry("keys") else {
        let hint = Some("name its join key: `keys: { driver_id: int64 }`".to_owned());
        out.problem(entry.key.at, format!("{object} has no `keys`"), hint);
        return entity;
    };
    let entries = fields.map("keys", "{ driver_id: int64 }", out);
    if entries.is_empty() && written.value.described() == "a mapping" {
        out.problem(written.key.at, format!("{object} has no join key"), None);
    }
    for key in entries {
        out.check_name(&key.key.text, "join key name", key.key.at);
        if RESERVED_COLUMNS.contains(&key.key.text.as_str()) {
            let message = format!("join key {} has the name of a column of history", quoted(&key.key.text));
            let hint = format!("history has {} of its own", listed(RESERVED_COLUMNS));
            out.problem(key.key.at, message, Some(hint));
        }
        let what = format!("the type of join key {}", quoted(&key.key.text));
        let known = keys::text(&key.value, &what, key.key.at, out)
            .and_then(|name| keys::value_type(name, key.value.at, out));
        if let Some(value_type) = known
            && !value_type.can_be_key()
        {
            let allowed = ValueType::examples().into_iter().filter(|each| each.can_be_key());
            let names: Vec<_> = allowed.map(|each| each.to_string()).collect();
            let hint = format!("a join key is one of {}", listed(names.iter().map(String::as_str)));
            out.problem(key.value.at, format!("a join key cannot be {value_type}"), Some(hint));
        }
        // The name is known even where the type is not: views that use it are then checked all the same.
        let value_type = known.unwrap_or(ValueType::String);
        entity.keys.push(JoinKey { name: key.key.text.clone(), value_type });
    }
    entity
}
