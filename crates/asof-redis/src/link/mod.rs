//! The way to the servers: commands go to the nodes that hold their slots, each node is asked once with all of its
//! commands in one pipeline, nodes are asked at the same time, and what failed is tried again within bounds.
//!
//! - A node that can't be reached, or says that it is not the one, makes the topology be looked up again: from the cluster's
//!   nodes, from the sentinels; with one server it stays.
//! - Reads are tried again within their patience and a budget of retries, and fail at once while a node's breaker is open.
//!   Writes wait for as long as their patience lasts: a replica that is promoted takes their place meanwhile. Every write
//!   may be sent twice ([`crate::scripts`]).
//! - Commands of one slot keep their order.

mod fault;
mod look;
mod node;
mod patience;
mod topology;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asof_online::OnlineError;
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, Value};
use tokio::time::Instant;

use fault::{Fault, fault};
pub(crate) use node::Lane;
use node::Node;
use patience::{Budget, pause};
use topology::{Address, Shard, Topology};

use crate::settings::{Deployment, ReadFrom, RedisSettings};

/// The most commands and bytes that are sent to a node in one round trip: it answers others in between.
const ROUND_COMMANDS_MAX: usize = 4_096;
const ROUND_BYTES_MAX: usize = 4 << 20;

/// A command and the slot of its keys.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) slot: u16,
    pub(crate) command: Cmd,
    /// Whether a replica may answer.
    pub(crate) replica: bool,
}

impl Request {
    pub(crate) fn new(slot: u16, command: Cmd) -> Self {
        Self { slot, command, replica: false }
    }
}

/// The way to the servers.
pub(crate) struct Link {
    settings: Arc<RedisSettings>,
    address: String,
    topology: RwLock<Arc<Topology>>,
    /// Held by the one that looks up the topology.
    looking: tokio::sync::Mutex<()>,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    budget: Budget,
    /// Chooses replicas in turn.
    turn: AtomicUsize,
}

/// What a command came to, so far.
enum Outcome {
    Open(Option<RedisError>),
    Done(Value),
}

impl Link {
    /// Finds the servers.
    ///
    /// # Errors
    /// [`OnlineError::Unreachable`], [`OnlineError::Unfit`].
    pub(crate) async fn connect(settings: Arc<RedisSettings>) -> Result<Self, OnlineError> {
        let nowhere = Shard { primary: (String::new(), 0), replicas: Vec::new() };
        let link = Self {
            address: settings.address(),
            settings,
            topology: RwLock::new(Arc::new(Topology::single(0, nowhere))),
            looking: tokio::sync::Mutex::new(()),
            nodes: Mutex::default(),
            budget: Budget::new(),
            turn: AtomicUsize::new(0),
        };
        let begun = Instant::now();
        let mut retry = 0;
        while let Err(error) = link.look(0).await {
            if begun.elapsed() >= link.settings.read_patience || fault(&error) == Fault::Final {
                return Err(link.failed(error, begun.elapsed()));
            }
            tokio::time::sleep(pause(retry)).await;
            retry += 1;
        }
        Ok(link)
    }

    /// The address for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The settings.
    pub(crate) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// Whether keys of several slots may stand in one command.
    pub(crate) fn joins_slots(&self) -> bool {
        self.settings.deployment != Deployment::Cluster
    }

    /// Whether replicas are read.
    pub(crate) fn reads_replicas(&self) -> bool {
        self.settings.read_from == ReadFrom::Replicas && self.settings.deployment != Deployment::Single
    }

    /// All primaries.
    pub(crate) fn primaries(&self) -> Vec<Address> {
        self.topology.read().shards.iter().map(|shard| shard.primary.clone()).collect()
    }

    /// All primaries and replicas.
    pub(crate) fn nodes(&self) -> Vec<Address> {
        let topology = self.topology.read();
        let of = |shard: &Shard| {
            std::iter::once(&shard.primary).chain(&shard.replicas).cloned().collect::<Vec<_>>()
        };
        topology.shards.iter().flat_map(of).collect()
    }

