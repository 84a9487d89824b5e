//! Scenarios of more than one publisher or viewer.

use std::time::Duration;

use loadtest::network::Link;
use media_contract::Wish;

use super::pair::{DELAY, Pair, WARM_UP, mbps, percent, queue_p95, received, secs};
use super::{Bound, Figure, Outcome, Timeline, freezes, jain};
use crate::call::{CallPlan, Hall, Picture, PipeId};

pub(super) fn fairness(seed: u64) -> Outcome {
    shared(seed, 5, 0.95)
}

pub(super) fn fairness_of_eight(seed: u64) -> Outcome {
    shared(seed, 8, 0.9)
}

/// So many viewers behind one bottleneck of 5 Mb/s.
fn shared(seed: u64, viewers: usize, least: f64) -> Outcome {
    let mut pair = Pair::new(seed, Link::bottleneck(mbps(50), DELAY), DELAY);
    for _ in 1..viewers {
        let up = pair.hall.pipe(Link {
            delay: DELAY,
            ..Link::default()
        });
        pair.hall.join(CallPlan::viewer(1), up, pair.down);
    }
    pair.hall.run_to(secs(75));
    let span = WARM_UP..secs(75);
    let shares: Vec<f64> = pair.hall.guests[1..]
        .iter()
        .map(|guest| received(guest, span.clone()))
        .collect();
    let figures = vec![
        Figure::new("Jain index", jain(&shares), "", Bound::AtLeast(least)),
        Figure::new("all together", shares.iter().sum(), "kb/s", Bound::None),
        Figure::new(
            "queue p95",
            queue_p95(&pair.hall, pair.down),
            "ms",
            Bound::None,
        ),
    ];
    pair.outcome(figures)
}

/// Nine publishers, of whom the first three speak, and who watches them all.
fn nine(seed: u64) -> (Hall, usize, PipeId) {
    let mut hall = Hall::new(seed);
    for _ in 0..9 {
        let (up, back) = (hall.pipe(Link::default()), hall.pipe(Link::default()));
        let publisher = hall.join(CallPlan::publisher(), up, back);
        hall.guests[publisher].caller.set_speaking(publisher < 3);
    }
    let up = hall.pipe(Link {
        delay: DELAY,
        ..Link::default()
    });
    let down = hall.pipe(Link::bottleneck(mbps(10), DELAY));
    let viewer = hall.join(CallPlan::viewer(9), up, down);
    (hall, viewer, down)
}

/// Three of nine speak; a page puts the loudest first, as pages do.
pub(super) fn nine_tiles(seed: u64) -> Outcome {
    let (mut hall, viewer, down) = nine(seed);
    hall.run_to(secs(2));
    let wish = Wish {
        priority: 60,
        ..Wish::default()
    };
    hall.wish(viewer, 0, wish);
    hall.run_to(secs(75));
    let (from, to) = (hall.start + WARM_UP, hall.start + secs(75));
    let heard = (0..3).map(|speaker| {
        let (due, played) = hall.guests[viewer].caller.sound(speaker, from, to);
        percent(played, due)
    });
    let shown = |publisher| {
        let inside = |picture: &Picture| (from..to).contains(&picture.at);
        let count = hall.guests[viewer]
            .caller
            .shown(publisher)
            .iter()
            .filter(|p| inside(p))
            .count();
        u32::try_from(count).unwrap_or(0)
    };
    let moving = (1..9).filter(|publisher| shown(*publisher) > 300).count();
    let loudest = hall.guests[viewer].caller.shown(0);
    let frozen: Duration = freezes(&loudest, from, to)
        .into_iter()
        .map(|(from, to)| to.duration_since(from))
        .sum();
    let least = heard.fold(100.0, f64::min);
    let (rate, moving) = (
        f64::from(shown(0)) / 60.0,
        u32::try_from(moving).unwrap_or(0),
    );
    let frozen = frozen.as_secs_f64() / 60.0 * 100.0;
    let queue = queue_p95(&hall, down);
    let figures = vec![
        Figure::new("least heard speaker", least, "%", Bound::AtLeast(98.0)),
        Figure::new("loudest's pictures", rate, "a second", Bound::AtLeast(5.0)),
        Figure::new("loudest frozen", frozen, "%", Bound::AtMost(1.0)),
        Figure::new("other tiles moving", f64::from(moving), "of 8", Bound::None),
        Figure::new("queue p95", queue, "ms", Bound::None),
    ];
    let timeline = Timeline::of(&hall, viewer, down);
    Outcome { figures, timeline }
}
