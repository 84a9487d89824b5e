//! What a job is to do, and what comes of it.

use bytes::Bytes;
use media_types::{Bitrate, MediaKind};

use crate::limits::{
    AUDIO_BPS_MAX, AUDIO_BPS_MIN, CONFIG_BYTES_MAX, SIDE_MAX, SIDE_MIN, VIDEO_BPS_MAX,
    VIDEO_BPS_MIN,
};

/// The sides of a picture in pixels; even, from 32 to 8,192.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// A size, or `None` where a side is odd or out of range.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Option<Self> {
        let fits = |side: u16| side.is_multiple_of(2) && (SIDE_MIN..=SIDE_MAX).contains(&side);
        (fits(width) && fits(height)).then_some(Self { width, height })
    }

    /// The width in pixels.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// The height in pixels.
    #[must_use]
    pub const fn height(self) -> u16 {
        self.height
    }
}

/// One job of one codec process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// What RTMP brings, for browsers: Opus of 20 ms at 48 kHz, stereo.
    AacToOpus {
        /// `AudioSpecificConfig` (ISO/IEC 14496-3); empty where each frame has its ADTS header.
        config: Bytes,
        /// Of the Opus; 6 to 510 kb/s.
        bitrate: Bitrate,
    },
    /// What browsers send, for RTMP, HLS and recordings: AAC-LC at 48 kHz, stereo, raw frames.
    OpusToAac {
        /// Of the AAC; 6 to 510 kb/s.
        bitrate: Bitrate,
    },
    /// H.264 of any kind becomes what browsers play over RTP: constrained baseline, no reordering.
    /// Either way each NAL unit comes after its length in 4 bytes, and parameter sets before each
    /// keyframe.
    H264 {
        /// Of the result, 50 kb/s to 100 Mb/s; `None` follows the source.
        bitrate: Option<Bitrate>,
        /// Of the result; `None` keeps the source's.
        size: Option<Size>,
    },
}

impl Job {
    /// Audio or video.
    #[must_use]
    pub const fn kind(&self) -> MediaKind {
        match self {
            Self::AacToOpus { .. } | Self::OpusToAac { .. } => MediaKind::Audio,
            Self::H264 { .. } => MediaKind::Video,
        }
    }

    /// What it is called in logs, metrics and the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AacToOpus { .. } => "aac-opus",
            Self::OpusToAac { .. } => "opus-aac",
            Self::H264 { .. } => "h264",
        }
    }

    /// Whether its encoder takes this bitrate.
    #[must_use]
    pub fn accepts(&self, bitrate: Bitrate) -> bool {
        bitrate_fits(self.kind(), bitrate)
    }

    /// Whether every number in it is in its range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self {
            Self::AacToOpus { config, bitrate } => {
                config.len() <= CONFIG_BYTES_MAX && bitrate_fits(MediaKind::Audio, *bitrate)
            }
            Self::OpusToAac { bitrate } => bitrate_fits(MediaKind::Audio, *bitrate),
            Self::H264 { bitrate, .. } => {
                bitrate.is_none_or(|bitrate| bitrate_fits(MediaKind::Video, bitrate))
            }
        }
    }
}

/// Whether a bitrate is one that an encoder of this kind takes.
pub(crate) fn bitrate_fits(kind: MediaKind, bitrate: Bitrate) -> bool {
    match kind {
        MediaKind::Audio => (AUDIO_BPS_MIN..=AUDIO_BPS_MAX).contains(&bitrate.bps()),
        MediaKind::Video => (VIDEO_BPS_MIN..=VIDEO_BPS_MAX).contains(&bitrate.bps()),
    }
}

/// What a codec process makes, told before its first frame and whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Format {
    /// What a decoder must know beforehand: `AudioSpecificConfig` for AAC, nothing for Opus and
    /// for H.264, whose keyframes carry it.
    pub config: Bytes,
    /// Of pictures.
    pub size: Option<Size>,
}
