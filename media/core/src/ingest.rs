//! Tracks that are fed with frames instead of packets from a transport.

use std::time::Instant;

use media_rtp::descriptor::{self, FrameInfo};
use media_rtp::extension::Extensions;
use media_rtp::history::{HistoryLimits, TrackHistory};
use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{Codec, LIVE_PAYLOAD_BYTES_MAX, Layer, MediaKind, PacketFrame, Payload};

use crate::limits::{GOP_AGE, GOP_BYTES_MAX, GOP_PACKETS_MAX, HISTORY_PACKETS};
use crate::track::Arrival;

/// Where a feed's numbers begin: late packets of nobody must not fall below zero.
const FIRST_SEQUENCE: u64 = 1 << 16;

/// A history that holds the last group of pictures.
pub(crate) fn gop_history() -> TrackHistory {
    TrackHistory::with_limits(HistoryLimits {
        packets_min: HISTORY_PACKETS,
        packets_max: GOP_PACKETS_MAX,
        bytes_max: GOP_BYTES_MAX,
        age_max: GOP_AGE,
    })
}

/// What is known of a packet that was fed, beyond what packets say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FedPacket {
    /// A decoder can start with it.
    pub(crate) keyframe: bool,
    /// It is the first of its frame.
    pub(crate) first: bool,
    /// How its timestamp goes with our wall clock.
    pub(crate) clock: Option<SenderClock>,
}

impl FedPacket {
    /// What the packet is to those who forward it: who feeds it knows best where frames begin.
    pub(crate) fn inspect(&self, arrival: &Arrival) -> Option<FrameInfo> {
        let payload = arrival.payload.as_slice();
        if payload.is_empty() {
            return None;
        }
        if arrival.codec.kind() == MediaKind::Audio {
            return Some(FrameInfo::WHOLE);
        }
        let read = descriptor::inspect(arrival.codec, payload, arrival.marker, None);
        Some(FrameInfo {
            keyframe: self.keyframe && self.first,
            start_of_frame: self.first,
            end_of_frame: arrival.marker,
            layer: Layer::BASE,
            switch_point: true,
            spatial_switch_point: true,
            discardable: false,
            picture: read.map(|read| read.picture).unwrap_or_default(),
        })
    }
}

/// What feeds a track.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Which connection of the source it is.
    number: u32,
    codec: Codec,
    next: u64,
    /// When its figures were last told.
    pub(crate) told_at: Option<Instant>,
}

impl Feed {
    pub(crate) const fn new(number: u32, codec: Codec) -> Self {
        Self {
            number,
            codec,
            next: FIRST_SEQUENCE,
            told_at: None,
        }
    }

    /// Which connection of the source it is.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Goes on with a newer connection; the same or an older one changes nothing. Whether it is
    /// newer.
    pub(crate) const fn renew(&mut self, number: u32, codec: Codec) -> bool {
        let newer = number > self.number;
        if newer {
            self.number = number;
            self.codec = codec;
        }
        newer
    }

    /// The packets of a frame. One that cannot be sent makes the frame useless: there are none.
    pub(crate) fn cut(&mut self, frame: PacketFrame) -> Cut {
        let fits = |payload: &Payload| (1..=LIVE_PAYLOAD_BYTES_MAX).contains(&payload.len());
        let is_whole = frame.payloads.iter().all(fits);
        let clock = frame.captured.map(|ntp| SenderClock {
            ntp,
            timestamp: RtpTimestamp(frame.timestamp),
        });
        let first = self.next;
        if is_whole {
            let count = u64::try_from(frame.payloads.len()).unwrap_or(0);
            self.next = self.next.saturating_add(count);
        }
        Cut {
            ssrc: self.number,
            codec: self.codec,
            timestamp: frame.timestamp,
            keyframe: frame.keyframe,
            clock,
            sequence: first,
            first: true,
            payloads: if is_whole { frame.payloads } else { Vec::new() }.into_iter(),
        }
    }
}

/// The packets of one frame, in order.
#[derive(Debug)]
pub(crate) struct Cut {
    ssrc: u32,
    codec: Codec,
    timestamp: u32,
    keyframe: bool,
    clock: Option<SenderClock>,
    sequence: u64,
    first: bool,
    payloads: std::vec::IntoIter<Payload>,
}

impl Cut {
    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.payloads.len() == 0
    }
}

impl Iterator for Cut {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let payload = self.payloads.next()?;
        let is_last = self.payloads.len() == 0;
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Arrival {
            stream: 0,
            // One encoding without layers, whatever the codec could do.
            simulcast: true,
            index: None,
            ssrc: self.ssrc,
            codec: self.codec,
            red: false,
            sequence,
            timestamp: self.timestamp,
            marker: is_last && self.codec.kind() == MediaKind::Video,
            extensions: Extensions::default(),
            payload,
            fed: Some(FedPacket {
                keyframe: self.keyframe,
                first: std::mem::take(&mut self.first),
                clock: self.clock,
            }),
        })
    }
}
