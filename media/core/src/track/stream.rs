//! One incoming stream of a track, and the packets as they come.

use std::time::Instant;

use media_rtp::descriptor::{self, FrameInfo};
use media_rtp::extension::{DescriptorBytes, Extensions, SharedDescriptor};
use media_rtp::history::{PassThrough, StoredPacket, TrackHistory};
use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{Codec, MediaKind, Payload};
use media_webrtc::{Incoming, StreamIndex};

use super::decode::{Decode, Part};
use crate::forward::Origin;
use crate::ingest::{FedPacket, gop_history};
use crate::limits::{
    FAST_START_BYTES_MAX, HISTORY_AGE, HISTORY_PACKETS, HISTORY_PACKETS_AUDIO, KEYFRAME_FRESH,
};

/// How much of a stream's past those who have nothing may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// A keyframe that has just come; of a live source the last one with all that followed.
    Fresh,
    /// Of any source the last one with all that followed.
    Whole,
}

/// A packet of a track as it reaches the room, from a transport or by relay.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The simulcast encoding.
    pub(crate) stream: u8,
    /// Whether the track has encodings of its own streams.
    pub(crate) simulcast: bool,
    /// The stream at the publisher's transport, if that is on this shard.
    pub(crate) index: Option<StreamIndex>,
    pub(crate) ssrc: u32,
    pub(crate) codec: Codec,
    pub(crate) red: bool,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) extensions: Extensions,
    pub(crate) payload: Payload,
    /// What is known of a packet that was fed rather than received.
    pub(crate) fed: Option<FedPacket>,
}

impl From<Incoming> for Arrival {
    fn from(incoming: Incoming) -> Self {
        Self {
            stream: incoming.spatial,
            simulcast: incoming.rid.is_some(),
            index: Some(incoming.stream),
            ssrc: incoming.ssrc,
            codec: incoming.codec,
            red: incoming.red,
            sequence: incoming.sequence,
            timestamp: incoming.timestamp,
            marker: incoming.marker,
            extensions: incoming.extensions,
            payload: incoming.payload,
            fed: None,
        }
    }
}

/// One incoming stream: a simulcast encoding, or the only one.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Unique within the shard; another one when the publisher changes its SSRC or codec.
    pub(crate) source: u32,
    pub(crate) index: Option<StreamIndex>,
    pub(crate) clock: Option<SenderClock>,
    /// It is fed by a live source: its clock is ours, and its history holds a group of pictures.
    pub(crate) fed: bool,
    /// When the last keyframe began.
    pub(crate) keyframe_at: Option<Instant>,
    pub(crate) history: TrackHistory,
    pub(super) ssrc: u32,
    pub(super) codec: Codec,
    pub(super) red: bool,
    pub(super) decode: Decode,
}

impl Stream {
    /// Whether a packet goes on with the stream as it was.
    pub(crate) fn is_continued(&self, arrival: &Arrival) -> bool {
        let same = self.ssrc == arrival.ssrc && self.codec == arrival.codec;
        same && self.red == arrival.red
    }

    pub(super) fn new(arrival: &Arrival, source: u32) -> Self {
        let packets_max = match arrival.codec.kind() {
            MediaKind::Audio => HISTORY_PACKETS_AUDIO,
            MediaKind::Video => HISTORY_PACKETS,
        };
        let fed = arrival.fed.is_some();
        let history = match arrival.codec.kind() {
            MediaKind::Video if fed => gop_history(),
            MediaKind::Audio | MediaKind::Video => TrackHistory::new(packets_max, HISTORY_AGE),
        };
        Self {
            source,
            index: arrival.index,
            clock: None,
            fed,
            keyframe_at: None,
            history,
            ssrc: arrival.ssrc,
            codec: arrival.codec,
            red: arrival.red,
            decode: Decode::default(),
        }
    }

