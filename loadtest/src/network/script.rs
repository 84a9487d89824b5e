//! A network's script as a TOML file.

use std::time::Duration;

use media_types::{Bitrate, DataSize};
use serde::Deserialize;

use super::{Burst, Link, Queue, Trace};

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// It is not TOML, or a key is unknown or of the wrong kind.
    #[error("the script cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A share is not between 0 and 1.
    #[error("{key} = {value} is no share between 0 and 1")]
    Share {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: f64,
    },
    /// A time is negative or no number.
    #[error("{key} = {value} is no time")]
    Time {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: f64,
    },
    /// Both bounds of one queue.
    #[error("a queue has queue_ms or queue_bytes, not both")]
    TwoQueues,
}

/// What both directions do over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Where chance comes from, unless the caller knows better.
    pub seed: u64,
    /// How long to run; `None` until told to stop.
    pub duration: Option<Duration>,
    /// Whether all clients share one bottleneck each way.
    pub shared: bool,
    /// Towards the server.
    pub up: Trace,
    /// Towards the clients.
    pub down: Trace,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    seed: u64,
    duration_s: Option<f64>,
    shared: bool,
    up: Direction,
    down: Direction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Direction {
    rate_kbps: Option<u64>,
    queue_ms: Option<u64>,
    queue_bytes: Option<u64>,
    delay_ms: Option<f64>,
    jitter_ms: Option<f64>,
    loss: Option<f64>,
    burst: Option<BurstFile>,
    reorder: Option<f64>,
    duplicate: Option<f64>,
    outages_s: Option<Vec<(f64, f64)>>,
    at_s: Option<f64>,
    steps: Vec<Direction>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct BurstFile {
    enter: f64,
    leave: f64,
    #[serde(default = "all")]
    loss: f64,
}

const fn all() -> f64 {
    1.0
}

impl Script {
    /// Reads a script; docs/testing.md shows one.
    ///
    /// # Errors
    /// [`ScriptError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let file: File = toml::from_str(text)?;
        let duration = file.duration_s.map(|value| seconds("duration_s", value));
        Ok(Self {
            seed: file.seed,
            duration: duration.transpose()?,
            shared: file.shared,
            up: file.up.trace()?,
            down: file.down.trace()?,
        })
    }
}

impl Direction {
    fn trace(&self) -> Result<Trace, ScriptError> {
        let wire = Link {
            delay: Duration::ZERO,
            ..Link::default()
        };
        let mut link = self.over(wire)?;
        let mut trace = Trace::from(link.clone());
        for step in &self.steps {
            link = step.over(link)?;
            trace = trace.then(seconds("at_s", step.at_s.unwrap_or(0.0))?, link.clone());
        }
        Ok(trace)
    }

    /// The link with what is said here changed.
    fn over(&self, mut link: Link) -> Result<Link, ScriptError> {
        if let Some(kbps) = self.rate_kbps {
            link.rate = Some(Bitrate::from_kbps(kbps));
        }
        link.queue = match (self.queue_ms, self.queue_bytes) {
            (None, None) => link.queue,
            (Some(ms), None) => Queue::Time(Duration::from_millis(ms)),
            (None, Some(bytes)) => Queue::Bytes(DataSize::from_bytes(bytes)),
            (Some(_), Some(_)) => return Err(ScriptError::TwoQueues),
        };
        if let Some(value) = self.delay_ms {
            link.delay = seconds("delay_ms", value / 1_000.0)?;
        }
        if let Some(value) = self.jitter_ms {
            link.jitter = seconds("jitter_ms", value / 1_000.0)?;
        }
        if let Some(value) = self.loss {
            link.loss_ppm = ppm("loss", value)?;
        }
        if let Some(burst) = self.burst {
            let burst = Burst {
                enter_ppm: ppm("burst.enter", burst.enter)?,
                leave_ppm: ppm("burst.leave", burst.leave)?,
                loss_ppm: ppm("burst.loss", burst.loss)?,
            };
            // So that a step can end bursts: one that never begins is none.
            link.burst = Some(burst).filter(|burst| burst.enter_ppm > 0);
        }
        if let Some(value) = self.reorder {
            link.reorder_ppm = ppm("reorder", value)?;
        }
        if let Some(value) = self.duplicate {
            link.duplicate_ppm = ppm("duplicate", value)?;
        }
        if let Some(outages) = &self.outages_s {
            let range = |(from, to): &(f64, f64)| {
                Ok(seconds("outages_s", *from)?..seconds("outages_s", *to)?)
            };
            link.outages = outages
                .iter()
                .map(range)
                .collect::<Result<_, ScriptError>>()?;
        }
        Ok(link)
    }
}

fn seconds(key: &'static str, value: f64) -> Result<Duration, ScriptError> {
    Duration::try_from_secs_f64(value).map_err(|_| ScriptError::Time { key, value })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie between 0 and 1"
)]
fn ppm(key: &'static str, value: f64) -> Result<u32, ScriptError> {
    if (0.0..=1.0).contains(&value) {
        Ok((value * 1_000_000.0).round() as u32)
    } else {
        Err(ScriptError::Share { key, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        seed = 7
        duration_s = 60
        shared = true
        [up]
        delay_ms = 20
        [down]
        rate_kbps = 3000
        queue_ms = 300
        delay_ms = 20
        loss = 0.05
        outages_s = [[40, 42]]
        [[down.steps]]
        at_s = 10
        rate_kbps = 1000
        [[down.steps]]
        at_s = 20.5
        rate_kbps = 3000
        burst = { enter = 0.01, leave = 0.25 }
    "#;

    #[test]
    fn steps_change_what_they_name_and_keep_the_rest() {
        let script = Script::parse(EXAMPLE).unwrap();
        assert_eq!((script.seed, script.shared), (7, true));
        assert_eq!(script.duration, Some(Duration::from_secs(60)));
        let narrow = script.down.at(Duration::from_secs(12));
        assert_eq!(narrow.rate, Some(Bitrate::from_kbps(1_000)));
        assert_eq!(narrow.loss_ppm, 50_000);
        assert_eq!(narrow.queue, Queue::Time(Duration::from_millis(300)));
        assert_eq!(narrow.burst, None);
        let last = script.down.at(Duration::from_millis(20_500));
        assert_eq!(last.rate, Some(Bitrate::from_kbps(3_000)));
        assert_eq!(last.burst, Some(Burst::gilbert(10_000, 250_000)));
        assert_eq!(
            last.outages,
            [Duration::from_secs(40)..Duration::from_secs(42)]
        );
        assert_eq!(
            script.up.at(Duration::ZERO).delay,
            Duration::from_millis(20)
        );
        assert_eq!(script.up.at(Duration::ZERO).rate, None);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let error = |text| Script::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("[down]\nloss = 5"),
            "loss = 5 is no share between 0 and 1"
        );
        assert_eq!(error("[up]\ndelay_ms = -1"), "delay_ms = -0.001 is no time");
        assert!(matches!(
            Script::parse("[up]\nqueue_ms = 1\nqueue_bytes = 1"),
            Err(ScriptError::TwoQueues)
        ));
        assert!(matches!(
            Script::parse("speed = 1"),
            Err(ScriptError::Toml(_))
        ));
    }
}
