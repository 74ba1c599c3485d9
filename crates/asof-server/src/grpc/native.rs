//! `asof.v1.FeatureStore`.

use std::sync::Arc;

use asof_model::Instant;
use asof_proto::answer::{Column, ViewState, answer};
use asof_proto::messages::asof::v1;
use asof_proto::servers::asof::feature_store_server::FeatureStore;
use asof_proto::{Encoded, given};
use asof_store::StoreError;
use asof_store::get::{Answer, GetRequest, OpenAnswer};
use asof_store::push::PushRequest;
use tonic::{Request, Response, Status};

use super::{features_text, refused, request_columns, status, with_cell};
use crate::required::{self, Required};
use crate::serving::{Planned, Serving, ShapeText};
use crate::{json, native, push};

/// The service over a server's state.
pub(super) struct Native(pub Arc<Serving>);

#[tonic::async_trait]
impl FeatureStore for Native {
    async fn get_online_features(
        &self,
        request: Request<v1::GetOnlineFeaturesRequest>,
    ) -> Result<Response<Encoded>, Status> {
        let asked = request.into_inner();
        let text = wanted_text(&asked).map_err(|error| status(&error))?;
        let shape = ShapeText { text: &text, full_names: asked.full_names };
        let planned = self.0.plan_of_text(shape, || native::wanted(&text)).await;
        let (compiled, plan) = planned.map_err(|error: StoreError| status(&error))?;
        let request = get_request(&plan, &asked).map_err(|error| status(&error))?;
        let got = self.0.get(compiled, &plan, &request).await.map_err(refused)?;
        let required = match asked.all_required {
            true => Required::All,
            false if asked.required.is_empty() => Required::Nothing,
            false => Required::Named(asked.required),
        };
        let written = |got: &Answer| {
            let open = got.open(&plan.online)?;
            required::check(&plan, &required, got.rows(), &open)?;
            written(&self.0, &plan, got, &open)
        };
        written(&got).map(Response::new).map_err(|error| status(&error))
    }

    async fn push(&self, request: Request<v1::PushRequest>) -> Result<Response<v1::PushResponse>, Status> {
        let v1::PushRequest { source, rows, key } = request.into_inner();
        let rows = match rows {
            Some(v1::push_request::Rows::Json(rows)) => rows.objects,
            Some(v1::push_request::Rows::Columns(columns)) => {
                given::objects(&columns).map_err(|error| Status::invalid_argument(error.to_string()))?
            }
            None => Vec::new(),
        };
        let key = Some(key).filter(|key| !key.is_empty());
        let report = push::admit(&self.0, &PushRequest { source, rows, key }).await;
        let report = report.map_err(|error| status(&error))?;
        let reasons = report
            .reasons
            .iter()
            .map(|rejected| v1::RejectedRow { row: rejected.row, reason: rejected.reason.clone() });
        Ok(Response::new(v1::PushResponse {
            accepted: report.accepted,
            rejected: report.rejected,
            reasons: reasons.collect(),
            positions: report.positions.map(|(first, last)| v1::Positions { first, last }),
            repeat: report.repeat,
            exactly_once: report.exactly_once,
            views: report.views.iter().map(ToString::to_string).collect(),
        }))
    }
}

fn wanted_text(asked: &v1::GetOnlineFeaturesRequest) -> Result<std::borrow::Cow<'static, str>, StoreError> {
    use v1::get_online_features_request::Wanted;
    match &asked.wanted {
        Some(Wanted::Service(service)) => Ok(json::quoted(service).into()),
        Some(Wanted::Features(features)) => Ok(features_text(&features.names)),
        None => Err(StoreError::Request {
            message: "neither `service` nor `features` is given".to_owned(),
            hint: Some("name a service, or features as `view:feature`".to_owned()),
        }),
    }
}

fn get_request(plan: &Planned, asked: &v1::GetOnlineFeaturesRequest) -> Result<GetRequest, StoreError> {
    let (entities, fields, rows) = request_columns(&plan.online.plan, &asked.entities, given::scalars)?;
    let now = asked.now_micros.map(|micros| {
        Instant::from_micros(micros).ok_or_else(|| StoreError::Request {
            message: format!("`now_micros` is {micros}, which is no instant of the years 1 to 9999"),
            hint: Some("give microseconds since 1970, or leave it out to ask for the present".to_owned()),
        })
    });
    let now = now.transpose()?;
    let include_expired = asked.include_expired;
    Ok(GetRequest { entities, fields, rows, now, include_expired, from_history: false })
}

fn written(
    serving: &Serving,
    plan: &Planned,
    got: &Answer,
    open: &OpenAnswer<'_>,
) -> Result<Encoded, StoreError> {
    let rows = got.rows();
    let requested = &plan.online.plan;
    let mut tally = plan.tally();
    let mut statuses = Vec::with_capacity(rows);
    let mut columns = Vec::with_capacity(requested.columns.len());
    for (place, column) in requested.columns.iter().enumerate() {
        let mut list = Column::new(column.name.as_str(), requested.feature(column).value_type, rows);
        let values = open.column(place);
        statuses.clear();
        for row in 0..rows {
            let cell = values.get(row)?;
            with_cell(cell.value, |value| list.push(value, cell.status, cell.event))
                .map_err(|wrong| StoreError::Corrupt(wrong.to_string()))?;
            statuses.push(cell.status);
        }
        tally.add(column, &statuses);
        columns.push(list);
    }
    plan.count(rows, &tally);
    let positions = plan.online.positions(&got.positions);
    let health = serving.health(plan, got, open);
    let views: Vec<ViewState<'_>> = health
        .iter()
        .map(|view| ViewState {
            view: &view.view,
            position: positions.iter().find(|(id, _)| id.to_string() == view.view).map(|(_, at)| *at),
            degraded: view.degraded,
            newest_event: view.newest,
        })
        .collect();
    Ok(Encoded::new(answer(got.t, &columns, &views)))
}
