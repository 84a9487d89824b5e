use proptest::prelude::*;

use super::*;

fn ids(value: u16, bits: u8, tl0_pic_idx: u8, key_idx: u8) -> PictureIds {
    PictureIds {
        id: Some(PictureId { value, bits }),
        tl0_pic_idx: Some(tl0_pic_idx),
        key_idx: Some(key_idx),
    }
}

fn numbers(patch: Option<PicturePatch>) -> Option<(u16, u8, u8)> {
    patch.map(|patch| (patch.picture_id, patch.tl0_pic_idx, patch.key_idx))
}

#[test]
fn the_first_source_keeps_its_numbers() {
    let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
    let mut forward = |ids| numbers(rewriter.forward(ids));
    assert_eq!(forward(ids(0x7fff, 15, 255, 31)), Some((0x7fff, 255, 31)));
    assert_eq!(forward(ids(0, 15, 0, 31)), Some((0, 0, 31)));
    // A later packet of the picture before.
    assert_eq!(forward(ids(0x7fff, 15, 255, 31)), Some((0x7fff, 255, 31)));
}

#[test]
fn dropped_pictures_close_up_and_lost_ones_do_not() {
    let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
    rewriter.forward(ids(100, 15, 9, 0));
    // Two packets of one dropped picture count once.
    rewriter.drop(ids(101, 15, 9, 0));
    rewriter.drop(ids(101, 15, 9, 0));
    let mut forward = |ids| numbers(rewriter.forward(ids));
    assert_eq!(forward(ids(102, 15, 9, 0)), Some((101, 9, 0)));
    // 103 is lost, and comes late.
    assert_eq!(forward(ids(104, 15, 10, 0)), Some((103, 10, 0)));
    assert_eq!(forward(ids(103, 15, 9, 0)), Some((102, 9, 0)));
    assert_eq!(forward(ids(101, 15, 9, 0)), None);
}

#[test]
fn a_switch_continues_all_three_numbers() {
    let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
    rewriter.forward(ids(0x7ffe, 15, 254, 30));
    rewriter.forward(ids(0x7fff, 15, 255, 31));
    // A late packet does not count as the last one.
    rewriter.forward(ids(0x7ffe, 15, 254, 30));
    rewriter.switch();
    // Dropped while waiting for the keyframe: of no account.
    rewriter.drop(ids(70, 7, 3, 3));
    assert_eq!(numbers(rewriter.forward(ids(90, 7, 3, 4))), Some((0, 0, 0)));
    assert_eq!(numbers(rewriter.forward(ids(91, 7, 4, 5))), Some((1, 1, 1)));
    assert_eq!(numbers(rewriter.forward(ids(89, 7, 3, 4))), None);
}

#[test]
fn vp9_and_av1_keep_the_gaps_that_their_references_count() {
    for (codec, bits) in [(Codec::Vp9, 15), (Codec::Av1, 16)] {
        let mut rewriter = PictureIdRewriter::new(codec);
        rewriter.forward(ids(100, bits, 0, 0));
        rewriter.drop(ids(101, bits, 0, 0));
        assert_eq!(
            numbers(rewriter.forward(ids(102, bits, 0, 0))),
            Some((102, 0, 0))
        );
        rewriter.switch();
        assert_eq!(
            numbers(rewriter.forward(ids(5, bits, 9, 0))),
            Some((103, 1, 1))
        );
        assert_eq!(
            numbers(rewriter.forward(ids(8, bits, 9, 0))),
            Some((106, 1, 1))
        );
    }
}

#[test]
fn packets_without_numbers_pass() {
    let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
    assert_eq!(
        rewriter.forward(PictureIds::NONE),
        Some(PicturePatch::default())
    );
    rewriter.drop(PictureIds::NONE);
    rewriter.switch();
    assert_eq!(
        rewriter.forward(PictureIds::NONE),
        Some(PicturePatch::default())
    );
}

proptest! {
    /// In order: each picture that is not dropped is one after the last, over any switch and wrap.
    #[test]
    fn pictures_have_no_seams(
        steps in prop::collection::vec((0_u8..10, 0_u16..0x8000, any::<bool>()), 1..300),
    ) {
        let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
        let (mut value, mut bits, mut tl0) = (0x7ff0_u16, 15, 250_u8);
        let mut last: Option<(PictureId, u8)> = None;
        for (fate, jump, short) in steps {
            if fate == 0 {
                rewriter.switch();
                bits = if short { 7 } else { 15 };
                (value, tl0) = (jump, jump.to_be_bytes()[1]);
            }
            value = (value + 1) & ((1 << bits) - 1);
            if (1..5).contains(&fate) {
                rewriter.drop(ids(value, bits, tl0, 0));
                continue;
            }
            tl0 = tl0.wrapping_add(1);
            let patch = rewriter.forward(ids(value, bits, tl0, 0)).unwrap();
            if let Some((last, last_tl0)) = last {
                // Between widths only the low bits tell.
                let mask = (1 << bits.min(last.bits)) - 1;
                prop_assert_eq!(patch.picture_id & mask, (last.value + 1) & mask);
                prop_assert_eq!(patch.tl0_pic_idx, last_tl0.wrapping_add(1));
            }
            last = Some((PictureId { value: patch.picture_id, bits }, patch.tl0_pic_idx));
        }
    }
}
