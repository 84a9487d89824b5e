//! `[cluster.balance]`: rooms that move by themselves.

use std::time::Duration;

use control_plane::balance::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When rooms move to other workers by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BalanceConfig {
    /// Whether they do.
    pub enabled: bool,
    /// A worker is overloaded while its busiest shard works more than this share of the time.
    pub overload_percent: u8,
    /// How long it has to be, or peers have to be badly off, before a room moves.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub patience: Duration,
    /// Between two moves from this worker.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub cool_down: Duration,
    /// Until one room moves again.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub room_cool_down: Duration,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            overload_percent: 90,
            patience: Duration::from_secs(10),
            cool_down: Duration::from_secs(30),
            room_cool_down: Duration::from_secs(600),
        }
    }
}

impl BalanceConfig {
    /// As rooms are decided about; `None`: none moves by itself.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.enabled.then(|| Policy {
            overload_permille: u16::from(self.overload_percent.min(100)) * 10,
            patience: self.patience,
            cool_down: self.cool_down,
            room_cool_down: self.room_cool_down,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rule() {
        assert_eq!(BalanceConfig::default().policy(), Some(Policy::default()));
        let off = BalanceConfig {
            enabled: false,
            ..BalanceConfig::default()
        };
        assert_eq!(off.policy(), None);
    }
}
