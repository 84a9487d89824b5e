//! From a slope to a verdict: does the path take what is sent?
//!
//! The threshold adapts (Carlucci et al., section 4.2): it follows the slope slowly upwards, so
//! that flows which fill queues, such as TCP, do not starve this one, and quickly downwards, so
//! that it becomes sensitive again.

use std::time::Duration;

use crate::number::millis;

/// The threshold at the start, in milliseconds of scaled slope.
const THRESHOLD_START: f64 = 12.5;
/// How fast it follows a slope above it, per millisecond …
const GAIN_UP: f64 = 0.0087;
/// … and one below it.
const GAIN_DOWN: f64 = 0.039;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// A slope this far above is a spike, and the threshold does not follow it.
const SPIKE: f64 = 15.0;
/// One step of adaptation counts at most this many milliseconds.
const STEP_MAX: f64 = 100.0;
/// A slope must stay above for so many milliseconds of sending.
const OVERUSE_MS: f64 = 10.0;

/// What the delay says of the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Usage {
    /// The queue stands.
    #[default]
    Normal,
    /// The queue grows.
    Over,
    /// The queue drains.
    Under,
}

/// Compares scaled slopes with a threshold that adapts.
#[derive(Debug)]
pub(crate) struct OveruseDetector {
    threshold: f64,
    updated: Option<Duration>,
    /// Milliseconds of sending during which the slope was above; `None` while it is not.
    above_ms: Option<f64>,
    samples: u32,
    last: f64,
    usage: Usage,
}

impl Default for OveruseDetector {
    fn default() -> Self {
        Self {
            threshold: THRESHOLD_START,
            updated: None,
            above_ms: None,
            samples: 0,
            last: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl OveruseDetector {
    /// Takes a scaled slope that `sent_ms` of sending led to, found at `arrived` of the receiver's
    /// clock. `stands` says that there is a queue at all: without one a slope is the echo of a
    /// pause that is over.
    pub(crate) fn on_slope(
        &mut self,
        scaled: f64,
        sent_ms: f64,
        arrived: Duration,
        stands: bool,
    ) -> Usage {
        if scaled > self.threshold {
            let above = self.above_ms.map_or(sent_ms / 2.0, |ms| ms + sent_ms);
            self.above_ms = Some(above);
            self.samples = self.samples.saturating_add(1);
            let rising = scaled >= self.last;
            if above > OVERUSE_MS && self.samples > 1 && rising && stands {
                self.above_ms = Some(0.0);
                self.samples = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.above_ms = None;
            self.samples = 0;
            self.usage = if scaled < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.last = scaled;
        self.adapt(scaled, arrived);
        self.usage
    }

    pub(crate) const fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Begins anew, with the threshold that was learnt.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            threshold: self.threshold,
            ..Self::default()
        };
    }

    fn adapt(&mut self, scaled: f64, arrived: Duration) {
        let updated = *self.updated.get_or_insert(arrived);
        let height = scaled.abs();
        if height <= self.threshold + SPIKE {
            let gain = if height < self.threshold {
                GAIN_DOWN
            } else {
                GAIN_UP
            };
            let passed = millis(arrived.saturating_sub(updated)).min(STEP_MAX);
            let threshold = self.threshold + gain * (height - self.threshold) * passed;
            self.threshold = threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
        }
        self.updated = Some(arrived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(
        detector: &mut OveruseDetector,
        at_ms: &mut u64,
        slopes: &[f64],
        stands: bool,
    ) -> Usage {
        let mut usage = Usage::Normal;
        for &slope in slopes {
            *at_ms += 10;
            usage = detector.on_slope(slope, 10.0, Duration::from_millis(*at_ms), stands);
        }
        usage
    }

    #[test]
    fn a_slope_must_last_and_rise() {
        let (mut detector, mut at) = (OveruseDetector::default(), 0);
        assert_eq!(feed(&mut detector, &mut at, &[30.0], true), Usage::Normal);
        assert_eq!(feed(&mut detector, &mut at, &[29.0], true), Usage::Normal);
        assert_eq!(feed(&mut detector, &mut at, &[31.0], true), Usage::Over);
        assert_eq!(feed(&mut detector, &mut at, &[2.0], true), Usage::Normal);
        assert_eq!(feed(&mut detector, &mut at, &[-40.0], true), Usage::Under);
    }

    #[test]
    fn without_a_queue_there_is_no_overuse() {
        let (mut detector, mut at) = (OveruseDetector::default(), 0);
        let slopes = [30.0, 31.0, 32.0, 33.0];
        assert_eq!(feed(&mut detector, &mut at, &slopes, false), Usage::Normal);
    }

    #[test]
    fn the_threshold_follows_and_stays_in_its_bounds() {
        let (mut detector, mut at) = (OveruseDetector::default(), 0);
        feed(&mut detector, &mut at, &[0.0; 200], true);
        assert_eq!(detector.threshold(), THRESHOLD_MIN);
        // A spike does not move it, a slope just above does.
        feed(&mut detector, &mut at, &[500.0; 10], true);
        assert_eq!(detector.threshold(), THRESHOLD_MIN);
        feed(&mut detector, &mut at, &[20.0; 200], true);
        assert!((detector.threshold() - 20.0).abs() < 0.1);
    }
}
