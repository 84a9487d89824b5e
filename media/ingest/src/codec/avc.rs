//! H.264: `avcC` (ISO 14496-15, section 5.3.3.1) and sequence parameter sets (ISO 14496-10,
//! section 7.3.2.1.1).

use bytes::Bytes;
use media_types::{Codec, FrameCodec};

use super::bits::BitReader;
use super::{Reordering, TrackFormat};
use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::PARAMETER_SETS_MAX;

/// Where in `avcC` and `hvcC` the length of NAL lengths stands, in the lowest two bits.
const AVC_LENGTH_AT: usize = 4;
const HEVC_LENGTH_AT: usize = 21;

/// A configuration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig {
    /// Bytes of the length before each NAL unit.
    pub nal_length_bytes: u8,
    /// Sequence parameter sets, then picture parameter sets.
    pub parameter_sets: Vec<Bytes>,
    sequence: Option<Sequence>,
}

/// What is read of a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence {
    width: u16,
    height: u16,
    reordering: Reordering,
}

impl AvcConfig {
    /// Reads a record.
    ///
    /// # Errors
    /// A record that breaks its format, or has no parameter sets.
    pub fn read(record: &Bytes) -> Result<Self, IngestError> {
        let mut reader = Reader::new(record);
        if reader.u8()? != 1 {
            return Err(IngestError::Media("avcC version"));
        }
        reader.u24()?;
        let nal_length_bytes = (reader.u8()? & 3).saturating_add(1);
        let mut parameter_sets = Vec::new();
        for mask in [0x1f, 0xff] {
            let count = reader.u8()? & mask;
            if usize::from(count) > PARAMETER_SETS_MAX {
                return Err(IngestError::Media("parameter sets"));
            }
            for _ in 0..count {
                let length = usize::from(reader.u16()?);
                parameter_sets.push(record.slice_ref(reader.take(length)?));
            }
        }
        let first = parameter_sets
            .first()
            .ok_or(IngestError::Media("no parameter sets"))?;
        let sequence = Sequence::read(first).ok();
        Ok(Self {
            nal_length_bytes,
            parameter_sets,
            sequence,
        })
    }

    pub(super) fn describe(self, track: &mut TrackFormat) {
        track.nal_length_bytes = self.nal_length_bytes;
        track.parameter_sets = self.parameter_sets;
        track.reordering = Reordering::Unknown;
        if let Some(sequence) = self.sequence {
            track.format.width = sequence.width;
            track.format.height = sequence.height;
            track.reordering = sequence.reordering;
        }
    }
}

/// The record with lengths of four bytes stated, where it has them.
pub(super) fn with_four_byte_lengths(codec: FrameCodec, record: Bytes) -> Bytes {
    let at = match codec {
        FrameCodec::Rtp(Codec::H264) => AVC_LENGTH_AT,
        FrameCodec::Rtp(Codec::H265) => HEVC_LENGTH_AT,
        FrameCodec::Rtp(Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::Av1) | FrameCodec::Aac => {
            return record;
        }
    };
    match record.get(at) {
        Some(byte) if byte & 3 != 3 => {
            let mut record = record.to_vec();
            if let Some(byte) = record.get_mut(at) {
                *byte |= 3;
            }
            record.into()
        }
        _ => record,
    }
}

