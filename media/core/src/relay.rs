//! Tracks and data messages between the shards of a worker, and between workers.
//!
//! A track crosses only while the far end wants it. Its payload is copied once for each shard that
//! it crosses to, on purpose: reference counts then stay on one core. The lane is lossy by design:
//! a packet that finds it full is dropped and counted, and what controls it repeats itself.

pub(crate) mod hop;
pub(crate) mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use media_contract::{DataTarget, RelayPeer};
use media_rtp::timestamp::SenderClock;
use media_types::{Codec, Epoch, Identity, Payload, RoomId, TrackId};

use crate::limits::{RELAY_CONTROL_MAX, RELAY_DEMAND_LIFE, RELAY_PACKETS_MAX};
use crate::track::Arrival;
use crate::track::layers::Layers;
use crate::track::wanted::Streams;

/// One message to another shard.
#[derive(Debug, Clone)]
pub struct RelayMessage {
    /// The room that it is about.
    pub room: RoomId,
    /// The room's epoch where it comes from.
    pub epoch: Epoch,
    /// What it says.
    pub body: RelayBody,
}

/// What shards say to each other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RelayBody {
    /// A packet of a track, to a shard that wants it.
    Packet {
        /// The track.
        track: TrackId,
        /// The packet.
        packet: Box<RelayPacket>,
    },
    /// What the shard's subscribers want of a track; repeated once a second.
    Demand {
        /// The track.
        track: TrackId,
        /// The encodings that are to cross, a bit for each, the lowest one's first.
        encodings: u8,
    },
    /// What a track's layers are, those that do not cross included.
    Layers {
        /// The track.
        track: TrackId,
        /// Its layers.
        layers: Box<RelayLayers>,
    },
    /// A subscriber needs a keyframe of a track.
    KeyframeRequest {
        /// The track.
        track: TrackId,
        /// The simulcast encoding.
        stream: u8,
    },
    /// The clocks of one of a track's streams, from the publisher's sender report.
    Clock {
        /// The track.
        track: TrackId,
        /// The simulcast encoding.
        stream: u8,
        /// Its clocks.
        clock: SenderClock,
    },
    /// The track was muted or is heard again.
    Muted {
        /// The track.
        track: TrackId,
        /// Whether nothing passes.
        muted: bool,
    },
    /// The track has ended at its publisher's shard.
    Stopped {
        /// The track.
        track: TrackId,
    },
    /// A data message for the room's peers on the other shard.
    Data {
        /// Who sent it.
        from: Identity,
        /// Who gets it.
        to: DataTarget,
        /// Whether it came by the reliable channel.
        reliable: bool,
        /// Its topic.
        topic: String,
        /// The signed envelope.
        message: Vec<u8>,
        /// Where the payload starts in it.
        payload_at: usize,
    },
}

/// What the publisher's shard knows of a track's layers.
#[derive(Debug, Clone)]
pub struct RelayLayers {
    pub(crate) layers: Layers,
}

/// A publisher's packet on its way to another shard.
#[derive(Debug, Clone)]
pub struct RelayPacket {
    pub(crate) arrival: Arrival,
}

impl RelayPacket {
    /// Copies a packet with its payload.
    pub(crate) fn copy_of(arrival: &Arrival) -> Option<Self> {
        let payload = Payload::copy_of(arrival.payload.as_slice())?;
        Some(Self {
            arrival: Arrival {
                payload,
                ..arrival.clone()
            },
        })
    }

    /// What it is encoded with.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.arrival.codec
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.arrival.payload.as_slice()
    }
}

impl RelayMessage {
    /// What a room says at its epoch.
    #[must_use]
    pub const fn new(room: RoomId, epoch: Epoch, body: RelayBody) -> Self {
        Self { room, epoch, body }
    }
}

impl RelayBody {
    /// Whether it is media or data, which may be dropped, and not control.
    const fn is_cargo(&self) -> bool {
        matches!(self, Self::Packet { .. } | Self::Data { .. })
    }
}

/// The far end of a relay from here: a shard that may want the track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RelayOut {
    /// The shard.
    pub(crate) to: RelayPeer,
    /// The epoch that it was opened in; what comes from another worker with a lower one is stale.
    pub(crate) since: Epoch,
    /// What it last said that it wants, and when.
    pub(crate) demand: Option<(Streams, Instant)>,
}

impl RelayOut {
    /// A shard that has not asked for anything yet.
    pub(crate) const fn new(to: RelayPeer, since: Epoch) -> Self {
        Self {
            to,
            since,
            demand: None,
        }
    }

    /// The encodings that are to cross: a demand holds for a while and is repeated.
    pub(crate) fn wanted(&self, now: Instant) -> Streams {
        let fresh = |at| now.saturating_duration_since(at) < RELAY_DEMAND_LIFE;
        match self.demand {
            Some((streams, at)) if fresh(at) => streams,
            _ => Streams::EMPTY,
        }
    }
}

/// Messages that wait for their shards' queues.
#[derive(Debug, Default)]
pub(crate) struct RelayQueue {
    messages: VecDeque<(RelayPeer, RelayMessage)>,
    /// Packets and data messages waiting, by shard.
    cargo: BTreeMap<RelayPeer, usize>,
    control: usize,
}

impl RelayQueue {
    /// Queues a message; `false` if it was dropped because its lane is full.
    pub(crate) fn push(&mut self, to: RelayPeer, message: RelayMessage) -> bool {
        if message.body.is_cargo() {
            let waiting = self.cargo.entry(to).or_default();
            if *waiting >= RELAY_PACKETS_MAX {
                return false;
            }
            *waiting += 1;
        } else if self.control >= RELAY_CONTROL_MAX {
            return false;
        } else {
            self.control += 1;
        }
        self.messages.push_back((to, message));
        true
    }

    pub(crate) fn pop(&mut self) -> Option<(RelayPeer, RelayMessage)> {
        let (to, message) = self.messages.pop_front()?;
        if message.body.is_cargo() {
            if let Some(waiting) = self.cargo.get_mut(&to) {
                *waiting -= 1;
            }
        } else {
            self.control -= 1;
        }
        Some((to, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(cargo: bool) -> RelayMessage {
        let track = TrackId::new(1);
        let body = if cargo {
            RelayBody::Data {
                from: "a".parse().unwrap(),
                to: DataTarget::Room,
                reliable: true,
                topic: String::new(),
                message: Vec::new(),
                payload_at: 0,
            }
        } else {
            RelayBody::Stopped { track }
        };
        RelayMessage::new(RoomId::new(1), Epoch::FIRST, body)
    }

    #[test]
    fn a_full_lane_drops_cargo_and_keeps_control() {
        let mut queue = RelayQueue::default();
        let [near, far] = [1, 2].map(|shard| RelayPeer::Shard(media_types::ShardId(shard)));
        for _ in 0..RELAY_PACKETS_MAX {
            assert!(queue.push(near, message(true)));
        }
        assert!(!queue.push(near, message(true)));
        assert!(queue.push(far, message(true)), "each shard has its lane");
        assert!(queue.push(near, message(false)));
        assert_eq!(queue.pop().map(|(to, _)| to), Some(near));
        assert!(queue.push(near, message(true)));
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).count(),
            RELAY_PACKETS_MAX + 2
        );
    }
}
