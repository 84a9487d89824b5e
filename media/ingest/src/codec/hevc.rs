//! H.265: `hvcC` (ISO 14496-15, section 8.3.3.1) and sequence parameter sets (ITU-T H.265,
//! section 7.3.2.2).

use bytes::Bytes;

use super::bits::BitReader;
use super::{Reordering, TrackFormat};
use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::PARAMETER_SETS_MAX;

const SEQUENCE: u8 = 33;
/// Video, sequence and picture parameter sets.
const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;

/// A configuration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HevcConfig {
    /// Bytes of the length before each NAL unit.
    pub nal_length_bytes: u8,
    /// Video, sequence and picture parameter sets, in the record's order.
    pub parameter_sets: Vec<Bytes>,
    sequence: Option<(u16, u16, Reordering)>,
}

impl HevcConfig {
    /// Reads a record.
    ///
    /// # Errors
    /// A record that breaks its format, or has no parameter sets.
    pub fn read(record: &Bytes) -> Result<Self, IngestError> {
        let mut reader = Reader::new(record);
        if reader.u8()? != 1 {
            return Err(IngestError::Media("hvcC version"));
        }
        reader.take(20)?;
        let nal_length_bytes = (reader.u8()? & 3).saturating_add(1);
        let arrays = reader.u8()?;
        let mut parameter_sets = Vec::new();
        let mut sequence = None;
        for _ in 0..arrays {
            let kind = reader.u8()? & 0x3f;
            for _ in 0..reader.u16()? {
                let length = usize::from(reader.u16()?);
                let nal = reader.take(length)?;
                if !PARAMETER_SETS.contains(&kind) {
                    continue;
                }
                if parameter_sets.len() >= PARAMETER_SETS_MAX {
                    return Err(IngestError::Media("parameter sets"));
                }
                parameter_sets.push(record.slice_ref(nal));
                if kind == SEQUENCE && sequence.is_none() {
                    sequence = read_sequence(nal).ok();
                }
            }
        }
        if parameter_sets.is_empty() {
            return Err(IngestError::Media("no parameter sets"));
        }
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
        if let Some((width, height, reordering)) = self.sequence {
            track.format.width = width;
            track.format.height = height;
            track.reordering = reordering;
        }
    }
}

/// The size in pixels, and what is said of the order of pictures.
fn read_sequence(nal: &[u8]) -> Result<(u16, u16, Reordering), IngestError> {
    let mut bits = BitReader::new(nal.get(2..).unwrap_or_default());
    bits.skip(4)?;
    let sublayers = bits.bits(3)?.min(6);
    bits.bit()?;
    profile_and_level(&mut bits, sublayers)?;
    bits.golomb()?;
    let chroma = bits.golomb()?;
    if chroma == 3 {
        bits.bit()?;
    }
    let (mut width, mut height) = (bits.golomb()?, bits.golomb()?);
    if bits.bit()? {
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
        width = width.saturating_sub(left.saturating_add(right).saturating_mul(x));
        height = height.saturating_sub(top.saturating_add(bottom).saturating_mul(y));
    }
    for _ in 0..3 {
        bits.golomb()?;
    }
    let all = bits.bit()?;
    let mut reordered = 0;
    for _ in 0..if all { sublayers.saturating_add(1) } else { 1 } {
        bits.golomb()?;
        reordered = bits.golomb()?;
        bits.golomb()?;
    }
    let reordering = if reordered == 0 {
        Reordering::Never
    } else {
        Reordering::Stated
    };
    let pixels = |size| u16::try_from(size).unwrap_or(0);
    Ok((pixels(width), pixels(height), reordering))
}

/// ITU-T H.265, section 7.3.3.
fn profile_and_level(bits: &mut BitReader<'_>, sublayers: u32) -> Result<(), IngestError> {
    bits.skip(96)?;
    let mut present = [(false, false); 7];
    for flags in present
        .iter_mut()
        .take(usize::try_from(sublayers).unwrap_or(0))
    {
        *flags = (bits.bit()?, bits.bit()?);
    }
    if sublayers > 0 {
        for _ in sublayers..8 {
            bits.skip(2)?;
        }
    }
    for (profile, level) in present {
        if profile {
            bits.skip(88)?;
        }
        if level {
            bits.skip(8)?;
        }
    }
    Ok(())
}
