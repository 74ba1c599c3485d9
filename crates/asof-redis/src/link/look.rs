//! Looking up which node holds what: from the nodes of a cluster, or from sentinels.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, Pipeline, RedisError, Value};

use super::Link;
use super::node::{self, Lane};
use super::topology::{Address, Shard, Topology};
use crate::settings::Deployment;

/// How long one of several nodes is waited for that know the same.
const ASKED_TIME_MAX: Duration = Duration::from_millis(500);

impl Link {
    /// Looks up where slots stand, unless somebody did since that version.
    pub(super) async fn look(&self, seen: u64) -> Result<(), RedisError> {
        let _looking = self.looking.lock().await;
        let current = self.topology.read().clone();
        if current.version > seen {
            return Ok(());
        }
        let version = current.version + 1;
        let found = match &self.settings.deployment {
            Deployment::Single => {
                let primary = self.settings.hosts.first().cloned().unwrap_or_default();
                Topology::single(version, Shard { primary, replicas: Vec::new() })
            }
            Deployment::Sentinel { master } => Topology::single(version, self.ask_sentinels(master).await?),
            Deployment::Cluster => self.ask_cluster(version, &current).await?,
        };
        *self.topology.write() = Arc::new(found);
        Ok(())
    }

    async fn ask_cluster(&self, version: u64, current: &Topology) -> Result<Topology, RedisError> {
        let mut known: Vec<Address> = Vec::new();
        for shard in current.shards.iter().filter(|_| current.version > 0) {
            known.push(shard.primary.clone());
            known.extend_from_slice(&shard.replicas);
        }
        known.extend_from_slice(&self.settings.hosts);
        let mut last = RedisError::from((ErrorKind::Io, "no node of the cluster answers"));
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("SLOTS");
        for address in &known {
            let node = self.node(address)?;
            let asked = tokio::time::timeout(self.short(), node.send(Lane::Read, &pipeline)).await;
            match asked.map(|answer| answer.map(|mut answers| answers.pop())) {
                Ok(Ok(Some(Value::ServerError(error)))) => last = error.into(),
                Ok(Ok(Some(answer))) => match Topology::of_slots(version, &answer, address) {
                    Some(topology) => return Ok(topology),
                    None => last = (ErrorKind::Io, "a node of the cluster knows no slots").into(),
                },
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => last = error,
            }
        }
        Err(last)
    }

    fn short(&self) -> Duration {
        self.settings.connect_timeout.min(ASKED_TIME_MAX)
    }

    async fn ask_sentinels(&self, master: &str) -> Result<Shard, RedisError> {
        let mut last = RedisError::from((ErrorKind::Io, "no sentinel answers"));
        for address in &self.settings.hosts {
            let asked = tokio::time::timeout(self.short(), self.ask_sentinel(address, master)).await;
            match asked {
                Ok(Ok(Some(shard))) => return Ok(shard),
                Ok(Ok(None)) => {
                    last =
                        (ErrorKind::MasterNameNotFoundBySentinel, "the sentinels know no such primary").into()
                }
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, address: &Address, master: &str) -> Result<Option<Shard>, RedisError> {
        let settings = &self.settings;
        let login = (
            settings.sentinel_user.as_deref(),
            settings.sentinel_password.as_ref().map(|word| word.reveal()),
        );
        let client = node::client(address, settings, 0, login)?;
        let mut connection = node::connect(&client, settings).await?;
        let mut ask = redis::pipe();
        ask.cmd("SENTINEL").arg("get-master-addr-by-name").arg(master);
        ask.cmd("SENTINEL").arg("replicas").arg(master).ignore_errors();
        let answers: Vec<Value> = ask.query_async(&mut connection).await?;
        let pair: Option<(String, u16)> = match answers.first() {
            Some(Value::ServerError(error)) => return Err(error.clone().into()),
            Some(answer) => redis::from_redis_value(answer.clone())?,
            None => None,
        };
        let replicas: Vec<HashMap<String, String>> = answers
            .get(1)
            .cloned()
            .and_then(|answer| redis::from_redis_value(answer).ok())
            .unwrap_or_default();
        let usable = |replica: &HashMap<String, String>| {
            let down = replica
                .get("flags")
                .is_some_and(|flags| flags.contains("down") || flags.contains("disconnected"));
            (!down).then(|| Some((replica.get("ip")?.clone(), replica.get("port")?.parse().ok()?))).flatten()
        };
        Ok(pair.map(|primary| Shard { primary, replicas: replicas.iter().filter_map(usable).collect() }))
    }
}
