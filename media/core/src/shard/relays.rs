//! What other shards say, and what they are told of our demand.

use std::time::Instant;

use media_rtp::timestamp::SenderClock;
use media_types::{ShardId, TrackId};

use super::Shard;
use crate::error::DropReason;
use crate::limits::RELAY_DEMAND_PERIOD;
use crate::relay::{RelayBody, RelayMessage};
use crate::room::{RoomIndex, TrackIndex};
use crate::track::Publisher;
use crate::track::keyframe::Urgency;

impl Shard {
    /// Takes a message of another shard of the worker.
    pub fn handle_relay(&mut self, now: Instant, from: ShardId, message: RelayMessage) {
        if let Err(reason) = self.take_relay(now, from, message) {
            self.counters.on_dropped(reason);
        }
        self.settle(now);
    }

    fn take_relay(
        &mut self,
        now: Instant,
        from: ShardId,
        message: RelayMessage,
    ) -> Result<(), DropReason> {
        let room = self.room_ids.get(&message.room).copied();
        let room = room.ok_or(DropReason::RelayUnknown)?;
        match message.body {
            RelayBody::Packet { track, packet } => {
                let index = self.relayed(room, track, from)?;
                self.take_arrival(now, room, index, &packet.arrival)?;
            }
            RelayBody::Demand { track, wanted } => self.demanded(now, room, track, from, wanted)?,
            RelayBody::KeyframeRequest { track, stream } => {
                let index = self.known(room, track)?;
                self.want_keyframe(now, room, index, stream, Urgency::Join);
            }
            RelayBody::Clock {
                track,
                stream,
                clock,
            } => self.take_clock(room, track, from, stream, clock)?,
            RelayBody::Muted { track, muted } => {
                self.relayed(room, track, from)?;
                let _ = self.mute(now, room, track, muted);
            }
            RelayBody::Stopped { track } => self.stopped(room, track, from)?,
            RelayBody::Data {
                from: sender,
                to,
                reliable,
                topic,
                message,
                payload_at,
            } => {
                let payload = message.get(payload_at..).unwrap_or_default();
                let message = super::messages::Message {
                    from: &sender,
                    to: &to,
                    reliable,
                    topic: &topic,
                    bytes: &message,
                    payload,
                };
                self.deliver(now, room, None, &message);
            }
        }
        Ok(())
    }

    fn take_clock(
        &mut self,
        room: RoomIndex,
        track: TrackId,
        from: ShardId,
        stream: u8,
        clock: SenderClock,
    ) -> Result<(), DropReason> {
        let index = self.relayed(room, track, from)?;
        let room = self.rooms.get_mut(room);
        let track = room.and_then(|room| room.tracks.get_mut(index));
        let stream = track.and_then(|track| track.streams.get_mut(usize::from(stream)));
        if let Some(Some(stream)) = stream {
            stream.clock = Some(clock);
        }
        Ok(())
    }

    fn stopped(
        &mut self,
        room: RoomIndex,
        track: TrackId,
        from: ShardId,
    ) -> Result<(), DropReason> {
        let index = self.relayed(room, track, from)?;
        let found = self.rooms.get_mut(room);
        if let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) {
            track.stop();
        }
        self.tell_slots_of(room, index);
        Ok(())
    }

    fn known(&self, room: RoomIndex, track: TrackId) -> Result<TrackIndex, DropReason> {
        let index = self
            .rooms
            .get(room)
            .and_then(|room| room.track_index(track));
        index.ok_or(DropReason::RelayUnknown)
    }

    /// A track that comes from that shard.
    fn relayed(
        &self,
        room: RoomIndex,
        track: TrackId,
        shard: ShardId,
    ) -> Result<TrackIndex, DropReason> {
        let index = self.known(room, track)?;
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let publisher = track.map(|track| track.publisher);
        match publisher {
            Some(Publisher::Relay { from, .. }) if from == shard => Ok(index),
            _ => Err(DropReason::RelayUnknown),
        }
    }

    fn demanded(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        by: ShardId,
        wanted: bool,
    ) -> Result<(), DropReason> {
        let found = self.rooms.get_mut(room).ok_or(DropReason::RelayUnknown)?;
        let track = found.track_mut(id).ok_or(DropReason::RelayUnknown)?;
        let muted = track.muted;
        let relay = track.relays.iter_mut().find(|relay| relay.to == by);
        let relay = relay.ok_or(DropReason::RelayUnknown)?;
        relay.wanted_at = wanted.then_some(now);
        let message = RelayMessage {
            room: found.id,
            body: RelayBody::Muted { track: id, muted },
        };
        self.relays.push(by, message);
        Ok(())
    }

    /// Tells the publisher's shard whether anybody here shows a relayed track: at once when that
    /// changes, and again every second.
    pub(super) fn tell_demand(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(track) = room.tracks.get_mut(index) else {
            return;
        };
        let mut subscriptions = track.subscriptions.iter();
        let wanted = subscriptions.any(|found| found.forwarder.target().is_some());
        let Publisher::Relay { from, told } = &mut track.publisher else {
            return;
        };
        let repeat = told.is_none_or(|(known, at)| {
            known != wanted || now.saturating_duration_since(at) >= RELAY_DEMAND_PERIOD
        });
        if repeat {
            *told = Some((wanted, now));
            let body = RelayBody::Demand {
                track: track.id,
                wanted,
            };
            let message = RelayMessage {
                room: room.id,
                body,
            };
            self.relays.push(*from, message);
        }
    }
}
