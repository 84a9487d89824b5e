//! The fencing number of a room's ownership.

use serde::{Deserialize, Serialize};

/// Rises with every change of a room's owner; whatever carries a lower one is stale.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a room that nobody owned before.
    pub const FIRST: Self = Self(1);

    /// The next owner's epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
