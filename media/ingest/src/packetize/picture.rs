//! VP8 (RFC 7741) and VP9 (RFC 9628): a short descriptor before each piece of a frame.

use arrayvec::ArrayVec;

use super::Output;
use crate::error::IngestError;

/// The longest descriptor that is written.
const DESCRIPTOR_MAX: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Family {
    Vp8,
    Vp9,
}

/// A track's numbers of pictures, 15 bits wide.
#[derive(Debug)]
pub(super) struct Picture {
    family: Family,
    id: u16,
}

impl Picture {
    pub(super) const fn vp8() -> Self {
        Self {
            family: Family::Vp8,
            id: 0,
        }
    }

    pub(super) const fn vp9() -> Self {
        Self {
            family: Family::Vp9,
            id: 0,
        }
    }

    pub(super) fn packetize(
        &mut self,
        frame: &[u8],
        keyframe: bool,
        out: &mut Output<'_>,
    ) -> Result<(), IngestError> {
        self.id = self.id.wrapping_add(1) & 0x7fff;
        let size = Output::MAX.saturating_sub(DESCRIPTOR_MAX);
        let last = frame.len().div_ceil(size).saturating_sub(1);
        for (at, piece) in frame.chunks(size).enumerate() {
            let descriptor = self.descriptor(keyframe, at == 0, at == last);
            out.push(&[&descriptor, piece])?;
        }
        Ok(())
    }

    fn descriptor(&self, keyframe: bool, first: bool, last: bool) -> ArrayVec<u8, DESCRIPTOR_MAX> {
        let [high, low] = self.id.to_be_bytes();
        let high = high | 0x80;
        let mut bytes = ArrayVec::new();
        match self.family {
            // Extended, start of the only partition; then: a picture number follows.
            Family::Vp8 => {
                bytes.extend([0x80 | u8::from(first) << 4, 0x80, high, low]);
            }
            // A picture number, flexible mode: each frame names the one before as its reference,
            // which spares the description of layers that are none.
            Family::Vp9 => {
                let predicted = u8::from(!keyframe) << 6;
                let ends = u8::from(first) << 3 | u8::from(last) << 2;
                bytes.extend([0x90 | predicted | ends, high, low]);
                if !keyframe {
                    bytes.push(1 << 1);
                }
            }
        }
        bytes
    }
}
