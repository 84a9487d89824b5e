//! What operators do to a peer: here, or by a letter to the part that it is in.

use std::collections::BTreeMap;
use std::time::Instant;

use media_contract::Action;
use media_types::{Identity, PeerId, WorkerId};
use signaling::{ErrorType, RpcError};

use super::Room;
use crate::limits::{ACT_DEADLINE, ACTS_MAX};
use crate::part::{Deed, PartBody};
use crate::peer::PeerMessage;
use crate::room::message::ActReply;

/// Deeds that other parts were asked for.
#[derive(Default)]
pub(super) struct Acts {
    asked: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    at: WorkerId,
    due: Instant,
    reply: ActReply,
}

impl Acts {
    /// When [`Self::give_up`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        // All wait equally long: the first of them is the first to end.
        let first = self.waiting.first_key_value();
        first.map(|(_, waiting)| waiting.due)
    }

    /// Whoever has waited long enough hears that nothing is known of it.
    pub(super) fn give_up(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first_entry()
            && first.get().due <= now
        {
            first.remove().reply.send(Err(no_answer()));
        }
    }

    fn answered(&mut self, from: WorkerId, id: u64, found: bool) {
        let is_there = self.waiting.get(&id).is_some_and(|it| it.at == from);
        if let Some(waiting) = self.waiting.remove(&id).filter(|_| is_there) {
            waiting.reply.send(answer(found));
        }
    }
}

fn answer(found: bool) -> Result<(), RpcError> {
    match found {
        true => Ok(()),
        false => Err(ErrorType::NotFound.into()),
    }
}

fn no_answer() -> RpcError {
    let why = "the worker that this peer is in at does not answer";
    RpcError::with_message(ErrorType::Unavailable, why)
}

impl Room {
    pub(super) fn act(&mut self, now: Instant, identity: Identity, deed: Deed, reply: ActReply) {
        let far = self.state.parts.peers.get(&identity);
        let Some(at) = far.map(|(worker, _)| *worker) else {
            reply.send(answer(self.act_here(now, &identity, deed)));
            return;
        };
        if self.acts.waiting.len() >= ACTS_MAX {
            reply.send(Err(ErrorType::Overloaded.into()));
            return;
        }
        self.acts.asked = self.acts.asked.wrapping_add(1);
        let id = self.acts.asked;
        if self.tell_part(at, PartBody::Act { id, identity, deed }) {
            let due = now + ACT_DEADLINE;
            let waiting = Waiting { at, due, reply };
            self.acts.waiting.insert(id, waiting);
        } else {
            reply.send(Err(no_answer()));
        }
    }

    /// An operator of another part asks.
    pub(super) fn act_for(
        &mut self,
        now: Instant,
        from: WorkerId,
        id: u64,
        (identity, deed): (Identity, Deed),
    ) {
        let found = self.act_here(now, &identity, deed);
        if !self.tell_part(from, PartBody::Acted { id, found }) {
            tracing::debug!(worker = %from, "an operator does not hear what was done");
        }
    }

    pub(super) fn acted(&mut self, from: WorkerId, id: u64, found: bool) {
        self.acts.answered(from, id, found);
    }

    /// Whether it is in here.
    fn act_here(&mut self, now: Instant, identity: &Identity, deed: Deed) -> bool {
        let Some(peer) = self.state.identities.get(identity).copied() else {
            return false;
        };
        match deed {
            Deed::Kick(reason) => return self.state.kick(now, peer, reason),
            Deed::Mute { track, muted } => self.tell(peer, PeerMessage::Mute(track, muted)),
            Deed::Change(change) => self.tell(peer, PeerMessage::Change(*change)),
            Deed::FailPeer if self.may_fail() => self.tell(peer, PeerMessage::Panic),
            Deed::FailTransport if self.may_fail() => return self.fail_transport(peer),
            Deed::FailPeer | Deed::FailTransport => return false,
        }
        true
    }

    fn may_fail(&self) -> bool {
        self.seed.context.config.debug_faults
    }

    fn fail_transport(&mut self, peer: PeerId) -> bool {
        let member = self.state.members.get(&peer);
        let member = member.filter(|_| self.has_media(peer));
        let Some((shard, transport)) = member.map(|m| (m.record.shard, m.record.transport)) else {
            return false;
        };
        self.command(shard, Action::InjectFault { transport });
        true
    }
}
