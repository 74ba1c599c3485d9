//! How long work tells what it is doing.

/// Listens to long work. Calls come often; an implementation decides what to show.
pub trait Progress: Send + Sync {
    /// A piece of work begins, of `total` bytes or rows (`unit` says which) where that is known.
    fn begin(&self, what: &str, unit: &'static str, total: Option<u64>);
    /// So much more of it is done.
    fn advance(&self, amount: u64);
    /// It is done; `summary` says in a few words with what result.
    fn finish(&self, summary: &str);
}

/// Nobody listens.
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _what: &str, _unit: &'static str, _total: Option<u64>) {}
    fn advance(&self, _amount: u64) {}
    fn finish(&self, _summary: &str) {}
}
