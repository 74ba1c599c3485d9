//! What HyperLogLog knows of 4,096 registers: which one a hash falls into, how high it raises it, and what registers say.
//! The standard error is 1.6 %. Who keeps registers, and of which hash, is up to others.

/// Registers, as a power of two.
const REGISTERS_LOG: u32 = 12;

/// How many registers there are.
pub const REGISTERS: usize = 1 << REGISTERS_LOG;

/// The most that a register holds.
pub const RANK_MAX: u8 = (65 - REGISTERS_LOG) as u8;

/// The register of a hash, of which all bits count, and what the register holds at least then: the place, from 1, of the
/// first bit that is set behind those that choose it.
#[inline]
pub fn place(hash: u64) -> (usize, u8) {
    let rank = ((hash << REGISTERS_LOG) | 1 << (REGISTERS_LOG - 1)).leading_zeros() as u8 + 1;
    ((hash >> (64 - REGISTERS_LOG)) as usize, rank)
}

/// About how many different hashes there were. `met`: what the registers hold that are not 0, in their order.
pub fn estimate(met: impl Iterator<Item = u8>) -> u64 {
    let (mut count, mut sum) = (0, 0.0);
    // Sums of powers of two in one order: the same on every machine.
    for rank in met {
        count += 1;
        sum += f64::from_bits((1023 - u64::from(rank)) << 52);
    }
    let empty = REGISTERS.saturating_sub(count);
    sum += empty as f64;
    estimated(sum, empty)
}

/// Sums of as many powers of two as there are registers are exact doubles down to this one: their order does not matter.
const RANK_EXACT: u8 = 40;

/// By rank its power of two, as a multiple of the least that is exact.
const POWERS: [u64; RANK_EXACT as usize + 1] = {
    let mut powers = [0; RANK_EXACT as usize + 1];
    let mut rank = 0;
    while rank < powers.len() {
        powers[rank] = 1 << (RANK_EXACT as usize - rank);
        rank += 1;
    }
    powers
};

/// The same for what all registers hold.
pub fn estimate_of(registers: &[u8; REGISTERS]) -> u64 {
    let highest = registers.iter().fold(0_u8, |highest, rank| highest.max(*rank));
    if highest > RANK_EXACT {
        return estimate(registers.iter().copied().filter(|rank| *rank > 0));
    }
    /// Registers that are mostly not met, all of them.
    const WORD: usize = 8;
    let sum = |word: &[u8]| match word == [0; WORD] {
        true => WORD as u64 * POWERS[0],
        false => word.iter().map(|rank| POWERS[usize::from(*rank)]).sum(),
    };
    // What was not met counts as one.
    let sum: u64 = registers.chunks_exact(WORD).map(sum).sum();
    let empty = registers.iter().filter(|rank| **rank == 0).count();
    estimated(sum as f64 / POWERS[0] as f64, empty)
}

/// The estimate for a sum of powers of two, one for each register, of which so many were not met.
fn estimated(sum: f64, empty: usize) -> u64 {
    let size = REGISTERS as f64;
    let raw = 0.7213 / (1.0 + 1.079 / size) * size * size / sum;
    // Where few were met, by how many were not.
    let estimate = match raw <= 2.5 * size && empty > 0 {
        true => size * libm::log(size / empty as f64),
        false => raw,
    };
    estimate.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: one estimate, whether registers are told one by one or all together.
        #[test]
        fn all_together(
            met in proptest::collection::vec((0..REGISTERS, 1_u8..=41), 0..3_000), rare in 1_u8..=RANK_MAX,
        ) {
            let mut registers = [0; REGISTERS];
            met.iter().for_each(|(register, rank)| registers[*register] = *rank.min(&rare));
            let one_by_one = estimate(registers.iter().copied().filter(|rank| *rank > 0));
            prop_assert_eq!(estimate_of(&registers), one_by_one);
        }
    }
}
