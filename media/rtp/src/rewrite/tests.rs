use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const CAMERA: u32 = 1;
const SCREEN: u32 = 2;

#[allow(clippy::disallowed_methods, reason = "tests need one base instant")]
fn start() -> Instant {
    Instant::now()
}

fn rewriter(now: Instant) -> Rewriter {
    let mut rewriter = Rewriter::new(90_000, 1_000, 50_000);
    rewriter.switch(CAMERA, 70_000, 7, now, None);
    rewriter
}

#[test]
fn the_first_packet_has_the_first_numbers() {
    let now = start();
    let mut rewriter = rewriter(now);
    assert_eq!(rewriter.last(), None);
    assert_eq!(
        rewriter.forward(CAMERA, 70_000, 7, now),
        Some((1_000, 50_000))
    );
    assert_eq!(
        rewriter.forward(CAMERA, 70_001, 3_007, now),
        Some((1_001, 53_000))
    );
    assert_eq!(rewriter.forward(SCREEN, 70_002, 3_007, now), None);
    assert_eq!(rewriter.forward(CAMERA, 69_999, 0, now), None);
    assert_eq!(rewriter.last(), Some((1_001, 53_000)));
    assert_eq!(rewriter.source(), Some(CAMERA));
}

#[test]
fn drops_close_and_losses_stay() {
    let now = start();
    let mut rewriter = rewriter(now);
    let mut forward = |seq| rewriter.forward(CAMERA, seq, 7, now).map(|(seq, _)| seq);
    assert_eq!(forward(70_000), Some(1_000));
    assert_eq!(rewriter.drop(CAMERA, 70_001), None);
    assert_eq!(rewriter.drop(CAMERA, 70_002), None);
    let mut forward = |seq| rewriter.forward(CAMERA, seq, 7, now).map(|(seq, _)| seq);
    // 70,003 is lost.
    assert_eq!(forward(70_004), Some(1_002));
    assert_eq!(forward(70_001), None);
    assert_eq!(forward(70_003), Some(1_001));
    // 70,005 and 70,006 are late; the first turns out not to be wanted.
    assert_eq!(forward(70_007), Some(1_005));
    assert_eq!(rewriter.drop(CAMERA, 70_005), Some(1_003));
    assert_eq!(rewriter.drop(CAMERA, 70_002), None);
    assert_eq!(rewriter.drop(SCREEN, 70_009), None);
}

#[test]
fn a_switch_moves_on_with_the_clock() {
    let now = start();
    let mut rewriter = rewriter(now);
    rewriter.forward(CAMERA, 70_000, 7, now);
    let later = now + Duration::from_millis(100);
    rewriter.switch(SCREEN, 80_000, 0xffff_ffff, later, None);
    assert_eq!(rewriter.forward(CAMERA, 70_001, 7, later), None);
    assert_eq!(rewriter.forward(SCREEN, 79_999, 0, later), None);
    let first = rewriter.forward(SCREEN, 80_000, 0xffff_ffff, later);
    assert_eq!(first, Some((1_001, 59_000)));
    assert_eq!(
        rewriter.forward(SCREEN, 80_001, 2_999, later),
        Some((1_002, 62_000))
    );
    // At once: still another timestamp.
    rewriter.switch(CAMERA, 71_000, 5, later, None);
    assert_eq!(
        rewriter.forward(CAMERA, 71_000, 5, later),
        Some((1_003, 62_001))
    );
}

#[test]
fn an_aligned_switch_goes_by_the_reports_within_reason() {
    let now = start();
    let later = now + Duration::from_millis(100);
    for (in_ts, alignment, expected) in [
        // 200 ms after on the old clock: 18,000 ticks, whatever the wall clock says.
        (500, 18_007 - 500, 68_000),
        // A layer that lags behind what was sent would step back: clamped.
        (500, 0_u32.wrapping_sub(500), 50_001),
        // Ten minutes ahead: a bad report, so the wall clock.
        (500, 54_000_000, 59_000),
    ] {
        let mut rewriter = rewriter(now);
        rewriter.forward(CAMERA, 70_000, 7, now);
        rewriter.switch(SCREEN, 90_000, in_ts, later, Some(alignment));
        let out = rewriter.forward(SCREEN, 90_000, in_ts, later);
        assert_eq!(out, Some((1_001, expected)));
    }
}

