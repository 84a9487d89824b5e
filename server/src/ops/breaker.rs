//! A circuit breaker: what fails again and again is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};

use crate::telemetry::{BREAKER_OPEN, BREAKER_OPENED};

/// Failures in a row after which nothing is asked for a while.
const FAILURES_MAX: u32 = 5;

/// How long it is left alone.
#[derive(Debug, Clone, Copy)]
pub struct Rests {
    /// At first; doubles with each trial that fails.
    pub first: Duration,
    /// At the most: what comes back is found again within this.
    pub longest: Duration,
}

/// For what one has patience with: found again within half a minute.
impl Default for Rests {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

/// How one may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// As everybody.
    Freely,
    /// As the one that tries whether there are answers again; others are refused meanwhile.
    OnTrial,
}

/// Counts failures in a row. Closed: all goes. Open: nothing goes, until one trial is let through.
#[derive(Debug)]
pub struct Breaker {
    name: &'static str,
    rests: Rests,
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
    /// A closed one with the usual rests; `name` is its label in the figures.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::with_rests(name, Rests::default())
    }

    /// A closed one.
    #[must_use]
    pub fn with_rests(name: &'static str, rests: Rests) -> Self {
        Self {
            name,
            rests,
            state: Mutex::new(State {
                failures: 0,
                rest: rests.first,
                until: None,
                trial: None,
            }),
        }
    }

    /// Whether one may ask now.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, now: Instant) -> Result<Admitted, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = state.until else {
            return Ok(Admitted::Freely);
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
        Ok(Admitted::OnTrial)
    }

    /// What came of it, or of what is asked whether one may or not. While it is open only a trial
    /// can fail: what was asked before says nothing new.
    pub fn note(&self, good: bool, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_open = state.until.is_some();
        let trial = state.trial.take();
        if good {
            (state.failures, state.rest, state.until) = (0, self.rests.first, None);
            if was_open {
                gauge!(BREAKER_OPEN, "breaker" => self.name).set(0.0);
                tracing::info!(breaker = self.name, "answers again");
            }
            return;
        }
        if was_open && trial.is_none() {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES_MAX {
            return;
        }
        if was_open {
            state.rest = (state.rest * 2).min(self.rests.longest);
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

    const SECOND: Duration = Duration::from_secs(1);
    const FREELY: Result<Admitted, Duration> = Ok(Admitted::Freely);
    const ON_TRIAL: Result<Admitted, Duration> = Ok(Admitted::OnTrial);

    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn base() -> Instant {
        Instant::now()
    }

    fn open(rests: Rests, now: Instant) -> Breaker {
        let breaker = Breaker::with_rests("test", rests);
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.admit(now), FREELY);
            breaker.note(false, now);
        }
        assert!(breaker.is_open());
        breaker
    }

    #[test]
    fn what_fails_is_left_alone_and_tried_once_at_a_time() {
        let start = base();
        let breaker = open(Rests::default(), start);
        assert_eq!(breaker.admit(start), Err(SECOND));
        let later = start + SECOND;
        assert_eq!(breaker.admit(later), ON_TRIAL);
        assert_eq!(breaker.admit(later), Err(SECOND), "one trial at a time");
        breaker.note(false, later);
        assert_eq!(breaker.admit(later), Err(SECOND * 2));
        let much_later = later + SECOND * 2;
        assert_eq!(breaker.admit(much_later), ON_TRIAL);
        breaker.note(true, much_later);
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(much_later), FREELY);
    }

    #[test]
    fn rests_are_no_longer_than_the_longest_and_begin_anew() {
        let mut now = base();
        let rests = Rests {
            first: SECOND / 2,
            longest: SECOND,
        };
        let breaker = open(rests, now);
        for rest in [SECOND / 2, SECOND, SECOND] {
            assert_eq!(breaker.admit(now), Err(rest));
            now += rest;
            assert_eq!(breaker.admit(now), ON_TRIAL);
            breaker.note(false, now);
        }
        breaker.note(true, now);
        for _ in 0..FAILURES_MAX {
            breaker.note(false, now);
        }
        assert_eq!(breaker.admit(now), Err(SECOND / 2));
    }

    #[test]
    fn failures_of_what_was_asked_before_prolong_nothing() {
        let start = base();
        let breaker = open(Rests::default(), start);
        for _ in 0..20 {
            breaker.note(false, start + SECOND / 2);
        }
        assert_eq!(breaker.admit(start + SECOND), ON_TRIAL);
    }

    #[test]
    fn a_trial_of_which_nobody_hears_is_over_after_a_rest() {
        let start = base();
        let breaker = open(Rests::default(), start);
        assert_eq!(breaker.admit(start + SECOND), ON_TRIAL);
        assert_eq!(breaker.admit(start + SECOND * 2), ON_TRIAL);
    }
}
