//! The bottleneck.

use std::collections::VecDeque;
use std::time::Duration;

use media_types::{Bitrate, DataSize};

/// A packet on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) sequence: u16,
    pub(crate) size: DataSize,
}

/// A packet that came through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) flow: usize,
    pub(crate) sequence: u16,
    pub(crate) size: DataSize,
    /// At the far end.
    pub(crate) at: Duration,
    /// How long it stood in the queue.
    pub(crate) queue: Duration,
}

/// How packets are lost besides overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    None,
    /// Each with this probability.
    Random(f64),
    /// A Gilbert chain of this share and mean burst length, between two moments.
    Bursts {
        share: f64,
        length: f64,
        from: Duration,
        to: Duration,
    },
}

pub(crate) struct Link {
    /// From when on which rate; the first from zero.
    pub(crate) rates: Vec<(Duration, Bitrate)>,
    pub(crate) delay: Duration,
    pub(crate) queue_max: Duration,
    pub(crate) loss: Loss,
    /// Nothing passes in this span; what stands in the queue waits.
    pub(crate) outage: Option<(Duration, Duration)>,
    /// Most that one packet is held up beyond the queue.
    pub(crate) jitter: Duration,
    /// Whether what is held up is overtaken.
    pub(crate) reorders: bool,
    random: fastrand::Rng,
    losing: bool,
    queue: VecDeque<(Duration, usize, Packet)>,
    queued: u64,
    free: Duration,
    last: Duration,
}

impl Link {
    /// A link of one rate with a queue of 300 ms.
    pub(crate) fn new(rate: Bitrate, rtt: Duration, seed: u64) -> Self {
        Self {
            rates: vec![(Duration::ZERO, rate)],
            delay: rtt / 2,
            queue_max: Duration::from_millis(300),
            loss: Loss::None,
            outage: None,
            jitter: Duration::ZERO,
            reorders: false,
            random: fastrand::Rng::with_seed(seed),
            losing: false,
            queue: VecDeque::new(),
            queued: 0,
            free: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// A number below `count`, from the link's seed.
    pub(crate) fn draw(&mut self, count: usize) -> usize {
        self.random.usize(..count)
    }

    fn rate(&self, at: Duration) -> Bitrate {
        let past = self.rates.iter().rev().find(|(from, _)| *from <= at);
        past.unwrap().1
    }

    fn loses(&mut self, at: Duration) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Random(share) => self.random.f64() < share,
            Loss::Bursts {
                share,
                length,
                from,
                to,
            } => {
                let leave = 1.0 / length;
                let enter = leave * share / (1.0 - share);
                let flip = self.random.f64() < if self.losing { leave } else { enter };
                self.losing ^= flip;
                self.losing && at >= from && at < to
            }
        }
    }

    pub(crate) fn push(&mut self, at: Duration, flow: usize, packet: Packet) {
        let room = self.rate(at).bytes_in(self.queue_max);
        if self.queued + packet.size.bytes() > room.max(3_000) || self.loses(at) {
            return;
        }
        self.queued += packet.size.bytes();
        self.queue.push_back((at, flow, packet));
    }

    /// What came through by `now`.
    pub(crate) fn serve(&mut self, now: Duration) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        while let Some(&(since, flow, packet)) = self.queue.front() {
            let mut start = self.free.max(since);
            if let Some((from, to)) = self.outage
                && start >= from
                && start < to
            {
                start = to;
            }
            let done = start + self.rate(start).time_for(packet.size);
            if done > now {
                break;
            }
            self.queue.pop_front();
            self.queued -= packet.size.bytes();
            self.free = done;
            let held = self.jitter.mul_f64(self.random.f64());
            let first = if self.reorders {
                Duration::ZERO
            } else {
                self.last
            };
            self.last = first.max(done + self.delay + held);
            arrivals.push(Arrival {
                flow,
                sequence: packet.sequence,
                size: packet.size,
                at: self.last,
                queue: done - since,
            });
        }
        arrivals
    }
}
