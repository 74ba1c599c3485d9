//! Definition files for views that a test holds as plain data.

use std::collections::BTreeMap;

use asof_model::entry::to_text;
use asof_model::{Duration, Value, ValueType};

/// A view with its source, `<name>_rows` in the folder `data/<name>`.
pub struct ViewText {
    pub name: String,
    pub keys: Vec<(String, ValueType)>,
    pub features: Vec<(String, ValueType, Option<Value>)>,
    pub ttl: Option<Duration>,
    pub keep: Option<Duration>,
    pub zone: Option<String>,
    pub created: bool,
}

/// The definition file of these views. Each join key is an entity of its own name.
pub fn definitions(views: &[ViewText]) -> String {
    let keys: BTreeMap<&String, ValueType> =
        views.iter().flat_map(|view| &view.keys).map(|(name, of)| (name, *of)).collect();
    let mut text = String::new();
    if !keys.is_empty() {
        text.push_str("entities:\n");
    }
    for (name, of) in keys {
        text.push_str(&format!("  {}: {{ keys: {{ {}: {of} }} }}\n", quoted(name), quoted(name)));
    }
    text.push_str("sources:\n");
    for view in views {
        let name = &view.name;
        text.push_str(&format!("  {name}_rows:\n    path: data/{name}\n    event: event_timestamp\n"));
        if view.created {
            text.push_str("    created: created_timestamp\n");
        }
        if let Some(zone) = &view.zone {
            text.push_str(&format!("    zone: {zone}\n"));
        }
    }
    text.push_str("feature_views:\n");
    for view in views {
        let name = &view.name;
        text.push_str(&format!("  {name}:\n    source: {name}_rows\n"));
        if !view.keys.is_empty() {
            let names: Vec<String> = view.keys.iter().map(|(name, _)| quoted(name)).collect();
            text.push_str(&format!("    entities: [{}]\n", names.join(", ")));
        }
        for (what, limit) in [("ttl", view.ttl), ("keep", view.keep)] {
            if let Some(limit) = limit {
                text.push_str(&format!("    {what}: {limit}\n"));
            }
        }
        text.push_str("    features:\n");
        for (feature, of, default) in &view.features {
            let default = default
                .as_ref()
                .map_or_else(String::new, |value| format!(", default: {}", quoted(&to_text(value))));
            text.push_str(&format!("      {}: {{ type: \"{of}\"{default} }}\n", quoted(feature)));
        }
    }
    text
}

/// A text in double quotes: JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
