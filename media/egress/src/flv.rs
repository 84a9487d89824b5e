//! FLV: tags as HTTP-FLV players and RTMP take them (Adobe FLV 10.1; enhanced RTMP v2).
//!
//! H.264 and AAC are written the classic way that every player knows; the others by their four
//! letters, as enhanced RTMP has it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use media_types::MediaKind;

use crate::config::Format;
use crate::frame::duration;
use crate::mux::{Chunk, Kinds};
use crate::{EgressError, Frame, TrackConfig};

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
/// Classic codec numbers.
const AVC: u8 = 7;
/// AAC, 44 kHz, 16 bits, stereo, whatever it really is (FLV 10.1, section E.4.2.1).
const AAC: u8 = 0xaf;
/// The sign of an enhanced video header, and of an enhanced audio header.
const ENHANCED_VIDEO: u8 = 0x80;
const ENHANCED_AUDIO: u8 = 0x90;
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;

/// What a player gets first.
#[must_use]
pub fn header(kinds: Kinds) -> Bytes {
    let flags = u8::from(kinds.audio) << 2 | u8::from(kinds.video);
    let mut out = BytesMut::from(&b"FLV\x01"[..]);
    out.put_slice(&[flags, 0, 0, 0, 9, 0, 0, 0, 0]);
    out.freeze()
}

/// The body of the tag that tells a track's configuration, without the tag around it.
///
/// # Errors
/// [`EgressError::Unsupported`].
pub fn config_body(config: &TrackConfig) -> Result<Bytes, EgressError> {
    let mut out = BytesMut::with_capacity(config.record.len() + 32);
    match config.format {
        Format::H264 => out.put_slice(&[0x10 | AVC, 0, 0, 0, 0]),
        Format::H265 | Format::Av1 | Format::Vp9 | Format::Vp8 => {
            out.put_u8(ENHANCED_VIDEO | 0x10 | SEQUENCE_START);
            out.put_slice(letters(config.format)?);
        }
        Format::Aac => out.put_slice(&[AAC, 0]),
        Format::Opus => {
            out.put_u8(ENHANCED_AUDIO | SEQUENCE_START);
            out.put_slice(letters(config.format)?);
            // RFC 7845, section 5.1: little-endian, no samples skipped.
            out.put_slice(b"OpusHead\x01");
            out.put_u8(config.channels);
            out.put_slice(&[0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]);
            return Ok(out.freeze());
        }
    }
    out.put_slice(&config.record);
    Ok(out.freeze())
}

/// The body of a frame's tag, without the tag around it.
///
/// # Errors
/// [`EgressError::Unsupported`].
pub fn frame_body(frame: &Frame) -> Result<Bytes, EgressError> {
    let mut out = BytesMut::with_capacity(frame.data.len() + 8);
    let config = &frame.config;
    let kind = if frame.keyframe { 0x10 } else { 0x20 };
    match config.format {
        Format::H264 => {
            out.put_slice(&[kind | AVC, 1]);
            put_24(&mut out, offset_ms(frame));
        }
        Format::H265 => {
            out.put_u8(ENHANCED_VIDEO | kind | CODED_FRAMES);
            out.put_slice(letters(config.format)?);
            put_24(&mut out, offset_ms(frame));
        }
        Format::Av1 | Format::Vp9 | Format::Vp8 => {
            out.put_u8(ENHANCED_VIDEO | kind | CODED_FRAMES);
            out.put_slice(letters(config.format)?);
        }
        Format::Aac => out.put_slice(&[AAC, 1]),
        Format::Opus => {
            out.put_u8(ENHANCED_AUDIO | CODED_FRAMES);
            out.put_slice(letters(config.format)?);
        }
    }
    out.put_slice(&frame.data);
    Ok(out.freeze())
}

fn letters(format: Format) -> Result<&'static [u8; 4], EgressError> {
    match format {
        Format::H265 => Ok(b"hvc1"),
        Format::Av1 => Ok(b"av01"),
        Format::Vp9 => Ok(b"vp09"),
        Format::Vp8 => Ok(b"vp08"),
        Format::Opus => Ok(b"Opus"),
        Format::H264 | Format::Aac => Err(EgressError::Unsupported(format)),
    }
}

