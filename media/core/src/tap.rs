//! Ways out of a track that end in no transport: packagers, recorders, players, transcoders.
//!
//! A tap is a forwarder with a queue. It chooses layers by its wish alone, since nothing limits it,
//! and starts with what the history holds. A reader that falls behind loses packets up to the next
//! keyframe, and is told.

use std::collections::VecDeque;
use std::time::Instant;

use media_contract::TapWish;
use media_rtp::history::StoredPacket;
use media_types::{ClockPoint, Layer, MediaKind, NtpTime, TapId, TapPacket};
use media_webrtc::{SendPacket, SlotIndex, primary_offset};

use crate::allocate::ladder::{self, Style};
use crate::forward::{Forwarded, Forwarder};
use crate::limits::{TAP_KEYFRAME_MIN, TAP_QUEUE_MAX, TAP_RESUME_MAX};
use crate::shard::alignment;
use crate::track::layers::Layers;
use crate::track::{Stream, Taken};

/// What a tap has for its reader.
#[derive(Debug)]
pub enum TapPoll {
    /// The next packet.
    Packet(TapPacket),
    /// Nothing for now; it is listed again when there is something.
    Empty,
    /// Nothing ever again: it was closed, or its track has ended.
    Ended,
}

/// A place in a stream's history from which a new tap catches up.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    stream: u8,
    source: u32,
    next: u64,
}

type Streams = [Option<Box<Stream>>];

/// One tap.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) id: TapId,
    pub(crate) forwarder: Forwarder,
    wish: TapWish,
    kind: MediaKind,
    queue: VecDeque<TapPacket>,
    cursor: Option<Cursor>,
    /// The queue was full; packets are dropped until it can begin anew.
    overflowed: bool,
    /// Its reader knows that there is something.
    listed: bool,
    /// Packets that its reader did not get because it was too slow.
    pub(crate) dropped: u64,
}

impl Tap {
    pub(crate) fn new(now: Instant, id: TapId, kind: MediaKind, random: u64) -> Self {
        Self {
            id,
            // Taps have no slots; the number is never looked at.
            forwarder: Forwarder::new(now, SlotIndex(0), kind, random),
            wish: TapWish::default(),
            kind,
            queue: VecDeque::new(),
            cursor: None,
            overflowed: false,
            listed: false,
            dropped: 0,
        }
    }

    pub(crate) fn set_wish(&mut self, mut wish: TapWish) {
        wish.keyframe_every = wish.keyframe_every.map(|every| every.max(TAP_KEYFRAME_MIN));
        self.wish = wish;
    }

    /// Chooses the best layer that the wish allows.
    pub(crate) fn aim(&mut self, layers: &Layers, style: Style) {
        let wish = &self.wish.wish;
        let target = match self.kind {
            _ if wish.paused => None,
            MediaKind::Audio => Some(Layer::BASE),
            // Nothing came yet: whatever comes first is welcome.
            MediaKind::Video if layers.known().is_empty() => Some(Layer::TOP),
            MediaKind::Video => {
                let (ladder, _) = ladder::build(layers.steps(), wish, style);
                ladder.last().map(|step| step.layer)
            }
        };
        if self.forwarder.target() != target {
            self.forwarder.set_target(target);
        }
    }

    /// Whether it can take packets; one whose reader is behind needs no keyframe yet.
    pub(crate) fn has_room(&self) -> bool {
        !self.overflowed || self.queue.len() <= TAP_RESUME_MAX
    }

    /// The stream of which a keyframe is due by the wish.
    pub(crate) fn due_keyframe(&self, now: Instant, streams: &Streams) -> Option<u8> {
        let every = self.wish.keyframe_every.filter(|_| self.has_room())?;
        let place = self.forwarder.source_stream()?;
        let stream = streams.get(usize::from(place))?.as_deref()?;
        let is_due = |at| now.saturating_duration_since(at) >= every;
        let due = !stream.fed && stream.keyframe_at.is_none_or(is_due);
        due.then_some(place)
    }

    /// Begins with a packet of the history; what follows it there is read from there.
    pub(crate) fn start_at(&mut self, stream: &Stream, place: u8, sequence: u64) {
        self.cursor = Some(Cursor {
            stream: place,
            source: stream.source,
            next: sequence,
        });
    }

