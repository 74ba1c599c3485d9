//! Rows in order of the shards of their keys.

use super::index::shard_of;

/// What rows are put in order in; kept from batch to batch.
#[derive(Default)]
pub(crate) struct Order {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl Order {
    /// Puts rows in order of their shards; those that `wanted` refuses are left out.
    pub fn sort(&mut self, hashes: &[u64], shards: usize, wanted: impl Fn(usize) -> bool) {
        self.starts.clear();
        self.starts.resize(shards + 1, 0);
        let mut count = 0;
        for (row, hash) in hashes.iter().enumerate() {
            if wanted(row) {
                self.starts[shard_of(*hash, shards) + 1] += 1;
                count += 1;
            }
        }
        for shard in 0..shards {
            self.starts[shard + 1] += self.starts[shard];
        }
        self.rows.clear();
        self.rows.resize(count, 0);
        for (row, hash) in hashes.iter().enumerate() {
            if wanted(row) {
                let place = &mut self.starts[shard_of(*hash, shards)];
                self.rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        // Each start has moved to the end of its shard, which is where the next one begins.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }

    /// The rows of a shard.
    pub fn of(&self, shard: usize) -> &[u32] {
        &self.rows[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}
