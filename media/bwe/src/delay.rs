//! What one-way delay says of a path: its slope, and how much of it is queue.
//!
//! The slope (groups, trendline, detector) is GCC's. Beside it stands the queue itself: by how
//! much a packet was later than the quickest of late. GCC does without; we use it for three things.
//! A slope without a queue is the echo of a pause that is over, and no overuse. A long queue that
//! neither grows nor drains (a drop-tail queue that is full has no slope) is overuse. And the
//! longer the queue, the deeper the fall that drains it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::arrival_group::ArrivalGroups;
use crate::limits::DELAYS_MAX;
use crate::number::{difference, millis};
use crate::overuse::{OveruseDetector, Usage};
use crate::trendline::Trendline;

/// Each of two buckets of least delay; a clock that drifts by 100 ppm moves 1 ms in one.
const BUCKET: Duration = Duration::from_secs(10);
/// A queue that is there at all, in milliseconds: above timer and scheduling noise …
const QUEUE_MIN_MS: f64 = 10.0;
/// … and above this multiple of the path's own, up to …
const NOISE_FACTOR: f64 = 2.5;
/// … this, for a queue that grows is noise too.
const QUEUE_MIN_MAX_MS: f64 = 40.0;
/// How much of a group's difference counts in the noise.
const NOISE_WEIGHT: f64 = 1.0 / 32.0;
/// All packets of so much time are late where a queue stands …
const STANDING: Duration = Duration::from_millis(50);
/// … and at least so many.
const PACKETS_MIN: usize = 3;
/// On a path that jitters by more than this, in milliseconds, twice as long and many must be.
const NOISY_MS: f64 = 8.0;
/// A queue that stands for longer than a keyframe fills one.
const QUEUE_LONG_MS: f64 = 120.0;
/// It must stand for so long of arrivals: what a pause held back comes in less.
const QUEUE_LONG: Duration = Duration::from_millis(200);
/// Nothing arrived for so long: the path was away, and what it held back says nothing of it.
const PAUSE: Duration = Duration::from_millis(500);
/// After a pause what was held back comes first.
const PAUSE_GRACE: Duration = Duration::from_millis(500);
/// A long queue that so many falls have not moved is not ours: another flow fills it, or the path
/// became longer.
const FALLS_MAX: u32 = 4;
/// A clock that seems to run back by more than this is another clock.
const BACKWARDS_MAX: Duration = Duration::from_secs(1);

/// Least one-way delay of late, in milliseconds on mixed clocks.
#[derive(Debug, Default)]
struct Floor {
    before: Option<f64>,
    current: Option<f64>,
    since: Duration,
}

impl Floor {
    /// Takes a delay, and gives what of it is above the floor.
    fn on_delay(&mut self, at: Duration, delay: f64) -> f64 {
        if at.saturating_sub(self.since) > BUCKET {
            self.since = at;
            self.before = self.current.take();
        }
        let current = self.current.map_or(delay, |least| least.min(delay));
        self.current = Some(current);
        delay - self.before.map_or(current, |least| least.min(current))
    }
}

/// All that is derived from one-way delay.
#[derive(Debug, Default)]
pub(crate) struct DelayDetector {
    groups: ArrivalGroups,
    trendline: Trendline,
    detector: OveruseDetector,
    floor: Floor,
    last_arrived: Option<Duration>,
    /// Arrival and queue, in milliseconds, of the last packets.
    recent: VecDeque<(Duration, f64)>,
    /// How much groups differ in delay from one to the next, in milliseconds.
    noise_ms: f64,
    /// Since when the queue has been long.
    long_since: Option<Duration>,
    quiet_until: Duration,
    falls: u32,
}

impl DelayDetector {
    /// Takes a packet by when it was sent and when it arrived, each on its own clock, in order of
    /// arrival. Says whether the path had been away before it.
    pub(crate) fn on_packet(&mut self, sent: Duration, arrived: Duration) -> bool {
        let last = self.last_arrived.replace(arrived).unwrap_or(arrived);
        if last.saturating_sub(arrived) > BACKWARDS_MAX {
            *self = Self::default();
        }
        let paused = arrived.saturating_sub(last) > PAUSE;
        if paused {
            self.forget_slope();
            self.quiet_until = arrived + PAUSE_GRACE;
        }
        let queue = self.floor.on_delay(arrived, difference(arrived, sent));
        self.remember(arrived, queue);
        if self.queue_ms() <= QUEUE_LONG_MS || arrived < self.quiet_until {
            self.long_since = None;
        } else {
            self.long_since.get_or_insert(arrived);
        }
        if let Some(delta) = self.groups.on_packet(sent, arrived) {
            let scaled = self.trendline.on_delta(&delta);
            let height = (delta.arrived_ms - delta.sent_ms).abs();
            self.noise_ms += NOISE_WEIGHT * (height.min(QUEUE_LONG_MS) - self.noise_ms);
            let least = (NOISE_FACTOR * self.noise_ms).clamp(QUEUE_MIN_MS, QUEUE_MIN_MAX_MS);
            let stands = self.standing_ms() > least;
            self.detector
                .on_slope(scaled, delta.sent_ms, delta.arrived, stands);
        }
        paused
    }

    /// What the delay says now.
    pub(crate) fn usage(&self) -> Usage {
        let usage = self.detector.usage();
        if usage == Usage::Normal && self.is_long() {
            return Usage::Over;
        }
        usage
    }

