//! The queues between shards and the thread that speaks with other workers. None of them blocks.

use std::sync::Arc;

use media_contract::RelayPeer;
use media_types::ShardId;
use tokio::sync::Notify;

use super::ring::{Inbox, Lanes};
use crate::limits::FAR_MAX;

/// One shard's ends of the queues from and to other workers.
#[derive(Debug)]
pub(super) struct Far<R> {
    outgoing: rtrb::Producer<(RelayPeer, R)>,
    incoming: rtrb::Consumer<(RelayPeer, R)>,
    bell: Arc<Notify>,
    written: bool,
}

/// The other ends of one shard's queues.
#[derive(Debug)]
pub(crate) struct FarEnd<R> {
    shard: ShardId,
    outgoing: rtrb::Producer<(RelayPeer, R)>,
    incoming: rtrb::Consumer<(RelayPeer, R)>,
    to: Arc<Inbox>,
    written: bool,
}

/// The ends of all shards, and what rings when one of them has written.
#[derive(Debug)]
pub(crate) struct FarEnds<R> {
    pub(crate) shards: Vec<FarEnd<R>>,
    pub(crate) bell: Arc<Notify>,
}

/// Gives each shard its queues from and to other workers.
pub(super) fn connect<'a, R: 'a>(
    shards: impl Iterator<Item = (&'a mut Lanes<R>, Arc<Inbox>)>,
) -> FarEnds<R> {
    let bell = Arc::new(Notify::new());
    let mut ends = Vec::new();
    for (lanes, inbox) in shards {
        let (to_far, from_shard) = rtrb::RingBuffer::new(FAR_MAX);
        let (to_shard, from_far) = rtrb::RingBuffer::new(FAR_MAX);
        lanes.set_far(Far {
            outgoing: to_far,
            incoming: from_far,
            bell: Arc::clone(&bell),
            written: false,
        });
        ends.push(FarEnd {
            shard: inbox.id(),
            outgoing: to_shard,
            incoming: from_shard,
            to: inbox,
            written: false,
        });
    }
    FarEnds { shards: ends, bell }
}

impl<R> Far<R> {
    /// Queues a message for another worker; whether there was room.
    pub(super) fn send(&mut self, to: RelayPeer, message: R) -> bool {
        self.written = true;
        self.outgoing.push((to, message)).is_ok()
    }

    /// Rings if something was written.
    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.written) {
            self.bell.notify_one();
        }
    }

    /// Takes at most `budget` messages; whether more wait.
    pub(super) fn receive(&mut self, budget: usize, take: &mut impl FnMut(RelayPeer, R)) -> bool {
        for _ in 0..budget {
            let Ok((from, message)) = self.incoming.pop() else {
                return false;
            };
            take(from, message);
        }
        !self.incoming.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.incoming.is_empty()
    }
}

impl<R> FarEnd<R> {
    /// Whose ends these are.
    pub(crate) const fn shard(&self) -> ShardId {
        self.shard
    }

    /// The shard's next message for another worker.
    pub(crate) fn next(&mut self) -> Option<(RelayPeer, R)> {
        self.incoming.pop().ok()
    }

    /// Queues a message for the shard; whether there was room.
    pub(crate) fn send(&mut self, from: RelayPeer, message: R) -> bool {
        self.written = true;
        self.outgoing.push((from, message)).is_ok()
    }

    /// Wakes the shard if something was written.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.written) {
            self.to.wake().raise();
        }
    }
}
