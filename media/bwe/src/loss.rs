//! The rate that loss allows: how much of the loss is ours?
//!
//! A radio link loses packets whatever the rate; a policer or a shallow queue loses what is too
//! much. Slowing down helps only against the second. After the model behind libwebrtc's
//! `LossBasedBweV2` the share lost at a rate `r` on a path that carries `b` is
//!
//! ```text
//! p(r) = q + (1 − q) · max(0, r − b) / r
//! ```
//!
//! with an *inherent* loss `q`. Over the observations of the last five seconds, each candidate `b`
//! gets its best `q` (Newton's method on the likelihood, which is concave in `q`) and the likeliest
//! pair wins, with a slight preference for more. What `q` may be is bounded: more than 8 % of loss
//! is not taken for granted, and less so the higher the rate, since a flow that pays no heed to
//! loss at all harms others.
//!
//! Where we differ: the bound is looser (video with repair stands 10 % well), nothing falls below
//! what arrives, and a run of loss longer than 400 ms is an outage, which says nothing of rates.

mod report;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::feedback::PacketResult;
use crate::limits::LOSS_OBSERVATIONS_MAX;
use crate::number::{bps, in_256ths, rate};
pub(crate) use report::ReportLoss;

/// One observation spans at least this much sending …
const INTERVAL: Duration = Duration::from_millis(250);
/// … and this many packets.
const PACKETS_MIN: u32 = 20;
/// How much an observation counts beside the one after it.
const AGEING: f64 = 0.9;
/// Loss that is taken for the path's own at any rate …
const INHERENT_MAX: f64 = 0.08;
/// … and more at low rates, so that a bad link keeps a picture: this over the rate.
const INHERENT_BPS: f64 = 200_000.0;
/// … but never beyond half.
const INHERENT_CAP: f64 = 0.5;
/// How much more likely a candidate is for each e-fold of rate, a packet.
const BIAS: f64 = 0.02;
/// Rates tried beside the present one, relative to it.
const STEPS: [f64; 4] = [1.0, 1.08, 0.95, 0.85];
/// This much of what arrives is tried too, and nothing below it.
const ARRIVED_SHARE: f64 = 0.95;
/// A limit grows at most to this multiple of what arrives.
const PROOF: f64 = 1.5;
/// Nothing arrives for so long of sending: an outage.
const OUTAGE: Duration = Duration::from_millis(400);
const OUTAGE_PACKETS: u32 = 5;
/// Probabilities stay this far from 0 and 1.
const MARGIN: f64 = 1e-4;
/// Less than this share lost is none …
const CLEAN: f64 = 0.01;
/// … and lets a limit grow by this an observation.
const REGROWTH: f64 = 1.08;
/// Observations that tell whether it still loses.
const OF_LATE: usize = 3;
const NEWTON_STEPS: u32 = 4;

/// What one interval saw.
#[derive(Debug, Clone, Copy)]
struct Observation {
    packets: f64,
    lost: f64,
    bps: f64,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    first_sent: Instant,
    last_sent: Instant,
    packets: u32,
    lost: u32,
    bytes: DataSize,
    /// Sent last, so after the span: it does not count in its rate.
    last: DataSize,
}

/// Missing packets of which none has arrived after.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: Instant,
    packets: u32,
    bytes: DataSize,
}

/// What is known when the limit is decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossInput {
    /// What the delay allows.
    pub(crate) by_delay: Bitrate,
    pub(crate) acked: Option<Bitrate>,
    pub(crate) least: Bitrate,
}

/// Limits the rate by transport-wide loss.
#[derive(Debug, Default)]
pub(crate) struct LossController {
    interval: Option<Interval>,
    run: Option<Run>,
    /// Newest first.
    observations: VecDeque<Observation>,
    limit: Option<Bitrate>,
    inherent: f64,
    share: f64,
}

impl LossController {
    /// Takes what became of a packet, in the order of sending.
    pub(crate) fn on_result(&mut self, result: &PacketResult) {
        if result.was_missing {
            if let Some(interval) = &mut self.interval {
                interval.lost = interval.lost.saturating_sub(1);
            }
            return;
        }
        if result.arrived.is_none() {
            let run = self.run.get_or_insert(Run {
                since: result.sent,
                packets: 0,
                bytes: DataSize::ZERO,
            });
            run.packets = run.packets.saturating_add(1);
            run.bytes = run.bytes.saturating_add(result.size);
            return;
        }
        if let Some(run) = self.run.take() {
            let length = result.sent.saturating_duration_since(run.since);
            if length >= OUTAGE && run.packets >= OUTAGE_PACKETS {
                self.interval = None;
            } else {
                self.add(run.since, run.packets, run.packets, run.bytes);
            }
        }
        self.add(result.sent, 1, 0, result.size);
    }

    /// Decides anew once an interval is complete. Whether the limit fell.
    pub(crate) fn update(&mut self, input: &LossInput) -> bool {
        let Some(observation) = self.complete() else {
            return false;
        };
        if self.observations.len() >= LOSS_OBSERVATIONS_MAX {
            self.observations.pop_back();
        }
        self.observations.push_front(observation);
        let current = self.limit.unwrap_or(input.by_delay).min(input.by_delay);
        let best = self
            .best(bps(current), input)
            .max(self.regrown(current, input));
        let chosen = rate(best).max(input.least);
        self.limit = (chosen < input.by_delay).then_some(chosen);
        chosen < current
    }

    /// A probe arrived at this rate.
    pub(crate) fn on_probe(&mut self, carried: Bitrate) {
        self.limit = self.limit.map(|limit| limit.max(carried));
    }

