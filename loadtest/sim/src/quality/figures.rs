//! Figures, their bounds and their medians.

use std::time::{Duration, Instant};

use super::{Scenario, Timeline};
use crate::call::Picture;

/// What a figure has to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// It is shown and not judged.
    None,
}

impl Bound {
    /// Whether a value keeps it.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::None => true,
        }
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit, as it is printed.
    pub unit: &'static str,
    /// What it has to keep.
    pub bound: Bound,
}

impl Figure {
    /// A figure.
    #[must_use]
    pub const fn new(name: &'static str, value: f64, unit: &'static str, bound: Bound) -> Self {
        Self {
            name,
            value,
            unit,
            bound,
        }
    }
}

/// What one run gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its figures, in the same order for every seed.
    pub figures: Vec<Figure>,
    /// What to plot.
    pub timeline: Timeline,
}

/// One scenario over its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Each figure's median, and its value for each seed.
    pub figures: Vec<(Figure, Vec<f64>)>,
    /// The first seed's timeline.
    pub timeline: Timeline,
}

impl Row {
    /// Whether all medians keep their bounds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.figures
            .iter()
            .all(|(figure, _)| figure.bound.holds(figure.value))
    }
}

/// Runs a scenario over seeds.
///
/// # Panics
/// Without seeds.
#[must_use]
pub fn measure(scenario: &Scenario, seeds: &[u64]) -> Row {
    let outcomes: Vec<Outcome> = seeds.iter().map(|&seed| (scenario.run)(seed)).collect();
    let first = outcomes.first().expect("at least one seed").clone();
    let of = |(place, figure): (usize, Figure)| {
        let values = outcomes
            .iter()
            .filter_map(|outcome| outcome.figures.get(place));
        let values: Vec<f64> = values.map(|figure| figure.value).collect();
        let value = median(&values);
        (Figure { value, ..figure }, values)
    };
    Row {
        figures: first.figures.into_iter().enumerate().map(of).collect(),
        timeline: first.timeline,
    }
}

/// The value in the middle, the lower of two; zero of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(0.0)
}

/// Jain's index of fairness: 1 for equal shares, 1 / n when one has all.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a few shares")]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 {
        return 0.0;
    }
    sum * sum / (shares.len() as f64 * squares)
}

/// Frames whose mean distance makes a gap a freeze.
const MEAN_FRAMES: usize = 30;

/// The freezes of a slot that ended within `from..to`, or go on at its end, by the rule of
/// webrtc-stats (`freezeCount`): a gap longer than three times the mean of the last 30, and longer
/// than that mean by 150 ms.
#[must_use]
pub fn freezes(pictures: &[Picture], from: Instant, to: Instant) -> Vec<(Instant, Instant)> {
    let mut found = Vec::new();
    let mut gaps: Vec<Duration> = Vec::new();
    let mut last: Option<Instant> = None;
    let shown = pictures.iter().map(|picture| picture.at);
    for at in shown.filter(|at| *at < to).chain([to]) {
        if let Some(last) = last {
            let gap = at.saturating_duration_since(last);
            let recent = &gaps[gaps.len().saturating_sub(MEAN_FRAMES)..];
            let count = u32::try_from(recent.len()).unwrap_or(1).max(1);
            let mean = recent.iter().sum::<Duration>() / count;
            let limit = (mean * 3).max(mean + Duration::from_millis(150));
            if !recent.is_empty() && gap > limit && at >= from {
                found.push((last.max(from), at));
            }
            gaps.push(gap);
        } else if at > from {
            // Nothing was ever shown.
            found.push((from, at));
        }
        last = Some(at);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(start: Instant, at_ms: &[u64]) -> Vec<Picture> {
        let picture = |ms: &u64| Picture {
            at: start + Duration::from_millis(*ms),
            publisher: 0,
            spatial: 0,
            temporal: 0,
            frame: 0,
        };
        at_ms.iter().map(picture).collect()
    }

    #[test]
    fn a_freeze_is_long_by_itself_and_beside_the_others() {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let steady: Vec<u64> = (0..30).map(|frame| frame * 33).collect();
        let with = |more: &[u64]| pictures(start, &[&steady, more].concat());
        // 33 ms on average: a gap may have 183 ms.
        let end = 957 + 183;
        assert_eq!(freezes(&with(&[end]), start, ms(end)), []);
        let long = end + 1;
        assert_eq!(
            freezes(&with(&[long]), start, ms(long)),
            [(ms(957), ms(long))]
        );
        assert_eq!(
            freezes(&with(&[]), start, ms(2_000)),
            [(ms(957), ms(2_000))]
        );
        assert_eq!(freezes(&[], ms(10), ms(20)), [(ms(10), ms(20))]);
    }

    #[test]
    fn fairness_and_middles() {
        assert!((jain(&[2.0, 2.0, 2.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-9);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    }
}
