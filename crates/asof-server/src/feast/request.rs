//! The body of a request, read as Feast's server reads it. Keys that are not known are left alone.
//!
//! A body that is as most are is read in one pass, without building a tree of it. Whatever is out of the ordinary goes the
//! careful way, which says everything that is wrong; where both read a body, they read the same.

use std::borrow::Cow;

use asof_model::{Instant, Zone};
use asof_store::request::Wanted;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::problem::Problem;
use crate::entity::{Given, Named};
use crate::strict;

/// The most bytes of a wrong input that an error repeats.
const ECHOED_BYTES_MAX: usize = 1_000;

/// A request as it was read.
#[derive(Debug, PartialEq)]
pub(super) struct FeastRequest<'b> {
    /// The columns of the entity rows, in request order.
    pub entities: Named<'b, Vec<Given<'b>>>,
    /// What is asked for, as JSON: a list of features, or the name of a service.
    pub wanted: Cow<'b, str>,
    /// Whether features are called by their full names.
    pub full_names: bool,
    /// Whether the answer says which version of which view answered.
    pub version_metadata: bool,
    /// Whether values past their ttl are returned. An addition of ours.
    pub include_expired: bool,
    /// The instant asked for; `None` is the present. An addition of ours.
    pub now: Option<Instant>,
}

/// The fields of a body that is as most are.
#[derive(Deserialize)]
struct Plain<'b> {
    #[serde(borrow)]
    entities: Named<'b, Vec<Given<'b>>>,
    #[serde(borrow)]
    features: Option<&'b RawValue>,
    #[serde(borrow)]
    feature_service: Option<&'b RawValue>,
    #[serde(default)]
    full_feature_names: bool,
    #[serde(default)]
    include_feature_view_version_metadata: bool,
    #[serde(default)]
    include_expired: bool,
    now: Option<&'b RawValue>,
}

