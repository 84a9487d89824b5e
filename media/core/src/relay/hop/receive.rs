//! The inward half: what is missing, and what to tell the sender of when things came.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::datagram::{UnitPart, write_feedback, write_nack};
use super::join::Joiner;
use super::send::Unit;
use crate::limits::{
    HOP_ARRIVALS_MAX, HOP_FEEDBACK_PERIOD, HOP_GAP_MAX, HOP_NACK_PERIOD_MIN, HOP_NACK_TRIES,
    HOP_NACKS_MAX, HOP_REORDER, HOP_REPORTS_MAX,
};

#[derive(Debug)]
struct Missing {
    due: Instant,
    tries: u8,
}

/// Puts a number back on the line of which only the low bits are known.
fn unwrapped(last: u64, low: u64, bits: u32) -> u64 {
    let size = 1_u64 << bits;
    let near = (last & !(size - 1)) | low;
    let half = size / 2;
    if near + half < last {
        near + size
    } else if near > last + half && near >= size {
        near - size
    } else {
        near
    }
}

#[derive(Debug)]
pub(super) struct Inward {
    origin: Instant,
    joiner: Joiner,
    /// The highest hop number that came.
    highest: Option<u64>,
    missing: BTreeMap<u64, Missing>,
    missed: u64,
    repaired: u64,
    lost: u64,
    /// Arrivals that were not told yet, by transport-wide number.
    arrivals: BTreeMap<u64, Duration>,
    /// The highest transport-wide number that came, and the first to tell next.
    newest: u64,
    tell_from: Option<u64>,
    feedback_due: Option<Instant>,
}

impl Inward {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            origin: now,
            joiner: Joiner::default(),
            highest: None,
            missing: BTreeMap::new(),
            missed: 0,
            repaired: 0,
            lost: 0,
            arrivals: BTreeMap::new(),
            newest: 0,
            tell_from: None,
            feedback_due: None,
        }
    }

    /// Missed, repaired, lost.
    pub(super) const fn counts(&self) -> (u64, u64, u64) {
        (self.missed, self.repaired, self.lost)
    }

    /// Notes when a datagram came.
    pub(super) fn note_arrival(&mut self, now: Instant, sequence: u16) {
        let number = unwrapped(self.newest, sequence.into(), 16);
        self.newest = self.newest.max(number);
        let from = *self.tell_from.get_or_insert(number);
        self.tell_from = Some(from.min(number));
        if self.arrivals.len() < HOP_ARRIVALS_MAX {
            let at = now.saturating_duration_since(self.origin);
            self.arrivals.entry(number).or_insert(at);
        }
        let due = now + HOP_FEEDBACK_PERIOD;
        let due = match self.arrivals.len() >= HOP_REPORTS_MAX {
            true => now,
            false => due,
        };
        self.feedback_due = Some(self.feedback_due.map_or(due, |known| known.min(due)));
    }

    /// A packet, if this brings or completes one that was not there.
    pub(super) fn take(&mut self, now: Instant, number: u32, unit: UnitPart<'_>) -> Option<Unit> {
        if !self.is_news(now, number) {
            return None;
        }
        self.joiner.take(now, unit)
    }

    fn is_news(&mut self, now: Instant, number: u32) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(number.into());
            return true;
        };
        let number = unwrapped(highest, number.into(), 32);
        if number <= highest {
            let Some(found) = self.missing.remove(&number) else {
                return false;
            };
            self.repaired += u64::from(found.tries > 0);
            // What came late by itself was not missed.
            self.missed -= u64::from(found.tries == 0);
            return true;
        }
        let gap = number - highest - 1;
        self.missed += gap;
        if gap > HOP_GAP_MAX {
            // The path was cut: what was meant for that time is of no use now.
            let waiting = u64::try_from(self.missing.len()).unwrap_or(0);
            self.lost += gap + waiting;
            self.missing.clear();
        } else {
            let due = now + HOP_REORDER;
            for number in highest + 1..number {
                self.missing.insert(number, Missing { due, tries: 0 });
            }
        }
        self.highest = Some(number);
        true
    }

    /// Writes what is to be told to the sender; whether there is anything.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        rtt: Duration,
        room: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        self.poll_nack(now, rtt, room, out) || self.poll_feedback(now, room, out)
    }

    fn poll_nack(&mut self, now: Instant, rtt: Duration, room: usize, out: &mut Vec<u8>) -> bool {
        let mut wanted = Vec::new();
        let mut over = Vec::new();
        // A number and its distance from the one before take five bytes at most.
        let max = HOP_NACKS_MAX.min(room.saturating_sub(16) / 5);
        for (&number, missing) in &mut self.missing {
            if missing.due > now {
                continue;
            }
            if missing.tries >= HOP_NACK_TRIES {
                over.push(number);
                continue;
            }
            if wanted.len() >= max {
                break;
            }
            missing.tries += 1;
            missing.due = now + rtt.max(HOP_NACK_PERIOD_MIN) + HOP_REORDER;
            let low = number & u64::from(u32::MAX);
            wanted.extend(u32::try_from(low));
        }
        for number in over {
            self.missing.remove(&number);
            self.lost += 1;
        }
        write_nack(out, &wanted);
        !wanted.is_empty()
    }

    fn poll_feedback(&mut self, now: Instant, room: usize, out: &mut Vec<u8>) -> bool {
        let Some(from) = self.tell_from else {
            return false;
        };
        if self.feedback_due.is_none_or(|due| now < due) {
            return false;
        }
        let last = self.arrivals.keys().next_back().copied().unwrap_or(from);
        let most = u64::try_from(HOP_REPORTS_MAX).unwrap_or(u64::MAX);
        // After a long silence the numbers between are of no interest.
        let from = from.max(last.saturating_sub(u64::from(u16::MAX / 4)));
        let list: Vec<_> = (from..=last)
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .map(|number| self.arrivals.get(&number).copied())
            .collect();
        let low = u16::try_from(from & 0xffff).unwrap_or(0);
        let told = write_feedback(out, room, low, &list);
        let next = from + u64::try_from(told).unwrap_or(0);
        self.arrivals = self.arrivals.split_off(&next);
        self.tell_from = Some(next);
        if self.arrivals.is_empty() {
            self.feedback_due = None;
        }
        told > 0
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let repeats = self.missing.values().map(|missing| missing.due).min();
        [repeats, self.feedback_due].into_iter().flatten().min()
    }
}
