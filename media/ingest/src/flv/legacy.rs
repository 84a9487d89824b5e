//! Tags with a codec number: H.264 and AAC, and H.265 by the number that is in wide use for it.

use media_types::{Codec, FrameCodec, MediaKind};

use super::{Parcel, Parcels, Tag, TrackKey, push};
use crate::bytes::Reader;
use crate::error::IngestError;

const AVC: u8 = 7;
const HEVC: u8 = 12;
const AAC: u8 = 10;

pub(super) fn video(
    tag: &Tag,
    first: u8,
    mut reader: Reader<'_>,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    let track = TrackKey {
        kind: MediaKind::Video,
        id: 0,
    };
    let codec = match first & 0x0f {
        AVC => FrameCodec::Rtp(Codec::H264),
        HEVC => FrameCodec::Rtp(Codec::H265),
        _ => return push(parcels, Parcel::Unsupported { track }),
    };
    // Frames of commands hold no picture.
    if first >> 4 == 5 {
        return Ok(());
    }
    let packet = reader.u8()?;
    let offset_ms = reader.i24()?;
    let data = tag.data.slice_ref(reader.rest());
    match packet {
        0 => push(
            parcels,
            Parcel::Config {
                track,
                codec,
                record: data,
            },
        ),
        1 => push(
            parcels,
            Parcel::Frame {
                track,
                codec,
                keyframe: first >> 4 == 1,
                offset_ms,
                nanos: 0,
                data,
            },
        ),
        2 => push(parcels, Parcel::End { track }),
        _ => Err(IngestError::Media("packet type")),
    }
}

pub(super) fn audio(
    tag: &Tag,
    first: u8,
    mut reader: Reader<'_>,
    parcels: &mut Parcels,
) -> Result<(), IngestError> {
    let track = TrackKey {
        kind: MediaKind::Audio,
        id: 0,
    };
    if first >> 4 != AAC {
        return push(parcels, Parcel::Unsupported { track });
    }
    let codec = FrameCodec::Aac;
    let packet = reader.u8()?;
    let data = tag.data.slice_ref(reader.rest());
    match packet {
        0 => push(
            parcels,
            Parcel::Config {
                track,
                codec,
                record: data,
            },
        ),
        _ => push(
            parcels,
            Parcel::Frame {
                track,
                codec,
                keyframe: true,
                offset_ms: 0,
                nanos: 0,
                data,
            },
        ),
    }
}
