//! Numbers of one subscription: what was dropped on purpose leaves no gap, what was lost does.

use std::collections::VecDeque;
use std::ops::Range;

/// Dropped runs remembered, so that late numbers still find theirs. With 30 pictures a second of
/// which every second one is dropped, this reaches back four seconds: longer than a lost packet
/// is worth repairing.
const RUNS_MAX: usize = 64;

/// Maps the numbers of a source to numbers without the dropped ones.
#[derive(Debug, Clone)]
pub(crate) struct Continuity {
    /// Numbers below are refused: from before the start, or too old to place.
    first: u64,
    /// The highest number forwarded or dropped, plus one.
    end: u64,
    /// Incoming minus outgoing number, around the circle, above the last run.
    offset: u64,
    /// Numbers dropped before a later one was forwarded, in order; they never touch.
    dropped: VecDeque<Range<u64>>,
}

impl Continuity {
    /// A mapping in which `incoming` becomes `outgoing`.
    pub(crate) fn starting(incoming: u64, outgoing: u64) -> Self {
        Self {
            first: incoming,
            end: incoming,
            offset: incoming.wrapping_sub(outgoing),
            dropped: VecDeque::new(),
        }
    }

    /// Starts again: `incoming` becomes `outgoing`, and what is below is refused.
    pub(crate) fn restart(&mut self, incoming: u64, outgoing: u64) {
        self.first = incoming;
        self.end = incoming;
        self.offset = incoming.wrapping_sub(outgoing);
        self.dropped.clear();
    }

    /// The outgoing number; `None` if it was dropped or is too old. A number that skips some leaves
    /// a gap of the same size.
    pub(crate) fn forward(&mut self, incoming: u64) -> Option<u64> {
        let outgoing = self.place_of(incoming)?;
        self.end = self.end.max(incoming + 1);
        Some(outgoing)
    }

    /// Takes a number out. If a later one has been forwarded, the hole cannot be closed any more
    /// and is returned.
    pub(crate) fn drop(&mut self, incoming: u64) -> Option<u64> {
        if incoming < self.end {
            return self.place_of(incoming);
        }
        self.end = incoming + 1;
        self.offset = self.offset.wrapping_add(1);
        match self.dropped.back_mut() {
            Some(run) if run.end == incoming => run.end += 1,
            _ => {
                if self.dropped.capacity() == 0 {
                    // All at once, and only where something is ever dropped.
                    self.dropped.reserve_exact(RUNS_MAX);
                }
                if self.dropped.len() == RUNS_MAX {
                    self.forget_oldest();
                }
                self.dropped.push_back(incoming..incoming + 1);
            }
        }
        None
    }

    fn forget_oldest(&mut self) {
        if let Some(run) = self.dropped.pop_front() {
            self.first = run.end;
        }
    }

    fn place_of(&self, incoming: u64) -> Option<u64> {
        if incoming < self.first {
            return None;
        }
        let mut offset = self.offset;
        for run in self.dropped.iter().rev() {
            if incoming >= run.end {
                break;
            }
            if incoming >= run.start {
                return None;
            }
            offset = offset.wrapping_sub(run.end - run.start);
        }
        Some(incoming.wrapping_sub(offset))
    }
}
