//! What of a run is plotted: seconds since its start against values.

use std::time::{Duration, Instant};

use loadtest::network::SERIES_STEP;

use crate::call::{Guest, Hall, PipeId};

/// Steps of received rate that are plotted as one.
const RATE_STEPS: usize = 5;

/// One viewer's run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// How long it is, in seconds.
    pub seconds: f64,
    /// The bottleneck's rate in kb/s, from each time on.
    pub capacity: Vec<(f64, f64)>,
    /// What the viewer received, in kb/s.
    pub received: Vec<(f64, f64)>,
    /// What the path was thought to carry, in kb/s.
    pub estimate: Vec<(f64, f64)>,
    /// The longest wait in the bottleneck's queue, in ms.
    pub queue: Vec<(f64, f64)>,
    /// The simulcast layer shown, from each time on.
    pub layers: Vec<(f64, f64)>,
}

#[allow(clippy::cast_precision_loss, reason = "rates of links fit exactly")]
fn kbps(bps: u64) -> f64 {
    bps as f64 / 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "counts of steps fit exactly")]
fn seconds_at(step: usize) -> f64 {
    step as f64 * SERIES_STEP.as_secs_f64()
}

impl Timeline {
    /// What one viewer saw behind a bottleneck.
    #[must_use]
    pub fn of(hall: &Hall, guest: usize, down: PipeId) -> Self {
        let length = hall.now.duration_since(hall.start);
        let seconds = length.as_secs_f64();
        let pipe = hall.look(down);
        let viewer = &hall.guests[guest];
        let since = |at: Instant| at.duration_since(hall.start).as_secs_f64();
        let capacity = (0..=length.as_millis() / 100).filter_map(|step| {
            let at = SERIES_STEP * u32::try_from(step).ok()?;
            let rate = pipe.trace().at(at).rate?;
            Some((at.as_secs_f64(), kbps(rate.bps())))
        });
        let waits = pipe.meter().waits().enumerate();
        let queue = waits.map(|(step, wait)| (seconds_at(step), wait.as_secs_f64() * 1_000.0));
        let estimates = viewer.estimates.iter();
        Self {
            seconds,
            capacity: changes(capacity),
            received: received(viewer),
            estimate: estimates
                .map(|(at, rate)| (since(*at), kbps(rate.bps())))
                .collect(),
            queue: queue.collect(),
            layers: changes(layers(hall, viewer)),
        }
    }
}

/// Only where the value changes.
fn changes(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (at, value) in points {
        let same = kept
            .last()
            .is_some_and(|(_, last)| last.to_bits() == value.to_bits());
        if !same {
            kept.push((at, value));
        }
    }
    kept
}

fn received(viewer: &Guest) -> Vec<(f64, f64)> {
    let chunks = viewer.caller.received().chunks(RATE_STEPS).enumerate();
    let time = SERIES_STEP.as_secs_f64() * 5.0;
    let rate = |bytes: &[u64]| kbps(bytes.iter().sum::<u64>() * 8) / time;
    chunks
        .map(|(step, bytes)| (seconds_at(step * RATE_STEPS), rate(bytes)))
        .collect()
}

/// The layer of what the first slot shows.
fn layers<'a>(hall: &'a Hall, viewer: &'a Guest) -> impl Iterator<Item = (f64, f64)> + 'a {
    let pictures = viewer.caller.pictures().next();
    let pictures = pictures.map(|(_, pictures)| pictures).unwrap_or_default();
    pictures.iter().map(|picture| {
        let at: Duration = picture.at.duration_since(hall.start);
        let layer = u8::try_from(picture.spatial).unwrap_or(0);
        (at.as_secs_f64(), f64::from(layer))
    })
}
