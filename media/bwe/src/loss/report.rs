//! The rate for a client of which only reception reports are known.
//!
//! Once a second or so it tells the share lost, and nothing of when: so this is the draft's first
//! loss-based controller (draft-ietf-rmcat-gcc-02, section 6). Above a tenth lost: less; below 2 %:
//! 8 % more a second, while what is allowed is used. Such a client sends its own estimate as REMB
//! as a rule, which bounds this one.

use std::time::{Duration, Instant};

use media_types::Bitrate;

use crate::number::{bps, rate};

const HIGH_PERCENT: u64 = 10;
const LOW_PERCENT: u64 = 2;
/// After a fall, the path gets this long to recover before the next.
const HOLD: Duration = Duration::from_millis(500);
/// Growth a second.
const GROWTH: f64 = 1.08;
/// One report speaks for at most this long.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Loss control by reception reports.
#[derive(Debug)]
pub(crate) struct ReportLoss {
    target: Bitrate,
    fell: Option<Instant>,
    updated: Option<Instant>,
    last: u8,
}

impl ReportLoss {
    pub(crate) const fn new(start: Bitrate) -> Self {
        Self {
            target: start,
            fell: None,
            updated: None,
            last: 0,
        }
    }

    /// Whether a share in 256ths lowers the rate.
    pub(crate) fn is_high(lost: u8) -> bool {
        percent(lost) > HIGH_PERCENT
    }

    /// Takes a report's share in 256ths. `used` says whether the application sends about what it
    /// may; growth stops at `most`.
    pub(crate) fn on_report(&mut self, now: Instant, lost: u8, used: bool, most: Bitrate) {
        self.last = lost;
        let percent = percent(lost);
        let since = self.updated.replace(now);
        let since = since.map_or(STEP_MAX, |at| {
            now.saturating_duration_since(at).min(STEP_MAX)
        });
        if percent > HIGH_PERCENT {
            let held = self
                .fell
                .is_some_and(|at| now.saturating_duration_since(at) < HOLD);
            if !held {
                self.target = self.target.percent(100 - (percent / 2).min(50));
                self.fell = Some(now);
            }
        } else if percent < LOW_PERCENT && used {
            let grown = rate(bps(self.target) * GROWTH.powf(since.as_secs_f64()));
            self.target = grown.min(most).max(self.target.min(most));
        }
    }

    /// Keeps the rate within bounds.
    pub(crate) fn clamp(&mut self, least: Bitrate, most: Bitrate) {
        self.target = self.target.max(least).min(most.max(least));
    }

    pub(crate) const fn target(&self) -> Bitrate {
        self.target
    }

    pub(crate) const fn last(&self) -> u8 {
        self.last
    }
}

fn percent(lost: u8) -> u64 {
    u64::from(lost) * 100 / 256
}
