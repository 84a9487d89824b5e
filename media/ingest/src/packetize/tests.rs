use super::*;
use proptest::prelude::*;

fn slices(payloads: &[Payload]) -> Vec<&[u8]> {
    payloads.iter().map(Payload::as_slice).collect()
}

fn avcc(nals: &[&[u8]]) -> Vec<u8> {
    let with_length = |nal: &&[u8]| {
        let length = u32::try_from(nal.len()).unwrap().to_be_bytes();
        [&length[..], nal].concat()
    };
    nals.iter().flat_map(with_length).collect()
}

fn sets(sets: &[&'static [u8]]) -> Vec<Bytes> {
    sets.iter().map(|set| Bytes::from_static(set)).collect()
}

#[test]
fn a_keyframe_of_h264_begins_with_its_parameter_sets() {
    let mut packetizer = Packetizer::new(Codec::H264);
    packetizer.set_parameter_sets(sets(&[b"\x67sps", b"\x68pps"]));
    let mut idr = vec![0x65];
    idr.resize(3_000, 7);
    // A delimiter that is left out, and a slice in three pieces.
    let payloads = packetizer
        .packetize(&avcc(&[b"\x09\xf0", &idr]), true)
        .unwrap();
    let payloads = slices(&payloads);
    assert_eq!(payloads[0], b"\x78\x00\x04\x67sps\x00\x04\x68pps");
    let heads: Vec<&[u8]> = payloads[1..].iter().map(|payload| &payload[..2]).collect();
    assert_eq!(heads, [b"\x7c\x85", b"\x7c\x05", b"\x7c\x45"]);
    let lengths: Vec<usize> = payloads[1..].iter().map(|payload| payload.len()).collect();
    assert_eq!(lengths, [1_150, 1_150, 2_999 - 2 * 1_148 + 2]);
    assert!(
        payloads
            .iter()
            .skip(1)
            .all(|payload| payload[2..].iter().all(|byte| *byte == 7))
    );
}

#[test]
fn parameter_sets_are_not_doubled_and_not_sent_between() {
    let mut packetizer = Packetizer::new(Codec::H264);
    packetizer.set_parameter_sets(sets(&[b"\x67old", b"\x68old"]));
    let own = avcc(&[b"\x67new", b"\x68new", b"\x65idr"]);
    let payloads = packetizer.packetize(&own, true).unwrap();
    let together = b"\x78\x00\x04\x67new\x00\x04\x68new\x00\x04\x65idr";
    assert_eq!(slices(&payloads), [&together[..]]);
    let payloads = packetizer.packetize(&avcc(&[b"\x41slice"]), false).unwrap();
    assert_eq!(slices(&payloads), [b"\x41slice"]);
}

#[test]
fn h265_aggregates_and_fragments() {
    let mut packetizer = Packetizer::new(Codec::H265);
    packetizer.set_parameter_sets(sets(&[b"\x40\x01v", b"\x42\x01s", b"\x44\x01p"]));
    let mut idr = vec![0x26, 0x01];
    idr.resize(2_000, 9);
    let payloads = packetizer.packetize(&avcc(&[&idr]), true).unwrap();
    let payloads = slices(&payloads);
    let together = b"\x60\x01\x00\x03\x40\x01v\x00\x03\x42\x01s\x00\x03\x44\x01p";
    assert_eq!(payloads[0], together);
    assert_eq!(payloads[1][..3], [0x62, 0x01, 0x80 | 19]);
    assert_eq!(payloads[2][..3], [0x62, 0x01, 0x40 | 19]);
    assert_eq!(payloads.len(), 3);
    assert_eq!(payloads[1].len() + payloads[2].len(), 2_000 - 2 + 6);
}

#[test]
fn pictures_of_vp8_and_vp9_have_numbers_and_ends() {
    let mut vp8 = Packetizer::new(Codec::Vp8);
    let payloads = vp8.packetize(&[5; 2_000], true).unwrap();
    assert_eq!(payloads[0].as_slice()[..4], [0x90, 0x80, 0x80, 1]);
    assert_eq!(payloads[1].as_slice()[..4], [0x80, 0x80, 0x80, 1]);
    let mut vp9 = Packetizer::new(Codec::Vp9);
    let payloads = vp9.packetize(&[5; 2_000], true).unwrap();
    assert_eq!(payloads[0].as_slice()[..4], [0x98, 0x80, 1, 5]);
    assert_eq!(payloads[1].as_slice()[..4], [0x94, 0x80, 1, 5]);
    let payloads = vp9.packetize(&[5; 100], false).unwrap();
    assert_eq!(payloads[0].as_slice()[..5], [0xdc, 0x80, 2, 2, 5]);
}

#[test]
fn av1_loses_its_sizes_and_delimiter() {
    let mut packetizer = Packetizer::new(Codec::Av1);
    packetizer.set_parameter_sets(sets(&[b"\x0a\x03seq"]));
    let frame = b"\x12\x00\x32\x05frame";
    let payloads = packetizer.packetize(frame, true).unwrap();
    let expected = b"\x08\x84\x00\x08seq\x86\x00\x30frame";
    assert_eq!(slices(&payloads), [expected]);
    // One that brings its own sequence header.
    let payloads = packetizer.packetize(b"\x0a\x03own\x32\x01f", true).unwrap();
    assert_eq!(slices(&payloads), [b"\x08\x84\x00\x08own\x82\x00\x30f"]);
    let payloads = packetizer.packetize(frame, false).unwrap();
    assert_eq!(slices(&payloads), [b"\x00\x86\x00\x30frame"]);
}

#[test]
fn long_obus_go_on() {
    let mut packetizer = Packetizer::new(Codec::Av1);
    // 2,500 bytes: 0xc4 0x13 as a size.
    let frame = [&b"\x32\xc4\x13"[..], &[6; 2_500]].concat();
    let payloads = packetizer.packetize(&frame, false).unwrap();
    let heads: Vec<u8> = payloads
        .iter()
        .map(|payload| payload.as_slice()[0])
        .collect();
    assert_eq!(heads, [0x40, 0xc0, 0x80]);
    let bytes: usize = payloads.iter().map(|payload| payload.len() - 3).sum();
    assert_eq!(bytes, 2_501);
    assert!(
        payloads
            .iter()
            .all(|payload| payload.len() <= LIVE_PAYLOAD_BYTES_MAX)
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut h264 = Packetizer::new(Codec::H264);
    assert!(h264.packetize(b"", true).is_err());
    assert!(h264.packetize(&avcc(&[b"\x09\xf0"]), false).is_err());
    assert!(
        Packetizer::new(Codec::Opus)
            .packetize(&[1; 1_151], true)
            .is_err()
    );
    assert!(
        Packetizer::new(Codec::Av1)
            .packetize(b"\x32\x09f", false)
            .is_err()
    );
    let whole = Packetizer::new(Codec::Opus)
        .packetize(&[1; 1_150], true)
        .unwrap();
    assert_eq!(whole.len(), 1);
}

#[test]
fn descriptors_tell_keyframes() {
    use media_rtp::descriptor::inspect;
    let frames: [(Codec, Vec<u8>); 4] = [
        (Codec::H264, avcc(&[b"\x67sps", b"\x68pps", b"\x65idr"])),
        (
            Codec::H265,
            avcc(&[b"\x40\x01v", b"\x42\x01s", b"\x44\x01p", b"\x26\x01i"]),
        ),
        (Codec::Vp9, vec![0x82, 0x49, 0x83, 0x42, 0]),
        (Codec::Av1, b"\x0a\x03own\x32\x01f".to_vec()),
    ];
    for (codec, frame) in frames {
        let payloads = Packetizer::new(codec).packetize(&frame, true).unwrap();
        let info = inspect(codec, payloads[0].as_slice(), true, None).unwrap();
        assert!(info.keyframe && info.start_of_frame, "{codec:?}");
    }
}

proptest! {
    #[test]
    fn pieces_of_h264_make_the_whole(
        lengths in prop::collection::vec(2_usize..4_000, 1..8),
    ) {
        let nals: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| {
                let fill = u8::try_from(at).unwrap();
                let mut nal = vec![0x41];
                nal.resize(*length, fill);
                nal
            })
            .collect();
        let frame = avcc(&nals.iter().map(|nal| &nal[..]).collect::<Vec<_>>());
        let payloads = Packetizer::new(Codec::H264).packetize(&frame, false).unwrap();
        let mut got: Vec<Vec<u8>> = Vec::new();
        for payload in &payloads {
            let bytes = payload.as_slice();
            prop_assert!(bytes.len() <= LIVE_PAYLOAD_BYTES_MAX);
            match bytes[0] & 0x1f {
                24 => {
                    let mut rest = &bytes[1..];
                    while !rest.is_empty() {
                        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        got.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                28 if bytes[1] & 0x80 != 0 => {
                    let head = (bytes[0] & 0xe0) | (bytes[1] & 0x1f);
                    got.push([&[head], &bytes[2..]].concat());
                }
                28 => got.last_mut().unwrap().extend_from_slice(&bytes[2..]),
                _ => got.push(bytes.to_vec()),
            }
        }
        prop_assert_eq!(got, nals);
    }

    #[test]
    fn any_frame_is_cut_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..4_000),
        keyframe: bool,
    ) {
        for codec in Codec::ALL {
            if let Ok(payloads) = Packetizer::new(codec).packetize(&bytes, keyframe) {
                let fits = |payload: &Payload| {
                    (1..=LIVE_PAYLOAD_BYTES_MAX).contains(&payload.len())
                };
                prop_assert!(!payloads.is_empty() && payloads.iter().all(fits));
            }
        }
    }
}
