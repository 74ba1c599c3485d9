//! `feast.serving.ServingService`, as Feast's clients of other languages call it.

use std::sync::Arc;

use asof_model::{Status as ValueStatus, Value};
use asof_proto::feast_answer::{FeastColumn, feast_answer};
use asof_proto::given::{GivenError, feast_scalar};
use asof_proto::messages::feast::{serving, types};
use asof_proto::servers::feast::serving_service_server::ServingService;
use asof_proto::{Cell, Encoded};
use asof_store::StoreError;
use asof_store::get::{Answer, GetRequest, OpenAnswer};
use tonic::{Request, Response, Status};

use super::{features_text, refused, request_columns, status, with_cell};
use crate::feast::{Problem, reference, wanted};
use crate::json;
use crate::serving::{Planned, Serving, ShapeText};

/// The service over a server's state.
pub(super) struct Feast(pub Arc<Serving>);

#[tonic::async_trait]
impl ServingService for Feast {
    async fn get_feast_serving_info(
        &self,
        _: Request<serving::GetFeastServingInfoRequest>,
    ) -> Result<Response<serving::GetFeastServingInfoResponse>, Status> {
        let version = format!("asof {}", env!("CARGO_PKG_VERSION"));
        Ok(Response::new(serving::GetFeastServingInfoResponse { version }))
    }

    async fn get_online_features(
        &self,
        request: Request<serving::GetOnlineFeaturesRequest>,
    ) -> Result<Response<Encoded>, Status> {
        use serving::get_online_features_request::Kind;
        let mut asked = request.into_inner();
        let text = match &asked.kind {
            Some(Kind::FeatureService(service)) => json::quoted(service).into(),
            Some(Kind::Features(features)) => {
                features_text(&features.val.iter().map(|name| reference(name)).collect::<Vec<_>>())
            }
            None => return Err(Status::invalid_argument("the request names neither features nor a service")),
        };
        let shape = ShapeText { text: &text, full_names: asked.full_feature_names };
        let planned = self.0.plan_of_text(shape, || wanted(&text)).await;
        let (compiled, plan) = planned.map_err(|problem| match problem {
            Problem::Store(error) => status(&error),
            Problem::Busy => Status::unavailable("the server is busy (try again in a second)"),
            Problem::Body(_) | Problem::Details(_) => Status::invalid_argument("the features are no names"),
        })?;
        // Fields of the request are looked up beside join keys.
        for (column, values) in std::mem::take(&mut asked.request_context) {
            asked.entities.entry(column).or_insert(values);
        }
        let read = request_columns(&plan.online.plan, &asked.entities, |column: &types::RepeatedValue| {
            column.val.iter().map(feast_scalar).collect::<Result<Vec<_>, GivenError>>()
        });
        let (entities, fields, rows) = read.map_err(|error| status(&error))?;
        let request =
            GetRequest { entities, fields, rows, now: None, include_expired: false, from_history: false };
        let got = self.0.get(compiled, &plan, &request).await.map_err(refused)?;
        let versions = asked.include_feature_view_version_metadata;
        let written = |got: &Answer| written(&plan, &request, (got, &got.open(&plan.online)?), versions);
        written(&got).map(Response::new).map_err(|error| status(&error))
    }
}

fn written(
    plan: &Planned,
    request: &GetRequest,
    (got, open): (&Answer, &OpenAnswer<'_>),
    versions: bool,
) -> Result<Encoded, StoreError> {
    let corrupt = |wrong: asof_proto::WrongCell| StoreError::Corrupt(wrong.to_string());
    let rows = got.rows();
    let requested = &plan.online.plan;
    let mut tally = plan.tally();
    let mut statuses = Vec::with_capacity(rows);
    let mut columns = Vec::with_capacity(requested.key_columns.len() + requested.columns.len());
    for (name, declared) in &requested.key_columns {
        let mut column = FeastColumn::new(name.as_str(), *declared, rows);
        for value in request.entities.get(name).into_iter().flatten() {
            let status = if value.is_some() { ValueStatus::Present } else { ValueStatus::Missing };
            let value: Option<&Value> = value.as_ref();
            column.push(Cell::from(value), status, None).map_err(corrupt)?;
        }
        columns.push(column);
    }
    for (place, column) in requested.columns.iter().enumerate() {
        let declared = requested.feature(column).value_type;
        let mut written = FeastColumn::new(column.name.as_str(), declared, rows);
        let values = open.column(place);
        statuses.clear();
        for row in 0..rows {
            let cell = values.get(row)?;
            with_cell(cell.value, |value| written.push(value, cell.status, cell.event)).map_err(corrupt)?;
            statuses.push(cell.status);
        }
        tally.add(column, &statuses);
        columns.push(written);
    }
    plan.count(rows, &tally);
    let views: Vec<(&str, u32)> = match versions {
        true => requested.joins.iter().map(|join| (join.prefix.as_str(), join.view.id.version)).collect(),
        false => Vec::new(),
    };
    Ok(Encoded::new(feast_answer(&columns, &views)))
}
