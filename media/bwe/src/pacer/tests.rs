//! What leaves when.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use super::*;
use proptest::prelude::*;

const PACKET: DataSize = DataSize::from_bytes(1_200);

fn drain<T>(pacer: &mut Pacer<T>, now: Instant) -> Vec<T> {
    std::iter::from_fn(|| pacer.pop(now)).collect()
}

#[test]
fn the_urgent_leave_first_and_audio_never_waits() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now, Bitrate::from_kbps(100), 1_000);
    for count in 0..100 {
        pacer.push(now, Priority::Video, PACKET, count);
    }
    // A slow path's queue takes no burst.
    let burst = drain(&mut pacer, now);
    assert_eq!(burst, [0, 1]);
    pacer.push(now, Priority::Retransmission, PACKET, 1_000);
    pacer.push(now, Priority::Audio, DataSize::from_bytes(100), 2_000);
    assert_eq!(pacer.pop(now), Some(2_000));
    assert_eq!(pacer.pop(now), None);
    assert_eq!(pacer.poll_timeout(), Some(now + PACING_TICK));
    let later = now + Duration::from_millis(5);
    assert_eq!(pacer.pop(later), Some(1_000));
    assert_eq!(pacer.queue_delay(later), Duration::from_millis(5));
}

#[test]
fn what_passes_counts_as_what_was_pushed_and_popped() {
    let base = Instant::now();
    let rate = Bitrate::from_kbps(1_000);
    let (mut passing, mut pushing) = (Pacer::new(base, rate, 100), Pacer::new(base, rate, 100));
    for step in 0..2_000_u32 {
        let now = base + Duration::from_millis(1) * step;
        let urgent = step % 5 == 0;
        let priority = if urgent {
            Priority::Audio
        } else {
            Priority::Video
        };
        pushing.push(now, priority, PACKET, step);
        let pushed = drain(&mut pushing, now);
        let passed = if passing.pass(now, priority, PACKET).is_some() {
            vec![step]
        } else {
            passing.push(now, priority, PACKET, step);
            drain(&mut passing, now)
        };
        assert_eq!(passed, pushed, "at {step}");
        assert_eq!(passing.poll_timeout(), pushing.poll_timeout(), "at {step}");
    }
}

#[test]
fn nothing_passes_what_waits() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now, Bitrate::from_kbps(100), 10);
    pacer.push(now, Priority::Padding, PACKET, ());
    assert_eq!(pacer.pass(now, Priority::Audio, PACKET), None);
    assert_eq!(pacer.backlog(), PACKET);
}

#[test]
fn the_rate_holds_over_time() {
    let base = Instant::now();
    let rate = Bitrate::from_kbps(1_000);
    let mut pacer = Pacer::new(base, rate, 10_000);
    let mut sent = 0;
    for tick in 0..400_u64 {
        let now = base + PACING_TICK * u32::try_from(tick).unwrap();
        while pacer.len() < 4 {
            pacer.push(now, Priority::Video, PACKET, ());
        }
        sent += drain(&mut pacer, now).len();
    }
    // 1.1 Mb/s for two seconds are 229 packets, and 150 ms of the rate go into the path's queue.
    assert!((242..=248).contains(&sent), "{sent}");
}

#[test]
fn a_first_picture_on_an_unknown_path_leaves_at_once() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now, Bitrate::from_kbps(2_500), 100);
    for count in 0..24 {
        pacer.push(now, Priority::Video, PACKET, count);
    }
    assert_eq!(drain(&mut pacer, now).len(), 24);
}

/// How much of a picture of `bytes` stands in the queue of a path of `kbps` at worst, and when the
/// last of it has left.
fn send_picture(kbps: u64, bytes: u64) -> (Duration, Duration) {
    let base = Instant::now();
    let rate = Bitrate::from_kbps(kbps);
    let mut pacer = Pacer::new(base, rate, 1_000);
    for _ in 0..bytes.div_ceil(1_200) {
        pacer.push(base, Priority::Video, PACKET, ());
    }
    let (mut now, mut free, mut worst) = (base, base, Duration::ZERO);
    loop {
        for () in drain(&mut pacer, now) {
            free = free.max(now) + rate.time_for(PACKET);
            worst = worst.max(free - now);
        }
        if pacer.is_empty() {
            return (worst, now - base);
        }
        now += PACING_TICK;
    }
}

#[test]
fn a_keyframe_leaves_room_in_a_queue_of_300_ms() {
    for (kbps, bytes) in [
        (300, 15_000),
        (1_000, 40_000),
        (1_000, 80_000),
        (3_000, 150_000),
    ] {
        let (queue, last) = send_picture(kbps, bytes);
        assert!(queue < Duration::from_millis(280), "{kbps} kb/s: {queue:?}");
        let path = Bitrate::from_kbps(kbps).time_for(DataSize::from_bytes(bytes));
        assert!(last < path, "{kbps} kb/s: {last:?} of {path:?}");
    }
}

