//! [`ReceiveEstimator`]: what a sender's path carries, as seen from its far end.
//!
//! For publishers that do not read transport-wide feedback. The same detector and controller as on
//! the send side (draft-ietf-rmcat-gcc-02, section 3, its first variant) run on the times at which
//! packets say they were sent; the result goes back as REMB (draft-alvestrand-rmcat-remb), each
//! second and at once when it falls. There are no probes: a sender grows by itself up to the REMB,
//! and the REMB grows to at most 1.5 times what arrives.

mod clock;

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::acked::RateWindow;
use crate::aimd::{Aimd, AimdInput};
use crate::delay::DelayDetector;
use crate::estimator::EstimatorConfig;
use crate::limits::{REMB_INTERVAL, REMB_SILENCE_MAX};
use crate::loss::ReportLoss;
use clock::SendClock;
pub use clock::SendTime;

/// How often the detector is asked: as often as feedback comes on the send side.
const JUDGE: Duration = Duration::from_millis(50);
/// A round trip before one was measured.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// A sender of less than this share of the REMB is limited by its application.
const LIMITED_PERCENT: u64 = 65;
/// A fall by more than this is told at once.
const FALL_PERCENT: u64 = 97;

/// Estimates the path from one sender.
#[derive(Debug)]
pub struct ReceiveEstimator {
    config: EstimatorConfig,
    /// When the first packet came, from which arrival is counted.
    origin: Option<Instant>,
    clock: SendClock,
    incoming: RateWindow,
    delay: DelayDetector,
    aimd: Aimd,
    loss: ReportLoss,
    rtt: Duration,
    judged: Option<Instant>,
    last_packet: Option<Instant>,
    told: Option<(Instant, Bitrate)>,
}

impl ReceiveEstimator {
    /// An estimator of a path of which nothing is known.
    #[must_use]
    pub fn new(config: EstimatorConfig) -> Self {
        Self {
            config,
            origin: None,
            clock: SendClock::default(),
            incoming: RateWindow::default(),
            delay: DelayDetector::default(),
            aimd: Aimd::new(config.start),
            loss: ReportLoss::new(config.most),
            rtt: RTT_UNKNOWN,
            judged: None,
            last_packet: None,
            told: None,
        }
    }

    /// Takes a packet that has just arrived, by when it says it was sent. All packets of one path
    /// share one estimator where they carry `abs-send-time`; RTP timestamps of different streams
    /// have nothing in common, so then it takes those of one video stream.
    pub fn on_packet(&mut self, now: Instant, sent: SendTime, size: DataSize) {
        let origin = *self.origin.get_or_insert(now);
        let arrived = now.saturating_duration_since(origin);
        self.last_packet = Some(now);
        let (sent, is_new) = self.clock.take(sent);
        if is_new {
            self.delay = DelayDetector::default();
        }
        if self.delay.on_packet(sent, arrived) {
            self.incoming.clear();
        }
        self.incoming.on_packet(arrived, size);
        let judged = *self.judged.get_or_insert(now);
        if now.saturating_duration_since(judged) >= JUDGE {
            self.judged = Some(now);
            self.judge(now);
        }
    }

    /// Takes the share of packets lost on the way here since it was told last, in 256ths.
    pub fn on_loss(&mut self, now: Instant, fraction_lost: u8) {
        if ReportLoss::is_high(fraction_lost) {
            // Less than what the delay allows now, not than what loss once allowed.
            self.loss.clamp(self.config.least, self.aimd.target());
        }
        self.loss
            .on_report(now, fraction_lost, true, self.config.most);
    }

    /// Takes the round-trip time to the sender.
    pub const fn on_rtt(&mut self, _now: Instant, rtt: Duration) {
        self.rtt = rtt;
    }

    /// The path is another one: what was learnt is void.
    pub fn on_path_change(&mut self) {
        *self = Self {
            told: self.told,
            ..Self::new(self.config)
        };
    }

    /// What the path carries.
    #[must_use]
    pub fn estimate(&self) -> Bitrate {
        let rate = self.aimd.target().min(self.loss.target());
        rate.max(self.config.least).min(self.config.most)
    }

    /// A REMB to send now. `None` too while nothing arrives.
    pub fn poll_remb(&mut self, now: Instant) -> Option<Bitrate> {
        let last = self.last_packet?;
        if now.saturating_duration_since(last) > REMB_SILENCE_MAX {
            return None;
        }
        let estimate = self.estimate();
        let due = self.told.is_none_or(|(at, told)| {
            let fell = estimate < told.percent(FALL_PERCENT);
            fell || now.saturating_duration_since(at) >= REMB_INTERVAL
        });
        if due {
            self.told = Some((now, estimate));
        }
        due.then_some(estimate)
    }

    /// When [`poll_remb`](Self::poll_remb) has something without further packets.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent = self.last_packet? + REMB_SILENCE_MAX;
        let due = self.told.map(|(at, _)| at + REMB_INTERVAL)?;
        (due <= silent).then_some(due)
    }

    fn judge(&mut self, now: Instant) {
        let acked = self.incoming.rate();
        let enough = self.aimd.target().percent(LIMITED_PERCENT);
        let input = AimdInput {
            usage: self.delay.usage(),
            acked,
            recent: self.incoming.recent(),
            queue: self.delay.queue(),
            rtt: self.rtt,
            limited: acked.is_none_or(|acked| acked < enough),
            inherent_loss: 0.0,
            most: self.config.most,
        };
        if self.aimd.update(now, &input) {
            self.delay.on_fall();
        }
        self.aimd.clamp(self.config.least, self.config.most);
    }
}

#[cfg(test)]
mod tests;
