//! Probing: short bursts above the estimate that show whether the path carries more.
//!
//! A sender that only grows by what it sends needs tens of seconds to find a path that became
//! wide, and one that is limited by its layers never finds it. So while more could be used than
//! the estimate, a *cluster* of packets leaves at a multiple of it, filled up with padding; how
//! quickly the cluster arrives bounds what the path carries from below. The multiples and the share
//! that counts as success are those of libwebrtc's `ProbeController` (3 and then 6 times the start,
//! twice the last result after that, 0.7); the clusters are longer than its 15 ms, since a rate
//! taken over a few milliseconds of a radio link is mostly noise.
//!
//! One cluster is under way at a time. Success asks for the next at once, failure waits: a probe
//! of a full path costs its users a few tens of milliseconds of queue.

mod measure;

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::feedback::PacketResult;
use crate::limits::{
    PROBE_DITHER_MS, PROBE_INTERVAL, PROBE_PACKETS, PROBE_PERIOD, PROBE_PERIOD_MAX, PROBE_QUIET,
    PROBE_RECOVERY_QUIET, PROBE_SEND_SLACK,
};
use measure::Measure;

/// The first cluster leaves at this multiple of the start; the next doubles it.
const START_PERCENT: u64 = 300;
/// A new path is asked for this much even where little is shown: a low start is a guess, and a
/// keyframe that is paced by it comes so late that receivers lengthen their buffers.
const FIRST_ASKED: Bitrate = Bitrate::from_kbps(2_000);
/// Later ones at twice the estimate or the last result.
const GROWTH_PERCENT: u64 = 200;
/// A cluster of which this share of its rate arrives has shown that there is room.
const SUCCESS_PERCENT: u64 = 70;
/// No probe goes beyond what could be used, and a little, so that what is used has some room.
const WANTED_PERCENT: u64 = 115;
/// Less of a gain than this is not worth a probe.
const GAIN_PERCENT: u64 = 105;
/// A path that fell from some rate is asked first for this much of it, as libwebrtc does.
const RECOVERY_PERCENT: u64 = 85;
/// No probe leaves at more than this multiple of the estimate: at four times, its 25 ms are a queue
/// of 75.
const RATE_PERCENT_MAX: u64 = 400;
/// The least that a cluster carries: below it one packet more or less changes the result.
const BYTES_MIN: u64 = 2_500;
/// A cluster lasts this many times as long as packets jitter, or its rate would be mostly noise.
const NOISE_FACTOR: u32 = 5;
/// Feedback about a cluster comes within this and the round trip, or not at all.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Names one probe cluster of one estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProbeId(u32);

impl ProbeId {
    /// The `number`-th cluster.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Which cluster it is, from 0.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A burst to send: at least `bytes` in at least `packets`, at `rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeCluster {
    /// What its packets are reported sent under.
    pub id: ProbeId,
    /// The rate at which its packets leave.
    pub rate: Bitrate,
    /// What it carries, media and padding together.
    pub bytes: DataSize,
    /// The packets it has at least.
    pub packets: u32,
    /// What has not left by then need not leave.
    pub until: Instant,
}

/// What a cluster's arrival shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    /// The path carries at least this.
    pub(crate) carried: Bitrate,
    /// And not more: the cluster arrived slower than it was sent.
    pub(crate) saturated: bool,
    /// A probe just before had shown room.
    pub(crate) chained: bool,
}

impl ProbeResult {
    /// The estimate that it is worth to a flow that has `estimate`. A probe pushes other flows
    /// aside for as long as it lasts, so what it got of a full path is more than its due: half of
    /// the gain is taken, but where a probe before has shown that the path became wider.
    pub(crate) fn worth(&self, estimate: Bitrate) -> Bitrate {
        if !self.saturated || self.chained {
            return self.carried;
        }
        let gain = self.carried.saturating_sub(estimate);
        estimate.saturating_add(gain.percent(50))
    }
}

