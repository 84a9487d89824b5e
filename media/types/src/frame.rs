//! Live media between the network and the packet core: whole encoded frames, frames cut into RTP
//! payloads on their way in, and packets on their way out.

use bytes::Bytes;

use crate::{Codec, MediaKind, MediaTime, NtpTime, Payload};

/// The longest RTP payload that a live source may hand to a shard: with RTP header, extensions and
/// authentication tag it stays within 1,280 bytes of IPv6, relays and tunnels included.
pub const LIVE_PAYLOAD_BYTES_MAX: usize = 1_150;

/// What a whole frame is encoded with. More than [`Codec`], which names what is *forwarded*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameCodec {
    /// A codec that the packet core forwards.
    Rtp(Codec),
    /// AAC (ISO 14496-3), raw access units: what encoders send by RTMP and phones play by HLS.
    Aac,
}

impl FrameCodec {
    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Rtp(codec) => codec.kind(),
            Self::Aac => MediaKind::Audio,
        }
    }

    /// The codec under which it can be forwarded without transcoding.
    #[must_use]
    pub const fn forwarded(self) -> Option<Codec> {
        match self {
            Self::Rtp(codec) => Some(codec),
            Self::Aac => None,
        }
    }
}

impl From<Codec> for FrameCodec {
    fn from(codec: Codec) -> Self {
        Self::Rtp(codec)
    }
}

/// What a decoder needs before its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameFormat {
    /// What the frames are encoded with.
    pub codec: FrameCodec,
    /// The configuration record of ISO 14496-15 and its kin: `avcC`, `hvcC`, `av1C`, `vpcC`, an
    /// `AudioSpecificConfig`, or an `OpusHead` (RFC 7845, section 5.1). Empty where there is none.
    pub config: Bytes,
    /// Pixels across; 0 with audio, or while unknown.
    pub width: u16,
    /// Pixels down; 0 with audio, or while unknown.
    pub height: u16,
    /// Samples a second; 0 with video.
    pub sample_rate: u32,
    /// Channels; 0 with video.
    pub channels: u8,
}

/// One encoded picture or one audio packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// What it is encoded with.
    pub codec: FrameCodec,
    /// When it is shown or heard.
    pub presented: MediaTime,
    /// When it is decoded, on the same clock: before `presented` where pictures are reordered
    /// (B-frames), else equal to it.
    pub decoded: MediaTime,
    /// Whether a decoder can start here; always true for audio.
    pub keyframe: bool,
    /// When it was captured by our wall clock, as far as its source tells.
    pub captured: Option<NtpTime>,
    /// The codec's bytes. H.264 and H.265: NAL units, each after its length in 4 bytes, parameter
    /// sets before a keyframe included; AV1: OBUs with sizes, without temporal delimiter; AAC: one
    /// raw access unit without ADTS; VP8, VP9 and Opus: the frame as it is.
    pub data: Bytes,
}

impl EncodedFrame {
    /// Whether pictures are shown in another order than they are decoded in, as far as this one
    /// shows.
    #[must_use]
    pub const fn is_reordered(&self) -> bool {
        self.presented.ticks != self.decoded.ticks
    }
}

/// One frame of a live source, cut into RTP payloads: all of one RTP timestamp.
#[derive(Debug, Clone)]
pub struct PacketFrame {
    /// The payloads in order, each of 1 to [`LIVE_PAYLOAD_BYTES_MAX`] bytes. The last one gets the
    /// marker bit if it is video.
    pub payloads: Vec<Payload>,
    /// The RTP timestamp, in ticks of the codec's clock. Starts anywhere; a new feed starts anew.
    pub timestamp: u32,
    /// Whether a decoder can start with the first payload; parameter sets come with it. Always true
    /// for audio.
    pub keyframe: bool,
    /// When it was captured, by our wall clock. Audio and video of one source share a timeline:
    /// viewers keep lips and voice together by it.
    pub captured: Option<NtpTime>,
}

/// A pair of clocks: this RTP timestamp is this moment of the sender's wall clock (RFC 3550,
/// section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPoint {
    /// The sender's wall clock.
    pub ntp: NtpTime,
    /// The same moment on the stream's clock.
    pub timestamp: u32,
}

impl ClockPoint {
    /// The sender's wall clock at another timestamp of the stream, less than half the circle away.
    #[must_use]
    pub fn at(self, timestamp: u32, rate: u32) -> NtpTime {
        let ticks = timestamp.wrapping_sub(self.timestamp).cast_signed();
        let span = (u64::from(ticks.unsigned_abs()) << 32)
            .checked_div(u64::from(rate))
            .unwrap_or(0);
        NtpTime(if ticks < 0 {
            self.ntp.0.wrapping_sub(span)
        } else {
            self.ntp.0.wrapping_add(span)
        })
    }
}

/// One packet of a track as a tap gives it.
///
/// Sequence numbers and timestamps are the tap's own: they go on over changes of layer and feed.
/// A number that is missing was lost, or comes later: what a publisher repeats arrives out of
/// order, within about a second.
#[derive(Debug, Clone)]
pub struct TapPacket {
    /// Unwrapped sequence number; rises by one a packet.
    pub sequence: u64,
    /// RTP timestamp on the tap's own line.
    pub timestamp: u32,
    /// The marker bit: with video, the last packet of a picture.
    pub marker: bool,
    /// What the payload is encoded with.
    pub codec: Codec,
    /// It begins a keyframe (first packet only); always true for audio.
    pub keyframe: bool,
    /// Nothing before it helps to decode what follows: the tap's first packet, and the first after
    /// a change of layer or feed, a pause, or an overflow of the queue.
    pub starts: bool,
    /// The payload, shared with all who are sent it.
    pub payload: Payload,
    /// How [`Self::timestamp`] goes with the sender's wall clock; one clock for all tracks of a
    /// publisher. `None` until the publisher has told (WebRTC: its first sender report).
    pub clock: Option<ClockPoint>,
    /// When it came, by our wall clock.
    pub arrived: NtpTime,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_point_is_a_line() {
        let ntp = |ms| NtpTime::from_unix(Duration::from_millis(ms));
        let point = ClockPoint {
            ntp: ntp(10_000),
            timestamp: 45_000,
        };
        let off = |a: NtpTime, b: NtpTime| a.0.abs_diff(b.0);
        assert!(off(point.at(90_000, 90_000), ntp(10_500)) < 16);
        assert!(off(point.at(45_000, 90_000), ntp(10_000)) < 16);
        assert!(off(point.at(0_u32.wrapping_sub(45_000), 90_000), ntp(9_000)) < 16);
        assert_eq!(point.at(7, 0), point.ntp);
    }

    #[test]
    fn aac_is_heard_but_not_forwarded() {
        assert_eq!(FrameCodec::Aac.kind(), MediaKind::Audio);
        assert_eq!(FrameCodec::Aac.forwarded(), None);
        assert_eq!(FrameCodec::from(Codec::H264).forwarded(), Some(Codec::H264));
    }
}
