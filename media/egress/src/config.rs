//! What a decoder must know before the first frame.

use bytes::Bytes;
use media_types::{Codec, MediaKind};
use mp4_atom::{Atom, Av1c, Avcc, Hvcc, VpcC};

use crate::EgressError;
use crate::cmaf::init_segment;
use crate::params::{av1, h264, h265, vp9};

/// What a track is encoded with, as containers know it. Unlike [`Codec`] it names AAC, which
/// never travels by RTP here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// H.264, ISO/IEC 14496-15 section 5.
    H264,
    /// H.265, ISO/IEC 14496-15 section 8.
    H265,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// Opus.
    Opus,
    /// AAC, ISO/IEC 14496-3.
    Aac,
}

impl Format {
    /// Sound or pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Aac => MediaKind::Audio,
            Self::H264 | Self::H265 | Self::Vp8 | Self::Vp9 | Self::Av1 => MediaKind::Video,
        }
    }

    /// Whether browsers play it from fragmented MP4 by Media Source Extensions. VP8 they do not.
    #[must_use]
    pub const fn plays_in_cmaf(self) -> bool {
        !matches!(self, Self::Vp8)
    }
}

impl From<Codec> for Format {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Opus => Self::Opus,
            Codec::Vp8 => Self::Vp8,
            Codec::Vp9 => Self::Vp9,
            Codec::Av1 => Self::Av1,
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
        }
    }
}

/// What a decoder must know before the first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackConfig {
    /// What the track is encoded with.
    pub format: Format,
    /// Ticks a second of its times: 90,000 for pictures, the sample rate for sound.
    pub timescale: u32,
    /// Width in pixels; 0 for sound.
    pub width: u16,
    /// Height in pixels; 0 for sound.
    pub height: u16,
    /// Channels; 0 for pictures.
    pub channels: u8,
    /// The codec's own configuration record, as its MP4 box carries it after the full-box header:
    /// `avcC`, `hvcC`, `vpcC`, `av1C`, `dOps`, or the `AudioSpecificConfig` of AAC.
    pub record: Bytes,
    /// The codec as RFC 6381 names it.
    pub codecs: String,
}

const VIDEO_TIMESCALE: u32 = 90_000;
const OPUS_RATE: u32 = 48_000;
/// ISO/IEC 14496-3, table 1.18.
const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

impl TrackConfig {
    /// Sound or pictures.
    #[must_use]
    pub const fn kind(&self) -> MediaKind {
        self.format.kind()
    }

    fn video(
        format: Format,
        size: (u16, u16),
        record: Bytes,
        codecs: String,
    ) -> Result<Self, EgressError> {
        let config = Self {
            format,
            timescale: VIDEO_TIMESCALE,
            width: size.0,
            height: size.1,
            channels: 0,
            record,
            codecs,
        };
        config.writable()
    }

    /// Refuses at once what could be read, but not be written into a box later.
    fn writable(self) -> Result<Self, EgressError> {
        match init_segment(&[&self]) {
            Ok(_) => Ok(self),
            Err(_) => Err(EgressError::Config(self.format)),
        }
    }

    /// From an `AVCDecoderConfigurationRecord`, as RTMP and MP4 carry it. Only NAL units behind
    /// four bytes of length are understood, which is what encoders write.
    ///
    /// # Errors
    /// [`EgressError::Config`].
    pub fn from_avcc(record: Bytes) -> Result<Self, EgressError> {
        let wrong = || EgressError::Config(Format::H264);
        let avcc = Avcc::decode_body(&mut &record[..]).map_err(|_| wrong())?;
        let sps = avcc.sequence_parameter_sets.first().ok_or_else(wrong)?;
        if avcc.length_size != 4 {
            return Err(wrong());
        }
        let size = h264::size(sps).ok_or_else(wrong)?;
        let codecs = format!(
            "avc1.{:02x}{:02x}{:02x}",
            avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
        );
        Self::video(Format::H264, size, record, codecs)
    }

    /// From an `HEVCDecoderConfigurationRecord`.
    ///
    /// # Errors
    /// [`EgressError::Config`].
    pub fn from_hvcc(record: Bytes) -> Result<Self, EgressError> {
        let wrong = || EgressError::Config(Format::H265);
        let hvcc = Hvcc::decode_body(&mut &record[..]).map_err(|_| wrong())?;
        let sets = hvcc.arrays.iter().filter(|array| array.nal_unit_type == 33);
        let sps = sets.flat_map(|array| &array.nalus).next();
        let sps = h265::Sps::read(sps.ok_or_else(wrong)?).ok_or_else(wrong)?;
        if hvcc.length_size_minus_one != 3 {
            return Err(wrong());
        }
        let codecs = sps.codecs();
        Self::video(Format::H265, sps.size, record, codecs)
    }

    /// From an `AV1CodecConfigurationRecord` that holds a sequence header.
    ///
    /// # Errors
    /// [`EgressError::Config`].
    pub fn from_av1c(record: Bytes) -> Result<Self, EgressError> {
        let wrong = || EgressError::Config(Format::Av1);
        let av1c = Av1c::decode_body(&mut &record[..]).map_err(|_| wrong())?;
        let sequence = av1::Sequence::of_obus(&av1c.config_obus).ok_or_else(wrong)?;
        let codecs = sequence.codecs();
        Self::video(Format::Av1, sequence.size, record, codecs)
    }

