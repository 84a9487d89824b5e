//! Rooms that go to another shard of this worker: as to another worker, but without the store.
//!
//! A second life of the room opens on the other shard. Once it listens, the first says who is in
//! and takes nobody from then on; the second is the room by its name, and clients are sent there.
//! The first forwards until all have settled, and ends.

use control_plane::Handover;
use media_types::{RoomId, RoomName, ShardId};
use signaling::view::MigrateReason;
use signaling::{ErrorType, RpcError};
use supervision::{Reply, Scope};

use super::{Begins, Rooms, RoomsMessage, Running};
use crate::directory::{Listener, RoomEntry};
use crate::error::from_ask;
use crate::limits::ASK_DEADLINE;
use crate::metrics;
use crate::room::RoomMessage;
use crate::room::actor::Activation;
use crate::room::message::{Destination, Move};

/// A room that went from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardMove {
    /// Which.
    pub room: RoomName,
    /// Where it was.
    pub from: ShardId,
    /// Where it is.
    pub to: ShardId,
}

/// A wish that a room goes to another shard.
pub(crate) struct ShardWish {
    pub(crate) room: RoomName,
    /// That one; the least busy, if not given.
    pub(crate) to: Option<ShardId>,
    pub(crate) reason: MigrateReason,
    pub(crate) reply: Reply<Result<ShardMove, RpcError>>,
}

/// The answer of a room's first life.
pub(crate) type Yielded = Result<Box<Handover>, RpcError>;

/// A room that is opening on another shard.
pub(super) struct Passage {
    /// The life before.
    old: RoomId,
    moves: ShardMove,
    reason: MigrateReason,
    reply: Reply<Result<ShardMove, RpcError>>,
    /// The new life, once it listens.
    entry: Option<RoomEntry>,
}

fn conflict(why: &'static str) -> RpcError {
    RpcError::with_message(ErrorType::Conflict, why)
}

impl Rooms {
    pub(super) fn move_shard(&mut self, wish: ShardWish, scope: &mut Scope<Self>) {
        let (old, from, to) = match self.way(&wish.room, wish.to) {
            Ok(way) => way,
            Err(error) => {
                wish.reply.send(Err(error));
                return;
            }
        };
        let next = self.context.ids.room();
        let passage = Passage {
            old: old.id,
            moves: ShardMove {
                room: wish.room.clone(),
                from,
                to,
            },
            reason: wish.reason,
            reply: wish.reply,
            entry: None,
        };
        self.passages.insert(next, passage);
        let settings = self.context.config.room_defaults.clone();
        let begins = Begins::Passing(old.epoch, to);
        self.start((wish.room, next), begins, settings, scope);
    }

    /// The room as it is, the shard that it is on, and the one that it would go to.
    fn way(
        &self,
        name: &RoomName,
        to: Option<ShardId>,
    ) -> Result<(RoomEntry, ShardId, ShardId), RpcError> {
        let Some(entry) = self.context.directory.room(name) else {
            return Err(ErrorType::NotFound.into());
        };
        let moves = |running: &Running| running.name == *name && running.passing;
        if self.running.values().any(moves) || self.context.is_draining() {
            return Err(conflict("it moves already"));
        }
        let running = self.running.get(&entry.id);
        let Some(running) = running.filter(|running| running.owned.is_some()) else {
            return Err(conflict("another worker owns it"));
        };
        let from = running.home;
        let loads = self.context.environment.plane.loads();
        let others = loads.iter().filter(|load| load.shard != from);
        let found = match to {
            Some(to) => others.map(|load| load.shard).find(|shard| *shard == to),
            None => others
                .min_by_key(|load| (load.busy_ppm, load.transports, load.shard))
                .map(|load| load.shard),
        };
        let to = found.ok_or_else(|| conflict("there is no other shard like that"))?;
        Ok((entry, from, to))
    }

