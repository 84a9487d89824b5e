//! [`GccEstimator`]: joins what delay, loss, probes and the far end say into one rate.

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::acked::RateWindow;
use crate::aimd::{Aimd, AimdInput};
use crate::delay::DelayDetector;
use crate::feedback::{PacketReport, PacketResult};
use crate::figures::{EstimatorFigures, ProbeFigures};
use crate::history::SentHistory;
use crate::idle::LimitDetector;
use crate::limits::{FEEDBACK_REPORTS_MAX, REMB_AGE_MAX};
use crate::loss::{LossController, LossInput, ReportLoss};
use crate::overuse::Usage;
use crate::probe::{ProbeCluster, ProbeContext, ProbeId, Prober, is_useful};

/// A change smaller than this is not told.
const TELL_PERCENT: u64 = 3;
/// A fall to less than this share of what was is deep: a probe asks soon whether it lasts.
const DEEP_PERCENT: u64 = 67;
/// Who sends at most this share of an estimate keeps to it; headers and repairs come on top.
const OBEYED_PERCENT: u64 = 110;
/// Falls that follow each other within this are one.
const FALL_SPAN: Duration = Duration::from_secs(1);
/// A round trip before one was measured.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// A probe's own queue has drained so long after its last packet was answered …
const PROBE_GRACE: Duration = Duration::from_millis(150);
/// … and none is sent into a queue longer than this.
const PROBE_QUEUED: Duration = Duration::from_millis(25);
/// A probe's queue is never longer than this.
const PROBE_QUEUE_MAX: Duration = Duration::from_millis(120);
/// A flow that sends less than it may has not made a queue that comes. Most are another's picture,
/// and gone so soon; a path that became narrow is worse by then, and shows it by a longer one.
const PATIENCE: Duration = Duration::from_millis(250);
const QUEUE_BORNE: Duration = Duration::from_millis(120);
/// What a path that is not used carries was seen for the length of a probe. So bursts, which leave
/// at 2.5 times this, leave at the estimate and not above it.
const UNUSED_PERCENT: u64 = 40;
/// A layer begins where so much of what flows is granted …
const BEGINNING_FROM_PERCENT: u64 = 150;
/// … and it needs so much of its rate then: it starts with its largest picture.
const BEGINNING_PERCENT: u64 = 200;
/// A path that was full so lately is shared, or narrow.
const FULL_LATELY: Duration = Duration::from_secs(20);

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

/// A series of falls.
#[derive(Debug, Clone, Copy)]
struct Fall {
    last: Instant,
    /// The estimate before the first.
    before: Bitrate,
}

/// Estimates one path from what its far end reports.
#[derive(Debug)]
pub struct GccEstimator {
    config: EstimatorConfig,
    told: Option<Bitrate>,
    history: SentHistory,
    /// What one feedback message says; kept, so that none allocates.
    results: Vec<PacketResult>,
    /// When the first packet was sent, from which sending is counted.
    origin: Option<Instant>,
    acked: RateWindow,
    /// The rate of that window at the last feedback: asked for at each turn, and far in memory.
    carried: Option<Bitrate>,
    delay: DelayDetector,
    aimd: Aimd,
    loss: LossController,
    /// In place of both for a far end without transport-wide feedback.
    reports: ReportLoss,
    limit: LimitDetector,
    prober: Prober,
    probe_until: Option<Instant>,
    /// Since when the delay has said that the path is too full.
    over_since: Option<Instant>,
    fall: Option<Fall>,
    remb: Option<(Instant, Bitrate)>,
    feedback_rtt: Option<Duration>,
    reported_rtt: Option<Duration>,
    /// Whether the far end sends transport-wide feedback, without which a probe has no answer.
    has_feedback: bool,
    /// The most that the application could use.
    wanted: Option<Bitrate>,
    /// What the application is to send from now on.
    granted: Bitrate,
}

