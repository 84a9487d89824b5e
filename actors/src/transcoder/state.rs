//! When a codec process is started, ended and given up (pure).

use std::time::{Duration, Instant};

use supervision::Restarts;

use super::Transcoder;
use crate::limits::{CODEC_HEALTH_MAX, CODEC_START_MAX};

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TranscoderPhase {
    /// A process was started and has not said yet that it is ready.
    Starting {
        /// Since when.
        since: Instant,
    },
    /// A process works.
    Running {
        /// When it last said so.
        healthy: Instant,
    },
    /// The last process failed; the next one starts soon.
    Waiting,
    /// Too many failed: nothing comes any more.
    GivenUp,
}

impl TranscoderPhase {
    /// What it is called in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Waiting => "waiting",
            Self::GivenUp => "given_up",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TranscoderAction {
    /// Start a process.
    Launch,
    /// Start one after this pause.
    LaunchAfter(Duration),
    /// End the process that does not answer; its end will be told as a failure.
    Kill,
    /// Tell whoever waits for frames that none will come.
    GiveUp,
}

/// One job.
#[derive(Debug, Clone)]
pub struct TranscoderState {
    phase: TranscoderPhase,
    restarts: Restarts,
    failures: u32,
    failure: Option<String>,
}

impl TranscoderState {
    /// A job whose first process is started now.
    #[must_use]
    pub fn new(now: Instant) -> (Self, TranscoderAction) {
        let state = Self {
            phase: TranscoderPhase::Starting { since: now },
            restarts: Restarts::new(Transcoder::policy()),
            failures: 0,
            failure: None,
        };
        (state, TranscoderAction::Launch)
    }

    /// How it is.
    #[must_use]
    pub const fn phase(&self) -> TranscoderPhase {
        self.phase
    }

    /// Processes that failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last one did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The process says that it is ready, or well.
    pub fn handle_healthy(&mut self, now: Instant) {
        match self.phase {
            TranscoderPhase::Starting { .. } | TranscoderPhase::Running { .. } => {
                self.phase = TranscoderPhase::Running { healthy: now };
            }
            // It spoke and then failed; what it said comes late.
            TranscoderPhase::Waiting | TranscoderPhase::GivenUp => {}
        }
    }

    /// The process has ended or could not be started. `last`: another would fare no better.
    pub fn handle_failure(
        &mut self,
        now: Instant,
        reason: String,
        last: bool,
    ) -> Option<TranscoderAction> {
        match self.phase {
            TranscoderPhase::Starting { .. } | TranscoderPhase::Running { .. } => {}
            TranscoderPhase::Waiting | TranscoderPhase::GivenUp => return None,
        }
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(reason);
        let pause = if last {
            None
        } else {
            self.restarts.next(now, true)
        };
        Some(match pause {
            Some(pause) => {
                self.phase = TranscoderPhase::Waiting;
                TranscoderAction::LaunchAfter(pause)
            }
            None => {
                self.phase = TranscoderPhase::GivenUp;
                TranscoderAction::GiveUp
            }
        })
    }

    /// The pause is over.
    pub fn handle_retry(&mut self, now: Instant) -> Option<TranscoderAction> {
        if self.phase != TranscoderPhase::Waiting {
            return None;
        }
        self.phase = TranscoderPhase::Starting { since: now };
        Some(TranscoderAction::Launch)
    }

    /// Looks whether the process still answers; once a second.
    #[must_use]
    pub fn handle_tick(&self, now: Instant) -> Option<TranscoderAction> {
        let silent = |since: Instant, most| now.saturating_duration_since(since) > most;
        let kill = match self.phase {
            TranscoderPhase::Starting { since } => silent(since, CODEC_START_MAX),
            TranscoderPhase::Running { healthy } => silent(healthy, CODEC_HEALTH_MAX),
            TranscoderPhase::Waiting | TranscoderPhase::GivenUp => false,
        };
        kill.then_some(TranscoderAction::Kill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn base() -> Instant {
        Instant::now()
    }

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn fail(state: &mut TranscoderState, now: Instant) -> Option<TranscoderAction> {
        state.handle_failure(now, "killed".to_owned(), false)
    }

    #[test]
    fn three_restarts_and_then_no_more() {
        let start = base();
        let (mut state, first) = TranscoderState::new(start);
        assert_eq!(first, TranscoderAction::Launch);
        let mut actions = Vec::new();
        for crash in 0..10 {
            let now = start + ms(crash * 1_000);
            state.handle_healthy(now);
            actions.extend(fail(&mut state, now));
            state.handle_retry(now);
        }
        let after = |pause| TranscoderAction::LaunchAfter(ms(pause));
        let expected = [after(50), after(100), after(200), TranscoderAction::GiveUp];
        assert_eq!(actions, expected);
        assert_eq!((state.phase().name(), state.failures()), ("given_up", 4));
        assert_eq!(state.failure(), Some("killed"));
    }

    #[test]
    fn a_failure_a_minute_is_lived_with() {
        let start = base();
        let (mut state, _) = TranscoderState::new(start);
        for minute in 0..100 {
            let now = start + Duration::from_secs(61 * minute);
            let action = fail(&mut state, now);
            assert_eq!(action, Some(TranscoderAction::LaunchAfter(ms(50))));
            assert_eq!(state.handle_retry(now), Some(TranscoderAction::Launch));
        }
    }

    #[test]
    fn what_no_process_can_do_is_given_up_at_once() {
        let (mut state, _) = TranscoderState::new(base());
        let action = state.handle_failure(base(), "no decoder".to_owned(), true);
        assert_eq!(action, Some(TranscoderAction::GiveUp));
        assert_eq!(fail(&mut state, base()), None);
    }

    #[test]
    fn a_process_that_says_nothing_is_ended() {
        let start = base();
        let (mut state, _) = TranscoderState::new(start);
        assert_eq!(state.handle_tick(start + CODEC_START_MAX), None);
        let late = start + CODEC_START_MAX + ms(1);
        assert_eq!(state.handle_tick(late), Some(TranscoderAction::Kill));
        state.handle_healthy(late);
        assert_eq!(state.handle_tick(late + CODEC_HEALTH_MAX), None);
        let silent = late + CODEC_HEALTH_MAX + ms(1);
        assert_eq!(state.handle_tick(silent), Some(TranscoderAction::Kill));
        // Its end is told, and nothing that it said before counts any more.
        fail(&mut state, silent);
        state.handle_healthy(silent);
        assert_eq!(state.phase(), TranscoderPhase::Waiting);
        assert_eq!(state.handle_tick(silent + CODEC_START_MAX), None);
    }
}
