//! `[limits]`, `[[webhooks]]` and `[traces]`: what operators steer and look into a worker by.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::Secret;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// A second, in the long run; zero: as often as one likes.
    pub per_second: u32,
    /// At once, before that rate counts.
    pub burst: u32,
}

/// How often clients may come in. Rates but that of addresses shrink as the worker gets busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// WebSockets, sessions by WHIP and WHEP, connections by RTMP and QUIC, of one address.
    pub per_address: Rate,
    /// Joins with tokens of one key.
    pub per_key: Rate,
    /// Joins into one room.
    pub per_room: Rate,
    /// Joins on this worker.
    pub joins: Rate,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            // Schools and offices share an address.
            per_address: Rate {
                per_second: 50,
                burst: 500,
            },
            per_key: Rate {
                per_second: 0,
                burst: 0,
            },
            per_room: Rate {
                per_second: 100,
                burst: 500,
            },
            joins: Rate {
                per_second: 300,
                burst: 600,
            },
        }
    }
}

/// Where events are posted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The URL, `https://` or `http://`.
    pub url: String,
    /// Signs what is posted.
    pub key: Secret,
    /// Which events: their types, or their beginnings as in `room.*`; all where none is named.
    #[serde(default)]
    pub events: Vec<String>,
    /// How long the receiver may take to answer.
    #[serde(default = "timeout", with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

const fn timeout() -> Duration {
    Duration::from_secs(5)
}

impl WebhookConfig {
    /// Whether this receiver wants events of this type.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind == wanted,
        };
        self.events.is_empty() || self.events.iter().any(fits)
    }
}

/// Spans for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// The collector's URL for traces, OTLP over HTTP; none: no spans are made.
    pub endpoint: Option<String>,
    /// Of a hundred requests that bring no decision of their own, how many are traced.
    pub percent: u8,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            percent: 100,
        }
    }
}

/// Checks what webhooks say.
///
/// # Errors
/// The index of the first that cannot be used, and why.
pub fn check_webhooks(hooks: &[WebhookConfig]) -> Result<(), (usize, &'static str)> {
    for (index, hook) in hooks.iter().enumerate() {
        let http = hook.url.starts_with("https://") || hook.url.starts_with("http://");
        if !http {
            return Err((index, "the url begins with https:// or http://"));
        }
        if hook.key.expose().len() < 16 {
            return Err((index, "the key is shorter than 16 bytes"));
        }
        if hook.timeout.is_zero() {
            return Err((index, "the timeout is zero"));
        }
        // A receiver's place is kept by its URL, and other workers ask for it by that.
        if hooks.iter().take(index).any(|other| other.url == hook.url) {
            return Err((index, "the url is another webhook's, too"));
        }
    }
    Ok(())
}
