//! The description of every route in OpenAPI 3.1, made from types.
//!
//! Requests are read and answers are written by hand, where speed and exact bytes matter; the types here say what they
//! look like. Tests hold real requests and answers against them.

#![expect(dead_code, reason = "types that describe are read by the macros alone")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use crate::{feast, http, native, push, ready};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Asof",
        description = "Feature values for entity keys, each as it was known at one instant `t`. The meaning of a value \
                       is in docs/semantics.md, that of a route in docs/http.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        native::online_features,
        feast::get_online_features,
        push::push,
        feast::write::push,
        feast::write::write_to_online_store,
        feast::materialize::materialize,
        feast::materialize::materialize_incremental,
        ready::ready,
        ready::health,
        http::exported,
        document
    )
)]
struct Api;

/// `GET /openapi.json`: this description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    responses((status = 200, description = "The description of every route, in OpenAPI 3.1", body = OpenApiDocument))
)]
pub(crate) async fn document() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default());
    http::respond(StatusCode::OK, TEXT.as_str())
}

/// Any JSON of one of these types.
fn one_of(types: impl IntoIterator<Item = Type>, description: &str) -> RefOr<Schema> {
    let types = SchemaType::from_iter(types);
    ObjectBuilder::new().schema_type(types).description(Some(description)).build().into()
}

/// A value of a join key, in a request.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct KeyValue(serde_json::Value);

impl PartialSchema for KeyValue {
    fn schema() -> RefOr<Schema> {
        let says =
            "A join key: text, number or boolean that its declared type takes without loss; null is MISSING";
        one_of([Type::String, Type::Number, Type::Boolean, Type::Null], says)
    }
}

impl ToSchema for KeyValue {}

/// A feature's value, in an answer.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct FeatureValue(serde_json::Value);

impl PartialSchema for FeatureValue {
    fn schema() -> RefOr<Schema> {
        let says = "A value as its type is written in JSON: floats always with a point or an exponent, NaN and \
                    infinities as text, bytes as base64, instants as RFC 3339 in UTC, dates as YYYY-MM-DD";
        let types = [Type::String, Type::Number, Type::Boolean, Type::Array, Type::Object, Type::Null];
        one_of(types, says)
    }
}

impl ToSchema for FeatureValue {}

/// An instant.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Timestamp(String);

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An instant, RFC 3339, in microseconds"))
            .build()
            .into()
    }
}

impl ToSchema for Timestamp {}

/// The event instant of a value.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct EventTime(Option<String>);

impl PartialSchema for EventTime {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("The event instant of the row that was met; null where none was"))
            .build()
            .into()
    }
}

impl ToSchema for EventTime {}

/// Any JSON object.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct OpenApiDocument(serde_json::Value);

impl PartialSchema for OpenApiDocument {
    fn schema() -> RefOr<Schema> {
        one_of([Type::Object], "An OpenAPI document")
    }
}

impl ToSchema for OpenApiDocument {}

/// Rows for a source.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushRows {
    /// The source.
    source: String,
    /// The rows, with the columns of the source by their names in its files.
    #[schema(max_items = 100_000)]
    rows: Vec<BTreeMap<String, serde_json::Value>>,
    /// What tells this push from all others; also the header `Idempotency-Key`. Pushed again, it changes nothing.
    key: Option<String>,
}

/// Rows for a source, column by column.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastPush {
    /// The source.
    push_source_name: String,
    /// Column: a value for each row.
    df: BTreeMap<String, Vec<serde_json::Value>>,
    /// `online`, `offline` or `online_and_offline`; rows go everywhere.
    to: Option<String>,
    /// Without effect.
    #[serde(default)]
    allow_registry_cache: bool,
    /// Without effect.
    #[serde(default)]
    transform_on_write: bool,
}

/// Rows for a view, column by column.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastWrite {
    /// The view, with or without version.
    feature_view_name: String,
    /// Join keys, features, `event_timestamp` and `created`: a value for each row. Times without offset are UTC, and instants
    /// may be seconds since 1970.
    df: BTreeMap<String, Vec<serde_json::Value>>,
    /// Without effect.
    #[serde(default)]
    allow_registry_cache: bool,
    /// Without effect.
    #[serde(default)]
    transform_on_write: bool,
}

