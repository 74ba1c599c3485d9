//! `asof train`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use asof_model::entry::Reading;
use asof_model::{Instant, KnownAt, TimeUnit, Zone};
use asof_server::beside::verb::Settle;
use asof_store::StoreError;
use asof_store::in_place::SourceRead;
use asof_store::request::Naming;
use asof_store::train::{
    ColumnStatistics, Compression, FolderRequest, JoinReport, LabelRows, ParquetOptions, ROW_GROUP_ROWS,
    SplitRequest, Told, TrainOptions, TrainReport, TrainRequest,
};
use clap::builder::PossibleValuesParser;
use clap::{Args, builder::TypedValueParser};

use crate::arguments::{Format, FormatOption, WantedOptions, instant, pair, size, unit, zone};
use crate::command::explain;
use crate::failure::Failure;
use crate::output::{Table, count, counted};
use crate::session::Session;
use crate::{Everywhere, Outcome, output};

/// What to train on.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The label table, Parquet or CSV: a file, folder or URL
    #[arg(long, value_name = "FILE", required_unless_present = "labels_sql")]
    labels: Option<PathBuf>,
    /// A query that makes the label table, or `@FILE` with it: its `source` is what `--labels` names, and it finds the
    /// sources of the project by their names
    #[arg(long, value_name = "SQL")]
    labels_sql: Option<String>,
    #[command(flatten)]
    wanted: WantedOptions,
    /// Where the training set goes: a file, `.parquet` or `.csv`, or a folder of Parquet files; a path or a URL
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The label column with the instants
    #[arg(long, value_name = "COLUMN", default_value = "event_timestamp")]
    timestamp: String,
    /// The label column that carries a join key, where it is not called like it
    #[arg(long = "key", value_name = "JOIN_KEY=COLUMN", value_parser = pair)]
    keys: Vec<(String, String)>,
    /// What may hide a row at the time of a label: that it had not happened, that its source did not know it, or
    /// that this store could not have served it
    #[arg(long, value_name = "WHAT", default_value = "event", value_parser = known_at())]
    known_at: KnownAt,
    /// Call features `view__feature` or `alias__feature`
    #[arg(long)]
    full_names: bool,
    /// Follow each feature by its status, in a column `<name>__status`
    #[arg(long)]
    status: bool,
    /// Return values past their ttl too
    #[arg(long)]
    include_expired: bool,
    /// The time zone of label times without offset
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Zone,
    /// The unit of label times that are integers: s, ms, us or ns
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    unit: Option<TimeUnit>,
    /// The label column with the instant as of which each label knows what it knows, where that is not its time
    #[arg(long, value_name = "COLUMN")]
    known_at_column: Option<String>,
    /// Memory to stay within, such as `4GB`; what does not fit goes to `.asof/scratch`. By default half of the machine's
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Threads to work on. By default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How a Parquet file is packed: none, snappy, lz4, zstd, gzip or brotli, some with a level, as in `zstd:9`
    #[arg(long, value_name = "CODEC", default_value = "snappy", value_parser = compression)]
    compression: Compression,
    /// Rows of a row group of a Parquet file
    #[arg(long, value_name = "ROWS", default_value_t = ROW_GROUP_ROWS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    row_group_rows: u32,
    /// Cut a folder into files of about so many rows
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    file_rows: Option<u64>,
    /// Put rows into folders `column=value` by the values of columns; these columns stand in no file
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    partition_by: Vec<String>,
    /// Put labels from this instant on into a folder `validation`, others into `train`
    #[arg(long, value_name = "T", value_parser = instant, conflicts_with = "split_share")]
    split_since: Option<Instant>,
    /// Put this share of all keys, chosen by their hash, into a folder `validation`, others into `train`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    split_share: Option<f64>,
    /// The join key by which a share is chosen. By default all that are asked for, together
    #[arg(long, value_name = "JOIN_KEY", requires = "split_share", value_delimiter = ',')]
    split_key: Vec<String>,
    /// Leave out what each column holds: counts, bounds, moments, distinct values, quantiles
    #[arg(long)]
    no_statistics: bool,
    /// Tell how the work was done: what was read and left out, and why, what went to scratch, time and memory of each step
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    format: FormatOption,
}

