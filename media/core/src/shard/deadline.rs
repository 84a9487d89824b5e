//! One timer wheel a shard: set and cancel in constant time, without allocating.
//!
//! Two rings of buckets, 1 ms and 256 ms wide; what lies further ahead waits in the last bucket of
//! the outer ring and is sorted in again from there. Every timer is a node of an intrusive list, so
//! that re-arming one for each packet costs a few writes.

use std::time::{Duration, Instant};

/// Buckets of a ring.
const RING: u64 = 256;
const RING_BUCKETS: usize = 256;
const NONE: u32 = u32::MAX;

/// Names one timer of the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TimerId(u32);

#[derive(Debug, Clone)]
struct Node<K> {
    key: K,
    /// In milliseconds since the base, rounded up; meaningful while `bucket` is not `NONE`.
    at: u64,
    bucket: u32,
    previous: u32,
    next: u32,
}

/// Timers with a key each.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    base: Instant,
    /// The millisecond up to which timers have fired.
    cursor: u64,
    nodes: Vec<Node<K>>,
    free: Vec<u32>,
    heads: Vec<u32>,
    armed: usize,
}

impl<K: Copy> Wheel<K> {
    pub(crate) fn new(base: Instant) -> Self {
        Self {
            base,
            cursor: 0,
            nodes: Vec::new(),
            free: Vec::new(),
            heads: vec![NONE; RING_BUCKETS * 2],
            armed: 0,
        }
    }

    /// A timer that is not armed yet.
    pub(crate) fn register(&mut self, key: K) -> TimerId {
        let node = Node {
            key,
            at: 0,
            bucket: NONE,
            previous: NONE,
            next: NONE,
        };
        if let Some(index) = self.free.pop() {
            if let Some(slot) = self.nodes.get_mut(index as usize) {
                *slot = node;
            }
            return TimerId(index);
        }
        self.nodes.push(node);
        TimerId(u32::try_from(self.nodes.len() - 1).unwrap_or(NONE))
    }

    /// Forgets a timer; its id may be given out again.
    pub(crate) fn unregister(&mut self, timer: TimerId) {
        self.cancel(timer);
        self.free.push(timer.0);
    }

    /// Arms a timer, whatever it was armed for before.
    pub(crate) fn set(&mut self, timer: TimerId, at: Instant) {
        let at = self.ticks_up(at).max(self.cursor);
        let Some(node) = self.nodes.get(timer.0 as usize) else {
            return;
        };
        if node.bucket != NONE && node.at == at {
            return;
        }
        self.cancel(timer);
        self.link(timer.0, at);
    }

    /// Arms a timer unless it is armed for an earlier time.
    pub(crate) fn set_by(&mut self, timer: TimerId, at: Instant) {
        let ticks = self.ticks_up(at);
        let node = self.nodes.get(timer.0 as usize);
        if node.is_some_and(|node| node.bucket == NONE || node.at > ticks) {
            self.set(timer, at);
        }
    }

    /// Disarms a timer.
    pub(crate) fn cancel(&mut self, timer: TimerId) {
        let Some(node) = self.nodes.get_mut(timer.0 as usize) else {
            return;
        };
        let (bucket, previous, next) = (node.bucket, node.previous, node.next);
        if bucket == NONE {
            return;
        }
        (node.bucket, node.previous, node.next) = (NONE, NONE, NONE);
        if let Some(before) = self.nodes.get_mut(previous as usize) {
            before.next = next;
        } else if let Some(head) = self.heads.get_mut(bucket as usize) {
            *head = next;
        }
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.previous = previous;
        }
        self.armed -= 1;
    }

    /// Takes one timer whose time has come; it is disarmed. Call until `None`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let now = self.ticks_down(now);
        while self.armed > 0 && self.cursor <= now {
            if let Some(timer) = self.head_of(inner_bucket(self.cursor)) {
                let key = self.nodes.get(timer as usize).map(|node| node.key);
                self.cancel(TimerId(timer));
                return key;
            }
            if self.cursor == now {
                return None;
            }
            self.advance(now);
        }
        if self.armed == 0 {
            self.cursor = self.cursor.max(now);
        }
        None
    }

    /// When to call [`Self::pop_due`] next: exact within the inner ring, else the end of an outer
    /// bucket, which is early but never late.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.armed == 0 {
            return None;
        }
        let inner =
            (self.cursor..self.ring_end()).find(|&tick| self.head_of(inner_bucket(tick)).is_some());
        let tick = inner.unwrap_or_else(|| {
            let first = self.cursor / RING + 1;
            let outer =
                (first..first + RING).find(|&turn| self.head_of(outer_bucket(turn)).is_some());
            outer.unwrap_or(first) * RING
        });
        Some(self.base + Duration::from_millis(tick))
    }

    /// The first millisecond that the inner ring does not cover now.
    const fn ring_end(&self) -> u64 {
        (self.cursor / RING + 1) * RING
    }

    /// Moves the cursor to the next bucket that may hold something, not past `now`.
    fn advance(&mut self, now: u64) {
        let end = self.ring_end();
        let limit = end.min(now);
        let next =
            (self.cursor + 1..limit).find(|&tick| self.head_of(inner_bucket(tick)).is_some());
        self.cursor = next.unwrap_or(limit);
        if self.cursor == end {
            self.unfold(end / RING);
        }
    }

    /// Sorts the timers of an outer bucket in again, now that the inner ring covers its time.
    fn unfold(&mut self, turn: u64) {
        let mut index = self.head_of(outer_bucket(turn)).unwrap_or(NONE);
        while let Some(node) = self.nodes.get(index as usize) {
            let (at, next) = (node.at, node.next);
            self.cancel(TimerId(index));
            self.link(index, at);
            index = next;
        }
    }

    fn link(&mut self, index: u32, at: u64) {
        let bucket = if at < self.ring_end() {
            inner_bucket(at)
        } else {
            // Beyond the outer ring: the furthest bucket, from where it is sorted in again.
            outer_bucket((at / RING).min(self.cursor / RING + RING - 1))
        };
        let next = self.heads.get(bucket).copied().unwrap_or(NONE);
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.at = at;
            node.bucket = u32::try_from(bucket).unwrap_or(NONE);
            node.previous = NONE;
            node.next = next;
        }
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.previous = index;
        }
        if let Some(head) = self.heads.get_mut(bucket) {
            *head = index;
        }
        self.armed += 1;
    }

    fn head_of(&self, bucket: usize) -> Option<u32> {
        self.heads.get(bucket).copied().filter(|&head| head != NONE)
    }

    fn ticks_down(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.base).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX / 2)
    }

    fn ticks_up(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX / 2)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the remainder is below 256"
)]
const fn inner_bucket(tick: u64) -> usize {
    (tick % RING) as usize
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the remainder is below 256"
)]
const fn outer_bucket(turn: u64) -> usize {
    RING_BUCKETS + (turn % RING) as usize
}

#[cfg(test)]
mod tests;
