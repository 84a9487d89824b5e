//! Tracks: bound to an m-line or fed by a relay, muted, and taken away.

use std::time::Instant;

use media_contract::{Fact, RefusedReason, Subject, TransportUse};
use media_types::{Mid, Rid, TrackId, TrackSource};

use super::Shard;
use super::link::Published;
use crate::demux::LinkIndex;
use crate::relay::{RelayBody, RelayMessage};
use crate::room::{RoomIndex, TrackIndex};
use crate::track::keyframe::Urgency;
use crate::track::{Place, Publisher, Track};

impl Shard {
    /// Binds what a client sends on an m-line to a track.
    ///
    /// A track that another shard sends is shown from there until what comes by this m-line can
    /// take over.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        index: LinkIndex,
        mid: Mid,
        id: TrackId,
        source: TrackSource,
    ) -> Result<(), RefusedReason> {
        let link = self
            .links
            .get(index)
            .ok_or(RefusedReason::UnknownTransport)?;
        if !link.settings.publish || link.settings.usage == TransportUse::Viewer {
            return Err(RefusedReason::Forbidden);
        }
        let kind = link.publishing_kind(mid).ok_or(RefusedReason::UnknownMid)?;
        let (room, identity) = (link.room, link.settings.identity.clone());
        let bound = link.published.iter().find(|published| published.mid == mid);
        let bound = bound.map(|published| published.track);
        let publisher = Publisher::Local { link: index, mid };
        if let Some(track) = self.rooms.get_mut(room).and_then(|room| room.track_mut(id)) {
            let may_follow = track.may_be_succeeded(kind);
            let known = track.sent_here_mut();
            if known.publisher == publisher {
                known.source = source;
                return Ok(());
            }
            if !may_follow {
                return Err(RefusedReason::UnknownTrack);
            }
        }
        // One m-line carries one track: a newer one takes an earlier one's place.
        if let Some(bound) = bound {
            self.end_published(room, index, bound);
        }
        let mut track = Track::new(id, kind, source, identity, publisher);
        track.set_rids(self.rids(index, mid));
        let place = self.rooms.get(room).and_then(|room| room.track_index(id));
        let track = match place {
            Some(place) => {
                self.begin_next(now, room, place, track);
                place
            }
            None => self.add_track(room, track)?,
        };
        if let Some(link) = self.links.get_mut(index) {
            link.published.push(Published {
                mid,
                track: id,
                index: track,
            });
            link.clear_routes();
        }
        Ok(())
    }

    /// The encodings that a client offers on an m-line.
    fn rids(&self, link: LinkIndex, mid: Mid) -> &[Rid] {
        let lines = self.links.get(link).map(|link| link.media.iter());
        let line = lines.into_iter().flatten().find(|line| line.mid == mid);
        line.map(|line| line.rids.as_slice()).unwrap_or_default()
    }

    /// After another offer a track may have other encodings.
    pub(super) fn renew_rids(&mut self, index: LinkIndex) {
        let Self { rooms, links, .. } = self;
        let Some(link) = links.get(index) else {
            return;
        };
        let Some(room) = rooms.get_mut(link.room) else {
            return;
        };
        for published in &link.published {
            let line = link.media.iter().find(|line| line.mid == published.mid);
            let track = room.tracks.get_mut(published.index);
            if let (Some(line), Some(track)) = (line, track) {
                track.sent_here_mut().set_rids(&line.rids);
            }
        }
    }

    pub(super) fn add_track(
        &mut self,
        room: RoomIndex,
        track: Track,
    ) -> Result<TrackIndex, RefusedReason> {
        let tracks_max = self.config.limits.tracks_per_room_max;
        let room = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        if room.tracks.len() >= tracks_max {
            return Err(RefusedReason::Limit("tracks_per_room_max"));
        }
        Ok(room.insert_track(track))
    }

    /// Ends what was published here of a track: a successor, or else all of it.
    pub(super) fn unpublish(&mut self, room: RoomIndex, id: TrackId) {
        let track = self.rooms.get(room).and_then(|room| room.track(id));
        match track.map(|track| track.sent_here().publisher) {
            Some(Publisher::Local { link, .. }) => self.end_published(room, link, id),
            _ => self.remove_track(room, id),
        }
    }

    /// Ends a track: its slots are empty, its relays are told.
    pub(super) fn remove_track(&mut self, room: RoomIndex, id: TrackId) {
        let Some(index) = self.rooms.get(room).and_then(|room| room.track_index(id)) else {
            return;
        };
        self.end_next(room, index);
        let Some(track) = self.rooms.get(room).and_then(|room| room.tracks.get(index)) else {
            return;
        };
        let subscriptions: Vec<_> = track
            .subscriptions
            .iter()
            .map(|subscription| (subscription.link, subscription.slot))
            .collect();
        for (link, slot) in subscriptions {
            self.empty_slot(link, slot);
        }
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(track) = room.remove_track(id) else {
            return;
        };
        for tap in track.taps {
            let subject = Subject::Tap(tap.id);
            self.outbox.tell(room.id, subject, Fact::TapEnded);
            self.taps.remove(&tap.id);
            self.ready_taps.push_back(tap.id);
            self.ended_taps.insert(tap.id, tap);
        }
        for relay in &track.relays {
            let body = RelayBody::Stopped { track: id };
            let message = RelayMessage::new(room.id, room.epoch, body);
            self.relays.push(relay.to, message);
        }
        if let Publisher::Local { link, .. } = track.publisher {
            self.unbind(link, id);
        }
    }

    /// Stops or resumes a track, whichever of its sources is in force.
    pub(super) fn mute(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        muted: bool,
    ) -> Result<(), RefusedReason> {
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        let index = found.track_index(id).ok_or(RefusedReason::UnknownTrack)?;
        for place in [Place::Next, Place::InForce] {
            self.mute_source(now, room, index, place, muted);
        }
        Ok(())
    }

    /// Stops or resumes one source of a track.
    pub(super) fn mute_source(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        place: Place,
        muted: bool,
    ) {
        let Some(found) = self.rooms.get_mut(room) else {
            return;
        };
        let track = found.tracks.get_mut(index);
        let Some(track) = track.and_then(|track| track.at_mut(place)) else {
            return;
        };
        if !track.set_muted(now, muted) || place == Place::Next {
            return;
        }
        for relay in &track.relays {
            let track = track.id;
            let body = RelayBody::Muted { track, muted };
            let message = RelayMessage::new(found.id, found.epoch, body);
            self.relays.push(relay.to, message);
        }
        self.tell_slots_of(room, index);
        self.request_awaited(now, room, index, Urgency::Join);
    }

    pub(super) fn tell_started(&mut self, room: RoomIndex, index: TrackIndex) {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let Some(track) = track else {
            return;
        };
        let Some(codec) = track.codec else {
            return;
        };
        let fact = Fact::TrackStarted {
            codec,
            layers: track.layers.known(),
        };
        let subject = Subject::Track(track.id);
        self.tell(room, subject, fact);
    }
}
