//! What the path can carry: by loss, by what is acknowledged, and by a guard on delay.
//!
//! A plain estimator. It starts generously, holds while the application sends less than it may,
//! grows by 8 % a second while what it allows is used and arrives, and falls when packets are lost
//! or the path's queue stands. It sends no probes.

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::acked::AckedRate;
use crate::delay::DelayGuard;
use crate::feedback::{PacketReport, PacketResult};
use crate::figures::{EstimatorFigures, ProbeFigures};
use crate::history::SentHistory;
use crate::probe::{ProbeCluster, ProbeContext, ProbeId, Prober};

/// Loss is judged over at least this long …
const LOSS_INTERVAL: Duration = Duration::from_millis(250);
/// … and this many packets.
const LOSS_PACKETS_MIN: u32 = 20;
/// Above a tenth lost: less (as libwebrtc's first estimator had it; below 2 % loss says nothing).
const LOSS_HIGH_PERCENT: u64 = 10;
const LOSS_LOW_PERCENT: u64 = 2;
/// Growth a second while nothing speaks against it.
const GROWTH_PERCENT: u64 = 8;
/// After a fall, the path gets this long to recover before the next.
const HOLD: Duration = Duration::from_millis(500);
/// What is left when the path's queue stands: of what arrives, as libwebrtc has it.
const OVERUSE_PERCENT: u64 = 85;
/// Who sends less than this share of the estimate is limited by the application, not by the path.
const LIMITED_PERCENT: u64 = 70;
/// A change smaller than this is not told.
const TELL_PERCENT: u64 = 3;
/// A fall to less than this share of what was is deep: a probe asks soon whether it lasts.
const DEEP_PERCENT: u64 = 67;
/// A REMB older than this no longer binds; senders repeat it each second or so.
const REMB_AGE_MAX: Duration = Duration::from_secs(10);

/// Bounds of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimatorConfig {
    /// What a path carries before anything is known of it.
    pub start: Bitrate,
    /// Below this a call makes no sense: voice and a small picture.
    pub least: Bitrate,
    /// No estimate exceeds this.
    pub most: Bitrate,
}

impl Default for EstimatorConfig {
    fn default() -> Self {
        Self {
            start: Bitrate::from_kbps(2_500),
            least: Bitrate::from_kbps(150),
            most: Bitrate::from_kbps(50_000),
        }
    }
}

/// Packets of one interval in which loss is judged.
#[derive(Debug, Clone, Copy)]
struct LossInterval {
    since: Instant,
    sent: u32,
    lost: u32,
}

/// Estimates one path from what its far end reports.
#[derive(Debug)]
pub struct GccEstimator {
    config: EstimatorConfig,
    estimate: Bitrate,
    told: Option<Bitrate>,
    history: SentHistory,
    acked: AckedRate,
    /// The same packets on our clock: how fast they were sent, since the first of them.
    sending: AckedRate,
    first_sent: Option<Instant>,
    delay: DelayGuard,
    interval: Option<LossInterval>,
    remb: Option<(Instant, Bitrate)>,
    rtt: Option<Duration>,
    fell_at: Option<Instant>,
    grew_at: Option<Instant>,
    /// Share lost in the last interval, in 256ths.
    loss: u8,
    /// The most that the application could use.
    wanted: Option<Bitrate>,
    prober: Prober,
    /// Whether the far end sends transport-wide feedback, without which a probe has no answer.
    has_feedback: bool,
    reported_rtt: Option<Duration>,
}

impl GccEstimator {
    /// An estimator of a path of which nothing is known.
    #[must_use]
    pub fn new(config: EstimatorConfig) -> Self {
        Self {
            config,
            estimate: config.start,
            told: None,
            history: SentHistory::new(),
            acked: AckedRate::default(),
            sending: AckedRate::default(),
            first_sent: None,
            delay: DelayGuard::default(),
            interval: None,
            remb: None,
            rtt: None,
            fell_at: None,
            grew_at: None,
            loss: 0,
            wanted: None,
            prober: Prober::default(),
            has_feedback: false,
            reported_rtt: None,
        }
    }

    /// Takes note of a packet that leaves now and gives it its transport-wide number.
    pub fn on_sent(&mut self, now: Instant, size: DataSize) -> u16 {
        self.history.on_sent(now, size, None)
    }

    /// The same for a packet, of media or padding, that leaves as part of a probe cluster.
    pub fn on_probe_sent(&mut self, now: Instant, size: DataSize, probe: ProbeId) -> u16 {
        self.history.on_sent(now, size, Some(probe))
    }

