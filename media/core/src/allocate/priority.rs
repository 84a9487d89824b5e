//! The order in which claims are served.

use super::Claim;

/// Why a claim is served before others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// One of many.
    #[default]
    Other,
    /// The picture of who is heard most.
    Speaker,
    /// A shared screen.
    Screen,
    /// Chosen by the one who looks at it.
    Pinned,
}

/// What is served first: by class, then by the subscriber's own number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Higher goes first.
    pub(crate) class: Class,
    /// Within a class, higher goes first.
    pub(crate) priority: u8,
}

fn rank(claims: &[Claim], index: usize) -> Rank {
    claims
        .get(index)
        .map_or(Rank::default(), |claim| claim.rank)
}

/// Fills `order` with the indices of claims, most important first; equals in the order in which
/// they came.
pub(super) fn sort(claims: &[Claim], order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..claims.len());
    order.sort_unstable_by_key(|&index| (std::cmp::Reverse(rank(claims, index)), index));
}

/// Runs of equal rank within that order.
pub(super) fn tiers<'a>(
    claims: &'a [Claim],
    order: &'a [usize],
) -> impl Iterator<Item = &'a [usize]> {
    order.chunk_by(move |&a, &b| rank(claims, a) == rank(claims, b))
}
