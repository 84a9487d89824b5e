//! Whether something grows in a long run: the server's memory, and how often packets are late.

use serde::Serialize;

use crate::run::{Phase, Sample};

/// A second is late when one packet of a hundred took longer: a picture's time at 20 a second.
const LATE_US: u64 = 50_000;
/// One part of so many is not looked at: until caches and pools are as large as they get.
const WARM_UP: usize = 4;
/// Fewer seconds say nothing of a trend.
const SAMPLES_MIN: usize = 20;

/// What a long run shows after its warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trend {
    /// Bytes that the server grows by in an hour, by least squares.
    pub bytes_per_hour: Option<f64>,
    /// The same by the mean of what it had, as a share.
    pub growth_per_hour: Option<f64>,
    /// Late seconds in the first half of the time, as a share.
    pub late_before: Option<f64>,
    /// In the second half.
    pub late_after: Option<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "slopes for a report")]
impl Trend {
    /// From the samples of a run.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Self {
        let holding: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.phase == Phase::Holding)
            .collect();
        let warm = holding.get(holding.len() / WARM_UP..).unwrap_or_default();
        if warm.len() < SAMPLES_MIN {
            return Self::default();
        }
        let memory: Vec<(f64, f64)> = warm
            .iter()
            .filter_map(|sample| {
                let bytes = sample.server?.resident_bytes?;
                Some((sample.at_s / 3_600.0, bytes as f64))
            })
            .collect();
        let (before, after) = warm.split_at(warm.len() / 2);
        let fitted = slope(&memory);
        Self {
            bytes_per_hour: fitted.map(|(slope, _)| slope),
            growth_per_hour: fitted.map(|(slope, mean)| slope / mean),
            late_before: late(before),
            late_after: late(after),
        }
    }

    /// How many more seconds are late at the end than before, as a share of all.
    #[must_use]
    pub fn late_growth(&self) -> Option<f64> {
        Some(self.late_after? - self.late_before?)
    }
}

/// The slope of a line through the points, and the mean of their heights.
#[allow(clippy::cast_precision_loss, reason = "a count of seconds")]
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    if points.len() < SAMPLES_MIN {
        return None;
    }
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let square: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let product: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    (square > 0.0).then(|| (product / square, mean_y))
}

#[allow(clippy::cast_precision_loss, reason = "a share for a report")]
fn late(samples: &[&Sample]) -> Option<f64> {
    let measured: Vec<u64> = samples
        .iter()
        .filter_map(|sample| sample.latency_us.map(|(_, most)| most))
        .collect();
    let late = measured.iter().filter(|most| **most > LATE_US).count();
    (!measured.is_empty()).then(|| late as f64 / measured.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ServerFigures;

    fn second(at_s: f64, bytes: u64, most_us: u64) -> Sample {
        Sample {
            at_s,
            phase: Phase::Holding,
            began: 0,
            joined: 0,
            failed: 0,
            connected: 0,
            received: crate::light::StreamFigures::default(),
            sent: 0,
            messages: 0,
            latency_us: Some((1_000, most_us)),
            server: Some(ServerFigures {
                resident_bytes: Some(bytes),
                ..ServerFigures::default()
            }),
        }
    }

    #[test]
    fn what_grows_is_found_after_the_warm_up() {
        // Twice as much in the warm-up as after it, then ten bytes a second.
        let samples: Vec<Sample> = (0..400_u32)
            .map(|n| {
                let bytes = if n < 100 {
                    n * 10_000
                } else {
                    1_000_000 + (n - 100) * 10
                };
                let late = if n >= 250 && n % 2 == 0 {
                    60_000
                } else {
                    2_000
                };
                second(f64::from(n), bytes.into(), late)
            })
            .collect();
        let trend = Trend::of(&samples);
        assert!((trend.bytes_per_hour.unwrap() - 36_000.0).abs() < 1.0);
        assert_eq!(
            (trend.late_before, trend.late_after),
            (Some(0.0), Some(0.5))
        );
        assert_eq!(trend.late_growth(), Some(0.5));
        assert_eq!(Trend::of(&samples[..20]), Trend::default());
    }
}
