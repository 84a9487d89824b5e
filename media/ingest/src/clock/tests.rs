use super::*;
use media_types::MediaKind;
use proptest::prelude::*;

const VIDEO: TrackKey = TrackKey {
    kind: MediaKind::Video,
    id: 0,
};
const AUDIO: TrackKey = TrackKey {
    kind: MediaKind::Audio,
    id: 0,
};

struct Bench {
    start: Instant,
    clock: SourceClock,
}

impl Bench {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let start = Instant::now();
        let clock = SourceClock::default();
        Self { start, clock }
    }

    /// A frame that arrives at `at` milliseconds; where it lies, in milliseconds.
    fn at(&mut self, at: u64, track: TrackKey, timestamp: u32) -> (u64, Option<Mended>) {
        let now = self.start + Duration::from_millis(at);
        let placed = self.clock.place(now, track, timestamp, 0);
        (placed.time_us / 1_000, placed.mended)
    }
}

#[test]
fn an_even_source_starts_at_zero_and_stays_even() {
    let mut bench = Bench::new();
    for frame in 0..100 {
        let millis = frame * 33;
        let timestamp = 777_000 + u32::try_from(millis).unwrap();
        assert_eq!(bench.at(millis, VIDEO, timestamp), (millis, None));
        assert_eq!(bench.at(millis + 5, AUDIO, timestamp), (millis, None));
    }
}

#[test]
fn thirty_two_bits_wrap() {
    let mut bench = Bench::new();
    for frame in 0..10 {
        let timestamp = (u32::MAX - 100).wrapping_add(u32::try_from(frame * 40).unwrap());
        assert_eq!(bench.at(frame * 40, VIDEO, timestamp), (frame * 40, None));
    }
}

#[test]
fn a_jump_goes_on_where_it_arrives_and_the_other_track_follows() {
    for leap in [3_600_000_u32, 3_600_000_u32.wrapping_neg()] {
        let mut bench = Bench::new();
        let base = 50_000_000_u32;
        bench.at(0, VIDEO, base);
        bench.at(3, AUDIO, base + 3);
        let after = base.wrapping_add(leap);
        assert_eq!(bench.at(40, VIDEO, after + 40), (40, Some(Mended::Jumped)));
        // Sound of before the jump is still on its way.
        assert_eq!(bench.at(43, AUDIO, base + 26), (26, None));
        assert_eq!(bench.at(70, AUDIO, after + 65), (65, Some(Mended::Jumped)));
        assert_eq!(bench.at(80, VIDEO, after + 80), (80, None));
        assert_eq!(bench.at(90, AUDIO, after + 88), (88, None));
    }
}

#[test]
fn a_gap_that_the_arrival_explains_is_kept() {
    let mut bench = Bench::new();
    bench.at(0, AUDIO, 0);
    assert_eq!(bench.at(9_000, AUDIO, 9_000), (9_000, None));
    // A stalled network: five seconds of nothing, then all of it at once.
    for frame in 1..=125 {
        let timestamp = 9_000 + frame * 40;
        let placed = bench.at(14_000, AUDIO, timestamp);
        assert_eq!(placed, (timestamp.into(), None));
    }
}

#[test]
fn a_little_backwards_is_a_little_forwards() {
    let mut bench = Bench::new();
    bench.at(0, VIDEO, 1_000);
    bench.at(40, VIDEO, 1_040);
    assert_eq!(bench.at(80, VIDEO, 1_030), (41, Some(Mended::Backwards)));
    assert_eq!(bench.at(120, VIDEO, 1_120), (120, None));
}

#[test]
fn a_clock_that_stands_still_is_replaced_by_arrival() {
    let mut bench = Bench::new();
    bench.at(0, VIDEO, 500);
    let mut last = 0;
    for frame in 1..=50 {
        let (time, mended) = bench.at(frame * 40, VIDEO, 500);
        assert!(time > last);
        last = time;
        let frozen = frame * 40 >= 500;
        assert_eq!(
            mended,
            Some(if frozen {
                Mended::Frozen
            } else {
                Mended::Backwards
            })
        );
        if frozen {
            assert_eq!(time, frame * 40);
        }
    }
    assert_eq!(bench.at(2_040, VIDEO, 540), (2_040, None));
}

#[test]
fn a_late_track_with_a_zero_of_its_own_lies_where_it_arrives() {
    let mut bench = Bench::new();
    bench.at(0, VIDEO, 5_000_000);
    bench.at(20_000, VIDEO, 5_020_000);
    assert_eq!(bench.at(20_010, AUDIO, 0), (20_010, None));
    assert_eq!(bench.at(20_040, VIDEO, 5_020_040), (20_040, None));
    assert_eq!(bench.at(20_031, AUDIO, 21), (20_031, None));
}

#[test]
fn a_file_is_held_to_its_pace() {
    let mut bench = Bench::new();
    bench.at(0, VIDEO, 0);
    bench.at(1, VIDEO, 900);
    assert_eq!(bench.clock.hold(), None);
    let mut longest = Duration::ZERO;
    for second in 1..=20 {
        bench.at(2 + u64::from(second), VIDEO, second * 900);
        longest = longest.max(bench.clock.hold().unwrap_or_default());
    }
    assert!(longest > Duration::from_secs(15), "{longest:?}");
    assert!(longest < Duration::from_secs(17), "{longest:?}");
}

#[test]
fn drift_is_followed_in_the_time_of_capture() {
    let mut bench = Bench::new();
    // A source whose clock runs 100 ppm fast, an hour long.
    let mut lag = Duration::ZERO;
    for second in 0..3_600_u64 {
        let now = bench.start + Duration::from_micros(second * 999_900);
        let timestamp = u32::try_from(second * 1_000).unwrap();
        let placed = bench.clock.place(now, VIDEO, timestamp, 0);
        assert_eq!(placed.time_us, second * 1_000_000);
        assert_eq!(bench.clock.hold(), None);
        lag = placed.lag;
    }
    assert!(lag < Duration::from_millis(5), "{lag:?}");
    let drifted = bench.clock.drift.base;
    assert!((-365_000..-350_000).contains(&drifted), "{drifted}");
}

#[test]
fn a_frame_that_took_long_was_captured_earlier() {
    let mut bench = Bench::new();
    bench.at(0, VIDEO, 0);
    let now = bench.start + Duration::from_millis(240);
    let placed = bench.clock.place(now, VIDEO, 40, 500_000);
    assert_eq!(placed.time_us, 40_500);
    assert_eq!(placed.lag, Duration::from_micros(199_500));
}

proptest! {
    #[test]
    fn time_always_rises_and_never_runs_off(
        steps in prop::collection::vec(
            (0_u64..2_000, any::<bool>(), prop_oneof![Just(None), any::<u32>().prop_map(Some)]),
            1..200,
        ),
    ) {
        let mut bench = Bench::new();
        let mut last = [None::<u64>; 2];
        let (mut at, mut source) = (0, 0_u32);
        for (step, audio, leap) in steps {
            at += step;
            source = source.wrapping_add(u32::try_from(step).unwrap());
            source = leap.unwrap_or(source);
            let track = if audio { AUDIO } else { VIDEO };
            let (time, _) = bench.at(at, track, source);
            let last = &mut last[usize::from(audio)];
            prop_assert!(last.is_none_or(|last| time > last));
            *last = Some(time);
            // Within the leap that goes for none, and a millisecond for each step back.
            prop_assert!(time.abs_diff(at) <= 1_000 * 201, "{} at {}", time, at);
        }
    }
}
