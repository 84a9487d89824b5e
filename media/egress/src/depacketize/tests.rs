use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Format;

const SPS: [u8; 13] = [
    0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08,
];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

fn stap(units: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0x78];
    for unit in units {
        payload.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
        payload.extend(*unit);
    }
    payload
}

fn packet(sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) -> TapPacket {
    TapPacket {
        sequence,
        timestamp,
        marker,
        payload: Payload::copy_of(payload).unwrap(),
    }
}

fn frames(depacketizer: &mut Depacketizer) -> Vec<SourceFrame> {
    std::iter::from_fn(|| depacketizer.poll_frame()).collect()
}

#[test]
fn h264_units_are_joined_behind_their_lengths() {
    let mut assembler = Assembler::new(Codec::H264);
    let parameters = stap(&[&SPS, &PPS]);
    // An IDR slice in three fragments.
    let fragments: [&[u8]; 3] = [&[0x7c, 0x85, 1, 2], &[0x7c, 0x05, 3], &[0x7c, 0x45, 4]];
    let payloads = [&parameters[..], fragments[0], fragments[1], fragments[2]];
    let frame = assembler.assemble(&payloads).unwrap();
    assert_eq!(frame.data[..], [0, 0, 0, 5, 0x65, 1, 2, 3, 4]);
    assert!(frame.keyframe);
    let config = frame.config.unwrap();
    assert_eq!((config.width, config.height), (640, 360));
    assert_eq!(config.codecs, "avc1.42c01f");
    // The same sets again are no change.
    assert_eq!(assembler.assemble(&payloads).unwrap().config, None);
    let plain = assembler.assemble(&[&[0x41, 9, 9]]).unwrap();
    assert_eq!(
        (plain.keyframe, &plain.data[..]),
        (false, &[0, 0, 0, 3, 0x41, 9, 9][..])
    );
    // A fragment without its start, and one without its end.
    assert_eq!(assembler.assemble(&fragments[1..]), None);
    assert_eq!(assembler.assemble(&fragments[..2]), None);
}

#[test]
fn a_loss_drops_pictures_up_to_the_next_keyframe() {
    let mut depacketizer = Depacketizer::new(Codec::H264);
    let now = Duration::from_secs(1);
    let mut key = stap(&[&SPS, &PPS, &[0x65, 1]]);
    key.resize(64, 0);
    key.truncate(1 + 15 + 6 + 4);
    let send = |depacketizer: &mut Depacketizer, number: u64, payload: &[u8]| {
        let timestamp = u32::try_from(number * 3_000).unwrap();
        depacketizer.handle_packet(now, packet(number, timestamp, true, payload));
    };
    send(&mut depacketizer, 1, &[0x41, 1]);
    assert!(
        depacketizer.take_keyframe_request(),
        "started in the middle"
    );
    assert!(!depacketizer.take_keyframe_request());
    send(&mut depacketizer, 2, &key);
    send(&mut depacketizer, 3, &[0x41, 1]);
    assert_eq!(frames(&mut depacketizer).len(), 2);
    // Number 4 is lost.
    send(&mut depacketizer, 5, &[0x41, 1]);
    assert_eq!(
        depacketizer.poll_timeout(),
        Some(Duration::from_millis(1_250))
    );
    depacketizer.handle_timeout(Duration::from_millis(1_250));
    assert!(frames(&mut depacketizer).is_empty() && depacketizer.take_keyframe_request());
    send(&mut depacketizer, 6, &key);
    assert_eq!(frames(&mut depacketizer).len(), 1);
    let counts = depacketizer.counts();
    assert_eq!((counts.frames, counts.dropped, counts.lost), (3, 2, 1));
}

