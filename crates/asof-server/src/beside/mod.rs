//! Commands beside a running server.
//!
//! A server holds the online store of its project, so a command that needs it lets the server work: over a Unix
//! socket in the project's `.asof` folder that nobody but the owner can reach. It is HTTP/1 with JSON, on routes of
//! its own that no network port has.
//!
//! - Each [`Verb`] is one route. The answer is a line of JSON for each [`Event`]: how the work is going, then the
//!   report or the errors. Both are what the verb itself says, so a command prints the same either way.
//! - A command first says hello; client and server must speak the same [`PROTOCOL`].
//! - A command that goes away takes its work with it: the server stops it between two steps, where nothing is half
//!   done. So does a server that is told to stop; the same command, run again, goes on from there.
//! - Work runs on threads of its own, never on those that answer requests.
//!
//! Reading order: [`verb`], [`told`] (errors on their way), `socket` (where it is), `tape` (from the work to the
//! lines), `routes` (the server's end), [`client`] (the command's end).

pub mod client;
pub(crate) mod routes;
pub(crate) mod socket;
mod tape;
pub mod told;
pub mod verb;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use told::Told;

/// What client and server must agree on: messages are types of this program, so both ends must be of one version. The
/// number after the version changes whenever a message does before the version is raised.
pub const PROTOCOL: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

/// The header that carries [`PROTOCOL`].
const PROTOCOL_HEADER: &str = "asof-protocol";

/// The route on which a server says who it is. Its form never changes: it is what two versions tell each other.
const HELLO: &str = "/hello";

/// The route that makes a server look at the registry now.
const FOLLOW: &str = "/follow";

/// Who a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    pub protocol: String,
    /// Its process number.
    pub process: u32,
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// A piece of work begins.
    Begin { what: String, unit: String, total: Option<u64> },
    /// So much more of it is done.
    Advance { what: String, amount: u64 },
    /// It is done.
    Finish { what: String, summary: String },
    /// All is done: the report. The last line.
    Done(Box<RawValue>),
    /// It failed. The last line.
    Failed(Vec<Told>),
}
