//! Taps: opened and closed by command, read by whoever carries their packets on.

use std::time::Instant;

use media_contract::{Action, RefusedReason, TapWish};
use media_types::{MediaKind, TapId, TrackId, TrackSource};

use super::Shard;
use crate::allocate::ladder::Style;
use crate::error::DropReason;
use crate::limits::TAPS_PER_TRACK_MAX;
use crate::room::{RoomIndex, TrackIndex};
use crate::tap::{Tap, TapPoll};
use crate::track::Track;
use crate::track::keyframe::Urgency;
use crate::track::wanted::Streams;

impl Shard {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes these only"
    )]
    pub(super) fn apply_to_live(
        &mut self,
        now: Instant,
        room: RoomIndex,
        action: Action,
    ) -> Result<(), RefusedReason> {
        match action {
            Action::OpenIngest(ingest) => self.open_ingest(now, room, ingest),
            Action::OpenTap { tap, track, wish } => self.open_tap(now, room, tap, track, wish),
            Action::CloseTap { tap } => {
                self.close_tap(room, tap);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open_tap(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TapId,
        track: TrackId,
        wish: TapWish,
    ) -> Result<(), RefusedReason> {
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        let index = found
            .track_index(track)
            .ok_or(RefusedReason::UnknownTrack)?;
        let is_new = match self.taps.get(&id) {
            Some(&place) if place == (room, index) => false,
            Some(_) => return Err(RefusedReason::UnknownTrack),
            None => {
                self.attach_tap(now, room, index, id)?;
                true
            }
        };
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        if let Some(track) = found.tracks.get_mut(index) {
            let style = style_of(track);
            let Track { taps, layers, .. } = track;
            if let Some(tap) = taps.iter_mut().find(|tap| tap.id == id) {
                tap.set_wish(wish);
                tap.aim(layers, style);
            }
        }
        if is_new {
            self.catch_tap_up(room, index, id);
        }
        self.tell_wanted(now, room, index);
        self.wake_room(now, room);
        self.request_awaited(now, room, index, Urgency::Join);
        Ok(())
    }

    fn attach_tap(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        id: TapId,
    ) -> Result<(), RefusedReason> {
        let random = self.random.next_u64();
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index));
        let track = track.ok_or(RefusedReason::UnknownTrack)?;
        if track.taps.len() >= TAPS_PER_TRACK_MAX {
            return Err(RefusedReason::Limit("taps_per_track_max"));
        }
        let mut tap = Tap::new(now, id, track.kind, random);
        tap.forwarder.set_track(track.layers.scheme());
        track.taps.push(tap);
        self.taps.insert(id, (room, index));
        Ok(())
    }

    /// Starts a tap with the last keyframe of the history, if all that followed is there too.
    fn catch_tap_up(&mut self, room: RoomIndex, index: TrackIndex, id: TapId) {
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let awaits = track.taps.iter().find(|tap| tap.id == id);
        let awaits = awaits.and_then(|tap| tap.forwarder.awaits());
        let Some(place) = awaits.and_then(|stream| track.keyframe_stream(stream)) else {
            return;
        };
        let Track { streams, taps, .. } = track;
        let stream = streams.get(usize::from(place)).and_then(Option::as_deref);
        let tap = taps.iter_mut().find(|tap| tap.id == id);
        if let (Some(stream), Some(tap)) = (stream, tap)
            && let Some(keyframe) = stream.whole_group()
        {
            tap.start_at(stream, place, keyframe.sequence);
            if tap.wants_reading() {
                self.ready_taps.push_back(id);
            }
        }
    }

    /// Closes a tap. Its reader finds it ended.
    fn close_tap(&mut self, room: RoomIndex, id: TapId) {
        let Some((_, index)) = self.taps.remove(&id) else {
            return;
        };
        let found = self.rooms.get_mut(room);
        if let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) {
            track.taps.retain(|tap| tap.id != id);
        }
        self.ready_taps.push_back(id);
    }

    /// A tap that has something for its reader, or has ended. Each is told once, until
    /// [`Self::poll_tap`] has said that it is empty.
    pub fn poll_ready_tap(&mut self) -> Option<TapId> {
        self.ready_taps.pop_front()
    }

    /// What a tap has next. A reader without room comes back when it has some; what waits
    /// meanwhile is bounded, and beyond that it begins anew at a keyframe.
    pub fn poll_tap(&mut self, now: Instant, id: TapId) -> TapPoll {
        let Some(&(room, index)) = self.taps.get(&id) else {
            return self.poll_ended(id);
        };
        let config = &self.config.transport;
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return TapPoll::Ended;
        };
        let Track { streams, taps, .. } = track;
        let Some(tap) = taps.iter_mut().find(|tap| tap.id == id) else {
            return TapPoll::Ended;
        };
        let packet = tap.poll(now, |at| config.ntp(at), streams);
        let dropped = std::mem::take(&mut tap.dropped);
        self.counters.on_dropped_many(DropReason::TapFull, dropped);
        packet.map_or(TapPoll::Empty, TapPoll::Packet)
    }

    fn poll_ended(&mut self, id: TapId) -> TapPoll {
        let rest = self.ended_taps.get_mut(&id).and_then(Tap::poll_rest);
        if rest.is_none() {
            self.ended_taps.remove(&id);
        }
        rest.map_or(TapPoll::Ended, TapPoll::Packet)
    }
}

fn style_of(track: &Track) -> Style {
    match track.source == TrackSource::Screen {
        true => Style::Detail,
        false => Style::Motion,
    }
}

impl Track {
    /// Chooses the layers of all taps anew.
    pub(crate) fn aim_taps(&mut self) {
        let style = style_of(self);
        let Self { taps, layers, .. } = self;
        for tap in taps {
            tap.aim(layers, style);
        }
    }

    /// The streams of which packagers want a keyframe to cut at.
    pub(crate) fn due_keyframes(&self, now: Instant) -> Streams {
        let mut due = Streams::EMPTY;
        if self.kind == MediaKind::Video && !self.muted {
            let taps = self.taps.iter();
            taps.filter_map(|tap| tap.due_keyframe(now, &self.streams))
                .for_each(|stream| due.insert(stream));
        }
        due
    }
}
