use std::time::Duration;

use super::*;
use crate::header::{Element, HeaderFields, RtpHeader, write_header};
use crate::level::AudioLevel;

fn map() -> ExtensionMap {
    let mut map = ExtensionMap::new();
    for (id, kind) in (1..).zip(ExtensionKind::ALL) {
        map.insert(kind, id).unwrap();
    }
    map
}

fn read(elements: &[Element<'_>]) -> Extensions {
    let mut packet = [0; 600];
    write_header(&mut packet, &HeaderFields::default(), elements).unwrap();
    let header = RtpHeader::parse(&packet).unwrap();
    Extensions::read(&header, &packet, &map())
}

#[test]
fn kinds_have_their_names() {
    for (slot, kind) in ExtensionKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.slot(), slot);
        assert_eq!(ExtensionKind::from_uri(kind.uri()), Some(kind));
    }
    assert_eq!(ExtensionKind::from_uri("urn:other"), None);
}

#[test]
fn an_id_has_one_kind() {
    let mut map = map();
    map.insert(ExtensionKind::Rid, 1).unwrap();
    assert_eq!(map.kind(1), Some(ExtensionKind::Rid));
    assert_eq!(map.id(ExtensionKind::Mid), None);
    assert_eq!(map.kind(2), None);
    map.insert(ExtensionKind::Mid, 200).unwrap();
    assert_eq!(map.id(ExtensionKind::Mid), Some(200));
    map.remove(ExtensionKind::Rid);
    assert_eq!(map.kind(1), None);
    assert_eq!(map.iter().count(), 10);
    for id in [0, 15] {
        let refused = map.insert(ExtensionKind::Mid, id);
        assert_eq!(refused, Err(RtpError::ExtensionId(id)));
        assert_eq!(map.kind(id), None);
    }
}

#[test]
fn values_are_read() {
    let values = read(&[
        Element { id: 1, data: b"0" },
        Element { id: 2, data: b"hi" },
        Element { id: 3, data: b"lo" },
        Element {
            id: 4,
            data: &[0x85],
        },
        Element {
            id: 5,
            data: &[1, 2, 3],
        },
        Element {
            id: 6,
            data: &[0xab, 0xcd],
        },
        Element {
            id: 7,
            data: &[7; 40],
        },
        Element {
            id: 8,
            data: &[0, 1, 2],
        },
        Element {
            id: 9,
            data: &[4; 16],
        },
        Element { id: 10, data: &[3] },
        Element { id: 77, data: &[3] },
    ]);
    assert_eq!(values.mid.unwrap().as_str(), "0");
    assert_eq!(values.rid.unwrap().as_str(), "hi");
    assert_eq!(values.repaired_rid.unwrap().as_str(), "lo");
    let level_dbov = 5;
    let voice = true;
    assert_eq!(values.audio_level, Some(AudioLevel { level_dbov, voice }));
    assert_eq!(values.abs_send_time, Some(0x01_0203));
    assert_eq!(values.transport_sequence, Some(0xabcd));
    assert_eq!(values.dependency_descriptor.unwrap()[..], [7; 40]);
    assert_eq!(values.playout_delay, Some([0, 1, 2]));
    assert_eq!(values.abs_capture_time.unwrap()[..], [4; 16]);
    assert_eq!(values.video_orientation, Some(3));
}

#[test]
fn malformed_values_are_ignored_alone() {
    let values = read(&[
        Element {
            id: 1,
            data: b"a b",
        },
        Element {
            id: 2,
            data: b"12345678901234567",
        },
        Element {
            id: 5,
            data: &[1, 2],
        },
        Element { id: 6, data: &[1] },
        Element {
            id: 9,
            data: &[4; 9],
        },
        Element { id: 10, data: &[1] },
    ]);
    let expected = Extensions {
        video_orientation: Some(1),
        ..Extensions::default()
    };
    assert_eq!(values, expected);
}

#[test]
fn elements_stop_where_the_block_does() {
    let ids = |profile, block: &[u8]| -> Vec<u8> {
        Elements::new(profile, block).map(|e| e.id).collect()
    };
    // Padding between, then an element that claims more than there is.
    assert_eq!(ids(0xbede, &[0x10, 1, 0, 0, 0x20, 2, 0x3f, 1]), [1, 2]);
    // Id 15 ends the block.
    assert_eq!(ids(0xbede, &[0x10, 1, 0xf0, 0, 0x20, 2]), [1]);
    // Two bytes: id 15 is an id, a head cut short is not.
    assert_eq!(ids(0x1003, &[15, 0, 0, 2, 1, 9, 3]), [15, 2]);
    assert_eq!(ids(0x1234, &[0x10, 1]), [] as [u8; 0]);
    assert_eq!(ids(0xbede, &[]), [] as [u8; 0]);
}

#[test]
fn absolute_send_time_wraps_after_64_seconds() {
    let half = abs_send_time_of(Duration::from_millis(500));
    assert_eq!(half, 1 << 17);
    assert_eq!(abs_send_time_bytes(half), [2, 0, 0]);
    let later = abs_send_time_of(Duration::from_millis(64_500));
    assert_eq!(later, half);
    let before = abs_send_time_of(Duration::from_millis(63_750));
    let after = abs_send_time_of(Duration::from_millis(64_250));
    let elapsed = abs_send_time_since(before, after);
    assert_eq!(elapsed, Duration::from_millis(500));
}
