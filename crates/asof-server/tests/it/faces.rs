//! One value, whatever it is asked through: both shapes of HTTP, tables, and both services of gRPC.
#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::ipc::reader::StreamReader;
use asof_arrow::value_at;
use asof_model::entry::{self, Raw, Reading};
use asof_model::{Status, Value, ValueType};
use asof_proto::given;
use asof_proto::messages::asof::v1;
use asof_proto::messages::asof::v1::feature_store_client::FeatureStoreClient;
use asof_proto::messages::feast::serving;
use asof_proto::messages::feast::serving::serving_service_client::ServingServiceClient;
use asof_proto::messages::feast::types;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};
use tonic::Code;

use crate::support::World;

/// The features asked for, with their types.
const COLUMNS: [(&str, &str, ValueType); 11] = [
    ("every_type:i32", "i32", ValueType::Int32),
    ("every_type:i64", "i64", ValueType::Int64),
    ("every_type:f32", "f32", ValueType::Float32),
    ("every_type:f64", "f64", ValueType::Float64),
    ("every_type:words", "words", ValueType::String),
    ("every_type:yes", "yes", ValueType::Bool),
    ("every_type:code", "code", ValueType::Bytes),
    ("every_type:seen", "seen", ValueType::Timestamp),
    ("every_type:day", "day", ValueType::Date),
    ("recent:temperature", "temperature", ValueType::Float64),
    ("recent:level", "level", ValueType::Int64),
];

/// Known ones, one twice, an unknown one, and none.
const SENSORS: [Option<i64>; 7] = [Some(1), Some(2), Some(3), Some(4), Some(1), Some(99), None];

/// For each feature, for each entity row: the value and why it is what it is.
type Answer = BTreeMap<String, Vec<(Option<Value>, Status)>>;

fn features() -> Vec<String> {
    COLUMNS.iter().map(|(feature, ..)| (*feature).to_owned()).collect()
}

fn read(raw: Option<Raw<'_>>, of: ValueType) -> Option<Value> {
    raw.map(|raw| entry::from_raw(raw, of, &Reading::default()).unwrap())
}

fn of_json(json: &Json, of: ValueType) -> Option<Value> {
    match json {
        Json::Null => None,
        Json::Bool(flag) => read(Some(Raw::Bool(*flag)), of),
        Json::String(text) => read(Some(Raw::Text(text)), of),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => read(Some(Raw::Int(integer)), of),
            None => read(number.as_f64().map(Raw::Float64), of),
        },
        Json::Array(_) | Json::Object(_) => panic!("{json} is no scalar"),
    }
}

fn status(name: &str) -> Status {
    match name {
        "PRESENT" => Status::Present,
        "NULL" | "NULL_VALUE" => Status::Null,
        "MISSING" | "NOT_FOUND" => Status::Missing,
        "OUTSIDE_TTL" | "OUTSIDE_MAX_AGE" => Status::OutsideTtl,
        "ERROR" | "INVALID" => Status::Error,
        other => panic!("{other} is no status"),
    }
}

