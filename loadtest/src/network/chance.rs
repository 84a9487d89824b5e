//! Chance that can be repeated: everything random in a run comes from its seed.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A stream of chance.
#[derive(Debug, Clone)]
pub struct Chance(Pcg64Mcg);

impl Chance {
    /// The stream that belongs to a seed and a use; different uses of one seed do not disturb each
    /// other when one of them draws more.
    #[must_use]
    pub fn new(seed: u64, usage: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(
            seed ^ usage.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; zero when `end` is.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// True in `ppm` of a million cases.
    pub fn happens(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }
}
