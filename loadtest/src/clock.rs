//! The one clock of a run: moments since its start, and the wall clock that stamps are made of.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_types::NtpTime;

/// NTP fractions a second.
const FRACTIONS: u128 = 1 << 32;

/// Read once at the start, so that all threads agree and nothing steps back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    unix: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "load has a real clock")]
        let (start, wall) = (Instant::now(), SystemTime::now());
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start, unix }
    }

    /// Now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "load has a real clock")]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Microseconds from the start to `at`.
    #[must_use]
    pub fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// The wall clock at `at`, since 1970.
    #[must_use]
    pub fn unix(&self, at: Instant) -> Duration {
        self.unix + at.saturating_duration_since(self.start)
    }

    /// The wall clock at `at`, as stamps carry it.
    #[must_use]
    pub fn ntp(&self, at: Instant) -> NtpTime {
        NtpTime::from_unix(self.unix(at))
    }

    /// How long before `at` the stamp was made; `None` if it lies ahead, or a minute back: then it
    /// is of another clock.
    #[must_use]
    pub fn since(&self, stamp: NtpTime, at: Instant) -> Option<Duration> {
        let passed = self.ntp(at).0.checked_sub(stamp.0)?;
        let nanos = u128::from(passed) * 1_000_000_000 / FRACTIONS;
        let passed = Duration::from_nanos(u64::try_from(nanos).ok()?);
        (passed < Duration::from_secs(60)).then_some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_how_long_ago_it_was_made() {
        let clock = Clock::start();
        let now = clock.now();
        let later = now + Duration::from_micros(1_234);
        let passed = clock.since(clock.ntp(now), later).unwrap();
        assert!(passed.abs_diff(Duration::from_micros(1_234)) < Duration::from_nanos(10));
        assert_eq!(clock.since(clock.ntp(later), now), None);
        assert_eq!(
            clock.since(clock.ntp(now), now + Duration::from_secs(61)),
            None
        );
    }
}
