//! What was sent when, until feedback arrives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_types::DataSize;

use crate::feedback::{PacketReport, PacketResult};

/// Feedback that takes longer than this says nothing about the path as it is now.
const AGE_MAX: Duration = Duration::from_secs(4);
/// Four seconds at 8,000 packets a second; half the circle of the wire's 16 bits.
const PACKETS_MAX: usize = 32_768;

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// Bytes; `None` once its fate is known.
    size: Option<DataSize>,
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
    pub fn on_sent(&mut self, now: Instant, size: DataSize) -> u16 {
        self.forget(now);
        let number = self.next_number();
        self.packets.push_back(Sent {
            at: now,
            size: Some(size),
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
        let size = packet.size?;
        if report.arrived.is_some() {
            packet.size = None;
            self.in_flight = self.in_flight.saturating_sub(size);
        }
        Some(PacketResult {
            sequence: self.first + u64::from(ahead),
            sent: packet.at,
            arrived: report.arrived,
            size,
        })
    }

    /// Bytes whose fate is unknown.
    #[must_use]
    pub const fn in_flight(&self) -> DataSize {
        self.in_flight
    }

    fn forget(&mut self, now: Instant) {
        while let Some(front) = self.packets.front() {
            let old = now.saturating_duration_since(front.at) > AGE_MAX;
            if !old && self.packets.len() < PACKETS_MAX {
                break;
            }
            let size = front.size.unwrap_or(DataSize::ZERO);
            self.in_flight = self.in_flight.saturating_sub(size);
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
        assert_eq!(history.on_sent(now, SIZE), 0);
        assert_eq!(history.on_sent(now, SIZE), 1);
        assert_eq!(history.in_flight().bytes(), 2_000);
        let lost = PacketReport {
            sequence: 0,
            arrived: None,
        };
        assert_eq!(history.on_report(lost).unwrap().arrived, None);
        let late = history.on_report(arrived(0)).unwrap();
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
            assert_eq!(u64::from(history.on_sent(now, SIZE)), count % 65_536);
            now += Duration::from_millis(1);
        }
        let result = history.on_report(arrived(wire(69_990))).unwrap();
        assert_eq!(result.sequence, 69_990);
        assert_eq!(history.on_report(arrived(wire(59_000))), None);
        assert!(history.in_flight().bytes() <= 4_001 * 1_000);
    }
}