/// A load of a range.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastMaterialize {
    /// Events from here on. Times without offset are UTC. Needed unless `disable_event_timestamp`.
    start_ts: Option<String>,
    /// Events up to here, this one included. Needed unless `disable_event_timestamp`.
    end_ts: Option<String>,
    /// The views; by default all.
    feature_views: Option<Vec<String>>,
    /// Whether to load all that there is.
    #[serde(default)]
    disable_event_timestamp: bool,
    /// Without effect.
    #[serde(default)]
    full_feature_names: bool,
    /// A version of the one view, like `v2`.
    version: Option<String>,
}

/// A load of what came since the last one.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastIncremental {
    /// Events up to here, this one included. Times without offset are UTC.
    end_ts: String,
    /// The views; by default all.
    feature_views: Option<Vec<String>>,
    /// Without effect.
    #[serde(default)]
    full_feature_names: bool,
    /// A version of the one view, like `v2`.
    version: Option<String>,
}

/// A load that has begun.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastAccepted {
    /// `accepted`.
    status: String,
    /// The views that are loaded.
    feature_views: Vec<String>,
}

/// A load that must wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastConflict {
    /// What is wrong.
    error: String,
    /// The views that are being loaded.
    feature_views: Vec<String>,
}

/// What came of a push.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PushAnswer {
    /// The source.
    source: String,
    /// Rows that are durable.
    accepted: u64,
    /// Rows that no view over the source can take.
    rejected: u64,
    /// The first of them, each with its reason.
    reasons: Vec<RejectedRow>,
    /// The log positions of the accepted rows, first and last; null where there is none.
    positions: Option<Vec<u64>>,
    /// Whether the same push came before: nothing was done.
    repeat: bool,
    /// `exactly once` where the same rows, pushed again, count once; else `at least once`.
    delivery: String,
    /// The views that take them.
    views: Vec<String>,
}

/// A row that was not taken.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RejectedRow {
    /// Its place in the push, from 1.
    row: u64,
    /// Why.
    reason: String,
}

/// What is asked for: a service or features.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OnlineRequest {
    /// The features of a service.
    Service(ServiceRequest),
    /// Features by name.
    Features(FeaturesRequest),
}

/// A request for the features of a service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceRequest {
    /// The service.
    service: String,
    /// A row for each entity, with every join key that the request needs. By default one row without keys.
    #[schema(max_items = 10_000, nullable = false)]
    entities: Option<Vec<BTreeMap<String, KeyValue>>>,
    /// The instant asked for, not beyond the server's clock. By default the present.
    now: Option<Timestamp>,
    /// Whether features are called `view__feature` or `alias__feature`.
    #[serde(default)]
    full_names: bool,
    /// Whether values past their ttl are returned, with their status.
    #[serde(default)]
    include_expired: bool,
    /// Features, by their names in the answer, that must not be MISSING; true for all of them.
    #[schema(nullable = false)]
    required: Option<Required>,
    /// Whether an answer as an Arrow table has columns of statuses. JSON always has them.
    #[serde(default)]
    statuses: bool,
}

/// A request for features by name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeaturesRequest {
    /// `view:feature`, `view@2:feature` or `view:*`.
    features: Vec<String>,
    /// A row for each entity, with every join key that the request needs. By default one row without keys.
    #[schema(max_items = 10_000, nullable = false)]
    entities: Option<Vec<BTreeMap<String, KeyValue>>>,
    /// The instant asked for, not beyond the server's clock. By default the present.
    now: Option<Timestamp>,
    /// Whether features are called `view__feature` or `alias__feature`.
    #[serde(default)]
    full_names: bool,
    /// Whether values past their ttl are returned, with their status.
    #[serde(default)]
    include_expired: bool,
    /// Features, by their names in the answer, that must not be MISSING; true for all of them.
    #[schema(nullable = false)]
    required: Option<Required>,
    /// Whether an answer as an Arrow table has columns of statuses. JSON always has them.
    #[serde(default)]
    statuses: bool,
}

/// Which features must not be MISSING.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Required {
    /// All, or none.
    All(bool),
    /// Those, by their names in the answer.
    Named(Vec<String>),
}

