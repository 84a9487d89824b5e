//! One subscription's egress state: which packets pass, and how their numbers go on.
//!
//! A forwarder belongs to a slot and outlives what fills it, so that a receiver sees one stream
//! whoever is shown. It never holds a payload: what it sends again it finds in the track's history.

mod audio;
mod outgoing;
mod simulcast;
mod svc;

use std::time::{Duration, Instant};

use media_rtp::descriptor::{PictureIdRewriter, PicturePatch};
use media_rtp::history::{Resend, SentMap, SentPacket, StoredPacket};
use media_rtp::rewrite::Rewriter;
use media_rtp::sequence::SequenceNumber;
use media_types::{Codec, Layer, MediaKind};
use media_webrtc::{SendPacket, SlotIndex};

use crate::limits::FAST_START_SPEED;
use crate::track::decode::Part;
use crate::track::layers::Scheme;
use audio::AudioSelector;
use outgoing::Numbers;
use simulcast::SimulcastSelector;
use svc::SvcSelector;

/// No source holds more of its past than some seconds; what seems further away is not of the past.
const RUN_UP_TICKS_MAX: u32 = 60 * 90_000;

/// What a selector says to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not for this subscriber.
    Drop,
    /// Goes on.
    Forward,
    /// Goes on, and ends the receiver's picture.
    ForwardLast,
    /// Goes on, and is the first of this source.
    Start,
}

#[derive(Debug, Clone)]
enum Selector {
    Audio(AudioSelector),
    Simulcast(SimulcastSelector),
    Svc(SvcSelector),
}

/// Which stream a packet came by, as a forwarder needs to know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The simulcast encoding.
    pub(crate) stream: u8,
    /// The source, unique within the shard.
    pub(crate) source: u32,
    /// What it is encoded with.
    pub(crate) codec: Codec,
    /// Whether the payload is Opus wrapped in redundancy.
    pub(crate) red: bool,
}

/// What became of a packet.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// To be handed to the transport.
    pub(crate) packet: SendPacket,
    /// It is the first of its source.
    pub(crate) started: bool,
}

/// The egress state of one slot.
#[derive(Debug)]
pub(crate) struct Forwarder {
    slot: SlotIndex,
    kind: MediaKind,
    selector: Selector,
    target: Option<Layer>,
    rewriter: Rewriter,
    pictures: PictureIdRewriter,
    codec: Option<Codec>,
    sent: SentMap,
    /// The first number of the present track, after an outage, or of a lower encoding than before;
    /// what was sent before cannot be sent again.
    track_start: u64,
    fresh_track: bool,
    /// The client asked for a keyframe and none has passed since.
    repair: bool,
    /// The source whose past is shown in a hurry, and the timestamp at which it is caught up with.
    run_up: Option<(u32, u32)>,
}

impl Forwarder {
    /// A forwarder for a slot; `random` chooses its first numbers (RFC 3550, section 5.1).
    pub(crate) fn new(now: Instant, slot: SlotIndex, kind: MediaKind, random: u64) -> Self {
        let [a, b, c, d, e, f, ..] = random.to_be_bytes();
        let clock_rate = match kind {
            MediaKind::Audio => Codec::Opus.clock_rate(),
            MediaKind::Video => Codec::Vp8.clock_rate(),
        };
        let first_sequence = u16::from_be_bytes([a & 0x7f, b]);
        Self {
            slot,
            kind,
            selector: Self::selector(kind, Scheme::default()),
            target: None,
            rewriter: Rewriter::new(clock_rate, first_sequence, u32::from_be_bytes([c, d, e, f])),
            pictures: PictureIdRewriter::new(Codec::Vp8),
            codec: None,
            sent: SentMap::new(now),
            track_start: 0,
            fresh_track: true,
            repair: false,
            run_up: None,
        }
    }

    fn selector(kind: MediaKind, scheme: Scheme) -> Selector {
        match (kind, scheme) {
            (MediaKind::Audio, _) => Selector::Audio(AudioSelector::default()),
            (MediaKind::Video, Scheme::Simulcast) => {
                Selector::Simulcast(SimulcastSelector::default())
            }
            (MediaKind::Video, Scheme::Svc) => Selector::Svc(SvcSelector::default()),
        }
    }

    /// Goes on with another track.
    pub(crate) fn set_track(&mut self, scheme: Scheme) {
        self.set_scheme(scheme);
        self.fresh_track = true;
        self.repair = false;
    }

    /// Goes on with another way of choosing layers; it starts at the next keyframe.
    pub(crate) fn set_scheme(&mut self, scheme: Scheme) {
        self.selector = Self::selector(self.kind, scheme);
        self.set_target(self.target);
    }

