//! What scenarios are made of: a publisher, a viewer behind a bottleneck, and what it saw.

use std::ops::Range;
use std::time::{Duration, Instant};

use loadtest::network::{Link, Meter, SERIES_STEP, Trace};
use media_types::Bitrate;

use super::{Figure, Outcome, Timeline, freezes};
use crate::call::{CallPlan, Guest, Hall, Picture, PipeId};

/// What is left out of the figures.
pub(super) const WARM_UP: Duration = secs(15);
pub(super) const DELAY: Duration = Duration::from_millis(20);

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn mbps(tenths: u64) -> Bitrate {
    Bitrate::from_kbps(tenths * 100)
}

/// A publisher on a quiet wire and a viewer behind a bottleneck.
pub(super) struct Pair {
    pub(super) hall: Hall,
    pub(super) down: PipeId,
    pub(super) viewer: usize,
}

impl Pair {
    pub(super) fn new(seed: u64, down: impl Into<Trace>, delay: Duration) -> Self {
        let mut hall = Hall::new(seed);
        let quiet = Link::default();
        let (up, back) = (hall.pipe(quiet.clone()), hall.pipe(quiet.clone()));
        hall.join(CallPlan::publisher(), up, back);
        let (up, down) = (hall.pipe(Link { delay, ..quiet }), hall.pipe(down));
        let rtt = delay * 2;
        let plan = CallPlan {
            rtt,
            ..CallPlan::viewer(1)
        };
        let viewer = hall.join(plan, up, down);
        Self { hall, down, viewer }
    }

    pub(super) fn at(&self, since_start: Duration) -> Instant {
        self.hall.start + since_start
    }

    pub(super) fn guest(&self) -> &Guest {
        &self.hall.guests[self.viewer]
    }

    pub(super) fn pictures(&self) -> Vec<Picture> {
        self.guest().caller.shown(0)
    }

    /// The share of a time that was frozen, in percent.
    pub(super) fn frozen(&self, span: Range<Duration>) -> f64 {
        let (from, to) = (self.at(span.start), self.at(span.end));
        let frozen: Duration = freezes(&self.pictures(), from, to)
            .into_iter()
            .map(|(from, to)| to.duration_since(from))
            .sum();
        frozen.as_secs_f64() / to.duration_since(from).as_secs_f64() * 100.0
    }

    /// From a moment until the first picture for which it holds, in seconds; to the end of the
    /// run if there is none.
    pub(super) fn until(&self, from: Duration, holds: impl Fn(&Picture) -> bool) -> f64 {
        let from = self.at(from);
        let pictures = self.pictures();
        let mut after = pictures.iter().filter(|picture| picture.at >= from);
        let at = after
            .find(|picture| holds(picture))
            .map(|picture| picture.at);
        at.unwrap_or(self.hall.now)
            .duration_since(from)
            .as_secs_f64()
    }

    /// From a moment until a slot was told to show less than before, or its publisher to send
    /// less, in seconds.
    pub(super) fn lowered(&self, from: Duration) -> f64 {
        let from = self.at(from);
        let placed = self.guest().placed.windows(2);
        let lower = placed.filter(|pair| pair[1].layer < pair[0].layer);
        let at = lower.map(|pair| pair[1].at).find(|at| *at >= from);
        let bounded = self.hall.guests[0].bounded.iter();
        let mut bounded = bounded.filter(|(at, rate)| *at >= from && *rate > Bitrate::ZERO);
        let bounded = bounded.next().map(|(at, _)| *at);
        let at = at.into_iter().chain(bounded).min();
        at.unwrap_or(self.hall.now)
            .duration_since(from)
            .as_secs_f64()
    }

    /// From a moment until 90 % of the highest layer arrived for half a second, in seconds.
    pub(super) fn full(&self, from: Duration) -> f64 {
        let half = Duration::from_millis(500);
        let full = |at: &Duration| received(self.guest(), *at..*at + half) >= 1_350.0;
        let steps = (0..200_u32).map(|step| from + SERIES_STEP * step);
        let found = steps.into_iter().find(full).map(|at| at + half);
        let end = self.hall.now.duration_since(self.hall.start);
        found.unwrap_or(end).saturating_sub(from).as_secs_f64()
    }

    pub(super) fn outcome(self, figures: Vec<Figure>) -> Outcome {
        let timeline = Timeline::of(&self.hall, self.viewer, self.down);
        Outcome { figures, timeline }
    }
}

/// Received media in kb/s over a span since the start.
#[allow(clippy::cast_precision_loss, reason = "bytes of a minute fit exactly")]
pub(super) fn received(guest: &Guest, span: Range<Duration>) -> f64 {
    let step = |at: Duration| at.as_millis() / SERIES_STEP.as_millis();
    let (from, to) = (step(span.start), step(span.end));
    let steps = guest.caller.received().iter();
    let bytes: u64 = (0..)
        .zip(steps)
        .filter(|(at, _)| (from..to).contains(at))
        .map(|(_, bytes)| bytes)
        .sum();
    let time = span.end.saturating_sub(span.start).as_secs_f64();
    bytes as f64 * 8.0 / 1_000.0 / time
}

/// The longest time on end during which the queue was longer than 250 ms, in seconds.
pub(super) fn long_queue(hall: &Hall, pipe: PipeId) -> f64 {
    long_queue_of(hall.look(pipe).meter())
}

/// The same of a meter.
pub(super) fn long_queue_of(meter: &Meter) -> f64 {
    let mut longest = 0_u32;
    let mut run = 0_u32;
    for wait in meter.waits() {
        let long = wait > Duration::from_millis(250);
        run = if long { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    f64::from(longest) * SERIES_STEP.as_secs_f64()
}

/// The wait in the queue that 95 % did not exceed, in ms.
pub(super) fn queue_p95(hall: &Hall, pipe: PipeId) -> f64 {
    hall.look(pipe).meter().wait_at(95).as_secs_f64() * 1_000.0
}

/// The least of the estimates within a span, in percent of a rate.
#[allow(clippy::cast_precision_loss, reason = "rates of links fit exactly")]
pub(super) fn least_estimate(pair: &Pair, span: Range<Duration>, capacity: Bitrate) -> f64 {
    let (from, to) = (pair.at(span.start), pair.at(span.end));
    let inside = pair.guest().estimates.iter();
    let inside = inside.filter(|(at, _)| (from..to).contains(at));
    let least = inside.map(|(_, rate)| rate.bps()).min().unwrap_or(0);
    least as f64 / capacity.bps() as f64 * 100.0
}

#[allow(clippy::cast_precision_loss, reason = "frames of a minute fit exactly")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64 * 100.0
}
