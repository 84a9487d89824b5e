//! A circuit breaker: what fails again and again is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};

use crate::telemetry::{BREAKER_OPEN, BREAKER_OPENED};

/// Failures in a row after which nothing is asked for a while.
const FAILURES_MAX: u32 = 5;
/// The first such while; doubles with each trial that fails.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest: what comes back is found again within half a minute.
const REST_MAX: Duration = Duration::from_secs(30);

/// Counts failures in a row. Closed: all goes. Open: nothing goes, until one trial is let through.
#[derive(Debug)]
pub struct Breaker {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    rest: Duration,
    /// Nothing goes before then.
    until: Option<Instant>,
    /// One trial is under way, since then.
    trial: Option<Instant>,
}

impl Breaker {
    /// A closed one; `name` is its label in the figures.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            state: Mutex::new(State {
                failures: 0,
                rest: REST_MIN,
                until: None,
                trial: None,
            }),
        }
    }

    /// Whether one may ask now.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = state.until else {
            return Ok(());
        };
        if now < until {
            return Err(until.saturating_duration_since(now));
        }
        // A trial whose end nobody tells of is over when the next could have been made.
        let rest = state.rest;
        let under_way = |since: Instant| now.saturating_duration_since(since) < rest;
        if state.trial.is_some_and(under_way) {
            return Err(rest);
        }
        state.trial = Some(now);
        Ok(())
    }

    /// What came of it.
    pub fn note(&self, good: bool, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_open = state.until.is_some();
        state.trial = None;
        if good {
            (state.failures, state.rest, state.until) = (0, REST_MIN, None);
            if was_open {
                gauge!(BREAKER_OPEN, "breaker" => self.name).set(0.0);
                tracing::info!(breaker = self.name, "answers again");
            }
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES_MAX {
            return;
        }
        if was_open {
            state.rest = (state.rest * 2).min(REST_MAX);
        } else {
            gauge!(BREAKER_OPEN, "breaker" => self.name).set(1.0);
            counter!(BREAKER_OPENED, "breaker" => self.name).increment(1);
            tracing::warn!(breaker = self.name, "fails again and again: left alone");
        }
        state.until = Some(now + state.rest);
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn what_fails_is_left_alone_and_tried_once_at_a_time() {
        let start = Instant::now();
        let breaker = Breaker::new("test");
        for _ in 1..FAILURES_MAX {
            breaker.note(false, start);
            assert_eq!(breaker.admit(start), Ok(()));
        }
        breaker.note(false, start);
        assert_eq!(breaker.admit(start), Err(REST_MIN));
        let later = start + REST_MIN;
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "one trial at a time");
        breaker.note(false, later);
        assert_eq!(breaker.admit(later), Err(REST_MIN * 2));
        let much_later = later + REST_MIN * 2;
        assert_eq!(breaker.admit(much_later), Ok(()));
        breaker.note(true, much_later);
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(much_later), Ok(()));
    }
}
