//! H.265: just enough of NAL units (RFC 7798) to find where a decoder can start.

use super::bits::Bytes;
use super::{FrameInfo, layer};

/// Types below are slices of pictures (H.265, table 7-1).
const SLICE_END: u8 = 32;
/// Temporal sub-layer access and step-wise access: from here a receiver may take this sub-layer.
const SUB_LAYER_ACCESS: std::ops::RangeInclusive<u8> = 2..=5;
const VPS: u8 = 32;
const SPS: u8 = 33;
const DELIMITER: u8 = 35;
const SEI_PREFIX: u8 = 39;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const FU_START: u8 = 0x80;
/// The first bit of a slice header: first_slice_segment_in_pic_flag.
const FIRST_SLICE: u8 = 0x80;

/// What the NAL units of one packet add up to.
#[derive(Default)]
struct Units {
    parameters: bool,
    starts: bool,
    access: bool,
}

impl Units {
    /// Takes note of one unit: its type and the byte after its header.
    fn add(&mut self, kind: u8, next: Option<u8>) {
        match kind {
            VPS | SPS => {
                self.parameters = true;
                self.starts = true;
            }
            DELIMITER | SEI_PREFIX => self.starts = true,
            0..SLICE_END => {
                self.starts |= next.is_some_and(|byte| byte & FIRST_SLICE != 0);
                self.access |= SUB_LAYER_ACCESS.contains(&kind);
            }
            _ => {}
        }
    }
}

const fn kind_of(first: u8) -> u8 {
    (first >> 1) & 0x3f
}

/// What the packet is; `None` if it is cut short.
///
/// As with H.264, a keyframe starts with its parameter sets (VPS or SPS), not with the slices of
/// the random-access picture that follow them.
pub(super) fn inspect(payload: &[u8], marker: bool) -> Option<FrameInfo> {
    let mut bytes = Bytes::new(payload);
    let kind = kind_of(bytes.byte()?);
    let temporal = (bytes.byte()? & 0x07).saturating_sub(1);
    let mut units = Units::default();
    match kind {
        AGGREGATION => {
            while !bytes.rest().is_empty() {
                let length = bytes.short()?;
                let unit = bytes.take(usize::from(length))?;
                units.add(kind_of(*unit.first()?), unit.get(2).copied());
            }
        }
        FRAGMENTATION => {
            let fragment = bytes.byte()?;
            let kind = fragment & 0x3f;
            if fragment & FU_START != 0 {
                units.add(kind, bytes.byte());
            } else {
                units.access = SUB_LAYER_ACCESS.contains(&kind);
            }
        }
        _ => units.add(kind, bytes.byte()),
    }
    Some(FrameInfo {
        keyframe: units.parameters,
        start_of_frame: units.starts,
        end_of_frame: marker,
        layer: layer(0, temporal),
        switch_point: temporal == 0 || units.access,
        spatial_switch_point: units.parameters,
        ..FrameInfo::default()
    })
}
