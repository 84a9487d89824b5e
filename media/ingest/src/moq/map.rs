//! Frames of MoQ tracks to what a source says, and back.

use bytes::Bytes;
use media_types::{Codec, FrameCodec, MediaKind};

use super::catalog::Rendition;
use crate::bytes::{Reader, length32};
use crate::codec::NalUnits;
use crate::error::IngestError;
use crate::flv::{Parcel, TrackKey};
use crate::limits::MESSAGE_BYTES_MAX;

/// How a frame carries its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Microseconds as an integer of QUIC (RFC 9000, section 16), then the codec's bytes.
    Legacy,
    /// Low Overhead Container (draft-ietf-moq-loc-04): properties, then the codec's bytes.
    Loc,
}

/// LOC: units a second of the timestamp.
const PROPERTY_TIMESCALE: u64 = 0x08;
/// LOC: the timestamp.
const PROPERTY_TIMESTAMP: u64 = 0x10;
/// LOC, draft 3: the timestamp.
const PROPERTY_TIMESTAMP_OLD: u64 = 0x06;
const MICROS: u64 = 1_000_000;

impl Container {
    /// As catalogs name it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Loc => "loc",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Legacy, Self::Loc]
            .into_iter()
            .find(|container| container.word() == word)
    }

    /// Takes the time off a frame: microseconds, and the codec's bytes.
    ///
    /// # Errors
    /// A frame that breaks the container.
    pub fn unpack(self, frame: &Bytes) -> Result<(u64, Bytes), IngestError> {
        let mut reader = Reader::new(frame);
        let micros = match self {
            Self::Legacy => varint(&mut reader)?,
            Self::Loc => properties(&mut reader)?,
        };
        Ok((micros, frame.slice_ref(reader.rest())))
    }
}

/// A frame of the legacy container.
#[must_use]
pub fn pack(micros: u64, data: &[u8]) -> Bytes {
    // Eight bytes hold 62 bits: 146,000 years.
    let time = micros.min((1 << 62) - 1) | 0b11 << 62;
    let mut out = Vec::with_capacity(data.len().saturating_add(8));
    out.extend_from_slice(&time.to_be_bytes());
    out.extend_from_slice(data);
    out.into()
}

