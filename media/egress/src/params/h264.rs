//! H.264 sequence parameter sets (section 7.3.2.1).

use bytes::Bytes;

use crate::bits::{Bits, without_emulation};

/// Profiles whose sets tell of chroma (section 7.3.2.1.1).
const HIGH: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

struct Sps {
    profile: u8,
    chroma: u8,
    depth_luma: u8,
    depth_chroma: u8,
    size: (u16, u16),
}

/// Width and height in pixels of what a set (with its NAL header) describes.
pub(crate) fn size(unit: &[u8]) -> Option<(u16, u16)> {
    read(unit).map(|sps| sps.size)
}

fn read(unit: &[u8]) -> Option<Sps> {
    let plain = without_emulation(unit.get(1..)?);
    let mut bits = Bits::new(&plain);
    let profile = bits.byte(8)?;
    bits.skip(16)?;
    bits.skip_golomb()?;
    let (mut chroma, mut depth_luma, mut depth_chroma, mut planes) = (1, 0, 0, false);
    if HIGH.contains(&profile) {
        chroma = u8::try_from(bits.golomb()?).ok()?;
        if chroma == 3 {
            planes = bits.flag()?;
        }
        depth_luma = u8::try_from(bits.golomb()?)
            .ok()
            .filter(|&bits| bits <= 6)?;
        depth_chroma = u8::try_from(bits.golomb()?)
            .ok()
            .filter(|&bits| bits <= 6)?;
        bits.skip(1)?;
        if bits.flag()? {
            skip_scaling(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.skip_golomb()?;
    skip_order(&mut bits)?;
    bits.skip_golomb()?;
    bits.skip(1)?;
    let width = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let rows = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.flag()?;
    let height = rows.checked_mul(if frames_only { 1 } else { 2 })?;
    if !frames_only {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.golomb()?.min(u32::from(u16::MAX));
        }
    }
    let chroma_array = if planes { 0 } else { chroma };
    let unit_x = if matches!(chroma_array, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma_array == 1 { 2 } else { 1 } * if frames_only { 1 } else { 2 };
    let [left, right, top, bottom] = crop;
    let width = width.checked_sub((left + right) * unit_x)?;
    let height = height.checked_sub((top + bottom) * unit_y)?;
    Some(Sps {
        profile,
        chroma,
        depth_luma,
        depth_chroma,
        size: (u16::try_from(width).ok()?, u16::try_from(height).ok()?),
    })
}

/// How pictures are ordered.
fn skip_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.golomb()? {
        0 => bits.skip_golomb()?,
        1 => {
            bits.skip(1)?;
            bits.skip_golomb()?;
            bits.skip_golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.skip_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn skip_scaling(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let entries = if list < 6 { 16 } else { 64 };
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..entries {
            if next != 0 {
                let code = i64::from(bits.golomb()?);
                let delta = if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -(code / 2)
                };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// The number of a picture parameter set, with its NAL header.
pub(crate) fn picture_set_id(unit: &[u8]) -> Option<u32> {
    Bits::new(&without_emulation(unit.get(1..)?)).golomb()
}

/// The `AVCDecoderConfigurationRecord` of these sets (ISO/IEC 14496-15, section 5.3.3.1).
pub(crate) fn record(sps: &[u8], pictures: &[Bytes]) -> Option<Bytes> {
    let known = read(sps)?;
    let [_, profile, compatibility, level, ..] = *sps else {
        return None;
    };
    let mut out = vec![1, profile, compatibility, level, 0xff, 0xe1];
    out.extend(u16::try_from(sps.len()).ok()?.to_be_bytes());
    out.extend(sps);
    out.push(u8::try_from(pictures.len()).ok()?);
    for set in pictures {
        out.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        out.extend(set);
    }
    if HIGH.contains(&known.profile) {
        out.push(0xfc | known.chroma);
        out.extend([0xf8 | known.depth_luma, 0xf8 | known.depth_chroma, 0]);
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Constrained baseline, level 3.1, 640 × 360, as libwebrtc's OpenH264 writes it.
    const SPS: [u8; 13] = [
        0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08,
    ];

    #[test]
    fn the_size_takes_cropping_off() {
        assert_eq!(size(&SPS), Some((640, 360)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = size(&bytes);
            let _ = record(&bytes, &[]);
        }
    }
}
