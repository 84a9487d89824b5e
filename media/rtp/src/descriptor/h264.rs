//! H.264: just enough of NAL units (RFC 6184) to find where a decoder can start.

use super::FrameInfo;
use super::bits::Bytes;

const SLICE: u8 = 1;
const SLICE_IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const FU_A: u8 = 28;
const FU_B: u8 = 29;
/// Set in the header of the first fragment.
const FU_START: u8 = 0x80;
/// The first bit of a slice header: macroblock 0 in its shortest Exp-Golomb code.
const FIRST_MACROBLOCK_0: u8 = 0x80;

/// What the NAL units of one packet add up to.
#[derive(Default)]
struct Units {
    parameters: bool,
    starts: bool,
    slices: bool,
    referenced: bool,
}

impl Units {
    /// Takes note of one unit: its header (with the type of a fragmented unit put in) and the byte
    /// after it.
    fn add(&mut self, header: u8, next: Option<u8>) {
        match header & 0x1f {
            SPS => {
                self.parameters = true;
                self.starts = true;
            }
            SEI | DELIMITER => self.starts = true,
            SLICE | SLICE_IDR => {
                self.slices = true;
                self.referenced |= header & 0x60 != 0;
                self.starts |= next.is_some_and(|byte| byte & FIRST_MACROBLOCK_0 != 0);
            }
            _ => self.referenced = true,
        }
    }

    fn add_aggregated(&mut self, mut units: Bytes<'_>) -> Option<()> {
        while !units.rest().is_empty() {
            let length = units.short()?;
            let unit = units.take(usize::from(length))?;
            self.add(*unit.first()?, unit.get(1).copied());
        }
        Some(())
    }
}

/// What the packet is; `None` if it is cut short.
///
/// A keyframe starts with its sequence parameter set, not with the IDR slice that follows: who
/// starts at the slice has nothing to decode it with. Encoders for RTP put the set before each.
pub(super) fn inspect(payload: &[u8], marker: bool) -> Option<FrameInfo> {
    let mut bytes = Bytes::new(payload);
    let header = bytes.byte()?;
    let mut units = Units::default();
    match header & 0x1f {
        STAP_A => units.add_aggregated(bytes)?,
        STAP_B => {
            bytes.short()?;
            units.add_aggregated(bytes)?;
        }
        FU_A | FU_B => {
            let fragment = bytes.byte()?;
            if fragment & FU_START != 0 {
                units.add((header & 0xe0) | (fragment & 0x1f), bytes.byte());
            } else {
                units.slices = true;
                units.referenced = header & 0x60 != 0;
            }
        }
        _ => units.add(header, bytes.byte()),
    }
    Some(FrameInfo {
        keyframe: units.parameters,
        start_of_frame: units.starts,
        end_of_frame: marker,
        switch_point: true,
        spatial_switch_point: units.parameters,
        discardable: units.slices && !units.referenced,
        ..FrameInfo::default()
    })
}
