//! Links between workers: each shard of the world is one, and what crosses goes by real hops over a
//! simulated path.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use media_contract::RelayPeer;
use media_core::{Delivery, Hop, HopConfig, HopFigures, RelayMessage};
use media_types::{ShardId, WorkerId};

use crate::{Chance, Link, Pipe};

/// What QUIC leaves of a datagram on a path of 1,500 bytes.
const DATAGRAM_MAX: usize = 1_400;

/// One end of a link, and the way to the other end.
struct End {
    hop: Hop,
    wire: Pipe<Vec<u8>>,
    /// Frames, which arrive in their order and all.
    frames: VecDeque<(Instant, Vec<u8>)>,
}

/// All ends, by where they are and where they lead.
pub(crate) struct Hops {
    ends: BTreeMap<(usize, usize), End>,
    delay: Duration,
}

/// A worker's only shard, as others name it.
pub(crate) fn peer(index: usize) -> RelayPeer {
    RelayPeer::Worker {
        worker: WorkerId::new(index as u64 + 1),
        shard: shard(index),
    }
}

fn shard(index: usize) -> ShardId {
    ShardId(u16::try_from(index).expect("few shards"))
}

fn place(worker: WorkerId) -> usize {
    usize::try_from(worker.get() - 1).expect("few workers")
}

impl Hops {
    pub(crate) fn new(start: Instant, seed: u64, workers: usize, link: &Link) -> Self {
        let mut ends = BTreeMap::new();
        for from in 0..workers {
            for to in (0..workers).filter(|to| *to != from) {
                let chance = Chance::new(seed, 9_000 + (from * workers + to) as u64);
                let mut hop = Hop::new(start, HopConfig::default());
                hop.set_datagram_max(DATAGRAM_MAX);
                hop.set_rtt(link.delay * 2);
                let end = End {
                    hop,
                    wire: Pipe::new(start, link.clone(), chance),
                    frames: VecDeque::new(),
                };
                ends.insert((from, to), end);
            }
        }
        Self {
            ends,
            delay: link.delay,
        }
    }

    /// Takes a shard's message for another worker.
    pub(crate) fn take(&mut self, now: Instant, from: usize, to: RelayPeer, message: RelayMessage) {
        let RelayPeer::Worker { worker, shard: to } = to else {
            return;
        };
        if let Some(end) = self.ends.get_mut(&(from, place(worker))) {
            end.hop.handle_message(now, shard(from), to, message);
        }
    }

    /// Lets out what may leave now; whether anything did.
    pub(crate) fn send(&mut self, now: Instant) -> bool {
        let mut moved = false;
        let mut out = Vec::new();
        for end in self.ends.values_mut() {
            while end.hop.poll_datagram(now, &mut out) {
                end.wire.push(now, out.len(), out.clone());
                moved = true;
            }
            while let Some(frame) = end.hop.poll_frame() {
                end.frames.push_back((now + self.delay, frame));
                moved = true;
            }
        }
        moved
    }

    /// Takes in what has arrived; what shards get of it, with whom it is from.
    pub(crate) fn arrive(&mut self, now: Instant) -> Vec<(usize, RelayPeer, RelayMessage)> {
        let mut all = Vec::new();
        let pairs: Vec<(usize, usize)> = self.ends.keys().copied().collect();
        for (from, to) in pairs {
            let (mut datagrams, mut frames) = (Vec::new(), Vec::new());
            if let Some(end) = self.ends.get_mut(&(from, to)) {
                while let Some(datagram) = end.wire.pop(now) {
                    datagrams.push(datagram);
                }
                while end.frames.front().is_some_and(|(at, _)| *at <= now) {
                    frames.extend(end.frames.pop_front().map(|(_, frame)| frame));
                }
            }
            let Some(end) = self.ends.get_mut(&(to, from)) else {
                continue;
            };
            for frame in frames {
                end.hop.handle_frame(now, &frame).expect("a frame of ours");
            }
            for datagram in datagrams {
                end.hop.handle_datagram(now, &datagram);
            }
            while let Some(Delivery { message, .. }) = end.hop.poll_delivery() {
                all.push((to, peer(from), message));
            }
        }
        all
    }

    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let times = self.ends.values().flat_map(|end| {
            let frame = end.frames.front().map(|(at, _)| *at);
            [end.hop.poll_timeout(now), end.wire.next(), frame]
        });
        times.flatten().min()
    }

    pub(crate) fn figures(&self, now: Instant, from: usize, to: usize) -> Option<HopFigures> {
        self.ends.get(&(from, to)).map(|end| end.hop.figures(now))
    }
}
