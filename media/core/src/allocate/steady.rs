//! When to change what flows: at once when it does not fit, otherwise slowly.
//!
//! What flows is held as long as the budget carries it. It rises to what a cautious share of the
//! budget carries, once that has been better for a while; it falls to what the budget carries when
//! it does not fit any more. Between both lies the room in which an estimate may waver. A rise that
//! made the path congested is tried again only after a while that doubles each time.

use std::time::{Duration, Instant};

use media_types::Bitrate;

use super::{Bases, Claim, Grant, Shares, is_better, total};
use crate::limits::{
    RAISE_AFTER, RAISE_AGAIN_PERCENT, RAISE_BACKOFF_MAX, RAISE_BACKOFF_MIN, RAISE_FAILED_WITHIN,
    RAISE_HEADROOM_PERCENT, RAISE_MODEST_PERCENT, RAISE_PERIOD, RAISE_PROVEN, SHORTAGE_AFTER,
    SHORTAGE_PERCENT, STARVING_AFTER, STARVING_PERCENT,
};

/// How new what is to be shown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Novelty {
    /// All has been flowing for a while.
    Settled,
    /// A picture has just begun, or its wish has just changed: it climbs without waiting.
    Fresh,
    /// One has not begun: it takes what there is.
    Empty,
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) now: Instant,
    pub(crate) budget: Bitrate,
    pub(crate) bases: Bases,
    pub(crate) claims: &'a [Claim],
    /// What flows now.
    pub(crate) current: &'a [Grant],
    pub(crate) novelty: Novelty,
    /// When the estimate last fell.
    pub(crate) fell_at: Option<Instant>,
}

/// The memory of one subscriber's decisions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steady {
    /// Since when more could flow.
    better_since: Option<Instant>,
    /// Since when a little more flows than fits.
    short_since: Option<Instant>,
    /// Since when not even all lowest steps fit.
    starving_since: Option<Instant>,
    raised_at: Option<Instant>,
    /// No rise to what failed before this.
    not_before: Option<Instant>,
    /// What the last rise that failed needed.
    failed: Bitrate,
    backoff: Duration,
    /// Tells subscribers apart, so that those behind one bottleneck do not try again as one.
    salt: u64,
    full: Shares,
    cautious: Shares,
}

impl Steady {
    /// No memory yet; each subscriber has a `salt` of its own.
    pub(crate) fn new(salt: u64) -> Self {
        Self {
            salt,
            ..Self::default()
        }
    }

    /// What is to flow; `None` for what flows already.
    pub(crate) fn decide(&mut self, question: &Question<'_>) -> Option<&[Grant]> {
        let Question {
            now,
            budget,
            bases,
            claims,
            current,
            ..
        } = *question;
        self.full.allocate(budget, bases, claims);
        let need = total(claims, current);
        // The lowest steps may go without a budget; what is more than those must fit.
        let least = total(claims, &self.full.grants);
        if need > budget.max(least) {
            return self.fall(question, need);
        }
        self.short_since = None;
        self.starving_since = None;
        let order = &self.full.order;
        let first = question.novelty == Novelty::Empty;
        if first && is_better(claims, order, &self.full.grants, current) {
            self.raised_at = Some(now);
            return Some(&self.full.grants);
        }
        let mut cautious = budget.percent(RAISE_HEADROOM_PERCENT);
        if self.not_before.is_some_and(|at| now < at) {
            let small = self.failed.percent(RAISE_AGAIN_PERCENT);
            cautious = cautious.min(small.max(budget.percent(RAISE_MODEST_PERCENT)));
        }
        self.cautious.allocate(cautious, bases, claims);
        if is_better(claims, order, &self.cautious.grants, current) {
            return self.rise(question);
        }
        self.better_since = None;
        None
    }

    fn fall(&mut self, question: &Question<'_>, need: Bitrate) -> Option<&[Grant]> {
        let now = question.now;
        self.better_since = None;
        let short_since = *self.short_since.get_or_insert(now);
        let brief = now.saturating_duration_since(short_since) < SHORTAGE_AFTER;
        if brief && need <= question.budget.percent(SHORTAGE_PERCENT) {
            return None;
        }
        self.short_since = None;
        let failed = self.raised_at.take().is_some_and(|at| {
            let soon = now.saturating_duration_since(at) < RAISE_FAILED_WITHIN;
            soon && question.fell_at.is_some_and(|fell| fell >= at)
        });
        if failed {
            let longer = self.backoff.saturating_mul(2);
            self.backoff = longer.clamp(RAISE_BACKOFF_MIN, RAISE_BACKOFF_MAX);
            self.not_before = Some(now + self.backoff + self.spread());
            self.failed = need;
        }
        if self.spares(question) {
            let spared = &self.cautious.grants;
            return (spared != question.current).then_some(spared.as_slice());
        }
        Some(&self.full.grants)
    }

    /// Whether lowest steps that do not fit go on for now, with what else is to flow in the grants
    /// of `cautious`. An estimate that dips would otherwise black a picture out.
    fn spares(&mut self, question: &Question<'_>) -> bool {
        let Question {
            now,
            budget,
            claims,
            current,
            ..
        } = *question;
        self.cautious.allocate(budget, Bases::Free, claims);
        let spared = &mut self.cautious.grants;
        for (spared, &current) in spared.iter_mut().zip(current) {
            *spared = (*spared).min(current);
        }
        let starves = |(&full, &current): (&Grant, &Grant)| full == 0 && current > 0;
        if !self.full.grants.iter().zip(current).any(starves) {
            self.starving_since = None;
            return false;
        }
        let since = *self.starving_since.get_or_insert(now);
        let bearable = total(claims, spared) <= budget.percent(STARVING_PERCENT);
        bearable && now.saturating_duration_since(since) < STARVING_AFTER
    }

    /// Up to half of the wait once more, another share at each try.
    fn spread(&mut self) -> Duration {
        // A step of Knuth's linear generator (MMIX); its high bits are the good ones.
        self.salt = self
            .salt
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = u32::try_from(self.salt >> 56).unwrap_or(0);
        self.backoff.saturating_mul(share) / 512
    }

    fn rise(&mut self, question: &Question<'_>) -> Option<&[Grant]> {
        let now = question.now;
        let passed = |at: Option<Instant>, time| {
            at.is_none_or(|at| now.saturating_duration_since(at) >= time)
        };
        if self.raised_at.is_some() && passed(self.raised_at, RAISE_PROVEN) {
            self.backoff = Duration::ZERO;
        }
        let better_since = *self.better_since.get_or_insert(now);
        let rested =
            passed(self.raised_at, RAISE_PERIOD) && passed(Some(better_since), RAISE_AFTER);
        if question.novelty == Novelty::Settled && !rested {
            return None;
        }
        self.better_since = None;
        self.raised_at = Some(now);
        Some(&self.cautious.grants)
    }
}

#[cfg(test)]
mod tests;