    /// The highest layer that may flow; `None` holds everything back.
    pub(crate) fn set_target(&mut self, target: Option<Layer>) {
        self.target = target;
        match &mut self.selector {
            Selector::Audio(selector) => selector.set_wanted(target.is_some()),
            Selector::Simulcast(selector) => selector.set_target(target),
            Selector::Svc(selector) => selector.set_target(target),
        }
    }

    /// What [`Self::set_target`] was last given.
    pub(crate) const fn target(&self) -> Option<Layer> {
        self.target
    }

    /// The source pauses or changes: the next packet is a start again.
    pub(crate) fn restart(&mut self) {
        match &mut self.selector {
            Selector::Audio(selector) => selector.restart(),
            Selector::Simulcast(selector) => selector.restart(),
            Selector::Svc(selector) => selector.restart(),
        }
    }

    /// The layer that flows.
    pub(crate) fn current(&self) -> Option<Layer> {
        match &self.selector {
            Selector::Audio(selector) => selector.is_started().then_some(Layer::BASE),
            Selector::Simulcast(selector) => selector.current(),
            Selector::Svc(selector) => selector.current(),
        }
    }

    /// The encoding of which a keyframe is needed to start, or to switch to it.
    pub(crate) fn awaits(&self) -> Option<u8> {
        match &self.selector {
            Selector::Audio(_) => None,
            Selector::Simulcast(selector) => selector.awaits(),
            Selector::Svc(selector) => selector.awaits(),
        }
    }

    /// The encoding that flows and of which the client's decoder needs a keyframe to go on.
    pub(crate) fn repairs(&self) -> Option<u8> {
        self.source_stream()
            .filter(|_| self.repair && self.target.is_some())
    }

    /// What was sent so far is of no use to the client any more, and will not be sent again: sound
    /// is too late, and pictures begin at the next keyframe.
    pub(crate) fn on_outage(&mut self) {
        if let Some((last, _)) = self.rewriter.last() {
            self.track_start = last + 1;
        }
    }

    /// What comes before `present` of that source has been waiting: it is shown in a hurry, so that
    /// whoever joins is soon in the present.
    pub(crate) const fn run_up(&mut self, source: u32, present: u32) {
        self.run_up = Some((source, present));
    }

    /// The timestamp of a packet, nearer to the present if it is to be shown in a hurry.
    fn hurried(&self, origin: Origin, timestamp: u32) -> u32 {
        let Some((_, present)) = self.run_up.filter(|&(source, _)| source == origin.source) else {
            return timestamp;
        };
        match present.wrapping_sub(timestamp) {
            behind @ 1..=RUN_UP_TICKS_MAX => present.wrapping_sub(behind / FAST_START_SPEED),
            _ => timestamp,
        }
    }

    /// Reads where the next packet will be remembered; of no meaning.
    pub(crate) fn touch(&self) -> u64 {
        let last = self.rewriter.last();
        last.map_or(0, |(last, _)| self.sent.touch(last + 1))
    }

    /// The client cannot decode what it gets.
    pub(crate) fn on_keyframe_requested(&mut self) {
        self.repair = true;
    }

    /// The stream that flows; layers within one stream share its keyframes.
    pub(crate) fn source_stream(&self) -> Option<u8> {
        match &self.selector {
            Selector::Simulcast(selector) => Some(selector.current()?.spatial),
            Selector::Svc(selector) => selector.current().map(|_| 0),
            Selector::Audio(_) => None,
        }
    }

