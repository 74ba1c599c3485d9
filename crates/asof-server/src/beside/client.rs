//! The command's end: finds the server of a project, and lets it work.

use std::time::Duration;

use asof_model::{Explain, Kind};
use asof_store::{Progress, Project};
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::told::Told;
use super::verb::Verb;
use super::{Event, FOLLOW, HELLO, Hello, PROTOCOL, PROTOCOL_HEADER, routes, socket};

/// How long a server may take to say who it is, or to take up a revision.
pub const HELLO_WAIT: Duration = Duration::from_secs(5);

/// The longest line of an answer, in bytes.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why a server did not do what a command asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket is there and can't be used.
    #[error("cannot reach the server of this project at `{path}`: {source}")]
    Unreachable {
        /// The socket.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Somebody listens and says nothing.
    #[error("the server of this project did not answer within {} seconds", HELLO_WAIT.as_secs())]
    Silent,
    /// Another version of the program.
    #[error("the server (process {process}) speaks `{theirs}`, this command `{PROTOCOL}`")]
    OtherVersion {
        /// The server's process number.
        process: u32,
        /// Its protocol.
        theirs: String,
    },
    /// The server ended, or what it said is not understood.
    #[error("the server (process {process}) broke off: {reason}")]
    BrokeOff {
        /// The server's process number.
        process: u32,
        /// How.
        reason: String,
    },
    /// The server did what was asked and failed at it, or refused it.
    #[error("{}", .0.iter().map(|each| each.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Told(Vec<Told>),
}

impl ClientError {
    /// The errors to print: those of the server are its own.
    pub fn told(self) -> Vec<Told> {
        match self {
            Self::Told(told) => told,
            other => vec![Told::of(&other)],
        }
    }
}

impl Explain for ClientError {
    fn kind(&self) -> Kind {
        match self {
            Self::OtherVersion { .. } => Kind::Conflict,
            Self::Told(told) => told.first().map_or(Kind::Unavailable, |told| told.kind),
            _ => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { .. } => {
                "a server belongs to the user who started it: run the command as that user"
            }
            Self::Silent => {
                "it may be overloaded or stopped; look at it, or stop it and run the command again"
            }
            Self::OtherVersion { .. } => {
                "restart the server with this program, or run the command with the server's"
            }
            Self::BrokeOff { .. } => "run the command again: it goes on where this one ended",
            Self::Told(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// A connection to the server of a project.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    server: Hello,
}

impl Client {
    /// Finds the server of a project. `None` where there is none.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Silent`], [`ClientError::OtherVersion`].
    pub async fn connect(project: &Project) -> Result<Option<Self>, ClientError> {
        let unreachable =
            |source| ClientError::Unreachable { path: socket::path(project).display().to_string(), source };
        let Some(stream) = socket::connect(project).await.map_err(unreachable)? else { return Ok(None) };
        let greet = async {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
            // It ends with the connection; what fails on it shows at the request.
            tokio::spawn(connection);
            let server = Hello { protocol: String::new(), process: 0 };
            let mut client = Self { sender, server };
            client.server = client.ask(Method::GET, HELLO).await?;
            Some(client)
        };
        match tokio::time::timeout(HELLO_WAIT, greet).await {
            Ok(Some(client)) if client.server.protocol == PROTOCOL => Ok(Some(client)),
            Ok(Some(client)) => {
                let Hello { process, protocol: theirs } = client.server;
                Err(ClientError::OtherVersion { process, theirs })
            }
            // It went away between the two: as good as none.
            Ok(None) => Ok(None),
            Err(_) => Err(ClientError::Silent),
        }
    }

    /// Who the server is.
    pub fn server(&self) -> &Hello {
        &self.server
    }

    /// Lets the server take up what was applied, and waits until it has, for at most [`HELLO_WAIT`]. A server follows
    /// by itself soon after, so nothing is lost where this fails.
    pub async fn follow(&mut self) -> bool {
        let asked = self.ask::<serde_json::Value>(Method::POST, FOLLOW);
        tokio::time::timeout(HELLO_WAIT, asked).await.is_ok_and(|answer| answer.is_some())
    }

    /// Lets the server do something, and passes on how it is going.
    ///
    /// # Errors
    /// [`ClientError::Told`] with the errors of the verb; [`ClientError::BrokeOff`].
    pub async fn run<V: Verb>(
        &mut self,
        verb: &V,
        progress: &dyn Progress,
    ) -> Result<V::Report, ClientError> {
        let body = serde_json::to_vec(verb).map_err(|error| self.broke_off(&error))?;
        let response = self.send(Method::POST, &routes::path::<V>(), body).await;
        let mut response = response.map_err(|error| self.broke_off(&error))?;
        if !response.status().is_success() {
            let body = response.collect().await.map_err(|error| self.broke_off(&error))?.to_bytes();
            let told = serde_json::from_slice(&body);
            return Err(told.map_or_else(|error| self.broke_off(&error), ClientError::Told));
        }
        let mut waiting: Vec<u8> = Vec::new();
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|error| self.broke_off(&error))?;
            waiting.extend(frame.into_data().unwrap_or_default());
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| self.broke_off(&error))? {
                    Event::Begin { what, unit, total } => progress.begin(&what, &unit, total),
                    Event::Advance { what, amount } => progress.advance(&what, amount),
                    Event::Finish { what, summary } => progress.finish(&what, &summary),
                    Event::Done(report) => {
                        return serde_json::from_str(report.get()).map_err(|error| self.broke_off(&error));
                    }
                    Event::Failed(told) => return Err(ClientError::Told(told)),
                }
            }
            if waiting.len() > LINE_BYTES_MAX {
                return Err(self.broke_off(&"a line is too long"));
            }
        }
        Err(self.broke_off(&"the answer has no end"))
    }

    fn broke_off(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::BrokeOff { process: self.server.process, reason: reason.to_string() }
    }

    /// A short question; `None` where there is no answer to it.
    async fn ask<T: DeserializeOwned>(&mut self, method: Method, path: &str) -> Option<T> {
        let response = self.send(method, path, Vec::new()).await.ok()?;
        let success = response.status().is_success();
        let body = response.collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok().filter(|_| success)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "asof")
            .header(PROTOCOL_HEADER, PROTOCOL)
            .body(Full::new(Bytes::from(body)))?;
        // The answer before may be read to its end a moment sooner than the connection knows.
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
