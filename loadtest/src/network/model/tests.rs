use media_types::Bitrate;

use super::super::{Burst, Pipe};
use super::*;

#[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
fn base() -> Instant {
    Instant::now()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn size(bytes: u64) -> DataSize {
    DataSize::from_bytes(bytes)
}

fn model(start: Instant, trace: impl Into<Trace>) -> Model {
    Model::new(start, trace, Chance::new(7, 1))
}

/// Arrivals after the start, in milliseconds.
fn arrival(start: Instant, fate: Fate) -> u128 {
    match fate {
        Fate::Arrives { at, .. } => at.duration_since(start).as_millis(),
        Fate::Lost(cause) => panic!("lost: {cause:?}"),
    }
}

fn narrow(kbps: u64) -> Link {
    Link {
        delay: ms(1),
        ..Link::bottleneck(Bitrate::from_kbps(kbps), ms(1))
    }
}

#[test]
fn a_bottleneck_spaces_what_it_sends_and_drops_at_its_tail() {
    let start = base();
    let queue = Queue::Bytes(size(2_000));
    let link = Link {
        queue,
        ..narrow(800)
    };
    let mut model = model(start, link);
    assert_eq!(arrival(start, model.push(start, size(1_000))), 11);
    assert_eq!(arrival(start, model.push(start, size(1_000))), 21);
    assert_eq!(model.push(start, size(1_000)), Fate::Lost(Cause::Queue));
    let later = start + ms(10);
    let fate = model.push(later, size(1_000));
    assert_eq!(arrival(start, fate), 31, "the first has left");
    assert!(matches!(fate, Fate::Arrives { waited, .. } if waited == ms(10)));
}

#[test]
fn a_queue_in_time_holds_what_the_rate_carries_in_it() {
    let start = base();
    let mut model = model(start, narrow(800));
    let passed = (0..60)
        .map(|_| model.push(start, size(1_000)))
        .filter(|fate| *fate != Fate::Lost(Cause::Queue))
        .count();
    assert_eq!(passed, 30, "300 ms at 100 bytes a millisecond");
}

#[test]
fn a_rate_that_falls_slows_what_is_queued_already() {
    let start = base();
    let trace = Trace::from(narrow(800)).then(ms(15), narrow(400));
    let mut model = model(start, trace);
    let arrivals: Vec<_> = (0..3)
        .map(|_| arrival(start, model.push(start, size(1_000))))
        .collect();
    // The second has half of its bits out when the rate halves.
    assert_eq!(arrivals, [11, 26, 46]);
    let passed = (0..60)
        .map(|_| model.push(start + ms(30), size(1_000)))
        .filter(|fate| *fate != Fate::Lost(Cause::Queue))
        .count();
    assert_eq!(
        passed, 14,
        "15,000 bytes at most, one of them there already"
    );
}

#[test]
fn a_rate_of_zero_holds_until_it_rises() {
    let start = base();
    let closed = Link {
        rate: Some(Bitrate::ZERO),
        queue: Queue::Bytes(size(5_000)),
        ..narrow(800)
    };
    let mut held = model(
        start,
        Trace::from(closed.clone()).then(ms(100), narrow(800)),
    );
    assert_eq!(arrival(start, held.push(start, size(1_000))), 111);
    let mut dead = model(start, closed);
    assert_eq!(dead.push(start, size(1_000)), Fate::Lost(Cause::Queue));
}

#[test]
fn an_outage_loses_all_and_only_its_own() {
    let start = base();
    let outages = vec![ms(10)..ms(20)];
    let mut model = model(
        start,
        Link {
            outages,
            ..Link::default()
        },
    );
    let lost: Vec<u64> = (0..30)
        .filter(|&at| model.push(start + ms(at), size(1)) == Fate::Lost(Cause::Outage))
        .collect();
    assert_eq!(lost, (10..20).collect::<Vec<_>>());
}

/// How many of 100,000 datagrams meet a fate, within a tenth of what is expected.
fn assert_share(link: Link, expected: usize, wanted: fn(Fate) -> bool) {
    let start = base();
    let mut model = model(start, link);
    let fates = (0..100_000_u64).map(|at| model.push(start + ms(at * 20), size(1)));
    let count = fates.filter(|&fate| wanted(fate)).count();
    let off = count.abs_diff(expected);
    assert!(off < expected / 10, "{count}, not {expected}");
}

#[test]
fn shares_come_out_as_they_are_set() {
    let link = Link {
        loss_ppm: 50_000,
        ..Link::default()
    };
    assert_share(link, 5_000, |fate| fate == Fate::Lost(Cause::Chance));
    // Bad for 1 / 0.25 = 4 of every 1 / 0.02 + 4 = 54 datagrams, losing half of them.
    let link = Link {
        burst: Some(Burst {
            enter_ppm: 20_000,
            leave_ppm: 250_000,
            loss_ppm: 500_000,
        }),
        ..Link::default()
    };
    assert_share(link, 100_000 * 2 / 54, |fate| {
        fate == Fate::Lost(Cause::Burst)
    });
    let link = Link {
        duplicate_ppm: 30_000,
        ..Link::default()
    };
    assert_share(link, 3_000, |fate| {
        matches!(fate, Fate::Arrives { twice: true, .. })
    });
    let link = Link {
        reorder_ppm: 30_000,
        ..Link::default()
    };
    assert_share(link, 3_000, |fate| {
        matches!(
            fate,
            Fate::Arrives {
                reordered: true,
                ..
            }
        )
    });
}

#[test]
fn jitter_keeps_order_and_reordering_breaks_it() {
    let start = base();
    let order = |link: Link| -> Vec<u8> {
        let mut pipe = Pipe::new(start, link, Chance::new(7, 1));
        for number in 0..100_u8 {
            pipe.push(start + ms(number.into()), 1, number);
        }
        let end = start + ms(9_000);
        std::iter::from_fn(|| pipe.pop(end)).collect()
    };
    let steady = order(Link {
        jitter: ms(20),
        ..Link::default()
    });
    assert!(steady.is_sorted());
    let mixed = order(Link {
        reorder_ppm: 200_000,
        ..Link::default()
    });
    assert!(!mixed.is_sorted());
    assert_eq!(mixed.len(), 100);
}

#[test]
fn equal_seeds_have_equal_fates() {
    let start = base();
    let link = Link {
        jitter: ms(9),
        loss_ppm: 100_000,
        burst: Some(Burst::gilbert(10_000, 200_000)),
        reorder_ppm: 10_000,
        duplicate_ppm: 10_000,
        ..narrow(500)
    };
    let fates = |seed| -> Vec<Fate> {
        let mut model = Model::new(start, link.clone(), Chance::new(seed, 0));
        let push = |at: u64| model.push(start + ms(at), size(100 + at));
        (0..500).map(push).collect()
    };
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}

#[test]
fn a_meter_knows_rates_and_waits() {
    let start = base();
    let mut pipe = Pipe::new(start, narrow(800), Chance::new(7, 1));
    for _ in 0..20 {
        pipe.push(start, 1_000, ());
    }
    // The first waits nothing, the last for the 19 before it; 10 ms each.
    assert_eq!(pipe.meter().wait_at(50), ms(90));
    assert_eq!(pipe.meter().wait_at(95), ms(180));
    assert_eq!(pipe.meter().wait_at(100), ms(190));
    let rates: Vec<u64> = pipe.meter().rates().map(Bitrate::bps).collect();
    assert_eq!(rates, [720_000, 800_000, 80_000]);
    assert_eq!(pipe.meter().waits().max(), Some(ms(190)));
}
