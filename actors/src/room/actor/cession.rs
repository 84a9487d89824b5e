//! A room whose worker the store takes for gone: another one asks for it, and has it from then on.

use std::time::Instant;

use media_types::{Epoch, WorkerId};
use signaling::view::MigrateReason;

use super::Room;
use crate::part::{PartBody, PartRoster};
use crate::room::message::{Destination, Move};
use crate::room::state::RoomPhase;

impl Room {
    fn is_owned(&self) -> bool {
        self.state.phase == RoomPhase::Active && !self.state.parts.is_branch()
    }

    /// Another worker is about to take the room, which it can, since this one's lease has ended.
    /// Nothing changes until it says that it has: the store decides who does.
    pub(super) fn cede(&mut self, to: WorkerId) {
        if !self.is_owned() {
            self.tell_part(to, PartBody::Gone);
            return;
        }
        let room = &self.seed.name;
        tracing::warn!(%room, %to, "cut off from the store, and the room is handed over");
        self.state.stage.ceded = true;
        self.keep_stage();
        self.tell_part(to, PartBody::Cedes(Box::new(self.handover())));
    }

    /// It has: clients go there, though the store cannot be asked.
    pub(super) fn overtaken(
        &mut self,
        now: Instant,
        by: WorkerId,
        epoch: Epoch,
        roster: &PartRoster,
    ) {
        let owns = roster.owner == by && epoch > self.state.stage.epoch;
        if !(owns && self.state.stage.ceded && self.is_owned()) {
            return;
        }
        let to = Move {
            to: Destination::Owner(by, Some(epoch)),
            url: roster.url.clone(),
            deadline: self.seed.context.config.move_deadline,
            reason: MigrateReason::Ownership,
        };
        self.migrate(now, to);
    }
}
