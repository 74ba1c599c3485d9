//! Errors as a Feast client understands them.
//!
//! The body of an error that Feast has a class for is a JSON string that contains JSON: module, class and message, from
//! which the client raises its own exception. A body that can't be read as a request gets FastAPI's list of details;
//! a failure of ours is a plain JSON string. The client repeats a request on 500 and 503, so nothing that it can't
//! mend by repeating may have one of these.

use asof_model::{Explain, Kind};
use asof_store::StoreError;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value as Json;

use crate::http::{self, BodyError};
use crate::json::quoted;
use crate::past::GetError;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The body did not arrive.
    Body(BodyError),
    /// The body is not a request: what is wrong, and where.
    Details(Vec<Json>),
    /// The request can't be answered.
    Store(StoreError),
    /// There is no time for it now.
    Busy,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GetError> for Problem {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Store(error) => Self::Store(error),
            GetError::Busy => Self::Busy,
        }
    }
}

impl Problem {
    pub fn into_response(self, project: &str) -> Response {
        match self {
            Self::Body(error) => http::respond(error.status(), quoted(&format!("{error}; {}", error.hint()))),
            Self::Details(details) => {
                let body = Json::from_iter([("detail", Json::Array(details))]);
                http::respond(StatusCode::UNPROCESSABLE_ENTITY, body.to_string())
            }
            Self::Store(error) => from_store(&error, project),
            Self::Busy => http::busy(super::ROUTE),
        }
    }
}

fn from_store(error: &StoreError, project: &str) -> Response {
    let hinted = |text: String| match error.hint() {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    };
    let (class, message) = match error {
        // Clients match on these two sentences.
        StoreError::Unknown { kind: "view", name, .. } => (
            "FeatureViewNotFoundException",
            hinted(format!("Feature view {name} does not exist in project {project}")),
        ),
        StoreError::Unknown { kind: "service", name, .. } => (
            "FeatureServiceNotFoundException",
            hinted(format!("Feature service {name} does not exist in project {project}")),
        ),
        StoreError::SameName { .. } => ("FeatureNameCollisionError", hinted(error.to_string())),
        other if other.kind() == Kind::NotFound => {
            ("FeastObjectNotFoundException", hinted(error.to_string()))
        }
        _ => ("FeastError", hinted(error.to_string())),
    };
    let status = match error.kind() {
        // What was not backfilled or is past its sunset will not be mended by repeating either.
        Kind::Conflict => StatusCode::UNPROCESSABLE_ENTITY,
        kind => http::status(kind),
    };
    if status.is_server_error() {
        http::log_failure(error);
        return http::respond(status, quoted(&message));
    }
    raised(status, class, &message)
}

/// An error that a client raises as its own.
pub(super) fn raised(status: StatusCode, class: &str, message: &str) -> Response {
    let inner = format!(
        "{{\"module\": \"feast.errors\", \"class\": {}, \"message\": {}}}",
        quoted(class),
        quoted(message)
    );
    http::respond(status, quoted(&inner))
}