    /// Judges a packet and, if it passes, makes the subscriber's copy of it; payloads are shared.
    ///
    /// `part` says which decode targets it belongs to, where its stream tells that. `alignment` is
    /// asked for when this packet switches sources: see [`Rewriter::switch`].
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        origin: Origin,
        packet: &StoredPacket,
        part: Option<Part<'_>>,
        alignment: impl FnOnce(u32) -> Option<u32>,
    ) -> Option<Forwarded> {
        if packet.payload.is_empty() {
            // Padding of the publisher's: nobody needs it.
            return self.drop_packet(origin, packet);
        }
        let shown = packet.frame.keyframe.then(|| self.source_stream());
        let verdict = match &mut self.selector {
            Selector::Audio(selector) => selector.on_packet(),
            Selector::Simulcast(selector) => selector.on_packet(origin.stream, &packet.frame),
            Selector::Svc(selector) => selector.on_packet(&packet.frame, part),
        };
        let in_ts = self.hurried(origin, packet.timestamp);
        match verdict {
            Verdict::Drop => return self.drop_packet(origin, packet),
            Verdict::Start => self.start(now, origin, packet.sequence, in_ts, alignment),
            Verdict::Forward | Verdict::ForwardLast => {}
        }
        if packet.frame.keyframe {
            self.repair = false;
        }
        let started = verdict == Verdict::Start;
        let Some(patch) = self.pictures.forward(packet.frame.picture) else {
            return self.drop_packet(origin, packet);
        };
        let numbers = self
            .rewriter
            .forward(origin.source, packet.sequence, in_ts, now);
        let (sequence, timestamp) = numbers?;
        // The first packet after a change of source begins a talkspurt (RFC 3551, section 4.1).
        let talkspurt = started && self.kind == MediaKind::Audio;
        let numbers = Numbers {
            sequence,
            timestamp,
            marker: packet.marker || verdict == Verdict::ForwardLast || talkspurt,
            patch,
        };
        // Who takes a lower encoding does so for want of room, and what was lost of the higher one
        // would come too late to be shown, and in the way of what is shown.
        let lower = started && shown.flatten().is_some_and(|shown| origin.stream < shown);
        if std::mem::take(&mut self.fresh_track) || lower {
            self.track_start = sequence;
        }
        self.remember(origin.stream, packet, numbers);
        Some(Forwarded {
            packet: outgoing::write(self.slot, origin, packet, numbers),
            started,
        })
    }

    fn start(
        &mut self,
        now: Instant,
        origin: Origin,
        in_seq: u64,
        in_ts: u32,
        alignment: impl FnOnce(u32) -> Option<u32>,
    ) {
        let from = self.rewriter.source();
        let alignment = from.filter(|_| !self.fresh_track).and_then(alignment);
        self.rewriter
            .switch(origin.source, in_seq, in_ts, now, alignment);
        if self.codec == Some(origin.codec) {
            self.pictures.switch();
        } else {
            self.pictures = PictureIdRewriter::new(origin.codec);
            self.codec = Some(origin.codec);
        }
    }

    /// Leaves a packet out. If a later one has been sent already, its place is filled with an empty
    /// packet, which receivers take for padding, so that they do not ask for it in vain.
    fn drop_packet(&mut self, origin: Origin, packet: &StoredPacket) -> Option<Forwarded> {
        if self.rewriter.source() != Some(origin.source) {
            return None;
        }
        self.pictures.drop(packet.frame.picture);
        let sequence = self.rewriter.drop(origin.source, packet.sequence)?;
        let (_, timestamp) = self.rewriter.last()?;
        let numbers = Numbers {
            sequence,
            timestamp,
            marker: false,
            patch: PicturePatch::default(),
        };
        Some(Forwarded {
            packet: outgoing::padding(self.slot, origin, packet, numbers),
            started: false,
        })
    }

    fn remember(&mut self, stream: u8, packet: &StoredPacket, numbers: Numbers) {
        let size = packet.payload.len();
        self.sent.on_sent(
            numbers.sequence,
            SentPacket {
                in_seq: packet.sequence,
                stream,
                out_ts: numbers.timestamp,
                marker: numbers.marker,
                patch: numbers.patch,
            },
            size,
        );
    }

    /// Where in the track's histories the packet is that the client misses, if it may be sent
    /// again; to be followed by [`Self::resend`].
    pub(crate) fn find(&mut self, now: Instant, missing: u16, rtt: Duration) -> Option<Found> {
        let (last, _) = self.rewriter.last()?;
        let distance = SequenceNumber(missing).distance(SequenceNumber::of(last));
        let sequence = last.checked_add_signed(i64::from(distance))?;
        if sequence < self.track_start || self.fresh_track {
            return None;
        }
        match self.sent.resend(now, missing, rtt) {
            Resend::Packet(sent) => Some(Found { sequence, sent }),
            Resend::TooSoon | Resend::Refused | Resend::Unknown => None,
        }
    }

    /// Makes the copy to send again of what [`Self::find`] found.
    pub(crate) fn resend(
        &mut self,
        origin: Origin,
        found: Found,
        packet: &StoredPacket,
    ) -> SendPacket {
        self.sent.on_resent(packet.payload.len());
        let numbers = Numbers {
            sequence: found.sequence,
            timestamp: found.sent.out_ts,
            marker: found.sent.marker,
            patch: found.sent.patch,
        };
        outgoing::again(self.slot, origin, packet, numbers)
    }
}

/// A packet that was sent and is missed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    sequence: u64,
    /// What it was.
    pub(crate) sent: SentPacket,
}

#[cfg(test)]
mod tests;
