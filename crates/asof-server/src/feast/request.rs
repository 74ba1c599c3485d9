//! The body of a request, read as Feast's server reads it. Keys that are not known are left alone.

use asof_model::{Instant, Zone};
use asof_store::request::Wanted;
use serde_json::{Map, Value as Json, json};

use super::problem::Problem;
use crate::strict;

/// The most bytes of a wrong input that an error repeats.
const ECHOED_BYTES_MAX: usize = 1_000;

/// A request as it was read.
#[derive(Debug)]
pub(super) struct FeastRequest {
    /// The columns of the entity rows, in request order.
    pub entities: Vec<(String, Vec<Json>)>,
    /// What is asked for.
    pub wanted: Wanted,
    /// Whether features are called by their full names.
    pub full_names: bool,
    /// Whether the answer says which version of which view answered.
    pub version_metadata: bool,
    /// Whether values past their ttl are returned. An addition of ours.
    pub include_expired: bool,
    /// The instant asked for; `None` is the present. An addition of ours.
    pub now: Option<Instant>,
}

impl FeastRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Details`] with everything that is wrong.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Err(Problem::Details(vec![detail("missing", &[], "Field required", &Json::Null)]));
        }
        let mut all = match strict::read(body) {
            Ok(Json::Object(all)) => all,
            Ok(other) => {
                let message = "Input should be a valid dictionary or object to extract fields from";
                return Err(Problem::Details(vec![detail("model_attributes_type", &[], message, &other)]));
            }
            Err(error) => return Err(Problem::Details(vec![not_json(body, &error)])),
        };
        let mut fields = Fields { details: Vec::new() };
        let given = all.remove("entities");
        let entities = fields.entities(given, &all);
        let features = fields.names("features", all.remove("features"));
        let service = fields.name("feature_service", all.remove("feature_service"));
        let full_names = fields.flag("full_feature_names", &all);
        let version_metadata = fields.flag("include_feature_view_version_metadata", &all);
        let include_expired = fields.flag("include_expired", &all);
        let now = fields.instant("now", &all);
        if !fields.details.is_empty() {
            return Err(Problem::Details(fields.details));
        }
        let wanted = match service.filter(|name| !name.is_empty()) {
            Some(service) => Wanted::Service(service),
            None => Wanted::Features(features.iter().map(|feature| reference(feature)).collect()),
        };
        Ok(Self { entities, wanted, full_names, version_metadata, include_expired, now })
    }
}

/// `view@v2:feature`, as Feast pins a version, becomes `view@2:feature`.
fn reference(feature: &str) -> String {
    match feature.split_once("@v") {
        Some((view, rest)) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("{view}@{rest}")
        }
        _ => feature.to_owned(),
    }
}

/// Reads fields and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Fields {
    pub details: Vec<Json>,
}

impl Fields {
    fn entities(&mut self, given: Option<Json>, others: &Map<String, Json>) -> Vec<(String, Vec<Json>)> {
        let columns = match given {
            Some(Json::Object(columns)) => columns,
            Some(other) => {
                self.wrong("dict_type", &["entities"], "Input should be a valid dictionary", &other);
                return Vec::new();
            }
            None => {
                self.wrong("missing", &["entities"], "Field required", &Json::Object(others.clone()));
                return Vec::new();
            }
        };
        let mut entities = Vec::with_capacity(columns.len());
        for (column, values) in columns {
            match values {
                Json::Array(values) => entities.push((column, values)),
                other => {
                    self.wrong("list_type", &["entities", &column], "Input should be a valid list", &other)
                }
            }
        }
        entities
    }

    pub fn names(&mut self, field: &str, given: Option<Json>) -> Vec<String> {
        let items = match given {
            None | Some(Json::Null) => return Vec::new(),
            Some(Json::Array(items)) => items,
            Some(other) => {
                self.wrong("list_type", &[field], "Input should be a valid list", &other);
                return Vec::new();
            }
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Json::String(name) => names.push(name),
                other => self.wrong("string_type", &[field], "Input should be a valid string", &other),
            }
        }
        names
    }

    pub fn name(&mut self, field: &str, given: Option<Json>) -> Option<String> {
        match given {
            None | Some(Json::Null) => None,
            Some(Json::String(name)) => Some(name),
            Some(other) => {
                self.wrong("string_type", &[field], "Input should be a valid string", &other);
                None
            }
        }
    }

    pub fn flag(&mut self, field: &str, all: &Map<String, Json>) -> bool {
        match all.get(field) {
            None => false,
            Some(Json::Bool(flag)) => *flag,
            Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                self.wrong("bool_parsing", &[field], "Input should be a valid boolean", other);
                false
            }
        }
    }

    fn instant(&mut self, field: &str, all: &Map<String, Json>) -> Option<Instant> {
        let given = all.get(field).filter(|given| !given.is_null())?;
        let read = given.as_str().and_then(|text| Instant::parse(text, &Zone::utc()));
        if read.is_none() {
            self.wrong("datetime_parsing", &[field], "Input should be a valid datetime", given);
        }
        read
    }

    pub fn wrong(&mut self, kind: &str, place: &[&str], message: &str, input: &Json) {
        /// Details beyond this many would only repeat themselves.
        const DETAILS_MAX: usize = 20;
        if self.details.len() < DETAILS_MAX {
            self.details.push(detail(kind, place, message, input));
        }
    }
}

/// One item of FastAPI's `detail` list. A long input is not repeated.
pub(super) fn detail(kind: &str, place: &[&str], message: &str, input: &Json) -> Json {
    let place: Vec<&str> = std::iter::once("body").chain(place.iter().copied()).collect();
    let short = input.to_string().len() <= ECHOED_BYTES_MAX;
    json!({ "type": kind, "loc": place, "msg": message, "input": if short { input.clone() } else { Json::Null } })
}

pub(super) fn not_json(body: &[u8], error: &serde_json::Error) -> Json {
    let before =
        body.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1);
    let position = before.sum::<usize>() + error.column().saturating_sub(1);
    let text = error.to_string();
    let reason = text.split_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    json!({
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": { "error": reason },
    })
}
