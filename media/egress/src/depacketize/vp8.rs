//! VP8 (RFC 7741): the descriptors go, the rest is the frame.

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;
use crate::config::Format;
use crate::params::vp9;

const EXTENDED: u8 = 0x80;
const START_OF_PARTITION: u8 = 0x10;

/// The frame of these packets.
#[must_use]
pub fn assemble(payloads: &[&[u8]]) -> Option<Assembled> {
    let first = *payloads.first()?.first()?;
    if first & START_OF_PARTITION == 0 || first & 0x07 != 0 {
        return None;
    }
    let mut data = Vec::with_capacity(payloads.iter().map(|payload| payload.len()).sum());
    for payload in payloads {
        data.extend_from_slice(payload.get(descriptor_length(payload)?..)?);
    }
    let keyframe = data.first()? & 1 == 0;
    let config = if keyframe {
        // A keyframe that does not tell its size is broken.
        vp9::vp8_size(&data)?;
        TrackConfig::of_keyframe(Format::Vp8, &data)
    } else {
        None
    };
    Some(Assembled {
        data: Bytes::from(data),
        keyframe,
        config,
    })
}

fn descriptor_length(payload: &[u8]) -> Option<usize> {
    if payload.first()? & EXTENDED == 0 {
        return Some(1);
    }
    let flags = *payload.get(1)?;
    let mut length = 2;
    if flags & 0x80 != 0 {
        let wide = payload.get(length)? & 0x80 != 0;
        length += if wide { 2 } else { 1 };
    }
    length += usize::from(flags & 0x40 != 0);
    length += usize::from(flags & 0x30 != 0);
    Some(length)
}
