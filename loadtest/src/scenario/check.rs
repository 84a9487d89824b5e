//! Whether a scenario can be used, and if not, where the fault stands.

use super::{Scenario, Source, Via};

/// Members of one run: each has a socket or two, and the kernel 28,000 ports.
const MEMBERS_MAX: u64 = 25_000;
/// Layers of one camera.
const LAYERS_MAX: usize = 3;
const SLOTS_MAX: usize = 64;
/// Bytes of a message, so that it fits a chat text.
const MESSAGE_BYTES: std::ops::RangeInclusive<usize> = 24..=4_000;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or a key is unknown, missing or of the wrong kind.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key.
        message: String,
    },
    /// A value cannot be used.
    #[error("{file}:{line}: {key}: {message}")]
    Value {
        /// The file.
        file: String,
        /// The line of the key, or of its table where it is absent.
        line: usize,
        /// Which key.
        key: &'static str,
        /// What it should be.
        message: String,
    },
}

pub(super) fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        ScenarioError::Syntax {
            file: file.to_owned(),
            line: before.map_or(1, |before| before.matches('\n').count() + 1),
            message: error.message().to_owned(),
        }
    })?;
    match fault(&scenario) {
        None => Ok(scenario),
        Some((key, message)) => Err(ScenarioError::Value {
            file: file.to_owned(),
            line: line_of(text, key),
            key,
            message,
        }),
    }
}

/// The first fault: its key, and what is wrong.
fn fault(scenario: &Scenario) -> Option<(&'static str, String)> {
    let said = |key, message: &str| Some((key, message.to_owned()));
    let name = &scenario.name;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(letters) {
        return said("name", "1 to 40 letters, digits and '-'");
    }
    if scenario.rooms == 0 {
        return said("rooms", "at least 1");
    }
    if scenario.members() == 0 {
        return said(
            "publishers.count",
            "nobody comes: give publishers or subscribers",
        );
    }
    if scenario.members() > MEMBERS_MAX {
        let members = scenario.members();
        let message = format!("{members} members in all; at most {MEMBERS_MAX} fit one machine");
        return Some(("rooms", message));
    }
    let seconds = [
        ("join_rate", scenario.join_rate, 0.01),
        ("settle_s", scenario.settle_s, 0.0),
        ("duration_s", scenario.duration_s, 0.0),
    ];
    for (key, value, least) in seconds {
        if !value.is_finite() || value < least || value > 1e6 {
            return Some((key, format!("{value} is not between {least} and 1,000,000")));
        }
    }
    fault_of_media(scenario).or_else(|| fault_of_talk(scenario))
}

fn fault_of_media(scenario: &Scenario) -> Option<(&'static str, String)> {
    let said = |key, message: &str| Some((key, message.to_owned()));
    let publishers = &scenario.publishers;
    if scenario.codec().is_none() && publishers.video != "none" {
        return said(
            "publishers.video",
            "\"vp8\", \"vp9\", \"h264\", \"av1\" or \"none\"",
        );
    }
    if publishers.video == "vp9" && publishers.pattern == Source::Recorded {
        return said("publishers.pattern", "\"built-in\" with vp9");
    }
    if publishers.layers.is_empty() || publishers.layers.len() > LAYERS_MAX {
        return said("publishers.layers", "1 to 3 layers, lowest first");
    }
    if publishers
        .layers
        .iter()
        .any(|layer| layer.width < 16 || layer.height < 16)
    {
        return said("publishers.layers", "at least 16 x 16 pixels");
    }
    if publishers
        .layers
        .iter()
        .any(|layer| !(20..=50_000).contains(&layer.kbps))
    {
        return said("publishers.layers", "20 to 50,000 kbps");
    }
    if !publishers.layers.is_sorted_by_key(|layer| layer.kbps) {
        return said("publishers.layers", "lowest first");
    }
    if !(1..=120).contains(&publishers.fps) {
        return said("publishers.fps", "1 to 120");
    }
    if !(6..=510).contains(&publishers.audio_kbps) {
        return said("publishers.audio_kbps", "6 to 510");
    }
    let nothing = !publishers.audio && publishers.video == "none";
    if publishers.count > 0 && nothing {
        return said("publishers.video", "publishers need audio or video");
    }
    fault_of_receiving(scenario)
}

fn fault_of_receiving(scenario: &Scenario) -> Option<(&'static str, String)> {
    let said = |key, message: &str| Some((key, message.to_owned()));
    let publishers = &scenario.publishers;
    let slots = publishers.audio_slots.max(publishers.video_slots);
    if slots > SLOTS_MAX {
        return said("publishers.video_slots", "at most 64 slots");
    }
    let slots = scenario
        .subscribers
        .audio_slots
        .max(scenario.subscribers.video_slots);
    if slots > SLOTS_MAX {
        return said("subscribers.video_slots", "at most 64 slots");
    }
    if scenario.receive.open_every == 0 {
        return said("receive.open_every", "at least 1, which opens all");
    }
    if !(10..=10_000).contains(&scenario.receive.feedback_ms) {
        return said("receive.feedback_ms", "10 to 10,000");
    }
    if !(100..=60_000).contains(&scenario.receive.report_ms) {
        return said("receive.report_ms", "100 to 60,000");
    }
    let plain = scenario.via != Via::Signalling;
    if plain && slots_of_publishers(scenario) > 0 {
        return said("publishers.video_slots", "only by signalling: 0 with WHIP");
    }
    if scenario.via == Via::Janus && publishers.video != "vp8" && publishers.video != "none" {
        return said("publishers.video", "\"vp8\" or \"none\" with Janus");
    }
    None
}

fn slots_of_publishers(scenario: &Scenario) -> usize {
    scenario.publishers.audio_slots + scenario.publishers.video_slots
}

fn fault_of_talk(scenario: &Scenario) -> Option<(&'static str, String)> {
    let said = |key, message: &str| Some((key, message.to_owned()));
    if let Some(churn) = &scenario.churn {
        let [least, most] = churn.stay_s;
        if !(least > 0.0 && least <= most && most.is_finite()) {
            return said("churn.stay_s", "[least, most], both above 0");
        }
        if !(churn.rest_s >= 0.0 && churn.rest_s.is_finite()) {
            return said("churn.rest_s", "at least 0");
        }
    }
    for (rate, bytes, talk) in [
        ("chat.rate", "chat.bytes", scenario.chat),
        ("data.rate", "data.bytes", scenario.data),
    ] {
        let Some(talk) = talk else {
            continue;
        };
        if scenario.via != Via::Signalling {
            return said(rate, "only by signalling");
        }
        if !(talk.rate > 0.0 && talk.rate <= 1_000.0) {
            return said(rate, "above 0, at most 1,000");
        }
        if !MESSAGE_BYTES.contains(&talk.bytes) {
            return said(bytes, "24 to 4,000 bytes");
        }
    }
    None
}

/// Where a key stands; where its table begins, if it is absent; else the first line.
fn line_of(text: &str, key: &str) -> usize {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut current = String::new();
    let mut begins = 1;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            current = header
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            if current == table {
                begins = number;
            }
        }
        let named = line.strip_prefix(name).map(str::trim_start);
        if current == table && named.is_some_and(|rest| rest.starts_with('=')) {
            return number;
        }
        let child = format!("{table}.{name}");
        if current == child || (table.is_empty() && current == name) {
            return number;
        }
    }
    begins
}
