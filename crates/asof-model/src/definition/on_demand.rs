//! Reads a view on demand: what a request brings, which views it reads, and the expression of each feature.

use super::collector::{Collector, Object};
use super::keys::{self, Fields};
use super::node::{Content, Entry, quoted};
use super::view;
use crate::name::ViewRef;
use crate::on_demand::{Computation, InputView, OnDemand, RequestField};
use crate::spec::{Feature, View};

/// What a feature may look like.
const EXAMPLE: &str = "{ ratio: { type: float64, expr: amount / income } }";

/// Keys of views that keep rows, and what to do instead.
const OF_STORED: [(&str, &str); 13] = [
    ("entities", "leave it out: its join keys are those of its inputs"),
    ("source", "leave it out: it reads views, which `inputs` names, and what `request` brings"),
    ("in_place", "leave it out: it has no source"),
    ("ttl", "leave it out: each input says how old its values may be"),
    ("keep", "leave it out: each input says how long its values are kept"),
    ("history_keep", "leave it out: nothing of it is stored"),
    ("online", "leave it out: nothing of it is stored"),
    ("edge", "leave it out: it has no windows of its own"),
    ("delay", "leave it out: it has no windows of its own"),
    ("resolution", "leave it out: it has no windows of its own"),
    ("retention", "leave it out: it has no windows of its own"),
    ("freshness", "leave it out: nothing of it is loaded"),
    ("schedule", "leave it out: nothing of it is loaded"),
];

/// The keys that a feature on demand has.
const FEATURE_KEYS: [&str; 6] = ["type", "expr", "default", "description", "owner", "tags"];

/// Whether a view is one on demand: it says what it reads, or computes something and has no source.
pub(super) fn is_meant(fields: &Fields<'_>) -> bool {
    let computes = || {
        let features = fields.entry("features").map(|features| features.value.content());
        let Some(Content::Map(features)) = features else { return false };
        let mut features = features.iter();
        features.any(|feature| match feature.value.content() {
            Content::Map(keys) => keys.iter().any(|key| key.key.text == "expr"),
            _ => false,
        })
    };
    fields.entry("request").is_some()
        || fields.entry("inputs").is_some()
        || (fields.entry("source").is_none() && computes())
}

/// Reads it into `view`. What could not be read is left out, with a problem.
pub(super) fn read(
    view: &mut View,
    object: &Object,
    entry: &Entry,
    fields: &Fields<'_>,
    out: &mut Collector,
) {
    for (key, hint) in OF_STORED {
        if let Some(entry) = fields.entry(key) {
            let message = format!("`{key}` is for views that keep rows, and {object} is computed on demand");
            out.problem(entry.key.at, message, Some(hint.to_owned()));
        }
    }
    if fields.entry("request").is_none() && fields.entry("inputs").is_none() {
        let message = format!("{object} has neither `inputs` nor `request`, so its expressions read nothing");
        let hint = "name the views it reads: `inputs: [trips]`, or what a request brings: `request: { amount: float64 }`";
        out.problem(entry.key.at, message, Some(hint.to_owned()));
    }
    let on_demand = OnDemand { request: request(fields, out), inputs: inputs(view, object, fields, out) };
    let feature = |entry: &Entry, out: &mut Collector| feature(object, entry, out);
    view.features = view::features(object, entry, fields, EXAMPLE, feature, out);
    for feature in &view.features {
        if on_demand.request.iter().any(|field| field.name == feature.name) {
            let message =
                format!("{} is both a request field and a feature of {object}", quoted(&feature.name));
            let hint = "name the feature otherwise: both are columns of a training set".to_owned();
            out.problem_in(object, &format!("features.{}", feature.name), message, Some(hint));
        }
    }
    view.sunset = fields.text("sunset", out).and_then(|(text, at)| view::sunset(text, at, out));
    view.on_demand = Some(on_demand);
    view.about = fields.about(out);
}

