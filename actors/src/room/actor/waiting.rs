//! Joins that wait until it is known whether the room has a place for them.

use std::collections::VecDeque;
use std::time::Instant;

use signaling::{ErrorType, RpcError};

use super::Room;
use crate::limits::{MOVE_TICK, SEAT_QUEUE};
use crate::metrics;
use crate::room::message::{JoinAsk, JoinRefused};
use crate::room::state::RoomPhase;

/// Who waits, and until when; the first came first.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<(Instant, JoinAsk)>);

impl Waiting {
    /// When the first has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|(until, _)| *until)
    }
}

impl Room {
    pub(super) fn wait(&mut self, now: Instant, ask: JoinAsk, until: Instant) {
        if now < until && self.waiting.0.len() < SEAT_QUEUE {
            self.waiting.0.push_back((until, ask));
            self.state.parts.seats.set_joins(self.waiting.0.len());
            return;
        }
        ::metrics::counter!(metrics::PART_JOINS, "outcome" => "unanswered").increment(1);
        let error = RpcError::new(ErrorType::Unavailable).retry_after(MOVE_TICK);
        ask.reply.send(Err(JoinRefused::No(error)));
    }

    /// Whoever waits is let in, or sent away, as soon as that is known.
    pub(super) fn settle_seats(&mut self, now: Instant) {
        if self.opening.is_some() {
            return;
        }
        let late = self.waiting.due().is_some_and(|due| now >= due);
        let closed = self.state.phase == RoomPhase::Closed;
        let mut news = self.state.share_seats(now) || late || closed;
        while news && !self.waiting.0.is_empty() {
            let waiting = std::mem::take(&mut self.waiting.0);
            let before = waiting.len();
            for (until, ask) in waiting {
                self.join_until(now, ask, until);
            }
            self.state.parts.seats.set_joins(self.waiting.0.len());
            news = self.state.share_seats(now) && self.waiting.0.len() < before;
        }
    }
}
