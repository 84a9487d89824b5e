//! Rates of what passes.

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

/// A rate is told over at least this long.
const INTERVAL: Duration = Duration::from_millis(500);

/// Counts bytes, and tells their rate over the last half second or so.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since: Option<Instant>,
    bytes: u64,
    last: Bitrate,
    packets: u64,
}

impl Meter {
    pub(crate) fn add(&mut self, now: Instant, size: usize) {
        let since = *self.since.get_or_insert(now);
        let length = now.saturating_duration_since(since);
        if length >= INTERVAL {
            self.last = Bitrate::of(DataSize::from_bytes(self.bytes), length);
            self.since = Some(now);
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(size).unwrap_or(0));
        self.packets = self.packets.saturating_add(1);
    }

    pub(crate) fn rate(&self, now: Instant) -> Bitrate {
        let Some(since) = self.since else {
            return Bitrate::ZERO;
        };
        let length = now.saturating_duration_since(since);
        if length >= INTERVAL {
            Bitrate::of(DataSize::from_bytes(self.bytes), length)
        } else {
            self.last
        }
    }

    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_and_fades() {
        let base = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.rate(base), Bitrate::ZERO);
        for count in 0..101 {
            meter.add(base + Duration::from_millis(count * 10), 125);
        }
        let at = base + Duration::from_millis(1_000);
        assert_eq!(meter.rate(at), Bitrate::from_kbps(100));
        assert!(meter.rate(at + Duration::from_secs(10)) < Bitrate::from_kbps(1));
        assert_eq!(meter.packets(), 101);
    }
}
