//! Durations as operators write them: a whole number and a unit.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `250ms`, `20s`, `15m`, `2h` or `30d`.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let millis = number.parse::<u64>().ok()?.checked_mul(*factor)?;
    Some(Duration::from_millis(millis))
}

/// Writes a duration with the largest unit that keeps it whole.
#[must_use]
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| millis.is_multiple_of(*factor) && millis >= *factor;
    let (unit, factor) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    format!("{}{unit}", millis / factor)
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(
            "expected a duration such as \"250ms\", \"20s\", \"15m\" or \"30d\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_survive() {
        for text in ["0ms", "250ms", "20s", "15m", "2h", "30d", "61s"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        for text in ["", "5", "s", "1.5s", "-1s", "5 s", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