/// A frame's decoding time in milliseconds, as tags and RTMP messages count it.
#[must_use]
pub fn time_ms(frame: &Frame) -> u32 {
    let millis = duration(frame.dts, frame.config.timescale).as_millis();
    let [.., a, b, c, d] = millis.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn offset_ms(frame: &Frame) -> u32 {
    let offset = i64::from(frame.composition) * 1_000;
    let offset = offset.checked_div(i64::from(frame.config.timescale));
    let [.., a, b, c, d] = offset.unwrap_or(0).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn put_24(out: &mut BytesMut, value: u32) {
    let [_, a, b, c] = value.to_be_bytes();
    out.put_slice(&[a, b, c]);
}

fn put_tag(out: &mut BytesMut, kind: MediaKind, time_ms: u32, body: &[u8]) {
    let size = u32::try_from(body.len()).unwrap_or(0);
    let [high, ..] = time_ms.to_be_bytes();
    out.put_u8(if kind == MediaKind::Video {
        VIDEO
    } else {
        AUDIO
    });
    put_24(out, size);
    put_24(out, time_ms);
    out.put_slice(&[high, 0, 0, 0]);
    out.put_slice(body);
    out.put_u32(size.saturating_add(11));
}

/// Writes the frames of one stream as tags.
#[derive(Debug, Default)]
pub struct FlvMuxer {
    configs: [Option<Arc<TrackConfig>>; 2],
}

const fn index(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

impl FlvMuxer {
    /// A frame as a tag, after the tag of its configuration where that is new.
    ///
    /// # Errors
    /// [`EgressError::Unsupported`].
    pub fn push(&mut self, frame: &Frame) -> Result<Chunk, EgressError> {
        let kind = frame.config.kind();
        let body = frame_body(frame)?;
        let mut out = BytesMut::with_capacity(body.len() + 64);
        let Some(known) = self.configs.get_mut(index(kind)) else {
            return Err(EgressError::Unsupported(frame.config.format));
        };
        if known.as_ref() != Some(&frame.config) {
            put_tag(&mut out, kind, time_ms(frame), &config_body(&frame.config)?);
            *known = Some(Arc::clone(&frame.config));
        }
        put_tag(&mut out, kind, time_ms(frame), &body);
        let video = self.configs.first().is_some_and(Option::is_some);
        Ok(Chunk {
            bytes: out.freeze(),
            start: frame.keyframe && (kind == MediaKind::Video || !video),
            at: duration(frame.dts, frame.config.timescale),
            length: Duration::ZERO,
        })
    }

    /// The tags of configurations that a player which joins now gets before the first chunk that
    /// is a start, and which begins at that time.
    ///
    /// # Errors
    /// [`EgressError::Unsupported`].
    pub fn prelude(&self, at: Duration) -> Result<Bytes, EgressError> {
        let mut out = BytesMut::new();
        let [.., a, b, c, d] = at.as_millis().to_be_bytes();
        let time_ms = u32::from_be_bytes([a, b, c, d]);
        for config in self.configs() {
            put_tag(&mut out, config.kind(), time_ms, &config_body(config)?);
        }
        Ok(out.freeze())
    }

    /// What the tracks so far are encoded with, pictures first.
    pub fn configs(&self) -> impl Iterator<Item = &Arc<TrackConfig>> {
        self.configs.iter().flatten()
    }
}

/// The tags in these bytes, which a muxer made: their kind by number, their time in ms, and body.
pub fn tags(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u32, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<11>()?;
        let [kind, s0, s1, s2, t0, t1, t2, high, ..] = *head;
        let size = usize::try_from(u32::from_be_bytes([0, s0, s1, s2])).ok()?;
        let (body, rest) = rest.split_at_checked(size)?;
        bytes = rest.get(4..)?;
        Some((kind, u32::from_be_bytes([high, t0, t1, t2]), body))
    })
}

#[cfg(test)]
mod tests;
