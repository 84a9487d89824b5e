//! What other shards say, and what they are told of our demand.

use std::time::Instant;

use media_contract::{Fact, RelayPeer, Subject};
use media_rtp::timestamp::SenderClock;
use media_types::{Epoch, MediaKind, RoomId, TrackId};

use super::Shard;
use super::fit;
use super::messages::Message;
use crate::error::DropReason;
use crate::limits::RELAY_DEMAND_PERIOD;
use crate::relay::{RelayBody, RelayLayers, RelayMessage};
use crate::room::{Room, RoomIndex, TrackIndex};
use crate::track::Publisher;
use crate::track::keyframe::Urgency;
use crate::track::layers::Layers;
use crate::track::wanted::{Change, Streams};

/// Who sent a message.
#[derive(Clone, Copy)]
struct Sender {
    peer: RelayPeer,
    epoch: Epoch,
}

impl Shard {
    /// Takes a message of another shard.
    pub fn handle_relay(&mut self, now: Instant, from: RelayPeer, message: RelayMessage) {
        if let Err(reason) = self.take_relay(now, from, message) {
            self.counters.on_dropped(reason);
        }
        self.settle(now);
    }

    fn take_relay(
        &mut self,
        now: Instant,
        from: RelayPeer,
        message: RelayMessage,
    ) -> Result<(), DropReason> {
        let room = self.room_ids.get(&message.room).copied();
        let room = room.ok_or(DropReason::RelayUnknown)?;
        self.note_epoch(room, from, message.epoch);
        let from = Sender {
            peer: from,
            epoch: message.epoch,
        };
        if !matches!(message.body, RelayBody::Packet { .. }) {
            // What came before a track was muted or stopped goes on.
            self.fan_out_all();
        }
        match message.body {
            RelayBody::Packet { track, packet } => {
                let index = self.relayed(room, track, from)?;
                self.take_arrival(now, room, index, &packet.arrival)?;
            }
            RelayBody::Demand { track, encodings } => {
                self.demanded(now, room, track, from, Streams::from_bits(encodings))?;
            }
            RelayBody::Layers { track, layers } => {
                let index = self.relayed(room, track, from)?;
                self.take_layers(now, room, index, &layers.layers);
            }
            RelayBody::KeyframeRequest { track, stream } => {
                self.may_ask(room, from)?;
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
                self.may_ask(room, from)?;
                let message = Message::new(&sender, &to, reliable, &topic, &message, payload_at);
                self.deliver(now, room, None, &message);
            }
        }
        Ok(())
    }

    fn take_clock(
        &mut self,
        room: RoomIndex,
        track: TrackId,
        from: Sender,
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

    fn stopped(&mut self, room: RoomIndex, track: TrackId, from: Sender) -> Result<(), DropReason> {
        let index = self.relayed(room, track, from)?;
        let found = self.rooms.get_mut(room);
        if let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) {
            track.stop();
        }
        self.tell_slots_of(room, index);
        Ok(())
    }

    /// Another worker may have learned of a new owner before this one.
    fn note_epoch(&mut self, room: RoomIndex, from: RelayPeer, epoch: Epoch) {
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        if room.note_epoch(from, epoch) {
            let fact = Fact::NewerEpoch { epoch };
            self.outbox.tell(room.id, Subject::Room, fact);
        }
    }

    /// Whether what is not about one relay is to be heard: another worker has to be linked.
    fn may_ask(&self, room: RoomIndex, from: Sender) -> Result<(), DropReason> {
        let room = self.rooms.get(room).ok_or(DropReason::RelayUnknown)?;
        if from.peer.worker().is_some() && !room.linked.contains(&from.peer) {
            return Err(DropReason::RelayUnknown);
        }
        Room::fence(from.peer, from.epoch, room.linked_since)
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
        by: Sender,
    ) -> Result<TrackIndex, DropReason> {
        let index = self.known(room, track)?;
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let publisher = track.map(|track| track.publisher);
        match publisher {
            Some(Publisher::Relay { from, since, .. }) if from == by.peer => {
                Room::fence(from, by.epoch, since)?;
                Ok(index)
            }
            _ => Err(DropReason::RelayUnknown),
        }
    }

    fn take_layers(&mut self, now: Instant, room: RoomIndex, index: TrackIndex, layers: &Layers) {
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        if track.follow(layers) {
            self.reallocate_subscribers(now, room, index);
            self.tell_wanted(now, room, index);
            self.request_awaited(now, room, index, Urgency::Join);
        }
    }

    fn demanded(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        by: Sender,
        wanted: Streams,
    ) -> Result<(), DropReason> {
        let index = self.known(room, id)?;
        let found = self.rooms.get_mut(room).ok_or(DropReason::RelayUnknown)?;
        let muted = found.track(id).is_some_and(|track| track.muted);
        let relay = found.relay_to(id, by.peer, by.epoch)?;
        let begins = relay.wanted(now).is_empty() && !wanted.is_empty();
        relay.demand = Some((wanted, now));
        let message =
            RelayMessage::new(found.id, found.epoch, RelayBody::Muted { track: id, muted });
        self.relays.push(by.peer, message);
        self.tell_wanted(now, room, index);
        self.relay_layers(now, room, index);
        if begins {
            self.relay_group(room, index, by.peer);
        }
        Ok(())
    }

    /// Tells the shards that show a track what its layers are.
    pub(super) fn relay_layers(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        let Some(track) = room.tracks.get(index) else {
            return;
        };
        if track.kind != MediaKind::Video || track.codec.is_none() {
            return;
        }
        for relay in track.relays.iter().filter(|it| !it.wanted(now).is_empty()) {
            let layers = Box::new(RelayLayers {
                layers: track.layers.clone(),
            });
            let body = RelayBody::Layers {
                track: track.id,
                layers,
            };
            let message = RelayMessage::new(room.id, room.epoch, body);
            self.relays.push(relay.to, message);
        }
    }

    /// Tells those who send a track what of it is watched here: the publisher's client, or its
    /// shard.
    pub(super) fn tell_wanted(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Some(room_mut) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(track) = room_mut.tracks.get_mut(index) else {
            return;
        };
        let wanted = track.wanted_streams(now);
        let id = track.id;
        let Publisher::Relay { from, told, .. } = &mut track.publisher else {
            if let Some(change) = track.update_wanted(now, wanted) {
                let fact = fit::wanted_fact(track);
                self.tell(room, Subject::Track(id), fact);
                if change != Change::default() {
                    self.want_allocations_of(room, index);
                    self.relay_layers(now, room, index);
                }
            }
            return;
        };
        let repeat = told.is_none_or(|(known, at)| {
            known != wanted || now.saturating_duration_since(at) >= RELAY_DEMAND_PERIOD
        });
        if repeat {
            *told = Some((wanted, now));
            let body = RelayBody::Demand {
                track: id,
                encodings: wanted.bits(),
            };
            let message = RelayMessage::new(room_mut.id, room_mut.epoch, body);
            self.relays.push(*from, message);
        }
    }

    /// Tells again what every publisher here was last told: whoever asks has forgotten it.
    pub(super) fn retell_wanted(&mut self, room: RoomId) {
        let index = self.room_ids.get(&room).copied();
        let Some(found) = index.and_then(|index| self.rooms.get(index)) else {
            return;
        };
        for track in found.tracks.values() {
            if track.wanted.active().is_some() {
                let fact = fit::wanted_fact(track);
                self.outbox.tell(room, Subject::Track(track.id), fact);
            }
        }
    }
}