impl GccEstimator {
    /// An estimator of a path of which nothing is known.
    #[must_use]
    pub fn new(config: EstimatorConfig) -> Self {
        Self {
            config,
            told: None,
            history: SentHistory::new(),
            results: Vec::new(),
            origin: None,
            acked: RateWindow::default(),
            carried: None,
            delay: DelayDetector::default(),
            aimd: Aimd::new(config.start),
            loss: LossController::default(),
            reports: ReportLoss::new(config.start),
            limit: LimitDetector::default(),
            prober: Prober::default(),
            probe_until: None,
            over_since: None,
            fall: None,
            remb: None,
            feedback_rtt: None,
            reported_rtt: None,
            has_feedback: false,
            wanted: None,
            granted: Bitrate::ZERO,
        }
    }

    /// Takes note of a packet that leaves now and gives it its transport-wide number.
    pub fn on_sent(&mut self, now: Instant, size: DataSize) -> u16 {
        self.note(now, size, None)
    }

    /// The same for a packet, of media or padding, that leaves as part of a probe cluster.
    pub fn on_probe_sent(&mut self, now: Instant, size: DataSize, probe: ProbeId) -> u16 {
        self.note(now, size, Some(probe))
    }

    /// The most that the application could use, audio included. The estimate probes towards it and
    /// not beyond; before this is told it sends no probes.
    pub const fn set_wanted(&mut self, _now: Instant, wanted: Bitrate) {
        self.wanted = Some(wanted);
    }

    /// What the application has decided to send from now on, audio included: before it was sent,
    /// nothing of it was carried, and the first picture of a better layer is its largest.
    pub const fn set_granted(&mut self, _now: Instant, granted: Bitrate) {
        self.granted = granted;
    }

    /// Other bounds for the estimate.
    pub fn set_bounds(&mut self, _now: Instant, least: Bitrate, most: Bitrate) {
        self.config.least = least;
        self.config.most = most.max(least);
        self.clamp();
    }

    /// Takes transport-wide feedback (transport-wide-cc-extensions-01), in order of the numbers.
    pub fn on_feedback(&mut self, now: Instant, reports: impl IntoIterator<Item = PacketReport>) {
        self.results.clear();
        for report in reports.into_iter().take(FEEDBACK_REPORTS_MAX) {
            if let Some(result) = self.history.on_report(report) {
                self.loss.on_result(&result);
                self.prober.on_result(&result);
                self.results.push(result);
            }
        }
        self.has_feedback = true;
        let arrived = self.results.iter().rev().find(|at| at.arrived.is_some());
        if let Some(newest) = arrived {
            // Feedback waits up to its interval at the far end, so this is an upper bound.
            self.feedback_rtt = Some(now.saturating_duration_since(newest.sent));
        }
        self.history.forget(now);
        self.take_arrivals();
        self.carried = self.acked.rate();
        self.judge(now);
    }

    /// Takes a receiver report's share of packets lost since the one before, in 256ths (RFC 3550,
    /// section 6.4.1); for paths without transport-wide feedback.
    pub fn on_report_loss(&mut self, now: Instant, fraction_lost: u8) {
        if self.has_feedback {
            return;
        }
        let target = self.reports.target();
        let used = !self.limit.is_limited() || target < self.config.start;
        self.reports
            .on_report(now, fraction_lost, used, self.config.most);
        self.clamp();
    }

    /// Takes a receiver's own estimate (draft-alvestrand-rmcat-remb).
    pub const fn on_remb(&mut self, now: Instant, most: Bitrate) {
        self.remb = Some((now, most));
    }

    /// Takes a round-trip time that reports have shown. Without it that of feedback is used, which
    /// is longer by how long the far end collects.
    pub const fn on_rtt(&mut self, _now: Instant, rtt: Duration) {
        self.reported_rtt = Some(rtt);
    }

    /// The path is another one: what was learnt is void.
    pub fn on_path_change(&mut self) {
        self.prober.reset();
        *self = Self {
            // Numbers go on, since the far end counts them; feedback about the old path does no
            // harm.
            history: std::mem::take(&mut self.history),
            results: std::mem::take(&mut self.results),
            prober: std::mem::take(&mut self.prober),
            origin: self.origin,
            told: self.told,
            has_feedback: self.has_feedback,
            wanted: self.wanted,
            granted: self.granted,
            ..Self::new(self.config)
        };
    }