#[test]
fn numbers_below_a_forgotten_run_are_refused() {
    let now = start();
    let mut rewriter = rewriter(now);
    rewriter.forward(CAMERA, 70_000, 7, now);
    for pair in 0..65 {
        rewriter.drop(CAMERA, 70_001 + 2 * pair);
        // Each second packet is lost.
    }
    assert_eq!(
        rewriter.forward(CAMERA, 70_002, 7, now).map(|(seq, _)| seq),
        Some(1_001)
    );
    rewriter.drop(CAMERA, 70_131);
    assert_eq!(rewriter.forward(CAMERA, 70_002, 7, now), None);
    assert_eq!(
        rewriter.forward(CAMERA, 70_004, 7, now).map(|(seq, _)| seq),
        Some(1_002)
    );
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Forward,
    Drop,
    Lose,
    Switch,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Forward),
        4 => Just(Fate::Drop),
        1 => Just(Fate::Lose),
        1 => Just(Fate::Switch),
    ]
}

proptest! {
    /// In order and without loss: no gap, no step back, whatever is dropped and switched.
    #[test]
    fn output_has_no_seams(
        fates in prop::collection::vec((fate(), 0_u32..9_000, any::<u32>()), 1..400),
        first in any::<u16>(),
    ) {
        let mut now = start();
        let mut rewriter = Rewriter::new(90_000, first, 0xffff_0000);
        let (mut source, mut seq, mut ts) = (0, 70_000, 1_u32);
        rewriter.switch(source, seq, ts, now, None);
        let mut expected = u64::from(first);
        let mut last_ts: Option<RtpTimestamp> = None;
        for (fate, ticks, jump) in fates {
            now += Duration::from_micros(u64::from(ticks) * 11);
            match fate {
                Fate::Drop | Fate::Lose => prop_assert_eq!(rewriter.drop(source, seq), None),
                Fate::Forward => {
                    let (out, out_ts) = rewriter.forward(source, seq, ts, now).unwrap();
                    prop_assert_eq!(out, expected);
                    expected += 1;
                    let out_ts = RtpTimestamp(out_ts);
                    let backwards = last_ts.is_some_and(|last| out_ts.distance(last) < 0);
                    prop_assert!(!backwards);
                    last_ts = Some(out_ts);
                }
                Fate::Switch => {
                    source += 1;
                    (seq, ts) = (u64::from(jump) + 65_536, jump);
                    let alignment = (jump % 2 == 0).then_some(jump);
                    rewriter.switch(source, seq, ts, now, alignment);
                    let (out, out_ts) = rewriter.forward(source, seq, ts, now).unwrap();
                    prop_assert_eq!(out, expected);
                    expected += 1;
                    let out_ts = RtpTimestamp(out_ts);
                    let later = last_ts.is_none_or(|last| out_ts.is_newer_than(last));
                    prop_assert!(later);
                    last_ts = Some(out_ts);
                }
            }
            seq += 1;
            ts = ts.wrapping_add(ticks);
        }
    }

    /// With loss, reordering and drops: no number twice, and order is kept.
    #[test]
    fn no_two_packets_share_a_number(
        steps in prop::collection::vec((fate(), 0_u64..40), 1..400),
    ) {
        let now = start();
        let mut rewriter = rewriter(now);
        rewriter.forward(CAMERA, 70_000, 7, now);
        let mut done = HashSet::from([70_000]);
        let mut sent = vec![(70_000, 1_000)];
        for (index, (fate, late)) in (1_u64..).zip(steps) {
            let seq = (70_000 + index).saturating_sub(late).max(70_001);
            if matches!(fate, Fate::Lose) || !done.insert(seq) {
                continue;
            }
            if matches!(fate, Fate::Drop) {
                if let Some(hole) = rewriter.drop(CAMERA, seq) {
                    sent.push((seq, hole));
                }
            } else if let Some((out, _)) = rewriter.forward(CAMERA, seq, 7, now) {
                sent.push((seq, out));
            }
        }
        sent.sort_unstable();
        prop_assert!(sent.is_sorted_by(|a, b| a.1 < b.1));
    }
}