    /// The new life listens: the old one is to make way.
    pub(super) fn passage_opened(
        &mut self,
        id: RoomId,
        listener: Listener<RoomMessage>,
        scope: &mut Scope<Self>,
    ) {
        let (Some(passage), Some(running)) = (self.passages.get_mut(&id), self.running.get(&id))
        else {
            return;
        };
        passage.entry = Some(RoomEntry {
            id,
            name: running.name.clone(),
            epoch: running.epoch,
            listener,
        });
        let Some(old) = self.context.directory.room_by_id(passage.old) else {
            self.give_up(id, ErrorType::NotFound.into());
            return;
        };
        let to = Box::new(Move {
            to: Destination::Shard(passage.moves.to),
            // Whatever address the client has found this worker by.
            url: String::new(),
            deadline: self.context.config.move_deadline,
            reason: passage.reason,
        });
        let question = |reply| RoomMessage::Yield(to, reply);
        let asked = old.listener.mailbox.ask(ASK_DEADLINE, question);
        scope.run(asked, move |answer| {
            let yielded: Yielded = answer.map_err(from_ask).and_then(|yielded| yielded);
            RoomsMessage::Yielded(id, yielded)
        });
    }

    /// The old life has made way, or will not.
    pub(super) fn yielded(&mut self, id: RoomId, yielded: Yielded) {
        match yielded {
            Ok(handover) => self.pass(id, *handover),
            Err(error) => self.give_up(id, error),
        }
    }

    fn pass(&mut self, id: RoomId, handover: Handover) {
        let Some(passage) = self.passages.get(&id) else {
            return;
        };
        let (Some(new), Some(old)) = (
            passage.entry.clone(),
            self.context.directory.room_by_id(passage.old),
        ) else {
            self.give_up(id, ErrorType::NotFound.into());
            return;
        };
        let activation = RoomMessage::Activate(Box::new(Activation {
            epoch: old.epoch,
            handover: Some(handover),
            expected: self.context.config.move_deadline,
        }));
        let owned = self.running.get_mut(&old.id).and_then(|running| {
            running.passing = true;
            running.owned.take()
        });
        if owned.is_none() || new.listener.mailbox.tell(activation).is_err() {
            if let Some(running) = self.running.get_mut(&old.id) {
                running.passing = false;
                running.owned = owned;
            }
            self.give_up(id, ErrorType::Overloaded.into());
            return;
        }
        if let Some(running) = self.running.get_mut(&id) {
            running.passing = false;
            running.owned = owned;
        }
        self.context.directory.pass_on(old.clone(), new);
        if old.listener.mailbox.tell(RoomMessage::SendOff).is_err() {
            tracing::warn!(room = %old.name, "clients hear late of the other shard");
        }
        if let Some(passage) = self.passages.remove(&id) {
            let ShardMove { room, from, to } = &passage.moves;
            tracing::info!(%room, %from, %to, "a room goes to another shard");
            ::metrics::counter!(metrics::SHARD_MOVES, "outcome" => "moved").increment(1);
            passage.reply.send(Ok(passage.moves));
        }
    }

    /// The new life ends, and is cleared from its shard when it has.
    fn give_up(&mut self, id: RoomId, error: RpcError) {
        let Some(entry) = self.stay(id, error) else {
            return;
        };
        if entry.listener.mailbox.tell(RoomMessage::Dismantle).is_err() {
            tracing::warn!(room = %entry.name, "an empty life of a room stays for now");
        }
        self.context.directory.linger(entry);
    }

    /// The old life goes on as if nothing had been; the new one, if it listened.
    fn stay(&mut self, id: RoomId, error: RpcError) -> Option<RoomEntry> {
        let passage = self.passages.remove(&id)?;
        if let Some(old) = self.context.directory.room_by_id(passage.old) {
            let again = Activation {
                epoch: old.epoch,
                handover: None,
                expected: self.context.config.move_deadline,
            };
            let again = RoomMessage::Activate(Box::new(again));
            if old.listener.mailbox.tell(again).is_err() {
                tracing::warn!(room = %old.name, "a room that stays takes nobody for a while");
            }
        }
        ::metrics::counter!(metrics::SHARD_MOVES, "outcome" => "refused").increment(1);
        passage.reply.send(Err(error));
        passage.entry
    }

    /// One of the two lives has ended: the first, as it should, or the second before its time.
    pub(super) fn passage_over(&mut self, id: RoomId) {
        if let Some(entry) = self.stay(id, ErrorType::Internal.into()) {
            self.close_on_shards(&entry);
        }
    }
}
