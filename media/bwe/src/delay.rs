//! A guard on queueing delay: how much later packets arrive than the quickest of late did.

use std::time::{Duration, Instant};

use crate::feedback::PacketResult;

/// Each of two buckets of least delay; a clock that drifts by 100 ppm moves 1 ms in one.
const BUCKET: Duration = Duration::from_secs(10);
/// What fills a queue for longer than a keyframe does.
const QUEUE_MAX_US: i64 = 120_000;
/// How much of a new sample counts, as a divisor.
const SMOOTHING: i64 = 8;

/// One-way delay above its recent minimum. The two clocks' offset cancels out.
#[derive(Debug, Default)]
pub(crate) struct DelayGuard {
    origin: Option<Instant>,
    /// Least one-way delay of the bucket before and the current one, in µs on mixed clocks.
    least: [Option<i64>; 2],
    bucket_since: Option<Instant>,
    queue_us: i64,
}

impl DelayGuard {
    pub(crate) fn on_result(&mut self, result: &PacketResult) {
        let Some(arrived) = result.arrived else {
            return;
        };
        let origin = *self.origin.get_or_insert(result.sent);
        let sent = micros(result.sent.saturating_duration_since(origin));
        let delay = micros(arrived).saturating_sub(sent);
        let since = *self.bucket_since.get_or_insert(result.sent);
        let [before, current] = self.least;
        if result.sent.saturating_duration_since(since) > BUCKET {
            self.bucket_since = Some(result.sent);
            self.least = [current, Some(delay)];
        } else {
            let least = current.map_or(delay, |least| least.min(delay));
            self.least = [before, Some(least)];
        }
        let floor = self.least.into_iter().flatten().min().unwrap_or(delay);
        let queue = delay.saturating_sub(floor);
        self.queue_us += (queue - self.queue_us) / SMOOTHING;
    }

    /// Whether the path's queue is so full that sending must slow down.
    pub(crate) const fn is_overused(&self) -> bool {
        self.queue_us > QUEUE_MAX_US
    }

    /// Forgets the queue but not the floor, so that one full queue is answered once.
    pub(crate) const fn relieve(&mut self) {
        self.queue_us = 0;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use super::*;
    use media_types::DataSize;

    fn feed(guard: &mut DelayGuard, base: Instant, at_ms: u64, delay_ms: u64) {
        let sent = base + Duration::from_millis(at_ms);
        guard.on_result(&PacketResult {
            sequence: at_ms,
            sent,
            arrived: Some(Duration::from_millis(40_000 + at_ms + delay_ms)),
            size: DataSize::from_bytes(1_000),
            probe: None,
            was_missing: false,
        });
    }

    #[test]
    fn a_standing_queue_is_overuse_and_a_keyframe_is_not() {
        let base = Instant::now();
        let mut guard = DelayGuard::default();
        for at in 0..100 {
            feed(&mut guard, base, at * 10, 20);
        }
        // A burst of 60 ms at the bottleneck.
        for at in 100..110 {
            feed(&mut guard, base, at * 10, 80);
        }
        assert!(!guard.is_overused());
        for at in 110..200 {
            feed(&mut guard, base, at * 10, 320);
        }
        assert!(guard.is_overused());
        guard.relieve();
        assert!(!guard.is_overused());
    }

    #[test]
    fn a_longer_route_becomes_the_new_floor() {
        let base = Instant::now();
        let mut guard = DelayGuard::default();
        feed(&mut guard, base, 0, 20);
        for at in 1..300 {
            feed(&mut guard, base, at * 100, 300);
        }
        assert!(!guard.is_overused());
    }
}
