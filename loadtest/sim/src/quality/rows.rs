//! The scenarios. Every bottleneck has a drop-tail queue of 300 ms at its rate and, unless a
//! scenario says otherwise, a round trip of 40 ms; figures leave out the first 15 s.

use std::time::Duration;

use loadtest::network::{Burst, Link, Trace};

use super::crowd::{fairness, fairness_of_eight, nine_tiles};
use super::pair::{
    DELAY, Pair, WARM_UP, least_estimate, long_queue, mbps, percent, queue_p95, received, secs,
};
use super::{Bound, Figure, Outcome, freezes};

/// One promise.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its short name, as files have it.
    pub name: &'static str,
    /// What happens.
    pub title: &'static str,
    /// What is promised.
    pub target: &'static str,
    /// What is known of why it is not kept; told only while it is not.
    pub why: &'static str,
    /// Runs it from a seed.
    pub run: fn(u64) -> Outcome,
}

/// All of them.
pub const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "cold-start",
        title: "Cold start, 3 Mb/s, three layers",
        target: "90 % of what the best fitting layers need within 3 s",
        why: "",
        run: cold_start,
    },
    Scenario {
        name: "step",
        title: "Step 3 → 1 → 3 Mb/s",
        target: "queue over 250 ms for at most 1 s; down within 1 s, up within 6 s",
        why: "",
        run: step,
    },
    Scenario {
        name: "random-loss",
        title: "5 % random loss, 2 Mb/s, RTT 80 ms",
        target: "estimate at least 80 % of capacity; frozen less than 1 % of the time",
        why: "",
        run: random_loss,
    },
    Scenario {
        name: "bursty-loss",
        title: "20 % loss in bursts for 10 s, 3 Mb/s",
        target: "98 % of sound played; video recovered within 1 s after",
        why: "",
        run: bursty_loss,
    },
    Scenario {
        name: "constant",
        title: "Constant link of 1.2 Mb/s, 10 minutes",
        target: "at most one layer switch a minute",
        why: "",
        run: constant,
    },
    Scenario {
        name: "fairness",
        title: "5 subscribers behind one 5 Mb/s bottleneck",
        target: "Jain index at least 0.95",
        why: "Who rises first leaves the others a lower layer for a while.",
        run: fairness,
    },
    Scenario {
        name: "outage",
        title: "Outage of 2 s, 3 Mb/s",
        target: "media back within 1 s of the link, no reconnect",
        why: "",
        run: outage,
    },
    Scenario {
        name: "nine-tiles",
        title: "9 tiles on 1 Mb/s",
        target: "every speaker heard, the loudest speaker's tile moves",
        why: "",
        run: nine_tiles,
    },
    Scenario {
        name: "narrow-start",
        title: "Cold start, 1 Mb/s",
        target: "queue over 250 ms for at most 0.5 s",
        why: "",
        run: narrow_start,
    },
    Scenario {
        name: "narrow",
        title: "Constant link of 500 kb/s",
        target: "25 pictures a second, queue p95 at most 100 ms, not frozen",
        why: "",
        run: narrow,
    },
    Scenario {
        name: "fairness-of-eight",
        title: "8 subscribers behind one 5 Mb/s bottleneck",
        target: "Jain index at least 0.9",
        why: "Who rises first leaves the others a lower layer for a while.",
        run: fairness_of_eight,
    },
];

