//! `asof get`.

use asof_model::{Instant, Status};
use asof_server::beside::verb::{GetRow, GotRow};
use asof_store::NoProgress;
use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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
        let request = GetRow {
            wanted: self.wanted.wanted(),
            keys: self.keys.clone(),
            now: self.now,
            full_names: self.full_names,
            include_expired: self.include_expired,
        };
        let mut session = everywhere.session("asof get").await?;
        let row = session.run(&request, &NoProgress).await?;
        match self.format {
            GetFormat::Table => output::print(&table(&row))?,
            GetFormat::Json => output::print_json(&InJson::new(row))?,
        }
        Ok(Outcome::Done)
    }
}

fn table(row: &GotRow) -> String {
    let mut table = Table::new(&["feature", "value", "status", "event"]);
    for feature in &row.features {
        let value = feature.text.as_deref().unwrap_or("null");
        let event = feature.event.map_or_else(|| "-".to_owned(), |event| event.to_string());
        table.row([&feature.name, value, feature.status.as_str(), &event]);
    }
    format!("t = {}\n\n{table}", row.t)
}

/// The answer as a server writes it, for one row.
#[derive(Serialize)]
struct InJson {
    t: String,
    features: Fields<Box<RawValue>>,
    statuses: Fields<Status>,
    events: Fields<Option<String>>,
}

/// Fields in the order of the features.
struct Fields<T>(Vec<(String, T)>);

impl InJson {
    fn new(row: GotRow) -> Self {
        let t = row.t.to_string();
        let mut all = Self { t, features: Fields(vec![]), statuses: Fields(vec![]), events: Fields(vec![]) };
        for feature in row.features {
            all.features.0.push((feature.name.clone(), feature.json));
            all.statuses.0.push((feature.name.clone(), feature.status));
            all.events.0.push((feature.name, feature.event.map(|event| event.to_string())));
        }
        all
    }
}

impl<T: Serialize> Serialize for Fields<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
