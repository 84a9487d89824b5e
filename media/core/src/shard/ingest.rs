//! Ingest tracks: opened without a transport, fed with frames.

use std::time::Instant;

use media_contract::{
    Fact, IngestTrack, LayerFigures, RefusedReason, RelayPeer, Subject, TrackFigures,
};
use media_types::{PacketFrame, RoomId, TrackId};

use super::Shard;
use crate::error::DropReason;
use crate::ingest::Feed;
use crate::limits::{FIGURES_PERIOD, FRAME_PAYLOADS_MAX, RELAY_GROUP_PACKETS_MAX};
use crate::relay::{RelayBody, RelayMessage, RelayPacket};
use crate::room::{RoomIndex, TrackIndex};
use crate::track::liveness::Liveness;
use crate::track::{Publisher, Track};

impl Shard {
    /// Takes a frame of an ingest track from the connection with that number.
    pub fn handle_ingest(
        &mut self,
        now: Instant,
        room: RoomId,
        track: TrackId,
        feed: u32,
        frame: PacketFrame,
    ) {
        if let Err(reason) = self.take_frame(now, room, track, feed, frame) {
            self.counters.on_dropped(reason);
        }
        self.settle(now);
    }

    /// Whether anybody is to get what an ingest track brings now: one who shows it, a tap, another
    /// shard. Where nobody does it is enough that frames come before somebody begins. A track that
    /// is not known counts as wanted.
    #[must_use]
    pub fn is_ingest_wanted(&self, room: RoomId, track: TrackId) -> bool {
        let room = self.room_ids.get(&room).and_then(|it| self.rooms.get(*it));
        let track = room.and_then(|room| room.tracks.get(room.track_index(track)?));
        track.is_none_or(|track| {
            let shown = !track.subscriptions.is_empty() || !track.taps.is_empty();
            shown || !track.relays.is_empty()
        })
    }

    fn take_frame(
        &mut self,
        now: Instant,
        room: RoomId,
        track: TrackId,
        feed: u32,
        frame: PacketFrame,
    ) -> Result<(), DropReason> {
        let room = self.room_ids.get(&room).copied();
        let room = room.ok_or(DropReason::Unpublished)?;
        let found = self.rooms.get_mut(room).ok_or(DropReason::Unpublished)?;
        let index = found.track_index(track).ok_or(DropReason::Unpublished)?;
        let track = found.tracks.get_mut(index).ok_or(DropReason::Unpublished)?;
        let known = track.feed.as_mut().ok_or(DropReason::Unpublished)?;
        if known.number() != feed {
            return Err(DropReason::OldFeed);
        }
        if frame.payloads.len() > FRAME_PAYLOADS_MAX {
            return Err(DropReason::BadPayload);
        }
        let cut = known.cut(frame);
        if cut.is_empty() {
            return Err(DropReason::BadPayload);
        }
        for arrival in cut {
            self.counters.on_packet_in(arrival.codec.kind());
            self.take_arrival(now, room, index, &arrival)?;
        }
        Ok(())
    }

    /// Makes a track that is fed, or goes on with a newer feed.
    pub(super) fn open_ingest(
        &mut self,
        now: Instant,
        room: RoomIndex,
        ingest: IngestTrack,
    ) -> Result<(), RefusedReason> {
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        if let Some(track) = found.track_mut(ingest.track) {
            let kind = track.kind;
            let feed = track.feed.as_mut().filter(|_| kind == ingest.kind);
            let feed = feed.ok_or(RefusedReason::UnknownTrack)?;
            if feed.renew(ingest.feed, ingest.codec) {
                // Whoever came anew is told of as one who begins, with what it is encoded with now.
                track.liveness = Liveness::default();
            }
            track.source = ingest.source;
            return Ok(());
        }
        if ingest.codec.kind() != ingest.kind {
            return Err(RefusedReason::Unsupported);
        }
        let mut track = Track::new(
            ingest.track,
            ingest.kind,
            ingest.source,
            ingest.identity,
            Publisher::Ingest,
        );
        track.codec = Some(ingest.codec);
        track.feed = Some(Box::new(Feed::new(ingest.feed, ingest.codec)));
        self.add_track(room, track)?;
        self.wake_room(now, room);
        Ok(())
    }

    /// Sends a shard that begins to show a fed track its last group of pictures, if there is room
    /// for all of it.
    pub(super) fn relay_group(&mut self, room: RoomIndex, index: TrackIndex, to: RelayPeer) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        let Some(track) = room.tracks.get(index).filter(|track| track.feed.is_some()) else {
            return;
        };
        let Some((stream, keyframe)) = track.stream(0).and_then(|stream| {
            let keyframe = stream.whole_group()?;
            Some((stream, keyframe))
        }) else {
            return;
        };
        let packets = || stream.history.since(keyframe.sequence);
        if track.muted || packets().count() > RELAY_GROUP_PACKETS_MAX {
            return;
        }
        for packet in packets() {
            let Some(packet) = RelayPacket::copy_of(&stream.arrival_of(0, true, packet)) else {
                continue;
            };
            let body = RelayBody::Packet {
                track: track.id,
                packet: Box::new(packet),
            };
            let message = RelayMessage::new(room.id, room.epoch, body);
            if !self.relays.push(to, message) {
                self.counters.on_dropped(DropReason::RelayFull);
            }
        }
    }

    /// Tells how much a fed track brings, once a second.
    pub(super) fn tell_ingest(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let Some(feed) = track.feed.as_mut().filter(|feed| {
            feed.told_at
                .is_none_or(|at| now.saturating_duration_since(at) >= FIGURES_PERIOD)
        }) else {
            return;
        };
        feed.told_at = Some(now);
        let rate = track.layers.rate();
        let figures = TrackFigures {
            track: track.id,
            codec: track.codec,
            rate,
            lost: 0,
            layers: vec![LayerFigures { rid: None, rate }],
        };
        let subject = Subject::Track(track.id);
        self.tell(room, subject, Fact::IngestFigures(figures));
    }
}
