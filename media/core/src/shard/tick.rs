//! A room's own tick: stalls, layers, keyframes, demand and speakers.

use std::time::Instant;

use media_contract::{Fact, Speaker, Subject};
use media_types::{MediaKind, TrackSource};

use super::Shard;
use crate::forward::Forwarder;
use crate::limits::{DOMINANT_PERIOD, ROOM_TICK, ROOM_TICK_IDLE, SPEAKERS_MAX, SPEAKERS_PERIOD};
use crate::room::{Room, RoomIndex};
use crate::track::keyframe::Urgency;
use crate::track::liveness::Flow;
use crate::track::{Publisher, Track};

impl Shard {
    pub(super) fn tick_room(&mut self, now: Instant, index: RoomIndex) {
        let Some(room) = self.rooms.get(index) else {
            return;
        };
        let (timer, end) = (room.timer, room.tracks.end());
        let idle = room.tracks.len() == 0;
        let period = if idle { ROOM_TICK_IDLE } else { ROOM_TICK };
        self.wheel.set(timer, now + period);
        for track in 0..end {
            let track_mut = self
                .rooms
                .get_mut(index)
                .and_then(|room| room.tracks.get_mut(track));
            let Some(found) = track_mut else {
                continue;
            };
            // What nobody watches is silent because we asked for it.
            if found.wanted.is_silenced() {
                found.liveness.excuse(now);
            }
            let due = found.due_keyframes(now);
            let stalled = !found.muted && found.liveness.poll(now) == Some(Flow::Stalled);
            let layers_changed = !found.muted && found.layers.roll(now);
            let (id, is_video) = (found.id, found.kind == MediaKind::Video);
            if stalled {
                self.tell(index, Subject::Track(id), Fact::TrackStalled);
            }
            if layers_changed {
                self.reallocate_subscribers(now, index, track);
                self.relay_layers(now, index, track);
            }
            if is_video {
                self.forget_unwanted(index, track);
                self.request_awaited(now, index, track, Urgency::Repair);
            }
            for stream in due.iter() {
                self.want_keyframe(now, index, track, stream, Urgency::Repair);
            }
            self.tell_wanted(now, index, track);
            self.tend_next(now, index, track);
            self.tell_ingest(now, index, track);
            self.fit(now, index, track);
        }
        self.tell_speakers(now, index);
        self.follow_speaker(now, index);
    }

    /// Has layers chosen anew when another one is heard most, wherever that one's voice comes from.
    fn follow_speaker(&mut self, now: Instant, index: RoomIndex) {
        let Some(room) = self.rooms.get_mut(index) else {
            return;
        };
        let Room {
            tracks, dominant, ..
        } = room;
        let voices = tracks
            .values()
            .filter(|track| track.source == TrackSource::Microphone);
        let heard = voices.filter_map(|track| Some((&track.identity, track.loudness.level(now)?)));
        if !dominant.update(now, DOMINANT_PERIOD, heard) {
            return;
        }
        let links = room.links.values().copied();
        for link in links.collect::<Vec<_>>() {
            self.want_allocation(link);
        }
    }

    /// Requests that nobody waits for any more are not repeated.
    fn forget_unwanted(&mut self, index: RoomIndex, track: u32) {
        let room = self.rooms.get_mut(index);
        let Some(track) = room.and_then(|room| room.tracks.get_mut(track)) else {
            return;
        };
        if !track.keyframes.iter().any(|requests| requests.is_waiting()) {
            return;
        }
        let taps = track.taps.iter().map(|tap| &tap.forwarder);
        let shown = track.subscriptions.iter().map(|found| &found.forwarder);
        let mut forwarders = shown.chain(taps);
        let content = |it: &Forwarder| it.awaits().is_none() && it.repairs().is_none();
        // Another shard's requests come anew every half second as long as they are needed.
        if forwarders.all(content) && track.relays.is_empty() {
            for requests in &mut track.keyframes {
                requests.forget();
            }
        }
    }

    /// Tells who is heard, if it is time and that changed. Each shard speaks for the publishers
    /// that it has; relayed tracks are told of where they come from.
    fn tell_speakers(&mut self, now: Instant, index: RoomIndex) {
        let Some(room) = self.rooms.get_mut(index) else {
            return;
        };
        let Room {
            tracks, speakers, ..
        } = room;
        if !speakers.is_due(now, SPEAKERS_PERIOD) {
            return;
        }
        let own = |track: &&mut Track| {
            track.kind == MediaKind::Audio && !matches!(track.publisher, Publisher::Relay { .. })
        };
        for track in tracks.values_mut().filter(own) {
            if let Some(level) = track.loudness.poll(now) {
                speakers.hear(track.id, level);
            }
        }
        let Some(heard) = speakers.update(now, SPEAKERS_MAX) else {
            return;
        };
        let heard: Vec<_> = heard.to_vec();
        let speakers = heard
            .into_iter()
            .filter_map(|(track, level)| {
                let identity = room.track(track)?.identity.clone();
                Some(Speaker {
                    track,
                    identity,
                    level,
                })
            })
            .collect();
        self.tell(index, Subject::Room, Fact::SpeakersChanged { speakers });
    }
}