/// What the estimator tells the prober when it asks for a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeContext {
    pub(crate) estimate: Bitrate,
    pub(crate) wanted: Bitrate,
    /// No rate beyond this is any use.
    pub(crate) most: Bitrate,
    pub(crate) rtt: Duration,
    /// When the path last showed that it is full.
    pub(crate) congested_at: Option<Instant>,
    /// Whether there is a queue on the path right now.
    pub(crate) queued: bool,
    /// How much packets jitter.
    pub(crate) noise: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbePhase {
    /// Nothing has been probed on this path.
    Fresh,
    /// A cluster is out.
    Waiting { until: Instant },
    /// The last one showed room: the next follows at this rate.
    Further(Bitrate),
    /// Nothing before this instant.
    Resting { until: Instant },
}

/// Decides when to probe and at which rate, and reads the answers.
#[derive(Debug)]
pub(crate) struct Prober {
    next_id: u32,
    phase: ProbePhase,
    active: Option<Measure>,
    /// The cluster that is out follows one that showed room.
    chained: bool,
    /// What the path carried before it last fell deeply.
    recover: Option<Bitrate>,
    answered: u32,
    last_result: Option<Bitrate>,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            next_id: 0,
            phase: ProbePhase::Fresh,
            active: None,
            chained: false,
            recover: None,
            answered: 0,
            last_result: None,
        }
    }
}

impl Prober {
    /// The next cluster, if one is due.
    pub(crate) fn poll(&mut self, now: Instant, context: &ProbeContext) -> Option<ProbeCluster> {
        self.expire(now);
        if context.queued || !is_worth(context) || self.due(context).is_some_and(|due| now < due) {
            return None;
        }
        let estimate = context.estimate;
        let rate = match self.phase {
            ProbePhase::Fresh => estimate.percent(START_PERCENT),
            ProbePhase::Further(rate) => rate,
            ProbePhase::Waiting { .. } => return None,
            ProbePhase::Resting { .. } => {
                let before = self.recover.take();
                let before = before.map(|rate| rate.percent(RECOVERY_PERCENT));
                let before = before.filter(|rate| *rate > estimate.percent(GAIN_PERCENT));
                before.unwrap_or(estimate.percent(GROWTH_PERCENT))
            }
        };
        let rate = rate
            .min(ceiling(context.wanted, context.most))
            .min(estimate.percent(RATE_PERCENT_MAX));
        Some(self.launch(now, rate, context))
    }

    /// The instant before which [`poll`](Self::poll) has nothing; `None` if that is over, or if no
    /// probe is of use.
    pub(crate) fn due(&self, context: &ProbeContext) -> Option<Instant> {
        if !is_worth(context) {
            return None;
        }
        let quiet = if self.recover.is_some() {
            PROBE_RECOVERY_QUIET
        } else {
            PROBE_QUIET
        };
        let quiet = quiet + dither(context.estimate);
        let calm = context.congested_at.map(|at| at + quiet);
        match self.phase {
            ProbePhase::Fresh | ProbePhase::Further(_) => calm,
            ProbePhase::Waiting { until } => Some(until),
            ProbePhase::Resting { until } => Some(calm.map_or(until, |calm| calm.max(until))),
        }
    }

    /// What it asks a path for whatever is wanted of it: a new one is asked once.
    pub(crate) const fn asks_for(&self) -> Bitrate {
        match self.phase {
            ProbePhase::Fresh => FIRST_ASKED,
            ProbePhase::Waiting { .. } | ProbePhase::Further(_) | ProbePhase::Resting { .. } => {
                Bitrate::ZERO
            }
        }
    }

    /// Takes what became of a packet of a cluster.
    pub(crate) fn on_result(&mut self, result: &PacketResult) {
        if let Some(measure) = &mut self.active {
            measure.on_result(result);
        }
    }

