//! Links between shards that stand for workers.

use std::collections::BTreeMap;
use std::time::Instant;

use media_contract::RelayPeer;
use media_core::{Hop, HopConfig, HopFigures, RelayMessage};
use media_types::{ShardId, WorkerId};

/// The shard of that index, as another worker's.
pub(crate) fn far(index: usize) -> RelayPeer {
    RelayPeer::Worker {
        worker: WorkerId::new(u64::try_from(index).unwrap()),
        shard: ShardId(u16::try_from(index).unwrap()),
    }
}

/// Both ends of every link that was used, and what is lost on the way.
pub(crate) struct Hops {
    ends: BTreeMap<(usize, usize), Hop>,
    /// Datagrams so far, and each that is lost.
    datagrams: u64,
    pub(crate) lose_each: u64,
}

impl Default for Hops {
    fn default() -> Self {
        Self {
            ends: BTreeMap::new(),
            datagrams: 0,
            lose_each: u64::MAX,
        }
    }
}

impl Hops {
    /// A shard's message for another worker's.
    pub(crate) fn take(&mut self, now: Instant, from: usize, to: RelayPeer, message: RelayMessage) {
        let RelayPeer::Worker { worker, shard } = to else {
            panic!("{to:?} is no other worker");
        };
        let peer = usize::try_from(worker.get()).unwrap();
        for ends in [(from, peer), (peer, from)] {
            let hop = || Hop::new(now, HopConfig::default());
            self.ends.entry(ends).or_insert_with(hop);
        }
        let here = ShardId(u16::try_from(from).unwrap());
        let hop = self.ends.get_mut(&(from, peer)).unwrap();
        hop.handle_message(now, here, shard, message);
    }

    /// Carries all that may leave; what comes out, for which shard and from whom.
    pub(crate) fn exchange(&mut self, now: Instant) -> Vec<(usize, RelayPeer, RelayMessage)> {
        let mut out = Vec::new();
        let mut came = Vec::new();
        let keys: Vec<_> = self.ends.keys().copied().collect();
        for (here, there) in keys {
            loop {
                let hop = self.ends.get_mut(&(here, there)).unwrap();
                let frame = hop.poll_frame();
                let written = hop.poll_datagram(now, &mut out);
                let other = self.ends.get_mut(&(there, here)).unwrap();
                if let Some(frame) = &frame {
                    other.handle_frame(now, frame).unwrap();
                }
                if written {
                    self.datagrams += 1;
                    if !self.datagrams.is_multiple_of(self.lose_each) {
                        other.handle_datagram(now, &out);
                    }
                }
                while let Some(delivery) = other.poll_delivery() {
                    assert_eq!(usize::from(delivery.to.0), there);
                    came.push((there, far(here), delivery.message));
                }
                if frame.is_none() && !written {
                    break;
                }
            }
        }
        came
    }

    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.ends.values().filter_map(|hop| hop.poll_timeout(now));
        due.min()
    }

    pub(crate) fn figures(&self, now: Instant, here: usize, there: usize) -> HopFigures {
        self.ends[&(here, there)].figures(now)
    }
}
