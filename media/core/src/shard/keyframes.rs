//! Keyframes: who needs which, and how those who make them are asked.

use std::time::Instant;

use media_contract::{Fact, Subject};
use media_types::{MediaKind, TrackId};
use media_webrtc::StreamIndex;

use super::Shard;
use crate::relay::{RelayBody, RelayMessage};
use crate::room::{RoomIndex, TrackIndex};
use crate::track::keyframe::Urgency;
use crate::track::wanted::Streams;
use crate::track::{Publisher, Track};

/// A request that is due.
#[derive(Debug, Clone, Copy)]
struct Request {
    publisher: Publisher,
    /// The encoding, and its stream at the publisher's transport.
    stream: u8,
    index: Option<StreamIndex>,
}

impl Track {
    /// Wants a keyframe of an encoding; the request for it, if it is time.
    fn request_keyframe(&mut self, now: Instant, stream: u8, urgency: Urgency) -> Option<Request> {
        let place = self.keyframe_stream(stream).filter(|_| !self.muted)?;
        let requests = self.keyframes.get_mut(usize::from(place))?;
        requests.want(urgency);
        requests.poll(now).then(|| Request {
            publisher: self.publisher,
            stream: place,
            index: self.stream(place).and_then(|stream| stream.index),
        })
    }
}

impl Shard {
    /// Wants a keyframe of an encoding and asks for it if it is time.
    pub(super) fn want_keyframe(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        stream: u8,
        urgency: Urgency,
    ) {
        let found = self.rooms.get_mut(room);
        let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) else {
            return;
        };
        let id = track.id;
        if let Some(request) = track.request_keyframe(now, stream, urgency) {
            self.send_request(now, room, id, request);
        }
    }

    fn send_request(&mut self, now: Instant, room: RoomIndex, id: TrackId, request: Request) {
        self.counters.keyframe_requests += 1;
        match request.publisher {
            Publisher::Local { link, .. } => {
                if let Some(index) = request.index {
                    self.with_transport(link, |t| t.request_keyframe(now, index));
                    self.drain_transport(now, link);
                }
            }
            Publisher::Ingest => self.tell(room, Subject::Track(id), Fact::KeyframeWanted),
            Publisher::Relay { from, .. } => {
                let Some(room) = self.rooms.get(room) else {
                    return;
                };
                let body = RelayBody::KeyframeRequest {
                    track: id,
                    stream: request.stream,
                };
                let message = RelayMessage::new(room.id, room.epoch, body);
                self.relays.push(from, message);
            }
        }
    }

    /// Asks for the keyframes that a track's subscriptions wait for.
    pub(super) fn request_awaited(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        urgency: Urgency,
    ) {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let Some(track) = track.filter(|track| track.kind == MediaKind::Video) else {
            return;
        };
        let mut wanted = Streams::EMPTY;
        for forwarder in track.forwarders() {
            // Who sees something does not need another encoding's keyframe in the place of one that
            // does not flow.
            let starts = forwarder.current().is_none();
            let awaited = forwarder.awaits();
            let awaited = awaited.filter(|&stream| starts || track.answers(stream));
            let needed = awaited.into_iter().chain(forwarder.repairs());
            needed
                .filter_map(|stream| track.keyframe_stream(stream))
                .for_each(|stream| wanted.insert(stream));
        }
        for stream in wanted.iter() {
            self.want_keyframe(now, room, index, stream, urgency);
        }
    }

    /// Asks a track's successor for the keyframes that it needs to take over.
    pub(super) fn request_lacking(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let lacking = track.map(|track| track.successor_lacks(now));
        for stream in lacking.unwrap_or(Streams::EMPTY).iter() {
            self.want_keyframe_of_next(now, room, index, stream, Urgency::Join);
        }
    }

    fn want_keyframe_of_next(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        stream: u8,
        urgency: Urgency,
    ) {
        let found = self.rooms.get_mut(room);
        let track = found.and_then(|room| room.tracks.get_mut(index));
        let Some(next) = track.and_then(|track| track.next.as_deref_mut()) else {
            return;
        };
        let id = next.id;
        if let Some(request) = next.request_keyframe(now, stream, urgency) {
            self.send_request(now, room, id, request);
        }
    }

    /// A client of this shard has lost for good what others need of an encoding.
    pub(super) fn on_lost(&mut self, now: Instant, room: RoomIndex, index: TrackIndex, stream: u8) {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        if track.is_some_and(|track| track.next.is_some()) {
            self.want_keyframe_of_next(now, room, index, stream, Urgency::Repair);
            return;
        }
        self.want_repair(room, index, stream);
        self.want_keyframe(now, room, index, stream, Urgency::Repair);
    }
}
