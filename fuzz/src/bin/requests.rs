//! Requests over gRPC: any bytes are read or refused.
#![no_main]

use asof_proto::given;
use asof_proto::messages::asof::v1;
use asof_proto::messages::feast::serving;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = v1::GetOnlineFeaturesRequest::decode(data) {
        for values in request.entities.values() {
            let rows = given::rows(values);
            if let (Ok(scalars), Ok(rows)) = (given::scalars(values), rows) {
                assert_eq!(scalars.len(), rows);
            }
        }
    }
    if let Ok(request) = serving::GetOnlineFeaturesRequest::decode(data) {
        for values in request.entities.values().chain(request.request_context.values()) {
            values.val.iter().for_each(|value| {
                let _ = given::feast_scalar(value).is_ok();
            });
        }
    }
    if let Ok(request) = v1::PushRequest::decode(data)
        && let Some(v1::push_request::Rows::Columns(columns)) = &request.rows
    {
        let _ = given::objects(columns).is_ok();
    }
});
