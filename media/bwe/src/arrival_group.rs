//! Packets that were sent together, and how much later one group arrived than the one before.
//!
//! A pacer sends in small bursts, and the spacing inside a burst says nothing of queues on the way.
//! So packets sent within 5 ms count as one (draft-ietf-rmcat-gcc-02, section 5.2), and so do
//! packets that come in a heap, which is what a radio link does after a pause.

use std::time::Duration;

use crate::number::difference;

/// What is sent within this is one group.
const BURST: Duration = Duration::from_millis(5);
/// What arrives this closely after what was sent before it may belong to a heap …
const HEAP_GAP: Duration = Duration::from_millis(5);
/// … which is at most so long (libwebrtc's `InterArrivalDelta`).
const HEAP_MAX: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Duration,
    last_sent: Duration,
    first_arrived: Duration,
    last_arrived: Duration,
}

impl Group {
    const fn new(sent: Duration, arrived: Duration) -> Self {
        Self {
            first_sent: sent,
            last_sent: sent,
            first_arrived: arrived,
            last_arrived: arrived,
        }
    }

    fn has_room_for(&self, sent: Duration, arrived: Duration) -> bool {
        if sent.saturating_sub(self.first_sent) <= BURST {
            return true;
        }
        let arriving = difference(arrived, self.last_arrived);
        let propagation = arriving - difference(sent, self.last_sent);
        propagation < 0.0
            && arrived.saturating_sub(self.last_arrived) <= HEAP_GAP
            && arrived.saturating_sub(self.first_arrived) < HEAP_MAX
    }

    fn add(&mut self, sent: Duration, arrived: Duration) {
        self.last_sent = self.last_sent.max(sent);
        self.last_arrived = self.last_arrived.max(arrived);
    }
}

/// How two groups that follow each other differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GroupDelta {
    /// Milliseconds between their last packets' sending.
    pub(crate) sent_ms: f64,
    /// Milliseconds between their last packets' arrival.
    pub(crate) arrived_ms: f64,
    /// When the later group had arrived, on the receiver's clock.
    pub(crate) arrived: Duration,
}

/// Gathers packets into groups.
#[derive(Debug, Default)]
pub(crate) struct ArrivalGroups {
    previous: Option<Group>,
    current: Option<Group>,
}

impl ArrivalGroups {
    /// Takes a packet by when it was sent and when it arrived, each on its own clock, in order of
    /// arrival. Gives a difference when it begins a new group.
    pub(crate) fn on_packet(&mut self, sent: Duration, arrived: Duration) -> Option<GroupDelta> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::new(sent, arrived));
            return None;
        };
        if sent < current.first_sent {
            // Overtaken: it tells of the path's paths, not of its queue.
            return None;
        }
        if current.has_room_for(sent, arrived) {
            current.add(sent, arrived);
            return None;
        }
        let complete = *current;
        *current = Group::new(sent, arrived);
        let previous = self.previous.replace(complete)?;
        Some(GroupDelta {
            sent_ms: difference(complete.last_sent, previous.last_sent),
            arrived_ms: difference(complete.last_arrived, previous.last_arrived),
            arrived: complete.last_arrived,
        })
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(groups: &mut ArrivalGroups, packets: &[(u64, u64)]) -> Vec<(f64, f64)> {
        let ms = Duration::from_millis;
        let deltas = packets.iter();
        let deltas = deltas.filter_map(|&(sent, arrived)| groups.on_packet(ms(sent), ms(arrived)));
        deltas.map(|d| (d.sent_ms, d.arrived_ms)).collect()
    }

    #[test]
    fn what_is_sent_together_is_one_group() {
        let mut groups = ArrivalGroups::default();
        let packets = [
            (0, 50),
            (2, 53),
            (5, 58),
            (20, 70),
            (40, 95),
            (41, 99),
            (60, 110),
        ];
        let deltas = feed(&mut groups, &packets);
        assert_eq!(deltas, [(15.0, 12.0), (21.0, 29.0)]);
    }

    #[test]
    fn a_heap_is_one_group_and_the_overtaken_are_left_out() {
        let mut groups = ArrivalGroups::default();
        // After a pause everything comes at once; 7 came too late to count.
        let packets = [
            (0, 50),
            (20, 250),
            (40, 251),
            (60, 252),
            (7, 253),
            (80, 300),
            (100, 320),
        ];
        let deltas = feed(&mut groups, &packets);
        assert_eq!(deltas, [(60.0, 202.0), (20.0, 48.0)]);
    }
}