    /// A packet of the history as it came, but for what nobody behind this shard has a use for.
    pub(crate) fn arrival_of(&self, stream: u8, simulcast: bool, packet: &StoredPacket) -> Arrival {
        let tells = |clock: &SenderClock| clock.timestamp.0 == packet.timestamp;
        let passed = &packet.extensions;
        let descriptor = passed.dependency_descriptor.as_slice();
        let descriptor = DescriptorBytes::try_from(descriptor).ok();
        Arrival {
            stream,
            simulcast,
            index: None,
            ssrc: self.ssrc,
            codec: self.codec,
            red: self.red,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            extensions: Extensions {
                audio_level: passed.audio_level,
                video_orientation: passed.video_orientation,
                playout_delay: passed.playout_delay,
                abs_capture_time: passed.abs_capture_time.clone(),
                dependency_descriptor: descriptor.filter(|bytes| !bytes.is_empty()),
                ..Extensions::default()
            },
            payload: packet.payload.clone(),
            fed: self.fed.then(|| FedPacket {
                keyframe: packet.frame.keyframe,
                first: packet.frame.start_of_frame,
                clock: self.clock.filter(tells),
            }),
        }
    }

    /// The keyframe with which those who have nothing can begin now.
    pub(crate) fn beginning(&self, now: Instant, past: Past) -> Option<&StoredPacket> {
        let is_fresh = |keyframe: &&StoredPacket| {
            now.saturating_duration_since(keyframe.arrived) <= KEYFRAME_FRESH
        };
        let keyframe = self.history.keyframe()?;
        if !self.fed && is_fresh(&keyframe) {
            return Some(keyframe);
        }
        let is_small = |keyframe: &&StoredPacket| {
            let packets = self.history.since(keyframe.sequence);
            packets.map(|packet| packet.payload.len()).sum::<usize>() <= FAST_START_BYTES_MAX
        };
        let whole = self
            .whole_group()
            .filter(|_| self.fed || past == Past::Whole);
        whole.filter(|keyframe| is_fresh(keyframe) || is_small(keyframe))
    }

    /// The clock of a fed stream as a receiver sees it, by the first packet of the frame that told
    /// it: `timestamp` is what the receiver got.
    pub(crate) fn clock_of(&self, packet: &StoredPacket, timestamp: u32) -> Option<SenderClock> {
        let clock = self.clock.filter(|_| self.fed)?;
        let tells = packet.frame.start_of_frame && packet.timestamp == clock.timestamp.0;
        tells.then_some(SenderClock {
            ntp: clock.ntp,
            timestamp: RtpTimestamp(timestamp),
        })
    }

    /// The first packet of the last keyframe, if all that came since is still there.
    pub(crate) fn whole_group(&self) -> Option<&StoredPacket> {
        let keyframe = self.history.keyframe()?;
        let mut next = keyframe.sequence;
        let is_whole = self.history.since(next).all(|packet| {
            next += 1;
            packet.sequence + 1 == next
        });
        is_whole.then_some(keyframe)
    }

    /// What a packet is to those who get a part of the layers.
    pub(crate) fn part(&self, sequence: u64) -> Option<Part<'_>> {
        self.decode.of(sequence)
    }

    /// What a forwarder needs to know of a packet's way.
    pub(crate) const fn origin(&self, stream: u8) -> Origin {
        Origin {
            stream,
            source: self.source,
            codec: self.codec,
            red: self.red,
        }
    }
}

/// The size of a spatial layer as a VP9 scalability structure lists it.
pub(super) fn vp9_size(arrival: &Arrival, spatial: u8) -> Option<descriptor::Resolution> {
    if arrival.codec != Codec::Vp9 {
        return None;
    }
    let parsed = descriptor::vp9::Vp9Descriptor::parse(arrival.payload.as_slice())?;
    parsed.resolutions.get(usize::from(spatial)).copied()
}

pub(super) fn inspect(stream: &mut Stream, arrival: &Arrival) -> Option<FrameInfo> {
    if let Some(fed) = &arrival.fed {
        return fed.inspect(arrival);
    }
    let extension = arrival.extensions.dependency_descriptor.as_ref();
    let dependency = extension.and_then(|bytes| stream.decode.read(arrival.sequence, bytes));
    descriptor::inspect(
        arrival.codec,
        arrival.payload.as_slice(),
        arrival.marker,
        dependency.as_ref(),
    )
}

/// Header extensions that pass. The dependency descriptor passes with AV1 alone: its frame number
/// follows the rewriting there, while VP8 and VP9 carry the numbers that count in their payload.
pub(super) fn pass_through(arrival: &Arrival) -> PassThrough {
    let mut passed = PassThrough::from(&arrival.extensions);
    if arrival.codec != Codec::Av1 {
        passed.dependency_descriptor = SharedDescriptor::default();
    }
    passed
}
