//! Whether an estimate is proof of a narrow path.
//!
//! An estimate is low because the path is narrow, or because little was sent over it. Only one that
//! fell while it was in use proves anything, and only for a while.

use std::time::{Duration, Instant};

use media_types::Bitrate;

use crate::limits::{
    CONGESTION_DOUBT, CONGESTION_HOLD, CONGESTION_HOLD_MAX, CONGESTION_RELAPSE, FALL_PERCENT,
};

/// What one path's estimates have shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Congestion {
    /// The height from which a fall counts.
    height: Bitrate,
    fell_at: Option<Instant>,
    /// When it fell to what left room for all that was sent then.
    spared_at: Option<Instant>,
    hold: Duration,
}

impl Congestion {
    /// Takes an estimate, and what is sent over the path. A fall that leaves room for all that is
    /// sent says nothing.
    pub(crate) fn update(&mut self, now: Instant, estimate: Bitrate, sent: Bitrate) {
        if estimate >= self.height.percent(FALL_PERCENT) {
            self.height = self.height.max(estimate);
            return;
        }
        self.height = estimate;
        self.spared_at = Some(now);
        self.confirm(now, estimate, sent);
    }

    /// Takes what is to be sent over the path now. More than what the estimate fell to is as good
    /// as if it had fallen below that.
    pub(crate) fn confirm(&mut self, now: Instant, estimate: Bitrate, sent: Bitrate) {
        let lately = |at| now.saturating_duration_since(at) < CONGESTION_DOUBT;
        if estimate >= sent || !self.spared_at.is_some_and(lately) {
            return;
        }
        self.spared_at = None;
        let since = self.fell_at.map(|at| now.saturating_duration_since(at));
        self.hold = match since {
            Some(since) if since < self.hold => self.hold,
            Some(since) if since < self.hold + CONGESTION_RELAPSE => {
                self.hold.saturating_mul(2).min(CONGESTION_HOLD_MAX)
            }
            _ => CONGESTION_HOLD,
        };
        self.fell_at = Some(now);
    }

    /// When the estimate last fell.
    pub(crate) const fn fell_at(&self) -> Option<Instant> {
        self.fell_at
    }

    /// Whether the path is known to be narrow.
    pub(crate) fn is_proven(&self, now: Instant) -> bool {
        let holds = |at| now.saturating_duration_since(at) < self.hold;
        self.fell_at.is_some_and(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kbps(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    #[test]
    fn what_is_found_to_cost_more_than_is_left_after_a_fall_is_proof() {
        #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
        let base = Instant::now();
        let mut path = Congestion::default();
        path.update(base, kbps(1_000), kbps(0));
        path.update(base, kbps(700), kbps(600));
        assert!(!path.is_proven(base));
        path.confirm(base, kbps(700), kbps(690));
        assert!(!path.is_proven(base));
        path.confirm(base, kbps(700), kbps(900));
        assert!(path.is_proven(base));
        // Not for long: the path may be another by then.
        let mut path = Congestion::default();
        path.update(base, kbps(1_000), kbps(0));
        path.update(base, kbps(700), kbps(600));
        let later = base + CONGESTION_DOUBT;
        path.confirm(later, kbps(700), kbps(900));
        assert!(!path.is_proven(later));
    }

    #[test]
    fn only_a_fall_below_what_is_sent_is_proof_and_only_for_a_while() {
        #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let mut path = Congestion::default();
        for (second, estimate) in [(0, 500), (1, 400), (2, 2_000), (3, 1_950), (4, 1_910)] {
            path.update(at(second), kbps(estimate), kbps(300));
            assert!(!path.is_proven(at(second)));
        }
        path.update(at(5), kbps(1_890), kbps(1_900));
        assert!(path.is_proven(at(5)) && path.is_proven(at(34)) && !path.is_proven(at(35)));
        // It fell again as soon as it was trusted again: the next hold is longer.
        path.update(at(40), kbps(1_000), kbps(1_900));
        assert!(path.is_proven(at(99)) && !path.is_proven(at(100)));
        // Falls within a hold do not lengthen it beyond its own length.
        path.update(at(50), kbps(500), kbps(1_900));
        assert!(path.is_proven(at(109)) && !path.is_proven(at(110)));
        path.update(at(200), kbps(100), kbps(1_900));
        assert!(path.is_proven(at(229)) && !path.is_proven(at(230)));
    }
}
