//! RTP payloads to whole frames, loss-aware.
//!
//! A [`Depacketizer`] holds one track of a tap: it orders the packets, gathers those of one frame,
//! and lets the codec's part put them together. A frame of which a packet is missing is dropped,
//! and with it every picture up to the next keyframe, because they lean on it; who owns the tap is
//! told to ask for one. Until the first keyframe with its parameter sets nothing comes out.

pub mod av1;
pub mod h264;
pub mod h265;
pub mod opus;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_rtp::timestamp::{RtpTimestamp, TimestampUnwrapper};
use media_types::{Codec, MediaKind, Payload};

use crate::limits::{FRAME_BYTES_MAX, FRAME_PACKETS_MAX};
use crate::reorder::{Ordered, Reorder, TapPacket};
use crate::{SourceFrame, TrackConfig};

/// What a codec makes of the packets of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The frame as containers carry it.
    pub data: Bytes,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// What a decoder must know, where this frame says it.
    pub config: Option<TrackConfig>,
}

/// Puts frames of one codec together.
#[derive(Debug)]
pub enum Assembler {
    /// RFC 6184.
    H264(h264::Assembler),
    /// RFC 7798.
    H265(h265::Assembler),
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// AV1 RTP payload specification.
    Av1,
    /// RFC 7587.
    Opus,
}

impl Assembler {
    /// For a codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264(h264::Assembler::default()),
            Codec::H265 => Self::H265(h265::Assembler::default()),
            Codec::Vp8 => Self::Vp8,
            Codec::Vp9 => Self::Vp9,
            Codec::Av1 => Self::Av1,
            Codec::Opus => Self::Opus,
        }
    }

    /// Puts a frame together from its packets' payloads, in order and without a gap. `None` if they
    /// are malformed, or are not a frame from its start.
    pub fn assemble(&mut self, payloads: &[&[u8]]) -> Option<Assembled> {
        match self {
            Self::H264(state) => state.assemble(payloads),
            Self::H265(state) => state.assemble(payloads),
            Self::Vp8 => vp8::assemble(payloads),
            Self::Vp9 => vp9::assemble(payloads),
            Self::Av1 => av1::assemble(payloads),
            Self::Opus => opus::assemble(payloads),
        }
    }
}

/// What became of what was put in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Frames given out.
    pub frames: u64,
    /// Frames dropped: damaged, malformed, or leaning on one that was.
    pub dropped: u64,
    /// Packets that never came.
    pub lost: u64,
}

/// One track of a tap.
#[derive(Debug)]
pub struct Depacketizer {
    kind: MediaKind,
    assembler: Assembler,
    reorder: Reorder,
    unwrapper: TimestampUnwrapper,
    packets: Vec<Payload>,
    bytes: usize,
    timestamp: Option<u32>,
    damaged: bool,
    /// Pictures are dropped until the next keyframe.
    broken: bool,
    asks: bool,
    config: Option<Arc<TrackConfig>>,
    frames: VecDeque<SourceFrame>,
    counts: Counts,
}

impl Depacketizer {
    /// For a track of this codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let kind = codec.kind();
        Self {
            kind,
            assembler: Assembler::new(codec),
            reorder: Reorder::default(),
            unwrapper: TimestampUnwrapper::default(),
            packets: Vec::new(),
            bytes: 0,
            timestamp: None,
            damaged: false,
            broken: kind == MediaKind::Video,
            asks: false,
            config: None,
            frames: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a packet.
    pub fn handle_packet(&mut self, now: Duration, packet: TapPacket) {
        self.reorder.insert(now, packet);
        self.drain(now);
    }

    /// Gives up what has been waited for long enough.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.drain(now);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.reorder.poll_timeout()
    }

    /// The next whole frame.
    pub fn poll_frame(&mut self) -> Option<SourceFrame> {
        self.frames.pop_front()
    }

    /// Whether a keyframe is needed; `true` once for each time it becomes so.
    pub fn take_keyframe_request(&mut self) -> bool {
        std::mem::take(&mut self.asks)
    }

    /// What became of the packets so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn drain(&mut self, now: Duration) {
        while let Some(ordered) = self.reorder.pop(now) {
            match ordered {
                Ordered::Packet(packet) => self.take(now, packet),
                Ordered::Lost(count) => {
                    self.counts.lost = self.counts.lost.saturating_add(count);
                    self.damaged = true;
                    self.break_off();
                }
            }
        }
    }

    fn take(&mut self, now: Duration, packet: TapPacket) {
        if self.timestamp.is_some_and(|open| open != packet.timestamp) {
            // The last packet of the frame before is the one that is missing, or it had no marker.
            self.finish(now);
        }
        self.timestamp = Some(packet.timestamp);
        self.bytes = self.bytes.saturating_add(packet.payload.len());
        if self.packets.len() >= FRAME_PACKETS_MAX || self.bytes > FRAME_BYTES_MAX {
            self.damaged = true;
        } else if !packet.payload.is_empty() {
            self.packets.push(packet.payload);
        }
        if packet.marker || self.kind == MediaKind::Audio {
            self.finish(now);
        }
    }

    fn finish(&mut self, now: Duration) {
        let packets = std::mem::take(&mut self.packets);
        let damaged = std::mem::take(&mut self.damaged);
        self.bytes = 0;
        let Some(timestamp) = self.timestamp.take() else {
            return;
        };
        if packets.is_empty() && !damaged {
            // Padding alone.
            return;
        }
        let timestamp = self.unwrapper.unwrap(RtpTimestamp(timestamp));
        let payloads: Vec<&[u8]> = packets.iter().map(Payload::as_slice).collect();
        let audio = self.kind == MediaKind::Audio;
        let whole = audio || !damaged;
        let assembled = whole.then(|| self.assembler.assemble(&payloads)).flatten();
        let Some(assembled) = assembled else {
            self.counts.dropped += 1;
            self.break_off();
            return;
        };
        self.give_out(now, timestamp, assembled);
    }

    fn give_out(&mut self, now: Duration, timestamp: u64, assembled: Assembled) {
        if let Some(config) = assembled.config
            && self.config.as_deref() != Some(&config)
        {
            self.config = Some(Arc::new(config));
        }
        if assembled.keyframe {
            self.broken = false;
        }
        let Some(config) = self.config.clone().filter(|_| !self.broken) else {
            self.counts.dropped += 1;
            self.asks |= !assembled.keyframe || self.config.is_none();
            return;
        };
        self.counts.frames += 1;
        self.frames.push_back(SourceFrame {
            timestamp,
            composition: 0,
            keyframe: assembled.keyframe,
            arrived: now,
            config,
            data: assembled.data,
        });
    }

    fn break_off(&mut self) {
        if self.kind == MediaKind::Video {
            self.broken = true;
            self.asks = true;
        }
    }
}