    /// Whether its reader is to be told that there is something; it is then told once.
    pub(crate) fn wants_reading(&mut self) -> bool {
        let something = !self.queue.is_empty() || self.cursor.is_some();
        something && !std::mem::replace(&mut self.listed, true)
    }

    /// Takes a packet that came.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        streams: &Streams,
        stream: &Stream,
        taken: Taken,
    ) {
        if self.cursor.is_some() {
            // It lies in the history, where the reader is about to find it.
            return;
        }
        if !self.has_room() {
            self.dropped += 1;
            return;
        }
        let Some(packet) = stream.history.get(taken.sequence) else {
            return;
        };
        let Some(started) = self.forward(now, ntp, streams, stream, taken.stream, packet) else {
            return;
        };
        if started {
            for later in stream.history.since(taken.sequence + 1) {
                self.forward(now, ntp, streams, stream, taken.stream, later);
            }
        }
    }

    /// Queues a packet if it passes; whether it is the first of its source.
    fn forward(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        streams: &Streams,
        stream: &Stream,
        place: u8,
        packet: &StoredPacket,
    ) -> Option<bool> {
        if self.queue.len() >= TAP_QUEUE_MAX {
            self.overflowed = true;
            self.dropped += 1;
            self.forwarder.restart();
            return None;
        }
        let align = |from| alignment(streams, stream, from);
        let part = stream.part(packet.sequence);
        let origin = stream.origin(place);
        let forwarded = self.forwarder.forward(now, origin, packet, part, align);
        let Some(Forwarded {
            packet: sent,
            started,
        }) = forwarded
        else {
            self.dropped += u64::from(self.overflowed);
            return None;
        };
        self.overflowed = false;
        self.queue
            .push_back(written(stream, packet, &sent, started, ntp));
        Some(started)
    }

    /// The next packet for the reader.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        ntp: impl Fn(Instant) -> NtpTime,
        streams: &Streams,
    ) -> Option<TapPacket> {
        while self.queue.is_empty() && self.cursor.is_some() {
            self.read_on(now, &ntp, streams);
        }
        let packet = self.queue.pop_front();
        self.listed &= packet.is_some();
        packet
    }

    /// Queues all that it has not read yet of the history, before that goes.
    pub(crate) fn read_all(
        &mut self,
        now: Instant,
        ntp: impl Fn(Instant) -> NtpTime,
        streams: &Streams,
    ) {
        while self.cursor.is_some() {
            self.read_on(now, &ntp, streams);
        }
    }

    /// What was queued before the track ended.
    pub(crate) fn poll_rest(&mut self) -> Option<TapPacket> {
        self.queue.pop_front()
    }

    /// Queues the next packet of the history, or ends the catching up.
    fn read_on(&mut self, now: Instant, ntp: impl Fn(Instant) -> NtpTime, streams: &Streams) {
        let Some(mut cursor) = self.cursor.take() else {
            return;
        };
        let stream = streams.get(usize::from(cursor.stream));
        let stream = stream.and_then(|stream| stream.as_deref());
        let Some(stream) = stream.filter(|stream| stream.source == cursor.source) else {
            return;
        };
        let Some(packet) = stream.history.since(cursor.next).next() else {
            return;
        };
        cursor.next = packet.sequence + 1;
        self.cursor = Some(cursor);
        let arrived = ntp(packet.arrived);
        self.forward(now, arrived, streams, stream, cursor.stream, packet);
    }
}

fn written(
    stream: &Stream,
    packet: &StoredPacket,
    sent: &SendPacket,
    starts: bool,
    arrived: NtpTime,
) -> TapPacket {
    let moved = sent.timestamp.wrapping_sub(packet.timestamp);
    let plain = match sent.red {
        // Who reads a tap has use for the newest block alone.
        true => primary_offset(sent.payload.as_slice()).unwrap_or(0),
        false => 0,
    };
    TapPacket {
        sequence: sent.sequence,
        timestamp: sent.timestamp,
        marker: sent.marker,
        codec: sent.codec,
        keyframe: packet.frame.keyframe,
        starts,
        payload: match plain {
            0 => sent.payload.clone(),
            plain => sent.payload.skip(plain),
        },
        clock: stream.clock.map(|clock| ClockPoint {
            ntp: clock.ntp,
            timestamp: clock.timestamp.0.wrapping_add(moved),
        }),
        arrived,
    }
}
