use std::time::{Duration, Instant};

use media_types::Payload;

use super::*;
use crate::descriptor::{FrameInfo, PicturePatch};
use crate::extension::Extensions;
use crate::level::AudioLevel;

#[allow(clippy::disallowed_methods, reason = "tests need one base instant")]
fn start() -> Instant {
    Instant::now()
}

const AGE_MAX: Duration = Duration::from_secs(1);
const RTT: Duration = Duration::from_millis(50);

fn packet(sequence: u64, arrived: Instant) -> StoredPacket {
    StoredPacket {
        sequence,
        timestamp: 9,
        marker: false,
        payload: Payload::copy_of(&sequence.to_be_bytes()).unwrap(),
        frame: FrameInfo::default(),
        arrived,
        extensions: PassThrough::default(),
    }
}

fn held(history: &TrackHistory) -> Vec<u64> {
    history.since(0).map(|packet| packet.sequence).collect()
}

#[test]
fn packets_are_found_until_the_ring_goes_round() {
    let now = start();
    let mut history = TrackHistory::new(7, AGE_MAX);
    for sequence in [100, 102, 101, 105] {
        assert!(history.insert(packet(sequence, now)));
    }
    assert_eq!(held(&history), [100, 101, 102, 105]);
    let payload = history.get(101).unwrap().payload.clone();
    assert_eq!(payload.as_slice(), 101_u64.to_be_bytes());
    assert!(payload.same_buffer(&history.get(101).unwrap().payload));
    assert!(history.get(103).is_none());
    // Eight places: 109 pushes out all up to 101.
    assert!(history.insert(packet(109, now)));
    assert_eq!(held(&history), [102, 105, 109]);
    assert!(history.get(101).is_none());
    assert!(!history.insert(packet(101, now)));
    // A jump past the whole ring leaves nothing.
    assert!(history.insert(packet(1_000, now)));
    assert_eq!(held(&history), [1_000]);
}

#[test]
fn old_packets_free_their_buffers() {
    let now = start();
    let mut history = TrackHistory::new(64, AGE_MAX);
    for sequence in 0..20 {
        history.insert(packet(sequence, now));
    }
    history.insert(packet(21, now + AGE_MAX));
    assert_eq!(held(&history).len(), 21);
    // Four go with each insert, so that a burst empties.
    history.insert(packet(22, now + AGE_MAX * 3 / 2));
    assert_eq!(history.since(0).next().unwrap().sequence, 4);
    history.expire(now + AGE_MAX * 2);
    assert_eq!(held(&history), [21, 22]);
    history.expire(now + AGE_MAX * 3);
    assert!(held(&history).is_empty());
    assert!(history.insert(packet(23, now + AGE_MAX * 3)));
    // What is missing at the front is still awaited.
    assert!(history.insert(packet(26, now + AGE_MAX * 3)));
    assert!(history.insert(packet(25, now + AGE_MAX * 3)));
    history.clear();
    assert!(held(&history).is_empty());
    assert!(history.insert(packet(27, now + AGE_MAX * 3)));
}

#[test]
fn the_newest_keyframe_is_at_hand() {
    let now = start();
    let mut history = TrackHistory::new(8, AGE_MAX);
    let keyframe = |sequence| {
        let mut packet = packet(sequence, now);
        packet.frame.keyframe = true;
        packet
    };
    assert!(history.keyframe().is_none());
    history.insert(keyframe(10));
    history.insert(keyframe(14));
    history.insert(keyframe(12));
    assert_eq!(history.keyframe().unwrap().sequence, 14);
    let since: Vec<_> = history.since(14).map(|packet| packet.sequence).collect();
    assert_eq!(since, [14]);
    history.insert(packet(30, now));
    assert!(history.keyframe().is_none());
}

#[test]
fn extensions_are_taken_over() {
    let extensions = Extensions {
        audio_level: Some(AudioLevel::from_byte(0x85)),
        playout_delay: Some([1, 2, 3]),
        dependency_descriptor: Some([7; 40].as_slice().try_into().unwrap()),
        ..Extensions::default()
    };
    let passed = PassThrough::from(&extensions);
    assert_eq!(passed.audio_level.map(AudioLevel::to_byte), Some(0x85));
    assert_eq!(passed.playout_delay, Some([1, 2, 3]));
    assert_eq!(passed.dependency_descriptor.as_slice(), [7; 40]);
    assert_eq!(passed.abs_capture_time, None);
}

fn sent(in_seq: u64) -> SentPacket {
    SentPacket {
        in_seq,
        stream: 2,
        out_ts: 77,
        marker: in_seq % 2 == 1,
        patch: PicturePatch {
            picture_id: 5,
            tl0_pic_idx: 6,
            key_idx: 7,
        },
    }
}

#[test]
fn a_nack_finds_what_was_sent() {
    let now = start();
    let mut map = SentMap::new(now);
    assert_eq!(map.resend(now, 0, RTT), Resend::Unknown);
    for out in 65_000..65_600_u64 {
        map.on_sent(out, sent(out + 1_000_000), 100);
    }
    // The number on the wire wrapped at 65,536.
    assert_eq!(map.resend(now, 63, RTT), Resend::Packet(sent(1_065_599)));
    assert_eq!(
        map.resend(now, 65_535, RTT),
        Resend::Packet(sent(1_065_535))
    );
    assert_eq!(map.resend(now, 65_000, RTT), Resend::Unknown);
    assert_eq!(map.resend(now, 64, RTT), Resend::Unknown);
}

#[test]
fn resends_wait_for_a_round_trip_and_end() {
    let mut now = start();
    let mut map = SentMap::new(now);
    map.on_sent(9, sent(1), 100);
    assert_eq!(map.resend(now, 9, RTT), Resend::Packet(sent(1)));
    assert_eq!(map.resend(now + RTT / 2, 9, RTT), Resend::TooSoon);
    for _ in 1..8 {
        now += RTT;
        assert_eq!(map.resend(now, 9, RTT), Resend::Packet(sent(1)));
    }
    assert_eq!(map.resend(now + RTT, 9, RTT), Resend::Refused);
}

#[test]
fn the_budget_follows_what_is_sent() {
    let now = start();
    let mut map = SentMap::new(now);
    map.on_sent(1, sent(1), 1_000);
    map.on_resent(70_000);
    assert_eq!(map.resend(now, 1, RTT), Resend::Refused);
    map.on_sent(2, sent(2), 1_000);
    assert_eq!(map.resend(now, 1, RTT), Resend::Packet(sent(1)));
    map.on_resent(1_000);
    assert_eq!(map.resend(now, 2, RTT), Resend::Refused);
}