    /// From the body of a `vpcC` box (after version and flags) and the picture's size, which it
    /// does not tell.
    ///
    /// # Errors
    /// [`EgressError::Config`].
    pub fn from_vpcc(format: Format, record: Bytes, size: (u16, u16)) -> Result<Self, EgressError> {
        let wrong = || EgressError::Config(format);
        let full: Vec<u8> = [1, 0, 0, 0].iter().chain(&record).copied().collect();
        let vpcc = VpcC::decode_body(&mut &full[..]).map_err(|_| wrong())?;
        let name = match format {
            Format::Vp9 => "vp09",
            Format::Vp8 => "vp08",
            Format::H264 | Format::H265 | Format::Av1 | Format::Opus | Format::Aac => {
                return Err(wrong());
            }
        };
        let codecs = format!(
            "{name}.{:02}.{:02}.{:02}",
            vpcc.profile, vpcc.level, vpcc.bit_depth
        );
        Self::video(format, size, record, codecs)
    }

    /// From a keyframe of a codec whose keyframes say all that a decoder must know: VP8, VP9, and
    /// AV1 with its sequence header. Nothing of other formats, and of other frames.
    #[must_use]
    pub fn of_keyframe(format: Format, frame: &[u8]) -> Option<Self> {
        match format {
            Format::Vp8 => {
                let size = vp9::vp8_size(frame)?;
                Self::from_vpcc(format, vp9::vp8_record(size), size).ok()
            }
            Format::Vp9 => {
                let header = vp9::read(frame)?;
                Self::from_vpcc(format, header.record(), header.size).ok()
            }
            Format::Av1 => {
                let (sequence, obu) = av1::Sequence::find(frame)?;
                Self::from_av1c(sequence.record(obu)).ok()
            }
            Format::H264 | Format::H265 | Format::Opus | Format::Aac => None,
        }
    }

    /// Opus of one or two channels (RFC 7845, section 5.1.1; the box is big-endian). No samples are
    /// skipped at the start: a live stream has none to spare.
    #[must_use]
    pub fn opus(channels: u8) -> Self {
        let channels = channels.clamp(1, 2);
        let mut record = vec![0, channels, 0, 0];
        record.extend(OPUS_RATE.to_be_bytes());
        record.extend([0, 0, 0]);
        Self {
            format: Format::Opus,
            timescale: OPUS_RATE,
            width: 0,
            height: 0,
            channels,
            record: record.into(),
            codecs: "opus".to_owned(),
        }
    }

    /// From an `AudioSpecificConfig` (ISO/IEC 14496-3, section 1.6.2.1).
    ///
    /// # Errors
    /// [`EgressError::Config`].
    pub fn from_asc(record: Bytes) -> Result<Self, EgressError> {
        let wrong = || EgressError::Config(Format::Aac);
        let read = || -> Option<(u8, u32, u8)> {
            let mut bits = crate::bits::Bits::new(&record);
            let object = bits.byte(5)?;
            let index = usize::from(bits.byte(4)?);
            let rate = match index {
                15 => bits.number(24)?,
                _ => *AAC_RATES.get(index)?,
            };
            Some((object, rate, bits.byte(4)?))
        };
        let (object, rate, layout) = read().ok_or_else(wrong)?;
        let known = (1..=7).contains(&layout) && (1..=48_000 * 2).contains(&rate);
        if !known || !matches!(object, 1..=5 | 29) {
            return Err(wrong());
        }
        let config = Self {
            format: Format::Aac,
            timescale: rate,
            width: 0,
            height: 0,
            channels: if layout == 7 { 8 } else { layout },
            codecs: format!("mp4a.40.{object}"),
            record,
        };
        config.writable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aac_tells_its_rate_and_channels() {
        // AAC-LC, 48 kHz, stereo.
        let config = TrackConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
        assert_eq!((config.timescale, config.channels), (48_000, 2));
        assert_eq!(config.codecs, "mp4a.40.2");
        let wrong = Err(EgressError::Config(Format::Aac));
        assert_eq!(TrackConfig::from_asc(Bytes::from_static(&[0x11])), wrong);
        assert_eq!(TrackConfig::from_asc(Bytes::from_static(&[0, 0])), wrong);
    }

    #[test]
    fn opus_is_described_as_its_box_wants() {
        let record = TrackConfig::opus(2).record;
        assert_eq!(record[..], [0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        assert!(mp4_atom::Dops::decode_body(&mut &record[..]).is_ok());
    }

    #[test]
    fn keyframes_tell_their_size() {
        let vp9 = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        let vp8 = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        // A temporal delimiter, then the sequence header of 640 × 360.
        let av1 = [
            0x12, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40,
            0x10,
        ];
        let size = |format, frame: &[u8]| {
            let config = TrackConfig::of_keyframe(format, frame)?;
            assert_eq!(config.format, format);
            Some((config.width, config.height))
        };
        assert_eq!(size(Format::Vp9, &vp9), Some((640, 360)));
        assert_eq!(size(Format::Vp8, &vp8), Some((640, 360)));
        assert_eq!(size(Format::Av1, &av1), Some((640, 360)));
        assert_eq!(size(Format::Vp8, &[0x11; 10]), None, "no keyframe");
        assert_eq!(size(Format::H264, &vp9), None, "its record says it");
    }

    #[test]
    fn foreign_records_are_refused() {
        let record = Bytes::from_static(&[1, 66, 0, 30, 0xff, 0xe1, 0xff]);
        let wrong = Err(EgressError::Config(Format::H264));
        assert_eq!(TrackConfig::from_avcc(record), wrong);
    }
}
