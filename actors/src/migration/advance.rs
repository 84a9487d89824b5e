//! One look at a room that moves, and the steps that follow from it.

use std::sync::Arc;
use std::time::Duration;

use control_plane::migration::{Local, Look, MigrationRecord, MoveReason, Moves, Step, decide};
use control_plane::{ControlPlaneError, membership};
use media_types::{Epoch, RoomName, ShardId, WorkerId};
use signaling::view::MigrateReason;
use signaling::{ErrorType, RpcError};
use supervision::Mailbox;

use crate::context::Context;
use crate::directory::RoomEntry;
use crate::error::from_ask;
use crate::limits::{ASK_DEADLINE, CLAIM_DEADLINE, MOVE_STEPS};
use crate::room::RoomMessage;
use crate::room::message::{Destination, Move};
use crate::rooms::{RoomsMessage, ShardMove, ShardWish};

/// What steps are carried out on.
pub(crate) struct World {
    pub(crate) context: Arc<Context>,
    pub(crate) rooms: Arc<[Mailbox<RoomsMessage>]>,
    pub(crate) moves: Moves,
}

/// How a room is after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// It moves, and we have a part in it.
    Moving(MigrationRecord),
    /// It does not move.
    Still,
    /// The store, or the room, did not answer.
    Unknown,
}

/// Whether to go on at once.
#[derive(PartialEq, Eq)]
enum Then {
    LookAgain,
    Pause,
}

/// The rooms' supervisor that a name falls to.
pub(crate) fn rooms_of<'a>(
    rooms: &'a [Mailbox<RoomsMessage>],
    name: &RoomName,
) -> Option<&'a Mailbox<RoomsMessage>> {
    let hash = name.as_str().bytes().fold(0_usize, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    rooms.get(hash.checked_rem(rooms.len()).unwrap_or(0))
}

impl World {
    /// Looks and acts until there is nothing to do for now.
    pub(crate) async fn advance(&self, name: &RoomName) -> Advanced {
        for _ in 0..MOVE_STEPS {
            let looked = tokio::time::timeout(CLAIM_DEADLINE, self.moves.look(name)).await;
            let Ok(Ok(look)) = looked else {
                return Advanced::Unknown;
            };
            let Some(local) = self.local(name).await else {
                return Advanced::Unknown;
            };
            let me = self.context.config.worker;
            let step = decide(&look.view(me, self.context.unix_ms(), local));
            let record = look
                .record
                .filter(|record| record.from == me || record.to == me);
            let state = record.map_or(Advanced::Still, Advanced::Moving);
            if step == Step::Wait {
                return state;
            }
            tracing::info!(room = %name, ?step, "a room moves");
            match tokio::time::timeout(CLAIM_DEADLINE, self.carry_out(name, &look, step)).await {
                Ok(Ok(Then::LookAgain)) => {}
                Ok(Ok(Then::Pause)) => return state,
                Ok(Err(error)) => {
                    tracing::warn!(room = %name, ?step, %error, "a step of a move failed");
                    return Advanced::Unknown;
                }
                Err(_) => return Advanced::Unknown,
            }
        }
        Advanced::Unknown
    }

    /// Has a room of this worker go on at another shard of it.
    pub(crate) async fn move_shard(
        &self,
        room: &RoomName,
        to: Option<ShardId>,
        reason: MigrateReason,
    ) -> Result<ShardMove, RpcError> {
        let Some(rooms) = rooms_of(&self.rooms, room) else {
            return Err(ErrorType::NotFound.into());
        };
        let room = room.clone();
        let wish = |reply| {
            RoomsMessage::MoveShard(Box::new(ShardWish {
                room,
                to,
                reason,
                reply,
            }))
        };
        // It takes two questions: the new life opens, and the old one makes way.
        let asked = rooms.ask(ASK_DEADLINE.saturating_mul(2), wish);
        asked.await.map_err(from_ask)?
    }

    /// How the room is here; `None` where it does not say.
    async fn local(&self, name: &RoomName) -> Option<Local> {
        let Some(entry) = self.entry(name) else {
            return Some(Local::Absent);
        };
        let standing = entry
            .listener
            .mailbox
            .ask(ASK_DEADLINE, RoomMessage::Standing);
        standing.await.ok()
    }

    fn entry(&self, name: &RoomName) -> Option<RoomEntry> {
        self.context.directory.room(name)
    }

