//! The order in which claims are served.

use super::Claim;

/// Fills `order` with the indices of claims, most important first; equals in the order in which
/// they came.
pub(super) fn sort(claims: &[Claim], order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..claims.len());
    order.sort_unstable_by_key(|&index| {
        let priority = claims.get(index).map_or(0, |claim| claim.priority);
        (std::cmp::Reverse(priority), index)
    });
}

/// Runs of equal priority within that order.
pub(super) fn tiers<'a>(
    claims: &'a [Claim],
    order: &'a [usize],
) -> impl Iterator<Item = &'a [usize]> {
    let priority = |index: &usize| claims.get(*index).map(|claim| claim.priority);
    order.chunk_by(move |a, b| priority(a) == priority(b))
}
