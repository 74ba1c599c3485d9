//! How much memory a training set may take, and who takes how much of it.
//!
//! A limit is kept by construction: each step knows its share, and what does not fit goes to scratch. What a step needs
//! is estimated from above.

use serde::Serialize;

/// Bytes that a process takes before it holds a single row: the program, its threads and what they decode into.
const BASE_BYTES: u64 = 48 << 20;

/// The least limit that is kept.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// A limit and its shares, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What the process may take in all.
    pub limit: u64,
}

impl Memory {
    /// A limit, at least [`MEMORY_BYTES_MIN`].
    pub fn new(limit: u64) -> Self {
        Self { limit: limit.max(MEMORY_BYTES_MIN) }
    }

    /// Half of what the machine has; a gigabyte where the system does not tell.
    pub fn of_machine() -> Self {
        Self::new(machine_bytes().map_or(1 << 30, |bytes| bytes / 2))
    }

    /// What is there for rows.
    fn rows(self) -> u64 {
        self.limit.saturating_sub(BASE_BYTES).max(self.limit / 4)
    }

    /// For the slots of labels and their candidates.
    pub(crate) fn slots(self) -> u64 {
        self.rows() * 2 / 5
    }

    /// For records that wait in buckets: labels, candidates or winners.
    pub(crate) fn buckets(self) -> u64 {
        self.rows() / 5
    }

    /// For rows that wait for others of their shard, over all threads.
    pub(crate) fn staged(self) -> u64 {
        self.rows() / 20
    }

    /// For the features of rows that won.
    pub(crate) fn features(self) -> u64 {
        self.rows() * 2 / 5
    }
}

/// The memory of the machine, or of the container that this process may use.
fn machine_bytes() -> Option<u64> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let total = text("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())?
        .saturating_mul(1024);
    let granted = text("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    Some(granted.map_or(total, |granted| granted.min(total)))
}

/// The most memory that this process has taken so far, in bytes. `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
