use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const RTT: Duration = Duration::from_millis(50);

#[allow(clippy::disallowed_methods, reason = "tests need one base instant")]
fn start() -> Instant {
    Instant::now()
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A video stream that has had its first packets.
fn stream(now: Instant, numbers: impl IntoIterator<Item = u16>) -> ReceiveStream {
    let mut stream = ReceiveStream::new(90_000, true);
    for seq in numbers {
        stream.on_packet(now, seq, 0, 1_000);
    }
    stream
}

#[test]
fn arrivals_are_placed_and_told_apart() {
    let now = start();
    let mut stream = ReceiveStream::new(90_000, true);
    let mut arrive = |seq| stream.on_packet(now, seq, 0, 100);
    let expected = |sequence, duplicate, newest| Arrival {
        sequence,
        duplicate,
        newest,
        restarted: false,
    };
    assert_eq!(arrive(65_534), expected(131_070, false, true));
    assert_eq!(arrive(1), expected(131_073, false, true));
    assert_eq!(arrive(0), expected(131_072, false, false));
    assert_eq!(arrive(0), expected(131_072, true, false));
    // From before the first packet, yet within reach.
    assert_eq!(arrive(65_500), expected(131_036, false, false));
    // Older than the window: cannot be told, so not forwarded.
    assert_eq!(arrive(60_000), expected(125_536, true, false));
    assert_eq!((stream.packets(), stream.bytes()), (6, 600));
}

#[test]
fn a_lost_packet_is_asked_for_until_it_comes() {
    let now = start();
    let mut stream = stream(now, [10, 12]);
    assert!(stream.poll_nacks(now, RTT).is_empty());
    assert_eq!(stream.poll_timeout(), Some(now + ms(10)));
    let asked = now + ms(10);
    assert_eq!(stream.poll_nacks(asked, RTT).as_slice(), [11]);
    assert!(stream.poll_nacks(asked + ms(49), RTT).is_empty());
    assert_eq!(stream.poll_timeout(), Some(asked + RTT));
    assert_eq!(stream.poll_nacks(asked + ms(50), RTT).as_slice(), [11]);
    let arrival = stream.on_repaired(asked + ms(60), 11);
    assert_eq!((arrival.sequence, arrival.duplicate), (65_547, false));
    assert_eq!(stream.poll_timeout(), None);
    assert!(stream.on_packet(asked + ms(61), 11, 0, 100).duplicate);
    assert!(!stream.take_needs_keyframe());
}

#[test]
fn newer_packets_shorten_the_wait_and_late_ones_end_it() {
    let now = start();
    let mut stream = stream(now, [10, 13, 12]);
    assert_eq!(stream.poll_nacks(now, RTT).as_slice(), [11]);
    stream.on_packet(now, 15, 0, 100);
    stream.on_packet(now, 14, 0, 100);
    assert!(stream.poll_nacks(now + ms(15), RTT).is_empty());
    // The shortest path does not make requests come faster than every 20 ms.
    assert_eq!(stream.poll_nacks(now + ms(50), ms(1)).as_slice(), [11]);
    assert!(stream.poll_nacks(now + ms(69), ms(1)).is_empty());
}

#[test]
fn a_packet_is_given_up_after_ten_requests_or_a_second() {
    for (rtt, requests) in [(ms(20), 10), (ms(250), 4)] {
        let now = start();
        let mut stream = stream(now, [10, 12]);
        let mut asked = 0;
        while let Some(at) = stream.poll_timeout() {
            asked += stream.poll_nacks(at, rtt).len();
        }
        assert_eq!(asked, requests);
        assert!(stream.take_needs_keyframe());
        assert!(!stream.take_needs_keyframe());
    }
}

#[test]
fn the_wait_for_late_packets_follows_the_path() {
    // What a stream waits for its second hole, after a round trip was told with the first.
    let waits = |rtt| {
        let now = start();
        let mut stream = stream(now, [10, 12]);
        stream.poll_nacks(now + ms(10), rtt);
        stream.on_repaired(now + ms(11), 11);
        stream.on_packet(now + ms(20), 14, 0, 100);
        stream.poll_timeout().unwrap() - (now + ms(20))
    };
    assert_eq!(waits(ms(8)), ms(5));
    assert_eq!(waits(ms(80)), ms(10));
    assert_eq!(waits(ms(400)), ms(25));
}

#[test]
fn a_path_that_swaps_packets_is_given_more_of_them() {
    let now = start();
    let mut stream = stream(now, [10, 12, 13]);
    // Two newer ones: asked for at once, and yet it comes before an answer could.
    assert_eq!(stream.poll_timeout(), Some(now));
    assert_eq!(stream.poll_nacks(now, RTT).as_slice(), [11]);
    for seq in [14, 15, 16] {
        stream.on_packet(now + ms(1), seq, 0, 100);
    }
    stream.on_packet(now + ms(2), 11, 0, 100);
    let later = now + ms(10);
    for seq in [18, 19, 20, 21] {
        stream.on_packet(later, seq, 0, 100);
    }
    assert!(stream.poll_timeout().unwrap() > later);
    stream.on_packet(later, 23, 0, 100);
    assert_eq!(stream.poll_timeout(), Some(later));
    assert_eq!(stream.poll_nacks(later, RTT).as_slice(), [17]);
}

#[test]
fn the_answer_to_a_first_request_tells_the_round_trip() {
    let now = start();
    let mut stream = stream(now, [10, 12]);
    assert_eq!(stream.repair_rtt(), None);
    assert_eq!(stream.poll_nacks(now + ms(10), RTT).as_slice(), [11]);
    stream.on_repaired(now + ms(90), 11);
    assert_eq!(stream.repair_rtt(), Some(ms(80)));
    // Asked for twice: nobody knows which request this answers.
    stream.on_packet(now + ms(100), 14, 0, 100);
    for at in [110, 160] {
        assert_eq!(stream.poll_nacks(now + ms(at), RTT).as_slice(), [13]);
    }
    stream.on_repaired(now + ms(165), 13);
    assert_eq!(stream.repair_rtt(), Some(ms(80)));
}

#[test]
fn far_paths_are_given_four_round_trips_and_no_more_than_two_seconds() {
    for (rtt, requests, seconds) in [(ms(400), 4, 1.6), (ms(5_000), 4, 2.0)] {
        let now = start();
        let mut stream = stream(now, [10, 12]);
        let (mut asked, mut last) = (0, now);
        while let Some(at) = stream.poll_timeout() {
            last = at;
            asked += stream.poll_nacks(at, rtt).len();
        }
        assert_eq!(asked, requests);
        assert!((last - now).as_secs_f64() >= seconds, "{:?}", last - now);
        assert!((last - now).as_secs_f64() < seconds + 0.1);
        assert!(stream.take_needs_keyframe());
    }
}

#[test]
fn a_large_hole_needs_a_keyframe_and_a_keyframe_ends_the_asking() {
    let now = start();
    let mut holey = stream(now, [0, 258]);
    assert_eq!(holey.poll_timeout(), None);
    assert!(holey.take_needs_keyframe());

    let mut holey = stream(now, [0, 257]);
    assert_eq!(holey.poll_nacks(now + ms(10), RTT).len(), 256);
    assert!(!holey.take_needs_keyframe());
    holey.forget_before(65_536 + 250);
    let asked = holey.poll_nacks(now + ms(60), RTT);
    assert_eq!(asked.as_slice(), [250, 251, 252, 253, 254, 255, 256]);
}

#[test]
fn a_sender_that_starts_again_has_lost_nothing() {
    let now = start();
    let mut stream = stream(now, [1, 2, 4]);
    let arrival = stream.on_packet(now, 20_000, 0, 100);
    assert!(arrival.restarted && arrival.newest);
    assert!(stream.take_needs_keyframe());
    assert_eq!(stream.poll_timeout(), None);
    assert_eq!(stream.report(now).unwrap().cumulative_lost, 1);
}

#[test]
fn silence_is_not_loss() {
    let now = start();
    let mut stream = ReceiveStream::new(48_000, true);
    for (seq, at) in [(1, 0), (2, 20), (3, 420), (4, 820)] {
        let ts = u32::try_from(at * 48).unwrap();
        stream.on_packet(now + ms(at), seq, ts, 3);
    }
    assert_eq!(stream.poll_timeout(), None);
    let figures = stream.report(now + ms(900)).unwrap();
    assert_eq!((figures.cumulative_lost, figures.jitter), (0, 0));
}

#[test]
fn reports_count_as_the_rfc_does() {
    let now = start();
    assert_eq!(ReceiveStream::new(90_000, false).report(now), None);
    let mut stream = stream(now, [65_535, 0, 2, 3]);
    let report = stream.report(now).unwrap();
    assert_eq!(report.extended_highest, 65_539);
    assert_eq!((report.fraction_lost, report.cumulative_lost), (51, 1));
    // A repair is the path's loss all the same, and a duplicate counts as received.
    stream.on_repaired(now, 1);
    stream.on_packet(now, 4, 0, 100);
    stream.on_packet(now, 4, 0, 100);
    let report = stream.report(now).unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0));
    assert_eq!((report.last_sender_report, report.delay_since_last), (0, 0));

    stream.on_sender_report(now, NtpTime(0x1234_5678_9abc_def0), 99);
    let report = stream.report(now + ms(1_500)).unwrap();
    assert_eq!(report.last_sender_report, 0x5678_9abc);
    assert_eq!(report.delay_since_last, 0x1_8000);
    assert_eq!(stream.sender_clock().unwrap().timestamp, RtpTimestamp(99));
}

