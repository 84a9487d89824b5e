//! One incoming stream of a track, and the packets as they come.

use media_rtp::descriptor::{self, FrameInfo};
use media_rtp::extension::Extensions;
use media_rtp::history::{PassThrough, TrackHistory};
use media_rtp::timestamp::SenderClock;
use media_types::{Codec, MediaKind, Payload};
use media_webrtc::{Incoming, StreamIndex};

use super::decode::{Decode, Part};
use crate::forward::Origin;
use crate::limits::{HISTORY_AGE, HISTORY_PACKETS, HISTORY_PACKETS_AUDIO};

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
    pub(crate) history: TrackHistory,
    pub(super) ssrc: u32,
    pub(super) codec: Codec,
    pub(super) red: bool,
    pub(super) decode: Decode,
}

impl Stream {
    pub(super) fn new(arrival: &Arrival, source: u32) -> Self {
        let packets_max = match arrival.codec.kind() {
            MediaKind::Audio => HISTORY_PACKETS_AUDIO,
            MediaKind::Video => HISTORY_PACKETS,
        };
        Self {
            source,
            index: arrival.index,
            clock: None,
            history: TrackHistory::new(packets_max, HISTORY_AGE),
            ssrc: arrival.ssrc,
            codec: arrival.codec,
            red: arrival.red,
            decode: Decode::default(),
        }
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
        passed.dependency_descriptor.clear();
    }
    passed
}