    /// What loss allows; `None` if it does not limit.
    pub(crate) const fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    /// The share lost whatever the rate.
    pub(crate) const fn inherent(&self) -> f64 {
        self.inherent
    }

    /// The share lost in the last interval, in 256ths.
    pub(crate) const fn last(&self) -> u8 {
        in_256ths(self.share)
    }

    fn add(&mut self, sent: Instant, packets: u32, lost: u32, bytes: DataSize) {
        let interval = self.interval.get_or_insert(Interval {
            first_sent: sent,
            last_sent: sent,
            packets: 0,
            lost: 0,
            bytes: DataSize::ZERO,
            last: DataSize::ZERO,
        });
        interval.last_sent = interval.last_sent.max(sent);
        interval.last = bytes;
        interval.packets = interval.packets.saturating_add(packets);
        interval.lost = interval.lost.saturating_add(lost);
        interval.bytes = interval.bytes.saturating_add(bytes);
    }

    fn complete(&mut self) -> Option<Observation> {
        let interval = self.interval?;
        let length = interval
            .last_sent
            .saturating_duration_since(interval.first_sent);
        if interval.packets < PACKETS_MIN || length < INTERVAL {
            return None;
        }
        self.interval = None;
        let packets = f64::from(interval.packets);
        let lost = f64::from(interval.lost);
        let sent = interval.bytes.saturating_sub(interval.last);
        self.share = lost / packets;
        Some(Observation {
            packets,
            lost,
            bps: bps(Bitrate::of(sent, length)),
        })
    }

    /// The likeliest capacity, and with it the inherent loss.
    fn best(&mut self, current: f64, input: &LossInput) -> f64 {
        let by_delay = bps(input.by_delay);
        let acked = input.acked.map(bps);
        let arrived = acked
            .map_or(0.0, |acked| acked * ARRIVED_SHARE)
            .min(current);
        let proved = acked.map_or(f64::MAX, |acked| acked * PROOF);
        let ceiling = if self.mean(OF_LATE) > INHERENT_MAX {
            // It is not known whether more would be lost: that is no time to try.
            current
        } else {
            by_delay.min(proved.max(current))
        };
        let steps = STEPS.map(|step| (current * step).clamp(arrived, ceiling.max(arrived)));
        let mut best = (current, f64::MIN, self.inherent);
        for capacity in steps.into_iter().chain([arrived]).filter(|bps| *bps > 0.0) {
            let inherent = self.fit(capacity);
            let score = self.score(capacity, inherent);
            if score > best.1 {
                best = (capacity, score, inherent);
            }
        }
        self.inherent = best.2;
        best.0
    }

    /// What a limit grows to after three observations without loss, whatever older ones say.
    fn regrown(&self, current: Bitrate, input: &LossInput) -> f64 {
        let clean = self.observations.len() >= OF_LATE && self.mean(OF_LATE) < CLEAN;
        let proved = input.acked.map_or(f64::MAX, |acked| bps(acked) * PROOF);
        let grown = (bps(current) * REGROWTH).min(proved);
        if clean {
            grown.min(bps(input.by_delay))
        } else {
            0.0
        }
    }

    fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * AGEING));
        weights.zip(&self.observations)
    }

    /// The share lost of the newest so many observations.
    fn mean(&self, newest: usize) -> f64 {
        let (mut lost, mut packets) = (0.0, 0.0);
        for (weight, seen) in self.weighted().take(newest) {
            lost += weight * seen.lost;
            packets += weight * seen.packets;
        }
        lost / f64::max(packets, 1.0)
    }

    /// The inherent loss that goes best with a capacity.
    fn fit(&self, capacity: f64) -> f64 {
        let most = (INHERENT_MAX + INHERENT_BPS / capacity.max(1.0)).min(INHERENT_CAP);
        // From below, Newton's steps only double what is far too little.
        let mut inherent = self.mean(LOSS_OBSERVATIONS_MAX).clamp(MARGIN, most);
        for _ in 0..NEWTON_STEPS {
            let (mut first, mut second) = (0.0, 0.0);
            for (weight, seen) in self.weighted() {
                let rest = 1.0 - congestion(seen.bps, capacity);
                let lost = probability(inherent, 1.0 - rest);
                let arrived = seen.packets - seen.lost;
                first += weight * rest * (seen.lost / lost - arrived / (1.0 - lost));
                let bend = seen.lost / (lost * lost) + arrived / ((1.0 - lost) * (1.0 - lost));
                second += weight * rest * rest * bend;
            }
            if second <= 0.0 {
                break;
            }
            inherent = (inherent + first / second).clamp(MARGIN, most);
        }
        inherent
    }

    /// How likely what was seen is, with the preference for more.
    fn score(&self, capacity: f64, inherent: f64) -> f64 {
        let terms = self.weighted().map(|(weight, seen)| {
            let lost = probability(inherent, congestion(seen.bps, capacity));
            let arrived = seen.packets - seen.lost;
            let likely = seen.lost * lost.ln() + arrived * (1.0 - lost).ln();
            weight * (likely + BIAS * seen.packets * capacity.max(1.0).ln())
        });
        terms.sum()
    }
}

/// The share of a rate that a capacity does not carry.
fn congestion(sent: f64, capacity: f64) -> f64 {
    if sent > capacity {
        (sent - capacity) / sent
    } else {
        0.0
    }
}

fn probability(inherent: f64, congestion: f64) -> f64 {
    (inherent + (1.0 - inherent) * congestion).clamp(MARGIN, 1.0 - MARGIN)
}

#[cfg(test)]
mod tests;
