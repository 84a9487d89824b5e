//! The estimator on a bottleneck of one rate with a queue.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

mod properties;

use super::*;

/// A link that carries `rate`, queues 300 ms of it, and drops what does not fit.
struct Link {
    rate: Bitrate,
    free_at: Duration,
    delay: Duration,
}

impl Link {
    fn carry(&mut self, at: Duration, size: DataSize) -> Option<Duration> {
        let start = self.free_at.max(at);
        if start - at > Duration::from_millis(300) {
            return None;
        }
        self.free_at = start + self.rate.time_for(size);
        Some(self.free_at + self.delay)
    }
}

/// Sends at `share` percent of the estimate for `seconds`, with feedback every 50 ms; returns the
/// estimate at the end.
fn run(
    estimator: &mut GccEstimator,
    link: &mut Link,
    base: Instant,
    from: u64,
    seconds: u64,
    share: u64,
) -> Bitrate {
    let size = DataSize::from_bytes(1_200);
    let mut at = Duration::from_secs(from);
    let end = at + Duration::from_secs(seconds);
    let mut next_feedback = at + Duration::from_millis(50);
    let mut pending = Vec::new();
    while at < end {
        let now = base + at;
        let sequence = estimator.on_sent(now, size);
        pending.push(PacketReport {
            sequence,
            arrived: link.carry(at, size),
        });
        at += estimator.estimate(now).percent(share).time_for(size);
        if at >= next_feedback {
            next_feedback += Duration::from_millis(50);
            estimator.on_feedback(base + at, pending.drain(..));
        }
    }
    estimator.estimate(base + at)
}

fn link(kbps: u64) -> Link {
    Link {
        rate: Bitrate::from_kbps(kbps),
        free_at: Duration::ZERO,
        delay: Duration::from_millis(20),
    }
}

#[test]
fn a_narrow_path_is_found() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    let estimate = run(&mut estimator, &mut link(800), base, 0, 20, 100);
    assert!(estimate >= Bitrate::from_kbps(500), "{estimate}");
    assert!(estimate <= Bitrate::from_kbps(1_100), "{estimate}");
}

#[test]
fn a_low_start_is_asked_once_whether_what_a_keyframe_needs_passes() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig {
        start: Bitrate::from_kbps(1_000),
        ..EstimatorConfig::default()
    });
    estimator.set_wanted(base, Bitrate::from_kbps(400));
    run(&mut estimator, &mut link(10_000), base, 0, 1, 30);
    let now = base + Duration::from_secs(1);
    let cluster = estimator.poll_probe(now).unwrap();
    assert_eq!(cluster.rate, Bitrate::from_kbps(2_300));
    for second in 2..30 {
        let now = base + Duration::from_secs(second);
        assert_eq!(estimator.poll_probe(now), None);
    }
}

#[test]
fn a_wide_path_is_used_when_there_is_something_to_send() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    let mut wide = link(20_000);
    let idle = run(&mut estimator, &mut wide, base, 0, 10, 20);
    assert_eq!(idle, EstimatorConfig::default().start);
    let busy = run(&mut estimator, &mut wide, base, 10, 10, 95);
    assert!(busy >= Bitrate::from_kbps(4_500), "{busy}");
}

#[test]
fn reports_and_remb_bind_without_feedback() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    assert_eq!(
        estimator.poll_estimate(base),
        Some(Bitrate::from_kbps(2_500))
    );
    assert_eq!(estimator.poll_estimate(base), None);
    estimator.on_report_loss(base, 128);
    assert_eq!(estimator.estimate(base), Bitrate::from_kbps(1_875));
    // Half a second of grace before the next fall.
    estimator.on_report_loss(base + Duration::from_millis(100), 128);
    assert_eq!(estimator.estimate(base), Bitrate::from_kbps(1_875));
    estimator.on_remb(base, Bitrate::from_kbps(600));
    assert_eq!(estimator.poll_estimate(base), Some(Bitrate::from_kbps(600)));
    let later = base + Duration::from_secs(11);
    assert_eq!(estimator.estimate(later), Bitrate::from_kbps(1_875));
    estimator.on_path_change();
    assert_eq!(estimator.estimate(later), Bitrate::from_kbps(2_500));
}

#[test]
fn hiccups_of_a_path_that_is_little_used_cost_little() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    let mut link = link(20_000);
    let mut least = Bitrate::MAX;
    for second in 0..20_u64 {
        // Every third second nothing moves for 290 ms, as on a client whose processor is busy.
        if second.is_multiple_of(3) {
            link.free_at = Duration::from_secs(second) + Duration::from_millis(290);
        }
        least = least.min(run(&mut estimator, &mut link, base, second, 1, 30));
    }
    assert!(least >= Bitrate::from_kbps(1_800), "fell to {least}");
}

#[test]
fn the_pictures_of_others_cost_a_flow_nothing_that_sends_little() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    let mut link = link(5_000);
    let before = run(&mut estimator, &mut link, base, 0, 3, 20);
    for second in 3..13 {
        // 90 ms of somebody else's packets, all at once.
        link.free_at = Duration::from_secs(second) + Duration::from_millis(90);
        let after = run(&mut estimator, &mut link, base, second, 1, 20);
        assert!(after >= before, "{after} after {second} s, before {before}");
    }
    let now = base + Duration::from_secs(13);
    let estimate = estimator.estimate(now);
    assert_eq!(estimator.pacing_rate(now), estimate.percent(UNUSED_PERCENT));
    // A path that became narrow is another matter.
    link.rate = Bitrate::from_kbps(400);
    let after = run(&mut estimator, &mut link, base, 13, 2, 20);
    assert!(after < Bitrate::from_kbps(1_000), "{after}");
}

#[test]
fn a_layer_that_begins_is_paced_as_what_it_will_be() {
    let base = Instant::now();
    let mut estimator = GccEstimator::new(EstimatorConfig::default());
    let mut link = link(5_000);
    let estimate = run(&mut estimator, &mut link, base, 0, 3, 10);
    let now = base + Duration::from_secs(3);
    let pace = |estimator: &GccEstimator| estimator.pacing_rate(now);
    assert_eq!(pace(&estimator), estimate.percent(UNUSED_PERCENT));
    estimator.set_granted(now, estimate.percent(30));
    assert_eq!(pace(&estimator), estimate.percent(30).percent(200));
    estimator.set_granted(now, estimate.percent(60));
    assert_eq!(pace(&estimator), estimate, "never above the estimate");
    // Once it flows, what flows counts.
    let estimate = run(&mut estimator, &mut link, base, 3, 3, 50);
    let now = base + Duration::from_secs(6);
    estimator.set_granted(now, estimate.percent(45));
    let pace = estimator.pacing_rate(now);
    assert!(pace < estimate.percent(60), "{pace} of {estimate}");
}
