//! Where a connection's client is reached, and how sure we are of it.
//!
//! QUIC itself moves a connection (RFC 9000, section 9): a packet from elsewhere makes the server
//! challenge the new address, send there no more than three times what came from it until the
//! challenge is answered, and go back where it is not. [`PathMachine`] tells these steps from what
//! a connection counts, so that operators see them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a client is said to be probing after it tried another path.
pub const PROBING_FOR: Duration = Duration::from_secs(1);
/// How long a connection is said to have fallen back.
pub const FALLBACK_FOR: Duration = Duration::from_secs(5);

/// A connection's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// The client owns its address, as far as it had to show it.
    Active,
    /// The client tries another path, and stays with this one.
    Probing,
    /// The client speaks from another address, which it has not yet shown to own.
    Migrating,
    /// The other address did not answer: the connection is back where it was.
    Fallback,
}

impl PathState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Probing, Self::Migrating, Self::Fallback];

    /// As metrics and logs name it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Probing => "probing",
            Self::Migrating => "migrating",
            Self::Fallback => "fallback",
        }
    }
}

/// What a connection counts of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathSample {
    /// Where the client is.
    pub remote: SocketAddr,
    /// Challenges that we sent: once an address is new.
    pub challenged: u64,
    /// Answers to them.
    pub answered: u64,
    /// Challenges of the client's.
    pub probed: u64,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathChange {
    /// What it was.
    pub from: PathState,
    /// What it is.
    pub to: PathState,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Active,
    Probing {
        until: Instant,
    },
    /// `home` is the last address that was shown to be the client's.
    Migrating {
        home: SocketAddr,
    },
    Fallback {
        until: Instant,
    },
}

/// The machine: a sample in, steps out. Each input makes two steps at most.
#[derive(Debug)]
pub struct PathMachine {
    phase: Phase,
    seen: PathSample,
    changes: [Option<PathChange>; 2],
}

impl PathMachine {
    /// For a connection that has just been made.
    #[must_use]
    pub const fn new(sample: PathSample) -> Self {
        Self {
            phase: Phase::Active,
            seen: sample,
            changes: [None; 2],
        }
    }

    /// What it is.
    #[must_use]
    pub const fn state(&self) -> PathState {
        match self.phase {
            Phase::Active => PathState::Active,
            Phase::Probing { .. } => PathState::Probing,
            Phase::Migrating { .. } => PathState::Migrating,
            Phase::Fallback { .. } => PathState::Fallback,
        }
    }

    /// Takes what the connection counts now.
    pub fn handle_sample(&mut self, now: Instant, sample: PathSample) {
        let seen = std::mem::replace(&mut self.seen, sample);
        let answered = sample.answered > seen.answered;
        let challenged = sample.challenged > seen.challenged;
        let moved = sample.remote != seen.remote;
        match self.phase {
            Phase::Migrating { .. } if answered => self.enter(Phase::Active),
            Phase::Migrating { home } if moved && sample.remote == home => {
                self.fall_back(now);
            }
            Phase::Migrating { .. } => {}
            Phase::Active | Phase::Probing { .. } | Phase::Fallback { .. } if moved => {
                self.enter(Phase::Migrating { home: seen.remote });
                if answered {
                    self.enter(Phase::Active);
                }
            }
            // It went away and came back between two looks.
            Phase::Active | Phase::Probing { .. } if challenged && !answered => {
                self.enter(Phase::Migrating { home: seen.remote });
                self.fall_back(now);
            }
            Phase::Active if sample.probed > seen.probed => {
                if let Some(until) = now.checked_add(PROBING_FOR) {
                    self.enter(Phase::Probing { until });
                }
            }
            Phase::Probing { until } | Phase::Fallback { until } if now >= until => {
                self.enter(Phase::Active);
            }
            Phase::Active | Phase::Probing { .. } | Phase::Fallback { .. } => {}
        }
    }

    /// The next step, in order.
    pub fn poll_change(&mut self) -> Option<PathChange> {
        let next = self.changes[0].take();
        self.changes.swap(0, 1);
        next
    }

    fn fall_back(&mut self, now: Instant) {
        if let Some(until) = now.checked_add(FALLBACK_FOR) {
            self.enter(Phase::Fallback { until });
        }
    }

    fn enter(&mut self, phase: Phase) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if let Some(free) = self.changes.iter_mut().find(|change| change.is_none()) {
            *free = Some(PathChange { from, to });
        }
    }
}

#[cfg(test)]
mod tests;
