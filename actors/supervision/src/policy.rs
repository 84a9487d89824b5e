//! Which failures are answered by a restart, and how soon.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Which ends are followed by a new life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Every end but one that the parent asked for.
    Permanent,
    /// Failures only.
    Transient,
    /// None.
    Temporary,
}

/// How often and how fast one actor is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Which ends are followed by a new life.
    pub restart: Restart,
    /// Restarts that one window holds; the next failure is the end.
    pub intensity: u32,
    /// The window.
    pub window: Duration,
    /// The pause before the first restart of a window; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl RestartPolicy {
    const fn with(restart: Restart) -> Self {
        Self {
            restart,
            intensity: 3,
            window: Duration::from_secs(10),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
        }
    }

    /// Always restarted: 3 times in 10 s, after 50 ms doubling to 2 s.
    #[must_use]
    pub const fn permanent() -> Self {
        Self::with(Restart::Permanent)
    }

    /// Restarted after failures, with the same figures.
    #[must_use]
    pub const fn transient() -> Self {
        Self::with(Restart::Transient)
    }

    /// Never restarted.
    #[must_use]
    pub const fn temporary() -> Self {
        Self::with(Restart::Temporary)
    }

    /// The same policy with another number of restarts a window.
    #[must_use]
    pub const fn with_intensity(mut self, intensity: u32, window: Duration) -> Self {
        self.intensity = intensity;
        self.window = window;
        self
    }
}

/// The restarts of one actor that its window remembers.
#[derive(Debug, Clone)]
pub struct Restarts {
    policy: RestartPolicy,
    recent: VecDeque<Instant>,
}

impl Restarts {
    /// None yet.
    #[must_use]
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
        }
    }

    /// Decides about an end at `now`: the pause before the next life, or `None` for the end.
    pub fn next(&mut self, now: Instant, failed: bool) -> Option<Duration> {
        while let Some(&oldest) = self.recent.front() {
            if now.duration_since(oldest) < self.policy.window {
                break;
            }
            self.recent.pop_front();
        }
        if !self.wants(failed) || self.granted() >= self.policy.intensity {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.granted()).unwrap_or(u32::MAX);
        let pause = self.policy.backoff_min.saturating_mul(doubled);
        self.recent.push_back(now);
        Some(pause.min(self.policy.backoff_max))
    }

    /// Whether the policy restarts after such an end at all.
    #[must_use]
    pub fn wants(&self, failed: bool) -> bool {
        match self.policy.restart {
            Restart::Permanent => true,
            Restart::Transient => failed,
            Restart::Temporary => false,
        }
    }

    /// Restarts granted in the current window.
    #[must_use]
    pub fn granted(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
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
    fn the_pause_doubles_and_the_window_is_spent() {
        let mut restarts = Restarts::new(RestartPolicy::transient());
        let start = base();
        let pauses: Vec<_> = (0..4).map(|_| restarts.next(start, true)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(50), ms(100), ms(200), None]);
        let later = start + Duration::from_secs(10);
        assert_eq!(restarts.next(later, true), ms(50));
    }

    #[test]
    fn the_pause_is_capped() {
        let policy = RestartPolicy::permanent().with_intensity(40, Duration::from_secs(60));
        let mut restarts = Restarts::new(policy);
        let start = base();
        let last = (0..40).filter_map(|_| restarts.next(start, true)).last();
        assert_eq!(last, Some(Duration::from_secs(2)));
    }

    #[test]
    fn kinds_differ_in_what_they_restart() {
        let now = base();
        let next = |policy, failed| Restarts::new(policy).next(now, failed).is_some();
        assert!(next(RestartPolicy::permanent(), false));
        assert!(next(RestartPolicy::permanent(), true));
        assert!(!next(RestartPolicy::transient(), false));
        assert!(next(RestartPolicy::transient(), true));
        assert!(!next(RestartPolicy::temporary(), true));
    }
}
