use media_rtp::descriptor::{self, FrameInfo};
use media_rtp::history::PassThrough;
use media_types::Payload;
use media_webrtc::Priority;
use proptest::prelude::*;

use super::*;

const SLOT: SlotIndex = SlotIndex(3);
const RTT: Duration = Duration::from_millis(50);

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

/// A VP8 frame of one packet with a 15-bit picture id, TL0PICIDX and a temporal layer.
fn vp8(sequence: u64, picture: u16, temporal: u8, keyframe: bool, at: Instant) -> StoredPacket {
    let [high, low] = picture.to_be_bytes();
    let layer = temporal << 6 | 0x20;
    let frame = if keyframe { 0x10 } else { 0x11 };
    let bytes = [0x90, 0xe0, high | 0x80, low, 9, layer, frame, 0xab, 0xcd];
    StoredPacket {
        sequence,
        timestamp: u32::try_from(sequence).unwrap() * 3_000,
        marker: true,
        payload: Payload::copy_of(&bytes).unwrap(),
        frame: descriptor::inspect(Codec::Vp8, &bytes, true, None).unwrap(),
        arrived: at,
        extensions: PassThrough::default(),
    }
}

fn origin(stream: u8, source: u32) -> Origin {
    Origin {
        stream,
        source,
        codec: Codec::Vp8,
        red: false,
    }
}

fn video(now: Instant) -> Forwarder {
    let mut forwarder = Forwarder::new(now, SLOT, MediaKind::Video, 0x0102_0304_0506_0708);
    forwarder.set_track(Scheme::Simulcast);
    forwarder.set_target(Some(Layer::TOP));
    forwarder
}

/// The picture id that a subscriber reads.
fn picture_id(packet: &SendPacket) -> u16 {
    u16::from_be_bytes([packet.prefix[2] & 0x7f, packet.prefix[3]])
}

fn send(forwarder: &mut Forwarder, origin: Origin, packet: &StoredPacket) -> Option<SendPacket> {
    let forwarded = forwarder.forward(packet.arrived, origin, packet, None, |_| None);
    forwarded.map(|forwarded| forwarded.packet)
}

#[test]
fn the_payload_is_shared_and_only_the_descriptor_is_rewritten() {
    let now = base();
    let mut forwarder = video(now);
    let packet = vp8(70_000, 500, 0, true, now);
    let sent = send(&mut forwarder, origin(0, 1), &packet).unwrap();
    assert!(sent.payload.same_buffer(&packet.payload));
    assert_eq!((sent.sequence, sent.timestamp), (0x0102, 0x0304_0506));
    assert_eq!(usize::from(sent.prefix_replaces), sent.prefix.len());
    assert_eq!(picture_id(&sent), 500);
    assert_eq!(sent.prefix.len(), 6, "the descriptor and no more");
    assert_eq!(sent.slot, SLOT);
}

#[test]
fn what_was_lost_of_a_higher_encoding_is_not_repaired_once_it_is_left() {
    let now = base();
    let mut forwarder = video(now);
    let high = send(&mut forwarder, origin(2, 1), &vp8(10, 500, 0, true, now)).unwrap();
    forwarder.set_target(Layer::new(0, 2));
    let low = send(&mut forwarder, origin(0, 2), &vp8(70, 8, 0, true, now)).unwrap();
    let mut missed = |packet: &SendPacket| {
        let missing = SequenceNumber::of(packet.sequence).0;
        forwarder.find(now, missing, RTT).is_some()
    };
    assert!(!missed(&high) && missed(&low));
    // On the way up nothing is in want of room, and what is shown until then is repaired.
    forwarder.set_target(Some(Layer::TOP));
    let top = send(&mut forwarder, origin(2, 1), &vp8(14, 504, 0, true, now)).unwrap();
    let later = now + RTT;
    for packet in [&low, &top] {
        let missing = SequenceNumber::of(packet.sequence).0;
        assert!(forwarder.find(later, missing, RTT).is_some());
    }
}

