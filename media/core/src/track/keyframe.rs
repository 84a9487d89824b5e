//! When to ask a publisher for a keyframe.
//!
//! Requests of all subscribers of a stream become one. Repairs keep their distance, since keyframes
//! are large; a new subscriber's request goes nearly at once, since nothing can be shown before its
//! answer, and is soon repeated, since encoders pass over a request that follows another too
//! closely (libwebrtc: within 300 ms). What was asked is asked again until a keyframe comes.

use std::time::Instant;

use crate::limits::{
    KEYFRAME_PERIOD, KEYFRAME_PERIOD_JOIN, KEYFRAME_PERIOD_RETRY, KEYFRAME_PERIOD_SLOW,
    KEYFRAME_TRIES_FAST, KEYFRAME_TRIES_JOIN,
};

/// Why a keyframe is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// A decoder lost its way.
    Repair,
    /// A decoder has nothing yet.
    Join,
}

/// The requests of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyframeRequests {
    wanted: Option<Urgency>,
    asked_at: Option<Instant>,
    tries: u32,
}

impl KeyframeRequests {
    /// Notes that somebody wants a keyframe; [`Self::poll`] says when to ask.
    pub(crate) fn want(&mut self, urgency: Urgency) {
        self.wanted = self.wanted.max(Some(urgency));
    }

    /// A keyframe has begun to arrive: everybody who waited has it.
    pub(crate) fn on_keyframe(&mut self) {
        self.wanted = None;
        self.tries = 0;
    }

    /// Nobody wants this stream any more.
    pub(crate) fn forget(&mut self) {
        self.wanted = None;
        self.tries = 0;
    }

    /// Whether a keyframe is wanted and has not come.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether to send a request now.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let Some(urgency) = self.wanted else {
            return false;
        };
        let period = match urgency {
            Urgency::Join if self.tries == 0 => KEYFRAME_PERIOD_JOIN,
            Urgency::Join if self.tries < KEYFRAME_TRIES_JOIN => KEYFRAME_PERIOD_RETRY,
            _ if self.tries >= KEYFRAME_TRIES_FAST => KEYFRAME_PERIOD_SLOW,
            Urgency::Join | Urgency::Repair => KEYFRAME_PERIOD,
        };
        let early = |at: Instant| now.saturating_duration_since(at) < period;
        if self.asked_at.is_some_and(early) {
            return false;
        }
        self.asked_at = Some(now);
        self.tries = self.tries.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn repairs_keep_their_distance_and_are_repeated() {
        let (mut requests, base) = (KeyframeRequests::default(), base());
        assert!(!requests.poll(base));
        requests.want(Urgency::Repair);
        assert!(requests.poll(base));
        requests.want(Urgency::Repair);
        assert!(!requests.poll(base + ms(499)));
        assert!(requests.poll(base + ms(500)));
        requests.on_keyframe();
        assert!(!requests.poll(base + ms(2_000)));
        requests.want(Urgency::Repair);
        assert!(requests.poll(base + ms(2_000)));
    }

    #[test]
    fn a_join_does_not_wait_for_the_distance() {
        let (mut requests, base) = (KeyframeRequests::default(), base());
        requests.want(Urgency::Join);
        assert!(requests.poll(base));
        requests.on_keyframe();
        requests.want(Urgency::Join);
        requests.want(Urgency::Repair);
        assert!(!requests.poll(base + ms(99)));
        assert!(requests.poll(base + ms(100)));
        // The encoder may have passed it over, since it was asked a moment ago.
        assert!(!requests.poll(base + ms(299)));
        assert!(requests.poll(base + ms(300)));
        assert!(requests.poll(base + ms(500)));
        assert!(!requests.poll(base + ms(999)), "by now it is slow or deaf");
        assert!(requests.poll(base + ms(1_000)));
    }

    #[test]
    fn a_deaf_publisher_is_asked_less_often() {
        let (mut requests, base) = (KeyframeRequests::default(), base());
        requests.want(Urgency::Repair);
        let asked = (0..600_u64)
            .filter(|tick| requests.poll(base + ms(tick * 50)))
            .count();
        assert_eq!(asked, 10 + 12);
        requests.forget();
        assert!(!requests.is_waiting());
    }
}
