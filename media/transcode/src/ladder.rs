//! Which renditions a source is worth: a pure function of what it is.
//!
//! A rendition is never larger than its source, never has more bits than the source has, and each
//! is clearly cheaper than the one above it.

use media_types::Bitrate;

use crate::Size;
use crate::limits::{RENDITIONS_MAX, SIDE_MAX, VIDEO_BPS_MIN};

/// A source as it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its picture.
    pub size: Size,
    /// What it sends.
    pub bitrate: Bitrate,
}

/// One rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendition {
    /// Its picture, of the source's shape.
    pub size: Size,
    /// What it is encoded at.
    pub bitrate: Bitrate,
}

/// Shorter side and kb/s at 30 pictures a second, from the top.
const RUNGS: [(u16, u64); 6] = [
    (2_160, 14_000),
    (1_440, 8_000),
    (1_080, 4_500),
    (720, 2_500),
    (480, 1_200),
    (360, 600),
];
/// A rung has at most this share of the bits of what is above it, or nobody gains by it.
const SHARE_PERCENT: u64 = 60;

/// The renditions below a source, best first; the source itself is not among them.
#[must_use]
pub fn renditions(source: Source) -> Vec<Rendition> {
    let short = source.size.width().min(source.size.height());
    let mut above = source.bitrate;
    let mut found = Vec::with_capacity(RENDITIONS_MAX);
    for (side, kbps) in RUNGS {
        if side >= short || found.len() == RENDITIONS_MAX {
            continue;
        }
        let bitrate = Bitrate::from_kbps(kbps).min(above.percent(SHARE_PERCENT));
        let Some(size) = scaled(source.size, short, side) else {
            continue;
        };
        if bitrate.bps() < VIDEO_BPS_MIN {
            break;
        }
        above = bitrate;
        found.push(Rendition { size, bitrate });
    }
    found
}

/// The source's shape with another shorter side; sides are even.
fn scaled(size: Size, short: u16, side: u16) -> Option<Size> {
    let even = |length: u16| {
        let scaled = u32::from(length) * u32::from(side);
        let half = (scaled + u32::from(short)).checked_div(2 * u32::from(short))?;
        // The nearest even number of pixels.
        u16::try_from(half * 2).ok()
    };
    let (width, height) = (even(size.width())?, even(size.height())?);
    Size::new(width.min(SIDE_MAX), height.min(SIDE_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(width: u16, height: u16, kbps: u64) -> Vec<(u16, u16, u64)> {
        let size = Size::new(width, height).unwrap();
        let bitrate = Bitrate::from_kbps(kbps);
        renditions(Source { size, bitrate })
            .into_iter()
            .map(|rung| {
                (
                    rung.size.width(),
                    rung.size.height(),
                    rung.bitrate.bps() / 1_000,
                )
            })
            .collect()
    }

    #[test]
    fn a_full_hd_source_gets_three() {
        let rungs = [(1_280, 720, 2_500), (854, 480, 1_200), (640, 360, 600)];
        assert_eq!(of(1_920, 1_080, 6_000), rungs);
    }

    #[test]
    fn an_upright_source_keeps_its_shape() {
        assert_eq!(of(720, 1_280, 2_000), [(480, 854, 1_200), (360, 640, 600)]);
    }

    #[test]
    fn a_poor_source_gives_no_more_than_it_has() {
        let rungs = [(1_280, 720, 600), (854, 480, 360), (640, 360, 216)];
        assert_eq!(of(1_920, 1_080, 1_000), rungs);
        assert_eq!(of(320, 240, 500), []);
    }

    proptest! {
        #[test]
        fn a_rung_is_smaller_cheaper_and_of_the_same_shape(
            width in 16_u16..=4_096, height in 16_u16..=4_096, bps in 0_u64..200_000_000,
        ) {
            let size = Size::new(width * 2, height * 2).unwrap();
            let source = Source { size, bitrate: Bitrate::from_bps(bps) };
            let found = renditions(source);
            prop_assert!(found.len() <= RENDITIONS_MAX);
            let mut above = Rendition { size, bitrate: source.bitrate };
            for rung in found {
                prop_assert!(rung.bitrate < above.bitrate);
                prop_assert!(rung.size.width() <= above.size.width());
                prop_assert!(rung.size.height() <= above.size.height());
                let cross = u64::from(rung.size.width()) * u64::from(size.height());
                let other = u64::from(rung.size.height()) * u64::from(size.width());
                let slack = 3 * u64::from(size.width().max(size.height()));
                prop_assert!(cross.abs_diff(other) <= slack, "{rung:?} of {size:?}");
                above = rung;
            }
        }
    }
}
