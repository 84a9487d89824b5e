//! A packet of a track, without the label that names it.
//!
//! `flags` (stream 2 bits, simulcast, red, marker, fed, extensions), `codec`, SSRC, sequence
//! number, timestamp, what was fed, extensions, and the payload up to the end. The extensions that
//! belong to one hop (m-line, send time, transport-wide number) do not cross.

use arrayvec::ArrayVec;
use media_rtp::extension::Extensions;
use media_rtp::level::AudioLevel;
use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{Codec, Layer, NtpTime, Payload};

use super::{Reader, WireError, Writer};
use crate::ingest::FedPacket;
use crate::relay::RelayPacket;
use crate::track::Arrival;

const SIMULCAST: u8 = 1 << 2;
const RED: u8 = 1 << 3;
const MARKER: u8 = 1 << 4;
const FED: u8 = 1 << 5;
const EXTENSIONS: u8 = 1 << 6;
const STREAM: u8 = 0b11;

const LEVEL: u8 = 1;
const CAPTURE_TIME: u8 = 1 << 1;
const PLAYOUT_DELAY: u8 = 1 << 2;
const ORIENTATION: u8 = 1 << 3;
const DESCRIPTOR: u8 = 1 << 4;

const KEYFRAME: u8 = 1;
const FIRST: u8 = 1 << 1;
const CLOCK: u8 = 1 << 2;

/// The number of a codec.
pub(super) const fn code_of(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 0,
        Codec::Vp8 => 1,
        Codec::Vp9 => 2,
        Codec::Av1 => 3,
        Codec::H264 => 4,
        Codec::H265 => 5,
    }
}

fn codec_of(code: u8) -> Result<Codec, WireError> {
    let mut all = Codec::ALL.into_iter();
    all.find(|&codec| code_of(codec) == code)
        .ok_or(WireError::Bad("codec"))
}

/// `bit` if it is so.
const fn bit(so: bool, bit: u8) -> u8 {
    if so { bit } else { 0 }
}

pub(super) fn write_clock(to: &mut Writer<'_>, clock: SenderClock) {
    to.long(clock.ntp.0);
    to.word(clock.timestamp.0);
}

pub(super) fn read_clock(from: &mut Reader<'_>) -> Result<SenderClock, WireError> {
    Ok(SenderClock {
        ntp: NtpTime(from.long()?),
        timestamp: RtpTimestamp(from.word()?),
    })
}

impl RelayPacket {
    /// Appends its bytes.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        let arrival = &self.arrival;
        let extensions = extension_bits(&arrival.extensions);
        let flags = (arrival.stream & STREAM)
            | bit(arrival.simulcast, SIMULCAST)
            | bit(arrival.red, RED)
            | bit(arrival.marker, MARKER)
            | bit(arrival.fed.is_some(), FED)
            | bit(extensions != 0, EXTENSIONS);
        to.byte(flags);
        to.byte(code_of(arrival.codec));
        to.word(arrival.ssrc);
        to.number(arrival.sequence);
        to.word(arrival.timestamp);
        if let Some(fed) = &arrival.fed {
            write_fed(to, fed);
        }
        if extensions != 0 {
            to.byte(extensions);
            write_extensions(to, &arrival.extensions);
        }
        to.raw(arrival.payload.as_slice());
    }

    /// A packet from its bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut from = Reader(bytes);
        let flags = from.byte()?;
        let stream = flags & STREAM;
        if stream >= Layer::SPATIAL_MAX || flags & 0x80 != 0 {
            return Err(WireError::Bad("flags"));
        }
        let codec = codec_of(from.byte()?)?;
        let (ssrc, sequence, timestamp) = (from.word()?, from.number()?, from.word()?);
        let fed = match flags & FED != 0 {
            true => Some(read_fed(&mut from)?),
            false => None,
        };
        let extensions = match flags & EXTENSIONS != 0 {
            true => read_extensions(&mut from)?,
            false => Extensions::default(),
        };
        let payload = Payload::copy_of(from.rest()).ok_or(WireError::Trailing)?;
        let arrival = Arrival {
            stream,
            simulcast: flags & SIMULCAST != 0,
            index: None,
            ssrc,
            codec,
            red: flags & RED != 0,
            sequence,
            timestamp,
            marker: flags & MARKER != 0,
            extensions,
            payload,
            fed,
        };
        Ok(Self { arrival })
    }
}

fn write_fed(to: &mut Writer<'_>, fed: &FedPacket) {
    let clock = bit(fed.clock.is_some(), CLOCK);
    to.byte(bit(fed.keyframe, KEYFRAME) | bit(fed.first, FIRST) | clock);
    if let Some(clock) = fed.clock {
        write_clock(to, clock);
    }
}

fn read_fed(from: &mut Reader<'_>) -> Result<FedPacket, WireError> {
    let bits = from.byte()?;
    if bits > KEYFRAME | FIRST | CLOCK {
        return Err(WireError::Bad("frame"));
    }
    let clock = match bits & CLOCK != 0 {
        true => Some(read_clock(from)?),
        false => None,
    };
    Ok(FedPacket {
        keyframe: bits & KEYFRAME != 0,
        first: bits & FIRST != 0,
        clock,
    })
}

fn extension_bits(extensions: &Extensions) -> u8 {
    bit(extensions.audio_level.is_some(), LEVEL)
        | bit(extensions.abs_capture_time.is_some(), CAPTURE_TIME)
        | bit(extensions.playout_delay.is_some(), PLAYOUT_DELAY)
        | bit(extensions.video_orientation.is_some(), ORIENTATION)
        | bit(extensions.dependency_descriptor.is_some(), DESCRIPTOR)
}

fn write_extensions(to: &mut Writer<'_>, extensions: &Extensions) {
    if let Some(level) = extensions.audio_level {
        to.byte((level.level_dbov & 0x7f) | bit(level.voice, 0x80));
    }
    if let Some(time) = &extensions.abs_capture_time {
        to.bytes(time);
    }
    if let Some(delay) = extensions.playout_delay {
        to.raw(&delay);
    }
    if let Some(orientation) = extensions.video_orientation {
        to.byte(orientation);
    }
    if let Some(descriptor) = &extensions.dependency_descriptor {
        to.bytes(descriptor);
    }
}

fn read_extensions(from: &mut Reader<'_>) -> Result<Extensions, WireError> {
    let bits = from.byte()?;
    if bits == 0 || bits >= DESCRIPTOR << 1 {
        return Err(WireError::Bad("extensions"));
    }
    let has = |kind: u8| bits & kind != 0;
    let mut read = Extensions::default();
    if has(LEVEL) {
        let level = from.byte()?;
        read.audio_level = Some(AudioLevel {
            level_dbov: level & 0x7f,
            voice: level & 0x80 != 0,
        });
    }
    if has(CAPTURE_TIME) {
        read.abs_capture_time = Some(short_bytes(from)?);
    }
    if has(PLAYOUT_DELAY) {
        let [a, b, c] = [from.byte()?, from.byte()?, from.byte()?];
        read.playout_delay = Some([a, b, c]);
    }
    if has(ORIENTATION) {
        read.video_orientation = Some(from.byte()?);
    }
    if has(DESCRIPTOR) {
        read.dependency_descriptor = Some(short_bytes(from)?);
    }
    Ok(read)
}

fn short_bytes<const N: usize>(from: &mut Reader<'_>) -> Result<ArrayVec<u8, N>, WireError> {
    let bytes = from.bytes(N)?;
    ArrayVec::try_from(bytes).map_err(|_full| WireError::Bad("length"))
}
