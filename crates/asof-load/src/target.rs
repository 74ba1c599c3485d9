//! The servers that are asked.

use std::fmt;

use serde::{Serialize, Serializer};
use url::Url;

use crate::error::LoadError;

/// A server: `http://HOST:PORT`, with a path before its routes where a proxy wants one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As sockets want it: no brackets around an IPv6 address.
    host: String,
    port: u16,
    /// As the header `host` and people want it.
    authority: String,
    /// Empty, or with a slash before and none after it.
    path: String,
}

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// [`LoadError::Url`] for what is no address, for schemes other than `http` and for addresses that hold a login.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let refused = |reason: &str| LoadError::Url { url: shown(text), reason: reason.to_owned() };
        let url = Url::parse(text.trim()).map_err(|error| refused(&format!("it is no address: {error}")))?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(refused(
                    "TLS is not spoken here; ask the server behind the proxy that speaks it",
                ));
            }
            _ => return Err(refused("its scheme is not `http`")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it holds a login; send one as the header `authorization`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it holds more than host, port and path"));
        }
        let host = url.host_str().ok_or_else(|| refused("it names no host"))?;
        let port = url.port().unwrap_or(80);
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: format!("{host}:{port}"),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The server that listens on `HOST:PORT` of this machine. One that listens on every address is asked on the machine's own.
    ///
    /// # Errors
    /// [`LoadError::Url`].
    pub fn of_listen(listen: &str) -> Result<Self, LoadError> {
        let own = [("0.0.0.0:", "127.0.0.1"), ("[::]:", "[::1]")];
        for (every, own) in own {
            if let Some(port) = listen.strip_prefix(every) {
                return Self::parse(&format!("http://{own}:{port}"));
            }
        }
        Self::parse(&format!("http://{listen}"))
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// An address as it may be told: without a login.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://***@{place}"),
        _ => text.to_owned(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}{}", self.authority, self.path)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: addresses are read with and without port and path, for names and for addresses of both kinds.
    #[test]
    fn addresses() {
        for (text, host, right) in [
            ("http://127.0.0.1:6566", "127.0.0.1", "http://127.0.0.1:6566"),
            ("http://features.internal", "features.internal", "http://features.internal:80"),
            ("http://[::1]:6566/", "::1", "http://[::1]:6566"),
            (" http://proxy/asof/ ", "proxy", "http://proxy:80/asof"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.host(), target.to_string().as_str()), (host, right));
        }
    }

    /// Goal: what can't be asked is refused in words, and no login is told.
    #[test]
    fn what_cannot_be_asked() {
        for (text, reason) in [
            ("127.0.0.1:6566", "no address"),
            ("https://a", "TLS is not spoken"),
            ("redis://a", "scheme is not `http`"),
            ("http://me:secret@a", "holds a login"),
            ("http://me:secret@a:x", "no address"),
            ("http://a?b=1", "more than host, port and path"),
        ] {
            let refused = Target::parse(text).unwrap_err().to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    /// Goal: a server that listens everywhere is found on this machine.
    #[test]
    fn listeners() {
        for (listen, right) in [
            ("127.0.0.1:6566", "http://127.0.0.1:6566"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:7000", "http://[::1]:7000"),
            ("localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(Target::of_listen(listen).unwrap().to_string(), right);
        }
    }
}
