use super::*;

/// AAC at 44.1 kHz.
const FRAME: usize = 1_024;
const SOURCE: u32 = 44_100;

fn at(index: u64) -> Duration {
    Duration::from_nanos(index * 1_024 * 1_000_000_000 / u64::from(SOURCE))
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A timeline that has seen ten seconds of a steady source; and the number of its next frame.
fn steady() -> (Timeline, u64) {
    let mut line = Timeline::default();
    assert_eq!(line.place(at(0), FRAME, SOURCE), Placement::Begin(ms(0)));
    for index in 1..430 {
        assert_eq!(line.place(at(index), FRAME, SOURCE), Placement::Next);
    }
    (line, 430)
}

#[test]
fn whole_milliseconds_are_jitter() {
    let mut line = Timeline::default();
    line.place(ms(0), FRAME, SOURCE);
    for index in 1..100_000 {
        let rounded = Duration::from_millis(at(index).as_millis().try_into().unwrap());
        assert_eq!(line.place(rounded, FRAME, SOURCE), Placement::Next);
    }
    // 39 minutes, and not a sample is lost in the divisions.
    let error = line.next_ns.unwrap() - nanos(at(100_000));
    assert!(error.abs() < 1_000, "{error}");
}

#[test]
fn a_hole_is_filled() {
    let (mut line, next) = steady();
    let late = at(next) + ms(100);
    let Placement::After(samples) = line.place(late, FRAME, SOURCE) else {
        panic!("a hole");
    };
    assert!(samples.abs_diff(4_800) <= 1, "{samples}");
    assert_eq!(
        line.place(at(next + 1) + ms(100), FRAME, SOURCE),
        Placement::Next
    );
}

#[test]
fn an_overlap_is_left_out() {
    let (mut line, next) = steady();
    let back = |index: u64| at(index) - ms(100);
    let placed = (next..next + 10).map(|index| line.place(back(index), FRAME, SOURCE));
    let skipped = placed
        .filter(|placement| *placement == Placement::Skip)
        .count();
    // 23.2 ms each, until what is left is jitter.
    assert_eq!(skipped, 3);
}

#[test]
fn a_jump_begins_a_line() {
    for there in [ms(3_600_000), ms(5)] {
        let (mut line, _) = steady();
        assert_eq!(line.place(there, FRAME, SOURCE), Placement::Begin(there));
        assert_eq!(line.place(there + at(1), FRAME, SOURCE), Placement::Next);
    }
}

#[test]
fn a_clock_that_drifts_is_followed() {
    for ppm in [-500_i64, 500] {
        let mut line = Timeline::default();
        let mut added = 0_i64;
        // Ten minutes.
        let frames = 600 * u64::from(SOURCE) / 1_024;
        for index in 0..frames {
            let true_ns = nanos(at(index));
            let stamp = true_ns + true_ns / 1_000_000 * ppm;
            let stamp = Duration::from_nanos(stamp.unsigned_abs());
            match line.place(stamp, FRAME, SOURCE) {
                Placement::Drift(samples) => added += i64::from(samples),
                Placement::Next => {}
                Placement::Begin(_) => assert_eq!(index, 0),
                other @ (Placement::After(_) | Placement::Skip) => panic!("{other:?} at {index}"),
            }
        }
        // 500 ppm of ten minutes are 300 ms.
        let expected = 14_400 * ppm.signum();
        assert!((added - expected).abs() < 500, "{added} at {ppm} ppm");
    }
}

#[test]
fn samples_are_time() {
    assert_eq!(duration_of(960), ms(20));
    assert_eq!(duration_of(48_000 * 3_600), ms(3_600_000));
}
