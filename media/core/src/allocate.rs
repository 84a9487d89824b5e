//! Budget to layers, for one subscriber: a pure function.
//!
//! Everybody gets the lowest step before anybody gets a higher one; then the more important climb
//! first, and equals climb together, a step at a time. A step that does not fit is passed over, so
//! that what is left can still serve a smaller one.
//!
//! Nothing here remembers: that layers do not swing is the business of [`steady`].

pub(crate) mod congestion;
pub(crate) mod ladder;
pub(crate) mod priority;
pub(crate) mod steady;

use media_types::{Bitrate, Layer};

pub(crate) use ladder::{Ladder, Step};
pub(crate) use priority::{Class, Rank};

/// Whether a budget may hold back the lowest step of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bases {
    /// The budget is a guess still: everybody's lowest step goes whatever it says.
    Free,
    /// The lowest step must fit, but for the first in order, who always has one.
    Paid,
}

/// One slot's claim on the budget.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Higher goes first.
    pub(crate) rank: Rank,
    /// What can be had, lowest first; empty for a slot that wants nothing.
    pub(crate) ladder: Ladder,
    /// The highest spatial layer that it has a use for, whether it can be had or not.
    pub(crate) reach: u8,
}

/// What a claim got: the number of steps of its ladder, 0 for nothing.
pub(crate) type Grant = usize;

/// What each claim got, with memory that is used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    /// One entry a claim.
    pub(crate) grants: Vec<Grant>,
    /// Indices of the claims, most important first.
    pub(crate) order: Vec<usize>,
}

impl Shares {
    /// Shares `budget` out; whatever was granted before is forgotten.
    pub(crate) fn allocate(&mut self, budget: Bitrate, bases: Bases, claims: &[Claim]) {
        let Self { grants, order } = self;
        grants.clear();
        grants.resize(claims.len(), 0);
        priority::sort(claims, order);
        let mut left = budget;
        for (rank, &index) in order.iter().enumerate() {
            let Some(step) = claims.get(index).and_then(|claim| claim.ladder.first()) else {
                continue;
            };
            let given = bases == Bases::Free || is_first(claims, order.get(..rank));
            if given || step.rate <= left {
                left = left.saturating_sub(step.rate);
                raise(grants, index);
            }
        }
        for tier in priority::tiers(claims, order) {
            while raise_tier(claims, tier, &mut left, grants) {}
        }
    }
}

/// Whether no earlier claim in order had anything to ask for that costs something.
fn is_first(claims: &[Claim], earlier: Option<&[usize]>) -> bool {
    earlier.unwrap_or_default().iter().all(|&index| {
        let first = claims.get(index).and_then(|claim| claim.ladder.first());
        first.is_none_or(|step| step.rate == Bitrate::ZERO)
    })
}

/// Raises each claim of a tier by at most one step; whether any rose.
fn raise_tier(claims: &[Claim], tier: &[usize], left: &mut Bitrate, grants: &mut [Grant]) -> bool {
    let mut rose = false;
    for &index in tier {
        let (Some(claim), Some(&granted)) = (claims.get(index), grants.get(index)) else {
            continue;
        };
        let (Some(held), Some(next)) = (
            granted.checked_sub(1).and_then(|top| claim.ladder.get(top)),
            claim.ladder.get(granted),
        ) else {
            continue;
        };
        let extra = next.rate.saturating_sub(held.rate);
        if extra <= *left {
            *left = left.saturating_sub(extra);
            raise(grants, index);
            rose = true;
        }
    }
    rose
}

fn raise(grants: &mut [Grant], index: usize) {
    if let Some(grant) = grants.get_mut(index) {
        *grant += 1;
    }
}

/// The rate of a grant.
pub(crate) fn rate_of(claim: &Claim, grant: Grant) -> Bitrate {
    let top = grant.checked_sub(1).and_then(|top| claim.ladder.get(top));
    top.map_or(Bitrate::ZERO, |step| step.rate)
}

/// The rate of all grants together.
pub(crate) fn total(claims: &[Claim], grants: &[Grant]) -> Bitrate {
    let shares = claims.iter().zip(grants);
    shares.map(|(claim, &grant)| rate_of(claim, grant)).sum()
}

/// Whether one set of grants serves the order better than another: in the first decision in which
/// they differ, it gives more. Decisions are taken as in [`Shares::allocate`]: the lowest steps in
/// order, then tier by tier and round by round.
pub(crate) fn is_better(claims: &[Claim], order: &[usize], one: &[Grant], other: &[Grant]) -> bool {
    let given = |grants: &[Grant], index: usize| grants.get(index).copied().unwrap_or(0);
    let differs = |tier: &[usize], round: Grant| {
        tier.iter().find_map(|&index| {
            let [one, other] = [one, other].map(|grants| given(grants, index) >= round);
            (one != other).then_some(one)
        })
    };
    if let Some(better) = differs(order, 1) {
        return better;
    }
    for tier in priority::tiers(claims, order) {
        let rounds = 2..=ladder::STEPS_MAX;
        if let Some(better) = rounds.into_iter().find_map(|round| differs(tier, round)) {
            return better;
        }
    }
    false
}

/// The layer that a grant means.
pub(crate) fn layer_of(claim: &Claim, grant: Grant) -> Option<Layer> {
    Some(claim.ladder.get(grant.checked_sub(1)?)?.layer)
}

#[cfg(test)]
mod tests;
