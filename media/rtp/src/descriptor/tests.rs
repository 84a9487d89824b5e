use proptest::prelude::*;

use super::*;

/// What a packet is, in short: keyframe, start, end, switch point, discardable.
fn flags(info: FrameInfo) -> [bool; 5] {
    [
        info.keyframe,
        info.start_of_frame,
        info.end_of_frame,
        info.switch_point,
        info.discardable,
    ]
}

fn h264(payload: &[u8]) -> FrameInfo {
    inspect(Codec::H264, payload, false, None).unwrap()
}

fn h265(payload: &[u8]) -> FrameInfo {
    inspect(Codec::H265, payload, true, None).unwrap()
}

fn av1(payload: &[u8]) -> FrameInfo {
    inspect(Codec::Av1, payload, true, None).unwrap()
}

#[test]
fn a_vp8_keyframe_is_its_first_packet() {
    // S, partition 0, 15-bit picture id 0x1234, TL0PICIDX 7, TID 0, KEYIDX 3; a 640×360 keyframe.
    let payload = [
        0x90, 0xf0, 0x92, 0x34, 7, 0x03, 0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41,
    ];
    let info = inspect(Codec::Vp8, &payload, false, None).unwrap();
    assert_eq!(flags(info), [true, true, false, true, false]);
    let id = Some(PictureId {
        value: 0x1234,
        bits: 15,
    });
    assert_eq!(info.picture.id, id);
    assert_eq!(info.picture.tl0_pic_idx, Some(7));
    assert_eq!(info.picture.key_idx, Some(3));
    let resolution = Resolution {
        width: 640,
        height: 0x168,
    };
    assert_eq!(super::resolution(Codec::Vp8, &payload), Some(resolution));

    // The same without S: a later packet; nothing says keyframe.
    let mut later = payload;
    later[0] = 0x80;
    let info = inspect(Codec::Vp8, &later, true, None).unwrap();
    assert_eq!(flags(info), [false, false, true, true, false]);
    assert_eq!(super::resolution(Codec::Vp8, &later), None);
}

#[test]
fn vp8_layers_have_switch_points() {
    // N, S; 7-bit id 5, no TL0PICIDX, TID 2, first without and then with Y.
    let info = inspect(Codec::Vp8, &[0xb0, 0xa0, 5, 0x80, 0x01], true, None).unwrap();
    assert_eq!(flags(info), [false, true, true, false, true]);
    assert_eq!(info.layer.temporal, 2);
    let info = inspect(Codec::Vp8, &[0xb0, 0xa0, 5, 0xa0, 0x01], true, None).unwrap();
    assert!(info.switch_point);
    assert_eq!(info.picture.key_idx, None);
    assert_eq!(info.picture.id, Some(PictureId { value: 5, bits: 7 }));
    assert!(inspect(Codec::Vp8, &[0xb0, 0xa0, 5], true, None).is_none());
}

#[test]
fn a_prefix_has_the_new_ids_in_the_old_places() {
    let patch = PicturePatch {
        picture_id: 0x1abc,
        tl0_pic_idx: 9,
        key_idx: 0x3f,
    };
    let long = [0x90, 0xf0, 0x92, 0x34, 7, 0x43, 0x10];
    let prefix = super::prefix(Codec::Vp8, &long, patch);
    assert_eq!(prefix.as_slice(), [0x90, 0xf0, 0x9a, 0xbc, 9, 0x5f]);
    let short = [0x90, 0xa0, 0x34, 0x43, 0x10];
    let prefix = super::prefix(Codec::Vp8, &short, patch);
    assert_eq!(prefix.as_slice(), [0x90, 0xa0, 0x3c, 0x43]);
    let vp9 = [0xa8, 0x92, 0x34, 0x00, 7, 1, 2, 3];
    let prefix = super::prefix(Codec::Vp9, &vp9, patch);
    assert_eq!(prefix.as_slice(), [0xa8, 0x9a, 0xbc, 0x00, 9]);
    assert_eq!(super::prefix(Codec::H264, &long, patch).len(), 0);
    assert_eq!(super::prefix(Codec::Vp8, &[], patch).len(), 0);
}

#[test]
fn vp9_keyframes_carry_their_structure() {
    // I, L, B, E, V; id 0x1234, base layer, TL0PICIDX 1; two layers with sizes, one picture group.
    let payload = [
        0xae, 0x92, 0x34, 0x00, 1, 0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x01,
        0x04, 0x01, 0xaa,
    ];
    let info = inspect(Codec::Vp9, &payload, false, None).unwrap();
    assert_eq!(flags(info), [true, true, true, true, false]);
    assert_eq!(info.picture.tl0_pic_idx, Some(1));
    let top = Resolution {
        width: 640,
        height: 360,
    };
    assert_eq!(super::resolution(Codec::Vp9, &payload), Some(top));
    let parsed = vp9::Vp9Descriptor::parse(&payload).unwrap();
    assert_eq!((parsed.length, parsed.resolutions.len()), (17, 2));
}

#[test]
fn vp9_layers_end_each_for_itself() {
    // Flexible, spatial 1 of a keyframe: no earlier picture, only the layer below.
    let info = inspect(Codec::Vp9, &[0xbc, 0x05, 0x03, 0xaa], false, None).unwrap();
    assert_eq!(flags(info), [false, true, true, true, false]);
    assert!(info.spatial_switch_point);
    assert_eq!(
        info.layer,
        Layer {
            spatial: 1,
            temporal: 0
        }
    );
    // Flexible, predicted with two references, temporal 2, spatial 1, switching up.
    let inter = [0xf8, 0x05, 0x52, 0x03, 0x04, 0xaa];
    let info = inspect(Codec::Vp9, &inter, false, None).unwrap();
    assert_eq!(flags(info), [false, true, false, true, false]);
    assert!(!info.spatial_switch_point);
    assert_eq!(
        info.layer,
        Layer {
            spatial: 1,
            temporal: 2
        }
    );
    assert_eq!(vp9::Vp9Descriptor::parse(&inter).unwrap().length, 5);
    // Four references are too many.
    let inter = [0xf8, 0x05, 0x52, 0x03, 0x05, 0x07, 0x08, 0xaa];
    assert!(inspect(Codec::Vp9, &inter, false, None).is_none());
}

