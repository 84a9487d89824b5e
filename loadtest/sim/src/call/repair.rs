//! What a light client misses of one stream, and what it reports of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_rtp::receive::ReceptionFigures;

/// As many requests for one packet as libwebrtc makes.
const TRIES_MAX: u32 = 10;
/// As many packets as libwebrtc asks for at once; beyond, it asks for a keyframe.
const MISSING_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy)]
struct Wanted {
    next: Instant,
    tries: u32,
}

/// Gaps of one stream.
pub(super) struct Missing {
    rtt: Duration,
    highest: Option<u64>,
    first: u64,
    wanted: BTreeMap<u64, Wanted>,
    overflow: bool,
    received: u64,
    reported: (u64, u64),
    last_report: Option<(u32, Instant)>,
}

impl Missing {
    pub(super) fn new(rtt: Duration) -> Self {
        Self {
            rtt,
            highest: None,
            first: 0,
            wanted: BTreeMap::new(),
            overflow: false,
            received: 0,
            reported: (0, 0),
            last_report: None,
        }
    }

    pub(super) fn on_packet(&mut self, now: Instant, index: u64) {
        self.wanted.remove(&index);
        self.received += 1;
        let Some(highest) = self.highest else {
            (self.highest, self.first) = (Some(index), index);
            return;
        };
        if index <= highest {
            return;
        }
        self.highest = Some(index);
        let gap = usize::try_from(index - highest).unwrap_or(usize::MAX);
        if gap + self.wanted.len() > MISSING_MAX {
            self.wanted.clear();
            self.overflow = true;
            return;
        }
        let wanted = Wanted {
            next: now,
            tries: 0,
        };
        self.wanted
            .extend((highest + 1..index).map(|index| (index, wanted)));
    }

    /// Nothing up to there is of use any more.
    pub(super) fn forget_to(&mut self, index: u64) {
        self.wanted = self.wanted.split_off(&(index + 1));
    }

    /// Whether so much is missing that only a keyframe helps; once.
    pub(super) fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflow)
    }

    /// What to ask for now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<u16> {
        let mut asked = Vec::new();
        for (index, wanted) in &mut self.wanted {
            if wanted.next <= now {
                wanted.next = now + self.rtt;
                wanted.tries += 1;
                asked.push(u16::try_from(index & 0xffff).unwrap_or(0));
            }
        }
        self.wanted.retain(|_, wanted| wanted.tries <= TRIES_MAX);
        asked
    }

    pub(super) fn on_sender_report(&mut self, now: Instant, middle: u32) {
        self.last_report = Some((middle, now));
    }

    /// What to report since the last time (RFC 3550, section 6.4.1).
    pub(super) fn report(&mut self, now: Instant) -> Option<ReceptionFigures> {
        let highest = self.highest?;
        let expected = highest - self.first + 1;
        let (expected_before, received_before) = self.reported;
        let due = expected - expected_before;
        let lost = due.saturating_sub(self.received.saturating_sub(received_before));
        self.reported = (expected, self.received);
        let (last_sender_report, delay) = match self.last_report {
            Some((middle, at)) => (middle, now.saturating_duration_since(at)),
            None => (0, Duration::ZERO),
        };
        let total = i64::try_from(expected).ok()? - i64::try_from(self.received).ok()?;
        Some(ReceptionFigures {
            fraction_lost: u8::try_from((lost * 256).checked_div(due).unwrap_or(0)).unwrap_or(255),
            cumulative_lost: i32::try_from(total).unwrap_or(0),
            extended_highest: u32::try_from(highest & 0xffff_ffff).unwrap_or(0),
            jitter: 0,
            last_sender_report,
            delay_since_last: u32::try_from(delay.as_micros() * 65_536 / 1_000_000).unwrap_or(0),
        })
    }
}
