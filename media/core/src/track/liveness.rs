//! Whether a track's packets flow.

use std::time::Instant;

use crate::limits::STALL_AFTER;

/// What changed in the flow of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The first packet, or the first after a stall.
    Started,
    /// Silence for longer than DTX or a still picture explains.
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet; what never started cannot stall.
    Waiting,
    Flowing {
        last: Instant,
    },
    Stalled,
}

/// Watches one track.
#[derive(Debug, Clone)]
pub(crate) struct Liveness {
    phase: Phase,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            phase: Phase::Waiting,
        }
    }
}

impl Liveness {
    /// A packet came.
    pub(crate) fn on_packet(&mut self, now: Instant) -> Option<Flow> {
        let flowing = matches!(self.phase, Phase::Flowing { .. });
        self.phase = Phase::Flowing { last: now };
        (!flowing).then_some(Flow::Started)
    }

    /// Whether anything ever came.
    pub(crate) fn has_started(&self) -> bool {
        self.phase != Phase::Waiting
    }

    /// Silence until now is explained: the track is or was muted.
    pub(crate) fn excuse(&mut self, now: Instant) {
        if let Phase::Flowing { last } = &mut self.phase {
            *last = now;
        }
    }

    /// Looks for a stall.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Flow> {
        let Phase::Flowing { last } = self.phase else {
            return None;
        };
        if now.saturating_duration_since(last) < STALL_AFTER {
            return None;
        }
        self.phase = Phase::Stalled;
        Some(Flow::Stalled)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn starts_stalls_and_starts_again() {
        #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
        let base = Instant::now();
        let mut liveness = Liveness::default();
        assert_eq!(liveness.poll(base + STALL_AFTER), None);
        assert_eq!(liveness.on_packet(base), Some(Flow::Started));
        let dtx = Duration::from_millis(400);
        assert_eq!(liveness.on_packet(base + dtx), None);
        assert_eq!(liveness.poll(base + STALL_AFTER), None);
        assert_eq!(liveness.poll(base + dtx + STALL_AFTER), Some(Flow::Stalled));
        assert_eq!(liveness.poll(base + STALL_AFTER * 3), None);
        assert_eq!(
            liveness.on_packet(base + STALL_AFTER * 3),
            Some(Flow::Started)
        );
        liveness.excuse(base + STALL_AFTER * 6);
        assert_eq!(liveness.poll(base + STALL_AFTER * 6), None);
    }
}
