//! What an expression may refer to.

use asof_model::{ValueType, name};

use crate::error::Problem;

/// The columns that an expression may read, and whether it may ask for the instant of the request.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    columns: Vec<(String, ValueType)>,
    table: Option<String>,
    request_timestamp: bool,
}

impl Scope {
    /// A scope of these columns, in this order. `request_timestamp()` is refused unless
    /// [`Scope::with_request_timestamp`] allows it.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, ValueType)>) -> Self {
        let columns = columns.into_iter().map(|(name, of)| (name.into(), of)).collect();
        Self { columns, table: None, request_timestamp: false }
    }

    /// Allows `request_timestamp()`: for on-demand features, where `t` is known.
    pub fn with_request_timestamp(mut self) -> Self {
        self.request_timestamp = true;
        self
    }

    /// Names the table that the columns belong to, so that `table.column` reads one of them.
    pub fn with_table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// The columns with their types.
    pub fn columns(&self) -> impl Iterator<Item = (&str, ValueType)> {
        self.columns.iter().map(|(name, of)| (name.as_str(), *of))
    }

    pub(crate) fn allows_request_timestamp(&self) -> bool {
        self.request_timestamp
    }

    /// Whether `qualifier` is the name of the table.
    pub(crate) fn is_table(&self, qualifier: &str) -> bool {
        self.table.as_deref().is_some_and(|table| table.eq_ignore_ascii_case(qualifier))
    }

    /// The column of that name. A quoted name is exact; another one may differ in letter case from a single column.
    pub(crate) fn find(
        &self,
        wanted: &str,
        exact: bool,
    ) -> Result<(&str, ValueType), (Problem, Option<String>)> {
        if let Some((name, of)) = self.columns.iter().find(|(name, _)| name == wanted) {
            return Ok((name, *of));
        }
        let similar: Vec<&(String, ValueType)> =
            self.columns.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).collect();
        match similar.as_slice() {
            [(name, of)] if !exact => Ok((name, *of)),
            [_, _, ..] if !exact => {
                let names: Vec<String> = similar.iter().map(|(name, _)| format!("`{name}`")).collect();
                let problem =
                    Problem::AmbiguousColumn { name: wanted.to_owned(), candidates: names.join(", ") };
                Err((problem, Some("put the one that is meant in double quotes".to_owned())))
            }
            _ => {
                let known = self.columns.iter().map(|(name, _)| name.as_str());
                let hint = name::suggestion(wanted, known);
                Err((Problem::UnknownColumn { name: wanted.to_owned() }, hint))
            }
        }
    }
}
