//! How much one client may send.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use signaling::limits::{MALFORMED_FRAMES_MAX, MALFORMED_WINDOW_S};

/// A bucket of tokens: one a message, refilled at a steady rate.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            level: f64::from(burst.max(1)),
            at: now,
        }
    }

    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.level = (self.level + passed * self.per_second).min(self.burst);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.level) / self.per_second;
        Err(Duration::from_secs_f64(wait))
    }
}

/// Counts malformed frames within the last minute.
#[derive(Debug, Default)]
pub(super) struct Malformed {
    at: VecDeque<Instant>,
}

impl Malformed {
    /// Counts one more; whether that is one too many.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        let window = Duration::from_secs(MALFORMED_WINDOW_S);
        let old = |at: &Instant| now.saturating_duration_since(*at) >= window;
        while self.at.front().is_some_and(old) {
            self.at.pop_front();
        }
        self.at.push_back(now);
        self.at.len() >= usize::try_from(MALFORMED_FRAMES_MAX).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn base() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let now = base();
        let mut bucket = Bucket::new(10, 3, now);
        assert_eq!([(); 3].map(|()| bucket.take(now)), [Ok(()); 3]);
        assert_eq!(bucket.take(now), Err(Duration::from_millis(100)));
        let later = now + Duration::from_millis(100);
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later).is_err());
    }

    #[test]
    fn the_tenth_within_a_minute_is_too_many() {
        let now = base();
        let mut malformed = Malformed::default();
        for second in 0..9 {
            assert!(!malformed.count(now + Duration::from_secs(second)));
        }
        assert!(malformed.count(now + Duration::from_secs(59)));
        let mut slow = Malformed::default();
        let every_seven = |n: u64| now + Duration::from_secs(7 * n);
        assert!((0..50).all(|n| !slow.count(every_seven(n))));
    }
}
