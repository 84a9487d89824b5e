//! Tags with a four-character codec (E-RTMP v2, `ExVideoTagHeader` and `ExAudioTagHeader`).

use media_types::{Codec, FrameCodec, MediaKind};

use super::{Parcel, Parcels, Tag, TrackKey, push};
use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::MOD_EX_MAX;

const START: u8 = 0;
const FRAMES: u8 = 1;
const END: u8 = 2;
/// Video without the offset of composition.
const FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MOD_EX: u8 = 7;
const AUDIO_MULTITRACK: u8 = 5;
const VIDEO_MULTITRACK: u8 = 6;
const COMMAND_FRAME: u8 = 5;

/// What stands before the payloads.
struct Head {
    kind: MediaKind,
    keyframe: bool,
    packet: u8,
    nanos: u32,
}

pub(super) fn video(
    tag: &Tag,
    first: u8,
    mut reader: Reader<'_>,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    let frame = (first >> 4) & 7;
    let mut head = Head {
        kind: MediaKind::Video,
        keyframe: frame == 1,
        packet: first & 0x0f,
        nanos: 0,
    };
    modifiers(&mut head, &mut reader)?;
    // Colours and commands: what decoders find in the stream itself, or have no use for.
    if head.packet == METADATA || frame == COMMAND_FRAME {
        return Ok(());
    }
    tracks(tag, head, reader, VIDEO_MULTITRACK, parcels)
}

pub(super) fn audio(
    tag: &Tag,
    first: u8,
    mut reader: Reader<'_>,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    let mut head = Head {
        kind: MediaKind::Audio,
        keyframe: true,
        packet: first & 0x0f,
        nanos: 0,
    };
    modifiers(&mut head, &mut reader)?;
    tracks(tag, head, reader, AUDIO_MULTITRACK, parcels)
}

/// Extensions that stand before the payload; of them the nanoseconds are known.
fn modifiers(head: &mut Head, reader: &mut Reader<'_>) -> Result<(), IngestError> {
    for _ in 0..MOD_EX_MAX {
        if head.packet != MOD_EX {
            return Ok(());
        }
        let mut size = usize::from(reader.u8()?).saturating_add(1);
        if size == 256 {
            size = usize::from(reader.u16()?).saturating_add(1);
        }
        let data = reader.take(size)?;
        let next = reader.u8()?;
        if next >> 4 == 0 {
            head.nanos = Reader::new(data).u24()?.min(999_999);
        }
        head.packet = next & 0x0f;
    }
    Err(IngestError::Media("extensions"))
}

fn tracks(
    tag: &Tag,
    mut head: Head,
    mut reader: Reader<'_>,
    multitrack: u8,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    if head.packet != multitrack {
        let four = reader.four()?;
        return body(tag, &head, four, 0, reader, parcels);
    }
    let byte = reader.u8()?;
    head.packet = byte & 0x0f;
    let (one, own_codecs) = match byte >> 4 {
        0 => (true, false),
        1 => (false, false),
        2 => (false, true),
        _ => return Err(IngestError::Media("multitrack")),
    };
    let mut four = [0; 4];
    if !own_codecs {
        four = reader.four()?;
    }
    while !reader.is_empty() {
        if own_codecs {
            four = reader.four()?;
        }
        let id = reader.u8()?;
        let length = if one {
            reader.rest().len()
        } else {
            usize::try_from(reader.u24()?).unwrap_or(usize::MAX)
        };
        let payload = Reader::new(reader.take(length)?);
        body(tag, &head, four, id, payload, parcels)?;
    }
    Ok(())
}

fn body(
    tag: &Tag,
    head: &Head,
    four: [u8; 4],
    id: u8,
    mut reader: Reader<'_>,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    let track = TrackKey {
        kind: head.kind,
        id,
    };
    let codec = match crate::codec::from_four_characters(four) {
        Some(codec) if codec.kind() == head.kind => codec,
        _ => return push(parcels, Parcel::Unsupported { track }),
    };
    let offset_ms = match (codec, head.packet) {
        (FrameCodec::Rtp(Codec::H264 | Codec::H265), FRAMES) => reader.i24()?,
        _ => 0,
    };
    let data = tag.data.slice_ref(reader.rest());
    let parcel = match head.packet {
        START => Parcel::Config {
            track,
            codec,
            record: data,
        },
        FRAMES | FRAMES_X => Parcel::Frame {
            track,
            codec,
            keyframe: head.keyframe,
            offset_ms,
            nanos: head.nanos,
            data,
        },
        END => Parcel::End { track },
        // Channel layouts, and what later versions add.
        _ => return Ok(()),
    };
    push(parcels, parcel)
}
