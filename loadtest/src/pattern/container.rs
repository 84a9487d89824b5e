//! The containers that ffmpeg writes: IVF for VP8 and AV1, Annex B for H.264, Ogg for Opus.

use anyhow::{Context, Result, ensure};
use media_types::Codec;

use super::{Frame, packetise};

const IVF_HEADER_BYTES: usize = 32;
const IVF_FRAME_HEADER_BYTES: usize = 12;
/// Page header without its table of lacing values (RFC 3533, section 6).
const OGG_HEADER_BYTES: usize = 27;
/// Head and tags come before sound (RFC 7845, section 3).
const OPUS_HEADER_PACKETS: usize = 2;

/// Frames of an IVF file.
pub(super) fn ivf(file: &[u8], codec: Codec) -> Result<Vec<Frame>> {
    ensure!(file.starts_with(b"DKIF"), "this is no IVF file");
    let mut rest = file.get(IVF_HEADER_BYTES..).context("cut short")?;
    let mut frames = Vec::new();
    while let Some(head) = rest.get(..IVF_FRAME_HEADER_BYTES) {
        let length = head
            .first_chunk::<4>()
            .map_or(0, |word| u32::from_le_bytes(*word));
        let end = IVF_FRAME_HEADER_BYTES + usize::try_from(length)?;
        let bytes = rest.get(IVF_FRAME_HEADER_BYTES..end).context("cut short")?;
        frames.push(Frame {
            keyframe: is_keyframe(codec, bytes),
            bytes: bytes.to_vec(),
        });
        rest = &rest[end..];
    }
    Ok(frames)
}

fn is_keyframe(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        // A sequence header stands before every keyframe.
        Codec::Av1 => {
            let units = packetise::obus(frame).unwrap_or_default();
            units.iter().any(|unit| (unit[0] >> 3) & 0x0f == 1)
        }
        Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::H265 => {
            frame.first().is_some_and(|byte| byte & 1 == 0)
        }
    }
}

/// Access units of an Annex B stream in which each begins with a delimiter.
pub(super) fn annex_b(stream: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for unit in packetise::nal_units(stream) {
        let kind = unit[0] & 0x1f;
        if kind == 9 {
            frames.push(Frame {
                keyframe: false,
                bytes: Vec::new(),
            });
            continue;
        }
        if let Some(frame) = frames.last_mut() {
            frame.keyframe |= kind == 5;
            frame.bytes.extend([0, 0, 0, 1]);
            frame.bytes.extend_from_slice(unit);
        }
    }
    frames
}

/// Packets of an Ogg stream with one Opus track.
pub(super) fn ogg_opus(mut rest: &[u8]) -> Result<Vec<Frame>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    while !rest.is_empty() {
        ensure!(rest.starts_with(b"OggS"), "this is no Ogg file");
        let segments = usize::from(*rest.get(OGG_HEADER_BYTES - 1).context("cut short")?);
        let table = rest.get(OGG_HEADER_BYTES..OGG_HEADER_BYTES + segments);
        let table = table.context("cut short")?;
        let mut at = OGG_HEADER_BYTES + segments;
        for &lacing in table {
            let end = at + usize::from(lacing);
            packet.extend_from_slice(rest.get(at..end).context("cut short")?);
            at = end;
            if lacing < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        rest = &rest[at..];
    }
    let sound = packets.into_iter().skip(OPUS_HEADER_PACKETS);
    let frame = |bytes| Frame {
        keyframe: true,
        bytes,
    };
    Ok(sound.map(frame).collect())
}
