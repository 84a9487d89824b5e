//! A leaky bucket with priorities: how urgent a packet is decides when it leaves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

/// How often what had to wait is served.
pub const PACING_TICK: Duration = Duration::from_millis(5);
/// The bucket holds this much time of the pacing rate …
const BURST: Duration = Duration::from_millis(40);
/// … and at least a small keyframe, so that a first picture leaves in one go.
const BURST_MIN: i64 = 24_000;
/// Pictures come in bursts: they leave this much faster than the path's mean rate.
const PACING_PERCENT: u64 = 250;
/// Nothing waits longer than this: the pace rises with the queue.
const WAIT_MAX: Duration = Duration::from_millis(250);
const CLASSES: usize = 4;

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

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    size: DataSize,
    item: T,
}

/// Lets items out at a rate. Audio leaves at once, and counts; the rest waits for credit, the more
/// urgent first, and in order within one priority.
#[derive(Debug)]
pub struct Pacer<T> {
    classes: [VecDeque<Waiting<T>>; CLASSES],
    rate: Bitrate,
    /// Bytes that may leave; below zero after more has left than was due.
    credit: i64,
    filled_at: Instant,
    waiting: DataSize,
    items: usize,
    items_max: usize,
}

impl<T> Pacer<T> {
    /// A pacer for a path that carries `rate`, with room for `items_max` items.
    #[must_use]
    pub fn new(now: Instant, rate: Bitrate, items_max: usize) -> Self {
        let mut pacer = Self {
            classes: [const { VecDeque::new() }; CLASSES],
            rate,
            credit: 0,
            filled_at: now,
            waiting: DataSize::ZERO,
            items: 0,
            items_max,
        };
        pacer.credit = pacer.burst();
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
        if self.items == 0 {
            return None;
        }
        self.fill(now);
        let class = self.classes.iter().position(|class| !class.is_empty())?;
        if class != class_of(Priority::Audio) && self.credit <= 0 {
            return None;
        }
        let waiting = self.take(class)?;
        self.credit -= i64::try_from(waiting.size.bytes()).unwrap_or(i64::MAX);
        Some(waiting.item)
    }

    /// When [`pop`](Self::pop) may have something next; `None` while nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.items > 0).then(|| {
            if self.credit > 0 || !self.class_is_empty(Priority::Audio) {
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

    fn pace(&self) -> Bitrate {
        let drain = Bitrate::of(self.waiting, WAIT_MAX);
        self.rate.percent(PACING_PERCENT).max(drain)
    }

    fn burst(&self) -> i64 {
        let bytes = self.rate.percent(PACING_PERCENT).bytes_in(BURST);
        i64::try_from(bytes).unwrap_or(i64::MAX).max(BURST_MIN)
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at);
        let bytes = self.pace().bytes_in(since);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // Less than a byte: wait for more time to pass, so that none is lost to rounding.
        if bytes > 0 {
            self.credit = self.credit.saturating_add(bytes).min(self.burst());
            self.filled_at = now;
        }
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
