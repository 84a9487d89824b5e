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
fn a_fast_stream_is_given_room_up_to_its_bounds() {
    let now = start();
    let limits = HistoryLimits {
        packets_min: 8,
        packets_max: 64,
        bytes_max: 8 * 50,
        age_max: AGE_MAX,
    };
    let mut history = TrackHistory::with_limits(limits);
    for sequence in 100..140 {
        history.insert(packet(sequence, now));
    }
    assert_eq!(held(&history), (100..140).collect::<Vec<_>>());
    assert_eq!(history.bytes(), 40 * 8);
    // Eight bytes each: the fifty-first pushes out the first.
    for sequence in 140..160 {
        history.insert(packet(sequence, now));
    }
    assert_eq!(held(&history), (110..160).collect::<Vec<_>>());
    assert_eq!(history.bytes(), 8 * 50);
    // A slow one keeps what is young, and needs no more room.
    let mut slow = TrackHistory::with_limits(limits);
    for sequence in 0..100 {
        let at = now + AGE_MAX * u32::try_from(sequence).unwrap() / 6;
        slow.insert(packet(sequence, at));
    }
    assert_eq!(held(&slow), (93..100).collect::<Vec<_>>());
    assert_eq!(slow.ring_size(), 8);
    // A jump is no reason to grow, and a late one still finds its place.
    slow.insert(packet(1_000, now + AGE_MAX * 17));
    slow.insert(packet(990, now + AGE_MAX * 17));
    assert_eq!(held(&slow), [1_000].into_iter().collect::<Vec<_>>());
    assert_eq!((slow.ring_size(), slow.bytes()), (8, 8));
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
    sent_at(in_seq, 77)
}

fn sent_at(in_seq: u64, out_ts: u32) -> SentPacket {
    SentPacket {
        in_seq,
        stream: 2,
        out_ts,
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
    // 256 packets a second, so that the map has that many entries.
    let at = |out: u64| u32::try_from(out).unwrap() * 352;
    for out in 65_000..65_600_u64 {
        map.on_sent(out, sent_at(out + 1_000_000, at(out)), 100);
    }
    // The number on the wire wrapped at 65,536.
    for out in [65_344, 65_535, 65_599_u64] {
        let expected = Resend::Packet(sent_at(out + 1_000_000, at(out)));
        let wire = u16::try_from(out & 0xffff).unwrap();
        assert_eq!(map.resend(now, wire, RTT), expected);
    }
    for unknown in [65_000, 65_343, 64] {
        assert_eq!(map.resend(now, unknown, RTT), Resend::Unknown);
    }
}

#[test]
fn a_map_reaches_back_a_second_whatever_the_rate() {
    let now = start();
    // Packets a second, and how many of 20,000 are remembered.
    for (rate, remembered) in [(50, 128), (900, 1_024), (3_000, 4_096), (20_000, 4_096)] {
        let mut map = SentMap::new(now);
        for out in 0..20_000_u64 {
            let out_ts = u32::try_from(out * 90_000 / rate).unwrap();
            map.on_sent(out, sent_at(out, out_ts), 1_000);
        }
        let found = (0..20_000_u16).filter(|out| {
            let again = map.resend(now, *out, RTT);
            matches!(again, Resend::Packet(packet) if packet.in_seq == u64::from(*out))
        });
        assert_eq!(found.count(), remembered, "{rate} a second");
    }
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
