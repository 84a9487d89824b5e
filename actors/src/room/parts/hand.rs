//! A part whose worker is to be emptied: its clients go to another part, as those of a room do that
//! moves (docs/migration.md), and the room stays its owner's.
//!
//! The store has no say in it. The part asks another one by a letter whether it takes them; from
//! the answer on it takes nobody, and sends them there. Where that one is lost on the way they stay
//! where they are, and the next is asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use control_plane::migration::{HandedPeer, Handover};
use media_types::{PeerId, WorkerId};
use signaling::view::LeaveReason;

use super::{FarPeer, PartRoster, RoomPhase, RoomState};
use crate::room::message::Destination;
use crate::room::state::Effect;

/// Who takes a part's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heir {
    pub(crate) worker: WorkerId,
    pub(crate) url: String,
}

impl RoomState {
    /// The part that is to have this one's clients: one with places for all of them, and of those
    /// the owner's; else the one with most.
    pub(crate) fn heir(&self) -> Option<Heir> {
        let owner = self.parts.owner?;
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let able = self.parts.known.iter().filter(|(worker, part)| {
            part.lost_at.is_none()
                && part.roster.leaving.is_none()
                && !self.parts.refused.contains(worker)
        });
        let best = able.max_by_key(|(worker, part)| {
            let places = part.roster.places;
            (places >= members, **worker == owner, places)
        });
        best.map(|(worker, part)| Heir {
            worker: *worker,
            url: part.roster.url.clone(),
        })
    }

    /// Whether clients of another part may come here.
    pub(crate) fn takes(&self) -> bool {
        self.phase == RoomPhase::Active && !self.parts.stands_by
    }

    /// Another part's clients come here: the others take them for present as before.
    pub(crate) fn expect(&mut self, now: Instant, handover: Handover, until: Instant) {
        // It may be told again.
        let known: BTreeSet<String> = self.stage.used.iter().map(|it| it.jti.clone()).collect();
        let new = handover.used.iter().filter(|it| !known.contains(&it.jti));
        for used in new {
            self.note_used(&used.jti, &used.sub);
        }
        self.await_peers(handover.peers, until);
        self.note_empty(now);
    }

    pub(in crate::room) fn await_peers(&mut self, peers: Vec<HandedPeer>, until: Instant) {
        let later = self.stage.expected_until.max(Some(until));
        self.stage.expected_until = later;
        for peer in peers {
            if !self.identities.contains_key(&peer.identity) {
                self.stage.expected.insert(peer.identity.clone(), peer);
            }
        }
        self.parts.touch();
    }

    /// Who takes this part's clients is gone: they stay, if they were on their way there.
    pub(super) fn hand_failed(&mut self, worker: WorkerId) {
        let leaving = self.stage.leaving.as_ref().map(|(to, _)| to.to);
        if self.phase == RoomPhase::Handover && leaving == Some(Destination::Part(worker)) {
            self.settle_branch();
            self.parts.touch();
            self.effects.push(Effect::KeepStage);
        }
    }

    /// Somebody who was to come here has left where he still was.
    pub(super) fn note_departed(&mut self, before: &PartRoster, after: &PartRoster) {
        let me = Some(self.parts.me);
        if before.leaving != me || after.leaving != me {
            return;
        }
        let sessions = |roster: &PartRoster| -> BTreeSet<PeerId> {
            roster.peers.iter().map(|far| far.session).collect()
        };
        let left = &sessions(before) - &sessions(after);
        let expected = self.stage.expected.values();
        let left: Vec<HandedPeer> = expected
            .filter(|peer| left.contains(&peer.session))
            .cloned()
            .collect();
        for peer in left {
            self.stage.expected.remove(&peer.identity);
            self.tell_away(peer, LeaveReason::Left);
        }
    }

    /// A part has ended. Whom it sent elsewhere is there: the word of that may be on its way.
    pub(in crate::room) fn part_over(&mut self, now: Instant, worker: WorkerId) {
        if self
            .parts
            .known
            .get(&worker)
            .is_some_and(|part| part.is_over)
        {
            return;
        }
        let goes = self.parts.part(worker).and_then(|roster| roster.leaving);
        let there = goes.filter(|to| self.parts.part(*to).is_some());
        if there.is_none() || self.parts.owner == Some(worker) {
            self.part_gone(now, worker);
            return;
        }
        if let Some(part) = self.parts.known.get_mut(&worker) {
            let roster = Arc::make_mut(&mut part.roster);
            roster.peers.retain(|far| far.follows);
            (part.is_over, part.lost_at) = (true, Some(now));
        }
        self.parts.heard.remove(&worker);
        self.parts.torn = true;
        self.bury_parts(now);
    }

    /// Forgets parts that have ended, once all of their clients are known elsewhere.
    pub(super) fn bury_parts(&mut self, now: Instant) {
        let is_known = |far: &FarPeer| {
            let identity = &far.peer.peer_id;
            let others = self.parts.known.values().filter(|part| !part.is_over);
            let mut peers = others.flat_map(|part| &part.roster.peers);
            self.identities.contains_key(identity)
                || peers.any(|other| other.peer.peer_id == *identity)
        };
        let known = self.parts.known.iter();
        let over: Vec<WorkerId> = known
            .filter(|(_, part)| part.is_over && part.roster.peers.iter().all(is_known))
            .map(|(worker, _)| *worker)
            .collect();
        for worker in over {
            self.part_gone(now, worker);
        }
    }
}
