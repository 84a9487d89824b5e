//! The rate that the delay allows: additive or multiplicative increase, multiplicative decrease.
//!
//! The controller of draft-ietf-rmcat-gcc-02, section 5.5: overuse lowers the rate to 0.85 of what
//! arrives, a queue that drains holds it, and else it grows, by 8 % a second where the path is
//! unknown and by about one packet a response time near a capacity that was met before.
//!
//! Where we differ: what arrives is read over the last 150 ms when a queue stands, so that a path
//! that became narrow is met in one step; the fall is deeper the longer the queue, and the rate
//! comes back once the queue is gone; who sends little falls by steps and keeps what it sends, for
//! what arrives says little then, and it may grow by a little more than that without being asked;
//! and growth on an unknown path is never slower than near a capacity, so that flows which share
//! one come closer (Chiu and Jain, *Analysis of the Increase and Decrease Algorithms*, 1989).

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use crate::capacity::LinkCapacity;
use crate::delay::drain_share;
use crate::idle::SHARE;
use crate::number::{bps, rate};
use crate::overuse::Usage;

/// What is kept of what arrives when the path is full.
const BETA: f64 = 0.85;
/// What of it is taken up again once a long queue has drained.
const RESUME: f64 = 0.9;
/// Growth a second on an unknown path.
const GROWTH: f64 = 1.08;
/// No more than this multiple of what arrives is allowed by growth alone: who does not use what is
/// allowed proves nothing.
const PROOF: f64 = 1.25;
/// So much above what arrives is allowed whatever the multiple: a small picture and a voice more
/// are as good as a probe, and a flow that has little comes up as quickly as one that has much.
const HARMLESS_BPS: f64 = 200_000.0;
/// Slowest growth near the capacity, in bits a second each second.
const ADDITIVE_MIN: f64 = 4_000.0;
/// What one step of additive growth adds: a packet …
const PACKET: DataSize = DataSize::from_bytes(1_200);
/// … in a round trip and this, the time that a detector needs.
const RESPONSE: Duration = Duration::from_millis(100);
/// One update counts at most this long.
const STEP_MAX: Duration = Duration::from_secs(1);
/// A fall shows its effect after a round trip, the queue in it included, and a feedback interval.
const SETTLE: Duration = Duration::from_millis(60);
const SETTLE_MIN: Duration = Duration::from_millis(50);
const SETTLE_MAX: Duration = Duration::from_millis(600);
/// Above this the path's queue is long enough for arrivals to be the path's rate.
const QUEUE: Duration = Duration::from_millis(30);
/// Below this it has drained.
const DRAINED: Duration = Duration::from_millis(15);
/// Who is limited by the application falls at most to this share at once …
const LIMITED_STEP: f64 = 0.6;
/// … and to this share of a rate that was never seen to arrive.
const UNSEEN_STEP: f64 = 0.4;
/// A queue that is shorter may be a picture's, and is no measure of what the path carries.
const QUEUE_SHORT: Duration = Duration::from_millis(60);
/// A queue that is longer is not another flow's picture: what arrives is what the path carries,
/// whoever fills it.
const QUEUE_FULL: Duration = Duration::from_millis(200);

/// What the controller does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RateState {
    /// Waits until a queue has drained.
    #[default]
    Hold,
    /// Asks for more.
    Increase,
    /// Has just fallen.
    Decrease,
}

/// What is known when the controller decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AimdInput {
    pub(crate) usage: Usage,
    /// What arrives, over half a second and of late.
    pub(crate) acked: Option<Bitrate>,
    pub(crate) recent: Option<Bitrate>,
    pub(crate) queue: Duration,
    pub(crate) rtt: Duration,
    /// Whether the application sends less than it may.
    pub(crate) limited: bool,
    /// The share lost whatever the rate, from 0 to below 1.
    pub(crate) inherent_loss: f64,
    pub(crate) most: Bitrate,
}

/// The controller.
#[derive(Debug)]
pub(crate) struct Aimd {
    target: Bitrate,
    state: RateState,
    capacity: LinkCapacity,
    updated: Option<Instant>,
    fell: Option<Instant>,
    /// What to come back to when the queue is gone.
    resume: Option<Bitrate>,
    /// The most that was seen to arrive since the last fall; what is above it is a guess.
    seen: Bitrate,
    /// The last fall took the queue for others'.
    spared: bool,
}

impl Aimd {
    pub(crate) fn new(start: Bitrate) -> Self {
        Self {
            target: start,
            state: RateState::Hold,
            capacity: LinkCapacity::default(),
            updated: None,
            fell: None,
            resume: None,
            seen: Bitrate::ZERO,
            spared: false,
        }
    }

    pub(crate) const fn target(&self) -> Bitrate {
        self.target
    }

    pub(crate) const fn state(&self) -> RateState {
        self.state
    }

    /// What the path carried when it was full.
    pub(crate) fn capacity(&self) -> Option<Bitrate> {
        self.capacity.estimate()
    }