    fn tell(&self, name: &RoomName, message: RoomMessage) {
        let told = self
            .entry(name)
            .map(|entry| entry.listener.mailbox.tell(message));
        if !matches!(told, Some(Ok(()))) {
            tracing::debug!(room = %name, "a room hears of its move at the next look");
        }
    }

    async fn carry_out(
        &self,
        name: &RoomName,
        look: &Look,
        step: Step,
    ) -> Result<Then, ControlPlaneError> {
        match step {
            Step::Wait => return Ok(Then::Pause),
            Step::Prepare => return Ok(self.prepare(name, look).await),
            Step::Note(phase) => {
                self.moves.note(name, look, phase).await?;
            }
            Step::Commit => return self.commit(name, look).await,
            Step::Take => {
                self.moves.take(name, look).await?;
            }
            Step::Activate(epoch) => return self.activate(name, look, epoch).await,
            Step::HandOver(to) => return self.hand_over(name, look, to).await,
            Step::Release => {
                self.tell(name, RoomMessage::Release);
                return Ok(Then::Pause);
            }
            Step::Dismantle => {
                self.tell(name, RoomMessage::Dismantle);
                return Ok(Then::Pause);
            }
            Step::Abandon | Step::Forget => self.moves.forget(name, look).await?,
        }
        Ok(Then::LookAgain)
    }

    async fn prepare(&self, name: &RoomName, look: &Look) -> Then {
        let (Some(record), Some(rooms)) = (look.record, rooms_of(&self.rooms, name)) else {
            return Then::Pause;
        };
        let epoch = record.epoch.next();
        let ask = |reply| RoomsMessage::StandBy(name.clone(), record.room, epoch, reply);
        match rooms.ask(ASK_DEADLINE, ask).await {
            // It appears in the directory a moment later: the tick finds it.
            Ok(true) => self.appears(name).await,
            Ok(false) | Err(_) => Then::Pause,
        }
    }

    async fn appears(&self, name: &RoomName) -> Then {
        for _ in 0..50 {
            if self.entry(name).is_some() {
                return Then::LookAgain;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Then::Pause
    }

    async fn commit(&self, name: &RoomName, look: &Look) -> Result<Then, ControlPlaneError> {
        let Some(entry) = self.entry(name) else {
            return Ok(Then::Pause);
        };
        let asked = entry
            .listener
            .mailbox
            .ask(ASK_DEADLINE, RoomMessage::Roster);
        let Ok(handover) = asked.await else {
            return Ok(Then::Pause);
        };
        self.moves.commit(name, look, &handover).await?;
        Ok(Then::LookAgain)
    }

    async fn activate(
        &self,
        name: &RoomName,
        look: &Look,
        epoch: Epoch,
    ) -> Result<Then, ControlPlaneError> {
        let before = Epoch(epoch.0.saturating_sub(1));
        let handover = self.moves.handover(name, before).await?.map(Box::new);
        let (Some(owned), Some(rooms)) = (self.moves.owned(look), rooms_of(&self.rooms, name))
        else {
            return Ok(Then::Pause);
        };
        let told = rooms.tell(RoomsMessage::Owned(name.clone(), owned, handover));
        if told.is_err() {
            return Ok(Then::Pause);
        }
        // The room hears of it by its supervisor: the tick sees whether it has.
        Ok(Then::Pause)
    }

    async fn hand_over(
        &self,
        name: &RoomName,
        look: &Look,
        to: WorkerId,
    ) -> Result<Then, ControlPlaneError> {
        let store = self.context.environment.store.as_ref();
        let workers = membership::workers(store).await?;
        let Some(target) = workers.into_iter().find(|worker| worker.id == to) else {
            return Ok(Then::Pause);
        };
        let now = self.context.unix_ms();
        let grace = self.context.config.move_deadline;
        let (deadline, reason) = match look.record {
            Some(record) => {
                let left = Duration::from_millis(record.deadline_ms.saturating_sub(now));
                (left.min(grace), reason_of(record.reason))
            }
            None => (grace, MigrateReason::Ownership),
        };
        let to = Move {
            to: Destination::Owner(to, Some(look.owner.epoch)),
            url: target.url,
            deadline,
            reason,
        };
        self.tell(name, RoomMessage::Migrate(Box::new(to)));
        Ok(Then::LookAgain)
    }
}

fn reason_of(reason: MoveReason) -> MigrateReason {
    match reason {
        MoveReason::Drain => MigrateReason::Drain,
        MoveReason::Balance => MigrateReason::Balance,
        MoveReason::Operator => MigrateReason::Operator,
    }
}
