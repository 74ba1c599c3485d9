//! A service that answers with bytes, asked by the client that is made from the same files.

use asof_model::{Instant, Status, ValueType};
use asof_proto::answer::{Column, answer};
use asof_proto::feast_answer::{FeastColumn, feast_answer};
use asof_proto::messages::asof::v1::feature_store_client::FeatureStoreClient;
use asof_proto::messages::asof::v1::{GetOnlineFeaturesRequest, PushRequest, PushResponse, values::Kind};
use asof_proto::messages::feast::serving::serving_service_client::ServingServiceClient;
use asof_proto::messages::feast::serving::{
    self as feast, GetFeastServingInfoRequest, GetFeastServingInfoResponse,
};
use asof_proto::servers::asof::feature_store_server::{FeatureStore, FeatureStoreServer};
use asof_proto::servers::feast::serving_service_server::{ServingService, ServingServiceServer};
use asof_proto::{Cell, Encoded};
use tonic::{Request, Response, Status as Code};

struct Small;

#[tonic::async_trait]
impl FeatureStore for Small {
    async fn get_online_features(
        &self,
        request: Request<GetOnlineFeaturesRequest>,
    ) -> Result<Response<Encoded>, Code> {
        let rows = request.into_inner().entities.len();
        let mut column = Column::new("rows", ValueType::Int64, 1);
        column
            .push(Cell::Int64(rows as i64), Status::Present, None)
            .map_err(|error| Code::data_loss(error.to_string()))?;
        Ok(Response::new(Encoded::new(answer(Instant::EPOCH, &[column], &[]))))
    }

    async fn push(&self, _: Request<PushRequest>) -> Result<Response<PushResponse>, Code> {
        Err(Code::not_found("there is no source"))
    }
}

#[tonic::async_trait]
impl ServingService for Small {
    async fn get_feast_serving_info(
        &self,
        _: Request<GetFeastServingInfoRequest>,
    ) -> Result<Response<GetFeastServingInfoResponse>, Code> {
        Ok(Response::new(GetFeastServingInfoResponse { version: "1".to_owned() }))
    }

    async fn get_online_features(
        &self,
        _: Request<feast::GetOnlineFeaturesRequest>,
    ) -> Result<Response<Encoded>, Code> {
        let mut column = FeastColumn::new("word", ValueType::String, 1);
        column
            .push(Cell::String("hi"), Status::Present, None)
            .map_err(|error| Code::data_loss(error.to_string()))?;
        Ok(Response::new(Encoded::new(feast_answer(&[column], &[]))))
    }
}

/// Goal: what a method returns as bytes arrives at a client as the message that they are.
#[tokio::test]
async fn bytes_arrive_as_messages() {
    let mut client = FeatureStoreClient::new(FeatureStoreServer::new(Small));
    let request = GetOnlineFeaturesRequest {
        entities: [("a".to_owned(), Default::default())].into(),
        ..Default::default()
    };
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    let values = answer.columns[0].values.clone().unwrap();
    assert_eq!((&*answer.columns[0].name, &answer.columns[0].statuses[..]), ("rows", &[1][..]));
    assert_eq!(answer.columns[0].events_micros, [asof_proto::answer::NO_EVENT]);
    assert!(matches!(values.kind, Some(Kind::Int64s(list)) if list.items == [1]));
    let error = client.push(PushRequest::default()).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (tonic::Code::NotFound, "there is no source"));

    let mut client = ServingServiceClient::new(ServingServiceServer::new(Small));
    let info = client.get_feast_serving_info(GetFeastServingInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.version, "1");
    let request = feast::GetOnlineFeaturesRequest::default();
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    assert_eq!(answer.metadata.unwrap().feature_names.unwrap().val, ["word"]);
    assert_eq!(answer.results[0].statuses, [1]);
}