impl Sequence {
    fn read(nal: &[u8]) -> Result<Self, IngestError> {
        let mut bits = BitReader::new(nal.get(1..).unwrap_or_default());
        let profile = bits.bits(8)?;
        bits.skip(16)?;
        bits.golomb()?;
        let mut chroma = 1;
        if matches!(
            profile,
            44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 138 | 139 | 244
        ) {
            chroma = high_profile(&mut bits)?;
        }
        bits.golomb()?;
        let order = bits.golomb()?;
        match order {
            0 => bits.skip_golomb()?,
            1 => {
                bits.bit()?;
                bits.skip_golomb()?;
                bits.skip_golomb()?;
                let count = bits.golomb()?.min(255);
                for _ in 0..count {
                    bits.skip_golomb()?;
                }
            }
            _ => {}
        }
        bits.golomb()?;
        bits.bit()?;
        let across = bits.golomb()?.saturating_add(1).saturating_mul(16);
        let down = bits.golomb()?.saturating_add(1).saturating_mul(16);
        let whole_frames = bits.bit()?;
        if !whole_frames {
            bits.bit()?;
        }
        bits.bit()?;
        let crop = crop(&mut bits, chroma, whole_frames)?;
        let down = if whole_frames {
            down
        } else {
            down.saturating_mul(2)
        };
        let pixels = |size: u32, crop| u16::try_from(size.saturating_sub(crop)).unwrap_or(0);
        // Baseline has no B-frames, and neither has an order of pictures that is not coded.
        let reordering = if profile == 66 || order == 2 {
            Reordering::Never
        } else {
            usability(&mut bits).unwrap_or(Reordering::Unknown)
        };
        Ok(Self {
            width: pixels(across, crop.0),
            height: pixels(down, crop.1),
            reordering,
        })
    }
}

/// The fields of high profiles up to the scaling lists; says the chroma format.
fn high_profile(bits: &mut BitReader<'_>) -> Result<u32, IngestError> {
    let chroma = bits.golomb()?;
    if chroma == 3 {
        bits.bit()?;
    }
    bits.golomb()?;
    bits.golomb()?;
    bits.bit()?;
    if bits.bit()? {
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.bit()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(chroma)
}

fn scaling_list(bits: &mut BitReader<'_>, size: u8) -> Result<(), IngestError> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            let coded = i64::from(bits.golomb()?);
            // Odd numbers are positive (ISO 14496-10, section 9.1.1).
            let delta = if coded % 2 == 1 {
                (coded + 1) / 2
            } else {
                -(coded / 2)
            };
            next = (last + delta + 256).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// Pixels cut off, across and down.
fn crop(
    bits: &mut BitReader<'_>,
    chroma: u32,
    whole_frames: bool,
) -> Result<(u32, u32), IngestError> {
    if !bits.bit()? {
        return Ok((0, 0));
    }
    let [left, right, top, bottom] = [
        bits.golomb()?,
        bits.golomb()?,
        bits.golomb()?,
        bits.golomb()?,
    ];
    let (x, y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let y = if whole_frames { y } else { y * 2 };
    let across = left.saturating_add(right).saturating_mul(x);
    Ok((across, top.saturating_add(bottom).saturating_mul(y)))
}

/// What the usability information says of the order of pictures (ISO 14496-10, annex E.1.1).
fn usability(bits: &mut BitReader<'_>) -> Result<Reordering, IngestError> {
    if !bits.bit()? {
        return Ok(Reordering::Unknown);
    }
    if bits.bit()? && bits.bits(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.bit()?;
    }
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(24)?;
        }
    }
    if bits.bit()? {
        bits.golomb()?;
        bits.golomb()?;
    }
    if bits.bit()? {
        bits.skip(65)?;
    }
    let nal = bits.bit()?;
    if nal {
        timing(bits)?;
    }
    let vcl = bits.bit()?;
    if vcl {
        timing(bits)?;
    }
    if nal || vcl {
        bits.bit()?;
    }
    bits.bit()?;
    if !bits.bit()? {
        return Ok(Reordering::Unknown);
    }
    bits.bit()?;
    for _ in 0..4 {
        bits.skip_golomb()?;
    }
    Ok(match bits.golomb()? {
        0 => Reordering::Never,
        _ => Reordering::Stated,
    })
}

/// Parameters of a hypothetical decoder (ISO 14496-10, annex E.1.2).
fn timing(bits: &mut BitReader<'_>) -> Result<(), IngestError> {
    let count = bits.golomb()?.min(31);
    bits.skip(8)?;
    for _ in 0..=count {
        bits.golomb()?;
        bits.golomb()?;
        bits.bit()?;
    }
    bits.skip(20)
}
