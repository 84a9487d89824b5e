//! A new subscriber of a track whose keyframe has just passed starts with that one. One of a live
//! source starts with its last keyframe, however old, and runs up to the present.

use std::time::Instant;

use media_webrtc::SlotIndex;

use super::Shard;
use super::media::{Exits, forward};
use crate::demux::LinkIndex;
use crate::limits::KEYFRAME_FRESH;
use crate::room::{RoomIndex, TrackIndex};
use crate::track::{Past, Stream, Taken, Track};

impl Shard {
    /// Starts a slot that shows nothing yet from the track's history, if a fresh keyframe of the
    /// wanted encoding is there.
    pub(super) fn catch_up(&mut self, now: Instant, link: LinkIndex, slot: SlotIndex) {
        let showing = self.showing(link, slot).zip(self.position(link, slot));
        let Some(((room, index), position)) = showing else {
            return;
        };
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        if let Some(taken) = track.and_then(|track| fresh_keyframe(now, track, position)) {
            self.start(now, (room, index), position, taken);
            self.tell_slot(link, slot);
        }
    }

    /// Starts a subscription that shows nothing yet with a packet of the history, and with what
    /// came after that.
    pub(super) fn start(
        &mut self,
        now: Instant,
        (room, index): (RoomIndex, TrackIndex),
        position: usize,
        taken: Taken,
    ) {
        let Self {
            rooms,
            links,
            dirty,
            doomed,
            counters,
            ..
        } = self;
        let track = rooms
            .get_mut(room)
            .and_then(|room| room.tracks.get_mut(index));
        let Some(Track {
            streams,
            subscriptions,
            ..
        }) = track
        else {
            return;
        };
        let stream = streams.get(usize::from(taken.stream));
        let stream = stream.and_then(Option::as_deref);
        let (Some(stream), Some(subscription)) = (stream, subscriptions.get_mut(position)) else {
            return;
        };
        if let Some(present) = present(now, stream, taken) {
            subscription.forwarder.run_up(stream.source, present);
        }
        let mut exits = Exits {
            links,
            dirty,
            doomed,
            counters,
            out: None,
        };
        forward(now, streams, taken, subscription, &mut exits);
        subscription.told_layer = subscription.forwarder.current();
    }
}

/// The keyframe to start with, for a subscription that can receive it and has nothing yet.
fn fresh_keyframe(now: Instant, track: &Track, position: usize) -> Option<Taken> {
    let subscription = track.subscriptions.get(position)?;
    let forwarder = &subscription.forwarder;
    if track.muted || !subscription.awake || forwarder.current().is_some() {
        return None;
    }
    let stream = track.keyframe_stream(forwarder.awaits()?)?;
    let keyframe = track.stream(stream)?.beginning(now, Past::Fresh)?;
    Some(Taken {
        stream,
        sequence: keyframe.sequence,
        ..Taken::default()
    })
}

/// Where the past of a live source ends, or that of another one that begins with an old keyframe.
fn present(now: Instant, stream: &Stream, taken: Taken) -> Option<u32> {
    let first = stream.history.get(taken.sequence)?;
    let is_old = now.saturating_duration_since(first.arrived) > KEYFRAME_FRESH;
    let newest = stream.history.since(taken.sequence).last();
    newest
        .filter(|_| stream.fed || is_old)
        .map(|newest| newest.timestamp)
}