#[test]
fn sound_goes_on_after_a_loss() {
    let mut depacketizer = Depacketizer::new(Codec::Opus);
    let now = Duration::from_secs(1);
    for number in [1_u32, 2, 5, 6] {
        let packet = packet(number.into(), number * 960, false, &[0xfc, 1]);
        depacketizer.handle_packet(now, packet);
    }
    depacketizer.handle_timeout(Duration::from_secs(2));
    let stamps: Vec<u64> = frames(&mut depacketizer)
        .iter()
        .map(|it| it.timestamp)
        .collect();
    let first = stamps[0];
    assert_eq!(
        stamps,
        [first, first + 960, first + 960 * 4, first + 960 * 5]
    );
}

#[test]
fn vp8_and_vp9_lose_their_descriptors() {
    let key = [0x10, 0x50, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 32, 0, 7];
    let frame = Assembler::new(Codec::Vp8)
        .assemble(&[&key, &[0x00, 8]])
        .unwrap();
    assert_eq!(
        frame.data[..],
        [0x50, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 32, 0, 7, 8]
    );
    let config = frame.config.unwrap();
    assert_eq!(
        (config.format, config.width, config.height),
        (Format::Vp8, 64, 32)
    );

    let header = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
    let mut first = vec![0x88, 0x81, 0x02];
    first.extend(header);
    let frame = Assembler::new(Codec::Vp9)
        .assemble(&[&first, &[0x84, 0x81, 0x02, 5]])
        .unwrap();
    assert_eq!((frame.data.len(), frame.keyframe), (10, true));
    assert_eq!(frame.config.unwrap().codecs, "vp09.00.21.08");
}

#[test]
fn vp9_layers_become_a_superframe() {
    let header = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
    let mut first = vec![0x0c];
    first.extend(header);
    let frame = Assembler::new(Codec::Vp9)
        .assemble(&[&first, &[0x0c, 0x86, 1]])
        .unwrap();
    let mark = 0b1101_1001;
    assert_eq!(
        frame.data[9..],
        [0x86, 1, mark, 9, 0, 0, 0, 2, 0, 0, 0, mark]
    );
}

#[test]
fn av1_gets_its_sizes_back() {
    let header = [
        0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40, 0x10,
    ];
    let mut payload = vec![0b0010_1000, 12, 0x08];
    payload.extend(header);
    payload.extend([0x30, 1, 2]);
    // W = 2: the second element has no length. It goes on in the next packet.
    payload[0] |= 0x40;
    let frame = Assembler::new(Codec::Av1).assemble(&[&payload, &[0b1001_0000, 3]]);
    let frame = frame.unwrap();
    assert_eq!(frame.data[..2], [0x0a, 11]);
    assert_eq!(frame.data[13..], [0x32, 3, 1, 2, 3]);
    assert!(frame.keyframe);
    // A continuation of nothing.
    assert_eq!(Assembler::new(Codec::Av1).assemble(&[&[0x90, 3]]), None);
}

proptest! {
    #[test]
    fn any_payloads_are_assembled_without_a_panic(
        codec in prop::sample::select(Codec::ALL.to_vec()),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        let mut assembler = Assembler::new(codec);
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        if let Some(frame) = assembler.assemble(&payloads) {
            let input: usize = payloads.iter().map(|payload| payload.len()).sum();
            prop_assert!(frame.data.len() <= input * 5 + 64);
        }
    }

    #[test]
    fn frames_survive_reordering(order in Just((0_u64..40).collect::<Vec<_>>()).prop_shuffle()) {
        let mut depacketizer = Depacketizer::new(Codec::Opus);
        // The first packet fixes where the stream begins.
        let now = Duration::from_secs(1);
        depacketizer.handle_packet(now, packet(100, 0, false, &[1]));
        for number in order {
            let timestamp = u32::try_from((number + 1) * 960).unwrap();
            depacketizer.handle_packet(now, packet(101 + number, timestamp, false, &[1]));
        }
        let stamps: Vec<u64> = frames(&mut depacketizer).iter().map(|it| it.timestamp).collect();
        prop_assert_eq!(stamps.len(), 41);
        prop_assert!(stamps.is_sorted());
    }
}