#[test]
fn jitter_approaches_the_deviation() {
    let now = start();
    let mut stream = ReceiveStream::new(90_000, false);
    // Packets of 20 ms, each second one 5 ms late: every gap is off by 450 ticks.
    for index in 0..200_u16 {
        let at = u64::from(index) * 20 + u64::from(index % 2) * 5;
        stream.on_packet(now + ms(at), index, u32::from(index) * 1_800, 100);
    }
    let jitter = stream.report(now).unwrap().jitter;
    assert!((440..=450).contains(&jitter), "{jitter}");
}

#[test]
fn retransmissions_come_apart() {
    assert_eq!(
        unwrap_rtx(&[0x12, 0x34, 5, 6]),
        Some((0x1234, [5, 6].as_slice()))
    );
    assert_eq!(unwrap_rtx(&[0x12, 0x34]), None);
    assert_eq!(unwrap_rtx(&[0x12]), None);
    assert_eq!(unwrap_rtx(&[]), None);
}

proptest! {
    /// Whatever comes: a number is new once, and what is asked for is never what has come.
    #[test]
    fn nothing_is_new_twice_or_asked_for_in_vain(
        steps in prop::collection::vec((0_u16..6, 0_u16..300, 0_u64..30), 1..500),
        start_at in any::<u16>(),
    ) {
        let mut now = start();
        let mut stream = ReceiveStream::new(90_000, true);
        let mut front = start_at;
        let mut seen = HashSet::new();
        for (ahead, behind, wait) in steps {
            front = front.wrapping_add(ahead);
            now += ms(wait);
            let seq = if ahead == 0 { front.wrapping_sub(behind) } else { front };
            let arrival = stream.on_packet(now, seq, 0, 100);
            prop_assert_eq!(arrival.duplicate, !seen.insert(arrival.sequence));
            for asked in stream.poll_nacks(now, RTT) {
                let place = stream.numbers.place_of(SequenceNumber(asked));
                prop_assert!(!seen.contains(&place));
            }
        }
    }
}