#[test]
fn a_probe_leaves_at_its_rate_and_asks_for_padding() {
    let base = Instant::now();
    let mut pacer = Pacer::new(base, Bitrate::from_kbps(1_000), 100);
    let id = ProbeId::new(7);
    let cluster = ProbeCluster {
        id,
        rate: Bitrate::from_kbps(4_000),
        bytes: DataSize::from_bytes(12_500),
        packets: 5,
        until: base + Duration::from_millis(100),
    };
    pacer.start_probe(base, cluster);
    for count in 0..4 {
        pacer.push(base, Priority::Video, PACKET, count);
    }
    let (mut now, mut media, mut padding) = (base, 0, 0);
    while let Some(at) = pacer.poll_timeout() {
        now = now.max(at);
        while let Some(departure) = pacer.pop_next(now) {
            assert_eq!(departure.probe, Some(id));
            media += 1;
        }
        while let Some((size, probe)) = pacer.poll_padding(now) {
            assert_eq!((size.bytes(), probe), (1_200, id));
            pacer.on_padding(now, size);
            padding += 1;
        }
    }
    assert_eq!((media, padding), (4, 7));
    // Ten packets of 2.4 ms each lie between the first and the last, less a tick.
    assert_eq!(now - base, Duration::from_millis(23));
}

#[test]
fn a_probe_that_nothing_fills_ends() {
    let base = Instant::now();
    let mut pacer: Pacer<()> = Pacer::new(base, Bitrate::from_kbps(1_000), 100);
    let cluster = ProbeCluster {
        id: ProbeId::new(0),
        rate: Bitrate::from_kbps(4_000),
        bytes: DataSize::from_bytes(12_500),
        packets: 5,
        until: base + Duration::from_millis(100),
    };
    pacer.start_probe(base, cluster);
    assert!(pacer.poll_padding(base).is_some());
    pacer.cancel_probe();
    assert_eq!(pacer.poll_timeout(), None);
    pacer.start_probe(base, cluster);
    assert_eq!(pacer.poll_padding(cluster.until), None);
    assert_eq!(pacer.poll_timeout(), None);
}

#[test]
fn a_long_queue_drains_within_its_bound() {
    let base = Instant::now();
    let mut pacer = Pacer::new(base, Bitrate::from_kbps(50), 1_000);
    for count in 0..300 {
        pacer.push(base, Priority::Video, PACKET, count);
    }
    let mut now = base;
    while !pacer.is_empty() {
        now += PACING_TICK;
        drain(&mut pacer, now);
        assert!(now - base < Duration::from_secs(3));
    }
    assert!(now - base > Duration::from_millis(200));
}

#[test]
fn a_full_pacer_drops_the_least_urgent_oldest() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now, Bitrate::from_kbps(50), 3);
    for count in 1..=3 {
        assert_eq!(pacer.push(now, Priority::Video, PACKET, count), None);
    }
    assert_eq!(pacer.push(now, Priority::Audio, PACKET, 9), Some(1));
    assert_eq!(pacer.push(now, Priority::Padding, PACKET, 4), Some(4));
    assert_eq!(pacer.len(), 3);
    assert_eq!(pacer.backlog().bytes(), 3_600);
    pacer.retain(|&item| item != 2);
    assert_eq!(drain(&mut pacer, now), [9, 3]);
    assert_eq!(pacer.backlog(), DataSize::ZERO);
}

proptest! {
    #[test]
    fn nothing_is_lost_or_reordered_within_a_class(
        items in prop::collection::vec((0_usize..4, 1_u64..1_500, 0_u64..20), 1..200),
    ) {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(now, Bitrate::from_kbps(500), 1_000);
        use Priority::{Audio, Padding, Retransmission, Video};
        let classes = [Audio, Retransmission, Video, Padding];
        let mut out = Vec::new();
        for (index, &(class, size, wait)) in items.iter().enumerate() {
            now += Duration::from_millis(wait);
            pacer.push(now, classes[class], DataSize::from_bytes(size), (class, index));
            out.extend(drain(&mut pacer, now));
        }
        while let Some(at) = pacer.poll_timeout() {
            now = now.max(at) + Duration::from_millis(1);
            out.extend(drain(&mut pacer, now));
        }
        prop_assert_eq!(out.len(), items.len());
        for class in 0..4 {
            let order: Vec<_> = out.iter().filter(|item| item.0 == class).collect();
            prop_assert!(order.is_sorted());
        }
    }
}
