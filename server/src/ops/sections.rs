//! Sections of the configuration that the store may hold: read and checked as they are written,
//! and in force at once; where one cannot be used, the last good one stays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use metrics::gauge;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Config, LimitsConfig, LogConfig, WebhookConfig, check_webhooks};
use crate::telemetry::{CONFIG_REFUSED, set_log_filter};

/// The sections that may lie in the store.
pub const LIVE: [&str; 3] = ["limits", "log", "webhooks"];
const VERSION: u32 = 1;

/// What is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[log]`; of it, the filter.
    pub log: LogConfig,
    /// `[[webhooks]]`.
    pub webhooks: Vec<WebhookConfig>,
}

/// Why a value in the store is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The section, or `flags/NAME`.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Everything refused now, by what it is.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<String, String>>);

impl Refusals {
    pub(super) fn note(&self, what: &str, outcome: Result<(), String>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                held.remove(what);
            }
            Err(problem) => {
                tracing::warn!(
                    what,
                    problem,
                    "refused; what was good before stays in force"
                );
                held.insert(what.to_owned(), problem);
            }
        }
        let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
        gauge!(CONFIG_REFUSED).set(f64::from(count));
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> Vec<Refusal> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let each = held.iter().map(|(what, problem)| Refusal {
            what: what.clone(),
            problem: problem.clone(),
        });
        each.collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    section: Value,
}

/// The bytes of a section for the store.
#[must_use]
pub fn encode(section: &Value) -> Vec<u8> {
    let kept = Kept {
        version: VERSION,
        section: section.clone(),
    };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// Reads a section's bytes.
///
/// # Errors
/// Why they cannot be used.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if kept.version > VERSION {
        return Err(format!(
            "version {} is newer than this worker",
            kept.version
        ));
    }
    Ok(kept.section)
}

/// The sections in force, and those of the files that they stand on.
pub struct Sections {
    base: Live,
    live: ArcSwap<Live>,
    /// Of the sections, what lies in the store and is good.
    stored: Mutex<BTreeMap<String, Value>>,
}

impl Sections {
    pub(super) fn new(config: &Config) -> Self {
        let base = Live {
            limits: config.limits.clone(),
            log: config.log.clone(),
            webhooks: config.webhooks.clone(),
        };
        Self {
            live: ArcSwap::from_pointee(base.clone()),
            base,
            stored: Mutex::new(BTreeMap::new()),
        }
    }

    /// What is in force.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// The sections that lie in the store and are in force.
    #[must_use]
    pub fn stored(&self) -> BTreeMap<String, Value> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.clone()
    }

    /// What would be in force with this section in the store; `None`: without it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn check(&self, name: &str, section: Option<&Value>) -> Result<Live, String> {
        let mut live = Live::clone(&self.live.load());
        let base = &self.base;
        match name {
            "limits" => live.limits = over(&base.limits, section)?,
            "log" => {
                live.log = over(&base.log, section)?;
                crate::telemetry::check_log_filter(&live.log.filter)?;
            }
            "webhooks" => {
                live.webhooks = match section {
                    Some(section) => read(section.clone())?,
                    None => base.webhooks.clone(),
                };
                let wrong = |(index, problem)| format!("webhooks[{index}]: {problem}");
                check_webhooks(&live.webhooks).map_err(wrong)?;
            }
            _ => return Err(format!("only {} may be changed", LIVE.join(", "))),
        }
        Ok(live)
    }

    /// Puts a section in force.
    ///
    /// # Errors
    /// Why it cannot be; what was in force stays.
    pub(super) fn apply(&self, name: &str, section: Option<&Value>) -> Result<(), String> {
        let live = self.check(name, section)?;
        if live.log != self.live.load().log {
            set_log_filter(&live.log.filter)?;
        }
        self.live.store(Arc::new(live));
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        match section {
            Some(section) => stored.insert(name.to_owned(), section.clone()),
            None => stored.remove(name),
        };
        tracing::info!(section = name, "a section of the configuration is in force");
        Ok(())
    }
}

/// A section with the keys that the store gives on top.
fn over<T: Serialize + DeserializeOwned + Clone>(
    base: &T,
    section: Option<&Value>,
) -> Result<T, String> {
    let Some(section) = section else {
        return Ok(base.clone());
    };
    let Value::Object(keys) = section else {
        return Err("a section is an object".to_owned());
    };
    let mut whole = match serde_json::to_value(base) {
        Ok(Value::Object(whole)) => whole,
        _ => Map::new(),
    };
    whole.extend(keys.clone());
    read(Value::Object(whole))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A JSON tree of settings without what is secret.
#[must_use]
pub fn hide_secrets(value: Value) -> Value {
    const SECRET: [&str; 7] = [
        "secret",
        "key",
        "cluster_key",
        "password",
        "shared_secret",
        "secret_access_key",
        "access_key_id",
    ];
    match value {
        Value::Object(keys) => {
            let hide = |(key, value): (String, Value)| {
                let hidden = SECRET.contains(&key.as_str()) && value.is_string();
                let value = if hidden {
                    "***".into()
                } else {
                    hide_secrets(value)
                };
                (key, value)
            };
            Value::Object(keys.into_iter().map(hide).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(hide_secrets).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_section_of_the_store_lies_on_top_of_the_file() {
        let mut config = Config::default();
        config.limits.per_room.burst = 7;
        let sections = Sections::new(&config);
        let given = json!({"joins": {"per_second": 1, "burst": 2}});
        sections.apply("limits", Some(&given)).unwrap();
        let live = sections.live();
        assert_eq!(
            (live.limits.joins.burst, live.limits.per_room.burst),
            (2, 7)
        );
        sections.apply("limits", None).unwrap();
        assert_eq!(sections.live().limits, config.limits);
    }

    #[test]
    fn what_cannot_be_used_leaves_what_was() {
        let sections = Sections::new(&Config::default());
        let before = sections.live();
        for (name, bad) in [
            ("limits", json!({"joins": {"per_second": -1, "burst": 2}})),
            ("limits", json!({"jions": 1})),
            (
                "webhooks",
                json!([{"url": "ftp://a", "key": "0123456789abcdef"}]),
            ),
            ("webhooks", json!([{"url": "https://a", "key": "short"}])),
            (
                "webhooks",
                json!([
                    {"url": "https://a", "key": "0123456789abcdef", "events": ["room.*"]},
                    {"url": "https://a", "key": "fedcba9876543210", "events": ["peer.*"]},
                ]),
            ),
            ("log", json!({"filter": "=="})),
            ("auth", json!({})),
        ] {
            assert!(sections.apply(name, Some(&bad)).is_err(), "{name} {bad}");
        }
        assert_eq!(sections.live(), before);
        assert!(sections.stored().is_empty());
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = hide_secrets(json!({"auth": {"keys": [{"name": "k", "secret": "s"}]}}));
        assert_eq!(
            shown,
            json!({"auth": {"keys": [{"name": "k", "secret": "***"}]}})
        );
    }
}