    /// How the cluster that is out arrived, once that is known.
    pub(crate) fn poll_result(&mut self, now: Instant) -> Option<ProbeResult> {
        let measure = self.active.as_ref()?;
        let (rate, result) = (measure.rate(), measure.result()?);
        let result = ProbeResult {
            chained: self.chained,
            ..result
        };
        self.active = None;
        self.answered = self.answered.saturating_add(1);
        self.last_result = Some(result.carried);
        self.phase = if result.carried >= rate.percent(SUCCESS_PERCENT) {
            ProbePhase::Further(result.carried.percent(GROWTH_PERCENT))
        } else {
            let until = now + PROBE_INTERVAL;
            ProbePhase::Resting { until }
        };
        Some(result)
    }

    /// The estimate fell from `before` to much less.
    pub(crate) fn on_deep_fall(&mut self, now: Instant, before: Bitrate) {
        self.recover = Some(self.recover.map_or(before, |rate| rate.max(before)));
        self.on_congestion(now);
    }

    /// The path is full: a chain of probes ends.
    pub(crate) fn on_congestion(&mut self, now: Instant) {
        let further = matches!(self.phase, ProbePhase::Further(_) | ProbePhase::Fresh);
        if further {
            self.phase = ProbePhase::Resting { until: now };
        }
    }

    /// Another path: nothing is known. Numbers go on, so that late answers are not mixed up.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            next_id: self.next_id,
            answered: self.answered,
            ..Self::default()
        };
    }

    pub(crate) fn touch(&self) -> u64 {
        u64::from(self.next_id) ^ u64::from(self.recover.is_some())
    }

    pub(crate) const fn sent(&self) -> u32 {
        self.next_id
    }

    pub(crate) const fn answered(&self) -> u32 {
        self.answered
    }

    pub(crate) const fn last_result(&self) -> Option<Bitrate> {
        self.last_result
    }

    fn launch(&mut self, now: Instant, rate: Bitrate, context: &ProbeContext) -> ProbeCluster {
        let jitter = context.noise.saturating_mul(NOISE_FACTOR);
        let period = jitter.clamp(PROBE_PERIOD, PROBE_PERIOD_MAX);
        let bytes = rate.bytes_in(period).max(BYTES_MIN);
        let cluster = ProbeCluster {
            id: ProbeId(self.next_id),
            rate,
            bytes: DataSize::from_bytes(bytes),
            packets: PROBE_PACKETS,
            until: now + rate.time_for(DataSize::from_bytes(bytes)) + PROBE_SEND_SLACK,
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.chained = matches!(self.phase, ProbePhase::Further(_));
        self.active = Some(Measure::new(&cluster));
        let until = cluster.until + context.rtt + ANSWER_MAX;
        self.phase = ProbePhase::Waiting { until };
        cluster
    }

    /// Gives up a cluster that nobody answered.
    pub(crate) fn expire(&mut self, now: Instant) {
        if let ProbePhase::Waiting { until } = self.phase
            && now >= until
        {
            self.active = None;
            let until = now + PROBE_INTERVAL;
            self.phase = ProbePhase::Resting { until };
        }
    }
}

/// Flows that share a bottleneck see it full at the same moment. What they carry differs, so that
/// makes them ask at different ones.
const fn dither(estimate: Bitrate) -> Duration {
    Duration::from_millis(estimate.bps() / 8 % PROBE_DITHER_MS)
}

/// The most that a probe may try.
fn ceiling(wanted: Bitrate, most: Bitrate) -> Bitrate {
    wanted.percent(WANTED_PERCENT).min(most)
}

fn is_worth(context: &ProbeContext) -> bool {
    is_useful(context.estimate, context.wanted, context.most)
}

/// Whether more could be used than the estimate by so much that a probe is worth it.
pub(crate) fn is_useful(estimate: Bitrate, wanted: Bitrate, most: Bitrate) -> bool {
    wanted > estimate && ceiling(wanted, most) >= estimate.percent(GAIN_PERCENT)
}

#[cfg(test)]
mod tests;
