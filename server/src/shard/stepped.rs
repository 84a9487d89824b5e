//! A shard whose turns its owner takes.
//!
//! For benches: the very loop of a shard's thread, at times that the caller chooses and on the
//! caller's thread, so that what a turn costs can be told from what others do meanwhile.

use std::time::{Duration, Instant};

use media_contract::{Command, Event, PlaneError};
use media_core::{RelayMessage, Shard};
use media_types::ShardId;

use super::Shards;
use super::ring::{Report, Reports};
use super::thread::{Parts, Turns};

/// One shard with its socket and its queues, and no thread.
pub struct SteppedShard {
    turns: Turns<Shard, Box<Parts<RelayMessage>>>,
    events: mio::Events,
    reports: Reports,
}

impl Shards {
    /// Makes the shards without starting threads for them.
    pub fn stepped(
        self,
        now: Instant,
        make: impl Fn(Instant, ShardId) -> Shard,
    ) -> Vec<SteppedShard> {
        let pairs = self.parts.into_iter().zip(self.reports);
        let stepped = pairs.map(|(parts, reports)| {
            let shard = make(now, parts.id);
            SteppedShard {
                turns: Turns::new(Box::new(parts), shard, now),
                events: mio::Events::with_capacity(8),
                reports,
            }
        });
        stepped.collect()
    }
}

impl SteppedShard {
    /// Queues a command for the next turn.
    ///
    /// # Errors
    /// [`PlaneError::Busy`] when the queue is full.
    pub fn command(&self, command: Command) -> Result<(), PlaneError> {
        self.turns.parts().inbox.command(command)
    }

    /// Looks at the socket as the thread does when it would sleep, and takes a turn. Whether
    /// something was left for the next.
    pub fn turn(&mut self, now: Instant) -> bool {
        self.turns.look(&mut self.events, Duration::ZERO);
        self.turns.turn(now)
    }

    /// When a turn is due without input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.turns.poll_timeout()
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Report::Event(event) = self.reports.next()? {
                return Some(event);
            }
        }
    }

    /// Lets neighbours of one size leave as one segmented send, or not.
    pub fn set_segmentation(&mut self, segment: bool) {
        self.turns.parts_mut().socket.set_segmentation(segment);
    }

    /// Datagrams sent and the system calls that took.
    #[must_use]
    pub fn sends(&self) -> (u64, u64) {
        let figures = self.turns.parts().socket.figures;
        (figures.datagrams_out, figures.sends)
    }
}
