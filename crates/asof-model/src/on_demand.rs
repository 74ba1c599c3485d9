//! What a view on demand reads and computes, as it is written and as an apply understood it (SEMANTICS 5).
//!
//! This crate does not read expressions. What they say is found out where definitions are applied, and recorded here: the
//! version of each input, and for each feature its expression in one spelling with the names that it reads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{ViewId, ViewRef};
use crate::types::ValueType;

/// What a view on demand reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnDemand {
    /// Values that come with a request, or with a row of a label table, in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<RequestField>,
    /// The views whose features it reads, in the order written. No two have one name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputView>,
}

/// A value that comes with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestField {
    /// The column that carries it.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
}

/// A view whose features are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputView {
    /// The view's name.
    pub view: String,
    /// The version: as written, or as resolved when it was applied.
    pub version: Option<u32>,
    /// Whether the version was written by the user.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

impl InputView {
    /// The view version. `None`: its name was not resolved yet.
    pub fn id(&self) -> Option<ViewId> {
        Some(ViewId::new(self.view.clone(), self.version?))
    }
}

/// As users write it: with the version where there is one.
impl fmt::Display for InputView {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        ViewRef { name: self.view.clone(), version: self.version }.fmt(out)
    }
}

/// What a feature on demand computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computation {
    /// The expression, as written.
    pub expr: String,
    /// What an apply made of it. `None`: as read from the files, before an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<ComputationMeaning>,
}

/// An expression that was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputationMeaning {
    /// The expression in one spelling, every feature with the name of its view: it reads the same whatever features are
    /// added to the inputs.
    pub text: String,
    /// What it reads, in order of first use.
    pub reads: Vec<Read>,
}

/// One thing that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Read {
    /// A field of the request.
    Request(String),
    /// A feature of an input, or of the view itself.
    Feature {
        /// The view's name.
        view: String,
        /// The feature's name.
        feature: String,
    },
}

/// In one spelling, once it was applied.
impl fmt::Display for Computation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.meaning.as_ref().map_or(&self.expr, |meaning| &meaning.text))
    }
}