/// `request`: field to type.
fn request(fields: &Fields<'_>, out: &mut Collector) -> Vec<RequestField> {
    const FIELDS: &str = "{ amount: float64 }";
    let mut request = Vec::new();
    let entries = fields.map("request", FIELDS, out);
    if let (true, Some(entry)) = (entries.is_empty(), fields.entry("request"))
        && entry.value.described() == "a mapping"
    {
        out.problem(entry.key.at, "`request` names no field", Some(format!("write `request: {FIELDS}`")));
    }
    for field in entries {
        out.check_name(&field.key.text, "request field", field.key.at);
        let what = format!("the type of request field {}", quoted(&field.key.text));
        let Some(name) = keys::text(&field.value, &what, field.key.at, out) else { continue };
        if let Some(value_type) = keys::value_type(name, field.value.at, out) {
            request.push(RequestField { name: field.key.text.clone(), value_type });
        }
    }
    request
}

/// `inputs`: a list of views, or one view.
fn inputs(view: &View, object: &Object, fields: &Fields<'_>, out: &mut Collector) -> Vec<InputView> {
    const VIEWS: &str = "write `inputs: [trips, riders@2]`";
    let mut inputs: Vec<InputView> = Vec::new();
    let Some(entry) = fields.entry("inputs") else { return inputs };
    let one = std::slice::from_ref(&entry.value);
    let items = match entry.value.content() {
        Content::List(items) => items.as_slice(),
        Content::Scalar { .. } if !entry.value.is_null() => one,
        _ => {
            let message = format!("`inputs` is a list of views, and this is {}", entry.value.described());
            out.problem(entry.key.at, message, Some(VIEWS.to_owned()));
            return inputs;
        }
    };
    if items.is_empty() {
        out.problem(entry.key.at, "`inputs` names no view", Some(VIEWS.to_owned()));
    }
    for item in items {
        let Some(text) = keys::text(item, "an item of `inputs`", item.at, out) else { continue };
        let Some(reference) = ViewRef::parse(text) else {
            let hint = "a view is `name`, or pinned to a version `name@2`".to_owned();
            out.problem(item.at, format!("{} does not name a view", quoted(text)), Some(hint));
            continue;
        };
        if reference.name == view.id.name {
            let message = format!("{object} has an input of its own name");
            let hint =
                "its expressions could not tell the features of both apart; give the view another name";
            out.problem(item.at, message, Some(hint.to_owned()));
            continue;
        }
        if inputs.iter().any(|known| known.view == reference.name) {
            let message = format!("view {} is listed twice", quoted(&reference.name));
            let hint = "expressions name an input by its name, so one version of it can be read".to_owned();
            out.problem(item.at, message, Some(hint));
            continue;
        }
        out.note(object, format!("inputs.{}", inputs.len()), item.at);
        let pinned = reference.version.is_some();
        inputs.push(InputView { view: reference.name, version: reference.version, pinned });
    }
    inputs
}

fn feature(object: &Object, entry: &Entry, out: &mut Collector) -> Feature {
    let mut feature = view::named(entry, out);
    let name = &entry.key.text;
    let subject = format!("feature {}", quoted(name));
    let example = || Some(format!("write `{name}: {{ type: float64, expr: amount / income }}`"));
    if !matches!(entry.value.content(), Content::Map(_)) {
        let message = format!("{subject} has no `expr`, and {object} is computed on demand");
        out.problem(entry.key.at, message, example());
        return feature;
    }
    let path = format!("features.{name}");
    let Some(fields) = Fields::open(object, &subject, &path, entry, &view::FEATURE_KEYS, out) else {
        return feature;
    };
    for key in view::FEATURE_KEYS.read.iter().filter(|key| !FEATURE_KEYS.contains(key)) {
        if let Some(entry) = fields.entry(key) {
            let message =
                format!("`{key}` is for views that aggregate events, and {object} is computed on demand");
            let hint = "aggregate in a view of its own, and name that in `inputs`".to_owned();
            out.problem(entry.key.at, message, Some(hint));
        }
    }
    match fields.filled_text("expr", out) {
        Some((expr, _)) => {
            feature.computation = Some(Computation { expr: expr.to_owned(), meaning: None });
        }
        None if fields.entry("expr").is_none() => {
            let message = format!("{subject} has no `expr`, and {object} is computed on demand");
            out.problem(entry.key.at, message, example());
        }
        None => {}
    }
    let known = fields.text("type", out).and_then(|(text, at)| keys::value_type(text, at, out));
    if fields.entry("type").is_none() {
        out.problem(entry.key.at, format!("{subject} has no `type`"), example());
    }
    if let Some(value_type) = known {
        feature.value_type = value_type;
        feature.default = view::default(name, value_type, &fields, out);
    }
    feature.about = fields.about(out);
    feature
}
