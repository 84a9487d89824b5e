//! What the path carried whenever it was full: its capacity, and how sure that is.
//!
//! Near it the rate grows by small steps, since the next fall is close; far above it, the path is
//! no longer what it was (draft-ietf-rmcat-gcc-02, section 5.5; constants of libwebrtc's
//! `LinkCapacityEstimator`).

use media_types::Bitrate;

use crate::number::{bps, rate};

/// How much one overuse tells …
const WEIGHT_OVERUSE: f64 = 0.05;
/// … and one probe that found the path full.
const WEIGHT_PROBE: f64 = 0.5;
/// Bounds of the deviation, relative to the capacity in kb/s.
const DEVIATION_MIN: f64 = 0.4;
const DEVIATION_MAX: f64 = 2.5;
/// The deviation is at least this share: the rate of 150 ms is no exact figure.
const SPREAD_MIN: f64 = 0.05;
/// So many deviations away it is another capacity.
const SIGMAS: f64 = 3.0;

#[derive(Debug, Clone, Copy)]
struct Known {
    kbps: f64,
    deviation: f64,
}

/// Capacity with its deviation.
#[derive(Debug, Default)]
pub(crate) struct LinkCapacity {
    known: Option<Known>,
}

impl LinkCapacity {
    /// The path was full while it carried this.
    pub(crate) fn on_overuse(&mut self, carried: Bitrate) {
        if carried < self.least() {
            self.known = None;
        }
        self.update(carried, WEIGHT_OVERUSE);
    }

    /// A probe arrived at this rate, slower than it was sent.
    pub(crate) fn on_probe(&mut self, carried: Bitrate) {
        self.update(carried, WEIGHT_PROBE);
    }

    /// Whether a rate is around the capacity. One far above makes it unknown.
    pub(crate) fn is_near(&mut self, carried: Bitrate) -> bool {
        if carried > self.most() {
            self.known = None;
        }
        self.known.is_some()
    }

    pub(crate) const fn reset(&mut self) {
        self.known = None;
    }

    /// The capacity, once it was met.
    pub(crate) fn estimate(&self) -> Option<Bitrate> {
        self.known.map(|known| rate(known.kbps * 1_000.0))
    }

    fn most(&self) -> Bitrate {
        let most = self.known.map(|known| known.kbps + SIGMAS * known.sigma());
        most.map_or(Bitrate::MAX, |kbps| rate(kbps * 1_000.0))
    }

    fn least(&self) -> Bitrate {
        let least = self.known.map(|known| known.kbps - SIGMAS * known.sigma());
        least.map_or(Bitrate::ZERO, |kbps| rate(kbps * 1_000.0))
    }

    fn update(&mut self, carried: Bitrate, weight: f64) {
        let sample = bps(carried) / 1_000.0;
        let Some(known) = &mut self.known else {
            self.known = Some(Known {
                kbps: sample,
                deviation: DEVIATION_MIN,
            });
            return;
        };
        known.kbps += weight * (sample - known.kbps);
        let error = known.kbps - sample;
        let spread = error * error / known.kbps.max(1.0);
        known.deviation += weight * (spread - known.deviation);
        known.deviation = known.deviation.clamp(DEVIATION_MIN, DEVIATION_MAX);
    }
}

impl Known {
    fn sigma(&self) -> f64 {
        (self.deviation * self.kbps)
            .sqrt()
            .max(self.kbps * SPREAD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KBPS: fn(u64) -> Bitrate = Bitrate::from_kbps;

    #[test]
    fn what_lies_near_keeps_it_and_what_lies_far_replaces_it() {
        let mut capacity = LinkCapacity::default();
        assert!(!capacity.is_near(KBPS(1_000)));
        capacity.on_overuse(KBPS(1_000));
        assert_eq!(capacity.estimate(), Some(KBPS(1_000)));
        assert!(capacity.is_near(KBPS(1_050)));
        capacity.on_overuse(KBPS(1_040));
        assert_eq!(capacity.estimate(), Some(KBPS(1_002)));
        // Far below: the path became narrow. Far above: it became wide.
        capacity.on_overuse(KBPS(400));
        assert_eq!(capacity.estimate(), Some(KBPS(400)));
        assert!(!capacity.is_near(KBPS(600)));
        assert_eq!(capacity.estimate(), None);
    }
}
