//! Datagrams on their way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_types::DataSize;

use super::{Cause, Chance, Fate, Link, Meter, Model, Trace};

/// What a pipe did so far; a fault that never fired proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Datagrams that came to it.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Datagrams that arrived, duplicates included.
    pub delivered: u64,
    /// Lost by chance, burst or outage.
    pub lost: u64,
    /// Lost by independent chance.
    pub lost_by_chance: u64,
    /// Lost in the bad state.
    pub lost_in_bursts: u64,
    /// Lost because the link was down.
    pub lost_in_outages: u64,
    /// Dropped by the full queue.
    pub overflowed: u64,
    /// Delivered out of order.
    pub reordered: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

/// One direction of a path with what is under way. Several flows may share it, if what it carries
/// says whose it is.
#[derive(Debug)]
pub struct Pipe<T> {
    model: Model,
    /// By arrival, then by order of sending.
    waiting: BTreeMap<(Instant, u64), T>,
    count: u64,
    figures: Figures,
    meter: Meter,
}

impl<T: Clone> Pipe<T> {
    /// An empty pipe.
    #[must_use]
    pub fn new(start: Instant, trace: impl Into<Trace>, chance: Chance) -> Self {
        Self {
            model: Model::new(start, trace, chance),
            waiting: BTreeMap::new(),
            count: 0,
            figures: Figures::default(),
            meter: Meter::default(),
        }
    }

    /// From a time since the start on it is another link ([`Model::change`]).
    pub fn change(&mut self, at: Duration, link: Link) {
        self.model.change(at, link);
    }

    /// Takes a datagram of that many bytes in.
    pub fn push(&mut self, now: Instant, bytes: usize, datagram: T) {
        let size = DataSize::from_bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.figures.offered += 1;
        self.figures.offered_bytes += size.bytes();
        match self.model.push(now, size) {
            Fate::Lost(cause) => self.lose(cause),
            Fate::Arrives {
                at,
                twice,
                reordered,
                waited,
                departed,
            } => {
                let since_start = departed.saturating_duration_since(self.model.start());
                self.meter.note(since_start, size, waited);
                self.figures.reordered += u64::from(reordered);
                if twice {
                    self.figures.duplicated += 1;
                    self.enqueue(at, datagram.clone());
                }
                self.enqueue(at, datagram);
            }
        }
    }

    /// The next datagram that has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
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
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// How its bottleneck fared over time.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What it does over time.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        self.model.trace()
    }

    fn enqueue(&mut self, arrival: Instant, datagram: T) {
        self.count += 1;
        self.waiting.insert((arrival, self.count), datagram);
    }

    fn lose(&mut self, cause: Cause) {
        let figures = &mut self.figures;
        match cause {
            Cause::Queue => figures.overflowed += 1,
            Cause::Outage => figures.lost_in_outages += 1,
            Cause::Burst => figures.lost_in_bursts += 1,
            Cause::Chance => figures.lost_by_chance += 1,
        }
        figures.lost = figures.lost_in_outages + figures.lost_in_bursts + figures.lost_by_chance;
    }
}
