//! What can go wrong in an online store.

use std::path::PathBuf;

use asof_model::{Explain, Instant, Kind};

use crate::store::ViewHandle;

/// An error of an online store or of its codecs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnlineError {
    /// A client's `now` that the store's clock has not reached, or that a publication under way may still claim.
    #[error("`now` {now} is beyond the store's clock, which stands at {clock}")]
    NowAhead {
        /// What the client asked for.
        now: Instant,
        /// The latest instant that the store can answer for at this moment.
        clock: Instant,
    },

    /// A client's `now` from before the last unit folded into an asked view: only history can answer it.
    #[error("`now` {now} is before {last_visible}, when the view last changed online")]
    NowBehind {
        /// What the client asked for.
        now: Instant,
        /// The latest stamp of the asked views.
        last_visible: Instant,
    },

    /// A handle that this store never gave out.
    #[error("the online store has no view with the number {}", view.number())]
    UnknownView {
        /// The handle.
        view: ViewHandle,
    },

    /// Something is larger than its bound.
    #[error("{what} has {found} {unit}, the most is {max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Rows or bytes.
        unit: &'static str,
        /// Its size.
        found: u64,
        /// The bound.
        max: u64,
    },

    /// A replayed unit whose stamp is not after the last one of its view.
    #[error("unit `{unit}` was visible at {visible}, but the view already holds a unit of {last_visible}")]
    ReplayOrder {
        /// The unit.
        unit: String,
        /// Its journaled stamp.
        visible: Instant,
        /// The last stamp that the view holds.
        last_visible: Instant,
    },

    /// No instant is left for another stamp.
    #[error("there is no instant after {high} for another unit")]
    ClockEnd {
        /// The last instant drawn.
        high: Instant,
    },

    /// A row that holds more features than the layout it is to be written or compared with.
    #[error("the row holds {features} features, the view as it is used here knows {known}")]
    RowNewer {
        /// Features in the row.
        features: usize,
        /// Features in the layout.
        known: usize,
    },

    /// Stored bytes that are not what they should be.
    #[error("a stored {what} is damaged: {problem}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// What is stored under one key can't be read.
    #[error("what view number {} stores under key {key} can't be read", view.number())]
    DamagedEntry {
        /// The view.
        view: ViewHandle,
        /// The encoded key in hexadecimal.
        key: String,
        /// What is wrong with it.
        #[source]
        source: Box<OnlineError>,
    },

    /// Stored bytes of a version that this program does not know.
    #[error("a stored {what} has version {found}, this program knows versions up to {newest}")]
    UnknownVersion {
        /// What it is.
        what: &'static str,
        /// Its version.
        found: u8,
        /// The newest version known.
        newest: u8,
    },

    /// Stored bytes of a version that this program does not read any more.
    #[error("a stored {what} has version {found}, this program reads versions from {oldest} on")]
    RetiredVersion {
        /// What it is.
        what: &'static str,
        /// Its version.
        found: u8,
        /// The oldest version read.
        oldest: u8,
    },

    /// Another process, or another part of this one, holds the folder.
    #[error("the online store in `{}` is in use{}", path.display(), by(holder))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, as far as it is known: command, process number, since when.
        holder: Option<String>,
    },

    /// An earlier write failed; the store takes no more until it is opened again.
    #[error("the online store in `{}` takes no more writes, as an earlier one failed", path.display())]
    Poisoned {
        /// The folder.
        path: PathBuf,
    },

    /// No space is left.
    #[error("no space is left for the online store in `{}`", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// The folder can't be written, which the store needs even for reading (its lock).
    #[error("the online store in `{}` can't be written", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// The folder is not a whole online store.
    #[error("the online store in `{}` is damaged: {problem}", path.display())]
    DamagedStore {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// Any other failure of the file system.
    #[error("the online store in `{}` can't be used", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// The server of an online store did not answer, or not in time.
    #[error("the online store at `{store}` did not answer within {waited:?}")]
    Unreachable {
        /// Its address, without secrets.
        store: String,
        /// How long it was waited for, retries included.
        waited: std::time::Duration,
        /// What was said last.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The server of an online store failed so often that it is not asked for a while.
    #[error(
        "the online store at `{store}` is not asked for {rest:?}, as it failed {failures} times in a row"
    )]
    Resting {
        /// Its address, without secrets.
        store: String,
        /// Until it is asked again.
        rest: std::time::Duration,
        /// Failures in a row.
        failures: u32,
    },

    /// Another process took the online store over: this one writes no more.
    #[error("the online store at `{store}` was taken over by another process")]
    TakenOver {
        /// Its address, without secrets.
        store: String,
    },

    /// The servers of an online store lost what they had acknowledged, more than this process can write again.
    #[error("the online store at `{store}` lost what it had acknowledged: {problem}")]
    Lost {
        /// Its address, without secrets.
        store: String,
        /// What is missing.
        problem: String,
    },

    /// The server of an online store is set up in a way that loses or refuses what is written.
    #[error("the online store at `{store}` can't be used as it is set up: {problem}")]
    Unfit {
        /// Its address, without secrets.
        store: String,
        /// What is wrong.
        problem: String,
        /// What to change.
        hint: String,
    },

    /// The technology behind another implementation of the trait failed.
    #[error("online store `{store}` failed")]
    Backend {
        /// Its address, without secrets.
        store: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map_or(String::new(), |holder| format!(" by {holder}"))
}

