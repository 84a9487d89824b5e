//! VP9's uncompressed header of a keyframe (VP9 bitstream specification, section 6.2) and `vpcC`.

use bytes::Bytes;

use crate::bits::Bits;

/// What a keyframe's header says.
pub(crate) struct Header {
    pub(crate) size: (u16, u16),
    profile: u8,
    depth: u8,
    subsampling: u8,
    full_range: bool,
}

/// The levels by the most luma samples of a picture (VP9 levels, annex A).
const LEVELS: [(u32, u8); 7] = [
    (36_864, 10),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
];

/// Whether the frame says that it is a keyframe, and what it then says.
pub(crate) fn read(frame: &[u8]) -> Option<Header> {
    let mut bits = Bits::new(frame);
    if bits.number(2)? != 2 {
        return None;
    }
    let profile = bits.byte(1)? | (bits.byte(1)? << 1);
    if profile == 3 {
        bits.skip(1)?;
    }
    let (existing, inter) = (bits.flag()?, bits.flag()?);
    if existing || inter {
        return None;
    }
    bits.skip(2)?;
    if bits.number(24)? != 0x49_8342 {
        return None;
    }
    let depth = match (profile >= 2, profile >= 2 && bits.flag()?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let rgb = bits.number(3)? == 7;
    let full_range = rgb || bits.flag()?;
    let odd = profile % 2 == 1;
    let subsampling = match (rgb, odd) {
        (true, _) => {
            bits.skip(usize::from(odd))?;
            3
        }
        (false, false) => 1,
        (false, true) => {
            let (x, y) = (bits.flag()?, bits.flag()?);
            bits.skip(1)?;
            if x && !y { 2 } else { 3 }
        }
    };
    let width = u16::try_from(bits.number(16)?).ok()?.checked_add(1)?;
    let height = u16::try_from(bits.number(16)?).ok()?.checked_add(1)?;
    Some(Header {
        size: (width, height),
        profile,
        depth,
        subsampling,
        full_range,
    })
}

impl Header {
    /// The body of a `vpcC` box after version and flags.
    pub(crate) fn record(&self) -> Bytes {
        let range = u8::from(self.full_range);
        let packed = (self.depth << 4) | (self.subsampling << 1) | range;
        // Colours are left unspecified (ISO/IEC 23091-2).
        let level = level(self.size);
        Bytes::copy_from_slice(&[self.profile, level, packed, 2, 2, 2, 0, 0])
    }
}

/// The `vpcC` body of VP8, which has one profile that matters and 8 bits.
pub(crate) fn vp8_record(size: (u16, u16)) -> Bytes {
    Bytes::copy_from_slice(&[0, level(size), (8 << 4) | (1 << 1), 2, 2, 2, 0, 0])
}

/// The size that a keyframe of VP8 tells (RFC 6386, section 9.1): a frame tag, of which the lowest
/// bit says that it is no keyframe, a sync code, and both lengths with 2 bits of scaling.
pub(crate) fn vp8_size(frame: &[u8]) -> Option<(u16, u16)> {
    match frame.get(..10)? {
        &[tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] if tag & 1 == 0 => {
            let size = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            Some((size(w0, w1), size(h0, h1)))
        }
        _ => None,
    }
}

fn level((width, height): (u16, u16)) -> u8 {
    let samples = u32::from(width) * u32::from(height);
    let fits = LEVELS.iter().find(|(most, _)| samples <= *most);
    fits.map_or(60, |(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_tells_its_size() {
        // Marker 2, profile 0, keyframe, shown; sync code; BT.601; 640 × 360.
        let bytes = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        let header = read(&bytes).unwrap();
        assert_eq!(header.size, (640, 360));
        assert_eq!(header.record()[..3], [0, 21, 0x82]);
        // An inter frame.
        assert!(read(&[0x86, 0x49, 0x83, 0x42]).is_none());
    }
}
