//! `[cluster]`, `[shutdown]`, `[log]` and `[debug]`: the life of the process.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// This worker among others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// How long a worker that does not renew its lease counts as alive.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub lease_ttl: Duration,
    /// Where this worker stands, for placing rooms near their peers.
    pub region: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(10),
            region: String::new(),
        }
    }
}

/// How the worker ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// How long a drain may take.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub drain_deadline: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            drain_deadline: Duration::from_secs(120),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Levels by target, as in `info,troupe_server=debug`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info,actix_server=warn".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// What only tests and developers want.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// Lets the admin API inject panics, to show that supervision holds.
    pub faults: bool,
}