impl OnlineError {
    /// Says where the damage lies. Errors that are not damage pass unchanged.
    pub fn at(self, view: ViewHandle, key: &[u8]) -> Self {
        match self {
            Self::Damaged { .. }
            | Self::UnknownVersion { .. }
            | Self::RetiredVersion { .. }
            | Self::RowNewer { .. } => {
                let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
                Self::DamagedEntry { view, key, source: Box::new(self) }
            }
            other => other,
        }
    }
}

const REBUILD: &str =
    "move the folder away and run `asof materialize`: it rebuilds the online store from history";

impl Explain for OnlineError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownView { .. } => Kind::NotFound,
            Self::NowAhead { .. } | Self::TooLarge { .. } | Self::Unfit { .. } => Kind::Invalid,
            Self::NowBehind { .. }
            | Self::ReplayOrder { .. }
            | Self::RowNewer { .. }
            | Self::UnknownVersion { .. }
            | Self::RetiredVersion { .. } => Kind::Conflict,
            Self::DamagedEntry { source, .. } => source.kind(),
            Self::Damaged { .. } | Self::DamagedStore { .. } => Kind::Corrupt,
            Self::ClockEnd { .. }
            | Self::Locked { .. }
            | Self::Poisoned { .. }
            | Self::DiskFull { .. }
            | Self::ReadOnly { .. }
            | Self::Io { .. }
            | Self::Unreachable { .. }
            | Self::Resting { .. }
            | Self::TakenOver { .. }
            | Self::Lost { .. }
            | Self::Backend { .. } => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NowAhead { .. } => "leave `now` out to ask for the present, or ask again in a moment",
            Self::NowBehind { .. } => "ask history for this instant",
            Self::UnknownView { .. } => "register the view first",
            Self::TooLarge { what: "a replacement", .. } => "replace the range in several parts",
            Self::TooLarge { unit: "rows", .. } => "publish it in several units",
            Self::TooLarge { .. } => return None,
            Self::ReplayOrder { .. } => "replay a journal in order of visible, into an empty store",
            Self::ClockEnd { .. } => "check the clock of this machine",
            Self::RowNewer { .. } => "use the view's definition that has the added features",
            Self::UnknownVersion { .. } => "use the program that wrote it, or a newer one",
            Self::Locked { .. } => "run it again when that process has ended, or stop it first",
            Self::Poisoned { .. } => {
                "look for a full or failing disk, then start again: what was acknowledged is safe"
            }
            Self::DiskFull { .. } => "free some space, then start again: what was acknowledged is safe",
            Self::ReadOnly { .. } => {
                "give this user write access to the folder, or name another one under [online]"
            }
            Self::Damaged { .. } | Self::DamagedStore { .. } | Self::RetiredVersion { .. } => REBUILD,
            Self::DamagedEntry { source, .. } => return source.hint(),
            Self::Io { .. } => "check that the path is a folder on a healthy disk",
            Self::Unreachable { .. } => {
                "see that the server runs and can be reached from here; answers go on when it does"
            }
            Self::Resting { .. } => {
                "it is asked again by itself; see that the server runs and can be reached from here"
            }
            Self::TakenOver { .. } => {
                "one process writes at a time: stop the other one, then start this one again"
            }
            Self::Lost { .. } => "run `asof materialize`: it rebuilds the online store from history",
            Self::Unfit { hint, .. } => return Some(hint.clone()),
            Self::Backend { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
