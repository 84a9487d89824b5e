//! A new subscriber of a track whose keyframe has just passed starts with that one. One of a live
//! source starts with its last keyframe, however old, and runs up to the present.

use std::time::Instant;

use media_webrtc::SlotIndex;

use super::Shard;
use super::media::{Exits, forward};
use crate::demux::LinkIndex;
use crate::limits::{FAST_START_BYTES_MAX, KEYFRAME_FRESH};
use crate::track::{Stream, Taken, Track};

impl Shard {
    /// Starts a slot that shows nothing yet from the track's history, if a fresh keyframe of the
    /// wanted encoding is there.
    pub(super) fn catch_up(&mut self, now: Instant, link: LinkIndex, slot: SlotIndex) {
        let showing = self.showing(link, slot).zip(self.position(link, slot));
        let Some(((room, index), position)) = showing else {
            return;
        };
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
        let Some(track) = track else {
            return;
        };
        let Some(taken) = fresh_keyframe(now, track, position) else {
            return;
        };
        let Track {
            streams,
            subscriptions,
            ..
        } = track;
        let stream = streams.get(usize::from(taken.stream));
        let stream = stream.and_then(Option::as_deref);
        let (Some(stream), Some(subscription)) = (stream, subscriptions.get_mut(position)) else {
            return;
        };
        if let Some(present) = present(stream, taken) {
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
        self.tell_slot(link, slot);
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
    let found = track.stream(stream)?;
    let keyframe = match found.fed {
        true => found.whole_group()?,
        false => found.history.keyframe()?,
    };
    let fresh = now.saturating_duration_since(keyframe.arrived) <= KEYFRAME_FRESH;
    let is_small = || {
        let packets = found.history.since(keyframe.sequence);
        packets.map(|packet| packet.payload.len()).sum::<usize>() <= FAST_START_BYTES_MAX
    };
    let starts = fresh || found.fed && is_small();
    starts.then_some(Taken {
        stream,
        sequence: keyframe.sequence,
        ..Taken::default()
    })
}

/// Where a live source's past ends.
fn present(stream: &Stream, taken: Taken) -> Option<u32> {
    let newest = stream.history.since(taken.sequence).last();
    newest.filter(|_| stream.fed).map(|newest| newest.timestamp)
}
