//! Whether the path's queue grows: the slope of one-way delay over arrival time.
//!
//! Differences of group delay are summed, smoothed, and a straight line is laid through the last
//! twenty points by least squares (Carlucci et al., *Analysis and Design of the Google Congestion
//! Control for WebRTC*, 2016; libwebrtc's `TrendlineEstimator`, which took the place of the
//! draft's Kalman filter). A slope of 0.1 is a queue that grows by 100 ms a second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::arrival_group::GroupDelta;
use crate::number::difference;

/// Points that the line is laid through.
const WINDOW: usize = 20;
/// A first line may use fewer: a start above a narrow path's rate fills its queue within
/// half a second, and twenty groups take that long.
const WINDOW_FIRST: usize = 8;
/// How much of what was smoothed remains after a group …
const SMOOTHING: f64 = 0.9;
/// … that took so many milliseconds to arrive; less remains after one that took longer, or a path
/// that became narrow, and delivers few groups a second, would be noticed late …
const GROUP_MS: f64 = 10.0;
/// … down to what remains after so many.
const GROUPS_MAX: f64 = 5.0;
/// The slope is scaled by this and by how many points were seen, up to …
const GAIN: f64 = 4.0;
/// … so many, so that the detector's threshold is in milliseconds.
const DELTAS_MAX: u32 = 60;

#[derive(Debug, Clone, Copy)]
struct Point {
    /// Milliseconds of arrival since the first group.
    at: f64,
    /// Smoothed delay, in milliseconds.
    delay: f64,
}

/// Follows the slope.
#[derive(Debug, Default)]
pub(crate) struct Trendline {
    points: VecDeque<Point>,
    first_arrived: Option<Duration>,
    deltas: u32,
    accumulated: f64,
    smoothed: f64,
    slope: f64,
}

impl Trendline {
    /// Takes a difference of two groups, and gives the scaled slope, in milliseconds.
    pub(crate) fn on_delta(&mut self, delta: &GroupDelta) -> f64 {
        let first = *self.first_arrived.get_or_insert(delta.arrived);
        self.deltas = self.deltas.saturating_add(1).min(DELTAS_MAX);
        self.accumulated += delta.arrived_ms - delta.sent_ms;
        let groups = (delta.arrived_ms / GROUP_MS).clamp(1.0, GROUPS_MAX);
        let remains = SMOOTHING.powf(groups);
        self.smoothed = remains * self.smoothed + (1.0 - remains) * self.accumulated;
        if self.points.len() >= WINDOW {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            at: difference(delta.arrived, first),
            delay: self.smoothed,
        });
        if self.points.len() >= WINDOW_FIRST {
            self.slope = slope(&self.points).unwrap_or(self.slope);
        }
        self.scaled()
    }

    /// The slope as last found, scaled.
    pub(crate) fn scaled(&self) -> f64 {
        f64::from(self.deltas) * self.slope * GAIN
    }

    pub(crate) fn clear(&mut self) {
        self.points.clear();
        *self = Self {
            points: std::mem::take(&mut self.points),
            ..Self::default()
        };
    }
}

/// Least squares; `None` if all points are at one moment.
fn slope(points: &VecDeque<Point>) -> Option<f64> {
    let count: f64 = points.iter().map(|_| 1.0).sum();
    let at = points.iter().map(|point| point.at).sum::<f64>() / count;
    let delay = points.iter().map(|point| point.delay).sum::<f64>() / count;
    let (mut over, mut under) = (0.0, 0.0);
    for point in points {
        over += (point.at - at) * (point.delay - delay);
        under += (point.at - at) * (point.at - at);
    }
    (under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(trendline: &mut Trendline, groups: u64, from: u64, arrived_ms: u64) -> f64 {
        let mut scaled = 0.0;
        for group in from..from + groups {
            scaled = trendline.on_delta(&GroupDelta {
                sent_ms: 10.0,
                arrived_ms: f64::from(u32::try_from(arrived_ms).unwrap()),
                arrived: Duration::from_millis(group * arrived_ms),
            });
        }
        scaled
    }

    #[test]
    fn a_queue_that_grows_has_its_slope() {
        let mut trendline = Trendline::default();
        assert_eq!(feed(&mut trendline, 60, 0, 10), 0.0);
        // Each group is 1 ms later than the one before: 1 ms of queue in 11 ms.
        feed(&mut trendline, 60, 60, 11);
        assert!(
            (trendline.slope - 1.0 / 11.0).abs() < 0.002,
            "{}",
            trendline.slope
        );
        assert!((trendline.scaled() - 240.0 / 11.0).abs() < 0.5);
        feed(&mut trendline, 60, 120, 9);
        assert!(trendline.slope < 0.0);
        trendline.clear();
        assert_eq!((trendline.slope, trendline.scaled()), (0.0, 0.0));
    }

    #[test]
    fn too_few_points_are_no_line() {
        let mut trendline = Trendline::default();
        assert_eq!(feed(&mut trendline, 7, 0, 20), 0.0);
        assert!(feed(&mut trendline, 1, 7, 20) > 0.0);
    }
}
