//! Whether the application, and not the path, limits what is sent.
//!
//! Layers come in steps, screens stand still, voices pause: then what arrives says nothing of what
//! the path could carry, and an estimate that went on growing would be a guess. A budget fills at
//! a share of the estimate and is spent by what is sent; while it stays full the application is the
//! limit (libwebrtc's `AlrDetector`, whose share and bounds these are).

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::number::bps;

/// Who sends less than this share of the estimate is limited by the application.
pub(crate) const SHARE: f64 = 0.65;
/// The budget holds this much of the share, in seconds, and may be overdrawn by as much.
const WINDOW: f64 = 0.5;
/// Above this part of it the application is the limit …
const START: f64 = 0.8;
/// … and below this no longer.
const STOP: f64 = 0.5;
/// A longer gap tells no more.
const GAP_MAX: Duration = Duration::from_secs(2);

/// Watches what is sent of what may be.
#[derive(Debug, Default)]
pub(crate) struct LimitDetector {
    /// Bits not sent of what could have been.
    budget: f64,
    counted: Option<Instant>,
    limited: bool,
}

impl LimitDetector {
    /// Takes a packet, or that time passes.
    pub(crate) fn on_sent(&mut self, now: Instant, size: DataSize, estimate: Bitrate) {
        let counted = *self.counted.get_or_insert(now);
        let passed = now.saturating_duration_since(counted).min(GAP_MAX);
        self.counted = Some(now);
        let share = bps(estimate) * SHARE;
        let most = share * WINDOW;
        let spent = bps(Bitrate::of(size, Duration::from_secs(1)));
        let budget = (self.budget + share * passed.as_secs_f64()).min(most) - spent;
        self.budget = budget.max(-most);
        if self.budget > most * START {
            self.limited = true;
        } else if self.budget < most * STOP {
            self.limited = false;
        }
    }

    pub(crate) const fn is_limited(&self) -> bool {
        self.limited
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
    fn who_sends_little_is_limited_and_who_sends_much_is_not() {
        let base = Instant::now();
        let mut detector = LimitDetector::default();
        let estimate = Bitrate::from_kbps(1_000);
        let mut send = |from: u64, to: u64, bytes: u64| {
            for at in (from..to).step_by(10) {
                let now = base + Duration::from_millis(at);
                detector.on_sent(now, DataSize::from_bytes(bytes), estimate);
            }
            detector.is_limited()
        };
        assert!(!send(0, 1_000, 1_125));
        assert!(send(1_000, 3_000, 400));
        assert!(!send(3_000, 4_000, 1_125));
    }
}
