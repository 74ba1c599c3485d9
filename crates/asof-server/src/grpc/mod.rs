//! gRPC, on the port of HTTP: `asof.v1.FeatureStore`, Feast's `feast.serving.ServingService`, health and reflection.
//!
//! The same plans, answers and errors as over HTTP; only the form is another one. Answers are written from stored bytes
//! to the bytes of their messages.

mod feast;
mod health;
mod native;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::entry::Raw;
use asof_model::{Explain, Kind, Value, ValueType};
use asof_proto::given::GivenError;
use asof_proto::servers;
use asof_store::StoreError;
use asof_store::get::{CellRef, ValueRef};
use asof_store::request::RequestPlan;
use axum::Router;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::http::BODY_BYTES_MAX;
use crate::past::GetError;
use crate::serving::Serving;
use crate::{entity, http};

/// The names of the services, as reflection and health know them.
const SERVICES: [&str; 2] = ["asof.v1.FeatureStore", "feast.serving.ServingService"];

/// The routes of all services.
pub(crate) fn routes(serving: &Arc<Serving>) -> Router {
    let ours = servers::asof::feature_store_server::FeatureStoreServer::new(native::Native(serving.clone()))
        .max_decoding_message_size(BODY_BYTES_MAX);
    let feast =
        servers::feast::serving_service_server::ServingServiceServer::new(feast::Feast(serving.clone()))
            .max_decoding_message_size(BODY_BYTES_MAX);
    let health = tonic_health::pb::health_server::HealthServer::new(health::Health(serving.clone()));
    let mut routes = Routes::new(ours).add_service(feast).add_service(health);
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(asof_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Clients ask for either version. The descriptors were made by a compiler: there is nothing to go wrong with them.
    if let (Ok(newer), Ok(older)) = (described().build_v1(), described().build_v1alpha()) {
        routes = routes.add_service(newer).add_service(older);
    }
    routes.prepare().into_axum_router()
}

/// Whether a path is one of a service.
pub(crate) fn is_route(path: &str) -> bool {
    ["/asof.v1.", "/feast.serving.", "/grpc."].iter().any(|start| path.starts_with(start))
}

/// An error as the status of a call.
fn status(error: &StoreError) -> Status {
    http::log_failure(error);
    let code = match error.kind() {
        _ if error.is_full() => Code::ResourceExhausted,
        Kind::NotFound => Code::NotFound,
        Kind::Invalid => Code::InvalidArgument,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::Unavailable => Code::Unavailable,
        Kind::Corrupt => Code::DataLoss,
    };
    let message = match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    Status::new(code, message)
}

/// Why a request has no answer, as the status of a call.
fn refused(error: GetError) -> Status {
    match error {
        GetError::Store(error) => status(&error),
        GetError::Busy => Status::unavailable("the server is busy (try again in a second)"),
    }
}

/// Columns of a request: a value per entity row.
type Columns = BTreeMap<String, Vec<Option<Value>>>;

/// The join keys and the other columns of a request that its plan reads, and the number of entity rows. `scalars` reads a
/// column.
fn request_columns<T>(
    plan: &RequestPlan,
    given: &BTreeMap<String, T>,
    scalars: impl Fn(&T) -> Result<Vec<Option<Raw<'_>>>, GivenError>,
) -> Result<(Columns, Columns, usize), StoreError> {
    let (mut columns, mut fields) = (Columns::new(), Columns::new());
    let mut rows = None;
    for (column, values) in given {
        let wrong = |error: GivenError| StoreError::Request {
            message: format!("column `{column}`: {error}"),
            hint: None,
        };
        let read = scalars(values).map_err(wrong)?;
        let first = *rows.get_or_insert(read.len());
        if read.len() != first {
            return Err(StoreError::Request {
                message: format!("column `{column}` has {} values, others have {first}", read.len()),
                hint: Some("give each column one value for each entity row".to_owned()),
            });
        }
        if let Some(field) = plan.on_demand.request.iter().find(|field| field.name == *column) {
            let value = |(row, raw): (usize, &Option<Raw<'_>>)| {
                raw.map(|raw| entity::raw_field(field, row, raw)).transpose()
            };
            let values = read.iter().enumerate().map(value).collect::<Result<_, _>>()?;
            fields.insert(column.clone(), values);
        }
        let Some((_, declared)) = plan.key_columns.iter().find(|(known, _)| known == column) else {
            continue;
        };
        columns.insert(column.clone(), key_values(column, *declared, read)?);
    }
    for (wanted, _) in plan.key_columns.iter().filter(|(wanted, _)| !given.contains_key(wanted)) {
        if let Some(join) = entity::needed_by(plan, wanted) {
            return Err(StoreError::MissingKey {
                key: wanted.clone(),
                view: join.view.id.clone(),
                hint: Some(entity::missing_hint(plan, wanted, given.keys().map(String::as_str))),
            });
        }
    }
    Ok((columns, fields, rows.unwrap_or(1)))
}

fn key_values(
    column: &str,
    declared: ValueType,
    read: Vec<Option<Raw<'_>>>,
) -> Result<Vec<Option<Value>>, StoreError> {
    let value = |(row, raw): (usize, Option<Raw<'_>>)| {
        raw.map(|raw| entity::raw_key(column, row, declared, raw)).transpose()
    };
    read.into_iter().enumerate().map(value).collect()
}

/// Shows a value of an answer as a cell of a message.
fn with_cell<T>(value: Option<ValueRef<'_>>, show: impl FnOnce(asof_proto::Cell<'_>) -> T) -> T {
    use asof_proto::Cell;
    let stored = match value {
        None => return show(Cell::Null),
        Some(ValueRef::Held(value)) => return show(Cell::from(value)),
        Some(ValueRef::Stored(stored)) => stored,
    };
    if let CellRef::Nested(..) = stored {
        let held = stored.to_cell();
        return show(Cell::from(held.value()));
    }
    show(match stored {
        CellRef::Null | CellRef::Error | CellRef::Nested(..) => Cell::Null,
        CellRef::Int32(v) => Cell::Int32(v),
        CellRef::Int64(v) => Cell::Int64(v),
        CellRef::Float32(v) => Cell::Float32(v),
        CellRef::Float64(v) => Cell::Float64(v),
        CellRef::String(v) => Cell::String(v),
        CellRef::Bool(v) => Cell::Bool(v),
        CellRef::Bytes(v) => Cell::Bytes(v),
        CellRef::Timestamp(v) => Cell::Timestamp(v),
        CellRef::Date(v) => Cell::Date(v),
        CellRef::Decimal(v) => Cell::Decimal(v),
        CellRef::Uuid(v) => Cell::Uuid(v),
        CellRef::Json(v) => Cell::Json(v),
    })
}

/// A list of names as the JSON text that names a plan.
fn features_text(names: &[String]) -> Cow<'static, str> {
    // A list of texts always has a JSON form.
    Cow::Owned(serde_json::to_string(names).unwrap_or_default())
}
