//! Halves of packets that wait for each other.

use std::collections::BTreeMap;
use std::time::Instant;

use super::datagram::{Part, UnitPart};
use super::send::Unit;
use crate::limits::{HOP_JOIN_AGE, HOP_JOINS_MAX};

#[derive(Debug)]
struct Half {
    since: Instant,
    head: Option<Unit>,
    tail: Option<Vec<u8>>,
}

/// Joins the halves of packets by the number that they share.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    halves: BTreeMap<u16, Half>,
}

impl Joiner {
    /// A packet, if this completes one.
    pub(super) fn take(&mut self, now: Instant, unit: UnitPart<'_>) -> Option<Unit> {
        let body = unit.body.to_vec();
        let (join, head, tail) = match unit.part {
            Part::Whole { label, epoch } => return Some(Unit { label, epoch, body }),
            Part::Head { join, label, epoch } => (join, Some(Unit { label, epoch, body }), None),
            Part::Tail { join } => (join, None, Some(body)),
        };
        self.forget(now);
        let half = self.halves.entry(join).or_insert(Half {
            since: now,
            head: None,
            tail: None,
        });
        half.head = head.or(half.head.take());
        half.tail = tail.or(half.tail.take());
        if half.head.is_none() || half.tail.is_none() {
            return None;
        }
        let half = self.halves.remove(&join)?;
        let (mut unit, tail) = half.head.zip(half.tail)?;
        unit.body.extend_from_slice(&tail);
        Some(unit)
    }

    /// Drops what has waited too long, and the oldest when there are too many.
    fn forget(&mut self, now: Instant) {
        if self.halves.len() < HOP_JOINS_MAX {
            return;
        }
        self.halves
            .retain(|_, half| now.saturating_duration_since(half.since) < HOP_JOIN_AGE);
        if self.halves.len() >= HOP_JOINS_MAX {
            let oldest = self.halves.iter().min_by_key(|(_, half)| half.since);
            if let Some(join) = oldest.map(|(join, _)| *join) {
                self.halves.remove(&join);
            }
        }
    }
}
