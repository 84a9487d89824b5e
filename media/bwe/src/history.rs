//! What was sent when, until feedback arrives.

use std::collections::VecDeque;
use std::time::Instant;

use media_types::DataSize;

use crate::feedback::{PacketReport, PacketResult};
use crate::limits::{HISTORY_AGE_MAX, HISTORY_PACKETS_MAX, HISTORY_PACKETS_USUAL};
use crate::probe::ProbeId;

/// What is known of a packet's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unknown,
    /// Reported lost; it may still come late.
    Missing,
    Arrived,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    size: DataSize,
    fate: Fate,
    probe: Option<ProbeId>,
}

/// Numbers packets transport-wide, and remembers them.
#[derive(Debug, Default)]
pub struct SentHistory {
    /// The number of the front packet.
    first: u64,
    packets: VecDeque<Sent>,
    in_flight: DataSize,
}

impl SentHistory {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a packet and gives it its transport-wide number.
    pub fn on_sent(&mut self, now: Instant, size: DataSize, probe: Option<ProbeId>) -> u16 {
        // With feedback that is done there; the oldest entry lies far from the newest.
        if self.packets.len() >= HISTORY_PACKETS_USUAL {
            self.forget(now);
        }
        if self.packets.capacity() == 0 {
            self.packets.reserve(HISTORY_PACKETS_USUAL);
        }
        let number = self.next_number();
        self.packets.push_back(Sent {
            at: now,
            size,
            fate: Fate::Unknown,
            probe,
        });
        self.in_flight = self.in_flight.saturating_add(size);
        number
    }

    /// The number that the next packet will have.
    #[must_use]
    pub fn next_number(&self) -> u16 {
        wire(self.first + u64::try_from(self.packets.len()).unwrap_or(0))
    }

    /// Joins one report with what was sent. `None` for what is not remembered, or known already. A
    /// packet that is reported lost may still be reported as arrived later.
    pub fn on_report(&mut self, report: PacketReport) -> Option<PacketResult> {
        let ahead = report.sequence.wrapping_sub(wire(self.first));
        let packet = self.packets.get_mut(usize::from(ahead))?;
        let fate = match report.arrived {
            Some(_) => Fate::Arrived,
            None => Fate::Missing,
        };
        let before = packet.fate;
        if before == fate || before == Fate::Arrived {
            return None;
        }
        packet.fate = fate;
        if before == Fate::Unknown {
            self.in_flight = self.in_flight.saturating_sub(packet.size);
        }
        Some(PacketResult {
            sequence: self.first + u64::from(ahead),
            sent: packet.at,
            arrived: report.arrived,
            size: packet.size,
            probe: packet.probe,
            was_missing: before == Fate::Missing,
        })
    }

    /// Bytes whose fate is unknown.
    #[must_use]
    pub const fn in_flight(&self) -> DataSize {
        self.in_flight
    }

    /// Reads the entry beside which the next will stand.
    pub(crate) fn touch(&self) -> u64 {
        let newest = self.packets.back();
        self.first ^ newest.map_or(0, |packet| packet.size.bytes())
    }

    /// Forgets what can tell nothing more.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(front) = self.packets.front() {
            let old = now.saturating_duration_since(front.at) > HISTORY_AGE_MAX;
            // What has arrived can tell nothing more, and memory that is used again soon is near.
            let done = old || front.fate == Fate::Arrived;
            if !done && self.packets.len() < HISTORY_PACKETS_MAX {
                break;
            }
            if front.fate == Fate::Unknown {
                self.in_flight = self.in_flight.saturating_sub(front.size);
            }
            self.packets.pop_front();
            self.first += 1;
        }
    }
}

/// The low 16 bits.
const fn wire(number: u64) -> u16 {
    let [.., high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SIZE: DataSize = DataSize::from_bytes(1_000);

    fn arrived(sequence: u16) -> PacketReport {
        PacketReport {
            sequence,
            arrived: Some(Duration::from_millis(5)),
        }
    }

    #[test]
    fn a_packet_is_reported_once() {
        let now = Instant::now();
        let mut history = SentHistory::new();
        assert_eq!(history.on_sent(now, SIZE, None), 0);
        assert_eq!(history.on_sent(now, SIZE, None), 1);
        assert_eq!(history.in_flight().bytes(), 2_000);
        let lost = PacketReport {
            sequence: 0,
            arrived: None,
        };
        assert_eq!(history.on_report(lost).unwrap().arrived, None);
        assert_eq!(history.in_flight(), SIZE);
        assert_eq!(history.on_report(lost), None);
        let late = history.on_report(arrived(0)).unwrap();
        assert!(late.was_missing);
        assert_eq!((late.sequence, late.sent, late.size), (0, now, SIZE));
        assert_eq!(history.on_report(arrived(0)), None);
        assert_eq!(history.on_report(arrived(2)), None);
        assert_eq!(history.in_flight(), SIZE);
    }

    #[test]
    fn numbers_wrap_and_old_ones_are_forgotten() {
        let mut now = Instant::now();
        let mut history = SentHistory::new();
        for count in 0..70_000_u64 {
            assert_eq!(u64::from(history.on_sent(now, SIZE, None)), count % 65_536);
            now += Duration::from_millis(1);
        }
        let result = history.on_report(arrived(wire(69_990))).unwrap();
        assert_eq!(result.sequence, 69_990);
        assert_eq!(history.on_report(arrived(wire(59_000))), None);
        assert!(history.in_flight().bytes() <= 4_001 * 1_000);
    }
}