fn narrow_start(seed: u64) -> Outcome {
    let mut pair = Pair::new(seed, Link::bottleneck(mbps(10), DELAY), DELAY);
    pair.hall.run_to(secs(20));
    let span = Duration::ZERO..secs(20);
    let long = long_queue(&pair.hall, pair.down);
    let first = pair.until(Duration::ZERO, |_| true);
    let figures = vec![
        Figure::new("queue over 250 ms for", long, "s", Bound::AtMost(0.5)),
        Figure::new("first picture after", first, "s", Bound::None),
        Figure::new("frozen", pair.frozen(WARM_UP..secs(20)), "%", Bound::None),
        Figure::new(
            "received",
            received(pair.guest(), span),
            "kb/s",
            Bound::None,
        ),
        Figure::new(
            "queue p95",
            queue_p95(&pair.hall, pair.down),
            "ms",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn narrow(seed: u64) -> Outcome {
    let mut pair = Pair::new(seed, Link::bottleneck(mbps(5), DELAY), DELAY);
    pair.hall.run_to(secs(75));
    let span = WARM_UP..secs(75);
    let (from, to) = (pair.at(span.start), pair.at(span.end));
    let pictures = pair.pictures();
    let shown = pictures.iter().filter(|it| (from..to).contains(&it.at));
    let shown = u32::try_from(shown.count()).unwrap_or(0);
    let figures = vec![
        Figure::new(
            "pictures",
            f64::from(shown) / 60.0,
            "a second",
            Bound::AtLeast(25.0),
        ),
        Figure::new(
            "queue p95",
            queue_p95(&pair.hall, pair.down),
            "ms",
            Bound::AtMost(100.0),
        ),
        Figure::new("frozen", pair.frozen(span.clone()), "%", Bound::AtMost(1.0)),
        Figure::new(
            "received",
            received(pair.guest(), span),
            "kb/s",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn cold_start(seed: u64) -> Outcome {
    let mut pair = Pair::new(seed, Link::bottleneck(mbps(30), DELAY), DELAY);
    pair.hall.run_to(secs(75));
    let connected = pair.guest().connected.unwrap_or(pair.hall.now);
    let connected = connected.duration_since(pair.hall.start);
    let took = pair.full(connected);
    let figures = vec![
        Figure::new("until 1,350 kb/s arrive", took, "s", Bound::AtMost(3.0)),
        Figure::new(
            "first picture after",
            pair.until(connected, |_| true),
            "s",
            Bound::None,
        ),
        Figure::new("frozen", pair.frozen(WARM_UP..secs(75)), "%", Bound::None),
        Figure::new(
            "queue p95",
            queue_p95(&pair.hall, pair.down),
            "ms",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn step(seed: u64) -> Outcome {
    let (wide, narrow) = (
        Link::bottleneck(mbps(30), DELAY),
        Link::bottleneck(mbps(10), DELAY),
    );
    let trace = Trace::from(wide.clone())
        .then(secs(25), narrow)
        .then(secs(50), wide);
    let mut pair = Pair::new(seed, trace, DELAY);
    pair.hall.run_to(secs(75));
    let figures = vec![
        Figure::new(
            "queue over 250 ms for",
            long_queue(&pair.hall, pair.down),
            "s",
            Bound::AtMost(1.0),
        ),
        Figure::new(
            "down, by layer or by bound, after",
            pair.lowered(secs(25)),
            "s",
            Bound::AtMost(1.0),
        ),
        Figure::new(
            "1,350 kb/s again after",
            pair.full(secs(50)),
            "s",
            Bound::AtMost(6.0),
        ),
        Figure::new("frozen", pair.frozen(WARM_UP..secs(75)), "%", Bound::None),
    ];
    pair.outcome(figures)
}

fn random_loss(seed: u64) -> Outcome {
    let delay = Duration::from_millis(40);
    let link = Link {
        loss_ppm: 50_000,
        ..Link::bottleneck(mbps(20), delay)
    };
    let mut pair = Pair::new(seed, link, delay);
    pair.hall.run_to(secs(75));
    let span = WARM_UP..secs(75);
    let figures = vec![
        Figure::new(
            "least estimate",
            least_estimate(&pair, span.clone(), mbps(20)),
            "% of capacity",
            Bound::AtLeast(80.0),
        ),
        Figure::new("frozen", pair.frozen(span.clone()), "%", Bound::AtMost(1.0)),
        Figure::new(
            "received",
            received(pair.guest(), span),
            "kb/s",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn bursty_loss(seed: u64) -> Outcome {
    let good = Link::bottleneck(mbps(30), DELAY);
    // Bad for 4 datagrams on average, and for a fifth of all.
    let bad = Link {
        burst: Some(Burst::gilbert(62_500, 250_000)),
        ..good.clone()
    };
    let trace = Trace::from(good.clone())
        .then(secs(25), bad)
        .then(secs(35), good);
    let mut pair = Pair::new(seed, trace, DELAY);
    pair.hall.run_to(secs(60));
    let (from, to) = (pair.at(secs(25)), pair.at(secs(35)));
    let (due, played) = pair.guest().caller.sound(0, from, to);
    let late = freezes(&pair.pictures(), to, pair.hall.now);
    let soon = late.iter().filter(|(from, _)| *from < to + secs(1));
    let recovered = soon.map(|(_, end)| end.duration_since(to).as_secs_f64());
    let figures = vec![
        Figure::new(
            "sound played",
            percent(played, due),
            "%",
            Bound::AtLeast(98.0),
        ),
        Figure::new(
            "last freeze ends after",
            recovered.fold(0.0, f64::max),
            "s",
            Bound::AtMost(1.0),
        ),
        Figure::new(
            "frozen meanwhile",
            pair.frozen(secs(25)..secs(35)),
            "%",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn constant(seed: u64) -> Outcome {
    let mut pair = Pair::new(seed, Link::bottleneck(mbps(12), DELAY), DELAY);
    pair.hall.run_to(secs(600) + WARM_UP);
    let from = pair.at(WARM_UP);
    let placed: Vec<_> = pair
        .guest()
        .placed
        .iter()
        .filter(|placed| placed.layer.is_some())
        .collect();
    let switches = placed.windows(2).filter(|pair| {
        pair[1].at >= from && pair[0].mid == pair[1].mid && pair[0].layer != pair[1].layer
    });
    let switches = u32::try_from(switches.count()).unwrap_or(u32::MAX);
    let figures = vec![
        Figure::new(
            "layer switches",
            f64::from(switches) / 10.0,
            "a minute",
            Bound::AtMost(1.0),
        ),
        Figure::new(
            "received",
            received(pair.guest(), WARM_UP..secs(615)),
            "kb/s",
            Bound::None,
        ),
        Figure::new("frozen", pair.frozen(WARM_UP..secs(615)), "%", Bound::None),
        Figure::new(
            "queue p95",
            queue_p95(&pair.hall, pair.down),
            "ms",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

fn outage(seed: u64) -> Outcome {
    let link = Link {
        outages: vec![secs(30)..secs(32)],
        ..Link::bottleneck(mbps(30), DELAY)
    };
    let mut pair = Pair::new(seed, link, DELAY);
    pair.hall.run_to(secs(60));
    let lost = pair.guest().lost.is_some();
    let (from, to) = (pair.at(secs(32)), pair.at(secs(33)));
    let heard = pair.guest().caller.sound(0, from, to);
    let figures = vec![
        Figure::new(
            "picture after",
            pair.until(secs(32), |_| true),
            "s",
            Bound::AtMost(1.0),
        ),
        Figure::new(
            "reconnects",
            f64::from(u8::from(lost)),
            "",
            Bound::AtMost(0.0),
        ),
        Figure::new(
            "sound in the second after",
            percent(heard.1, heard.0),
            "%",
            Bound::None,
        ),
        Figure::new(
            "frozen after it",
            pair.frozen(secs(34)..secs(60)),
            "%",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}
