use proptest::prelude::*;

use super::*;

/// Writes bits as a sender would.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn put(&mut self, count: u32, value: u32) -> &mut Self {
        self.0
            .extend((0..count).rev().map(|bit| (value >> bit) & 1 == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            (0..8).fold(0, |byte, index| {
                byte << 1 | u8::from(bits.get(index) == Some(&true))
            })
        };
        self.0.chunks(8).map(byte).collect()
    }
}

fn mandatory(start: bool, end: bool, template: u32, number: u32) -> Writer {
    let mut writer = Writer::default();
    writer.put(1, start.into()).put(1, end.into());
    writer.put(6, template).put(16, number);
    writer
}

const ABSENT: u32 = 0;
const DISCARDABLE: u32 = 1;
const SWITCH: u32 = 2;
const REQUIRED: u32 = 3;

/// Two spatial layers of two temporal ones: targets 0 to 3 are L0T0, L0T1, L1T0, L1T1, two chains.
fn l2t2(offset: u32, number: u32) -> Vec<u8> {
    let mut bits = mandatory(true, true, offset, number);
    // Structure; no active targets, nothing custom.
    bits.put(5, 0b10000);
    bits.put(6, offset).put(5, 3);
    // Templates: L0T0 key, L0T0, L0T1, L1T0, L1T1.
    for step in [0, 1, 2, 1, 3] {
        bits.put(2, step);
    }
    for indications in [
        [SWITCH, SWITCH, SWITCH, SWITCH],
        [REQUIRED, REQUIRED, REQUIRED, REQUIRED],
        [ABSENT, DISCARDABLE, ABSENT, REQUIRED],
        [ABSENT, ABSENT, SWITCH, SWITCH],
        [ABSENT, ABSENT, ABSENT, DISCARDABLE],
    ] {
        for indication in indications {
            bits.put(2, indication);
        }
    }
    for distances in [&[][..], &[4], &[2], &[1, 4], &[1, 2]] {
        for distance in distances {
            bits.put(1, 1).put(4, distance - 1);
        }
        bits.put(1, 0);
    }
    // Two chains, ns(5): the code of 2 is "10". Targets 0 and 1 hang on chain 0, 2 and 3 on chain
    // 1.
    bits.put(2, 2);
    for chain in [0, 0, 1, 1] {
        bits.put(1, chain);
    }
    for distances in [[0, 0], [4, 3], [2, 1], [1, 4], [1, 2]] {
        bits.put(4, distances[0]).put(4, distances[1]);
    }
    bits.put(1, 1);
    for size in [319, 179, 639, 359] {
        bits.put(16, size);
    }
    bits.bytes()
}

#[test]
fn a_keyframe_brings_the_structure() {
    let mut state = DependencyState::default();
    assert_eq!(state.read(&mandatory(true, true, 0, 1).bytes()), None);
    assert_eq!(state.target_count(), 0);

    let frame = state.read(&l2t2(5, 1_000)).unwrap();
    assert!(frame.has_structure && frame.start_of_frame && frame.end_of_frame);
    assert_eq!((frame.frame_number, frame.layer), (1_000, Layer::BASE));
    assert_eq!(frame.active_targets, 0b1111);
    assert_eq!(frame.chains.as_slice(), [0, 0]);
    let info = frame.frame();
    assert!(info.keyframe && info.switch_point && !info.discardable);
    assert_eq!(
        info.picture.id.map(|id| (id.value, id.bits)),
        Some((1_000, 16))
    );

    let layers: Vec<_> = (0..4).map(|target| state.target_layer(target)).collect();
    let expected = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(s, t)| Layer::new(s, t));
    assert_eq!(layers, expected);
    assert_eq!((state.chain_of(1), state.chain_of(2)), (Some(0), Some(1)));
    let top = Resolution {
        width: 640,
        height: 360,
    };
    assert_eq!(state.resolution(1), Some(top));
    assert_eq!(state.resolution(2), None);
}

