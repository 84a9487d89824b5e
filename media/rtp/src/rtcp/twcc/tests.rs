use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::RtpError;
use crate::bytes::hex;
use crate::rtcp::{RtcpPacket, packets};

#[expect(clippy::disallowed_methods, reason = "a base to add to")]
fn base() -> Instant {
    Instant::now()
}

fn feedback(compound: &[u8]) -> TransportFeedback<'_> {
    match packets(compound).next() {
        Some(Ok(RtcpPacket::TransportFeedback(feedback))) => feedback,
        other => panic!("{other:?}"),
    }
}

/// Everything that the recorder has to report: the number and the time in µs, wraps included.
fn drain(recorder: &mut TwccRecorder) -> Vec<(u16, Option<i64>)> {
    let mut reported = Vec::new();
    let mut out = Vec::new();
    let mut count = None;
    while recorder.write_feedback(&mut out, 1, 2) {
        assert!(out.len() <= FEEDBACK_BYTES_MAX && out.len() % 4 == 0);
        let packet = feedback(&out);
        assert_eq!((packet.sender, packet.media), (1, 2));
        assert_eq!(packet.arrivals().len(), usize::from(packet.count));
        let expected = count.get_or_insert(packet.feedback_count);
        assert_eq!(packet.feedback_count, *expected);
        *expected = expected.wrapping_add(1);
        let reference = i64::from(packet.reference_time) * 64_000;
        let absolute = |(number, at): (u16, Option<i64>)| (number, at.map(|at| reference + at));
        reported.extend(packet.arrivals().map(absolute));
        out.clear();
    }
    assert!(!recorder.is_pending());
    reported
}

/// A packet that a browser sent, as it stands in the tests of several implementations: one small
/// delta of 0x94 ticks, and a byte of padding that the header announces.
#[test]
fn a_packet_from_a_browser_is_read() {
    let packet = hex("afcd0005 fa17fa17 43032fa0 00990001 3de80217 20019401");
    let read = feedback(&packet);
    assert_eq!((read.sender, read.media), (0xfa17_fa17, 0x4303_2fa0));
    assert_eq!((read.base, read.count), (153, 1));
    assert_eq!(read.reference_time, 0x3d_e802);
    assert_eq!(read.feedback_count, 23);
    let arrivals: Vec<_> = read.arrivals().collect();
    assert_eq!(arrivals, [(153, Some(0x94 * 250))]);
}

/// Filled by hand: base 0xfffe, 13 packets, reference -1; a run of two missing, an empty run, a
/// one-bit vector of two that came; two small deltas.
#[test]
fn runs_and_one_bit_vectors_are_read() {
    let packet = hex("8fcd0006 00000001 00000002 fffe000d ffffff09 00020000 b0000405");
    let read = feedback(&packet);
    assert_eq!(read.reference_time, -1);
    let arrivals: Vec<_> = read.arrivals().collect();
    assert_eq!(arrivals[..2], [(0xfffe, None), (0xffff, None)]);
    assert_eq!(arrivals[2..4], [(0, Some(1_000)), (1, Some(2_250))]);
    assert!(arrivals[4..].iter().all(|(_, at)| at.is_none()));
    assert_eq!(arrivals.len(), 13);
}

/// Filled by hand: nine packets; a two-bit vector of 1 2 0 0 2 0 0, a run of two large; the deltas
/// 7, 256, -1, 1, -1.
#[test]
fn two_bit_vectors_and_large_deltas_are_read() {
    let fixed = "00000001 00000002 000a0009 00000200 d8204002 070100ff ff0001ff";
    let packet = hex(&format!("8fcd0008 {fixed} ff000000"));
    let arrivals = feedback(&packet).arrivals();
    let ticks: Vec<_> = arrivals.map(|(_, at)| at.map(|at| at / 250)).collect();
    let (none, some) = (None, Some);
    let expected = [
        some(7),
        some(263),
        none,
        none,
        some(262),
        none,
        none,
        some(263),
        some(262),
    ];
    assert_eq!(ticks, expected);
    // One byte short: the last delta is cut.
    let packet = hex(&format!("8fcd0007 {fixed}"));
    let (packet_type, length) = (205, 28);
    assert_eq!(
        packets(&packet).next(),
        Some(Err(RtpError::RtcpBody {
            packet_type,
            length
        }))
    );
}

#[test]
fn a_status_that_is_reserved_is_refused() {
    let packet = hex("8fcd0005 00000001 00000002 000a0001 00000200 60010000");
    assert!(packets(&packet).next().is_some_and(|read| read.is_err()));
}

/// Two bits each: 1 1 0 2 2; deltas of 0, 40, 1,560 and -40 ticks.
#[test]
fn a_short_feedback_has_the_expected_bytes() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    assert!(!recorder.write_feedback(&mut Vec::new(), 1, 2));
    for (sequence, ms) in [(0xffff, 0), (0, 10), (2, 400), (3, 390)] {
        recorder.record(now + Duration::from_millis(ms), sequence);
    }
    let mut out = Vec::new();
    assert!(recorder.write_feedback(&mut out, 1, 2));
    let expected = hex("8fcd0006 00000001 00000002 ffff0005 00000000 d4a00028 0618ffd8");
    assert_eq!(out, expected);
}

#[test]
fn what_comes_late_is_reported_again() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    recorder.record(now, 5);
    recorder.record(now, 7);
    let first = [(5, Some(0)), (6, None), (7, Some(0))];
    assert_eq!(drain(&mut recorder), first);
    recorder.record(now + Duration::from_millis(1), 6);
    recorder.record(now + Duration::from_millis(1), 7);
    let again = [(6, Some(1_000)), (7, Some(0))];
    assert_eq!(drain(&mut recorder), again);
}

