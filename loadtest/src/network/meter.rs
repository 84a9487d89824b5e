//! How a bottleneck fared: rate and queue over time, and how long datagrams waited.

use std::time::Duration;

use media_types::{Bitrate, DataSize};

/// The step of the series.
pub const SERIES_STEP: Duration = Duration::from_millis(100);
/// Waits above this are counted as this long; no queue of ours is longer.
const WAIT_MS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    bytes: u64,
    wait: Duration,
}

/// Rates and waits of one bottleneck.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    steps: Vec<Step>,
    /// Datagrams by the whole milliseconds that they waited.
    waits: Vec<u64>,
}

impl Meter {
    /// A datagram of that size has left, that long after the start, having waited.
    pub fn note(&mut self, since_start: Duration, size: DataSize, waited: Duration) {
        let index = since_start.as_millis() / SERIES_STEP.as_millis();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if self.steps.len() <= index {
            self.steps.resize(index.saturating_add(1), Step::default());
        }
        if let Some(step) = self.steps.get_mut(index) {
            step.bytes += size.bytes();
            step.wait = step.wait.max(waited);
        }
        let wait = usize::try_from(waited.as_millis()).unwrap_or(WAIT_MS_MAX);
        let wait = wait.min(WAIT_MS_MAX);
        if self.waits.len() <= wait {
            self.waits.resize(wait + 1, 0);
        }
        if let Some(count) = self.waits.get_mut(wait) {
            *count += 1;
        }
    }

    /// The wait that `percent` of the datagrams did not exceed, in whole milliseconds.
    #[must_use]
    pub fn wait_at(&self, percent: u64) -> Duration {
        let all: u64 = self.waits.iter().sum();
        let mut left = all.saturating_mul(percent.min(100)).div_ceil(100);
        let ms = self.waits.iter().position(|&count| {
            left = left.saturating_sub(count);
            left == 0
        });
        Duration::from_millis(u64::try_from(ms.unwrap_or(0)).unwrap_or(0))
    }

    /// The rate through the bottleneck in each step.
    pub fn rates(&self) -> impl Iterator<Item = Bitrate> + '_ {
        let rate = |step: &Step| Bitrate::of(DataSize::from_bytes(step.bytes), SERIES_STEP);
        self.steps.iter().map(rate)
    }

    /// The longest wait of those who left in each step.
    pub fn waits(&self) -> impl Iterator<Item = Duration> + '_ {
        self.steps.iter().map(|step| step.wait)
    }
}
