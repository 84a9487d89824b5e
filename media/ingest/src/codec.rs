//! What configuration records and the first bytes of frames tell: sizes, rates, parameter sets,
//! and whether pictures are shown in another order than they are decoded in.

mod aac;
mod avc;
mod bits;
mod hevc;
mod nal;
mod opus;

use bytes::Bytes;
use media_types::{Codec, FrameCodec, FrameFormat};

use crate::error::IngestError;

pub use aac::AudioSpecificConfig;
pub use avc::AvcConfig;
pub use hevc::HevcConfig;
pub use nal::{NalUnits, with_four_byte_lengths};
pub use opus::packet_samples;

/// Whether pictures are shown in the order in which they are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reordering {
    /// They are: the stream says so.
    Never,
    /// The stream does not say; their times will.
    Unknown,
    /// They are not: there are B-frames.
    Stated,
}

/// The codec as files and enhanced RTMP name it.
#[must_use]
pub const fn four_characters(codec: FrameCodec) -> [u8; 4] {
    match codec {
        FrameCodec::Aac => *b"mp4a",
        FrameCodec::Rtp(Codec::Opus) => *b"Opus",
        FrameCodec::Rtp(Codec::Vp8) => *b"vp08",
        FrameCodec::Rtp(Codec::Vp9) => *b"vp09",
        FrameCodec::Rtp(Codec::Av1) => *b"av01",
        FrameCodec::Rtp(Codec::H264) => *b"avc1",
        FrameCodec::Rtp(Codec::H265) => *b"hvc1",
    }
}

/// The codec of that name, if it is taken.
#[must_use]
pub const fn from_four_characters(name: [u8; 4]) -> Option<FrameCodec> {
    match &name {
        b"mp4a" => Some(FrameCodec::Aac),
        b"Opus" => Some(FrameCodec::Rtp(Codec::Opus)),
        b"vp08" => Some(FrameCodec::Rtp(Codec::Vp8)),
        b"vp09" => Some(FrameCodec::Rtp(Codec::Vp9)),
        b"av01" => Some(FrameCodec::Rtp(Codec::Av1)),
        b"avc1" => Some(FrameCodec::Rtp(Codec::H264)),
        b"hvc1" => Some(FrameCodec::Rtp(Codec::H265)),
        _ => None,
    }
}

/// What a track is, by its configuration record; also what it is without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFormat {
    /// What decoders need.
    pub format: FrameFormat,
    /// Bytes of the length before each NAL unit, where there are NAL units.
    pub nal_length_bytes: u8,
    /// Parameter sets in the order in which decoders want them.
    pub parameter_sets: Vec<Bytes>,
    /// What is said of the order of pictures.
    pub reordering: Reordering,
}

impl TrackFormat {
    /// A track of that codec of which nothing is known.
    #[must_use]
    pub const fn bare(codec: FrameCodec) -> Self {
        let (sample_rate, channels) = match codec {
            FrameCodec::Rtp(Codec::Opus) => (48_000, 2),
            FrameCodec::Rtp(_) | FrameCodec::Aac => (0, 0),
        };
        Self {
            format: FrameFormat {
                codec,
                config: Bytes::new(),
                width: 0,
                height: 0,
                sample_rate,
                channels,
            },
            nal_length_bytes: 4,
            parameter_sets: Vec::new(),
            reordering: Reordering::Never,
        }
    }

    /// Reads a configuration record.
    ///
    /// # Errors
    /// A record that breaks its format.
    pub fn read(codec: FrameCodec, record: Bytes) -> Result<Self, IngestError> {
        let mut track = Self::bare(codec);
        match codec {
            FrameCodec::Rtp(Codec::H264) => AvcConfig::read(&record)?.describe(&mut track),
            FrameCodec::Rtp(Codec::H265) => HevcConfig::read(&record)?.describe(&mut track),
            FrameCodec::Aac => {
                let sound = AudioSpecificConfig::read(&record)?;
                track.format.sample_rate = sound.rate;
                track.format.channels = sound.channels;
            }
            FrameCodec::Rtp(Codec::Opus) => {
                track.format.channels = opus::channels(&record).unwrap_or(2);
            }
            // The sequence header may stand in the record; decoders find it in the frames too.
            FrameCodec::Rtp(Codec::Av1) => {
                let sequence = record.get(4..).unwrap_or_default();
                if !sequence.is_empty() {
                    track.parameter_sets.push(record.slice_ref(sequence));
                }
            }
            FrameCodec::Rtp(Codec::Vp8 | Codec::Vp9) => {}
        }
        // A frame's own lengths are always written with four bytes, and so must the record say.
        track.format.config = avc::with_four_byte_lengths(codec, record);
        Ok(track)
    }
}

#[cfg(test)]
mod tests;
