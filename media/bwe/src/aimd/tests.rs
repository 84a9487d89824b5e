//! How far the rate falls, and how it grows.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use super::*;

const KBPS: fn(u64) -> Bitrate = Bitrate::from_kbps;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn input(usage: Usage, acked: u64) -> AimdInput {
    AimdInput {
        usage,
        acked: Some(KBPS(acked)),
        recent: Some(KBPS(acked)),
        queue: Duration::ZERO,
        rtt: MS(50),
        limited: false,
        inherent_loss: 0.0,
        most: KBPS(50_000),
    }
}

#[test]
fn overuse_keeps_most_of_what_arrives() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(2_000));
    assert!(aimd.update(now, &input(Usage::Over, 1_000)));
    assert_eq!(aimd.target(), KBPS(850));
    assert_eq!(aimd.capacity(), Some(KBPS(1_000)));
    assert_eq!(aimd.state(), RateState::Decrease);
    // Not again before the fall can have shown.
    let queued = AimdInput {
        queue: MS(80),
        ..input(Usage::Over, 700)
    };
    assert!(!aimd.update(now + MS(100), &queued));
    assert!(aimd.update(now + MS(140), &queued));
    assert_eq!(aimd.target(), KBPS(595));
    let drains = AimdInput {
        queue: MS(40),
        ..input(Usage::Under, 700)
    };
    aimd.update(now + MS(300), &drains);
    assert_eq!((aimd.target(), aimd.state()), (KBPS(595), RateState::Hold));
}

#[test]
fn a_short_queue_is_no_measure_of_what_was_just_seen_to_arrive() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(1_000));
    aimd.update(now, &input(Usage::Normal, 950));
    aimd.update(now + MS(500), &input(Usage::Over, 600));
    assert_eq!(aimd.target().bps(), 807_500);
    // Again and again it is.
    aimd.update(now + MS(1_000), &input(Usage::Over, 600));
    aimd.update(now + MS(1_500), &input(Usage::Over, 600));
    assert!(aimd.target() < KBPS(600), "{:?}", aimd.target());
}

#[test]
fn a_long_queue_is_drained_and_then_the_rate_comes_back() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(3_000));
    let full = AimdInput {
        queue: MS(250),
        acked: Some(KBPS(2_000)),
        ..input(Usage::Over, 1_000)
    };
    aimd.update(now, &full);
    assert_eq!(aimd.target(), KBPS(700));
    let drains = AimdInput {
        queue: MS(100),
        ..input(Usage::Normal, 1_000)
    };
    aimd.update(now + MS(50), &drains);
    assert!(aimd.target() < KBPS(710));
    aimd.update(now + MS(100), &input(Usage::Normal, 1_000));
    assert!(aimd.target() >= KBPS(900) && aimd.target() < KBPS(910));
}

#[test]
fn growth_is_quick_on_an_unknown_path_and_slow_near_a_known_one() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(1_000));
    aimd.update(now, &input(Usage::Normal, 1_000));
    aimd.update(now + MS(1_000), &input(Usage::Normal, 1_000));
    assert_eq!(aimd.target(), KBPS(1_080));
    aimd.update(now + MS(1_000), &input(Usage::Over, 1_000));
    aimd.update(now + MS(2_000), &input(Usage::Normal, 900));
    let grown = aimd.target().bps() - 900_000;
    assert!((4_000..100_000).contains(&grown), "{grown}");
}

#[test]
fn nothing_grows_without_proof() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(1_000));
    let limited = AimdInput {
        limited: true,
        ..input(Usage::Normal, 1_000)
    };
    for second in 0..20_u64 {
        aimd.update(now + MS(second * 1_000), &limited);
    }
    assert_eq!(aimd.target(), KBPS(1_000));
    for second in 20..60_u64 {
        aimd.update(now + MS(second * 1_000), &input(Usage::Normal, 900));
    }
    assert_eq!(aimd.target(), KBPS(1_125));
}

#[test]
fn who_sends_little_falls_by_steps() {
    let mut aimd = Aimd::new(KBPS(2_000));
    let limited = AimdInput {
        limited: true,
        ..input(Usage::Over, 100)
    };
    let now = Instant::now();
    aimd.update(now, &limited);
    // Nothing has shown that there ever was more: a deep step.
    assert_eq!(aimd.target(), KBPS(680));
    assert_eq!(aimd.capacity(), None);
    let mut aimd = Aimd::new(KBPS(2_000));
    aimd.raise(KBPS(2_000));
    aimd.update(now, &limited);
    assert_eq!(aimd.target(), KBPS(1_020));
}

#[test]
fn a_probe_raises_and_tells_the_capacity() {
    let mut aimd = Aimd::new(KBPS(1_000));
    aimd.on_probe(KBPS(800), true);
    aimd.raise(KBPS(800));
    assert_eq!(
        (aimd.target(), aimd.capacity()),
        (KBPS(1_000), Some(KBPS(800)))
    );
    aimd.on_probe(KBPS(2_000), false);
    aimd.raise(KBPS(2_000));
    assert_eq!((aimd.target(), aimd.capacity()), (KBPS(2_000), None));
}

#[test]
fn who_sends_little_keeps_what_it_sends() {
    let mut aimd = Aimd::new(KBPS(800));
    let limited = AimdInput {
        limited: true,
        ..input(Usage::Over, 500)
    };
    aimd.update(Instant::now(), &limited);
    assert_eq!(aimd.target(), KBPS(500));
    // A long queue has to drain, whoever made it.
    let mut aimd = Aimd::new(KBPS(800));
    let queued = AimdInput {
        queue: MS(150),
        ..limited
    };
    aimd.update(Instant::now(), &queued);
    assert_eq!(aimd.target(), KBPS(475));
    // A full one says what the path carries.
    let mut aimd = Aimd::new(KBPS(800));
    let full = AimdInput {
        queue: MS(250),
        ..limited
    };
    aimd.update(Instant::now(), &full);
    assert_eq!(aimd.target(), KBPS(350));
    assert_eq!(aimd.capacity(), Some(KBPS(500)));
}

#[test]
fn a_little_more_than_arrives_needs_no_proof() {
    let now = Instant::now();
    let mut aimd = Aimd::new(KBPS(200));
    let limited = AimdInput {
        limited: true,
        ..input(Usage::Normal, 100)
    };
    aimd.update(now, &limited);
    aimd.update(now + MS(1_000), &limited);
    let grown = aimd.target().bps() - 200_000;
    assert!((40_000..60_000).contains(&grown), "{grown}");
    for second in 2..60_u64 {
        aimd.update(now + MS(second * 1_000), &limited);
    }
    assert_eq!(aimd.target(), KBPS(300));
}
