//! Chance that is not ours made to follow the seed.

use loadtest::network::Chance;

/// Makes str0m's own chance on this thread follow the seed.
pub(crate) fn seed_clients(chance: &mut Chance) {
    fastrand::seed(chance.number());
}
