//! When probes leave, and what their answers mean.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use super::*;

fn context(estimate: u64, wanted: u64) -> ProbeContext {
    ProbeContext {
        estimate: Bitrate::from_kbps(estimate),
        wanted: Bitrate::from_kbps(wanted),
        most: Bitrate::from_kbps(50_000),
        rtt: Duration::from_millis(40),
        congested_at: None,
        queued: false,
        noise: Duration::ZERO,
    }
}

/// Answers a cluster as a link of `kbps` would that was empty before.
fn answer(prober: &mut Prober, cluster: &ProbeCluster, base: Instant, kbps: u64) {
    let size = DataSize::from_bytes(cluster.bytes.bytes().div_ceil(10));
    let link = Bitrate::from_kbps(kbps);
    let mut free = Duration::ZERO;
    for packet in 0..10_u32 {
        let sent = cluster.rate.time_for(size) * packet;
        free = free.max(sent) + link.time_for(size);
        prober.on_result(&PacketResult {
            sequence: u64::from(packet),
            sent: base + sent,
            arrived: Some(free + Duration::from_secs(7)),
            size,
            probe: Some(cluster.id),
            was_missing: false,
        });
    }
}

#[test]
fn a_start_probes_at_three_and_six_times() {
    let base = Instant::now();
    let mut prober = Prober::default();
    let first = prober.poll(base, &context(500, 9_000)).unwrap();
    assert_eq!(first.rate, Bitrate::from_kbps(1_500));
    assert_eq!(first.bytes.bytes(), 4_687);
    assert_eq!((first.packets, first.id.number()), (5, 0));
    assert_eq!(prober.poll(base, &context(500, 9_000)), None);
    assert_eq!(prober.poll_result(base), None);
    answer(&mut prober, &first, base, 20_000);
    let result = prober.poll_result(base).unwrap();
    assert!(!result.saturated && result.carried.bps().abs_diff(1_500_000) < 10_000);
    let second = prober.poll(base, &context(1_500, 9_000)).unwrap();
    assert!(second.rate.bps().abs_diff(3_000_000) < 20_000);
    // The path carries 2 Mb/s: that much less a little is the answer, and a rest follows.
    answer(&mut prober, &second, base, 2_000);
    let result = prober.poll_result(base).unwrap();
    assert!(result.saturated && result.carried.bps().abs_diff(1_900_000) < 40_000);
    let known = context(1_900, 9_000);
    assert_eq!(prober.poll(base, &known), None);
    assert_eq!(prober.due(&known), Some(base + PROBE_INTERVAL));
    let third = prober.poll(base + PROBE_INTERVAL, &known).unwrap();
    assert_eq!(third.rate, Bitrate::from_kbps(3_800));
    assert_eq!((prober.sent(), prober.answered()), (3, 2));
}

#[test]
fn no_probe_goes_beyond_what_is_wanted() {
    let base = Instant::now();
    let mut prober = Prober::default();
    assert_eq!(prober.poll(base, &context(2_500, 2_000)), None);
    assert_eq!(prober.due(&context(2_500, 2_000)), None);
    let cluster = prober.poll(base, &context(2_500, 4_000)).unwrap();
    assert_eq!(cluster.rate, Bitrate::from_kbps(4_600));
}

#[test]
fn a_path_that_jitters_is_probed_for_longer() {
    let base = Instant::now();
    let jittery = ProbeContext {
        noise: Duration::from_millis(8),
        ..context(1_000, 9_000)
    };
    let cluster = Prober::default().poll(base, &jittery).unwrap();
    assert_eq!(cluster.bytes.bytes(), 15_000);
}

#[test]
fn a_cluster_without_an_answer_is_given_up() {
    let base = Instant::now();
    let mut prober = Prober::default();
    let cluster = prober.poll(base, &context(500, 9_000)).unwrap();
    let given_up = prober.due(&context(500, 9_000)).unwrap();
    assert!(given_up > cluster.until);
    assert_eq!(prober.poll(given_up, &context(500, 9_000)), None);
    answer(&mut prober, &cluster, base, 20_000);
    assert_eq!(prober.poll_result(given_up), None);
    let again = given_up + PROBE_INTERVAL;
    assert!(prober.poll(again, &context(500, 9_000)).is_some());
}

#[test]
fn a_path_that_was_full_is_left_in_peace_for_a_while() {
    let base = Instant::now();
    let mut prober = Prober::default();
    let full = ProbeContext {
        congested_at: Some(base),
        ..context(500, 9_000)
    };
    prober.on_congestion(base);
    assert_eq!(
        prober.due(&full),
        Some(base + PROBE_QUIET + dither(full.estimate))
    );
    // After a deep fall the former rate is asked for, and sooner.
    let full = ProbeContext {
        estimate: Bitrate::from_kbps(1_000),
        ..full
    };
    prober.on_deep_fall(base, Bitrate::from_kbps(4_000));
    assert_eq!(prober.poll(base, &full), None);
    let due = base + PROBE_RECOVERY_QUIET + dither(full.estimate);
    let queued = ProbeContext {
        queued: true,
        ..full
    };
    assert_eq!(prober.poll(due, &queued), None);
    let cluster = prober.poll(due, &full).unwrap();
    assert_eq!(cluster.rate, Bitrate::from_kbps(3_400));
}

#[test]
fn a_heap_of_arrivals_says_nothing() {
    let base = Instant::now();
    let mut prober = Prober::default();
    let cluster = prober.poll(base, &context(500, 9_000)).unwrap();
    for packet in 0..10_u32 {
        prober.on_result(&PacketResult {
            sequence: u64::from(packet),
            sent: base + Duration::from_micros(2_500) * packet,
            arrived: Some(Duration::from_micros(u64::from(packet) * 10)),
            size: DataSize::from_bytes(469),
            probe: Some(cluster.id),
            was_missing: false,
        });
    }
    assert_eq!(prober.poll_result(base), None);
}