async fn post(world: &World, path: &str, accept: &str, body: &Json) -> Vec<u8> {
    let request = Request::post(path).header("accept", accept).body(Body::from(body.to_string())).unwrap();
    let response = world.send(request).await;
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

fn native_body() -> Json {
    let entities: Vec<Json> = SENSORS.iter().map(|sensor| json!({ "sensor_id": sensor })).collect();
    json!({ "features": features(), "entities": entities, "statuses": true })
}

async fn native(world: &World) -> Answer {
    let body = post(world, "/v1/online-features", "application/json", &native_body()).await;
    let answer: Json = serde_json::from_slice(&body).unwrap();
    let column = |(_, name, of): &(&str, &str, ValueType)| {
        let cells = answer["rows"].as_array().unwrap().iter();
        let cells = cells.map(|row| {
            (of_json(&row["features"][name], *of), status(row["statuses"][name].as_str().unwrap()))
        });
        ((*name).to_owned(), cells.collect())
    };
    COLUMNS.iter().map(column).collect()
}

async fn feast(world: &World) -> Answer {
    let body = json!({ "features": features(), "entities": { "sensor_id": SENSORS } });
    let body = post(world, "/get-online-features", "*/*", &body).await;
    let answer: Json = serde_json::from_slice(&body).unwrap();
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    let column = |(_, name, of): &(&str, &str, ValueType)| {
        let place = names.iter().position(|each| each == name).unwrap();
        let column = &answer["results"][place];
        let values = column["values"].as_array().unwrap().iter();
        let statuses = column["statuses"].as_array().unwrap().iter();
        let cells = values
            .zip(statuses)
            .map(|(value, of_value)| (of_json(value, *of), status(of_value.as_str().unwrap())));
        ((*name).to_owned(), cells.collect())
    };
    COLUMNS.iter().map(column).collect()
}

async fn table(world: &World) -> (RecordBatch, Answer) {
    let accept = "application/vnd.apache.arrow.stream";
    let body = post(world, "/v1/online-features", accept, &native_body()).await;
    let mut batches = StreamReader::try_new(body.as_slice(), None).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    let column = |(_, name, of): &(&str, &str, ValueType)| {
        let values = batch.column_by_name(name).unwrap();
        let statuses = batch.column_by_name(&format!("{name}__status")).unwrap().as_string::<i32>();
        let cell = |row| (value_at(values.as_ref(), *of, row), status(statuses.value(row)));
        ((*name).to_owned(), (0..batch.num_rows()).map(cell).collect())
    };
    let answer = COLUMNS.iter().map(column).collect();
    (batch, answer)
}

fn request() -> v1::GetOnlineFeaturesRequest {
    let items = SENSORS.map(Option::unwrap_or_default).to_vec();
    let kind = Some(v1::values::Kind::Int64s(v1::Int64s { items }));
    let nulls = (0..7).filter(|row| SENSORS[*row as usize].is_none()).collect();
    v1::GetOnlineFeaturesRequest {
        wanted: Some(v1::get_online_features_request::Wanted::Features(v1::FeatureList {
            names: features(),
        })),
        entities: [("sensor_id".to_owned(), v1::Values { kind, nulls })].into(),
        ..Default::default()
    }
}

async fn grpc(world: &World) -> Answer {
    let mut client = FeatureStoreClient::new(world.router.clone());
    let answer = client.get_online_features(request()).await.unwrap().into_inner();
    assert_eq!(answer.t_micros, crate::support::at("2026-01-01T12:30:00Z").micros());
    let views: Vec<&str> = answer.views.iter().map(|view| view.view.as_str()).collect();
    assert_eq!(views, ["every_type@1", "recent@1"]);
    assert_eq!(answer.views[1].position, Some(1));
    let column = |(column, (_, name, of)): (&v1::Column, &(&str, &str, ValueType))| {
        assert_eq!(column.name, *name);
        let scalars = given::scalars(column.values.as_ref().unwrap()).unwrap();
        let statuses = column.statuses().map(|status| match status {
            v1::Status::Present => Status::Present,
            v1::Status::Null => Status::Null,
            v1::Status::Missing => Status::Missing,
            v1::Status::OutsideTtl => Status::OutsideTtl,
            v1::Status::Error => Status::Error,
            v1::Status::Unspecified => panic!("no status"),
        });
        let cells = scalars.into_iter().map(|raw| read(raw, *of)).zip(statuses);
        ((*name).to_owned(), cells.collect())
    };
    answer.columns.iter().zip(&COLUMNS).map(column).collect()
}

async fn feast_grpc(world: &World) -> Answer {
    use serving::FieldStatus;
    use types::value::Val;
    let mut client = ServingServiceClient::new(world.router.clone());
    let val = SENSORS.map(|sensor| types::Value { val: sensor.map(Val::Int64Val) }).to_vec();
    let request = serving::GetOnlineFeaturesRequest {
        kind: Some(serving::get_online_features_request::Kind::Features(serving::FeatureList {
            val: features(),
        })),
        entities: [("sensor_id".to_owned(), types::RepeatedValue { val })].into(),
        ..Default::default()
    };
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    let names = answer.metadata.unwrap().feature_names.unwrap().val;
    assert_eq!(names[0], "sensor_id");
    let column = |(_, name, of): &(&str, &str, ValueType)| {
        let column = &answer.results[names.iter().position(|each| each == name).unwrap()];
        let statuses = column.statuses().map(|status| match status {
            FieldStatus::Present => Status::Present,
            FieldStatus::NullValue => Status::Null,
            FieldStatus::NotFound => Status::Missing,
            FieldStatus::OutsideMaxAge => Status::OutsideTtl,
            FieldStatus::Invalid => Status::Error,
        });
        let values = column.values.iter().map(|value| match (&value.val, of) {
            // Feast's instants have whole seconds.
            (Some(Val::UnixTimestampVal(seconds)), ValueType::Timestamp) => {
                Some(Value::Timestamp(asof_model::Instant::from_micros(seconds * 1_000_000).unwrap()))
            }
            _ => read(given::feast_scalar(value).unwrap(), *of),
        });
        ((*name).to_owned(), values.zip(statuses).collect())
    };
    COLUMNS.iter().map(column).collect()
}

/// Goal: every face answers with the same values and statuses.
#[tokio::test]
async fn the_same_through_every_face() {
    let world = World::new().await;
    let expected = native(&world).await;
    let statuses: Vec<Status> = expected["level"].iter().map(|(_, status)| *status).collect();
    use Status::{Error, Missing, Null, OutsideTtl, Present};
    assert_eq!(statuses, [Present, OutsideTtl, Null, Error, Present, Missing, Missing]);
    assert_eq!(feast(&world).await, expected);
    let (batch, of_table) = table(&world).await;
    assert_eq!(of_table, expected);
    assert_eq!(batch.schema().metadata()["t"], "2026-01-01T12:30:00Z");
    assert_eq!(batch.schema().metadata()["position:recent@1"], "1");
    let events = batch.column_by_name("__event_recent").unwrap();
    let event =
        |row| value_at(events.as_ref(), ValueType::Timestamp, row).map(|event| entry::to_text(&event));
    assert_eq!((event(0).as_deref(), event(5)), (Some("2026-01-01T11:45:00Z"), None));
    assert_eq!(grpc(&world).await, expected);
    let mut of_feast = feast_grpc(&world).await;
    let seen = of_feast.insert("seen".to_owned(), expected["seen"].clone()).unwrap();
    assert_eq!(of_feast, expected);
    assert_eq!(seen[0].0.as_ref().map(entry::to_text).as_deref(), Some("2025-12-31T23:59:59Z"));
}

/// Goal: an error is the status of its class, with what is wrong and what to do.
#[tokio::test]
async fn errors_of_calls() {
    let world = World::new().await;
    let mut client = FeatureStoreClient::new(world.router.clone());
    let service = |name: &str| v1::GetOnlineFeaturesRequest {
        wanted: Some(v1::get_online_features_request::Wanted::Service(name.to_owned())),
        ..request()
    };
    let mut said = Vec::new();
    for request in [
        v1::GetOnlineFeaturesRequest { wanted: None, ..request() },
        service("sensor_modl"),
        v1::GetOnlineFeaturesRequest { entities: BTreeMap::new(), ..service("sensor_model") },
        v1::GetOnlineFeaturesRequest { required: vec!["level".to_owned()], ..service("sensor_model") },
        v1::GetOnlineFeaturesRequest { all_required: true, ..service("sensor_model") },
        v1::GetOnlineFeaturesRequest { required: vec!["lvl".to_owned()], ..service("sensor_model") },
        v1::GetOnlineFeaturesRequest { now_micros: Some(i64::MAX), ..request() },
    ] {
        let status = client.get_online_features(request).await.unwrap_err();
        said.push(format!("{:?}: {}", status.code(), status.message()));
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    InvalidArgument: neither `service` nor `features` is given (name a service, or features as `view:feature`)
    NotFound: there is no service `sensor_modl` (did you mean `sensor_model`?)
    InvalidArgument: the request lacks the join key `sensor_id`, which view `recent@1` is looked up by (give every join key, with null where it is not known)
    InvalidArgument: feature `level` is MISSING in row 5 (counted from 0), and the request requires it (load or push the entity's row, or take the feature out of `required`)
    InvalidArgument: feature `level` is MISSING in row 5 (counted from 0), and the request requires it (load or push the entity's row, or take the feature out of `required`)
    InvalidArgument: `required` names `lvl`, which the request does not ask for (there is `i64`, `level`, `temperature`)
    InvalidArgument: `now_micros` is 9223372036854775807, which is no instant of the years 1 to 9999 (give microseconds since 1970, or leave it out to ask for the present)
    ");
    let mut feast = ServingServiceClient::new(world.router.clone());
    let status = feast.get_online_features(serving::GetOnlineFeaturesRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

/// Goal: health says that the services serve, and that others are not known; reflection is there.
#[tokio::test]
async fn health_and_reflection() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let world = World::new().await;
    let mut client = HealthClient::new(world.router.clone());
    for service in ["", "asof.v1.FeatureStore", "feast.serving.ServingService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
    let unknown = HealthCheckRequest { service: "nope".to_owned() };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let response = world
        .send(
            Request::post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
                .header("content-type", "application/grpc")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
}