#[test]
fn h264_starts_at_its_parameters() {
    assert_eq!(
        flags(h264(&[0x67, 0x42, 0])),
        [true, true, false, true, false]
    );
    // STAP-A of SPS and PPS.
    let stap = [0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce];
    assert!(h264(&stap).keyframe);
    assert!(h264(&[0x7c, 0x87, 0x42]).keyframe);
    // The IDR slice that follows starts nothing for a decoder: single and as FU-A.
    assert_eq!(
        flags(h264(&[0x65, 0x88])),
        [false, true, false, true, false]
    );
    assert_eq!(
        flags(h264(&[0x7c, 0x85, 0x88])),
        [false, true, false, true, false]
    );
    assert_eq!(
        flags(h264(&[0x7c, 0x45, 0x88])),
        [false, false, false, true, false]
    );
    // A slice that nobody refers to, not the first of its picture.
    assert_eq!(
        flags(h264(&[0x01, 0x48])),
        [false, false, false, true, true]
    );
    // STAP-B has a decoding order number before its units.
    assert!(h264(&[0x79, 0, 1, 0, 1, 0x67]).keyframe);
    assert!(inspect(Codec::H264, &[0x78, 0, 9, 0x67], false, None).is_none());
}

#[test]
fn h265_starts_at_its_parameters() {
    assert_eq!(
        flags(h265(&[0x40, 0x01, 0x0c])),
        [true, true, true, true, false]
    );
    assert!(h265(&[0x42, 0x01, 0x01]).keyframe);
    // An aggregation of VPS, SPS and PPS.
    let packet = [
        0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c, 0, 3, 0x42, 0x01, 0x01, 0, 2, 0x44, 0x01,
    ];
    assert!(h265(&packet).keyframe);
    // The first fragment of an IDR slice, and a later one.
    assert_eq!(
        flags(h265(&[0x62, 0x01, 0x93, 0x80])),
        [false, true, true, true, false]
    );
    assert!(!h265(&[0x62, 0x01, 0x13, 0x80]).start_of_frame);
    // Temporal sub-layer 1: an ordinary picture, and a switching one (TSA).
    let info = h265(&[0x02, 0x02, 0x80]);
    assert_eq!((info.layer.temporal, info.switch_point), (1, false));
    assert!(h265(&[0x06, 0x02, 0x80]).switch_point);
    assert!(inspect(Codec::H265, &[0x60, 0x01, 0, 9], false, None).is_none());
}

#[test]
fn av1_starts_with_a_sequence() {
    // N, one element: a sequence header.
    assert_eq!(
        flags(av1(&[0x18, 0x08, 0])),
        [true, true, true, true, false]
    );
    // No N, two elements, the first of length 2: a sequence header nonetheless.
    assert!(av1(&[0x20, 0x02, 0x08, 0, 0x30]).keyframe);
    // A frame, its continuation, and a tile group.
    assert_eq!(
        flags(av1(&[0x10, 0x30, 0])),
        [false, true, true, true, false]
    );
    assert!(!av1(&[0x90, 0x30, 0]).start_of_frame);
    assert!(!av1(&[0x10, 0x20, 0]).start_of_frame);
    assert!(inspect(Codec::Av1, &[0x20, 0xff], true, None).is_none());
}

#[test]
fn audio_is_whole() {
    assert_eq!(
        inspect(Codec::Opus, &[0xfc], false, None),
        Some(FrameInfo::WHOLE)
    );
    assert_eq!(inspect(Codec::Opus, &[], false, None), None);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let patch = PicturePatch { picture_id: 0x7fff, tl0_pic_idx: 1, key_idx: 2 };
        for codec in Codec::ALL {
            let info = inspect(codec, &payload, true, None);
            prop_assert!(info.is_none_or(|info| !info.keyframe || info.start_of_frame));
            let prefix = super::prefix(codec, &payload, patch);
            prop_assert!(prefix.len() <= payload.len());
            let _ = super::resolution(codec, &payload);
            let _ = dependency::DependencyState::default().read(&payload);
        }
    }

    /// Patching changes the ids, all of them, and nothing else.
    #[test]
    fn a_patched_payload_reads_as_patched(
        payload in prop::collection::vec(any::<u8>(), 8..40),
        picture_id in 0_u16..0x8000, tl0_pic_idx in any::<u8>(), key_idx in 0_u8..32,
    ) {
        for codec in [Codec::Vp8, Codec::Vp9] {
            let Some(before) = inspect(codec, &payload, false, None) else { continue };
            let patch = PicturePatch { picture_id, tl0_pic_idx, key_idx };
            let prefix = super::prefix(codec, &payload, patch);
            let mut patched = payload.clone();
            patched[..prefix.len()].copy_from_slice(&prefix);
            let after = inspect(codec, &patched, false, None).unwrap();
            let ids = PictureIds {
                id: before.picture.id.map(|id| PictureId {
                    value: picture_id & ((1 << id.bits) - 1),
                    bits: id.bits,
                }),
                tl0_pic_idx: before.picture.tl0_pic_idx.map(|_| tl0_pic_idx),
                key_idx: before.picture.key_idx.map(|_| key_idx),
            };
            prop_assert_eq!(after, FrameInfo { picture: ids, ..before });
        }
    }
}
