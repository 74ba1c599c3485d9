//! The SQL of a source, and what an apply made of it.
//!
//! This crate does not read SQL. What a query says is found out where definitions are applied, and recorded here with
//! the source: the types of the columns it reads, so that a value never changes because a file did, and the texts that
//! tell whether an edit changes values (see [`crate::hash`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Duration;
use crate::types::ValueType;

/// A query between the files of a source and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transform {
    /// As written.
    pub sql: String,
    /// How far before an output row's event the input rows lie that it depends on. `None`: it may depend on all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Duration>,
    /// What an apply made of it. `None`: as read from the files, before an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
}

/// What a query says, as it was typed when it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// Whether each output row is a function of one input row.
    pub row_wise: bool,
    /// The query in one spelling: spaces, letter case and comments don't count.
    pub text: String,
    /// By source: the columns whose types count, by their names here. Of a row-wise query those that its expressions
    /// read; of another one all that it reads.
    pub inputs: BTreeMap<String, BTreeMap<String, ValueType>>,
    /// Whether every other column of the files passes too, untouched. Row-wise only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub star: bool,
    /// Columns that `star` does not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Which rows pass, in a row-wise query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Output>,
    /// The columns that it gives by name.
    pub outputs: BTreeMap<String, Output>,
}

/// One column that a query gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The expression in one spelling.
    pub text: String,
    /// Whether it is a column of the files as it stands there, untouched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Its type. `None` for a column that passes untouched, whose type is the feature's.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
    /// The columns it comes from: `column` of the source itself, `other.column` of another one.
    pub from: Vec<String>,
}

impl Meaning {
    /// The column of the files, by its name here, that the output `name` passes untouched. `None` where it is computed,
    /// or where there is no such output.
    pub fn passes<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.outputs.get(name) {
            Some(output) if output.bare => output.from.first().map(String::as_str),
            Some(_) => None,
            None => (self.star && !self.except.iter().any(|each| each == name)).then_some(name),
        }
    }

    /// Whether there is an output of that name.
    pub fn gives(&self, name: &str) -> bool {
        self.outputs.contains_key(name) || self.passes(name).is_some()
    }

    /// The sources that are read beside `own`, by name.
    pub fn others<'a>(&'a self, own: &'a str) -> impl Iterator<Item = &'a str> {
        self.inputs.keys().map(String::as_str).filter(move |name| *name != own)
    }
}
