//! What can go wrong with a verb. Errors of the rooms below pass through with their own text and hint.

use std::path::PathBuf;

use asof_engine::EngineError;
use asof_log::LogError;
use asof_model::definition::Problem;
use asof_model::{Explain, Instant, Kind, ViewId};
use asof_offline::OfflineError;
use asof_online::OnlineError;
use asof_redis::SettingsError;
use asof_registry::RegistryError;
use asof_training::TrainingError;

/// Errors of the feature store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A feature that a request can't do without has no value for an entity row.
    #[error("feature `{feature}` is MISSING in row {row} (counted from 0), and the request requires it")]
    Required {
        /// Its name in the answer.
        feature: String,
        /// The entity row, from 0.
        row: usize,
    },
    /// No folder here or above is a project.
    #[error("no `asof.toml` in `{}` or any folder above it", from.display())]
    NoProject {
        /// Where the search began.
        from: PathBuf,
    },
    /// A file of the project that cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// "read" or "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A definition file that is not UTF-8.
    #[error("`{file}` is not UTF-8 text")]
    NotText {
        /// The file.
        file: String,
    },
    /// The files of the project have problems.
    #[error("{}", lines(.0))]
    Definitions(Vec<Problem>),
    /// An apply that is refused.
    #[error("{}", lines(.0))]
    Refused(Vec<Refused>),
    /// Nothing was applied yet.
    #[error("nothing has been applied to project `{project}` yet")]
    NothingApplied {
        /// The project.
        project: String,
    },
    /// A name that does not exist.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What was looked for: "view", "service", "object".
        kind: &'static str,
        /// The name.
        name: String,
        /// The nearest one, or the list.
        hint: Option<String>,
    },
    /// A feature that its view does not have.
    #[error("view `{view}` has no feature `{feature}`")]
    UnknownFeature {
        /// The view.
        view: ViewId,
        /// The name.
        feature: String,
        /// The nearest one, or the list.
        hint: Option<String>,
    },
    /// A feature that was added and is not backfilled.
    #[error("feature `{feature}` was added to view `{view}` and does not answer until it is backfilled")]
    NotBackfilled {
        /// The view.
        view: ViewId,
        /// The feature.
        feature: String,
    },
    /// A view without any load.
    #[error("view `{view}` was never loaded")]
    NotLoaded {
        /// The view.
        view: ViewId,
    },
    /// Units that were published and are not in history.
    #[error(
        "history of view `{view}` is incomplete: {missing} of its {units} published units are not in `{}`",
        path.display()
    )]
    HistoryLost {
        /// The view.
        view: ViewId,
        /// Units that history lacks.
        missing: usize,
        /// Units that were published.
        units: usize,
        /// The folder of its history.
        path: PathBuf,
    },
    /// An online store that lacks what history says was published.
    #[error(
        "the online store lacks units of view `{view}` that were published: it holds {found} of {expected}"
    )]
    OnlineLost {
        /// The view.
        view: ViewId,
        /// Units and marks that it holds.
        found: u64,
        /// Units and marks in the journal.
        expected: u64,
    },
    /// A view past its sunset.
    #[error("view `{view}` passed its sunset on {sunset}")]
    PastSunset {
        /// The view.
        view: ViewId,
        /// When.
        sunset: Instant,
    },
    /// What a view that reads its source in place can't do (SEMANTICS 9).
    #[error("view `{view}` reads its source in place{}", wanted.why_not())]
    InPlace {
        /// The view.
        view: ViewId,
        /// What was wanted of it.
        wanted: InPlaceWant,
    },
    /// A request that cannot be understood.
    #[error("{message}")]
    Request {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// An entity row without a join key that the request needs.
    #[error("the request lacks the join key `{key}`, which view `{view}` is looked up by")]
    MissingKey {
        /// The column.
        key: String,
        /// A view that needs it.
        view: ViewId,
        /// The columns that are there.
        hint: Option<String>,
    },
    /// A row without a column that features on demand read.
    #[error("the request lacks the field `{field}`, which view `{view}` computes with")]
    MissingField {
        /// The column.
        field: String,
        /// A view that reads it.
        view: ViewId,
        /// The columns that are there.
        hint: Option<String>,
    },
    /// What a view on demand can't do: it has no rows of its own.
    #[error("view `{view}` is computed on demand, and has no rows of its own to {doing}")]
    OnDemand {
        /// The view.
        view: ViewId,
        /// What was wanted of its rows, such as "load".
        doing: &'static str,
        /// The views that it reads, where it reads any.
        inputs: Vec<String>,
    },
    /// A key value of the wrong type.
    #[error("join key `{key}`: {reason}")]
    BadKey {
        /// The column.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Two features of a request that would have one name.
    #[error("the answer has two features named `{name}`: {first} and {second}")]
    SameName {
        /// The name.
        name: String,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// An instant that lies before all that online state still knows, and reading history was not asked for.
    #[error("`now` {now} is before the last update of a view, {last}")]
    NowBehind {
        /// The instant asked for.
        now: Instant,
        /// The last stamp.
        last: Instant,
    },
    /// Keys that are not online since they may not be active, and reading history was not asked for.
    #[error("{rows} of the request's keys are not online, and a view of it leaves inactive keys to history")]
    Inactive {
        /// Entity rows with such a key.
        rows: u64,
    },
    /// An instant of which history does not know any more what was in force.
    #[error("history of view `{view}` begins at {cut}, and {label} is asked for")]
    HistoryCut {
        /// The view.
        view: ViewId,
        /// What was in force before is not known any more.
        cut: Instant,
        /// The earliest instant that was asked for.
        label: Instant,
    },
    /// Another command rewrites or removes files of history.
    #[error("another command compacts, vacuums or forgets in this project now")]
    CareHeld,
    /// Work that nobody wanted any more: its caller went away, or the process was told to stop.
    #[error("the work was stopped before its end")]
    Stopped,
    /// A store that is inconsistent in itself.
    #[error("{0}")]
    Corrupt(String),
    /// An error of sources, or of what is written.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An error of training sets.
    #[error(transparent)]
    Training(TrainingError),
    /// An error of history.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// An error of the online store.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// The URL of the online store.
    #[error(transparent)]
    OnlineUrl(#[from] SettingsError),
    /// An error of the admission log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An error of the registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What may be wanted of a view that reads its source in place, and can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InPlaceWant {
    /// Rows chosen by when they became visible.
    Served,
    /// A load.
    Load,
    /// Values for serving.
    Serving,
}

impl InPlaceWant {
    fn why_not(self) -> &'static str {
        match self {
            Self::Served => ": its rows were never published, so nobody knows what was served",
            Self::Load => ": nothing of it is loaded",
            Self::Serving => ": it is for training only, and nothing of it is served",
        }
    }

    fn hint(self, view: &ViewId) -> String {
        match self {
            Self::Served => "train with `--known-at created`".to_owned(),
            Self::Load => "train with it as it is".to_owned(),
            Self::Serving => {
                format!("to serve it, define `{}@{}` without `in_place`", view.name, view.version + 1)
            }
        }
    }
}

/// One reason to refuse an apply, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub message: String,
    /// The line to write, or what else to do.
    pub hint: Option<String>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.message)
    }
}

