//! Where an event stands among others of its key.

/// The order of events: by event instant, then created, then identity. Functions that ask for the first or the last rank
/// what is left equal by the bytes of their argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The event instant, microseconds.
    pub event: i64,
    /// The created instant, microseconds.
    pub created: i64,
    /// What tells the event from all others; empty where it has no identity of its own.
    pub id: Box<[u8]>,
}

impl Place {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.event.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&(self.id.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.id);
    }
}
