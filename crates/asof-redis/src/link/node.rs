//! One node: its connections, made when they are first needed and again when they broke.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::sync::Mutex;

use super::patience::Breaker;
use super::topology::Address;
use crate::scripts::Scripts;
use crate::settings::{Deployment, RedisSettings};

/// What connections are for: reads never stand behind a large write, nor behind a wait for replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Read,
    Write,
}

/// A node and its connections.
pub(crate) struct Node {
    client: Client,
    settings: Arc<RedisSettings>,
    read: Mutex<Option<Open>>,
    write: Mutex<Option<Open>>,
    pub(crate) breaker: Breaker,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Counts up with each connection made, so that who saw one break does not close the next.
    number: u64,
}

impl Node {
    pub(crate) fn new(address: &Address, settings: Arc<RedisSettings>) -> Result<Self, RedisError> {
        let login = (settings.user.as_deref(), settings.password.as_ref().map(|word| word.reveal()));
        let client = client(address, &settings, settings.database, login)?;
        Ok(Self {
            client,
            settings,
            read: Mutex::new(None),
            write: Mutex::new(None),
            breaker: Breaker::default(),
        })
    }

    /// Sends commands in one round trip. Errors of single commands stand among the answers; any other closes the connection.
    pub(crate) async fn send(&self, lane: Lane, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let place = match lane {
            Lane::Read => &self.read,
            Lane::Write => &self.write,
        };
        let mut open = self.open(place).await?;
        let answer = open.connection.send_packed_commands(commands, 0, commands.len()).await;
        if answer.is_err() {
            let mut current = place.lock().await;
            if current.as_ref().is_some_and(|current| current.number == open.number) {
                *current = None;
            }
        }
        answer
    }

    async fn open(&self, place: &Mutex<Option<Open>>) -> Result<Open, RedisError> {
        // Held meanwhile: one connects, the others wait for it.
        let mut current = place.lock().await;
        if let Some(open) = current.as_ref() {
            return Ok(open.clone());
        }
        let mut connection = connect(&self.client, &self.settings).await?;
        let mut greeting = redis::pipe();
        if self.settings.deployment == Deployment::Cluster {
            // A replica answers reads itself then.
            greeting.cmd("READONLY");
        }
        for text in Scripts::texts() {
            greeting.cmd("SCRIPT").arg("LOAD").arg(text);
        }
        let answers = connection.send_packed_commands(&greeting, 0, greeting.len()).await?;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                return Err(error.into());
            }
        }
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let open = Open { connection, number };
        *current = Some(open.clone());
        Ok(open)
    }
}

/// A connection of its own.
pub(crate) async fn connect(
    client: &Client,
    settings: &RedisSettings,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// What connects to a node.
pub(crate) fn client(
    (host, port): &Address,
    settings: &RedisSettings,
    database: i64,
    (user, password): (Option<&str>, Option<&str>),
) -> Result<Client, RedisError> {
    let address = match settings.tls {
        true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host.clone(), *port),
    };
    let mut login = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    let info = address.into_connection_info()?.set_redis_settings(login);
    if !settings.tls {
        return Client::open(info);
    }
    // Another library of the process may have chosen one before; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|error| {
            RedisError::from(std::io::Error::new(
                error.kind(),
                format!("`{}` can't be read: {error}", path.display()),
            ))
        })
    };
    let client_tls = match &settings.identity {
        Some((cert, key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        None => None,
    };
    let root_cert = settings.ca.as_ref().map(read).transpose()?;
    Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
}
