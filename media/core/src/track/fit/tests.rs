use std::time::{Duration, Instant};

use media_types::{Bitrate, Layer};

use super::*;

const FRAME: Duration = Duration::from_millis(33);

/// A track of two encodings, 300 and 1,200 kb/s, whose publisher keeps to its bounds if it `obeys`.
struct Stage {
    now: Instant,
    layers: Layers,
    fit: Fit,
    obeys: bool,
    changes: Vec<(u64, Option<u64>)>,
    start: Instant,
}

const WHOLE: [u64; 2] = [300, 1_200];

impl Stage {
    #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn new(obeys: bool) -> Self {
        let now = Instant::now();
        let mut layers = Layers::default();
        layers.set_published(2);
        let mut stage = Self {
            now,
            layers,
            fit: Fit::default(),
            obeys,
            changes: Vec::new(),
            start: now,
        };
        stage.play(4_000, &[viewer(1, 1, None)]);
        assert_eq!(stage.changes, []);
        stage.start = stage.now;
        stage
    }

    /// Lets both encodings flow for a while, watched by these.
    fn play(&mut self, ms: u64, viewers: &[Viewer]) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            for (stream, whole) in (0..).zip(WHOLE) {
                let bound = self.fit.bound(stream).filter(|_| self.obeys);
                let rate = bound.unwrap_or(kbps(whole)).min(kbps(whole));
                let bytes = usize::try_from(rate.bytes_in(FRAME)).unwrap();
                let layer = Layer {
                    spatial: stream,
                    temporal: 0,
                };
                self.layers.on_packet(self.now, layer, bytes, true);
            }
            self.layers.roll(self.now);
            let viewers = viewers.iter().copied();
            if self.fit.update(self.now, 2, viewers, &mut self.layers) {
                let at = self.now.duration_since(self.start);
                let bound = self.fit.bound(1).map(|rate| rate.bps() / 1_000);
                self.changes
                    .push((u64::try_from(at.as_millis()).unwrap(), bound));
            }
            self.now += FRAME;
        }
    }

    fn bounds(&self) -> Vec<Option<u64>> {
        self.changes.iter().map(|(_, bound)| *bound).collect()
    }
}

fn kbps(kbps: u64) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

fn viewer(reach: u8, shows: u8, left: Option<u64>) -> Viewer {
    Viewer {
        reach,
        shows: Some(shows),
        smooth: true,
        left: left.map(kbps),
    }
}

#[test]
fn a_lone_viewer_gets_the_encoding_fitted_to_its_path() {
    let mut stage = Stage::new(true);
    stage.play(2_000, &[viewer(1, 0, Some(1_000))]);
    assert_eq!(stage.bounds(), [Some(650)], "it begins with a keyframe");
    // Shown with some of its pictures, it leaves room for the others to come.
    let jerky = Viewer {
        smooth: false,
        ..viewer(1, 1, Some(1_000))
    };
    stage.play(3_000, &[jerky]);
    assert_eq!(stage.bounds(), [Some(650), Some(780)]);
    // Once it is shown it may take a little more, and what it costs is what was measured.
    stage.play(4_000, &[viewer(1, 1, Some(1_000))]);
    assert_eq!(stage.bounds(), [Some(650), Some(780), Some(860)]);
    let cost = stage.layers.whole_rate(1).unwrap();
    assert!(cost > kbps(820) && cost < kbps(870), "{cost:?}");
    assert!(stage.fit.whole(1).unwrap() > kbps(1_150));
}

#[test]
fn a_bound_falls_at_once_and_rises_slowly() {
    let mut stage = Stage::new(true);
    stage.play(3_000, &[viewer(1, 1, Some(1_000))]);
    // An estimate that wavers by some percent changes nothing.
    for left in [980, 1_020, 990, 1_040, 970] {
        stage.play(3_000, &[viewer(1, 1, Some(left))]);
    }
    assert_eq!(stage.bounds(), [Some(860)]);
    let at = stage.now.duration_since(stage.start);
    stage.play(1_000, &[viewer(1, 1, Some(700))]);
    let (fell, bound) = *stage.changes.last().unwrap();
    assert_eq!(bound, Some(602));
    assert!(u128::from(fell) - at.as_millis() < 50);
    // Better for a moment, and then for long.
    stage.play(1_000, &[viewer(1, 1, Some(900))]);
    assert_eq!(stage.bounds(), [Some(860), Some(602)]);
    stage.play(2_000, &[viewer(1, 1, Some(900))]);
    assert_eq!(stage.bounds(), [Some(860), Some(602), Some(774)]);
    stage.play(3_000, &[viewer(1, 1, Some(2_000))]);
    assert_eq!(stage.bounds()[3..], [None]);
}