impl Train {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let mut keys = BTreeMap::new();
        for (key, column) in &self.keys {
            if keys.insert(key.clone(), column.clone()).is_some() {
                return Err(Failure::new(format!("the join key `{key}` is mapped twice")).hint(
                    "a view that is joined twice stands in a service under two aliases, each with its `keys`",
                ));
            }
        }
        let request = TrainRequest {
            labels: LabelRows { files: self.labels.clone(), sql: self.sql()? },
            wanted: self.wanted.wanted(),
            output: self.output.clone(),
            timestamp: self.timestamp.clone(),
            reading: Reading { zone: self.zone.clone(), unit: self.unit },
            naming: Naming { full_names: self.full_names, keys },
            known_at: self.known_at,
            statuses: self.status,
            include_expired: self.include_expired,
            options: TrainOptions {
                known_at_column: self.known_at_column.clone(),
                memory: self.memory,
                threads: self.threads.map(usize::from),
                parquet: ParquetOptions {
                    compression: self.compression,
                    row_group_rows: self.row_group_rows as usize,
                },
                folder: FolderRequest {
                    file_rows: self.file_rows,
                    partition_by: self.partition_by.clone(),
                    split: self.split(),
                },
                statistics: !self.no_statistics,
                explain: self.explain,
            },
        };
        let store = everywhere.store("asof train")?;
        if let Session::Beside(mut server) = everywhere.session("asof train").await? {
            // It holds what was pushed and is not in history yet.
            server.run(&Settle {}, &everywhere.progress()).await?;
        }
        let trained = store.train(&request, &everywhere.progress().until_told()).await;
        let report = trained.map_err(|error| match error {
            StoreError::Stopped => Failure::new("stopped: nothing was written"),
            error => error.into(),
        })?;
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report, self.explain))?,
        }
        let mut all: Vec<String> = Vec::new();
        for said in report.views.iter().flat_map(remarks) {
            // What is said of a source that was read in place is the same under every alias.
            if !all.contains(&said) {
                all.push(said);
            }
        }
        output::remark(all, everywhere);
        Ok(Outcome::Done)
    }

    /// The query of the labels, out of its file where it stands in one.
    fn sql(&self) -> Result<Option<String>, Failure> {
        match self.labels_sql.as_deref().map(|sql| (sql, sql.strip_prefix('@'))) {
            Some((_, Some(path))) => {
                let read = std::fs::read_to_string(path);
                read.map(Some).map_err(|error| Failure::new(format!("cannot read `{path}`: {error}")))
            }
            Some((sql, None)) => Ok(Some(sql.to_owned())),
            None => Ok(None),
        }
    }

    fn split(&self) -> Option<SplitRequest> {
        let keys = || self.split_key.clone();
        let since = self.split_since.map(SplitRequest::Since);
        since.or(self.split_share.map(|share| SplitRequest::Keys { share, keys: keys() }))
    }
}

/// A part of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

fn known_at() -> impl TypedValueParser<Value = KnownAt> {
    let all = [KnownAt::Event, KnownAt::Created, KnownAt::Served];
    PossibleValuesParser::new(all.map(KnownAt::as_str))
        .map(move |text| all.into_iter().find(|each| each.as_str() == text).unwrap_or_default())
}

fn compression(text: &str) -> Result<Compression, String> {
    Compression::parse(text).ok_or_else(|| {
        "not one of `none`, `snappy`, `lz4`, `zstd`, `gzip`, `brotli`, or with a level, `zstd:9`".to_owned()
    })
}

fn text(report: &TrainReport, explain: bool) -> String {
    let columns =
        ["view", "#labels", "#matched", "#expired", "#missing", "#differs from served", "#of these bulk"];
    let mut table = Table::new(&columns);
    for view in &report.views {
        let labels = &view.labels;
        // Expired rows are told from missing ones where somebody asked.
        let expired = labels.expired.map_or_else(|| "-".to_owned(), count);
        let numbers = [count(labels.labels), count(labels.matched), expired, count(labels.missing)];
        let unknown = |number: Option<u64>| number.map_or_else(|| "unknown".to_owned(), count);
        let differing = [labels.differs_from_served, labels.of_these_bulk].map(unknown);
        table.row(std::iter::once(title(view)).chain(numbers).chain(differing));
    }
    let statistics = report.statistics.as_ref().filter(|columns| !columns.is_empty());
    let statistics = statistics.map(|columns| format!("\n{}", columns_table(columns))).unwrap_or_default();
    let explained = report.explained.as_ref().filter(|_| explain);
    let explained = explained.map(|explained| format!("\n{}", explain::text(explained))).unwrap_or_default();
    let files = match report.files.len() {
        0 => String::new(),
        files => format!(", {}{}", counted(files as u64, "file"), split_rows(report)),
    };
    format!(
        "{table}{statistics}{explained}\n`{}`: {}, {}{files}, {} in {} (known at: {}), recorded in `{}`\n",
        report.output.display(),
        counted(report.rows, "row"),
        counted(report.columns, "column"),
        output::size(report.bytes),
        output::seconds(report.seconds),
        report.known_at,
        report.record.display()
    )
}

