//! A part's clients go to another part: asking for it, and taking them.

use std::time::Instant;

use control_plane::migration::Handover;
use media_types::WorkerId;
use signaling::view::MigrateReason;
use signaling::{ErrorType, RpcError};
use supervision::Reply;

use super::Room;
use crate::part::PartBody;
use crate::room::message::{Destination, Move};
use crate::room::parts::hand::Heir;
use crate::room::state::RoomPhase;

/// An answer that is waited for.
pub(super) struct Asked {
    heir: Heir,
    reply: Reply<Result<(), RpcError>>,
}

impl Room {
    /// Asks another part to take this one's clients. A newer question replaces an earlier one.
    pub(super) fn hand_off(&mut self, reply: Reply<Result<(), RpcError>>) {
        if self.state.phase == RoomPhase::Handover {
            reply.send(Ok(()));
            return;
        }
        let heir = self.state.heir();
        let Some(heir) = heir.filter(|_| self.state.phase == RoomPhase::Active) else {
            // Who would not a moment ago may next time.
            self.state.parts.refused.clear();
            reply.send(Err(ErrorType::Unavailable.into()));
            return;
        };
        if !self.tell_part(heir.worker, PartBody::Hand(Box::new(self.handover()))) {
            self.state.parts.refused.insert(heir.worker);
            reply.send(Err(ErrorType::Unavailable.into()));
            return;
        }
        self.asked = Some(Asked { heir, reply });
    }

    /// Another part's clients are to come here.
    pub(super) fn take_hand(&mut self, now: Instant, from: WorkerId, handover: Handover) {
        let context = &self.seed.context;
        let takes = self.state.takes() && !context.is_draining();
        if takes {
            for used in &handover.used {
                let admission = &context.environment.admission;
                admission.consume(&used.jti, &used.sub, None);
            }
            let until = now + context.config.move_deadline;
            self.state.expect(now, handover, until);
            self.keep_stage();
        }
        self.tell_part(from, PartBody::Takes(takes));
    }

    /// It takes them, or does not.
    pub(super) fn taken(&mut self, now: Instant, from: WorkerId, takes: bool) {
        let Some(Asked { heir, reply }) = self.asked.take_if(|it| it.heir.worker == from) else {
            return;
        };
        let is_part = self.state.parts.is_branch() && self.state.phase == RoomPhase::Active;
        if !takes || !is_part {
            self.state.parts.refused.insert(from);
            reply.send(Err(ErrorType::Unavailable.into()));
            return;
        }
        // Who has come, or publishes more, since it was asked.
        self.tell_part(from, PartBody::Hand(Box::new(self.handover())));
        let to = Move {
            to: Destination::Part(heir.worker),
            url: heir.url,
            deadline: self.seed.context.config.move_deadline,
            reason: MigrateReason::Drain,
        };
        self.migrate(now, to);
        tracing::info!(room = %self.seed.name, to = %from, "a part's clients go to another part");
        ::metrics::counter!(crate::metrics::PART_HANDS).increment(1);
        reply.send(Ok(()));
    }
}