fn varint(reader: &mut Reader<'_>) -> Result<u64, IngestError> {
    let first = reader.u8()?;
    let more = (1_usize << (first >> 6)).saturating_sub(1);
    let start = u64::from(first & 0x3f);
    let rest = reader.take(more)?;
    Ok(rest
        .iter()
        .fold(start, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Properties are pairs of a type, as the difference to the one before, and a number where the type
/// is even, else bytes behind their length.
fn properties(reader: &mut Reader<'_>) -> Result<u64, IngestError> {
    let length = usize::try_from(varint(reader)?).map_err(|_| IngestError::Truncated)?;
    let mut block = Reader::new(reader.take(length)?);
    let (mut kind, mut time, mut scale) = (0_u64, None, MICROS);
    while !block.is_empty() {
        kind = kind.saturating_add(varint(&mut block)?);
        let value = varint(&mut block)?;
        if kind % 2 == 1 {
            block.take(usize::try_from(value).map_err(|_| IngestError::Truncated)?)?;
        } else if matches!(kind, PROPERTY_TIMESTAMP | PROPERTY_TIMESTAMP_OLD) {
            time = Some(value);
        } else if kind == PROPERTY_TIMESCALE {
            scale = value;
        }
    }
    let time = u128::from(time.ok_or(IngestError::Media("no timestamp"))?);
    let micros = (time * u128::from(MICROS)).checked_div(scale.into());
    let micros = micros.ok_or(IngestError::Media("timescale"))?;
    u64::try_from(micros).map_err(|_| IngestError::Media("timestamp"))
}

/// Makes of one track's frames what a source says.
#[derive(Debug)]
pub struct Unpacker {
    rendition: Rendition,
    key: TrackKey,
    /// Whether NAL units stand behind start codes instead of lengths, and parameter sets in them.
    start_codes: bool,
}

impl Unpacker {
    /// For a track of a catalog, as the source's track `id` of its kind.
    #[must_use]
    pub fn new(rendition: Rendition, id: u8) -> Self {
        let h264 = rendition.codec == FrameCodec::Rtp(Codec::H264);
        let kind = rendition.codec.kind();
        Self {
            key: TrackKey { kind, id },
            start_codes: h264 && rendition.description.is_empty(),
            rendition,
        }
    }

    /// Which track of the source it is.
    #[must_use]
    pub const fn key(&self) -> TrackKey {
        self.key
    }

    /// What decoders must know before the first frame, where the catalog says it.
    #[must_use]
    pub fn config(&self) -> Option<Parcel> {
        let record = self.rendition.description.clone();
        (!record.is_empty()).then(|| self.configured(record))
    }

    /// Takes a frame, which may be the first of its group: its time in microseconds, what decoders
    /// must know before it, and the frame.
    ///
    /// # Errors
    /// A frame that breaks its format, or is too long.
    pub fn frame(
        &self,
        frame: &Bytes,
        first: bool,
    ) -> Result<(u64, Option<Parcel>, Parcel), IngestError> {
        if frame.len() > usize::try_from(MESSAGE_BYTES_MAX).unwrap_or(usize::MAX) {
            return Err(IngestError::Media("frame size"));
        }
        let (micros, mut data) = self.rendition.container.unpack(frame)?;
        if data.is_empty() {
            return Err(IngestError::Media("empty frame"));
        }
        let mut config = None;
        if self.start_codes {
            data = with_lengths(&data);
            config = avcc(&data).map(|record| self.configured(record));
        }
        let parcel = Parcel::Frame {
            track: self.key,
            codec: self.rendition.codec,
            keyframe: first || self.key.kind == MediaKind::Audio,
            offset_ms: 0,
            nanos: 0,
            data,
        };
        Ok((micros, config, parcel))
    }

    const fn configured(&self, record: Bytes) -> Parcel {
        Parcel::Config {
            track: self.key,
            codec: self.rendition.codec,
            record,
        }
    }
}

/// NAL units between start codes (H.264, annex B) to NAL units behind lengths of four bytes.
fn with_lengths(frame: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(frame.len().saturating_add(16));
    let mut rest = after_start_code(frame);
    while let Some(nal) = rest {
        let end = find_start_code(nal).unwrap_or(nal.len());
        let (unit, more) = nal.split_at_checked(end).unwrap_or((nal, &[]));
        // Zeroes before a start code of four bytes, and at the end, belong to no unit.
        let zeroes = unit.iter().rev().take_while(|byte| **byte == 0).count();
        let unit = unit
            .get(..unit.len().saturating_sub(zeroes))
            .unwrap_or(unit);
        if !unit.is_empty() {
            out.extend_from_slice(&length32(unit.len()).to_be_bytes());
            out.extend_from_slice(unit);
        }
        rest = after_start_code(more);
    }
    out.into()
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = find_start_code(bytes)?;
    bytes.get(at.saturating_add(3)..)
}

/// The configuration record (ISO 14496-15, section 5.3.3) of a frame that brings parameter sets.
fn avcc(frame: &[u8]) -> Option<Bytes> {
    const SEQUENCE: u8 = 7;
    const PICTURE: u8 = 8;
    let of = |kind: u8| {
        NalUnits::new(frame, 4).find(move |nal| nal.first().is_some_and(|it| it & 0x1f == kind))
    };
    let (sequence, picture) = (of(SEQUENCE)?, of(PICTURE)?);
    let profile = sequence.get(1..4)?;
    let mut record = vec![1];
    record.extend_from_slice(profile);
    record.push(0xff);
    for (count, set) in [(0xe1, sequence), (0x01, picture)] {
        record.push(count);
        record.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
        record.extend_from_slice(set);
    }
    Some(record.into())
}