#[test]
fn only_the_best_viewer_of_an_encoding_counts() {
    let mut stage = Stage::new(true);
    let poor = viewer(1, 0, Some(350));
    stage.play(3_000, &[poor, viewer(1, 1, Some(1_000))]);
    assert_eq!(stage.bounds(), [Some(860)]);
    // Whoever has no use for the encoding, or is shown a higher one, has no say in it.
    let mut other = Stage::new(true);
    other.play(
        3_000,
        &[viewer(0, 0, Some(2_000)), viewer(1, 1, Some(1_000))],
    );
    assert_eq!(other.bounds(), [Some(860)]);
    assert_eq!(other.fit.bound(0), None);
}

#[test]
fn who_can_take_all_lifts_the_bound_at_once() {
    let mut stage = Stage::new(true);
    let poor = viewer(1, 1, Some(1_000));
    stage.play(500, &[poor]);
    stage.play(100, &[poor, viewer(1, 1, None)]);
    assert_eq!(stage.bounds(), [Some(860), None]);
    // From that moment it is known to cost all of it again, though it comes as it was yet.
    assert!(stage.layers.whole_rate(1).unwrap() > kbps(1_100));
}

#[test]
fn below_a_third_the_next_lower_encoding_is_better() {
    let mut stage = Stage::new(true);
    stage.play(3_000, &[viewer(1, 1, Some(350))]);
    let least = stage.bounds()[0].unwrap();
    assert!((375..=400).contains(&least), "{least}");
    // Above that it is begun with less room than others are.
    let mut tight = Stage::new(true);
    tight.play(100, &[viewer(1, 0, Some(520))]);
    let begun = tight.bounds()[0].unwrap();
    assert!((375..=400).contains(&begun), "{begun}");
    assert!(tight.layers.whole_rate(1).unwrap() < kbps(410));
    // It is not offered as if it fitted: it costs what it costs, and flows until it is left.
    let mut unseen = Stage::new(true);
    unseen.play(100, &[viewer(1, 0, Some(400))]);
    assert!(unseen.layers.whole_rate(1).unwrap() > kbps(1_100));
}

#[test]
fn a_publisher_that_does_not_obey_is_left_alone() {
    let mut stage = Stage::new(false);
    stage.play(10_000, &[viewer(1, 1, Some(700))]);
    assert_eq!(stage.bounds(), [Some(602), None]);
    let proof = stage.changes[1].0;
    assert!((2_400..=2_700).contains(&proof), "{proof}");
    stage.play(100_000, &[viewer(1, 1, Some(700))]);
    assert_eq!(stage.changes.len(), 2);
    stage.play(30_000, &[viewer(1, 1, Some(700))]);
    assert_eq!(
        stage.bounds()[2..4],
        [Some(602), None],
        "tried again after two minutes"
    );
}

#[test]
fn a_rise_that_failed_is_not_tried_again_at_once() {
    let mut stage = Stage::new(true);
    let low = [viewer(1, 1, Some(800))];
    let high = [viewer(1, 1, Some(900))];
    stage.play(1_000, &low);
    let mut rises = Vec::new();
    for _ in 0..4 {
        let before = stage.changes.len();
        let at = stage.now;
        while stage.changes.len() == before {
            stage.play(33, &high);
        }
        rises.push(stage.now.duration_since(at).as_secs());
        stage.play(500, &low);
    }
    assert_eq!(rises, [1, 4, 9, 19]);
    // What is much more is taken as soon as ever.
    stage.play(3_000, &[viewer(1, 1, Some(1_200))]);
    assert_eq!(stage.bounds().last(), Some(&Some(1_032)));
}

#[test]
fn nobody_changes_nothing() {
    let mut stage = Stage::new(true);
    stage.play(1_000, &[viewer(1, 1, Some(1_000))]);
    stage.play(5_000, &[]);
    assert_eq!(stage.bounds(), [Some(860)]);
}
