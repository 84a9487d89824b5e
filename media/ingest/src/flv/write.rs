//! Frames to tags: the numbered codecs as every player knows them, the others enhanced.

use bytes::Bytes;
use media_types::{Codec, EncodedFrame, FrameCodec, FrameFormat, MediaKind, MediaTime};

use super::{Tag, TagKind, TrackKey};
use crate::bytes::{length32, low24};
use crate::codec::four_characters;
use crate::rtmp::amf::{self, Value};

/// What an FLV file with sound and pictures begins with, the size before the first tag included.
pub const FILE_HEADER: [u8; 13] = *b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";

/// The tag that tells how to decode track `id`; nothing for codecs that need no telling.
#[must_use]
pub fn config_tag(id: u8, format: &FrameFormat, timestamp: u32) -> Option<Tag> {
    if format.config.is_empty() {
        return None;
    }
    let track = key(format.codec, id);
    let mut out = Vec::with_capacity(format.config.len().saturating_add(16));
    head(&mut out, track, format.codec, true, Some(0), 0);
    out.extend_from_slice(&format.config);
    Some(tag(track.kind, timestamp, out))
}

/// The tag of one frame of track `id`. Its time is the frame's, in milliseconds on the 32-bit
/// circle.
#[must_use]
pub fn frame_tag(id: u8, frame: &EncodedFrame) -> Tag {
    let (decoded, presented) = (millis(frame.decoded), millis(frame.presented));
    let offset = u32::try_from(presented.saturating_sub(decoded)).unwrap_or_default();
    let track = key(frame.codec, id);
    let mut out = Vec::with_capacity(frame.data.len().saturating_add(16));
    head(&mut out, track, frame.codec, frame.keyframe, None, offset);
    out.extend_from_slice(&frame.data);
    let [_, _, _, _, a, b, c, d] = decoded.to_be_bytes();
    tag(track.kind, u32::from_be_bytes([a, b, c, d]), out)
}

const fn key(codec: FrameCodec, id: u8) -> TrackKey {
    TrackKey {
        kind: codec.kind(),
        id,
    }
}

/// Rounded to the nearest millisecond, so that what came in milliseconds leaves as it came.
fn millis(time: MediaTime) -> u64 {
    let rounded = time
        .as_duration()
        .saturating_add(std::time::Duration::from_micros(500));
    u64::try_from(rounded.as_millis()).unwrap_or(u64::MAX)
}

/// The `onMetaData` tag of a stream with these tracks.
#[must_use]
pub fn metadata_tag<'a>(formats: impl IntoIterator<Item = &'a FrameFormat>) -> Tag {
    let mut pairs = vec![("server".to_owned(), Value::from("Troupe"))];
    let mut pair = |name: &str, value: f64| pairs.push((name.to_owned(), Value::Number(value)));
    for format in formats {
        let codec = codec_number(format.codec);
        match format.codec.kind() {
            MediaKind::Video => {
                pair("videocodecid", codec);
                pair("width", format.width.into());
                pair("height", format.height.into());
            }
            MediaKind::Audio => {
                pair("audiocodecid", codec);
                pair("audiosamplerate", format.sample_rate.into());
                pair("audiochannels", format.channels.into());
            }
        }
    }
    let mut out = Vec::new();
    amf::write(&mut out, &"onMetaData".into());
    amf::write(&mut out, &Value::Map(pairs));
    Tag {
        kind: TagKind::Script,
        timestamp: 0,
        data: out.into(),
    }
}

/// A tag as a file, or HTTP-FLV, holds it: header, body, and the size of both.
#[must_use]
pub fn file_tag(tag: &Tag) -> Bytes {
    let kind = match tag.kind {
        TagKind::Audio => 8,
        TagKind::Video => 9,
        TagKind::Script => 18,
    };
    let mut out = Vec::with_capacity(tag.data.len().saturating_add(15));
    let length = length32(tag.data.len());
    let [extension, ..] = tag.timestamp.to_be_bytes();
    out.push(kind);
    out.extend_from_slice(&low24(length));
    out.extend_from_slice(&low24(tag.timestamp));
    out.extend_from_slice(&[extension, 0, 0, 0]);
    out.extend_from_slice(&tag.data);
    out.extend_from_slice(&length.saturating_add(11).to_be_bytes());
    out.into()
}

/// The codec as metadata names it: its number, or its four characters as one (E-RTMP v2).
fn codec_number(codec: FrameCodec) -> f64 {
    match codec {
        FrameCodec::Rtp(Codec::H264) => 7.0,
        FrameCodec::Aac => 10.0,
        FrameCodec::Rtp(_) => u32::from_be_bytes(four_characters(codec)).into(),
    }
}

fn tag(kind: MediaKind, timestamp: u32, data: Vec<u8>) -> Tag {
    Tag {
        kind: match kind {
            MediaKind::Audio => TagKind::Audio,
            MediaKind::Video => TagKind::Video,
        },
        timestamp,
        data: data.into(),
    }
}

/// The header of a tag; `packet` 0 tells a configuration, nothing a frame.
fn head(
    out: &mut Vec<u8>,
    track: TrackKey,
    codec: FrameCodec,
    keyframe: bool,
    packet: Option<u8>,
    offset_ms: u32,
) {
    let frame: u8 = if keyframe { 1 } else { 2 };
    let numbered = packet.unwrap_or(1);
    if track.id == 0 && codec == FrameCodec::Rtp(Codec::H264) {
        out.extend_from_slice(&[frame << 4 | 7, numbered]);
        out.extend_from_slice(&low24(offset_ms));
        return;
    }
    if track.id == 0 && codec == FrameCodec::Aac {
        // AAC, and the flags that AAC always has: 44 kHz, 16 bits, stereo.
        out.extend_from_slice(&[0xaf, numbered]);
        return;
    }
    let (first, multitrack) = match track.kind {
        MediaKind::Video => (0x80 | frame << 4, 6),
        MediaKind::Audio => (0x90, 5),
    };
    if track.id == 0 {
        out.push(first | numbered);
        out.extend_from_slice(&four_characters(codec));
    } else {
        // One track a message: the upper half byte is 0.
        out.extend_from_slice(&[first | multitrack, numbered]);
        out.extend_from_slice(&four_characters(codec));
        out.push(track.id);
    }
    if packet.is_none() && matches!(codec, FrameCodec::Rtp(Codec::H264 | Codec::H265)) {
        out.extend_from_slice(&low24(offset_ms));
    }
}