impl<'b> FeastRequest<'b> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Details`] with everything that is wrong.
    pub fn read(body: &'b [u8]) -> Result<Self, Problem> {
        match Self::read_plain(body) {
            Some(request) => Ok(request),
            None => Self::read_carefully(body),
        }
    }

    /// Reads a body that is as most are: it names features or a service, and is well formed.
    fn read_plain(body: &'b [u8]) -> Option<Self> {
        let plain: Plain<'b> = serde_json::from_slice(body).ok()?;
        let wanted = match (plain.features.map(RawValue::get), plain.feature_service.map(RawValue::get)) {
            // A text means the same to every face, so versions in Feast's form are written in ours first.
            (Some(features), None) if features.starts_with("[\"") && !features.contains("@v") => features,
            (None, Some(service)) if service.starts_with('"') && service != "\"\"" => service,
            _ => return None,
        };
        if plain.now.is_some() {
            return None;
        }
        Some(Self {
            entities: plain.entities,
            wanted: Cow::Borrowed(wanted),
            full_names: plain.full_feature_names,
            version_metadata: plain.include_feature_view_version_metadata,
            include_expired: plain.include_expired,
            now: None,
        })
    }

    /// What a text of [`FeastRequest::wanted`] asks for.
    ///
    /// # Errors
    /// [`Problem::Details`] where the list holds something else than texts.
    pub fn wanted(text: &str) -> Result<Wanted, Problem> {
        if let Ok(service) = serde_json::from_str::<String>(text) {
            return Ok(Wanted::Service(service));
        }
        let mut fields = Fields { details: Vec::new() };
        let features = fields.names("features", serde_json::from_str(text).ok());
        match fields.details.is_empty() {
            true => Ok(Wanted::Features(features)),
            false => Err(Problem::Details(fields.details)),
        }
    }

    fn read_carefully(body: &[u8]) -> Result<FeastRequest<'static>, Problem> {
        let mut all = object(body)?;
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
            Some(service) => Json::from(service),
            None => features.iter().map(|feature| reference(feature)).collect(),
        };
        let wanted = Cow::Owned(wanted.to_string());
        Ok(FeastRequest { entities, wanted, full_names, version_metadata, include_expired, now })
    }
}

/// `view@v2:feature`, as Feast pins a version, becomes `view@2:feature`.
pub(crate) fn reference(feature: &str) -> String {
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
    fn entities(
        &mut self,
        given: Option<Json>,
        others: &Map<String, Json>,
    ) -> Named<'static, Vec<Given<'static>>> {
        let columns = match given {
            Some(Json::Object(columns)) => columns,
            Some(other) => {
                self.wrong("dict_type", &["entities"], "Input should be a valid dictionary", &other);
                return Named(Vec::new());
            }
            None => {
                self.wrong("missing", &["entities"], "Field required", &Json::Object(others.clone()));
                return Named(Vec::new());
            }
        };
        let mut entities = Vec::with_capacity(columns.len());
        for (column, values) in columns {
            match values {
                Json::Array(values) => {
                    entities.push((Cow::Owned(column), values.iter().map(Given::of).collect()));
                }
                other => {
                    self.wrong("list_type", &["entities", &column], "Input should be a valid list", &other)
                }
            }
        }
        Named(entities)
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

/// A body that is a JSON object.
///
/// # Errors
/// [`Problem::Details`] for any other.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Json>, Problem> {
    let wrong = |detail| Err(Problem::Details(vec![detail]));
    if body.is_empty() {
        return wrong(detail("missing", &[], "Field required", &Json::Null));
    }
    match strict::read(body) {
        Ok(Json::Object(all)) => Ok(all),
        Ok(other) => {
            let message = "Input should be a valid dictionary or object to extract fields from";
            wrong(detail("model_attributes_type", &[], message, &other))
        }
        Err(error) => wrong(not_json(body, &error)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts of bodies: right ones, and ones that are nearly right.
    fn value() -> impl Strategy<Value = String> {
        let scalars = prop::sample::select(vec![
            "1",
            "-7",
            "1.5",
            "1e3",
            "9223372036854775808",
            "null",
            "true",
            "\"a\"",
            "\"\\u00e9\"",
            "[1]",
            "{}",
        ]);
        scalars.prop_map(str::to_owned)
    }

    fn body() -> impl Strategy<Value = String> {
        let column =
            (prop::sample::select(vec!["id", "\\u0069d", "b"]), prop::collection::vec(value(), 0..4))
                .prop_map(|(name, values)| format!("\"{name}\":[{}]", values.join(",")));
        let entities = prop::collection::vec(column, 0..3)
            .prop_map(|columns| format!("\"entities\":{{{}}}", columns.join(",")));
        let field = prop_oneof![
            4 => entities,
            4 => prop::collection::vec(prop::sample::select(vec!["\"v:a\"", "\"v@v2:b\"", "7"]), 0..4)
                .prop_map(|names| format!("\"features\":[{}]", names.join(","))),
            1 => value().prop_map(|value| format!("\"feature_service\":{value}")),
            1 => value().prop_map(|value| format!("\"full_feature_names\":{value}")),
            1 => value().prop_map(|value| format!("\"include_expired\":{value}")),
            1 => value().prop_map(|value| format!("\"now\":{value}")),
            1 => value().prop_map(|value| format!("\"other\":{value}")),
        ];
        prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(",")))
    }

    proptest! {
        /// Goal: what is read in one pass is what the careful way reads.
        #[test]
        fn plain_is_careful(body in body()) {
            if let Some(plain) = FeastRequest::read_plain(body.as_bytes()) {
                let careful = FeastRequest::read_carefully(body.as_bytes());
                match FeastRequest::wanted(&plain.wanted) {
                    Ok(wanted) => {
                        let careful = careful.map_err(|problem| TestCaseError::fail(format!("{problem:?}")))?;
                        prop_assert_eq!(wanted, FeastRequest::wanted(&careful.wanted).unwrap());
                        prop_assert_eq!(FeastRequest { wanted: Cow::Borrowed(""), ..plain },
                            FeastRequest { wanted: Cow::Borrowed(""), ..careful });
                    }
                    Err(_) => prop_assert!(careful.is_err()),
                }
            }
        }
    }
}
