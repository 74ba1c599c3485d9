//! Where the server is and how it is asked: a URL, and the project whose keys it holds.
//!
//! | URL | what it names |
//! | --- | --- |
//! | `redis://[user[:password]@]host[:port][/database]` | one server |
//! | `redis-sentinel://[user[:password]@]host[:port],…/master[/database]` | the sentinels that know its primary |
//! | `redis-cluster://[user[:password]@]host[:port],…` | some nodes of a cluster |
//!
//! `valkey` stands for `redis` everywhere, `rediss` and `valkeys` speak TLS. Options follow behind `?`, joined by `&`; see
//! [`RedisSettings`] for each, which names it. User, password and options are percent-decoded. An unknown option is refused.

mod parts;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use asof_model::{Explain, Kind};

use parts::{decode, duration, host_and_port, number, part};

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// How long a connection may take to be made, unless `connect_timeout` says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one round trip may take, unless `timeout` says otherwise.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a read may take with its retries, unless `read_patience` says otherwise.
pub const READ_PATIENCE: Duration = Duration::from_secs(4);
/// How long a write waits for a server to come back, or a replica to be promoted, unless `write_patience` says otherwise.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a process that died still holds the store, unless `hold` says otherwise.
pub const HOLD: Duration = Duration::from_secs(10);
/// How many MiB of recent writes are kept to be written again after a failover, unless `redo_mib` says otherwise.
pub const REDO_MIB: usize = 256;

const OPTIONS: [&str; 12] = [
    "ca",
    "cert",
    "connect_timeout",
    "hold",
    "key",
    "read_from",
    "read_patience",
    "redo_mib",
    "sentinel_password",
    "sentinel_user",
    "timeout",
    "wait_replicas",
];

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    /// One server.
    Single,
    /// A primary with replicas that sentinels watch.
    Sentinel {
        /// The name of the primary.
        master: String,
    },
    /// A cluster.
    Cluster,
}

/// From where rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// From primaries.
    Primaries,
    /// From replicas in turn; what a replica does not hold yet is read from its primary.
    Replicas,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// How a store is reached and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// The project: all its keys carry the name, so several share a server.
    pub project: String,
    /// What the URL names.
    pub deployment: Deployment,
    /// Hosts and ports: the server, the sentinels, or nodes of the cluster to begin with.
    pub hosts: Vec<(String, u16)>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Option `ca`: a file of certificates in PEM that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// Options `cert` and `key`: files in PEM by which this client shows who it is.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The ACL user; `None`: the default one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Option `sentinel_user`.
    pub sentinel_user: Option<String>,
    /// Option `sentinel_password`.
    pub sentinel_password: Option<Secret>,
    /// The number of the database; 0 in a cluster.
    pub database: i64,
    /// Option `read_from`, `primaries` or `replicas`.
    pub read_from: ReadFrom,
    /// Option `connect_timeout`: how long a connection may take to be made.
    pub connect_timeout: Duration,
    /// Option `timeout`: how long one round trip may take.
    pub response_timeout: Duration,
    /// Option `read_patience`: how long a read may take with its retries.
    pub read_patience: Duration,
    /// Option `write_patience`: how long a write waits for a server to come back.
    pub write_patience: Duration,
    /// Option `hold`: how long a process that died still holds the store.
    pub hold: Duration,
    /// Option `redo_mib`, here in bytes: recent writes that are kept to be written again after a failover.
    pub redo_bytes: usize,
    /// Option `wait_replicas`: how many replicas must hold the rows of a unit before it becomes readable. 0: none.
    pub wait_replicas: u32,
}

/// A URL that can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A scheme that is none of ours.
    #[error("`{scheme}` is no scheme of an online store")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A part that can't be understood. The URL itself is not repeated: it may hold a password.
    #[error("the URL of the online store has {problem}")]
    Part {
        /// What is wrong.
        problem: String,
    },
    /// An option that does not exist.
    #[error("the URL of the online store has an unknown option `{option}`")]
    Option {
        /// The option.
        option: String,
    },
}

impl Explain for SettingsError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Scheme { .. } => {
                "use `redis://`, `redis-sentinel://` or `redis-cluster://`, with `rediss` for TLS, `valkey` for Valkey".to_owned()
            }
            Self::Part { .. } => "write `redis://user:password@host:port/database?option=value`".to_owned(),
            Self::Option { .. } => format!("there are {}, write_patience", OPTIONS.join(", ")),
        })
    }
}