    /// Takes what the detector says. Whether it answered an overuse.
    pub(crate) fn update(&mut self, now: Instant, input: &AimdInput) -> bool {
        let updated = self.updated.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(updated).min(STEP_MAX);
        self.seen = self.seen.max(input.acked.unwrap_or_default());
        match input.usage {
            Usage::Over => return self.decrease(now, input),
            Usage::Under if input.queue > DRAINED => self.state = RateState::Hold,
            Usage::Under | Usage::Normal => {
                self.state = RateState::Increase;
                self.come_back(input);
                self.increase(passed, input);
            }
        }
        false
    }

    /// A probe arrived at this rate; a path that it filled carries no more.
    pub(crate) fn on_probe(&mut self, carried: Bitrate, saturated: bool) {
        if saturated {
            self.capacity.on_probe(carried);
        } else if !self.capacity.is_near(carried) {
            self.capacity.reset();
        }
    }

    /// Takes up what was shown to fit.
    pub(crate) fn raise(&mut self, carried: Bitrate) {
        self.seen = self.seen.max(carried);
        self.target = self.target.max(carried);
    }

    /// Keeps the rate within bounds.
    pub(crate) fn clamp(&mut self, least: Bitrate, most: Bitrate) {
        self.target = self.target.max(least).min(most.max(least));
    }

    fn come_back(&mut self, input: &AimdInput) {
        if input.queue <= DRAINED
            && let Some(resume) = self.resume.take()
        {
            self.target = self.target.max(resume);
        }
    }

    fn increase(&mut self, passed: Duration, input: &AimdInput) {
        let Some(acked) = input.acked.filter(|acked| self.may_grow(*acked, input)) else {
            return;
        };
        let near = self.capacity.is_near(acked);
        let seconds = passed.as_secs_f64();
        let target = bps(self.target);
        let added = target + additive(self.target, input.rtt) * seconds;
        let grown = if near || input.limited {
            added
        } else {
            added.max(target * GROWTH.powf(seconds))
        };
        let harmless = bps(acked) + HARMLESS_BPS;
        let proved = if input.limited {
            harmless
        } else {
            harmless.max(bps(acked) * PROOF)
        };
        let grown = rate(grown.min(proved)).min(input.most);
        self.target = self.target.max(grown);
    }

    /// Who is limited by the application grows only while that is little. The word that it is comes
    /// late: who sends much of what it may is not, and is not proved to be the path's match either.
    fn may_grow(&self, acked: Bitrate, input: &AimdInput) -> bool {
        !input.limited || bps(acked) < bps(self.target) * SHARE
    }

    fn decrease(&mut self, now: Instant, input: &AimdInput) -> bool {
        let settle = input.rtt.max(input.queue).clamp(SETTLE_MIN, SETTLE_MAX) + SETTLE;
        let settling = self
            .fell
            .is_some_and(|at| now.saturating_duration_since(at) < settle);
        let spared = input.limited && input.queue < QUEUE_FULL;
        // A queue that becomes full after a mild fall needs no time to show that it was too mild.
        if settling && (spared || !self.spared) {
            return false;
        }
        self.spared = spared;
        let arrived = self.arrived(input);
        let drained = drain_share(input.queue);
        let (carried, target) = if spared {
            // A rate that never arrived is no loss to give up.
            let unused = rate(bps(self.target) * LIMITED_STEP);
            let unseen = rate(bps(self.target) * UNSEEN_STEP);
            let unused = unused.min(self.seen.max(unseen));
            let carried = arrived.max(unused).min(self.target);
            let target = bps(unused) * (BETA - drained);
            // What it sends has not made the queue; what it does not send is as good as gone.
            (carried, target.max(bps(arrived) * (1.0 - drained)))
        } else if input.queue < QUEUE_SHORT {
            // Who sends less than arrived a moment ago has not met the path's limit by that.
            let carried = arrived.max(self.seen.min(self.target));
            (carried, bps(carried) * BETA)
        } else {
            (arrived, bps(arrived) * (BETA - drained))
        };
        if !spared {
            self.capacity.on_overuse(carried);
        }
        self.state = RateState::Decrease;
        self.fell = Some(now);
        let target = rate(target);
        self.seen = arrived.max(target);
        if target < self.target {
            self.resume = Some(rate(bps(carried) * RESUME).min(self.target));
            self.target = target;
        }
        true
    }

    /// What the path carries, now that it is full, and what is lost whatever the rate with it: that
    /// has to be sent too.
    fn arrived(&self, input: &AimdInput) -> Bitrate {
        let arrived = if input.queue > QUEUE {
            input.recent.or(input.acked)
        } else {
            input.acked
        };
        let arrived = arrived.unwrap_or(self.target);
        rate(bps(arrived) / (1.0 - input.inherent_loss.clamp(0.0, 0.5)))
    }
}

/// Growth near the capacity, in bits a second each second: one packet a response time.
fn additive(target: Bitrate, rtt: Duration) -> f64 {
    let pictures = 30.0;
    let picture = bps(target) / pictures;
    let full = bps(Bitrate::of(PACKET, Duration::from_secs(1)));
    let packet = picture / (picture / full).ceil().max(1.0);
    (packet / (rtt + RESPONSE).as_secs_f64()).max(ADDITIVE_MIN)
}

#[cfg(test)]
mod tests;
