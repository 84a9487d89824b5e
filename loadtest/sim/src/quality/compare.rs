//! Our estimator beside stock str0m's, on the same links.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use loadtest::network::{Link, Trace};

use super::page::number;
use super::pair::{DELAY, Pair, WARM_UP, long_queue_of, mbps, received, secs};
use super::{SEEDS, median, stock};

/// What one side made of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// Media received, in kb/s.
    pub received: f64,
    /// The least estimate after the start, in kb/s.
    pub least: f64,
    /// The greatest estimate after the start, in kb/s.
    pub most: f64,
    /// The wait in the queue that 95 % did not exceed, in ms.
    pub queue_p95: f64,
    /// The longest time with more than 250 ms of queue, in seconds.
    pub long_queue: f64,
}

/// Both sides on one link, each the medians over the seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The link.
    pub title: &'static str,
    /// Our shard.
    pub ours: Side,
    /// Stock str0m.
    pub stock: Side,
}

const SPAN: Range<Duration> = WARM_UP..secs(75);

/// Runs both sides on each link.
#[must_use]
pub fn compare() -> Vec<Comparison> {
    let wide = Link::bottleneck(mbps(30), DELAY);
    let narrow = Link::bottleneck(mbps(10), DELAY);
    let step = Trace::from(wide.clone()).then(secs(25), narrow.clone());
    let lossy = Link {
        loss_ppm: 50_000,
        ..Link::bottleneck(mbps(20), DELAY * 2)
    };
    let links: [(&'static str, Trace); 4] = [
        ("3 Mb/s", wide.clone().into()),
        ("1 Mb/s", narrow.into()),
        ("3 → 1 → 3 Mb/s", step.then(secs(50), wide)),
        ("2 Mb/s, 5 % loss, RTT 80 ms", lossy.into()),
    ];
    let compared = links.into_iter().map(|(title, trace)| Comparison {
        title,
        ours: medians(|seed| ours(seed, &trace)),
        stock: medians(|seed| theirs(seed, &trace)),
    });
    compared.collect()
}

/// The section of the page that shows it.
#[must_use]
pub fn section(compared: &[Comparison]) -> String {
    let mut out = String::from(
        "\n## Beside stock str0m\n\n\
         The same links between two stock str0m, whose sender picks the highest rate of the same\n\
         ladder that its estimate carries; ours carries sound with redundancy as well. Medians of\n\
         the same seeds.\n\n\
         | link | sender | received kb/s | least estimate | greatest estimate | queue p95 ms | \
         over 250 ms for s |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for Comparison { title, ours, stock } in compared {
        for (name, side) in [("Troupe", ours), ("str0m", stock)] {
            let figures = [
                side.received,
                side.least,
                side.most,
                side.queue_p95,
                side.long_queue,
            ];
            let figures = figures.map(number).join(" | ");
            let _ = writeln!(out, "| {title} | {name} | {figures} |");
        }
    }
    out
}

fn medians(run: impl Fn(u64) -> Side) -> Side {
    let sides = SEEDS.map(run);
    let of = |value: fn(&Side) -> f64| median(&sides.each_ref().map(value));
    Side {
        received: of(|side| side.received),
        least: of(|side| side.least),
        most: of(|side| side.most),
        queue_p95: of(|side| side.queue_p95),
        long_queue: of(|side| side.long_queue),
    }
}

fn ours(seed: u64, trace: &Trace) -> Side {
    let mut pair = Pair::new(seed, trace.clone(), trace.at(Duration::ZERO).delay);
    pair.hall.run_to(SPAN.end);
    let estimates = pair.guest().estimates.iter();
    let estimates = estimates.map(|(at, rate)| (at.duration_since(pair.hall.start), rate.bps()));
    let (least, most) = range(estimates);
    let meter = pair.hall.look(pair.down).meter();
    Side {
        received: received(pair.guest(), SPAN),
        least,
        most,
        queue_p95: meter.wait_at(95).as_secs_f64() * 1_000.0,
        long_queue: long_queue_of(meter),
    }
}

#[allow(clippy::cast_precision_loss, reason = "bytes of a minute fit exactly")]
fn theirs(seed: u64, trace: &Trace) -> Side {
    let run = stock::run(seed, trace.clone(), SPAN.end);
    let since = |at: &std::time::Instant| at.duration_since(run.start);
    let (least, most) = range(run.estimates.iter().map(|(at, rate)| (since(at), *rate)));
    let inside = run
        .frames
        .iter()
        .filter(|(at, _)| SPAN.contains(&since(at)));
    let bytes: u64 = inside.map(|(_, bytes)| bytes).sum();
    let meter = run.pipe.meter();
    Side {
        received: bytes as f64 * 8.0 / 1_000.0 / (SPAN.end - SPAN.start).as_secs_f64(),
        least,
        most,
        queue_p95: meter.wait_at(95).as_secs_f64() * 1_000.0,
        long_queue: long_queue_of(meter),
    }
}

/// The least and the greatest within the span, in kb/s. An estimate holds until the next.
#[allow(clippy::cast_precision_loss, reason = "rates of links fit exactly")]
fn range(estimates: impl Iterator<Item = (Duration, u64)>) -> (f64, f64) {
    let mut before = 0;
    let mut inside = Vec::new();
    for (at, rate) in estimates {
        if at < SPAN.start {
            before = rate;
        } else if at < SPAN.end {
            inside.push(rate);
        }
    }
    inside.push(if before == 0 {
        inside.first().copied().unwrap_or(0)
    } else {
        before
    });
    let kbps = |bps: Option<&u64>| bps.map_or(0.0, |bps| *bps as f64 / 1_000.0);
    (kbps(inside.iter().min()), kbps(inside.iter().max()))
}
