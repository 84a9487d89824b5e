//! Rooms that move by themselves: what they weigh, and the move that follows.

use control_plane::WorkerRecord;
use control_plane::balance::{Decision, Room, Shard};
use control_plane::migration::Planned;
use media_types::{Epoch, RoomId};
use signaling::view::MigrateReason;
use supervision::Scope;

use super::{Migrations, MigrationsMessage};
use crate::limits::{CLAIM_DEADLINE, WEIGH_DEADLINE};
use crate::metrics;
use crate::room::RoomMessage;

/// A room of this worker, and what it weighs.
pub(crate) struct Weighed {
    id: RoomId,
    epoch: Epoch,
    room: Room,
}

impl Migrations {
    /// Asks all rooms what they weigh. One that is busy, or moves, says nothing.
    pub(super) fn weigh(&self, scope: &mut Scope<Self>) {
        let context = &self.world.context;
        let alone = context.workers().len() < 2 && context.environment.plane.loads().len() < 2;
        if context.is_draining() || alone {
            return;
        }
        let entries = self.world.context.directory.rooms();
        let work = async move {
            let mut rooms = Vec::new();
            for entry in entries {
                let asked = entry
                    .listener
                    .mailbox
                    .ask(WEIGH_DEADLINE, RoomMessage::Weigh);
                if let Ok(room) = asked.await {
                    rooms.push(Weighed {
                        id: entry.id,
                        epoch: entry.epoch,
                        room,
                    });
                }
            }
            rooms
        };
        scope.run(work, MigrationsMessage::Weighed);
    }

    fn shards(&self) -> Vec<Shard> {
        let loads = self.world.context.environment.plane.loads();
        let shards = loads.iter().map(|load| Shard {
            id: load.shard,
            load_permille: u16::try_from(load.busy_ppm / 1_000).unwrap_or(1_000),
        });
        shards.collect()
    }

    /// This worker as it is now, and the others as last seen.
    fn present(&self) -> Vec<WorkerRecord> {
        let context = &self.world.context;
        let loads = self.shards();
        let permille = loads.iter().map(|shard| shard.load_permille).max();
        let mut workers = context.workers().to_vec();
        for own in workers.iter_mut().filter(|it| it.id == self.me()) {
            own.load_permille = permille.unwrap_or(0);
        }
        workers
    }

    pub(super) fn weighed(&mut self, weighed: &[Weighed], scope: &mut Scope<Self>) {
        let (workers, shards, me) = (self.present(), self.shards(), self.me());
        let now = self.world.context.environment.clock.now();
        let now = now.saturating_duration_since(self.since);
        let rooms: Vec<Room> = weighed.iter().map(|it| it.room.clone()).collect();
        let Some(balance) = &mut self.balance else {
            return;
        };
        let Some(decision) = balance.step(now, me, &workers, &shards, &rooms) else {
            return;
        };
        let Some(found) = weighed.iter().find(|it| it.room.name == decision.room) else {
            return;
        };
        let (id, epoch) = (found.id, found.epoch);
        let world = std::sync::Arc::clone(&self.world);
        let work = async move {
            if let Some(shard) = decision.shard {
                let reason = MigrateReason::Balance;
                let moved = world.move_shard(&decision.room, Some(shard), reason).await;
                return (decision, moved.is_ok());
            }
            let now = world.context.unix_ms();
            let grace = world.context.config.move_deadline.as_millis();
            let deadline = now.saturating_add(u64::try_from(grace).unwrap_or(u64::MAX));
            let reason = decision.cause.reason();
            let room = (&decision.room, id);
            let plan = world.moves.plan(room, decision.to, reason, (now, deadline));
            let planned = tokio::time::timeout(CLAIM_DEADLINE, plan).await;
            let begun = matches!(planned, Ok(Ok(Planned::Yes)));
            (decision, begun)
        };
        scope.run(work, move |(decision, begun)| {
            MigrationsMessage::Planned(decision, epoch, begun)
        });
    }

    pub(super) fn planned(
        &mut self,
        decision: &Decision,
        epoch: Epoch,
        begun: bool,
        scope: &mut Scope<Self>,
    ) {
        let Decision {
            room, to, cause, ..
        } = decision;
        if !begun {
            if let Some(balance) = &mut self.balance {
                balance.refused(room);
            }
            return;
        }
        tracing::info!(%room, %to, cause = cause.word(), "a room moves by itself");
        ::metrics::counter!(metrics::MIGRATIONS_OWN, "cause" => cause.word()).increment(1);
        let observer = &self.world.context.config.hooks.observer;
        observer.room_moves(room, epoch, decision);
        self.look(room.clone(), scope);
    }
}