/// An answer in Asof's own shape.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlineAnswer {
    /// The instant that all values hold for.
    t: Timestamp,
    /// A row for each entity row of the request.
    rows: Vec<OnlineRow>,
    /// View to the commit of its history that the answer reflects. Empty where history itself answered.
    positions: BTreeMap<String, u64>,
    /// View to the milliseconds from its newest event to `t`; left out for a view that has no event.
    freshness_ms: BTreeMap<String, i64>,
    /// Views that are behind their freshness promise; left out where none is.
    #[schema(nullable = false)]
    degraded: Option<Vec<String>>,
}

/// One row of an answer, by the names of the features.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlineRow {
    /// The values.
    features: BTreeMap<String, FeatureValue>,
    /// Why each value is what it is.
    statuses: BTreeMap<String, ValueStatus>,
    /// The event instant of the row that was met; null where none was.
    events: BTreeMap<String, EventTime>,
}

/// Why a value is what it is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ValueStatus {
    Present,
    Null,
    Missing,
    OutsideTtl,
    Error,
}

/// The class of an error.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    NotFound,
    Invalid,
    Conflict,
    Unavailable,
    Corrupt,
}

/// An error in Asof's own shape.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlineError {
    error: ErrorBody,
}

/// What is wrong.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorBody {
    kind: ErrorKind,
    /// What is wrong.
    message: String,
    /// What to do next.
    #[schema(required)]
    hint: Option<String>,
}

/// A request in Feast's shape. Fields that are not known are left alone.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastRequest {
    /// Join key to its values, one for each entity row.
    entities: BTreeMap<String, Vec<KeyValue>>,
    /// `view:feature`.
    features: Option<Vec<String>>,
    /// Instead of `features`.
    feature_service: Option<String>,
    /// Whether features are called `view__feature`.
    #[serde(default)]
    full_feature_names: bool,
    /// Whether the answer says which version of which view answered.
    #[serde(default)]
    include_feature_view_version_metadata: bool,
    /// Whether values past their ttl are returned. An addition to Feast's shape.
    #[serde(default)]
    include_expired: bool,
    /// The instant asked for. An addition to Feast's shape.
    now: Option<Timestamp>,
}

/// An answer in Feast's shape: columns of join keys, then of features, in the order of `feature_names`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastAnswer {
    results: Vec<FeastColumn>,
    metadata: FeastMetadata,
}

/// One column, a value for each entity row.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastColumn {
    values: Vec<FeatureValue>,
    statuses: Vec<FeastStatus>,
    /// Left out where there are no rows.
    #[schema(nullable = false)]
    event_timestamps: Option<Vec<Timestamp>>,
}

/// Why a value is what it is, in Feast's words.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum FeastStatus {
    Present,
    NullValue,
    NotFound,
    OutsideMaxAge,
    Invalid,
}

/// What the columns are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastMetadata {
    feature_names: Vec<String>,
    /// Where asked for.
    #[schema(nullable = false)]
    feature_view_metadata: Option<Vec<FeastView>>,
}

/// A view that answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastView {
    name: String,
    version: u32,
}

/// An error in Feast's shape.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FeastError {
    /// Text, which for errors that Feast has a class for is itself JSON with module, class and message.
    Text(String),
    /// Everything that is wrong with a body.
    Details(FeastDetails),
}

/// Everything that is wrong with a body.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeastDetails {
    detail: Vec<FeastDetail>,
}

/// One thing that is wrong with a body.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FeastDetail {
    /// What kind of mistake it is.
    #[serde(rename = "type")]
    kind: String,
    /// Where it is: field names, and positions in the text.
    loc: Vec<KeyValue>,
    /// What is wrong.
    msg: String,
}

/// Whether requests can be answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Readiness {
    ready: bool,
    /// The registry revision that is served; 0 where nothing was applied.
    revision: u64,
    /// Why not.
    #[schema(nullable = false)]
    reasons: Option<Vec<Reason>>,
}

/// One reason.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    kind: ErrorKind,
    /// What is wrong.
    message: String,
    /// What is behind it, the nearest first.
    causes: Vec<String>,
    /// What to do next.
    #[schema(required)]
    hint: Option<String>,
}
