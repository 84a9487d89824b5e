//! What holds whatever the far end says.

use proptest::prelude::*;

use super::*;

/// One thing that happens to an estimator.
#[derive(Debug, Clone)]
enum Step {
    Send { bytes: u64, after_us: u64 },
    Feedback(Vec<(u16, Option<u64>)>),
    Report(u8),
    Remb(u64),
    Wanted(u64),
    Rtt(u64),
    PathChange,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let report = (0..400_u16, prop::option::of(0..60_000_000_u64));
    prop_oneof![
        12 => (0..1_500_u64, 0..50_000_u64)
            .prop_map(|(bytes, after_us)| Step::Send { bytes, after_us }),
        6 => prop::collection::vec(report, 0..60).prop_map(Step::Feedback),
        1 => any::<u8>().prop_map(Step::Report),
        1 => any::<u64>().prop_map(Step::Remb),
        1 => any::<u64>().prop_map(Step::Wanted),
        1 => (0..20_000_u64).prop_map(Step::Rtt),
        1 => Just(Step::PathChange),
        1 => (0..20_000_u64).prop_map(Step::Wait),
    ]
}

fn apply(estimator: &mut GccEstimator, now: &mut Instant, step: Step) {
    match step {
        Step::Send { bytes, after_us } => {
            *now += Duration::from_micros(after_us);
            let size = DataSize::from_bytes(bytes);
            match estimator.poll_probe(*now) {
                Some(cluster) => estimator.on_probe_sent(*now, size, cluster.id),
                None => estimator.on_sent(*now, size),
            };
        }
        Step::Feedback(reports) => {
            let reports = reports.into_iter().map(|(sequence, micros)| PacketReport {
                sequence,
                arrived: micros.map(Duration::from_micros),
            });
            estimator.on_feedback(*now, reports);
        }
        Step::Report(lost) => estimator.on_report_loss(*now, lost),
        Step::Remb(bps) => estimator.on_remb(*now, Bitrate::from_bps(bps)),
        Step::Wanted(bps) => estimator.set_wanted(*now, Bitrate::from_bps(bps)),
        Step::Rtt(millis) => estimator.on_rtt(*now, Duration::from_millis(millis)),
        Step::PathChange => estimator.on_path_change(),
        Step::Wait(millis) => *now += Duration::from_millis(millis),
    }
}

proptest! {
    #[test]
    fn the_estimate_stays_in_its_bounds(steps in prop::collection::vec(step(), 1..300)) {
        let config = EstimatorConfig::default();
        let mut estimator = GccEstimator::new(config);
        let mut now = Instant::now();
        for step in steps {
            apply(&mut estimator, &mut now, step);
            let figures = estimator.figures(now);
            prop_assert!((config.least..=config.most).contains(&figures.estimate));
            prop_assert!((config.least..=config.most).contains(&figures.by_delay));
            prop_assert!(figures.trend_ms.is_finite() && figures.threshold_ms.is_finite());
            prop_assert!((0.0..=0.5).contains(&figures.inherent_loss));
            let timeout = estimator.poll_timeout(now);
            prop_assert!(timeout.is_none_or(|at| at > now));
            if let Some(cluster) = estimator.poll_probe(now) {
                prop_assert!(cluster.rate <= config.most && cluster.until > now);
                prop_assert!(cluster.bytes.bytes() < 200_000);
            }
        }
    }

    #[test]
    fn feedback_twice_is_feedback_once(jitter in 0_u64..30, lost in 2_u64..30) {
        let base = Instant::now();
        let mut once = GccEstimator::new(EstimatorConfig::default());
        let mut twice = GccEstimator::new(EstimatorConfig::default());
        for message in 0..20_u64 {
            let mut reports = Vec::new();
            for packet in message * 10..message * 10 + 10 {
                let now = base + Duration::from_millis(packet * 5);
                let size = DataSize::from_bytes(1_000);
                let sequence = once.on_sent(now, size);
                prop_assert_eq!(twice.on_sent(now, size), sequence);
                let at = Duration::from_millis(packet * 5 + packet * jitter % 17);
                let arrived = (packet % lost != 1).then_some(at);
                reports.push(PacketReport { sequence, arrived });
            }
            let now = base + Duration::from_millis(message * 50 + 100);
            once.on_feedback(now, reports.iter().copied());
            twice.on_feedback(now, reports.iter().copied());
            twice.on_feedback(now, reports.iter().copied());
            prop_assert_eq!(once.in_flight(), DataSize::ZERO);
            prop_assert_eq!(once.figures(now), twice.figures(now));
        }
    }
}
