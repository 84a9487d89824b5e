//! What a publisher may send, told by REMB (draft-alvestrand-rmcat-remb).
//!
//! A publisher without transport-wide feedback is told what its path was seen to carry. One with
//! it estimates by itself and is told only what its room caps it at.

use std::time::Instant;

use media_types::Bitrate;

use crate::limits::{GRANT_FALL_PERCENT, GRANT_INTERVAL, GRANT_MIN};

/// Says when a grant is due, and what it is.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    cap: Option<Bitrate>,
    /// A cap was told once, so that its end must be told too.
    capped: bool,
    told: Option<Bitrate>,
    next_at: Option<Instant>,
}

impl Grant {
    /// The most that may be sent, whatever the path carries.
    pub(crate) fn cap(&mut self, most: Option<Bitrate>) {
        if self.cap != most {
            self.cap = most;
            self.capped = true;
            self.next_at = None;
        }
    }

    /// When [`Grant::poll`] has something next; `None` before the first.
    pub(crate) const fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// There is nobody to tell for now.
    pub(crate) const fn rest(&mut self) {
        self.next_at = None;
    }

    /// The grant to send now, if it is time. `seen` is what the path was seen to carry, `None` if
    /// the publisher finds that out by itself.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        seen: Option<Bitrate>,
        most: Bitrate,
    ) -> Option<Bitrate> {
        if seen.is_none() && !self.capped {
            self.rest();
            return None;
        }
        let rate = seen.unwrap_or(most).min(self.cap.unwrap_or(most));
        let fallen = |told: Bitrate| rate < told.percent(GRANT_FALL_PERCENT);
        let waits = self.next_at.is_some_and(|at| now < at);
        if waits && !self.told.is_some_and(fallen) {
            return None;
        }
        self.next_at = Some(now + GRANT_INTERVAL);
        self.told = Some(rate);
        self.told
    }
}

/// What a path is taken to carry that is sent `rate` and loses `lost` 256ths of it: more than it
/// does, until that is too much.
pub(crate) fn seen(rate: Bitrate, lost: u8) -> Bitrate {
    // A tenth in 256ths.
    if lost > 25 {
        return rate.percent(85).max(Bitrate::from_kbps(100));
    }
    rate.percent(150).max(GRANT_MIN)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOST: Bitrate = Bitrate::from_kbps(50_000);

    fn kbps(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    #[test]
    fn a_grant_is_told_each_second_and_a_fall_at_once() {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let mut grant = Grant::default();
        assert_eq!(grant.poll(at(0), Some(kbps(900)), MOST), Some(kbps(900)));
        assert_eq!(grant.poll(at(500), Some(kbps(950)), MOST), None);
        assert_eq!(grant.poll(at(600), Some(kbps(700)), MOST), Some(kbps(700)));
        assert_eq!(grant.next_at(), Some(at(1_600)));
        assert_eq!(
            grant.poll(at(1_600), Some(kbps(710)), MOST),
            Some(kbps(710))
        );
    }

    #[test]
    fn a_cap_binds_and_its_end_is_told() {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let mut grant = Grant::default();
        // It estimates by itself, and nothing is capped.
        assert_eq!(grant.poll(at(0), None, MOST), None);
        assert_eq!(grant.poll(at(1), Some(kbps(800)), MOST), Some(kbps(800)));
        assert_eq!(grant.poll(at(2_000), None, MOST), None);
        assert_eq!(grant.next_at(), None);
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(10), None, MOST), Some(kbps(500)));
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(20), None, MOST), None);
        assert_eq!(grant.poll(at(1_010), None, MOST), Some(kbps(500)));
        grant.cap(None);
        assert_eq!(grant.poll(at(1_020), None, MOST), Some(MOST));
        let mut grant = Grant::default();
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(0), Some(kbps(900)), MOST), Some(kbps(500)));
        assert_eq!(grant.poll(at(1), Some(kbps(300)), MOST), Some(kbps(300)));
    }
}