    /// Sends commands of a lane and answers in their order. The first error that stays ends all.
    ///
    /// # Errors
    /// [`OnlineError::Unreachable`], [`OnlineError::Resting`] (reads only), [`OnlineError::Unfit`], [`OnlineError::Backend`].
    pub(crate) async fn send(&self, lane: Lane, requests: Vec<Request>) -> Result<Vec<Value>, OnlineError> {
        let begun = Instant::now();
        let patience = match lane {
            Lane::Read => self.settings.read_patience,
            Lane::Write => self.settings.write_patience,
        };
        if lane == Lane::Read {
            self.budget.earn();
        }
        let mut outcomes: Vec<Outcome> = requests.iter().map(|_| Outcome::Open(None)).collect();
        let mut retry = 0;
        loop {
            let topology = self.topology.read().clone();
            let resting = self.attempt(lane, &topology, &requests, &mut outcomes, retry > 0).await;
            let mut last = None;
            let mut lost_way = false;
            for outcome in &outcomes {
                if let Outcome::Open(Some(error)) = outcome {
                    match fault(error) {
                        Fault::Final => return Err(self.failed(error.clone(), begun.elapsed())),
                        Fault::Gone | Fault::Elsewhere => lost_way = true,
                        _ => {}
                    }
                    last = Some(error.clone());
                }
            }
            if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))) {
                break;
            }
            if let (Lane::Read, Some(resting)) = (lane, resting)
                && last.is_none()
            {
                let store = self.address.clone();
                return Err(OnlineError::Resting { store, rest: resting.rest, failures: resting.failures });
            }
            let nobody = || RedisError::from((ErrorKind::Io, "no node answers for some keys"));
            if begun.elapsed() >= patience || (lane == Lane::Read && !self.budget.spend()) {
                return Err(self.failed(last.unwrap_or_else(nobody), begun.elapsed()));
            }
            tokio::time::sleep(pause(retry)).await;
            retry += 1;
            if lost_way || last.is_none() {
                // What can't be found out now is tried again with the commands.
                let _ = self.look(topology.version).await;
            }
        }
        let done = |outcome| match outcome {
            Outcome::Done(value) => value,
            Outcome::Open(_) => Value::Nil,
        };
        Ok(outcomes.into_iter().map(done).collect())
    }

    /// Sends once what is not done. Answers a node that is left alone, if there is one.
    async fn attempt(
        &self,
        lane: Lane,
        topology: &Topology,
        requests: &[Request],
        outcomes: &mut [Outcome],
        again: bool,
    ) -> Option<patience::Resting> {
        let mut by_node: HashMap<Address, Vec<usize>> = HashMap::new();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for (place, request) in requests.iter().enumerate() {
            let Outcome::Open(before) = &outcomes[place] else { continue };
            let asked = before.as_ref().map(fault);
            let node = match (asked, topology.shard(request.slot)) {
                (Some(Fault::Ask(node)), _) => {
                    node.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
                }
                // A replica that failed is not asked again.
                (_, Some(shard))
                    if request.replica && !again && self.reads_replicas() && !shard.replicas.is_empty() =>
                {
                    Some(shard.replicas[turn % shard.replicas.len()].clone())
                }
                (_, Some(shard)) => Some(shard.primary.clone()),
                (_, None) => None,
            };
            if let Some(node) = node {
                by_node.entry(node).or_default().push(place);
            }
        }
        let (mut resting, mut rounds, mut broken) = (None, Vec::new(), Vec::new());
        for (address, places) in by_node {
            match self.node(&address) {
                Ok(node) => match node.breaker.admit(Instant::now()) {
                    Ok(()) => rounds.push(self.ask(lane, node, places, requests, &*outcomes)),
                    Err(rest) => resting = Some(rest),
                },
                Err(error) => broken.extend(places.into_iter().map(|place| (place, error.clone()))),
            }
        }
        let answers = join_all(rounds).await;
        for (place, error) in broken {
            outcomes[place] = Outcome::Open(Some(error));
        }
        for (place, outcome) in answers.into_iter().flatten() {
            outcomes[place] = outcome;
        }
        resting
    }

    /// Sends commands to one node, in rounds.
    async fn ask(
        &self,
        lane: Lane,
        node: Arc<Node>,
        places: Vec<usize>,
        requests: &[Request],
        before: &[Outcome],
    ) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(places.len());
        let mut left = &places[..];
        while !left.is_empty() {
            let (mut pipeline, mut bytes, mut count) = (Pipeline::new(), 0, 0);
            let mut answers_at = Vec::new();
            for place in left {
                let command = &requests[*place].command;
                let size: usize = command
                    .args_iter()
                    .map(|arg| if let redis::Arg::Simple(arg) = arg { arg.len() } else { 0 })
                    .sum();
                if count > 0 && (count >= ROUND_COMMANDS_MAX || bytes + size > ROUND_BYTES_MAX) {
                    break;
                }
                if matches!(&before[*place], Outcome::Open(Some(error)) if matches!(fault(error), Fault::Ask(_)))
                {
                    pipeline.cmd("ASKING");
                }
                answers_at.push(pipeline.len());
                pipeline.add_command(command.clone());
                (bytes, count) = (bytes + size, count + 1);
            }
            let (now, later) = left.split_at(count);
            left = later;
            match node.send(lane, &pipeline).await {
                Ok(mut answers) => {
                    node.breaker.succeeded();
                    let mut no_script = false;
                    for (place, at) in now.iter().zip(answers_at) {
                        let outcome = match answers.get_mut(at).map(std::mem::take) {
                            Some(Value::ServerError(error)) => {
                                let error = RedisError::from(error);
                                no_script |= fault(&error) == Fault::NoScript;
                                Outcome::Open(Some(error))
                            }
                            Some(answer) => Outcome::Done(answer),
                            None => Outcome::Open(Some((ErrorKind::Parse, "an answer is missing").into())),
                        };
                        outcomes.push((*place, outcome));
                    }
                    if no_script {
                        let _ = node.send(lane, &script_loads()).await;
                    }
                }
                Err(error) => {
                    node.breaker.failed(Instant::now());
                    let rest = now.iter().chain(left);
                    outcomes.extend(rest.map(|place| (*place, Outcome::Open(Some(error.clone())))));
                    break;
                }
            }
        }
        outcomes
    }

    /// Sends a command to every primary, and answers in their order.
    ///
    /// # Errors
    /// As [`Link::send`]; nothing is tried again.
    pub(crate) async fn each_primary(&self, lane: Lane, command: &Cmd) -> Result<Vec<Value>, OnlineError> {
        let mut pipeline = Pipeline::new();
        pipeline.add_command(command.clone());
        let mut answers = Vec::new();
        for address in self.primaries() {
            let begun = Instant::now();
            let failed = |error| self.failed(error, begun.elapsed());
            let node = self.node(&address).map_err(failed)?;
            let mut answer = node.send(lane, &pipeline).await.map_err(failed)?;
            match answer.pop() {
                Some(Value::ServerError(error)) => return Err(failed(error.into())),
                Some(answer) => answers.push(answer),
                None => return Err(failed((ErrorKind::Parse, "an answer is missing").into())),
            }
        }
        Ok(answers)
    }

    /// Sends a command to one node.
    ///
    /// # Errors
    /// As [`Link::send`]; nothing is tried again.
    pub(crate) async fn at(&self, address: &Address, lane: Lane, command: Cmd) -> Result<Value, OnlineError> {
        let mut pipeline = Pipeline::new();
        pipeline.add_command(command);
        let begun = Instant::now();
        let failed = |error| self.failed(error, begun.elapsed());
        let node = self.node(address).map_err(failed)?;
        match node.send(lane, &pipeline).await.map_err(failed)?.pop() {
            Some(Value::ServerError(error)) => Err(failed(error.into())),
            Some(answer) => Ok(answer),
            None => Err(failed((ErrorKind::Parse, "an answer is missing").into())),
        }
    }

    fn node(&self, address: &Address) -> Result<Arc<Node>, RedisError> {
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(address) {
            return Ok(node.clone());
        }
        let node = Arc::new(Node::new(address, self.settings.clone())?);
        nodes.insert(address.clone(), node.clone());
        Ok(node)
    }

    /// What an error means to the reader of a message.
    pub(crate) fn failed(&self, error: RedisError, waited: Duration) -> OnlineError {
        let store = self.address.clone();
        if let Some((problem, hint)) = fault::unfit(&error) {
            return OnlineError::Unfit { store, problem, hint: hint.to_owned() };
        }
        match fault(&error) {
            Fault::Final => OnlineError::Backend { store, source: Box::new(error) },
            _ => OnlineError::Unreachable { store, waited, source: Box::new(error) },
        }
    }
}

fn script_loads() -> Pipeline {
    let mut pipeline = Pipeline::new();
    for text in crate::scripts::Scripts::texts() {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(text);
    }
    pipeline
}