    /// The most that the application could use, audio included. The estimate probes towards it and
    /// not beyond; before this is told it sends no probes.
    pub const fn set_wanted(&mut self, _now: Instant, wanted: Bitrate) {
        self.wanted = Some(wanted);
    }

    /// Other bounds for the estimate.
    pub fn set_bounds(&mut self, _now: Instant, least: Bitrate, most: Bitrate) {
        self.config.least = least;
        self.config.most = most.max(least);
    }

    /// Takes a round-trip time that reports have shown. Without it that of feedback is used, which
    /// is longer by how long the far end collects.
    pub const fn on_rtt(&mut self, _now: Instant, rtt: Duration) {
        self.reported_rtt = Some(rtt);
    }

    /// A cluster of packets to send now, if it is time to ask the path for more.
    pub fn poll_probe(&mut self, now: Instant) -> Option<ProbeCluster> {
        let context = self.probe_context(now)?;
        self.prober.poll(now, &context)
    }

    /// When [`poll_probe`](Self::poll_probe) may have something without further input.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.prober.due(&self.probe_context(now)?)?;
        (due > now).then_some(due)
    }

    /// What the pacer should let out.
    #[must_use]
    pub fn pacing_rate(&self, now: Instant) -> Bitrate {
        self.estimate(now)
    }

    /// What the estimate is made of.
    #[must_use]
    pub fn figures(&self, now: Instant) -> EstimatorFigures {
        EstimatorFigures {
            estimate: self.estimate(now),
            acknowledged: self.acked.rate(),
            probes: ProbeFigures {
                sent: self.prober.sent(),
                answered: self.prober.answered(),
                last: self.prober.last_result(),
            },
        }
    }

    /// Takes transport-wide feedback (transport-wide-cc-extensions-01), in order of the numbers.
    pub fn on_feedback(&mut self, now: Instant, reports: impl IntoIterator<Item = PacketReport>) {
        let mut newest = None;
        for report in reports {
            if let Some(result) = self.history.on_report(report) {
                self.on_result(now, &result);
                newest = result.arrived.map(|_| result.sent).or(newest);
            }
        }
        // Feedback waits up to its interval at the far end, so this is an upper bound.
        self.rtt = newest
            .map(|sent| now.saturating_duration_since(sent))
            .or(self.rtt);
        self.has_feedback = true;
        if let Some(carried) = self.prober.poll_result(now) {
            self.estimate = self.estimate.max(carried).min(self.config.most);
        }
        self.judge_loss(now);
        if self.delay.is_overused() {
            self.delay.relieve();
            self.fall(now, self.overused_target());
        }
    }

    /// Takes a receiver report's share of packets lost since the one before, in 256ths (RFC 3550,
    /// section 6.4.1); for paths without transport-wide feedback.
    pub fn on_report_loss(&mut self, now: Instant, fraction_lost: u8) {
        self.loss = fraction_lost;
        let percent = u64::from(fraction_lost) * 100 / 256;
        self.apply_loss(now, percent, Duration::from_secs(1));
    }

    /// Takes a receiver's own estimate (draft-alvestrand-rmcat-remb).
    pub fn on_remb(&mut self, now: Instant, most: Bitrate) {
        self.remb = Some((now, most));
    }

    /// The path is another one: what was learnt is void.
    pub fn on_path_change(&mut self) {
        let told = self.told;
        let history = std::mem::take(&mut self.history);
        let mut prober = std::mem::take(&mut self.prober);
        prober.reset();
        *self = Self {
            wanted: self.wanted,
            has_feedback: self.has_feedback,
            prober,
            ..Self::new(self.config)
        };
        // Numbers go on, since the far end counts them; feedback about the old path does no harm.
        self.history = history;
        self.told = told;
        self.acked.clear();
        self.delay.clear();
    }

    /// What the path can carry now.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> Bitrate {
        let fresh = self
            .remb
            .filter(|(at, _)| now.saturating_duration_since(*at) < REMB_AGE_MAX);
        let capped = fresh.map_or(self.estimate, |(_, most)| self.estimate.min(most));
        capped.clamp(self.config.least, self.config.most)
    }

    /// The estimate, if it differs noticeably from what was told last.
    pub fn poll_estimate(&mut self, now: Instant) -> Option<Bitrate> {
        let estimate = self.estimate(now);
        let told = self.told.unwrap_or(Bitrate::ZERO);
        let difference = estimate.bps().abs_diff(told.bps());
        if difference.saturating_mul(100) < told.bps().saturating_mul(TELL_PERCENT) {
            return None;
        }
        self.told = Some(estimate);
        (estimate != told).then_some(estimate)
    }

    /// The share of packets lost in the last interval, in 256ths.
    #[must_use]
    pub const fn loss(&self) -> u8 {
        self.loss
    }

    /// Time from sending to feedback, as last seen; `None` before any.
    #[must_use]
    pub const fn feedback_rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Bytes whose fate is unknown.
    #[must_use]
    pub const fn in_flight(&self) -> DataSize {
        self.history.in_flight()
    }

    fn probe_context(&self, now: Instant) -> Option<ProbeContext> {
        let wanted = self.wanted.filter(|_| self.has_feedback)?;
        Some(ProbeContext {
            estimate: self.estimate(now),
            wanted,
            most: self.config.most,
            rtt: self.reported_rtt.or(self.rtt).unwrap_or(Duration::ZERO),
            congested_at: self.fell_at,
        })
    }

    fn on_result(&mut self, now: Instant, result: &PacketResult) {
        self.prober.on_result(result);
        let interval = self.interval.get_or_insert(LossInterval {
            since: now,
            sent: 0,
            lost: 0,
        });
        interval.sent = interval.sent.saturating_add(1);
        match result.arrived {
            Some(at) => self.acked.on_arrival(at, result.size),
            None => interval.lost = interval.lost.saturating_add(1),
        }
        let first = *self.first_sent.get_or_insert(result.sent);
        let sent = result.sent.saturating_duration_since(first);
        self.sending.on_arrival(sent, result.size);
        self.delay.on_result(result);
    }

    /// Where to fall when the delay rises. What arrives tells what the path carries only while
    /// about as much is sent as the estimate allows: a hiccup of a client that is sent little must
    /// not cost more than one step. A path that really is narrow is found a step later, half a
    /// second.
    fn overused_target(&self) -> Bitrate {
        let limited = self.estimate.percent(LIMITED_PERCENT);
        let sent = self.sending.rate().filter(|sent| *sent >= limited);
        let basis = sent.and_then(|_| self.acked.rate());
        basis.unwrap_or(self.estimate).percent(OVERUSE_PERCENT)
    }

    fn judge_loss(&mut self, now: Instant) {
        let Some(interval) = self.interval else {
            return;
        };
        let length = now.saturating_duration_since(interval.since);
        if interval.sent < LOSS_PACKETS_MIN || length < LOSS_INTERVAL {
            return;
        }
        self.interval = None;
        let share = u64::from(interval.lost) * 256 / u64::from(interval.sent.max(1));
        self.loss = u8::try_from(share).unwrap_or(u8::MAX);
        let percent = u64::from(interval.lost) * 100 / u64::from(interval.sent.max(1));
        self.apply_loss(now, percent, length);
    }

    fn apply_loss(&mut self, now: Instant, percent: u64, length: Duration) {
        if percent > LOSS_HIGH_PERCENT {
            let target = self.estimate.percent(100 - (percent / 2).min(50));
            self.fall(now, target);
        } else if percent < LOSS_LOW_PERCENT {
            self.grow(now, length);
        }
    }

    fn fall(&mut self, now: Instant, target: Bitrate) {
        let held = self
            .fell_at
            .is_some_and(|at| now.saturating_duration_since(at) < HOLD);
        if !held && target < self.estimate {
            if target < self.estimate.percent(DEEP_PERCENT) {
                self.prober.on_deep_fall(now, self.estimate);
            } else {
                self.prober.on_congestion(now);
            }
            self.estimate = target.max(self.config.least);
            self.fell_at = Some(now);
        }
    }

    /// Grows only while the application uses what it may: an idle path proves nothing.
    fn grow(&mut self, now: Instant, length: Duration) {
        let acked = self.acked.rate();
        let used = acked.is_none_or(|acked| acked >= self.estimate.percent(70));
        if !used && self.estimate >= self.config.start {
            return;
        }
        let since = self
            .grew_at
            .map_or(length, |at| now.saturating_duration_since(at).min(length));
        self.grew_at = Some(now);
        let millis = u64::try_from(since.as_millis()).unwrap_or(1_000).min(1_000);
        let step = self.estimate.bps() * GROWTH_PERCENT * millis / 100_000;
        let grown = self
            .estimate
            .saturating_add(Bitrate::from_bps(step.max(1_000)));
        self.estimate = grown.min(self.config.most);
    }
}

#[cfg(test)]
mod tests;