#[test]
fn disorder_at_the_start_is_reported() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    for sequence in [1, 0, 0xffff] {
        recorder.record(now, sequence);
    }
    let all = [(0xffff, Some(0)), (0, Some(0)), (1, Some(0))];
    assert_eq!(drain(&mut recorder), all);
}

#[test]
fn times_far_apart_take_two_packets() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    recorder.record(now, 1);
    recorder.record(now + Duration::from_secs(20), 2);
    let mut out = Vec::new();
    assert!(recorder.write_feedback(&mut out, 1, 2));
    assert_eq!(feedback(&out).count, 1);
    let rest = drain(&mut recorder);
    assert_eq!(rest, [(2, Some(20_000_000))]);
}

#[test]
fn a_jump_starts_anew() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    recorder.record(now, 1);
    recorder.record(now, 30_000);
    assert_eq!(drain(&mut recorder), [(30_000, Some(0))]);
    // A gap within the record is reported whole, in one packet.
    recorder.record(now, 38_000);
    let mut out = Vec::new();
    assert!(recorder.write_feedback(&mut out, 1, 2));
    assert_eq!(feedback(&out).count, 8_000);
    assert!(out.len() < 40);
    assert_eq!(feedback(&out).arrivals().last(), Some((38_000, Some(0))));
}

#[test]
fn the_reference_time_wraps_within_its_24_bits() {
    let now = base();
    let mut recorder = TwccRecorder::new();
    recorder.record(now, 1);
    drain(&mut recorder);
    let days = Duration::from_millis(64 * ((1 << 24) + 5));
    recorder.record(now + days, 2);
    let mut out = Vec::new();
    assert!(recorder.write_feedback(&mut out, 1, 2));
    assert_eq!(feedback(&out).reference_time, 5);
    let days = Duration::from_millis(64 * ((1 << 24) - 1));
    let mut recorder = TwccRecorder::new();
    recorder.record(now, 1);
    drain(&mut recorder);
    recorder.record(now + days, 2);
    out.clear();
    assert!(recorder.write_feedback(&mut out, 1, 2));
    assert_eq!(feedback(&out).reference_time, -1);
}

proptest! {
    #[test]
    fn what_is_recorded_is_reported(
        first in any::<u16>(),
        steps in proptest::collection::vec(
            (prop_oneof![8 => Just(1_u16), 1 => 2_u16..40], prop_oneof![
                8 => 0_u64..3_000, 3 => 0_u64..200_000, 1 => 0_u64..12_000_000,
            ]),
            1..1_500,
        ),
        every in 1_usize..2_000,
    ) {
        let start = base();
        let mut recorder = TwccRecorder::new();
        let mut now = start;
        let mut sequence = first;
        let mut expected = Vec::new();
        let mut reported = Vec::new();
        for (place, (skip, wait)) in steps.into_iter().enumerate() {
            if place > 0 {
                for lost in 1..skip {
                    expected.push((sequence.wrapping_add(lost), None));
                }
                sequence = sequence.wrapping_add(skip);
                now += Duration::from_micros(wait);
            }
            recorder.record(now, sequence);
            expected.push((sequence, Some(now)));
            // Below what the record can hold, however many are lost.
            if place % every.min(200) == 0 {
                reported.extend(drain(&mut recorder));
            }
        }
        reported.extend(drain(&mut recorder));
        prop_assert_eq!(reported.len(), expected.len());
        for ((sequence, at), (number, expected)) in reported.into_iter().zip(expected) {
            prop_assert_eq!(sequence, number);
            prop_assert_eq!(at.is_some(), expected.is_some());
            if let (Some(at), Some(expected)) = (at, expected) {
                let expected = i64::try_from((expected - start).as_micros()).unwrap();
                prop_assert!((expected - at).abs() < 250, "{expected} {at}");
            }
        }
    }

    #[test]
    fn disorder_loses_nothing(
        first in any::<u16>(),
        moves in proptest::collection::vec(0_usize..30, 1..600),
    ) {
        let now = base();
        // Each packet is held back by up to thirty places.
        let mut order: Vec<_> = moves.into_iter().enumerate().collect();
        order.sort_by_key(|(place, back)| place + back);
        let mut recorder = TwccRecorder::new();
        let mut arrived = vec![false; order.len()];
        for (count, &(place, _)) in order.iter().enumerate() {
            let sequence = first.wrapping_add(u16::try_from(place).unwrap());
            let ms = u64::try_from(count).unwrap();
            recorder.record(now + Duration::from_millis(ms), sequence);
            if count % 17 == 0 {
                for (sequence, at) in drain(&mut recorder) {
                    let place = usize::from(sequence.wrapping_sub(first));
                    arrived[place] |= at.is_some();
                }
            }
        }
        for (sequence, at) in drain(&mut recorder) {
            arrived[usize::from(sequence.wrapping_sub(first))] |= at.is_some();
        }
        prop_assert!(arrived.into_iter().all(|arrived| arrived));
    }

    #[test]
    fn any_numbers_are_recorded(numbers in proptest::collection::vec(any::<u16>(), 1..200)) {
        let now = base();
        let mut recorder = TwccRecorder::new();
        for (place, number) in (0..).zip(numbers) {
            recorder.record(now + Duration::from_millis(place), number);
            if number % 16 == 0 {
                drain(&mut recorder);
            }
        }
        drain(&mut recorder);
    }
}
