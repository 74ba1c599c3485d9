//! A body of named fields, and a table by columns within it, read as Feast's server reads them: everything that is wrong is
//! told at once, each with its place.

use serde_json::{Map, Value as Json};

use super::problem::Problem;
use super::request::{Fields, object};

/// A body, field by field. Fields that are not asked for are left alone.
pub(super) struct Body {
    all: Map<String, Json>,
    fields: Fields,
}

/// A table: columns by name, all of one length.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Its columns, in the order given.
    pub columns: Map<String, Json>,
    /// Its rows.
    pub rows: usize,
}

impl Body {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Details`] for what is no JSON object.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        Ok(Self { all: object(body)?, fields: Fields::default() })
    }

    /// A text that must be there; empty where it is not.
    pub fn text(&mut self, field: &str) -> String {
        match self.all.get(field) {
            Some(Json::String(text)) => text.clone(),
            Some(other) => {
                self.fields.wrong("string_type", &[field], "Input should be a valid string", other);
                String::new()
            }
            None => {
                self.missing(field);
                String::new()
            }
        }
    }

    /// A text that may be left out.
    pub fn text_or_none(&mut self, field: &str) -> Option<String> {
        let given = self.all.get(field).cloned();
        self.fields.name(field, given)
    }

    /// A list of texts that may be left out.
    pub fn texts(&mut self, field: &str) -> Option<Vec<String>> {
        let given = self.all.get(field).filter(|given| !given.is_null()).cloned()?;
        Some(self.fields.names(field, Some(given)))
    }

    /// A flag that may be left out.
    pub fn flag(&mut self, field: &str) -> bool {
        self.fields.flag(field, &self.all)
    }

    /// A table that must be there.
    pub fn table(&mut self, field: &str) -> Table {
        let columns = match self.all.remove(field) {
            Some(Json::Object(columns)) => columns,
            Some(other) => {
                self.fields.wrong("dict_type", &[field], "Input should be a valid dictionary", &other);
                return Table::default();
            }
            None => {
                self.missing(field);
                return Table::default();
            }
        };
        let mut rows = None;
        for (column, values) in &columns {
            let Json::Array(values) = values else {
                self.fields.wrong("list_type", &[field, column], "Input should be a valid list", values);
                continue;
            };
            if *rows.get_or_insert(values.len()) != values.len() {
                let message = "All columns should have the same length";
                self.fields.wrong("value_error", &[field, column], message, &Json::from(values.len()));
            }
        }
        Table { columns, rows: rows.unwrap_or(0) }
    }

    /// Says that something is wrong with a field.
    pub fn wrong(&mut self, field: &str, message: &str) {
        let given = self.all.get(field).cloned().unwrap_or_default();
        self.fields.wrong("value_error", &[field], message, &given);
    }

    /// Whether all that was read is right.
    ///
    /// # Errors
    /// [`Problem::Details`] with everything that is not.
    pub fn check(self) -> Result<(), Problem> {
        match self.fields.details.is_empty() {
            true => Ok(()),
            false => Err(Problem::Details(self.fields.details)),
        }
    }

    fn missing(&mut self, field: &str) {
        let others = Json::Object(self.all.clone());
        self.fields.wrong("missing", &[field], "Field required", &others);
    }
}
