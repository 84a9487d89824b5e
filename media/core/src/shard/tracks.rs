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
use crate::track::{Publisher, Track};

impl Shard {
    /// Binds what a client sends on an m-line to a track.
    pub(super) fn publish(
        &mut self,
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
        if let Some(track) = self.rooms.get_mut(room).and_then(|room| room.track_mut(id)) {
            let here = Publisher::Local { link: index, mid };
            if track.publisher != here {
                return Err(RefusedReason::UnknownTrack);
            }
            track.source = source;
            return Ok(());
        }
        // One m-line carries one track: a newer one takes an earlier one's place.
        if let Some(bound) = bound {
            self.remove_track(room, bound);
        }
        let publisher = Publisher::Local { link: index, mid };
        let mut track = Track::new(id, kind, source, identity, publisher);
        track.set_rids(self.rids(index, mid));
        let track = self.add_track(room, track)?;
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
                track.set_rids(&line.rids);
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

    /// Ends a track: its slots are empty, its relays are told.
    pub(super) fn remove_track(&mut self, room: RoomIndex, id: TrackId) {
        let Some(track) = self.rooms.get(room).and_then(|room| room.track(id)) else {
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
        if let Publisher::Local { link, .. } = track.publisher
            && let Some(link) = self.links.get_mut(link)
        {
            link.published.retain(|published| published.track != id);
            link.clear_routes();
        }
    }

    /// Stops or resumes a track.
    pub(super) fn mute(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        muted: bool,
    ) -> Result<(), RefusedReason> {
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        let index = found.track_index(id).ok_or(RefusedReason::UnknownTrack)?;
        let track = found
            .tracks
            .get_mut(index)
            .ok_or(RefusedReason::UnknownTrack)?;
        if !track.set_muted(now, muted) {
            return Ok(());
        }
        for relay in &track.relays {
            let body = RelayBody::Muted { track: id, muted };
            let message = RelayMessage::new(found.id, found.epoch, body);
            self.relays.push(relay.to, message);
        }
        self.tell_slots_of(room, index);
        self.request_awaited(now, room, index, Urgency::Join);
        Ok(())
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
