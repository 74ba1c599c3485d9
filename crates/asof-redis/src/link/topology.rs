//! Which node holds which hash slot.

use redis::Value;

use crate::keys::SLOTS;

/// A node: host and port.
pub(crate) type Address = (String, u16);

/// A primary and its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) primary: Address,
    pub(crate) replicas: Vec<Address>,
}

/// Where each slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Counts up with each look.
    pub(crate) version: u64,
    pub(crate) shards: Vec<Shard>,
    /// The place of the shard of each slot, or `NOWHERE`.
    slots: Vec<u16>,
}

const NOWHERE: u16 = u16::MAX;

impl Topology {
    /// All slots on one shard.
    pub(crate) fn single(version: u64, shard: Shard) -> Self {
        Self { version, shards: vec![shard], slots: vec![0; SLOTS] }
    }

    /// The shard of a slot. `None`: no node serves it at the moment.
    pub(crate) fn shard(&self, slot: u16) -> Option<&Shard> {
        self.shards.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    /// Reads the answer of `CLUSTER SLOTS`. `asked`: the node that gave it, for it leaves its own host out at times.
    pub(crate) fn of_slots(version: u64, answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut topology = Self { version, shards: Vec::new(), slots: vec![NOWHERE; SLOTS] };
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(from), Value::Int(to), primary, replicas @ ..] = &parts[..] else { return None };
            let shard = Shard {
                primary: node(primary, asked)?,
                replicas: replicas.iter().filter_map(|replica| node(replica, asked)).collect(),
            };
            let known = topology.shards.iter().position(|each| each.primary == shard.primary);
            let place = known.unwrap_or_else(|| {
                topology.shards.push(shard);
                topology.shards.len() - 1
            });
            let slots = topology.slots.get_mut(usize::try_from(*from).ok()?..=usize::try_from(*to).ok()?)?;
            slots.fill(u16::try_from(place).ok()?);
        }
        (!topology.shards.is_empty()).then_some(topology)
    }
}

fn node(value: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = value else { return None };
    let [host, Value::Int(port), ..] = &parts[..] else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::SimpleString(host) => host.clone(),
        Value::Nil => String::new(),
        _ => return None,
    };
    let host = if host.is_empty() || host == "?" { asked.0.clone() } else { host };
    Some((host, u16::try_from(*port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the answer of a node becomes the shard of every slot; a slot that nobody serves has none; rubbish is refused.
    #[test]
    fn slots() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host: &str, port| Value::Array(vec![text(host), Value::Int(port), text("id")]);
        let range = |from, to, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(from), Value::Int(to)], nodes].concat())
        };
        let answer = Value::Array(vec![
            range(0, 99, vec![node("", 1), node("b", 2)]),
            range(100, 199, vec![node("c", 3)]),
            range(300, 399, vec![node("", 1), node("b", 2)]),
        ]);
        let asked = ("a".to_owned(), 9);
        let topology = Topology::of_slots(4, &answer, &asked).unwrap();
        let primary = |slot| topology.shard(slot).map(|shard| (&*shard.primary.0, shard.replicas.len()));
        assert_eq!(
            [primary(0), primary(150), primary(250), primary(399)],
            [Some(("a", 1)), Some(("c", 0)), None, Some(("a", 1))]
        );
        assert_eq!(topology.shards.len(), 2);
        for bad in
            [Value::Nil, Value::Array(vec![]), Value::Array(vec![range(5, 99_999, vec![node("a", 1)])])]
        {
            assert_eq!(Topology::of_slots(4, &bad, &asked), None);
        }
    }
}