#[test]
fn numbers_go_on_over_another_track() {
    let now = base();
    let mut forwarder = video(now);
    let first = send(
        &mut forwarder,
        origin(0, 1),
        &vp8(70_000, 500, 0, true, now),
    )
    .unwrap();
    send(
        &mut forwarder,
        origin(0, 1),
        &vp8(70_001, 501, 0, false, now),
    )
    .unwrap();
    forwarder.set_target(None);
    forwarder.set_track(Scheme::Simulcast);
    forwarder.set_target(Some(Layer::TOP));
    let later = now + Duration::from_secs(1);
    let delta = vp8(90, 7, 0, false, later);
    assert!(send(&mut forwarder, origin(0, 2), &delta).is_none());
    let other = send(&mut forwarder, origin(0, 2), &vp8(91, 8, 0, true, later)).unwrap();
    assert_eq!(other.sequence, first.sequence + 2);
    assert_eq!(picture_id(&other), 502);
    let ticks = other.timestamp.wrapping_sub(first.timestamp);
    assert!((90_000..100_000).contains(&ticks), "{ticks}");
    // What the earlier track sent is out of reach, and a late packet of it goes nowhere.
    assert!(
        forwarder
            .find(later, SequenceNumber::of(first.sequence).0, RTT)
            .is_none()
    );
    assert!(
        send(
            &mut forwarder,
            origin(0, 1),
            &vp8(70_002, 502, 0, false, later)
        )
        .is_none()
    );
    let found = forwarder
        .find(later, SequenceNumber::of(other.sequence).0, RTT)
        .unwrap();
    assert_eq!(found.sent.in_seq, 91);
}

#[test]
fn encodings_of_one_track_are_aligned_by_its_reports() {
    let now = base();
    let mut forwarder = video(now);
    let low = send(&mut forwarder, origin(0, 1), &vp8(10, 1, 0, true, now)).unwrap();
    let later = now + Duration::from_millis(33);
    let packet = vp8(500, 2, 0, true, later);
    // The reports say that this moment is 2,970 ticks after the low encoding's packet.
    let offset = (30_000_u32 + 2_970).wrapping_sub(1_500_000);
    let high = forwarder.forward(later, origin(2, 2), &packet, None, |from| {
        assert_eq!(from, 1);
        Some(offset)
    });
    let high = high.unwrap();
    assert!(high.started);
    assert_eq!(high.packet.timestamp.wrapping_sub(low.timestamp), 2_970);
    assert_eq!(forwarder.current(), Layer::new(2, 0));
}

#[test]
fn what_an_outage_took_is_not_sent_again() {
    let now = base();
    let mut forwarder = video(now);
    let lost = send(&mut forwarder, origin(0, 1), &vp8(10, 1, 0, true, now)).unwrap();
    forwarder.on_outage();
    let missing = SequenceNumber::of(lost.sequence).0;
    assert!(forwarder.find(now, missing, RTT).is_none());
    let next = send(&mut forwarder, origin(0, 1), &vp8(11, 2, 0, true, now)).unwrap();
    assert_eq!(next.sequence, lost.sequence + 1);
    let missing = SequenceNumber::of(next.sequence).0;
    assert!(forwarder.find(now, missing, RTT).is_some());
}

#[test]
fn a_resend_is_what_was_sent() {
    let now = base();
    let mut forwarder = video(now);
    let packet = vp8(10, 1, 0, true, now);
    let sent = send(&mut forwarder, origin(0, 1), &packet).unwrap();
    let missing = SequenceNumber::of(sent.sequence).0;
    let found = forwarder.find(now, missing, RTT).unwrap();
    let again = forwarder.resend(origin(0, 1), found, &packet);
    assert_eq!(again.retransmission_of, Some(missing));
    assert_eq!(
        (again.sequence, again.timestamp),
        (sent.sequence, sent.timestamp)
    );
    assert_eq!((again.prefix, again.marker), (sent.prefix, sent.marker));
    assert!(again.payload.same_buffer(&packet.payload));
    assert!(forwarder.find(now, missing, RTT).is_none(), "too soon");
    assert!(
        forwarder.find(now, missing.wrapping_add(1), RTT).is_none(),
        "never sent"
    );
}

