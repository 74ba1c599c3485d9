//! How long work tells what it is doing.

/// Listens to long work. Several pieces of work may go on at a time, each under a name of its own. Calls come often and
/// from several threads; an implementation decides what to show.
pub trait Progress: Send + Sync {
    /// The piece of work `what` begins, of `total` bytes or rows (`unit` says which) where that is known.
    fn begin(&self, what: &str, unit: &str, total: Option<u64>);
    /// So much more of it is done.
    fn advance(&self, what: &str, amount: u64);
    /// So many more bytes of it were read, where it counts something else.
    fn read(&self, _what: &str, _bytes: u64) {}
    /// It is done, or given up; `summary` says in a few words with what result.
    fn finish(&self, what: &str, summary: &str);
    /// Whether somebody still wants the work. Long work asks between its steps, where nothing is half done, and ends
    /// with an error that says so once it is told no.
    fn wanted(&self) -> bool {
        true
    }
}

/// Nobody listens.
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _what: &str, _unit: &str, _total: Option<u64>) {}
    fn advance(&self, _what: &str, _amount: u64) {}
    fn finish(&self, _what: &str, _summary: &str) {}
}
