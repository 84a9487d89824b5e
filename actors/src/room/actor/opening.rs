//! How a life begins: who lives, how they are, and what the shards have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use media_types::{Identity, PeerId};

use super::Room;
use crate::limits::DEFERRED_MAX;
use crate::peer::PeerMessage;
use crate::room::message::{Living, RoomMessage};
use crate::room::supervisor::SupervisorMessage;

/// Where a life stands before its first message.
#[derive(Default)]
pub(super) struct Opening {
    deferred: Vec<RoomMessage>,
    rolled: bool,
    /// Who the supervisor says that there is.
    names: BTreeMap<PeerId, Identity>,
    /// Peers that have not said how they are.
    silent: BTreeSet<PeerId>,
    /// Shards were asked what they have.
    asked: bool,
}

impl Room {
    /// Handles a message of the opening; `None` when it has been taken.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what cannot be kept is dropped, whatever it is"
    )]
    pub(super) fn open(&mut self, now: Instant, message: RoomMessage) -> Option<RoomMessage> {
        let opening = self.opening.as_mut()?;
        match message {
            RoomMessage::Roll(children) => {
                opening.rolled = true;
                for Living {
                    peer,
                    identity,
                    mailbox,
                } in children
                {
                    opening.names.insert(peer, identity);
                    if mailbox.tell(PeerMessage::RollCall).is_ok() {
                        opening.silent.insert(peer);
                    }
                    self.peers.insert(peer, mailbox);
                }
                if self.peers.is_empty() {
                    self.finish_opening(now);
                } else {
                    self.proceed(now);
                }
            }
            RoomMessage::Present(record) => {
                opening.silent.remove(&record.peer);
                self.state.recall(now, *record);
                self.proceed(now);
            }
            RoomMessage::Event(shard, event) => {
                self.event(shard, *event);
                self.proceed(now);
            }
            RoomMessage::RollCallOver => self.finish_opening(now),
            RoomMessage::Panic | RoomMessage::Timer => return Some(message),
            other if opening.deferred.len() < DEFERRED_MAX => opening.deferred.push(other),
            _ => tracing::warn!(room = %self.seed.name, "a message was lost in the opening"),
        }
        None
    }

    /// Once everybody has answered, the shards are asked; once they have, the room is open.
    fn proceed(&mut self, now: Instant) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        if !opening.rolled || !opening.silent.is_empty() {
            return;
        }
        if !opening.asked {
            opening.asked = true;
            self.dirty.extend(self.state.shards.iter().copied());
            self.describe_dirty();
        } else if self.describes.is_empty() && self.dirty.is_empty() {
            self.finish_opening(now);
        }
    }

    fn finish_opening(&mut self, now: Instant) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let strangers: Vec<PeerId> = self
            .peers
            .keys()
            .filter(|peer| !self.state.members.contains_key(peer))
            .copied()
            .collect();
        for peer in strangers {
            // It has not said how it is: nobody is left who knows it.
            self.peers.remove(&peer);
            self.tell_supervisor(SupervisorMessage::Stop(peer));
            if let Some(identity) = opening.names.get(&peer) {
                self.state.tell_lost(identity);
            }
        }
        self.state.sort_recalled();
        for message in opening.deferred {
            self.take(now, message);
        }
    }

    pub(super) fn load(&mut self, peer: PeerId) {
        let Some(member) = self.state.members.get(&peer) else {
            self.tell_supervisor(SupervisorMessage::Stop(peer));
            return;
        };
        let load = PeerMessage::Load(Box::new(member.record.clone()), self.state.room_view());
        // One that is not known yet, or whose box is full, asks again.
        if let Some(mailbox) = self.peers.get(&peer)
            && mailbox.tell(load).is_err()
        {
            self.behind.insert(peer);
        }
        if let Some(board) = self.state.qualities.board() {
            self.tell(peer, PeerMessage::Qualities(board));
        }
    }
}
