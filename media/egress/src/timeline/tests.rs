use std::sync::Arc;

use bytes::Bytes;
use media_types::NtpTime;
use proptest::prelude::*;

use super::*;
use crate::TrackConfig;

const START: Duration = Duration::from_secs(1_000);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn frame(config: &Arc<TrackConfig>, timestamp: u64, arrived_ms: u64) -> SourceFrame {
    SourceFrame {
        timestamp,
        composition: 0,
        keyframe: true,
        arrived: START + millis(arrived_ms),
        config: Arc::clone(config),
        data: Bytes::new(),
    }
}

fn opus() -> Arc<TrackConfig> {
    Arc::new(TrackConfig::opus(2))
}

fn video() -> Arc<TrackConfig> {
    let record = Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]);
    let config = TrackConfig::from_vpcc(crate::Format::Vp9, record, (64, 64));
    Arc::new(config.unwrap())
}

/// A report that the track's timestamp was this when the sender's clock stood there.
fn report(sent_ms: u64, timestamp: u64) -> Option<SenderClock> {
    Some(SenderClock {
        ntp: NtpTime::from_unix(START + millis(sent_ms)),
        timestamp: RtpTimestamp::of(timestamp),
    })
}

#[test]
fn tracks_without_reports_are_joined_by_arrival() {
    let mut timeline = Timeline::default();
    let (mut sound, mut pictures) = (Line::default(), Line::default());
    let first = timeline.place(&mut sound, frame(&opus(), 5_000, 0));
    assert_eq!(first.dts, 48_000);
    assert_eq!(timeline.epoch(), Some(START - TIMELINE_LEAD));
    // Pictures come half a second late and start at their right place.
    let late = timeline.place(&mut pictures, frame(&video(), 77, 500));
    assert_eq!(late.dts, 135_000);
    // From then on their own clock counts, not arrival.
    let next = timeline.place(&mut pictures, frame(&video(), 77 + 3_000, 590));
    assert_eq!(next.dts, 138_000);
}

#[test]
fn tracks_with_reports_are_joined_by_the_senders_clock() {
    let mut timeline = Timeline::default();
    let (mut sound, mut pictures) = (Line::default(), Line::default());
    sound.set_clock(report(0, 5_000));
    pictures.set_clock(report(0, 90_000));
    let first = timeline.place(&mut sound, frame(&opus(), 5_000, 20));
    // Captured 100 ms after the first sound, on the way for 200 ms more.
    let picture = timeline.place(&mut pictures, frame(&video(), 90_000 + 9_000, 320));
    assert_eq!(picture.dts / 90, first.dts / 48 + 100);
}

#[test]
fn a_report_that_comes_later_moves_a_track_little_by_little() {
    let mut timeline = Timeline::default();
    let (mut sound, mut pictures) = (Line::default(), Line::default());
    sound.set_clock(report(0, 0));
    timeline.place(&mut sound, frame(&opus(), 0, 0));
    // By arrival the picture is 40 ms late.
    let mut last = timeline.place(&mut pictures, frame(&video(), 0, 40)).dts;
    assert_eq!(last, 90_000 + 3_600);
    pictures.set_clock(report(0, 0));
    for index in 1..20 {
        let source = index * 3_000;
        let placed = timeline
            .place(&mut pictures, frame(&video(), source, 40 + index * 33))
            .dts;
        let step = i64::try_from(placed - last).unwrap() - 3_000;
        assert!((-450..=0).contains(&step), "{step}");
        last = placed;
    }
    let right = 90_000 + 19 * 3_000;
    assert!(last.abs_diff(right) < 450, "{last} is not near {right}");
}

#[test]
fn absurd_reports_are_not_believed() {
    let mut timeline = Timeline::default();
    let (mut sound, mut pictures) = (Line::default(), Line::default());
    sound.set_clock(report(0, 0));
    timeline.place(&mut sound, frame(&opus(), 0, 0));
    pictures.set_clock(report(60_000, 0));
    let placed = timeline.place(&mut pictures, frame(&video(), 0, 40));
    assert_eq!(placed.dts, 93_600);
}

#[test]
fn a_jump_goes_on_from_where_arrival_puts_it() {
    for jump in [90_000 * 3_600, 1] {
        let mut timeline = Timeline::default();
        let mut line = Line::default();
        timeline.place(&mut line, frame(&video(), 90_000 * 100, 0));
        timeline.place(&mut line, frame(&video(), 90_000 * 100 + 3_000, 33));
        let after = timeline.place(&mut line, frame(&video(), jump, 66));
        assert_eq!(after.dts, 90_000 + 66 * 90);
        let next = timeline.place(&mut line, frame(&video(), jump + 3_000, 99));
        assert_eq!(next.dts, after.dts + 3_000);
    }
}

#[test]
fn a_pause_is_a_gap_if_the_source_says_so() {
    let mut timeline = Timeline::default();
    let mut line = Line::default();
    timeline.place(&mut line, frame(&video(), 0, 0));
    let after = timeline.place(&mut line, frame(&video(), 90_000 * 7, 7_000));
    assert_eq!(after.dts, 90_000 * 8);
    // Timestamps that stood still go on without one.
    let after = timeline.place(&mut line, frame(&video(), 90_000 * 7 + 3_000, 14_000));
    assert_eq!(after.dts, 90_000 * 8 + 3_000);
}

#[test]
fn a_burst_after_a_stall_keeps_its_own_clock() {
    let mut timeline = Timeline::default();
    let mut line = Line::default();
    timeline.place(&mut line, frame(&video(), 0, 0));
    for index in 1..90 {
        let placed = timeline.place(&mut line, frame(&video(), index * 3_000, 3_000));
        assert_eq!(placed.dts, 90_000 + index * 3_000);
    }
}

proptest! {
    #[test]
    fn times_rise_whatever_the_source_does(
        steps in prop::collection::vec((any::<u32>(), 0_u64..5_000, any::<bool>()), 1..80),
    ) {
        let mut timeline = Timeline::default();
        let mut line = Line::default();
        let (mut arrived, mut last) = (0, None);
        for (timestamp, passed, reported) in steps {
            arrived += passed;
            if reported {
                line.set_clock(report(u64::from(timestamp % 90_000), timestamp.into()));
            }
            let source = frame(&video(), timestamp.into(), arrived);
            let placed = timeline.place(&mut line, source).dts;
            prop_assert!(last.is_none_or(|last| placed > last));
            last = Some(placed);
        }
    }
}
