//! AV1 sequence headers (AV1 specification, section 5.5) and `av1C`.

use bytes::Bytes;

use crate::bits::{Bits, leb128};

/// What a sequence header says.
pub(crate) struct Sequence {
    pub(crate) size: (u16, u16),
    profile: u8,
    level: u8,
    tier: bool,
    color: Color,
}

#[derive(Default)]
struct Color {
    high: bool,
    twelve: bool,
    mono: bool,
    sub_x: bool,
    sub_y: bool,
    position: u8,
}

const SEQUENCE_HEADER: u8 = 1;

impl Sequence {
    /// The first sequence header among OBUs that carry their sizes.
    pub(crate) fn of_obus(obus: &[u8]) -> Option<Self> {
        Self::find(obus).map(|(sequence, _)| sequence)
    }

    /// The same, with the OBU that it stands in.
    pub(crate) fn find(mut obus: &[u8]) -> Option<(Self, &[u8])> {
        loop {
            let header = *obus.first()?;
            let extension = usize::from(header >> 2 & 1);
            let (length, took) = leb128(obus.get(1 + extension..)?)?;
            let start = 1 + extension + took;
            let end = start.checked_add(length)?;
            let body = obus.get(start..end)?;
            if (header >> 3) & 0x0f == SEQUENCE_HEADER {
                return Some((Self::read(body)?, obus.get(..end)?));
            }
            obus = obus.get(end..)?;
        }
    }

    /// Reads a header without its OBU header.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(body);
        let profile = bits.byte(3)?;
        bits.skip(1)?;
        let reduced = bits.flag()?;
        let (level, tier) = if reduced {
            (bits.byte(5)?, false)
        } else {
            operating_points(&mut bits)?
        };
        let (across, down) = (bits.number(4)? + 1, bits.number(4)? + 1);
        let width = bits.number(across)?.checked_add(1)?;
        let height = bits.number(down)?.checked_add(1)?;
        if !reduced && bits.flag()? {
            bits.skip(7)?;
        }
        bits.skip(3)?;
        if !reduced {
            tools(&mut bits)?;
        }
        bits.skip(3)?;
        Some(Self {
            size: (u16::try_from(width).ok()?, u16::try_from(height).ok()?),
            profile,
            level,
            tier,
            color: color(&mut bits, profile)?,
        })
    }

    /// The codec as the AV1 ISO media binding, section 5, names it.
    pub(crate) fn codecs(&self) -> String {
        let tier = if self.tier { 'H' } else { 'M' };
        let depth = match (self.color.high, self.color.twelve) {
            (true, true) => 12,
            (true, false) => 10,
            (false, _) => 8,
        };
        format!("av01.{}.{:02}{tier}.{depth:02}", self.profile, self.level)
    }

    /// The `AV1CodecConfigurationRecord` with this header, given as an OBU with its size.
    pub(crate) fn record(&self, obu: &[u8]) -> Bytes {
        let flag = |set: bool, bit: u8| u8::from(set) << bit;
        let color = &self.color;
        let third = flag(self.tier, 7)
            | flag(color.high, 6)
            | flag(color.twelve, 5)
            | flag(color.mono, 4)
            | flag(color.sub_x, 3)
            | flag(color.sub_y, 2)
            | color.position;
        let mut out = vec![0x81, (self.profile << 5) | self.level, third, 0];
        out.extend(obu);
        out.into()
    }
}

/// Timing, decoder models and operating points: the first point's level and tier.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let mut model = false;
    let mut delay_bits = 0;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            bits.skip_golomb()?;
        }
        model = bits.flag()?;
        if model {
            delay_bits = bits.number(5)? + 1;
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.number(5)? {
        bits.skip(12)?;
        let level = bits.byte(5)?;
        let tier = level > 7 && bits.flag()?;
        first.get_or_insert((level, tier));
        if model && bits.flag()? {
            bits.number(delay_bits)?;
            bits.number(delay_bits)?;
            bits.skip(1)?;
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    first
}

/// The coding tools that come before colours.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(4)?;
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?;
    }
    let chooses_screen = bits.flag()?;
    let screen = chooses_screen || bits.flag()?;
    if screen && !bits.flag()? {
        bits.skip(1)?;
    }
    bits.skip(if order_hint { 3 } else { 0 })
}

fn color(bits: &mut Bits<'_>, profile: u8) -> Option<Color> {
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let mono = profile != 1 && bits.flag()?;
    let described = if bits.flag()? { bits.number(24)? } else { 0 };
    let mut color = Color {
        high,
        twelve,
        mono,
        sub_x: true,
        sub_y: true,
        position: 0,
    };
    if mono {
        return Some(color);
    }
    // sRGB: primaries 1, transfer 13, matrix 0.
    if described == 0x01_0d_00 {
        (color.sub_x, color.sub_y) = (false, false);
        return Some(color);
    }
    bits.skip(1)?;
    (color.sub_x, color.sub_y) = match profile {
        0 => (true, true),
        1 => (false, false),
        _ if twelve => {
            let x = bits.flag()?;
            (x, x && bits.flag()?)
        }
        _ => (true, false),
    };
    if color.sub_x && color.sub_y {
        color.position = bits.byte(2)?;
    }
    Some(color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_tells_size_and_level() {
        // As SVT-AV1 wrote it: main profile, level 3.0, 640 × 360, 8 bits.
        let obu = [
            0x0a, 0x0b, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40, 0x10,
        ];
        let sequence = Sequence::of_obus(&obu).unwrap();
        assert_eq!(sequence.size, (640, 360));
        assert_eq!(sequence.codecs(), "av01.0.01M.08");
        assert_eq!(sequence.record(&obu)[..4], [0x81, 0x01, 0x0c, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(sequence) = Sequence::of_obus(&bytes) {
                let _ = (sequence.codecs(), sequence.record(&bytes));
            }
        }
    }
}