#[test]
fn a_layer_left_out_leaves_no_gap_even_when_it_comes_late() {
    let now = base();
    let mut forwarder = video(now);
    forwarder.set_target(Some(Layer::BASE));
    let first = send(&mut forwarder, origin(0, 1), &vp8(10, 1, 0, true, now)).unwrap();
    assert!(send(&mut forwarder, origin(0, 1), &vp8(11, 2, 1, false, now)).is_none());
    let next = send(&mut forwarder, origin(0, 1), &vp8(12, 3, 0, false, now)).unwrap();
    assert_eq!(next.sequence, first.sequence + 1);
    assert_eq!(picture_id(&next), 2);
    let after = send(&mut forwarder, origin(0, 1), &vp8(14, 5, 0, false, now)).unwrap();
    assert_eq!(after.sequence, first.sequence + 3);
    let filler = send(&mut forwarder, origin(0, 1), &vp8(13, 4, 1, false, now)).unwrap();
    assert_eq!(filler.sequence, first.sequence + 2);
    assert_eq!(
        (filler.payload.len(), filler.priority),
        (0, Priority::Padding)
    );
}

#[test]
fn audio_starts_with_any_packet_and_goes_on_after_a_pause() {
    let now = base();
    let mut forwarder = Forwarder::new(now, SLOT, MediaKind::Audio, 1 << 48);
    forwarder.set_track(Scheme::Simulcast);
    forwarder.set_target(Some(Layer::BASE));
    let opus = |sequence: u64, at| StoredPacket {
        timestamp: u32::try_from(sequence).unwrap() * 960,
        frame: FrameInfo::WHOLE,
        marker: false,
        ..vp8(sequence, 0, 0, true, at)
    };
    let origin = Origin {
        codec: Codec::Opus,
        ..origin(0, 1)
    };
    let first = send(&mut forwarder, origin, &opus(100, now)).unwrap();
    assert!(first.marker && first.prefix.is_empty());
    assert_eq!(first.priority, Priority::Audio);
    forwarder.restart();
    let later = now + Duration::from_secs(2);
    let next = send(&mut forwarder, origin, &opus(150, later)).unwrap();
    assert_eq!(next.sequence, first.sequence + 1);
    assert_eq!(next.timestamp.wrapping_sub(first.timestamp), 96_000);
    assert!(next.marker);
}

proptest! {
    /// Whatever switches and drops there are, a subscriber who loses nothing sees sequence numbers
    /// without gaps, and VP8 picture ids without gaps.
    #[test]
    fn a_lossless_path_shows_no_gap(
        steps in prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..9), 1..120),
    ) {
        let mut now = base();
        let mut forwarder = video(now);
        let mut counters = [(1_000_u64, 10_u16), (40_000, 9_000), (65_530, 32_760)];
        let mut seen: Option<(u64, u16)> = None;
        for (index, (stream, temporal, what)) in steps.into_iter().enumerate() {
            now += Duration::from_millis(10);
            if what == 1 {
                forwarder.set_target(Layer::new(stream, temporal));
            }
            let (sequence, picture) = &mut counters[usize::from(stream)];
            *sequence += 1;
            *picture = (*picture + 1) % 0x8000;
            let keyframe = what == 0 || index == 0;
            let temporal = if keyframe { 0 } else { temporal };
            let packet = vp8(*sequence, *picture, temporal, keyframe, now);
            let source = u32::from(stream) + 1;
            if let Some(sent) = send(&mut forwarder, origin(stream, source), &packet) {
                let now = (sent.sequence, picture_id(&sent));
                if let Some((sequence, picture)) = seen {
                    prop_assert_eq!(now, (sequence + 1, (picture + 1) % 0x8000));
                }
                seen = Some(now);
            }
        }
    }
}
