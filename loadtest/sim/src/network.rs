//! A network with a bottleneck: rate and queue, delay, jitter, loss in singles and bursts,
//! reordering, duplication and outages, all from a seed and in virtual time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::Chance;

/// What one direction of a path does to datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The bottleneck's rate; `None` for no bottleneck.
    pub rate: Option<Bitrate>,
    /// What the bottleneck's queue holds before it drops at its tail.
    pub queue: DataSize,
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
    /// When nothing passes, since the start of the run.
    pub outages: Vec<Range<Duration>>,
}

/// A Gilbert model: in the bad state everything is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// A datagram turns the link bad, in millionths.
    pub enter_ppm: u32,
    /// A datagram turns it good again, in millionths.
    pub leave_ppm: u32,
}

impl Default for Link {
    /// A quiet wire of 5 ms.
    fn default() -> Self {
        Self {
            rate: None,
            queue: DataSize::from_bytes(100_000),
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

/// What a pipe did so far; a fault that never fired proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipeFigures {
    /// Datagrams that arrived, duplicates included.
    pub delivered: u64,
    /// Lost by chance, burst or outage.
    pub lost: u64,
    /// Dropped by the full queue.
    pub overflowed: u64,
    /// Delivered out of order.
    pub reordered: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

/// One direction of a path.
pub struct Pipe {
    /// Its properties; they may change while it runs.
    pub link: Link,
    start: Instant,
    chance: Chance,
    bad: bool,
    /// When the bottleneck has sent all that it holds.
    free_at: Instant,
    /// The latest arrival of an ordinary datagram: jitter alone does not reorder.
    last: Instant,
    /// By arrival, then by order of sending.
    waiting: BTreeMap<(Instant, u64), Vec<u8>>,
    count: u64,
    figures: PipeFigures,
}

impl Pipe {
    /// An empty pipe.
    #[must_use]
    pub fn new(start: Instant, link: Link, chance: Chance) -> Self {
        Self {
            link,
            start,
            chance,
            bad: false,
            free_at: start,
            last: start,
            waiting: BTreeMap::new(),
            count: 0,
            figures: PipeFigures::default(),
        }
    }

    /// Takes a datagram in.
    pub fn push(&mut self, now: Instant, datagram: Vec<u8>) {
        if self.loses(now) {
            self.figures.lost += 1;
            return;
        }
        let Some(sent) = self.pass_bottleneck(now, &datagram) else {
            self.figures.overflowed += 1;
            return;
        };
        let jitter = self.link.jitter.as_micros();
        let jitter = self.chance.below(u64::try_from(jitter).unwrap_or(u64::MAX));
        let mut arrival = sent + self.link.delay + Duration::from_micros(jitter);
        if self.chance.happens(self.link.reorder_ppm) {
            self.figures.reordered += 1;
            arrival += self.link.delay * 2;
        } else {
            arrival = arrival.max(self.last);
            self.last = arrival;
        }
        if self.chance.happens(self.link.duplicate_ppm) {
            self.figures.duplicated += 1;
            self.enqueue(arrival, datagram.clone());
        }
        self.enqueue(arrival, datagram);
    }

    /// The next datagram that has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let entry = self
            .waiting
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        self.figures.delivered += 1;
        Some(entry.remove())
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.waiting
            .first_key_value()
            .map(|((arrival, _), _)| *arrival)
    }

    /// What it did so far.
    #[must_use]
    pub fn figures(&self) -> PipeFigures {
        self.figures
    }

    fn enqueue(&mut self, arrival: Instant, datagram: Vec<u8>) {
        self.count += 1;
        self.waiting.insert((arrival, self.count), datagram);
    }

    fn loses(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.start);
        if self
            .link
            .outages
            .iter()
            .any(|outage| outage.contains(&elapsed))
        {
            return true;
        }
        if let Some(burst) = self.link.burst {
            let turn = if self.bad {
                burst.leave_ppm
            } else {
                burst.enter_ppm
            };
            self.bad ^= self.chance.happens(turn);
        }
        self.bad || self.chance.happens(self.link.loss_ppm)
    }

    /// When the bottleneck has sent it, or `None` when its queue is full.
    fn pass_bottleneck(&mut self, now: Instant, datagram: &[u8]) -> Option<Instant> {
        let Some(rate) = self.link.rate else {
            return Some(now);
        };
        let backlog = rate.bytes_in(self.free_at.saturating_duration_since(now));
        let size = DataSize::of(datagram);
        if backlog.saturating_add(size.bytes()) > self.link.queue.bytes() {
            return None;
        }
        self.free_at = self.free_at.max(now) + rate.time_for(size);
        Some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(link: Link) -> (Instant, Pipe) {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let start = Instant::now();
        (start, Pipe::new(start, link, Chance::new(7, 1)))
    }

    #[test]
    fn a_bottleneck_spaces_what_it_sends_and_drops_at_its_tail() {
        let rate = Some(Bitrate::from_kbps(800));
        let queue = DataSize::from_bytes(2_000);
        let (start, mut pipe) = pipe(Link {
            rate,
            queue,
            delay: Duration::from_millis(1),
            ..Link::default()
        });
        for _ in 0..3 {
            pipe.push(start, vec![0; 1_000]);
        }
        assert_eq!(pipe.figures().overflowed, 1);
        assert_eq!(pipe.next(), Some(start + Duration::from_millis(11)));
        assert!(pipe.pop(start + Duration::from_millis(11)).is_some());
        assert_eq!(pipe.next(), Some(start + Duration::from_millis(21)));
    }

    #[test]
    fn jitter_keeps_order_and_reordering_breaks_it() {
        let jitter = Duration::from_millis(20);
        let (start, mut steady) = pipe(Link {
            jitter,
            ..Link::default()
        });
        let (_, mut mixed) = pipe(Link {
            reorder_ppm: 200_000,
            ..Link::default()
        });
        let order = |pipe: &mut Pipe| -> Vec<u8> {
            for number in 0..100_u8 {
                pipe.push(start + Duration::from_millis(number.into()), vec![number]);
            }
            let end = start + Duration::from_secs(9);
            std::iter::from_fn(|| pipe.pop(end))
                .map(|datagram| datagram[0])
                .collect()
        };
        assert!(order(&mut steady).is_sorted());
        assert!(!order(&mut mixed).is_sorted());
        assert!(mixed.figures().reordered > 5);
    }

    #[test]
    fn an_outage_loses_all_and_only_its_own() {
        let outages = vec![Duration::from_millis(10)..Duration::from_millis(20)];
        let (start, mut pipe) = pipe(Link {
            outages,
            ..Link::default()
        });
        for ms in 0..30 {
            pipe.push(start + Duration::from_millis(ms), vec![0]);
        }
        assert_eq!(pipe.figures().lost, 10);
    }
}
