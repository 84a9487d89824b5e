//! Packets that were skipped, and when to ask for each.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::sequence::SequenceNumber;

/// Missing packets remembered at once. A hole larger than this is quicker mended by a keyframe.
pub const MISSING_MAX: usize = 256;
/// A skipped packet may merely be late: it is asked for when this has passed …
const REORDER_TIME: Duration = Duration::from_millis(10);
/// … or when this many newer packets have come.
const REORDER_PACKETS: u64 = 2;
/// The shortest time between two requests for one packet.
const REPEAT_MIN: Duration = Duration::from_millis(20);
/// Requests after which a packet is given up.
const REQUESTS_MAX: u8 = 10;
/// Age at which a packet is given up: nobody waits a second for a picture.
const AGE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Hole {
    sequence: u64,
    since: Instant,
    ask_at: Instant,
    requests: u8,
}

/// The holes of one stream, oldest first.
#[derive(Debug)]
pub(super) struct Missing {
    holes: VecDeque<Hole>,
    given_up: bool,
}

impl Default for Missing {
    fn default() -> Self {
        Self {
            holes: VecDeque::with_capacity(MISSING_MAX),
            given_up: false,
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
        self.holes.extend(skipped.map(|sequence| Hole {
            sequence,
            since: now,
            ask_at: now + REORDER_TIME,
            requests: 0,
        }));
    }

    /// Takes out a number that came after all.
    pub(super) fn remove(&mut self, sequence: u64) {
        let found = self
            .holes
            .binary_search_by_key(&sequence, |hole| hole.sequence);
        if let Ok(index) = found {
            self.holes.remove(index);
        }
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

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.holes.iter().map(|hole| hole.ask_at).min()
    }

    /// The numbers to ask for now; `highest` is the stream's newest.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        rtt: Duration,
        highest: u64,
    ) -> ArrayVec<u16, MISSING_MAX> {
        let mut asked = ArrayVec::new();
        let mut given_up = self.given_up;
        self.holes.retain_mut(|hole| {
            let overtaken = hole.requests == 0 && highest >= hole.sequence + REORDER_PACKETS;
            if now < hole.ask_at && !overtaken {
                return true;
            }
            let age = now.saturating_duration_since(hole.since);
            if hole.requests >= REQUESTS_MAX || age >= AGE_MAX {
                given_up = true;
                return false;
            }
            hole.requests += 1;
            hole.ask_at = now + rtt.max(REPEAT_MIN);
            // Never full: it has as many places as there are holes.
            asked.try_push(SequenceNumber::of(hole.sequence).0).is_ok()
        });
        self.given_up = given_up;
        asked
    }
}
