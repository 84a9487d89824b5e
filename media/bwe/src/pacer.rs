//! A leaky bucket with priorities: how urgent a packet is decides when it leaves.
//!
//! Media comes in pictures, and a keyframe is many times the size of what a path carries between
//! two pictures. Sent in one go it overflows a small queue at the bottleneck; sent at the mean rate
//! it comes late even where the path has room. So two buckets are filled by the estimate: a quick
//! one, at 2.5 times the rate (as libwebrtc paces), which smooths what leaves within a few ticks;
//! and a slow one that holds what the bottleneck's queue may take. A packet leaves while both have
//! credit. Audio never waits, and counts in both.
//!
//! A probe cluster (see [`ProbeCluster`]) overrides both: until its bytes have left, packets leave
//! at its rate, and where there are none the owner is asked for padding.

mod probing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::limits::{PACER_BURST_MIN, PACER_QUEUE, PACER_QUEUE_MIN, PACER_WAIT_MAX};
use crate::probe::{ProbeCluster, ProbeId};
use probing::Probing;

/// How often what had to wait is served.
pub const PACING_TICK: Duration = Duration::from_millis(5);
/// How often a probe cluster goes on: in steps of a tick it would be five bursts.
const PROBE_TICK: Duration = Duration::from_millis(1);
/// The quick bucket holds this much time of the pace.
const BURST: Duration = Duration::from_millis(40);
/// Pictures come in bursts: they leave this much faster than the path's mean rate.
const PACING_PERCENT: u64 = 250;
/// The slow bucket is filled a little quicker than the path drains, or retransmissions and headers
/// would make what waits grow for ever.
const SUSTAINED_PERCENT: u64 = 110;
/// What waits too long leaves within this.
const OVERDUE: Duration = Duration::from_millis(100);
/// A probe or a run of audio may not silence the rest for longer than this.
const DEBT: Duration = Duration::from_millis(50);
const CLASSES: usize = 4;
/// Room for a few pictures' packets, made with the first.
const CLASS_USUAL: usize = 16;

/// How urgent a packet is; smaller is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Never waits.
    Audio,
    /// Somebody waits for it.
    Retransmission,
    /// Waits for credit.
    Video,
    /// Fills what is left.
    Padding,
}

/// An item that leaves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure<T> {
    /// What was pushed.
    pub item: T,
    /// The probe cluster that it leaves in.
    pub probe: Option<ProbeId>,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    size: DataSize,
    item: T,
}

/// Bytes that may leave; below zero after more has left than was due.
#[derive(Debug, Clone, Copy)]
struct Bucket(i64);

impl Bucket {
    fn fill(&mut self, bytes: u64, most: u64) {
        self.0 = self.0.saturating_add(signed(bytes)).min(signed(most));
    }

