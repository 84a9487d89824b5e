//! What other shards say, and what they are told of our demand.

use std::time::Instant;

use media_contract::{Fact, RelayPeer, Subject};
use media_rtp::timestamp::SenderClock;
use media_types::{Epoch, MediaKind, RoomId, TrackId};

use super::Shard;
use super::fit;
use super::messages::Message;
use super::outbox::Outbox;
use crate::error::DropReason;
use crate::limits::RELAY_DEMAND_PERIOD;
use crate::relay::{RelayBody, RelayLayers, RelayMessage, RelayQueue};
use crate::room::{Room, RoomIndex, TrackIndex};
use crate::track::keyframe::Urgency;
use crate::track::layers::Layers;
use crate::track::wanted::{Change, Streams};
use crate::track::{Arrival, Place, Publisher, Track};

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
                self.take_relayed(now, room, track, from, &packet.arrival)?;
            }
            RelayBody::Demand { track, encodings } => {
                self.demanded(now, room, track, from, Streams::from_bits(encodings))?;
            }
            RelayBody::Layers { track, layers } => {
                let (index, place) = self.relayed(room, track, from)?;
                self.take_layers(now, room, index, place, &layers.layers);
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
                let (index, place) = self.relayed(room, track, from)?;
                self.mute_source(now, room, index, place, muted);
            }
            RelayBody::Stopped { track } => self.stopped(now, room, track, from)?,
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

    fn take_relayed(
        &mut self,
        now: Instant,
        room: RoomIndex,
        track: TrackId,
        from: Sender,
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        match self.relayed(room, track, from)? {
            (index, Place::InForce) => self.take_arrival(now, room, index, arrival),
            (index, Place::Next) => self.take_for_next(now, room, index, arrival),
        }
    }

    fn take_clock(
        &mut self,
        room: RoomIndex,
        track: TrackId,
        from: Sender,
        stream: u8,
        clock: SenderClock,
    ) -> Result<(), DropReason> {
        let (index, place) = self.relayed(room, track, from)?;
        let room = self.rooms.get_mut(room);
        let track = room.and_then(|room| room.tracks.get_mut(index)?.at_mut(place));
        let stream = track.and_then(|track| track.streams.get_mut(usize::from(stream)));
        if let Some(Some(stream)) = stream {
            stream.clock = Some(clock);
        }
        Ok(())
    }

    fn stopped(
        &mut self,
        now: Instant,
        room: RoomIndex,
        track: TrackId,
        from: Sender,
    ) -> Result<(), DropReason> {
        let (index, place) = self.relayed(room, track, from)?;
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index));
        if place == Place::InForce && track.as_ref().is_some_and(|track| track.next.is_some()) {
            self.succeed(now, room, index, None);
            return Ok(());
        }
        if let Some(track) = track.and_then(|track| track.at_mut(place)) {
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

    /// A track that comes from that shard, or is about to.
    fn relayed(
        &self,
        room: RoomIndex,
        track: TrackId,
        by: Sender,
    ) -> Result<(TrackIndex, Place), DropReason> {
        let index = self.known(room, track)?;
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let found = track.and_then(|track| track.sent_by(by.peer));
        let (place, since) = found.ok_or(DropReason::RelayUnknown)?;
        Room::fence(by.peer, by.epoch, since)?;
        Ok((index, place))
    }

    fn take_layers(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        place: Place,
        layers: &Layers,
    ) {
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index)?.at_mut(place));
        if !track.is_some_and(|track| track.follow(layers)) {
            return;
        }
        match place {
            Place::InForce => {
                self.reallocate_subscribers(now, room, index);
                self.tell_wanted(now, room, index);
                self.request_awaited(now, room, index, Urgency::Join);
            }
            Place::Next => self.request_lacking(now, room, index),
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
    /// shard. What is about to take its place is to be what it is.
    pub(super) fn tell_wanted(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Some(found) = self.rooms.get_mut(room) else {
            return;
        };
        let about = (found.id, found.epoch);
        let Some(track) = found.tracks.get_mut(index) else {
            return;
        };
        let wanted = track.wanted_streams(now);
        let mut changed = false;
        for place in [Place::Next, Place::InForce] {
            let Some(source) = track.at_mut(place) else {
                continue;
            };
            let exits = (&mut self.relays, &mut self.outbox);
            changed = tell_source(now, about, source, wanted, exits);
        }
        if changed {
            self.want_allocations_of(room, index);
            self.relay_layers(now, room, index);
        }
    }

    /// Tells again what every publisher here was last told: whoever asks has forgotten it.
    pub(super) fn retell_wanted(&mut self, room: RoomId) {
        let index = self.room_ids.get(&room).copied();
        let Some(found) = index.and_then(|index| self.rooms.get(index)) else {
            return;
        };
        for track in found.tracks.values().map(Track::sent_here) {
            if track.wanted.active().is_some() {
                let fact = fit::wanted_fact(track);
                self.outbox.tell(room, Subject::Track(track.id), fact);
            }
        }
    }
}

/// Tells who sends one source of a track what of it is wanted; whether its encodings are others
/// now.
fn tell_source(
    now: Instant,
    (room, epoch): (RoomId, Epoch),
    source: &mut Track,
    wanted: Streams,
    (relays, outbox): (&mut RelayQueue, &mut Outbox),
) -> bool {
    let id = source.id;
    let Publisher::Relay { from, told, .. } = &mut source.publisher else {
        let Some(change) = source.update_wanted(now, wanted) else {
            return false;
        };
        outbox.tell(room, Subject::Track(id), fit::wanted_fact(source));
        return change != Change::default();
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
        relays.push(*from, RelayMessage::new(room, epoch, body));
    }
    false
}