#[test]
fn three_bytes_are_enough_after_that() {
    let mut state = DependencyState::default();
    state.read(&l2t2(5, 1_000)).unwrap();
    // The upper spatial layer of the same picture.
    let frame = state
        .read(&mandatory(true, false, 8, 1_001).bytes())
        .unwrap();
    assert_eq!(Some(frame.layer), Layer::new(1, 0));
    assert_eq!(frame.references.as_slice(), [1, 4]);
    assert_eq!(frame.indication(0), Indication::Absent);
    assert_eq!(frame.indication(2), Indication::Switch);
    assert_eq!(frame.indication(40), Indication::Absent);
    let info = frame.frame();
    assert!(!info.keyframe && info.spatial_switch_point && !info.end_of_frame);
    // The topmost temporal layer: needed by nobody.
    let frame = state
        .read(&mandatory(true, true, 9, 1_002).bytes())
        .unwrap();
    let info = frame.frame();
    assert!(info.discardable && info.switch_point && !info.spatial_switch_point);
    // The same template, but this once needed by a later frame of its layer.
    let mut bits = mandatory(true, true, 9, 1_003);
    bits.put(5, 0b00100).put(8, REQUIRED);
    let info = state.read(&bits.bytes()).unwrap().frame();
    assert!(!info.discardable && !info.switch_point);
    // Templates before and after the structure's.
    assert_eq!(state.read(&mandatory(true, true, 4, 1).bytes()), None);
    assert_eq!(state.read(&mandatory(true, true, 10, 1).bytes()), None);
}

#[test]
fn a_packet_may_say_it_all_itself() {
    let mut state = DependencyState::default();
    state.read(&l2t2(60, 0)).unwrap();
    // Template 61 with its own targets (three of four active), indications, references and chains.
    let mut bits = mandatory(true, true, 61, 7);
    bits.put(5, 0b01111).put(4, 0b0111);
    for indication in [REQUIRED, DISCARDABLE, ABSENT, SWITCH] {
        bits.put(2, indication);
    }
    bits.put(2, 1).put(4, 3).put(2, 3).put(12, 4_095).put(2, 0);
    bits.put(8, 200).put(8, 3);
    let frame = state.read(&bits.bytes()).unwrap();
    assert_eq!(frame.references.as_slice(), [4, 4_096]);
    assert_eq!(frame.chains.as_slice(), [200, 3]);
    assert_eq!(frame.indication(1), Indication::Discardable);
    assert_eq!(frame.indication(3), Indication::Switch);
    assert_eq!(frame.active_targets, 0b0111);
    // What is active stays so; what was said for one frame does not.
    let frame = state.read(&mandatory(true, true, 61, 8).bytes()).unwrap();
    assert_eq!(frame.active_targets, 0b0111);
    assert_eq!(frame.references.as_slice(), [4]);
}

#[test]
fn the_best_target_within_a_limit_is_found() {
    let mut state = DependencyState::default();
    let within = |state: &DependencyState, spatial, temporal| {
        state.target_within(Layer::new(spatial, temporal).unwrap())
    };
    assert_eq!(within(&state, 2, 2), None);
    state.read(&l2t2(0, 0)).unwrap();
    assert_eq!(within(&state, 2, 2), Some(3));
    assert_eq!(within(&state, 1, 0), Some(2));
    assert_eq!(within(&state, 0, 3), Some(1));
    // The sender turns the upper spatial layer off.
    let mut bits = mandatory(true, true, 1, 1);
    bits.put(5, 0b01000).put(4, 0b0011);
    state.read(&bits.bytes()).unwrap();
    assert_eq!(within(&state, 2, 2), Some(1));
}

#[test]
fn a_broken_descriptor_changes_nothing() {
    let mut state = DependencyState::default();
    state.read(&l2t2(5, 1_000)).unwrap();
    let next = l2t2(20, 1_001);
    for length in 0..next.len() {
        // Up to the mandatory fields it is a descriptor, of a template that does not exist.
        assert_eq!(state.read(&next[..length]), None, "{length}");
    }
    assert!(
        state
            .read(&mandatory(true, true, 6, 1_002).bytes())
            .is_some()
    );
    assert!(state.read(&next).is_some());
    assert_eq!(state.read(&mandatory(true, true, 6, 1_003).bytes()), None);
}

#[test]
fn frame_numbers_are_replaced_in_place() {
    let mut bytes = l2t2(5, 1_000);
    assert!(rewrite_frame_number(&mut bytes, 0xbeef));
    assert_eq!(bytes, l2t2(5, 0xbeef));
    assert!(!rewrite_frame_number(&mut [0, 1], 7));
}

proptest! {
    #[test]
    fn no_descriptor_is_too_strange(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
    ) {
        let mut damaged = l2t2(5, 1);
        for (index, bit) in flips {
            let index = index.index(damaged.len());
            damaged[index] ^= 1 << bit;
        }
        let mut state = DependencyState::default();
        let _ = state.read(&damaged);
        for packet in packets {
            if let Some(frame) = state.read(&packet) {
                let _ = frame.frame();
                let _ = state.target_within(Layer::TOP);
            }
        }
    }
}
