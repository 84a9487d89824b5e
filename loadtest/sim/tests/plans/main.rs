//! Whole rooms on bad networks: each plan over twenty seeds, in virtual time.
//!
//! `SEED=7 cargo nextest run -p sim` runs every plan with that one seed.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

mod faults;
mod members;
mod network;
mod oracle;
mod replay;
mod workers;

use std::time::Duration;

/// Seeds that every plan runs with.
const SEEDS: u64 = 20;

/// Seconds as a duration.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds as a duration.
pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a plan over its seeds; a failure names the seed.
pub(crate) fn each_seed(plan: impl Fn(u64)) {
    let one = std::env::var("SEED")
        .ok()
        .map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        eprintln!("seed {seed}");
        plan(seed);
    }
}
