//! `asof show NAME`.

use clap::Args;
use serde_json::Value;

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::{Everywhere, Outcome, output};

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The name of an entity, source, view or service; of a view with or without version
    name: String,
    #[command(flatten)]
    format: FormatOption,
}

impl Show {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let records = everywhere.store("asof show")?.show(&self.name).await?;
        match self.format.format {
            Format::Json => output::print_json(&records)?,
            Format::Text => {
                let texts: Vec<String> = records.iter().map(|record| block(record, 0)).collect();
                output::print(&texts.join("\n"))?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// A record as indented lines, the way YAML writes mappings and lists. What is null or empty is left out.
fn block(value: &Value, indent: usize) -> String {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            let line = |(name, value): (&String, &Value)| match value {
                Value::Null => String::new(),
                Value::Object(inner) if inner.is_empty() => String::new(),
                Value::Array(inner) if inner.is_empty() => String::new(),
                Value::Object(_) | Value::Array(_) => {
                    format!("{margin}{name}:\n{}", block(value, indent + 2))
                }
                _ => format!("{margin}{name}: {}\n", scalar(value)),
            };
            fields.iter().map(line).collect()
        }
        Value::Array(items) => {
            let item = |value: &Value| match value {
                Value::Object(_) | Value::Array(_) => {
                    let inner = block(value, indent + 2);
                    format!("{margin}- {}", inner.get(indent + 2..).unwrap_or("\n"))
                }
                _ => format!("{margin}- {}\n", scalar(value)),
            };
            items.iter().map(item).collect()
        }
        _ => format!("{margin}{}\n", scalar(value)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains('\n') => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: mappings and lists are indented, and what says nothing is left out.
    #[test]
    fn blocks() {
        let value =
            serde_json::json!({"a": 1, "b": null, "c": [{"d": "x", "e": [2, 3]}], "f": {}, "g": {"h": true}});
        let text = "a: 1\nc:\n  - d: x\n    e:\n      - 2\n      - 3\ng:\n  h: true\n";
        assert_eq!(block(&value, 0), text);
    }
}
