//! From a track to its subscribers: one subscriber after the other gets all that came.
//!
//! Publishers send a picture in a burst. Were each packet handed to all subscribers before the next
//! is looked at, the state of every one of them would be fetched from memory again for each packet,
//! and once more to send. So packets wait until the shard is asked for what there is to send; then
//! each subscriber is visited once, takes all of them and sends at once.

use std::time::Instant;

use media_types::NtpTime;
use media_webrtc::{SlotIndex, TransmitBatch};

use super::Shard;
use super::media::{Exits, forward};
use crate::demux::LinkIndex;
use crate::limits::ARRIVALS_MAX;
use crate::room::{RoomIndex, TrackIndex};
use crate::tap::Tap;
use crate::track::{Stream, Subscription, Taken, Track};

/// A packet that its track has taken.
type Waiting = (RoomIndex, TrackIndex, Taken);

/// Packets of publishers that no subscriber has got yet, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    waiting: Vec<Waiting>,
    /// When the last of them came.
    at: Option<Instant>,
    /// How many have gone to all subscribers.
    done: usize,
    /// How many of the next go together, and the subscription that gets them next.
    run: Option<(usize, usize)>,
}

impl Arrivals {
    fn next_run(&mut self) -> Option<(RoomIndex, TrackIndex, usize, usize)> {
        let rest = self.waiting.get(self.done..)?;
        let &(room, track, _) = rest.first()?;
        let same = rest.iter().take_while(|it| (it.0, it.1) == (room, track));
        let (length, position) = *self.run.get_or_insert_with(|| (same.count(), 0));
        Some((room, track, length, position))
    }

    /// Whether some have got the next packets and some have not.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.run.is_some()
    }

    fn end_run(&mut self, length: usize) {
        self.done += length;
        self.run = None;
        if self.done >= self.waiting.len() {
            self.waiting.clear();
            self.done = 0;
        }
    }
}

impl Shard {
    /// Keeps a packet until [`Self::fan_out`].
    pub(super) fn defer(&mut self, now: Instant, room: RoomIndex, index: TrackIndex, taken: Taken) {
        if self.arrivals.waiting.len() >= ARRIVALS_MAX {
            self.fan_out_all();
        }
        self.arrivals.at = Some(now);
        self.arrivals.waiting.push((room, index, taken));
    }

    /// Hands out what waits, before something changes who gets it.
    pub(super) fn fan_out_all(&mut self) {
        if let Some(at) = self.arrivals.at.take() {
            self.fan_out(at, None);
        }
    }

    /// Hands what waits to all subscribers. With `out` each of them sends at once; when that is
    /// full, the next call goes on.
    pub(super) fn fan_out(&mut self, now: Instant, mut out: Option<&mut TransmitBatch>) {
        while let Some((room, index, length, position)) = self.arrivals.next_run() {
            let first = self.arrivals.done;
            let last = first.saturating_add(length);
            let waiting = std::mem::take(&mut self.arrivals.waiting);
            let run = waiting.get(first..last).unwrap_or_default();
            let stopped = self.serve(now, (room, index), run, position, out.as_deref_mut());
            self.arrivals.waiting = waiting;
            while let Some((link, slot)) = self.changed.pop() {
                self.tell_slot(link, slot);
            }
            if let Some(position) = stopped {
                self.arrivals.run = Some((length, position));
                return;
            }
            self.arrivals.end_run(length);
        }
    }

    /// Hands packets of one track to its subscriptions from `position` on. Where it stopped for
    /// want of room in `out`.
    fn serve(
        &mut self,
        now: Instant,
        (room, index): (RoomIndex, TrackIndex),
        run: &[Waiting],
        position: usize,
        out: Option<&mut TransmitBatch>,
    ) -> Option<usize> {
        let Self {
            rooms,
            links,
            dirty,
            doomed,
            counters,
            changed,
            wheel,
            ready_taps,
            config,
            ..
        } = self;
        let track = rooms
            .get_mut(room)
            .and_then(|room| room.tracks.get_mut(index))?;
        let Track {
            streams,
            subscriptions,
            taps,
            ..
        } = track;
        let streams = &*streams;
        let mut exits = Exits {
            links,
            dirty,
            doomed,
            counters,
            out,
        };
        for at in position..subscriptions.len() {
            exits.touch(subscriptions.get(at + 1));
            let awake = subscriptions.get_mut(at).filter(|it| it.awake);
            let Some(subscription) = awake else { continue };
            visit(now, streams, run, subscription, &mut exits);
            note_layer(subscription, changed);
            if exits.transmit(now, subscription.link, wheel) {
                return Some(at + 1);
            }
        }
        for tap in taps {
            feed(now, config.transport.ntp(now), streams, run, tap);
            if tap.wants_reading() {
                ready_taps.push_back(tap.id);
            }
        }
        None
    }
}

/// Hands packets to one subscription.
fn visit(
    now: Instant,
    streams: &[Option<Box<Stream>>],
    run: &[Waiting],
    subscription: &mut Subscription,
    exits: &mut Exits<'_>,
) {
    let mut started: Option<Taken> = None;
    for (.., taken) in run {
        // Whoever starts gets at once what came after the first.
        let had = started
            .is_some_and(|first| first.stream == taken.stream && first.sequence < taken.sequence);
        if !had && forward(now, streams, *taken, subscription, exits) {
            started = Some(*taken);
        }
    }
}

/// Hands packets to one tap.
fn feed(
    now: Instant,
    ntp: NtpTime,
    streams: &[Option<Box<Stream>>],
    run: &[Waiting],
    tap: &mut Tap,
) {
    for (.., taken) in run {
        let stream = streams.get(usize::from(taken.stream));
        if let Some(stream) = stream.and_then(Option::as_deref) {
            tap.take(now, ntp, streams, stream, *taken);
        }
    }
}

/// Takes note if another layer flows than its owner was told of.
fn note_layer(subscription: &mut Subscription, changed: &mut Vec<(LinkIndex, SlotIndex)>) {
    let layer = subscription.forwarder.current();
    if layer != subscription.told_layer {
        subscription.told_layer = layer;
        changed.push((subscription.link, subscription.slot));
    }
}