    fn take(&mut self, size: DataSize, debt_max: u64) {
        let left = self.0.saturating_sub(signed(size.bytes()));
        self.0 = left.max(self.0.min(-signed(debt_max)));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Lets items out at a rate. Audio leaves at once, and counts; the rest waits for credit, the more
/// urgent first, and in order within one priority.
#[derive(Debug)]
pub struct Pacer<T> {
    classes: [VecDeque<Waiting<T>>; CLASSES],
    rate: Bitrate,
    quick: Bucket,
    slow: Bucket,
    filled_at: Instant,
    waiting: DataSize,
    items: usize,
    items_max: usize,
    probing: Option<Probing>,
}

impl<T> Pacer<T> {
    /// A pacer for a path that carries `rate`, with room for `items_max` items.
    #[must_use]
    pub fn new(now: Instant, rate: Bitrate, items_max: usize) -> Self {
        let mut pacer = Self {
            classes: [const { VecDeque::new() }; CLASSES],
            rate,
            quick: Bucket(0),
            slow: Bucket(0),
            filled_at: now,
            waiting: DataSize::ZERO,
            items: 0,
            items_max,
            probing: None,
        };
        pacer.quick.fill(u64::MAX, pacer.burst());
        pacer.slow.fill(u64::MAX, pacer.queue());
        pacer
    }

    /// Follows the estimate of what the path carries.
    pub const fn set_rate(&mut self, rate: Bitrate) {
        self.rate = rate;
    }

    /// Adds an item. When there is no room, the oldest of the least urgent waiting items that is
    /// not more urgent goes, and is returned; else the item itself is.
    pub fn push(&mut self, now: Instant, priority: Priority, size: DataSize, item: T) -> Option<T> {
        let mut dropped = None;
        if self.items >= self.items_max {
            dropped = self.drop_for(priority);
            if dropped.is_none() {
                return Some(item);
            }
        }
        if let Some(class) = self.classes.get_mut(class_of(priority)) {
            class.push_back(Waiting {
                since: now,
                size,
                item,
            });
            self.waiting = self.waiting.saturating_add(size);
            self.items += 1;
        }
        dropped
    }

    /// The next item that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        self.pop_next(now).map(|departure| departure.item)
    }

    /// The next item that may leave now, and the probe that it is part of.
    pub fn pop_next(&mut self, now: Instant) -> Option<Departure<T>> {
        self.expire_probe(now);
        if self.items == 0 {
            return None;
        }
        self.fill(now);
        let class = self.classes.iter().position(|class| !class.is_empty())?;
        if class != class_of(Priority::Audio) && !self.is_due(now) {
            return None;
        }
        let waiting = self.take(class)?;
        let probe = self.count(now, waiting.size);
        Some(Departure {
            item: waiting.item,
            probe,
        })
    }

    /// Lets something of `size` bytes out at once, as if it were pushed and popped: the probe that
    /// it is part of, if any. `None` if it has to wait, and is to be pushed.
    pub fn pass(
        &mut self,
        now: Instant,
        priority: Priority,
        size: DataSize,
    ) -> Option<Option<ProbeId>> {
        if self.items > 0 {
            return None;
        }
        let class = self.classes.get_mut(class_of(priority));
        if let Some(class) = class.filter(|class| class.capacity() == 0) {
            // What is sent at all waits at some time, which should then cost no allocation.
            class.reserve(CLASS_USUAL);
        }
        self.expire_probe(now);
        self.waiting = size;
        self.fill(now);
        self.waiting = DataSize::ZERO;
        let passes = priority == Priority::Audio || self.is_due(now);
        passes.then(|| self.count(now, size))
    }

    /// Reads a little of all that [`pass`](Self::pass) needs; of no meaning.
    #[must_use]
    pub fn touch(&self) -> u64 {
        let capacities = self.classes.iter().map(VecDeque::capacity);
        let capacity = capacities.fold(0, |all, one| all ^ one);
        let credit = self.quick.0.cast_unsigned() ^ self.slow.0.cast_unsigned();
        let probing = u64::from(self.probing.is_some());
        credit ^ probing ^ u64::try_from(capacity ^ self.items).unwrap_or(0)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.probing.as_ref().map_or_else(
            || self.quick.0 > 0 && self.slow.0 > 0,
            |probing| probing.may_send(now),
        )
    }

    /// When [`pop_next`](Self::pop_next) or [`poll_padding`](Self::poll_padding) may have something
    /// next; `None` while nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let Some(probing) = &self.probing {
            return Some(probing.resumes_at().unwrap_or(self.filled_at));
        }
        (self.items > 0).then(|| {
            let free = self.quick.0 > 0 && self.slow.0 > 0;
            if free || !self.class_is_empty(Priority::Audio) {
                self.filled_at
            } else {
                self.filled_at + PACING_TICK
            }
        })
    }

    /// Bytes that wait.
    #[must_use]
    pub const fn backlog(&self) -> DataSize {
        self.waiting
    }

    /// Items that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// How long the oldest item has waited.
    #[must_use]
    pub fn queue_delay(&self, now: Instant) -> Duration {
        let oldest = self.classes.iter().filter_map(VecDeque::front);
        let oldest = oldest.map(|waiting| waiting.since).min();
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Drops what waits and `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for class in &mut self.classes {
            class.retain(|waiting| keep(&waiting.item));
        }
        let all = || self.classes.iter().flatten();
        self.items = all().count();
        self.waiting = all().fold(DataSize::ZERO, |sum, waiting| {
            sum.saturating_add(waiting.size)
        });
    }

    fn class_is_empty(&self, priority: Priority) -> bool {
        let class = self.classes.get(class_of(priority));
        class.is_none_or(VecDeque::is_empty)
    }

    fn take(&mut self, class: usize) -> Option<Waiting<T>> {
        let waiting = self.classes.get_mut(class)?.pop_front()?;
        self.waiting = self.waiting.saturating_sub(waiting.size);
        self.items = self.items.saturating_sub(1);
        Some(waiting)
    }

    fn drop_for(&mut self, priority: Priority) -> Option<T> {
        let least = self.classes.iter().rposition(|class| !class.is_empty())?;
        if least < class_of(priority) {
            return None;
        }
        self.take(least).map(|waiting| waiting.item)
    }

    /// The least rate at which what waits must leave so that nothing waits too long.
    fn drain(&self, now: Instant) -> Bitrate {
        let left = PACER_WAIT_MAX.saturating_sub(self.queue_delay(now));
        Bitrate::of(self.waiting, left.max(OVERDUE))
    }

    fn burst(&self) -> u64 {
        let bytes = self.rate.percent(PACING_PERCENT).bytes_in(BURST);
        bytes.max(PACER_BURST_MIN)
    }

    fn queue(&self) -> u64 {
        self.rate.bytes_in(PACER_QUEUE).max(PACER_QUEUE_MIN)
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at);
        if since.is_zero() {
            // All packets of a turn but the first.
            return;
        }
        let drain = self.drain(now);
        let quick = self.rate.percent(PACING_PERCENT).max(drain).bytes_in(since);
        let slow = self.rate.percent(SUSTAINED_PERCENT).max(drain);
        let slow = slow.bytes_in(since);
        // Less than a byte: wait for more time to pass, so that none is lost to rounding.
        if slow > 0 {
            self.quick.fill(quick, self.burst());
            self.slow.fill(slow, self.queue());
            self.filled_at = now;
        }
    }

    /// Takes what leaves from the buckets, and says which probe it belongs to.
    fn count(&mut self, now: Instant, size: DataSize) -> Option<ProbeId> {
        let debt = self.rate.bytes_in(DEBT).max(PACER_BURST_MIN);
        self.quick.take(size, debt);
        self.slow.take(size, debt);
        self.count_probe(now, size)
    }
}

const fn class_of(priority: Priority) -> usize {
    match priority {
        Priority::Audio => 0,
        Priority::Retransmission => 1,
        Priority::Video => 2,
        Priority::Padding => 3,
    }
}

#[cfg(test)]
mod tests;
