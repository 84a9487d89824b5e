//! What publishers send: frames of real encoders, cut into RTP payloads once and sent by many.
//!
//! The built-in pattern has the frame sizes that an encoder made, scaled to the rate asked for, and
//! filler that a server takes for the codec. [`record`] makes patterns with the encoder's bytes,
//! which real decoders can show.

mod container;
mod file;
mod packetise;
pub mod record;
mod synthetic;

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use media_types::{Codec, NtpTime};
use serde::{Deserialize, Serialize};

/// Ends the payloads of built-in patterns, with the time of sending after it.
const STAMP_MARK: [u8; 8] = *b"\xd7stamp\x1a\n";
/// Mark and time.
const STAMP_BYTES: usize = 16;
/// Payloads from this length on end in filler, in whose place a stamp can stand.
const STAMPED_BYTES_MIN: usize = 64;

/// What a pattern is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    /// The codec.
    pub codec: Codec,
    /// Pixels across; 0 for sound.
    pub width: u16,
    /// Pixels down; 0 for sound.
    pub height: u16,
    /// Pictures or packets a second.
    pub fps: u16,
    /// Kilobits a second.
    pub kbps: u32,
}

impl Shape {
    /// The name of the file that a recording of it is kept in.
    #[must_use]
    pub fn file_name(&self) -> String {
        let Self {
            width,
            height,
            fps,
            kbps,
            ..
        } = self;
        format!(
            "{}-{width}x{height}-{fps}-{kbps}k.pattern",
            self.codec.name()
        )
    }

    /// Ticks of the media clock from one frame to the next.
    #[must_use]
    pub fn ticks(&self) -> u32 {
        self.codec.clock_rate() / u32::from(self.fps.max(1))
    }
}

/// One frame of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// A decoder can start with it.
    pub keyframe: bool,
    /// As the encoder wrote it.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    keyframe: bool,
    payloads: Range<usize>,
}

/// Payloads of frames that repeat for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What it is of.
    pub shape: Shape,
    stamped: bool,
    frames: Vec<Cut>,
    payloads: Vec<Vec<u8>>,
}

impl Pattern {
    /// The built-in pattern of that shape.
    #[must_use]
    pub fn built_in(shape: Shape) -> Self {
        let mut pattern = Self::cut(shape, &synthetic::frames(shape));
        pattern.stamped = true;
        pattern
    }

    /// Spatial layers in one stream, lowest first: the built-in pattern of each, picture by picture
    /// (VP9, `L2T1` or `L3T1`).
    #[must_use]
    pub fn scalable(shapes: &[Shape]) -> Option<Self> {
        let top = *shapes.last()?;
        let layers: Vec<Vec<Frame>> = shapes.iter().map(|s| synthetic::frames(*s)).collect();
        let sizes: Vec<(u16, u16)> = shapes.iter().map(|s| (s.width, s.height)).collect();
        let mut payloads = Vec::new();
        let mut frames = Vec::new();
        for place in 0..layers.first()?.len() {
            let first = payloads.len();
            let keyframe = place == 0;
            for (spatial, layer) in (0..).zip(&layers) {
                let bytes = &layer.get(place)?.bytes;
                payloads.extend(packetise::vp9(&packetise::Vp9Layer {
                    keyframe,
                    spatial,
                    sizes: &sizes,
                    bytes,
                }));
            }
            frames.push(Cut {
                keyframe,
                payloads: first..payloads.len(),
            });
        }
        Some(Self {
            shape: Shape {
                kbps: shapes.iter().map(|shape| shape.kbps).sum(),
                ..top
            },
            stamped: true,
            frames,
            payloads,
        })
    }

    /// A recorded pattern.
    ///
    /// # Errors
    /// When the file is not there, or is no pattern.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let (shape, frames) = file::read(&bytes).with_context(|| path.display().to_string())?;
        ensure!(
            frames.iter().any(|frame| frame.keyframe),
            "no keyframe to begin with"
        );
        Ok(Self::cut(shape, &frames))
    }

    fn cut(shape: Shape, frames: &[Frame]) -> Self {
        let mut payloads = Vec::new();
        let cuts = frames.iter().map(|frame| {
            let first = payloads.len();
            payloads.extend(packets_of(shape.codec, frame));
            Cut {
                keyframe: frame.keyframe,
                payloads: first..payloads.len(),
            }
        });
        let frames = cuts.collect();
        Self {
            shape,
            stamped: false,
            frames,
            payloads,
        }
    }

    /// How many frames there are before it repeats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The place of the next frame at `place` or after that a decoder can start with.
    #[must_use]
    pub fn keyframe_from(&self, place: usize) -> usize {
        let places = (place..self.len()).chain(0..place.min(self.len()));
        let keyframe = |at: &usize| self.frames.get(*at).is_some_and(|cut| cut.keyframe);
        places.into_iter().find(keyframe).unwrap_or(0)
    }

    /// Whether the frame at `place` is a keyframe, and which payloads it has.
    #[must_use]
    pub fn frame(&self, place: usize) -> (bool, Range<usize>) {
        let cut = self.frames.get(place % self.len().max(1));
        cut.map_or((false, 0..0), |cut| (cut.keyframe, cut.payloads.clone()))
    }

    /// The bytes of a payload.
    #[must_use]
    pub fn payload(&self, at: usize) -> &[u8] {
        self.payloads.get(at).map_or(&[], Vec::as_slice)
    }

    /// Writes a payload into `out`, with the picture's number, and when it is sent where the
    /// pattern has room for that.
    pub fn write(&self, at: usize, picture: u16, now: NtpTime, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.payload(at));
        if self.shape.codec == Codec::Vp8
            && let Some(number) = out.get_mut(packetise::VP8_PICTURE)
        {
            number.copy_from_slice(&(picture | 0x8000).to_be_bytes());
        }
        if self.shape.codec == Codec::Vp9
            && let Some(number) = out.get_mut(packetise::VP9_PICTURE)
        {
            number.copy_from_slice(&(picture | 0x8000).to_be_bytes());
            let [_, lowest] = picture.to_be_bytes();
            if let Some(number) = out.get_mut(packetise::VP9_LOWEST) {
                *number = lowest;
            }
        }
        let length = out.len();
        if self.stamped
            && length >= STAMPED_BYTES_MIN
            && let Some((mark, time)) = out
                .get_mut(length - STAMP_BYTES..)
                .map(|stamp| stamp.split_at_mut(STAMP_MARK.len()))
        {
            mark.copy_from_slice(&STAMP_MARK);
            time.copy_from_slice(&now.0.to_be_bytes());
        }
    }
}

/// When a payload of a built-in pattern was sent.
#[must_use]
pub fn stamp_of(payload: &[u8]) -> Option<NtpTime> {
    let (rest, time) = payload.split_last_chunk::<8>()?;
    rest.ends_with(&STAMP_MARK)
        .then(|| NtpTime(u64::from_be_bytes(*time)))
}

fn packets_of(codec: Codec, frame: &Frame) -> Vec<Vec<u8>> {
    match codec {
        Codec::Vp8 => packetise::vp8(&frame.bytes),
        Codec::H264 => packetise::h264(&packetise::nal_units(&frame.bytes)),
        Codec::Av1 => {
            let units = packetise::obus(&frame.bytes).unwrap_or_default();
            packetise::av1(&units, frame.keyframe)
        }
        Codec::Opus | Codec::Vp9 | Codec::H265 => vec![frame.bytes.clone()],
    }
}

#[cfg(test)]
mod tests;