impl RedisSettings {
    /// Reads a URL, see the module. `project` names the keys.
    ///
    /// # Errors
    /// [`SettingsError`], which never repeats user or password.
    pub fn parse(url: &str, project: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| part("no scheme"))?;
        let (base, suffix) = scheme.split_once('-').map_or((scheme, ""), |(base, suffix)| (base, suffix));
        let tls = match base {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(SettingsError::Scheme { scheme: scheme.to_owned() }),
        };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let (deployment, database, port) = match suffix {
            "" => (Deployment::Single, path, REDIS_PORT),
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(part("no name of a primary behind its sentinels"));
                }
                (Deployment::Sentinel { master: decode(master)? }, database, SENTINEL_PORT)
            }
            "cluster" if matches!(path, "" | "0") => (Deployment::Cluster, "", REDIS_PORT),
            "cluster" => return Err(part("a database number, which a cluster does not have")),
            _ => return Err(SettingsError::Scheme { scheme: scheme.to_owned() }),
        };
        let database = match database {
            "" => 0,
            text => text
                .parse()
                .ok()
                .filter(|number| *number >= 0)
                .ok_or_else(|| part("no number as its database"))?,
        };
        let hosts: Vec<(String, u16)> =
            hosts.split(',').map(|host| host_and_port(host, port)).collect::<Result<_, _>>()?;
        if deployment == Deployment::Single && hosts.len() > 1 {
            return Err(part("several hosts, which only sentinels and clusters have"));
        }
        let (user, password) = match login {
            None => (None, None),
            Some(login) => {
                let (user, password) =
                    login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
                let user = decode(user)?;
                (
                    (!user.is_empty()).then_some(user),
                    password.map(|word| decode(word).map(Secret)).transpose()?,
                )
            }
        };
        let mut settings = Self {
            project: project.to_owned(),
            deployment,
            hosts,
            tls,
            ca: None,
            identity: None,
            user,
            password,
            sentinel_user: None,
            sentinel_password: None,
            database,
            read_from: ReadFrom::Primaries,
            connect_timeout: CONNECT_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
            read_patience: READ_PATIENCE,
            write_patience: WRITE_PATIENCE,
            hold: HOLD,
            redo_bytes: REDO_MIB << 20,
            wait_replicas: 0,
        };
        settings.take_options(options)?;
        Ok(settings)
    }

    /// Whether a text is a URL of one of these forms, rather than a folder.
    pub fn names(text: &str) -> bool {
        let Some((scheme, _)) = text.split_once("://") else { return false };
        let (base, suffix) = scheme.split_once('-').unwrap_or((scheme, ""));
        matches!(base, "redis" | "rediss" | "valkey" | "valkeys")
            && matches!(suffix, "" | "sentinel" | "cluster")
    }

    fn take_options(&mut self, options: &str) -> Result<(), SettingsError> {
        let (mut cert, mut key) = (None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decode(value)?;
            match name {
                "ca" => self.ca = Some(value.into()),
                "cert" => cert = Some(PathBuf::from(value)),
                "key" => key = Some(PathBuf::from(value)),
                "connect_timeout" => self.connect_timeout = duration(name, &value)?,
                "timeout" => self.response_timeout = duration(name, &value)?,
                "read_patience" => self.read_patience = duration(name, &value)?,
                "write_patience" => self.write_patience = duration(name, &value)?,
                "hold" => self.hold = duration(name, &value)?,
                "redo_mib" => {
                    let mib: usize = number(name, &value)?;
                    self.redo_bytes = mib.saturating_mul(1 << 20);
                }
                "wait_replicas" => self.wait_replicas = number(name, &value)?,
                "sentinel_user" => self.sentinel_user = Some(value),
                "sentinel_password" => self.sentinel_password = Some(Secret(value)),
                "read_from" => {
                    self.read_from = match value.as_str() {
                        "primaries" => ReadFrom::Primaries,
                        "replicas" => ReadFrom::Replicas,
                        _ => return Err(part("neither `primaries` nor `replicas` as `read_from`")),
                    }
                }
                _ => return Err(SettingsError::Option { option: name.to_owned() }),
            }
        }
        self.identity = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err(part("one of `cert` and `key` without the other")),
        };
        Ok(())
    }

    /// The address for messages, without user, password and options.
    pub fn address(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let scheme = if self.tls { "rediss" } else { "redis" };
        let (suffix, path) = match &self.deployment {
            Deployment::Single => ("", format!("/{}", self.database)),
            Deployment::Sentinel { master } => ("-sentinel", format!("/{master}/{}", self.database)),
            Deployment::Cluster => ("-cluster", String::new()),
        };
        format!("{scheme}{suffix}://{}{path}", hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<RedisSettings, SettingsError> {
        RedisSettings::parse(url, "shop")
    }

    /// Goal: each form of URL names what it says.
    #[test]
    fn forms() {
        let one = parse("redis://ann:p%40ss@cache.local:7000/3?timeout=250ms&read_from=replicas").unwrap();
        assert_eq!((one.hosts, one.database), (vec![("cache.local".to_owned(), 7000)], 3));
        assert_eq!(
            (one.user.as_deref(), one.password.as_ref().map(Secret::reveal)),
            (Some("ann"), Some("p@ss"))
        );
        assert_eq!((one.response_timeout, one.read_from), (Duration::from_millis(250), ReadFrom::Replicas));
        let plain = parse("valkey://localhost").unwrap();
        assert_eq!((plain.hosts, plain.tls), (vec![("localhost".to_owned(), 6379)], false));
        let word = parse("rediss://:secret@[::1]:7001").unwrap();
        assert_eq!((word.user, word.hosts, word.tls), (None, vec![("::1".to_owned(), 7001)], true));
        let sentinels = parse("redis-sentinel://a,b:5000/main/2").unwrap();
        assert_eq!(sentinels.deployment, Deployment::Sentinel { master: "main".to_owned() });
        assert_eq!(sentinels.hosts, [("a".to_owned(), 26379), ("b".to_owned(), 5000)]);
        assert_eq!(sentinels.database, 2);
        let cluster = parse("valkeys-cluster://a:1,b:2/?wait_replicas=1&redo_mib=8").unwrap();
        assert_eq!((cluster.deployment, cluster.tls, cluster.wait_replicas), (Deployment::Cluster, true, 1));
        assert_eq!(cluster.redo_bytes, 8 << 20);
    }

    /// Goal: a URL is told from a folder.
    #[test]
    fn urls_and_folders() {
        let named = ["redis://a", "valkeys-cluster://a,b", "rediss-sentinel://a/m"].map(RedisSettings::names);
        let not =
            [".asof/online", "/redis", "redis", "s3://bucket/x", "redis-ring://a"].map(RedisSettings::names);
        assert_eq!((named, not), ([true; 3], [false; 5]));
    }

    /// Goal: what is wrong is said, with the way out, and never the password.
    #[test]
    fn refusals() {
        for (url, text) in [
            ("http://a", "`http` is no scheme of an online store"),
            ("redis-ring://a", "`redis-ring` is no scheme of an online store"),
            ("redis://u:secret@", "the URL of the online store has no host"),
            ("redis://u:secret@a:port", "the URL of the online store has no number as its port"),
            ("redis://a/x", "the URL of the online store has no number as its database"),
            (
                "redis://a,b",
                "the URL of the online store has several hosts, which only sentinels and clusters have",
            ),
            (
                "redis-cluster://a/1",
                "the URL of the online store has a database number, which a cluster does not have",
            ),
            (
                "redis-sentinel://a",
                "the URL of the online store has no name of a primary behind its sentinels",
            ),
            (
                "redis://a?timeout=9",
                "the URL of the online store has no duration such as `250ms` or `2s` as `timeout`",
            ),
            ("redis://a?tiemout=9s", "the URL of the online store has an unknown option `tiemout`"),
            (
                "rediss://a?cert=x",
                "the URL of the online store has one of `cert` and `key` without the other",
            ),
            ("redis://a?ca=%zz", "the URL of the online store has a `%` without two hexadecimal digits"),
        ] {
            let refused = parse(url).unwrap_err();
            assert_eq!(refused.to_string(), text);
            assert!(refused.hint().is_some_and(|hint| !hint.contains("secret")));
        }
        let shown = format!("{:?}", parse("redis://u:hunter2@a?sentinel_password=hunter2").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(parse("redis://u:hunter2@a/4").unwrap().address(), "redis://a:6379/4");
    }
}
