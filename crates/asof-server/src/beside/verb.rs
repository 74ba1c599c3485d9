//! The verbs that work on the online store, each as a message: what is asked, and what comes of it.
//!
//! A verb runs where the online store is held: in the command, or in the server beside it. It is the same code either
//! way, and its report is plain data, so nothing of what is printed depends on where it ran.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use asof_model::{Instant, Status, Value, ValueType, Zone, entry, name};
use asof_store::forget::{ForgetReport, ForgetRequest};
use asof_store::get::GetRequest;
use asof_store::materialize::{MaterializeReport, MaterializeRequest};
use asof_store::push::{PushReport, PushRequest};
use asof_store::request::{Naming, RequestPlan, Wanted};
use asof_store::status::StatusReport;
use asof_store::verify::{VerifyReport, VerifyRequest};
use asof_store::{Progress, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{json, metrics};

/// What a running verb is.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Something to do with the online store.
pub trait Verb: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name, which is its command's and its route's.
    const NAME: &'static str;

    /// Whether it brings rows.
    const LOADS: bool = false;

    /// What comes of it.
    type Report: Serialize + DeserializeOwned + Send;

    /// Does it.
    fn run<'a>(&'a self, store: &'a Store, progress: &'a dyn Progress) -> Running<'a, Self::Report>;
}

impl Verb for MaterializeRequest {
    const NAME: &'static str = "materialize";
    const LOADS: bool = true;
    type Report = MaterializeReport;

    fn run<'a>(&'a self, store: &'a Store, progress: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(async move {
            let report = store.materialize(self, progress).await?;
            metrics::materialized(&report);
            Ok(report)
        })
    }
}

impl Verb for VerifyRequest {
    const NAME: &'static str = "verify";
    type Report = VerifyReport;

    fn run<'a>(&'a self, store: &'a Store, progress: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(store.verify(self, progress))
    }
}

/// All that was pushed is to be in history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settle {}

impl Verb for Settle {
    const NAME: &'static str = "settle";
    type Report = ();

    fn run<'a>(&'a self, store: &'a Store, _: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(store.settle_pushed())
    }
}

impl Verb for PushRequest {
    const NAME: &'static str = "push";
    const LOADS: bool = true;
    type Report = PushReport;

    fn run<'a>(&'a self, store: &'a Store, _: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(async move {
            let report = store.push(self).await?;
            metrics::pushed(&report);
            Ok(report)
        })
    }
}

/// How views are, all of them where none is named.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetStatus {
    /// By name, with or without version.
    pub views: Vec<String>,
}

impl Verb for GetStatus {
    const NAME: &'static str = "status";
    type Report = StatusReport;

    fn run<'a>(&'a self, store: &'a Store, _: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(store.status(&self.views))
    }
}

impl Verb for ForgetRequest {
    const NAME: &'static str = "forget";
    type Report = ForgetReport;

    fn run<'a>(&'a self, store: &'a Store, progress: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(store.forget(self, progress))
    }
}

/// The features of one entity key, asked for as people write them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetRow {
    /// What is asked for.
    pub wanted: Wanted,
    /// Join keys as text; an empty one is a null key.
    pub keys: Vec<(String, String)>,
    /// The instant asked for. `None`: the present.
    pub now: Option<Instant>,
    /// Whether features are called by their full names.
    pub full_names: bool,
    /// Whether values past their ttl are returned.
    pub include_expired: bool,
}

/// The answer to a [`GetRow`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GotRow {
    /// The instant it holds for.
    pub t: Instant,
    /// The features, in the order asked for.
    pub features: Vec<GotFeature>,
}

/// One feature of a [`GotRow`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GotFeature {
    /// Its column's name.
    pub name: String,
    /// The value as JSON, as the server's own answers write it: numbers keep every digit.
    pub json: Box<RawValue>,
    /// The value as text; `None` is null.
    pub text: Option<String>,
    /// Why it is what it is.
    pub status: Status,
    /// The event instant of the row met.
    pub event: Option<Instant>,
}

impl Verb for GetRow {
    const NAME: &'static str = "get";
    type Report = GotRow;

    fn run<'a>(&'a self, store: &'a Store, _: &'a dyn Progress) -> Running<'a, Self::Report> {
        Box::pin(self.answer(store))
    }
}

impl GetRow {
    async fn answer(&self, store: &Store) -> Result<GotRow, StoreError> {
        let catalog = store.applied_catalog().await?;
        let naming = Naming { full_names: self.full_names, keys: BTreeMap::new() };
        // Keys are judged before the online store is opened, which another process may hold.
        let plan = store.request(&catalog, &self.wanted, &naming).await?;
        let (entities, fields) = entities(&plan, &self.keys)?;
        let request = GetRequest {
            entities,
            fields,
            rows: 1,
            now: self.now,
            include_expired: self.include_expired,
            from_history: true,
        };
        let plan = store.online_plan(&catalog, &self.wanted, &naming).await?;
        let answer = store.get(&catalog, &plan, &request).await?;
        let row = answer.to_rows(&plan)?.into_iter().next().unwrap_or_default();
        let features = plan.plan.columns.iter().zip(row).map(|(column, answered)| GotFeature {
            name: column.name.clone(),
            json: raw(answered.value.as_ref()),
            text: answered.value.as_ref().map(entry::to_text),
            status: answered.status,
            event: answered.event,
        });
        Ok(GotRow { t: answer.t, features: features.collect() })
    }
}

fn raw(value: Option<&Value>) -> Box<RawValue> {
    let mut text = Vec::new();
    json::value(&mut text, value);
    // What is written there is JSON.
    let text = String::from_utf8(text).ok();
    text.and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// Columns of a request of one row.
type Columns = BTreeMap<String, Vec<Option<Value>>>;

/// The join keys and the fields of the request as values of the types that its views declare.
fn entities(plan: &RequestPlan, given: &[(String, String)]) -> Result<(Columns, Columns), StoreError> {
    let (mut keys, mut fields) = (Columns::new(), Columns::new());
    for (given, text) in given {
        let key = plan.key_columns.iter().find(|(column, _)| column == given).map(|(_, declared)| *declared);
        let field = plan.on_demand.request.iter().find(|column| column.name == *given);
        let field = field.map(|column| column.value_type);
        let read = |declared: ValueType| match text.as_str() {
            "" => Ok(None),
            text => entry::from_text(text, declared, &Zone::utc())
                .map(Some)
                .map_err(|error| StoreError::BadKey { key: given.clone(), reason: error.to_string() }),
        };
        if key.is_none() && field.is_none() {
            let keys = plan.key_columns.iter().map(|(column, _)| column.as_str());
            let known = keys.chain(plan.on_demand.request.iter().map(|column| column.name.as_str()));
            return Err(StoreError::Request {
                message: format!("no view of the request is looked up by `{given}`"),
                hint: name::suggestion(given, known),
            });
        }
        let twice =
            [(key, &mut keys), (field, &mut fields)].into_iter().any(|(_, known)| known.contains_key(given));
        if twice {
            let message = format!("the join key `{given}` is given twice");
            let hint = Some("one command asks for one entity key".to_owned());
            return Err(StoreError::Request { message, hint });
        }
        for (declared, columns) in [(key, &mut keys), (field, &mut fields)] {
            if let Some(declared) = declared {
                columns.insert(given.clone(), vec![read(declared)?]);
            }
        }
    }
    Ok((keys, fields))
}