    /// The estimate fell because of what this said.
    pub(crate) fn on_fall(&mut self) {
        if self.queue_ms() <= QUEUE_LONG_MS {
            self.falls = 0;
            return;
        }
        self.falls += 1;
        if self.falls >= FALLS_MAX {
            self.falls = 0;
            self.long_since = None;
            self.floor = Floor::default();
        }
    }

    /// How long the path's queue is now.
    pub(crate) fn queue(&self) -> Duration {
        Duration::try_from_secs_f64(self.queue_ms() / 1_000.0).unwrap_or(Duration::ZERO)
    }

    /// How much packets jitter.
    pub(crate) fn noise(&self) -> Duration {
        Duration::try_from_secs_f64(self.noise_ms / 1_000.0).unwrap_or(Duration::ZERO)
    }

    /// The slope as the detector sees it, and its threshold, in milliseconds.
    pub(crate) fn trend(&self) -> (f64, f64) {
        (self.trendline.scaled(), self.detector.threshold())
    }

    fn is_long(&self) -> bool {
        let (since, last) = (self.long_since, self.last_arrived);
        let length = since
            .zip(last)
            .map(|(since, last)| last.saturating_sub(since));
        length.is_some_and(|length| length >= QUEUE_LONG)
    }

    fn remember(&mut self, arrived: Duration, queue: f64) {
        let noisy = self.noise_ms > NOISY_MS;
        let (window, least) = if noisy {
            (STANDING * 2, PACKETS_MIN * 2)
        } else {
            (STANDING, PACKETS_MIN)
        };
        while self.recent.len() >= least {
            let oldest = self.recent.front();
            let old = oldest.is_some_and(|(at, _)| arrived.saturating_sub(*at) > window);
            if !old && self.recent.len() < DELAYS_MAX {
                break;
            }
            self.recent.pop_front();
        }
        self.recent.push_back((arrived, queue));
    }

    /// The least of the last packets: one late packet is no queue.
    fn queue_ms(&self) -> f64 {
        let last = self.recent.iter().rev().take(PACKETS_MIN);
        least(last)
    }

    /// The least of a little longer: on a path that jitters some packet is always late.
    fn standing_ms(&self) -> f64 {
        least(self.recent.iter())
    }

    fn forget_slope(&mut self) {
        self.groups.clear();
        self.trendline.clear();
        self.detector.clear();
        self.recent.clear();
        self.long_since = None;
    }
}

/// The least queue of some packets; none without packets.
fn least<'a>(delays: impl Iterator<Item = &'a (Duration, f64)>) -> f64 {
    let least = delays.map(|(_, queue)| *queue).reduce(f64::min);
    least.unwrap_or(0.0)
}

/// The most to give up for a queue, beyond what a fall gives up anyway.
const DRAIN_MAX: f64 = 0.35;

/// What share of a rate to give up so that a queue drains within about a second, beyond what a
/// fall gives up anyway.
pub(crate) fn drain_share(queue: Duration) -> f64 {
    (millis(queue) / 1_000.0 - 0.1).clamp(0.0, DRAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Packets each 10 ms, `delay_ms` late; gives what was said last.
    fn feed(detector: &mut DelayDetector, at: std::ops::Range<u64>, delay_ms: u64) -> Usage {
        for packet in at {
            detector.on_packet(MS(packet * 10), MS(40_000 + packet * 10 + delay_ms));
        }
        detector.usage()
    }

    #[test]
    fn a_queue_that_grows_is_overuse_at_once() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0..100, 20);
        assert_eq!(detector.usage(), Usage::Normal);
        let mut over = None;
        for packet in 100..150_u64 {
            let delay = 20 + (packet - 100) * 5;
            detector.on_packet(MS(packet * 10), MS(40_000 + packet * 10 + delay));
            if over.is_none() && detector.usage() == Usage::Over {
                over = Some(detector.queue());
            }
        }
        assert!(over.unwrap() <= MS(50), "{over:?}");
    }

    #[test]
    fn a_full_queue_is_overuse_though_it_does_not_grow() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0..100, 20);
        // Adaptation lets the step itself pass, and then nothing changes any more.
        assert_eq!(feed(&mut detector, 100..300, 320), Usage::Over);
        assert_eq!(detector.queue(), MS(300));
        // Falls that change nothing make it the path's own delay.
        for _ in 0..FALLS_MAX {
            detector.on_fall();
        }
        assert_eq!(feed(&mut detector, 300..310, 320), Usage::Normal);
        assert_eq!(detector.queue(), Duration::ZERO);
    }

    #[test]
    fn a_longer_route_becomes_the_new_floor() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0..10, 20);
        assert_eq!(feed(&mut detector, 10..3_000, 300), Usage::Normal);
    }

    #[test]
    fn after_a_pause_there_is_no_slope() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0..100, 20);
        // Two seconds away: what was held back comes quickly, and then all is as before.
        for packet in 100..300_u64 {
            let paused = detector.on_packet(MS(packet * 10), MS(43_000 + packet));
            assert_eq!(paused, packet == 100);
            assert_ne!(detector.usage(), Usage::Over);
        }
        assert_eq!(feed(&mut detector, 330..400, 20), Usage::Normal);
    }

    #[test]
    fn the_longer_the_queue_the_deeper_the_fall() {
        assert_eq!(drain_share(MS(50)), 0.0);
        assert!((drain_share(MS(200)) - 0.1).abs() < 1e-9);
        assert_eq!(drain_share(MS(2_000)), 0.35);
    }
}