    /// A cluster of packets to send now, if it is time to ask the path for more.
    pub fn poll_probe(&mut self, now: Instant) -> Option<ProbeCluster> {
        self.prober.expire(now);
        let context = self.probe_context(now)?;
        let cluster = self.prober.poll(now, &context)?;
        self.probe_until = Some(cluster.until + self.rtt() + PROBE_GRACE);
        Some(cluster)
    }

    /// When [`poll_probe`](Self::poll_probe) may have something without further input.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.prober.due(&self.probe_context(now)?)?;
        (due > now).then_some(due)
    }

    /// What the path can carry now.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> Bitrate {
        let own = if self.has_feedback {
            let by_delay = self.aimd.target();
            self.loss
                .limit()
                .map_or(by_delay, |rate| rate.min(by_delay))
        } else {
            self.reports.target()
        };
        let capped = self.fresh_remb(now).map_or(own, |most| own.min(most));
        capped.max(self.config.least).min(self.config.most)
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

    /// What the pacer should let out: the estimate, or less where nothing but probes has shown it.
    #[must_use]
    pub fn pacing_rate(&self, now: Instant) -> Bitrate {
        let estimate = self.estimate(now);
        let Some(used) = self.carried.filter(|_| self.limit.is_limited()) else {
            return estimate;
        };
        let begins = self.granted > used.percent(BEGINNING_FROM_PERCENT) && !self.was_full(now);
        let used = match begins {
            true => self.granted.percent(BEGINNING_PERCENT),
            false => used,
        };
        used.max(estimate.percent(UNUSED_PERCENT)).min(estimate)
    }

    /// Reads a little of all that sending needs and gives something of no meaning: who serves many
    /// paths in turn has the next one's memory fetched at once, and not line after line.
    #[must_use]
    pub fn touch(&self) -> u64 {
        let rates = self.aimd.target().bps() ^ self.config.most.bps();
        let told = self.told.map_or(0, Bitrate::bps) ^ self.wanted.map_or(0, Bitrate::bps);
        let limits = self.loss.limit().map_or(0, Bitrate::bps);
        let flags = u64::from(self.limit.is_limited()) ^ u64::from(self.remb.is_some());
        rates ^ told ^ limits ^ flags ^ self.history.touch() ^ self.prober.touch()
    }

    /// The share of packets lost in the last interval, in 256ths.
    #[must_use]
    pub const fn loss(&self) -> u8 {
        if self.has_feedback {
            self.loss.last()
        } else {
            self.reports.last()
        }
    }

    /// Time from sending to feedback, as last seen; `None` before any.
    #[must_use]
    pub const fn feedback_rtt(&self) -> Option<Duration> {
        self.feedback_rtt
    }

    /// Bytes whose fate is unknown.
    #[must_use]
    pub const fn in_flight(&self) -> DataSize {
        self.history.in_flight()
    }

    /// What the estimate is made of.
    #[must_use]
    pub fn figures(&self, now: Instant) -> EstimatorFigures {
        let (trend_ms, threshold_ms) = self.delay.trend();
        EstimatorFigures {
            estimate: self.estimate(now),
            by_delay: self.aimd.target(),
            by_loss: self.loss.limit(),
            by_remb: self.fresh_remb(now),
            acknowledged: self.acked.rate(),
            capacity: self.aimd.capacity(),
            usage: self.delay.usage(),
            state: self.aimd.state(),
            trend_ms,
            threshold_ms,
            queue: self.delay.queue(),
            inherent_loss: self.loss.inherent(),
            application_limited: self.limit.is_limited(),
            probes: ProbeFigures {
                sent: self.prober.sent(),
                answered: self.prober.answered(),
                last: self.prober.last_result(),
            },
        }
    }

    fn note(&mut self, now: Instant, size: DataSize, probe: Option<ProbeId>) -> u16 {
        self.origin.get_or_insert(now);
        self.limit.on_sent(now, size, self.estimate(now));
        self.history.on_sent(now, size, probe)
    }

    /// Whether the estimate fell of late.
    fn was_full(&self, now: Instant) -> bool {
        self.fall
            .is_some_and(|fall| now.saturating_duration_since(fall.last) < FULL_LATELY)
    }

    fn rtt(&self) -> Duration {
        let rtt = self.reported_rtt.or(self.feedback_rtt);
        rtt.unwrap_or(RTT_UNKNOWN)
    }

    fn fresh_remb(&self, now: Instant) -> Option<Bitrate> {
        let (at, most) = self.remb?;
        (now.saturating_duration_since(at) < REMB_AGE_MAX).then_some(most)
    }

    fn clamp(&mut self) {
        self.aimd.clamp(self.config.least, self.config.most);
        self.reports.clamp(self.config.least, self.config.most);
    }

    fn probe_context(&self, now: Instant) -> Option<ProbeContext> {
        let wanted = self.wanted.filter(|_| self.has_feedback)?;
        let estimate = self.estimate(now);
        let wanted = match wanted > estimate {
            true => wanted,
            false => wanted.max(self.prober.asks_for()),
        };
        // Asked at each turn of each path: most are wide enough, and their queue need not be read.
        if !is_useful(estimate, wanted, self.config.most) {
            return None;
        }
        Some(ProbeContext {
            estimate,
            wanted,
            most: self.config.most,
            rtt: self.rtt(),
            congested_at: self.fall.map(|fall| fall.last),
            queued: self.delay.queue() > PROBE_QUEUED,
            noise: self.delay.noise(),
        })
    }

    /// Feeds what arrived to the detector, in the order of arrival.
    fn take_arrivals(&mut self) {
        self.results.sort_unstable_by_key(|result| result.arrived);
        for result in &self.results {
            let (Some(arrived), Some(origin)) = (result.arrived, self.origin) else {
                continue;
            };
            let sent = result.sent.saturating_duration_since(origin);
            if self.delay.on_packet(sent, arrived) {
                self.acked.clear();
            }
            self.acked.on_packet(arrived, result.size);
        }
    }

    /// What the delay says, but for the queue that a probe of ours makes, and for a short one that
    /// others make.
    fn usage(&mut self, now: Instant) -> Usage {
        let usage = self.delay.usage();
        let probing = self.probe_until.is_some_and(|until| now < until);
        if probing && usage == Usage::Over && self.delay.queue() < PROBE_QUEUE_MAX {
            return Usage::Under;
        }
        if usage != Usage::Over {
            self.over_since = None;
            return usage;
        }
        let since = *self.over_since.get_or_insert(now);
        let brief = now.saturating_duration_since(since) < PATIENCE;
        let bearable = brief && self.delay.queue() < QUEUE_BORNE;
        if self.limit.is_limited() && bearable {
            return Usage::Under;
        }
        usage
    }

    fn judge(&mut self, now: Instant) {
        let before = self.estimate(now);
        if let Some(result) = self.prober.poll_result(now) {
            self.aimd.on_probe(result.carried, result.saturated);
            let carried = result.worth(before);
            self.aimd.raise(carried);
            self.loss.on_probe(carried);
        }
        let input = AimdInput {
            usage: self.usage(now),
            acked: self.acked.rate(),
            recent: self.acked.recent(),
            queue: self.delay.queue(),
            rtt: self.rtt(),
            limited: self.limit.is_limited(),
            inherent_loss: self.loss.inherent(),
            most: self.config.most,
        };
        let overused = self.aimd.update(now, &input);
        // Only who then sent no more than it might can tell that a fall was in vain.
        let obeyed = input
            .acked
            .is_some_and(|acked| acked <= before.percent(OBEYED_PERCENT));
        if overused && obeyed {
            self.delay.on_fall();
        }
        self.clamp();
        let lossy = self.loss.update(&LossInput {
            by_delay: self.aimd.target(),
            acked: input.acked,
            least: self.config.least,
        });
        if overused || lossy {
            self.on_fall(now, before);
        }
    }

    fn on_fall(&mut self, now: Instant, before: Bitrate) {
        let first = self
            .fall
            .filter(|fall| now.saturating_duration_since(fall.last) < FALL_SPAN);
        let before = first.map_or(before, |fall| fall.before);
        self.fall = Some(Fall { last: now, before });
        if self.estimate(now) < before.percent(DEEP_PERCENT) {
            self.prober.on_deep_fall(now, before);
        } else {
            self.prober.on_congestion(now);
        }
    }
}

#[cfg(test)]
mod tests;
