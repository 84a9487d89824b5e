//! VP9 (RFC 9628): the descriptors go; the layers of one picture become a superframe.

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;
use crate::bits::Bits;
use crate::config::Format;
use crate::params::vp9;

/// Layers of one superframe (VP9 specification, annex B).
const LAYERS_MAX: usize = 8;

struct Descriptor {
    length: usize,
    start: bool,
}

/// The picture of these packets.
#[must_use]
pub fn assemble(payloads: &[&[u8]]) -> Option<Assembled> {
    let mut data = Vec::with_capacity(payloads.iter().map(|payload| payload.len()).sum());
    let mut starts = Vec::new();
    for payload in payloads {
        let descriptor = read(payload)?;
        if descriptor.start {
            starts.push(data.len());
        }
        data.extend_from_slice(payload.get(descriptor.length..)?);
    }
    if starts.first() != Some(&0) || starts.len() > LAYERS_MAX {
        return None;
    }
    let header = vp9::read(&data);
    let keyframe = header.is_some();
    let mut config = header.map(|header| (header.record(), header.size));
    if starts.len() > 1 {
        // The size that a player shows is the top layer's, which says it in its own header only
        // where it is intra coded; the others follow it.
        if let Some((_, size)) = &mut config {
            let top = starts.last().and_then(|&at| data.get(at..));
            if let Some(top) = top.and_then(vp9::read) {
                *size = top.size;
            }
        }
        append_index(&mut data, &starts)?;
    }
    let config = config
        .map(|(record, size)| TrackConfig::from_vpcc(Format::Vp9, record, size))
        .transpose()
        .ok()?;
    Some(Assembled {
        data: Bytes::from(data),
        keyframe,
        config,
    })
}

/// The superframe index with four bytes a size.
fn append_index(data: &mut Vec<u8>, starts: &[usize]) -> Option<()> {
    let end = data.len();
    let ends = starts.iter().skip(1).copied().chain([end]);
    let sizes: Vec<usize> = starts
        .iter()
        .zip(ends)
        .map(|(from, to)| to - from)
        .collect();
    let count = u8::try_from(sizes.len()).ok()?.checked_sub(1)?;
    let mark = 0b1100_0000 | (3 << 3) | count;
    data.push(mark);
    for size in sizes {
        data.extend(u32::try_from(size).ok()?.to_le_bytes());
    }
    data.push(mark);
    Some(())
}

/// The payload descriptor (RFC 9628, section 4.2).
fn read(payload: &[u8]) -> Option<Descriptor> {
    let mut bits = Bits::new(payload);
    let (picture, predicted) = (bits.flag()?, bits.flag()?);
    let (layers, flexible) = (bits.flag()?, bits.flag()?);
    let (start, _end, structure) = (bits.flag()?, bits.flag()?, bits.flag()?);
    bits.skip(1)?;
    let mut length = 1;
    if picture {
        length += if bits.flag()? { 2 } else { 1 };
        bits.skip(if length == 3 { 15 } else { 7 })?;
    }
    if layers {
        bits.skip(8)?;
        length += 1;
        if !flexible {
            bits.skip(8)?;
            length += 1;
        }
    }
    if flexible && predicted {
        loop {
            bits.skip(7)?;
            length += 1;
            if !bits.flag()? {
                break;
            }
        }
    }
    if structure {
        length += structure_length(&mut bits)?;
    }
    (length <= payload.len()).then_some(Descriptor { length, start })
}

fn structure_length(bits: &mut Bits<'_>) -> Option<usize> {
    let layers = usize::from(bits.byte(3)?) + 1;
    let (sizes, group) = (bits.flag()?, bits.flag()?);
    bits.skip(3)?;
    let mut length = 1;
    if sizes {
        bits.skip(32 * layers)?;
        length += 4 * layers;
    }
    if group {
        let pictures = bits.byte(8)?;
        length += 1;
        for _ in 0..pictures {
            bits.skip(4)?;
            let references = usize::from(bits.byte(2)?);
            bits.skip(2 + 8 * references)?;
            length += 1 + references;
        }
    }
    Some(length)
}
