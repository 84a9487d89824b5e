//! AAC: `AudioSpecificConfig` (ISO 14496-3, section 1.6.2.1).

use super::bits::BitReader;
use crate::error::IngestError;

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// What a track of AAC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// The object type: 2 is AAC-LC, 5 and 29 are HE-AAC with its rate doubled.
    pub object: u8,
    /// Samples a second of the core: a frame holds [`Self::FRAME_SAMPLES`] of them.
    pub rate: u32,
    /// Channels; 2 where the stream itself says.
    pub channels: u8,
}

impl AudioSpecificConfig {
    /// Samples of one frame.
    pub const FRAME_SAMPLES: u32 = 1_024;

    /// Reads a record.
    ///
    /// # Errors
    /// A record that ends early, or names no rate.
    pub fn read(record: &[u8]) -> Result<Self, IngestError> {
        // The bytes that keep start codes away exist in NAL units alone; a record of two to five
        // bytes never holds what they look like.
        let mut bits = BitReader::new(record);
        let mut object = bits.bits(5)?;
        if object == 31 {
            object = bits.bits(6)?.saturating_add(32);
        }
        let index = usize::try_from(bits.bits(4)?).unwrap_or(usize::MAX);
        let rate = match index {
            15 => bits.bits(24)?,
            index => RATES.get(index).copied().unwrap_or_default(),
        };
        let channels = match bits.bits(4)? {
            0 => 2,
            7 => 8,
            count => count,
        };
        if !(7_000..=96_000).contains(&rate) || channels > 8 {
            return Err(IngestError::Media("AAC configuration"));
        }
        Ok(Self {
            object: u8::try_from(object).unwrap_or(u8::MAX),
            rate,
            channels: u8::try_from(channels).unwrap_or(2),
        })
    }
}
