//! Another source takes a track over: begun, filled beside the one in force, and put in its place.
//!
//! The track keeps its index, so that whatever names it goes on: slots, taps, relays, routes. Who
//! gets it has all that came of the one source, and then the other's keyframe with all that
//! follows.

use std::time::Instant;

use media_types::{MediaKind, TrackId};

use super::Shard;
use super::media::forget_lost;
use crate::demux::LinkIndex;
use crate::error::DropReason;
use crate::limits::RELAY_GROUP_PACKETS_MAX;
use crate::relay::{RelayBody, RelayMessage, RelayPacket};
use crate::room::{RoomIndex, TrackIndex};
use crate::tap::Tap;
use crate::track::keyframe::Urgency;
use crate::track::layers::Scheme;
use crate::track::wanted::Streams;
use crate::track::{Arrival, Publisher, Subscription, Taken, Track};

impl Shard {
    /// Takes a packet of a client of this shard.
    pub(super) fn take_published(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        if track.is_some_and(|track| track.next.is_some()) {
            return self.take_for_next(now, room, index, arrival);
        }
        self.take_arrival(now, room, index, arrival)
    }

    /// Takes a packet of a track's successor, which takes over if it can go on with it.
    pub(super) fn take_for_next(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index));
        let track = track.ok_or(DropReason::Unpublished)?;
        let next = track.next.as_deref_mut().ok_or(DropReason::Unpublished)?;
        let taken = next.take(now, arrival, &mut self.next_source)?;
        if taken.keyframe {
            forget_lost(&mut self.links, next.publisher, arrival);
        }
        let takes_over = match track.kind {
            MediaKind::Audio => !arrival.payload.is_empty(),
            MediaKind::Video => taken.keyframe && track.can_be_succeeded(now),
        };
        if takes_over {
            self.succeed(now, room, index, Some(arrival));
        } else if taken.started || taken.reallocate {
            self.tell_wanted(now, room, index);
            self.request_lacking(now, room, index);
        }
        Ok(())
    }

    /// Gives a track a successor, in the place of one that it may have.
    pub(super) fn begin_next(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        next: Track,
    ) {
        self.end_next(room, index);
        let found = self.rooms.get_mut(room);
        if let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) {
            track.next = Some(Box::new(next));
            self.tell_wanted(now, room, index);
            self.request_lacking(now, room, index);
        }
    }

    /// Ends a track's successor; the one in force goes on.
    pub(super) fn end_next(&mut self, room: RoomIndex, index: TrackIndex) {
        let Some(found) = self.rooms.get_mut(room) else {
            return;
        };
        let track = found.tracks.get_mut(index);
        let Some(next) = track.and_then(|track| track.next.take()) else {
            return;
        };
        match next.publisher {
            Publisher::Local { link, .. } => self.unbind(link, next.id),
            Publisher::Relay { .. } | Publisher::Ingest => self.leave(room, &next),
        }
    }

    /// Ends what a transport sends of a track.
    pub(super) fn end_published(&mut self, room: RoomIndex, link: LinkIndex, id: TrackId) {
        let found = self.rooms.get(room);
        let index = found.and_then(|room| room.track_index(id));
        let track = index.and_then(|index| found?.tracks.get(index));
        let next = track.and_then(|track| track.next.as_deref());
        match index.filter(|_| next.is_some_and(|next| next.publisher.is_link(link))) {
            Some(index) => self.end_next(room, index),
            None => self.remove_track(room, id),
        }
    }

    /// A transport does not send that track any more.
    pub(super) fn unbind(&mut self, link: LinkIndex, track: TrackId) {
        if let Some(link) = self.links.get_mut(link) {
            link.published.retain(|published| published.track != track);
            link.clear_routes();
        }
    }

    /// Tells the shard that sends a relayed track that nothing of it is wanted any more.
    fn leave(&mut self, room: RoomIndex, track: &Track) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        if let Publisher::Relay { from, .. } = track.publisher {
            let body = RelayBody::Demand {
                track: track.id,
                encodings: Streams::EMPTY.bits(),
            };
            let message = RelayMessage::new(room.id, room.epoch, body);
            self.relays.push(from, message);
        }
    }

    /// Looks after a track's successor at the tick of its room.
    pub(super) fn tend_next(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let Some(next) = track.next.as_deref_mut() else {
            return;
        };
        if next.wanted.is_silenced() {
            next.liveness.excuse(now);
        }
        if !next.muted {
            next.layers.roll(now);
        }
        if track.can_be_succeeded(now) {
            self.succeed(now, room, index, None);
        } else {
            self.request_lacking(now, room, index);
        }
    }

    /// Puts the successor in the place of its track. `first`: the packet with which it begins, if
    /// that has come just now.
    pub(super) fn succeed(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        first: Option<&Arrival>,
    ) {
        // What came of the one in force goes before what comes of the other.
        self.fan_out_all();
        let Self { rooms, config, .. } = self;
        let found = rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let Track { streams, taps, .. } = track;
        for tap in taps {
            tap.read_all(now, |at| config.transport.ntp(at), streams);
        }
        let Some(before) = track.succeed() else {
            return;
        };
        let has_started = track.liveness.has_started();
        self.leave(room, &before);
        self.start_all(now, room, index);
        if has_started {
            self.tell_started(room, index);
        }
        self.relay_beginning(now, room, index, before.muted, first);
        self.reallocate_subscribers(now, room, index);
        self.relay_layers(now, room, index);
        self.tell_wanted(now, room, index);
        self.tell_slots_of(room, index);
        self.request_awaited(now, room, index, Urgency::Join);
    }

    /// Starts all who get a track from what came of its new source.
    fn start_all(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let mut position = 0;
        while let Some(subscription) = self
            .rooms
            .get(room)
            .and_then(|room| room.tracks.get(index)?.subscriptions.get(position))
        {
            match self.beginning_at(now, room, index, subscription) {
                Some(taken) => self.start(now, (room, index), position, taken),
                None => self.forget_told(room, index, position),
            }
            position += 1;
        }
        self.start_taps(now, room, index);
    }

    /// With what a subscription begins, if its client is there and can decode it.
    fn beginning_at(
        &self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        subscription: &Subscription,
    ) -> Option<Taken> {
        let track = self.rooms.get(room)?.tracks.get(index)?;
        let slot = self.links.get(subscription.link)?.slot(subscription.slot)?;
        let is_supported = slot.supported.contains(track.codec?);
        let begins = track.beginning_for(now, &subscription.forwarder);
        begins.filter(|_| is_supported && subscription.awake)
    }

    fn start_taps(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Self {
            rooms,
            config,
            ready_taps,
            ..
        } = self;
        let found = rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let begins = |tap: &Tap| track.beginning_for(now, &tap.forwarder);
        let begins: Vec<_> = track.taps.iter().map(begins).collect();
        let Track { streams, taps, .. } = track;
        let streams = &*streams;
        for (tap, taken) in taps.iter_mut().zip(begins) {
            let stream = taken.and_then(|it| streams.get(usize::from(it.stream))?.as_deref());
            if let (Some(stream), Some(taken)) = (stream, taken) {
                tap.take(now, config.transport.ntp(now), streams, stream, taken);
            }
            if tap.wants_reading() {
                ready_taps.push_back(tap.id);
            }
        }
    }

    /// Whatever comes next is news to who shows nothing now.
    fn forget_told(&mut self, room: RoomIndex, index: TrackIndex, position: usize) {
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index));
        if let Some(subscription) = track.and_then(|it| it.subscriptions.get_mut(position)) {
            subscription.told_layer = None;
        }
    }

    /// Gives the shards that show a track what they begin anew with, or asks for it. `was_muted`:
    /// what they know.
    fn relay_beginning(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        was_muted: bool,
        first: Option<&Arrival>,
    ) {
        let found = self.rooms.get(room);
        let Some((found, track)) = found.and_then(|it| Some((it, it.tracks.get(index)?))) else {
            return;
        };
        let mut lacking = Streams::EMPTY;
        let mut messages = Vec::new();
        for relay in &track.relays {
            if track.muted != was_muted {
                let (track, muted) = (track.id, track.muted);
                messages.push((relay.to, RelayBody::Muted { track, muted }));
            }
            for stream in relay.wanted(now).iter() {
                match beginning(now, track, stream, first) {
                    Some(bodies) => messages.extend(bodies.into_iter().map(|it| (relay.to, it))),
                    None => lacking.insert(stream),
                }
            }
        }
        let (id, epoch) = (found.id, found.epoch);
        for (to, body) in messages {
            if !self.relays.push(to, RelayMessage::new(id, epoch, body)) {
                self.counters.on_dropped(DropReason::RelayFull);
            }
        }
        for stream in lacking.iter() {
            self.want_keyframe(now, room, index, stream, Urgency::Join);
        }
    }
}

/// What another shard begins an encoding anew with, if it is there and not too much.
fn beginning(
    now: Instant,
    track: &Track,
    stream: u8,
    first: Option<&Arrival>,
) -> Option<Vec<RelayBody>> {
    let taken = track.beginning_of(now, stream)?;
    let found = track.stream(stream)?;
    let packets = || found.history.since(taken.sequence);
    if packets().count() > RELAY_GROUP_PACKETS_MAX {
        return None;
    }
    let clock = found.clock.map(|clock| RelayBody::Clock {
        track: track.id,
        stream,
        clock,
    });
    let is_simulcast = track.layers.scheme() == Scheme::Simulcast;
    let packets = packets().filter_map(|packet| {
        let first = first.filter(|it| (it.stream, it.sequence) == (stream, packet.sequence));
        let packet = match first {
            Some(arrival) => RelayPacket::copy_of(arrival),
            None => RelayPacket::copy_of(&found.arrival_of(stream, is_simulcast, packet)),
        };
        Some(RelayBody::Packet {
            track: track.id,
            packet: Box::new(packet?),
        })
    });
    Some(packets.chain(clock).collect())
}
