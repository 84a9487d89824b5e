//! A token bucket: a burst, then a rate.

use std::time::{Duration, Instant};

/// How much one client may ask.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    burst: u32,
    per_second: u32,
    /// When the bucket will be full again, if nobody takes more.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(now: Instant, burst: u32, per_second: u32) -> Self {
        Self {
            burst,
            per_second,
            full_at: now,
        }
    }

    /// Takes one, or tells how long to wait for the next.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let each = Duration::from_secs(1)
            .checked_div(self.per_second)
            .unwrap_or(Duration::from_secs(1));
        let full_at = self.full_at.max(now) + each;
        let debt = full_at.duration_since(now);
        let allowed = each.saturating_mul(self.burst);
        if debt > allowed {
            return Err(debt.saturating_sub(allowed));
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn a_burst_then_a_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 5, 10);
        assert!((0..5).all(|_| bucket.take(start).is_ok()));
        assert_eq!(bucket.take(start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(250);
        let taken = (0..5).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
