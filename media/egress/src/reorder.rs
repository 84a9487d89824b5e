//! Packets in order again, as far as waiting helps.
//!
//! A tap hands on packets as they come: what was lost and sent again is late. Packets after a gap
//! wait [`REORDER_WAIT`] for it, or until too many wait; then the gap is told as a loss.

use std::collections::BTreeMap;
use std::time::Duration;

use media_types::Payload;

use crate::limits::{REORDER_PACKETS_MAX, REORDER_WAIT};

/// A packet of a tap.
#[derive(Debug, Clone)]
pub struct TapPacket {
    /// Its place in the stream; does not wrap.
    pub sequence: u64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The last packet of a frame.
    pub marker: bool,
    /// What follows the RTP header.
    pub payload: Payload,
}

/// What comes out, in order.
#[derive(Debug, Clone)]
pub enum Ordered {
    /// The next packet.
    Packet(TapPacket),
    /// This many packets never came.
    Lost(u64),
}

/// Puts packets in order.
#[derive(Debug, Default)]
pub struct Reorder {
    next: Option<u64>,
    waiting: BTreeMap<u64, TapPacket>,
    /// When the packet at the gap's far side came.
    since: Option<Duration>,
}

impl Reorder {
    /// Takes a packet; copies, and those that come after their loss was told, are dropped.
    pub fn insert(&mut self, now: Duration, packet: TapPacket) {
        let next = *self.next.get_or_insert(packet.sequence);
        if packet.sequence < next {
            return;
        }
        self.waiting.entry(packet.sequence).or_insert(packet);
        if self.since.is_none() && !self.waiting.contains_key(&next) {
            self.since = Some(now);
        }
    }

    /// The next in order; call until `None`.
    pub fn pop(&mut self, now: Duration) -> Option<Ordered> {
        let next = self.next?;
        if let Some(packet) = self.waiting.remove(&next) {
            self.next = Some(next.saturating_add(1));
            self.since = self.has_gap().then_some(now);
            return Some(Ordered::Packet(packet));
        }
        let first = *self.waiting.keys().next()?;
        let late = self.poll_timeout().is_some_and(|deadline| now >= deadline);
        if !late && self.waiting.len() < REORDER_PACKETS_MAX {
            return None;
        }
        self.next = Some(first);
        Some(Ordered::Lost(first.saturating_sub(next)))
    }

    /// When a gap is given up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        Some(self.since?.saturating_add(REORDER_WAIT))
    }

    fn has_gap(&self) -> bool {
        let first = self.waiting.keys().next().copied();
        first.is_some_and(|first| Some(first) != self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(sequence: u64) -> TapPacket {
        TapPacket {
            sequence,
            timestamp: 0,
            marker: false,
            payload: Payload::copy_of(&[0]).unwrap(),
        }
    }

    fn drain(reorder: &mut Reorder, now: Duration) -> (Vec<u64>, u64) {
        let (mut passed, mut lost) = (Vec::new(), 0);
        while let Some(ordered) = reorder.pop(now) {
            match ordered {
                Ordered::Packet(packet) => passed.push(packet.sequence),
                Ordered::Lost(count) => lost += count,
            }
        }
        (passed, lost)
    }

    #[test]
    fn a_gap_is_waited_for_and_then_told() {
        let mut reorder = Reorder::default();
        let at = Duration::from_millis;
        for sequence in [10, 12, 13] {
            reorder.insert(at(0), packet(sequence));
        }
        assert_eq!(drain(&mut reorder, at(0)), (vec![10], 0));
        assert_eq!(drain(&mut reorder, at(249)), (vec![], 0));
        reorder.insert(at(249), packet(11));
        assert_eq!(drain(&mut reorder, at(249)), (vec![11, 12, 13], 0));
        reorder.insert(at(300), packet(16));
        assert_eq!(reorder.poll_timeout(), Some(at(550)));
        assert_eq!(drain(&mut reorder, at(550)), (vec![16], 2));
        reorder.insert(at(560), packet(14));
        assert_eq!(drain(&mut reorder, at(900)), (vec![], 0));
        assert_eq!(reorder.poll_timeout(), None);
    }

    #[test]
    fn too_many_do_not_wait() {
        let mut reorder = Reorder::default();
        reorder.insert(Duration::ZERO, packet(0));
        for sequence in 2..=1_025 {
            reorder.insert(Duration::ZERO, packet(sequence));
        }
        let (passed, lost) = drain(&mut reorder, Duration::ZERO);
        assert_eq!((passed.len(), lost), (1_025, 1));
    }

    proptest! {
        #[test]
        fn whatever_the_order_they_rise(order in prop::collection::vec(0_u64..200, 1..300)) {
            let mut reorder = Reorder::default();
            let mut all = Vec::new();
            for (millis, sequence) in (0..).zip(order) {
                let now = Duration::from_millis(millis * 7);
                reorder.insert(now, packet(sequence));
                all.extend(drain(&mut reorder, now).0);
            }
            prop_assert!(all.is_sorted());
            all.dedup();
            prop_assert_eq!(all.len(), all.iter().collect::<std::collections::BTreeSet<_>>().len());
        }
    }
}
