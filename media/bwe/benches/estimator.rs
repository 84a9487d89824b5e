//! What the estimator costs: a packet sent, and one feedback message of 50 ms.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench takes one instant as its base, and criterion's macros have no docs"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media_bwe::{EstimatorConfig, GccEstimator, Pacer, PacketReport, Priority};
use media_types::{Bitrate, DataSize};

const SIZE: DataSize = DataSize::from_bytes(1_200);
/// Packets between two feedback messages: 50 ms at about 4 Mb/s.
const PACKETS: u32 = 20;
const SPACING: Duration = Duration::from_micros(2_500);

fn estimator(criterion: &mut Criterion) {
    let base = Instant::now();
    let mut group = criterion.benchmark_group("estimator");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    group.bench_function("sent and fed back", |bencher| {
        let mut estimator = GccEstimator::new(EstimatorConfig::default());
        let mut at = Duration::ZERO;
        let mut reports = Vec::new();
        bencher.iter(|| {
            for _ in 0..PACKETS {
                at += SPACING;
                let sequence = estimator.on_sent(base + at, SIZE);
                reports.push(PacketReport {
                    sequence,
                    arrived: Some(at + Duration::from_millis(20)),
                });
            }
            estimator.on_feedback(base + at, reports.drain(..));
            black_box(estimator.estimate(base + at))
        });
    });
    group.finish();
}

fn pacer(criterion: &mut Criterion) {
    let base = Instant::now();
    let mut group = criterion.benchmark_group("pacer");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    group.bench_function("pushed and popped", |bencher| {
        let mut pacer = Pacer::new(base, Bitrate::from_kbps(8_000), 1_024);
        let mut at = Duration::ZERO;
        bencher.iter(|| {
            for _ in 0..PACKETS {
                at += SPACING;
                pacer.push(base + at, Priority::Video, SIZE, at);
                black_box(pacer.pop_next(base + at));
            }
        });
    });
    group.finish();
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = brief();
    targets = estimator, pacer
}
criterion_main!(benches);
