//! `asof get`.

use std::collections::BTreeMap;

use asof_model::{Instant, Value, Zone, entry, name};
use asof_store::StoreError;
use asof_store::get::{Answer, Answered, GetRequest};
use asof_store::request::{Naming, RequestPlan};
use clap::{Args, ValueEnum};
use serde_json::{Map, json};

use crate::arguments::{WantedOptions, instant, pair};
use crate::failure::Failure;
use crate::output::Table;
use crate::{Everywhere, Outcome, output};

/// What to get.
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    wanted: WantedOptions,
    /// Join keys; an empty value is a null key
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    keys: Vec<(String, String)>,
    /// The instant asked for; one without offset is UTC. By default the present
    #[arg(long, value_name = "T", value_parser = instant)]
    now: Option<Instant>,
    /// Call features `view__feature` or `alias__feature`
    #[arg(long)]
    full_names: bool,
    /// Return values past their ttl too
    #[arg(long)]
    include_expired: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: GetFormat,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum GetFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

impl Get {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let store = everywhere.store("asof get")?;
        let catalog = store.applied_catalog().await?;
        let wanted = self.wanted.wanted();
        let naming = Naming { full_names: self.full_names, keys: BTreeMap::new() };
        // Keys are judged before the online store is opened, which a server may hold.
        let plan = store.request(&catalog, &wanted, &naming).await?;
        let request = GetRequest {
            entities: entities(&plan, &self.keys)?,
            rows: 1,
            now: self.now,
            include_expired: self.include_expired,
            from_history: true,
        };
        let plan = store.online_plan(&catalog, &wanted, &naming).await?;
        let answer = store.get(&catalog, &plan, &request).await?;
        match self.format {
            GetFormat::Table => output::print(&table(&plan.plan, &answer))?,
            GetFormat::Json => output::print_json(&in_json(&plan.plan, &answer))?,
        }
        Ok(Outcome::Done)
    }
}

/// The join keys as values of the types that the request's views declare.
fn entities(
    plan: &RequestPlan,
    keys: &[(String, String)],
) -> Result<BTreeMap<String, Vec<Option<Value>>>, StoreError> {
    let mut entities = BTreeMap::new();
    for (key, text) in keys {
        let declared = plan.key_columns.iter().find(|(column, _)| column == key);
        let (_, declared) = declared.ok_or_else(|| StoreError::Request {
            message: format!("no view of the request is looked up by `{key}`"),
            hint: name::suggestion(key, plan.key_columns.iter().map(|(column, _)| column.as_str())),
        })?;
        let value = match text.as_str() {
            "" => None,
            text => Some(
                entry::from_text(text, *declared, &Zone::utc())
                    .map_err(|error| StoreError::BadKey { key: key.clone(), reason: error.to_string() })?,
            ),
        };
        if entities.insert(key.clone(), vec![value]).is_some() {
            let message = format!("the join key `{key}` is given twice");
            let hint = Some("one command asks for one entity key".to_owned());
            return Err(StoreError::Request { message, hint });
        }
    }
    Ok(entities)
}

/// The features of the one entity row, by the names of their columns.
fn named<'a>(plan: &'a RequestPlan, answer: &'a Answer) -> impl Iterator<Item = (&'a str, &'a Answered)> {
    let row = answer.rows.first().map_or(&[][..], Vec::as_slice);
    plan.columns.iter().map(|column| column.name.as_str()).zip(row)
}

fn table(plan: &RequestPlan, answer: &Answer) -> String {
    let mut table = Table::new(&["feature", "value", "status", "event"]);
    for (name, answered) in named(plan, answer) {
        let value = answered.value.as_ref().map_or_else(|| "null".to_owned(), entry::to_text);
        let event = answered.event.map_or_else(|| "-".to_owned(), |event| event.to_string());
        table.row([name, &value, answered.status.as_str(), &event]);
    }
    format!("t = {}\n\n{table}", answer.t)
}

fn in_json(plan: &RequestPlan, answer: &Answer) -> serde_json::Value {
    let (mut features, mut statuses, mut events) = (Map::new(), Map::new(), Map::new());
    for (name, answered) in named(plan, answer) {
        features
            .insert(name.to_owned(), answered.value.as_ref().map_or(serde_json::Value::Null, value_in_json));
        statuses.insert(name.to_owned(), answered.status.as_str().into());
        events.insert(name.to_owned(), answered.event.map(|event| event.to_string()).into());
    }
    json!({ "t": answer.t.to_string(), "features": features, "statuses": statuses, "events": events })
}

/// Numbers and booleans as such; all else, and floats that JSON can't write, in their text form. A server writes them
/// the same way.
fn value_in_json(value: &Value) -> serde_json::Value {
    let float = |v: f64| match v {
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        // NaN has no number in JSON.
        v => serde_json::Number::from_f64(v).map_or_else(|| "NaN".into(), serde_json::Value::Number),
    };
    match value {
        Value::Int32(v) => (*v).into(),
        Value::Int64(v) => (*v).into(),
        Value::Float32(v) => float(f64::from(*v)),
        Value::Float64(v) => float(*v),
        Value::Bool(v) => (*v).into(),
        Value::String(v) => v.as_str().into(),
        other => entry::to_text(other).into(),
    }
}
