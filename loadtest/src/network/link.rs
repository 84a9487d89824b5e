//! What one direction of a path does to datagrams, at a moment and over time.

use std::ops::Range;
use std::time::Duration;

use media_types::{Bitrate, DataSize};

/// What one direction of a path does to datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The bottleneck's rate; `None` for no bottleneck, zero for one that passes nothing.
    pub rate: Option<Bitrate>,
    /// What the bottleneck's queue holds before it drops at its tail.
    pub queue: Queue,
    /// Propagation one way.
    pub delay: Duration,
    /// Up to this much is added to the delay of each datagram, without reordering.
    pub jitter: Duration,
    /// Lost independently, in millionths.
    pub loss_ppm: u32,
    /// Loss in bursts.
    pub burst: Option<Burst>,
    /// Delivered late by two delays, in millionths.
    pub reorder_ppm: u32,
    /// Delivered twice, in millionths.
    pub duplicate_ppm: u32,
    /// When nothing gets in, since the start of the run. What was in the queue goes on.
    pub outages: Vec<Range<Duration>>,
}

/// The bound of a bottleneck's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// So many bytes.
    Bytes(DataSize),
    /// As many bytes as the bottleneck sends in that time at its present rate.
    Time(Duration),
}

/// The model of Gilbert and Elliott: a link that turns bad and good again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// A datagram turns the link bad, in millionths.
    pub enter_ppm: u32,
    /// A datagram turns it good again, in millionths.
    pub leave_ppm: u32,
    /// Lost while it is bad, in millionths.
    pub loss_ppm: u32,
}

impl Burst {
    /// Gilbert's own: while the link is bad everything is lost.
    #[must_use]
    pub const fn gilbert(enter_ppm: u32, leave_ppm: u32) -> Self {
        Self {
            enter_ppm,
            leave_ppm,
            loss_ppm: 1_000_000,
        }
    }
}

impl Default for Link {
    /// A quiet wire of 5 ms.
    fn default() -> Self {
        Self {
            rate: None,
            queue: Queue::Bytes(DataSize::from_bytes(100_000)),
            delay: Duration::from_millis(5),
            jitter: Duration::ZERO,
            loss_ppm: 0,
            burst: None,
            reorder_ppm: 0,
            duplicate_ppm: 0,
            outages: Vec::new(),
        }
    }
}

impl Link {
    /// A bottleneck with a drop-tail queue of 300 ms at its rate.
    #[must_use]
    pub fn bottleneck(rate: Bitrate, delay: Duration) -> Self {
        Self {
            rate: Some(rate),
            queue: Queue::Time(Duration::from_millis(300)),
            delay,
            ..Self::default()
        }
    }

    pub(super) fn is_out(&self, elapsed: Duration) -> bool {
        self.outages.iter().any(|outage| outage.contains(&elapsed))
    }
}

/// What a link does over time: settings that hold until the next ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    first: Link,
    /// In order of time.
    steps: Vec<(Duration, Link)>,
}

impl From<Link> for Trace {
    fn from(first: Link) -> Self {
        Self {
            first,
            steps: Vec::new(),
        }
    }
}

impl Trace {
    /// The same, and from `at` after the start on that link. Steps may be added in any order.
    #[must_use]
    pub fn then(mut self, at: Duration, link: Link) -> Self {
        let place = self.steps.partition_point(|(other, _)| *other <= at);
        self.steps.insert(place, (at, link));
        self
    }

    /// What holds at a time since the start.
    #[must_use]
    pub fn at(&self, elapsed: Duration) -> &Link {
        self.segment(elapsed).0
    }

    /// What holds at a time, and until when if not for ever.
    pub(super) fn segment(&self, elapsed: Duration) -> (&Link, Option<Duration>) {
        let next = self.steps.partition_point(|(at, _)| *at <= elapsed);
        let link = match next.checked_sub(1).and_then(|last| self.steps.get(last)) {
            Some((_, link)) => link,
            None => &self.first,
        };
        (link, self.steps.get(next).map(|(at, _)| *at))
    }
}
