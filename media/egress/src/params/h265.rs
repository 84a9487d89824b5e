//! H.265 sequence parameter sets (section 7.3.2.2) and the record they make.

use bytes::Bytes;

use crate::bits::{Bits, without_emulation};

/// What a sequence parameter set says.
pub(crate) struct Sps {
    pub(crate) size: (u16, u16),
    /// Twelve bytes: profile, compatibility, constraints, level.
    general: [u8; 12],
    chroma: u8,
    depth_luma: u8,
    depth_chroma: u8,
    layers: u8,
    nested: bool,
}

impl Sps {
    /// Reads a set with its NAL header of two bytes.
    pub(crate) fn read(unit: &[u8]) -> Option<Self> {
        let plain = without_emulation(unit.get(2..)?);
        let mut bits = Bits::new(&plain);
        bits.skip(4)?;
        let sub_layers = bits.byte(3)?;
        let nested = bits.flag()?;
        let mut general = [0; 12];
        for byte in &mut general {
            *byte = bits.byte(8)?;
        }
        skip_sub_layers(&mut bits, sub_layers)?;
        bits.skip_golomb()?;
        let chroma = u8::try_from(bits.golomb()?)
            .ok()
            .filter(|&format| format <= 3)?;
        if chroma == 3 {
            bits.skip(1)?;
        }
        let (width, height) = (bits.golomb()?, bits.golomb()?);
        let mut crop = [0; 4];
        if bits.flag()? {
            for side in &mut crop {
                *side = bits.golomb()?.min(u32::from(u16::MAX));
            }
        }
        let depth_luma = u8::try_from(bits.golomb()?)
            .ok()
            .filter(|&bits| bits <= 7)?;
        let depth_chroma = u8::try_from(bits.golomb()?)
            .ok()
            .filter(|&bits| bits <= 7)?;
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma == 1 { 2 } else { 1 };
        let [left, right, top, bottom] = crop;
        let width = width.checked_sub((left + right) * unit_x)?;
        let height = height.checked_sub((top + bottom) * unit_y)?;
        Some(Self {
            size: (u16::try_from(width).ok()?, u16::try_from(height).ok()?),
            general,
            chroma,
            depth_luma,
            depth_chroma,
            layers: sub_layers + 1,
            nested,
        })
    }

    /// The codec as ISO/IEC 14496-15, section E.3, names it.
    pub(crate) fn codecs(&self) -> String {
        let [first, c0, c1, c2, c3, constraints @ .., level] = self.general;
        let space = ["", "A", "B", "C"];
        let space = space.get(usize::from(first >> 6)).copied().unwrap_or("");
        let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let tier = if first & 0x20 == 0 { 'L' } else { 'H' };
        let profile = first & 0x1f;
        let mut text = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
        let used = constraints.iter().rposition(|&byte| byte != 0);
        for byte in constraints.iter().take(used.map_or(0, |last| last + 1)) {
            text.push_str(&format!(".{byte:X}"));
        }
        text
    }

    /// The `HEVCDecoderConfigurationRecord` of these sets (ISO/IEC 14496-15, section 8.3.3.1).
    pub(crate) fn record(&self, vps: &[u8], sps: &[u8], pictures: &[Bytes]) -> Option<Bytes> {
        let mut out = vec![1];
        out.extend(self.general);
        out.extend([0xf0, 0, 0xfc, 0xfc | self.chroma]);
        out.extend([0xf8 | self.depth_luma, 0xf8 | self.depth_chroma, 0, 0]);
        out.push((self.layers << 3) | (u8::from(self.nested) << 2) | 3);
        out.push(3);
        for (kind, sets) in [(32, vec![vps]), (33, vec![sps])] {
            write_sets(&mut out, kind, sets.into_iter())?;
        }
        write_sets(&mut out, 34, pictures.iter().map(|set| &set[..]))?;
        Some(out.into())
    }
}

fn write_sets<'a>(
    out: &mut Vec<u8>,
    kind: u8,
    sets: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Option<()> {
    out.push(0x80 | kind);
    out.extend(u16::try_from(sets.len()).ok()?.to_be_bytes());
    for set in sets {
        out.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        out.extend(set);
    }
    Some(())
}

fn skip_sub_layers(bits: &mut Bits<'_>, count: u8) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let mut present = Vec::new();
    for _ in 0..count {
        present.push((bits.flag()?, bits.flag()?));
    }
    bits.skip(usize::from(8 - count) * 2)?;
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 })?;
        bits.skip(if level { 8 } else { 0 })?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As x265 wrote it: range extensions, 8 bits 4:4:4, 640 × 362.
    const SPS: [u8; 45] = [
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00,
        0x00, 0x3f, 0x90, 0x00, 0xa0, 0x40, 0x2e, 0x3e, 0x7c, 0xb2, 0xb3, 0x49, 0x26, 0x57, 0x80,
        0xb7, 0x02, 0x02, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x78,
    ];

    #[test]
    fn a_set_tells_size_and_profile() {
        let sps = Sps::read(&SPS).unwrap();
        assert_eq!(sps.size, (640, 362));
        assert_eq!(sps.codecs(), "hvc1.4.10.L63.9E.8");
        let record = sps
            .record(&[0x40, 1], &SPS, &[Bytes::from_static(&[0x44, 1])])
            .unwrap();
        let config = crate::TrackConfig::from_hvcc(record).unwrap();
        assert_eq!((config.width, config.height), (640, 362));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            if let Some(sps) = Sps::read(&bytes) {
                let _ = (sps.codecs(), sps.record(&[], &bytes, &[]));
            }
        }
    }
}