impl StoreError {
    /// Whether the online store is held by another process.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Online(OnlineError::Locked { .. }))
    }

    /// Whether so much waits in the admission log that nothing more is taken for a while.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Log(LogError::Full { .. }))
    }

    /// The problems that this error collects, each with its hint; empty for an error that stands alone.
    pub fn parts(&self) -> Vec<(String, Option<String>)> {
        match self {
            Self::Definitions(problems) => {
                problems.iter().map(|each| (each.to_string(), each.hint.clone())).collect()
            }
            Self::Refused(refused) => {
                refused.iter().map(|each| (each.message.clone(), each.hint.clone())).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Explain for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoProject { .. } | Self::Unknown { .. } | Self::UnknownFeature { .. } => Kind::NotFound,
            Self::NotText { .. }
            | Self::Definitions(_)
            | Self::InPlace { .. }
            | Self::Request { .. }
            | Self::MissingKey { .. }
            | Self::MissingField { .. }
            | Self::OnDemand { .. }
            | Self::BadKey { .. }
            | Self::SameName { .. }
            | Self::Required { .. }
            | Self::NowBehind { .. }
            | Self::Inactive { .. }
            | Self::HistoryCut { .. } => Kind::Invalid,
            Self::Refused(_)
            | Self::NothingApplied { .. }
            | Self::NotBackfilled { .. }
            | Self::PastSunset { .. } => Kind::Conflict,
            Self::NotLoaded { .. } => Kind::Conflict,
            Self::Io { .. } | Self::OnlineLost { .. } | Self::CareHeld | Self::Stopped => Kind::Unavailable,
            Self::Corrupt(_) | Self::HistoryLost { .. } => Kind::Corrupt,
            Self::Engine(error) => error.kind(),
            Self::Training(error) => error.kind(),
            Self::Offline(error) => error.kind(),
            Self::Online(error) => error.kind(),
            Self::OnlineUrl(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Registry(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject { .. } => {
                Some("name the project with `--project DIR`, or begin one with `asof init DIR`".to_owned())
            }
            Self::NotText { .. } => Some("save it as UTF-8".to_owned()),
            Self::NothingApplied { .. } => Some("run `asof apply`".to_owned()),
            Self::Unknown { hint, .. }
            | Self::UnknownFeature { hint, .. }
            | Self::Request { hint, .. }
            | Self::MissingKey { hint, .. }
            | Self::MissingField { hint, .. } => hint.clone(),
            Self::OnDemand { inputs, .. } if inputs.is_empty() => {
                Some("leave it out: it is computed when it is asked for".to_owned())
            }
            Self::OnDemand { inputs, .. } => Some(format!("name what it reads: {}", inputs.join(", "))),
            Self::InPlace { view, wanted } => Some(wanted.hint(view)),
            Self::NotBackfilled { view, .. } | Self::NotLoaded { view } => {
                Some(format!("run `asof materialize {view}`"))
            }
            Self::OnlineLost { view, .. } => {
                Some(format!("run `asof materialize {view}`: it rebuilds the online store from history"))
            }
            Self::HistoryLost { view, .. } => Some(format!(
                "restore the folder from a backup, or load the view afresh as a new version, `{}@{}`; to begin anew \
                 with every view, remove the folders of history and of the online store both",
                view.name,
                view.version + 1
            )),
            Self::PastSunset { view, .. } => Some(format!("move to a newer version of `{}`", view.name)),
            Self::Required { .. } => {
                Some("load or push the entity's row, or take the feature out of `required`".to_owned())
            }
            Self::SameName { .. } => Some("ask for full names, or give one of the views an alias".to_owned()),
            Self::BadKey { .. } => Some("the type of a join key is the one its entity declares".to_owned()),
            Self::NowBehind { .. } => {
                Some("ask on the command line (`asof get --now`), which answers from history".to_owned())
            }
            Self::Inactive { .. } => Some("ask for history to be read as well".to_owned()),
            Self::HistoryCut { view, cut, .. } => Some(format!(
                "ask for instants from {cut} on; rows before it are cut by `history_keep` of `{view}`"
            )),
            Self::CareHeld => Some("wait until it is through".to_owned()),
            Self::Stopped => Some("run the command again: it goes on where this one ended".to_owned()),
            Self::Engine(error) => error.hint(),
            Self::Training(error) => error.hint(),
            Self::Offline(error) => error.hint(),
            Self::Online(error) => error.hint(),
            Self::OnlineUrl(error) => error.hint(),
            Self::Log(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Io { .. } | Self::Definitions(_) | Self::Refused(_) | Self::Corrupt(_) => None,
        }
    }
}

fn lines<T: std::fmt::Display>(parts: &[T]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
