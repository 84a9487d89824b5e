//! Packets that were skipped, and when to ask for each.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::limits::{
    MISSING_AGE, MISSING_AGE_MAX, MISSING_AGE_RTTS, MISSING_MAX, REORDER_PACKETS,
    REORDER_PACKETS_MAX, REORDER_RTT_SHARE, REORDER_TIME, REORDER_TIME_MAX, REORDER_TIME_MIN,
    REPEAT_MAX, REPEAT_MIN, REQUESTS_MAX,
};
use crate::sequence::SequenceNumber;

/// How much of a new round trip counts, as a divisor.
const SMOOTHING: u32 = 8;

#[derive(Debug)]
struct Hole {
    sequence: u64,
    since: Instant,
    asked_at: Instant,
    ask_at: Instant,
    requests: u8,
}

/// The holes of one stream, oldest first.
#[derive(Debug)]
pub(super) struct Missing {
    holes: VecDeque<Hole>,
    given_up: bool,
    /// The round trip as last told by the owner.
    rtt: Option<Duration>,
    /// From a first request to its answer, smoothed.
    repair_rtt: Option<Duration>,
    /// Newer packets that end the wait for a late one, as this path showed.
    reorder_packets: u64,
}

impl Default for Missing {
    fn default() -> Self {
        Self {
            holes: VecDeque::with_capacity(MISSING_MAX),
            given_up: false,
            rtt: None,
            repair_rtt: None,
            reorder_packets: REORDER_PACKETS,
        }
    }
}

impl Missing {
    /// Notes numbers that were skipped; they are higher than all noted before. More than fit is
    /// hopeless: then all are given up.
    pub(super) fn extend(&mut self, skipped: Range<u64>, now: Instant) {
        let count = usize::try_from(skipped.end.saturating_sub(skipped.start));
        let total = count.map_or(usize::MAX, |count| count.saturating_add(self.holes.len()));
        if total > MISSING_MAX {
            self.give_up();
            return;
        }
        let highest = skipped.end;
        let ask_at = now + self.reorder_time();
        self.holes.extend(skipped.map(|sequence| Hole {
            sequence,
            since: now,
            asked_at: now,
            ask_at,
            requests: 0,
        }));
        let reordered = self.reorder_packets;
        let fresh = self.holes.iter_mut().filter(|hole| hole.requests == 0);
        for hole in fresh.filter(|hole| highest >= hole.sequence + reordered) {
            hole.ask_at = hole.ask_at.min(now);
        }
    }

    /// Takes out a number that came after all, when `highest` was the newest.
    pub(super) fn on_late(&mut self, now: Instant, sequence: u64, highest: u64) {
        let Some(hole) = self.take(sequence) else {
            return;
        };
        // Sooner than an answer could: it was late and not lost.
        let unasked = self.rtt.is_none_or(|rtt| now < hole.asked_at + rtt / 2);
        if hole.requests == 0 || unasked {
            let overtaken = highest.saturating_sub(sequence) + 1;
            let seen = self.reorder_packets.max(overtaken);
            self.reorder_packets = seen.min(REORDER_PACKETS_MAX);
        }
    }

    /// Takes out a number that came by retransmission. The answer to a first request tells the
    /// round trip; that to a later one could be to any of them.
    pub(super) fn on_repaired(&mut self, now: Instant, sequence: u64) {
        let Some(hole) = self.take(sequence) else {
            return;
        };
        let waited_in_vain = self.reorder_packets.saturating_sub(1);
        self.reorder_packets = waited_in_vain.max(REORDER_PACKETS);
        if hole.requests == 1 {
            let sample = now.saturating_duration_since(hole.asked_at);
            self.repair_rtt = Some(self.repair_rtt.map_or(sample, |before| {
                before - before / SMOOTHING + sample / SMOOTHING
            }));
        }
    }

    fn take(&mut self, sequence: u64) -> Option<Hole> {
        let found = self
            .holes
            .binary_search_by_key(&sequence, |hole| hole.sequence);
        self.holes.remove(found.ok()?)
    }

    pub(super) fn forget_before(&mut self, sequence: u64) {
        while self
            .holes
            .front()
            .is_some_and(|hole| hole.sequence < sequence)
        {
            self.holes.pop_front();
        }
    }

    pub(super) fn give_up(&mut self) {
        self.holes.clear();
        self.given_up = true;
    }

    pub(super) const fn take_given_up(&mut self) -> bool {
        std::mem::replace(&mut self.given_up, false)
    }

    pub(super) const fn repair_rtt(&self) -> Option<Duration> {
        self.repair_rtt
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.holes.iter().map(|hole| hole.ask_at).min()
    }

    /// The numbers to ask for now.
    pub(super) fn poll(&mut self, now: Instant, rtt: Duration) -> ArrayVec<u16, MISSING_MAX> {
        self.rtt = Some(rtt);
        let repeat = rtt.clamp(REPEAT_MIN, REPEAT_MAX);
        let rtts = rtt.saturating_mul(MISSING_AGE_RTTS);
        let age_max = rtts.clamp(MISSING_AGE, MISSING_AGE_MAX);
        let mut asked = ArrayVec::new();
        let mut given_up = self.given_up;
        self.holes.retain_mut(|hole| {
            if now < hole.ask_at {
                return true;
            }
            let age = now.saturating_duration_since(hole.since);
            if hole.requests >= REQUESTS_MAX || age >= age_max {
                given_up = true;
                return false;
            }
            hole.requests += 1;
            hole.asked_at = now;
            hole.ask_at = now + repeat;
            // Never full: it has as many places as there are holes.
            asked.try_push(SequenceNumber::of(hole.sequence).0).is_ok()
        });
        self.given_up = given_up;
        asked
    }

    /// How long a skipped packet is taken for late.
    fn reorder_time(&self) -> Duration {
        self.rtt.map_or(REORDER_TIME, |rtt| {
            (rtt / REORDER_RTT_SHARE).clamp(REORDER_TIME_MIN, REORDER_TIME_MAX)
        })
    }
}