/// How many rows train, and how many validate, where they stand apart.
fn split_rows(report: &TrainReport) -> String {
    let of = |folder: &str| {
        let files = report.files.iter().filter(|file| file.path.starts_with(folder));
        files.map(|file| file.rows).sum::<u64>()
    };
    let (train, validation) = (of("train/"), of("validation/"));
    if train + validation < report.rows || report.rows == 0 {
        return String::new();
    }
    format!(" ({} to train, {} to validate)", count(train), count(validation))
}

/// What each column holds.
fn columns_table(columns: &[ColumnStatistics]) -> Table {
    let names = ["column", "type", "#nulls", "#distinct", "#min", "#p50", "#max", "#mean", "#std"];
    let mut table = Table::new(&names);
    for column in columns {
        let told = |value: Option<&Told>| value.map(short).unwrap_or_default();
        let number = |value: Option<f64>| value.map(|value| short(&Told::Number(value))).unwrap_or_default();
        let median = column.quantiles.as_ref().and_then(|quantiles| quantiles.get("p50"));
        table.row([
            column.column.clone(),
            column.data_type.clone(),
            format!("{:.1} %", column.null_rate * 100.0),
            column.distinct.map(count).unwrap_or_default(),
            told(column.min.as_ref()),
            told(median),
            told(column.max.as_ref()),
            number(column.mean),
            number(column.std),
        ]);
    }
    table
}

/// Letters of a text that are shown of a bound.
const SHOWN_LETTERS_MAX: usize = 24;

/// A value for people, short enough for a table.
fn short(value: &Told) -> String {
    match value {
        Told::Integer(value) => value.to_string(),
        Told::Number(value) if value.abs() >= 1e15 || (*value != 0.0 && value.abs() < 1e-4) => {
            format!("{value:.4e}")
        }
        Told::Number(value) => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Told::Text(text) if text.chars().count() > SHOWN_LETTERS_MAX => {
            text.chars().take(SHOWN_LETTERS_MAX).chain(['…']).collect()
        }
        Told::Text(text) => text.clone(),
    }
}

fn title(view: &JoinReport) -> String {
    let name = view.view.split('@').next().unwrap_or(&view.view);
    if view.prefix == name { view.view.clone() } else { format!("{} as {}", view.view, view.prefix) }
}

/// What a reader should know beyond the counts, a paragraph each.
fn remarks(view: &JoinReport) -> Vec<String> {
    let (name, labels) = (title(view), &view.labels);
    let mut all = Vec::new();
    if let Some(read) = &view.in_place {
        return of_source(&view.view, read);
    }
    let (differing, bulk) =
        (labels.differs_from_served.unwrap_or_default(), labels.of_these_bulk.unwrap_or_default());
    let Some(first_visible) = &view.first_visible else {
        all.push(format!("`{name}` has no row yet: run `asof materialize {}`", view.view));
        return all;
    };
    if !view.complete {
        all.push(format!(
            "`{name}`: its first load is not complete, so rows that are still to come are missing here. Run \
             `asof materialize {}` to its end and train again.",
            view.view
        ));
    }
    if bulk > 0 {
        let last_label = view.last_label.as_deref().unwrap_or("none");
        all.push(format!(
            "`{name}`: {} of {} differ from what serving could have answered at the label's time. Their rows came \
             with the first load of old data: this store has them since {first_visible}, the last label is of \
             {last_label}, so nobody could have been served them then. That is normal for a first (bulk) load; it \
             is reported so that a real leak can't hide in it.",
            count(bulk),
            counted(labels.labels, "row"),
        ));
    }
    if let (Some(ttl), None) = (&view.ttl, labels.expired)
        && labels.missing > 0
    {
        all.push(format!(
            "`{name}`: {} met no row within its ttl of {ttl}. `--status` tells which of them met an older one.",
            counted(labels.missing, "label"),
        ));
    }
    let late = differing.saturating_sub(bulk);
    if late > 0 {
        all.push(format!(
            "`{name}`: {} of {} differ from what serving could have answered at the label's time, and not because \
             of a first load: their rows became known here after the label. A model would train on what it can't \
             be served. `--known-at served` trains on what could have been served.",
            count(late),
            counted(labels.labels, "row"),
        ));
    }
    all
}

/// What a reader should know of a source that was read in place.
fn of_source(view: &str, read: &SourceRead) -> Vec<String> {
    let mut all = Vec::new();
    if read.rows_bad > 0 {
        let first = read.first_bad.as_deref().unwrap_or_default();
        all.push(format!("`{view}`: {} left out; first: {first}", counted(read.rows_bad, "bad row")));
    }
    for (feature, errors) in &read.feature_errors {
        all.push(format!(
            "`{view}`: feature `{feature}` could not be read in {} and is ERROR there; first: {}",
            counted(errors.count, "row"),
            errors.first
        ));
    }
    all
}
