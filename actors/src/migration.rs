//! Moves of rooms between workers: looks at what the store says of them and takes the next step.
//!
//! One behaviour a worker; it remembers nothing that the store and the rooms do not know, so a life
//! that begins lists what moves and goes on (docs/migration.md).

mod advance;
mod balance;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use control_plane::balance::{Balance, Decision};
use control_plane::migration::{MigrationRecord, Moves, Phase};
use control_plane::{Change, ControlPlaneError, Record, Revision, RoomOwner, Watch, WorkerRecord};
use control_plane::{keys, membership};
use media_types::{Epoch, RoomName, ShardId, WorkerId};
use signaling::view::MigrateReason;
use signaling::{ErrorType, RpcError};
use supervision::{Behaviour, Mailbox, Reply, Scope};

use crate::context::Context;
use crate::limits::{BALANCE_TICK, CLAIM_DEADLINE, MOVE_TICK, WORKERS_TICK};
use crate::metrics;
use crate::rooms::{RoomsMessage, ShardMove};

pub(crate) use advance::{Advanced, World, rooms_of};
pub(crate) use balance::Weighed;

/// A move, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveStatus {
    /// Which room.
    pub room: RoomName,
    /// The record in the store.
    pub record: MigrationRecord,
}

type Watched = (Box<dyn Watch>, Result<Change, ControlPlaneError>);
type Listed = Result<(Vec<(RoomName, MigrationRecord)>, Revision), ControlPlaneError>;

pub(crate) enum MigrationsMessage {
    /// What moves, and the moment to watch from.
    Listed(Listed),
    /// Something about a room was written.
    Watched(Watched),
    /// Look again at what moves.
    Tick,
    /// Look again at who else is there.
    Workers,
    /// Who is there.
    Seen(Option<Vec<WorkerRecord>>),
    /// A room was moved on.
    Advanced(RoomName, Advanced),
    /// Look at a room.
    Look(RoomName),
    /// Look at whether a room is to move by itself.
    Balance,
    /// What rooms cost, and how their peers are.
    Weighed(Vec<Weighed>),
    /// A move was planned, or not.
    Planned(Decision, Epoch, bool),
    /// A room is to go to another shard of this worker.
    MoveShard(
        RoomName,
        Option<ShardId>,
        Reply<Result<ShardMove, RpcError>>,
    ),
    /// It has been asked for.
    ShardMoved,
    /// What moves from or to here.
    Status(Reply<Vec<MoveStatus>>),
}

pub(crate) struct Migrations {
    world: Arc<World>,
    /// Rooms with a record that names us, as last seen.
    moving: BTreeMap<RoomName, MigrationRecord>,
    /// Rooms that are being looked at.
    busy: BTreeSet<RoomName>,
    /// Of those, the ones to look at again.
    again: BTreeSet<RoomName>,
    balance: Option<Balance>,
    since: Instant,
}

impl Migrations {
    pub(crate) fn new(context: Arc<Context>, rooms: Arc<[Mailbox<RoomsMessage>]>) -> Self {
        let store = Arc::clone(&context.environment.store);
        let moves = Moves::new(store, context.config.worker);
        let balance = context.config.balance.map(Balance::new);
        Self {
            since: context.environment.clock.now(),
            balance,
            world: Arc::new(World {
                context,
                rooms,
                moves,
            }),
            moving: BTreeMap::new(),
            busy: BTreeSet::new(),
            again: BTreeSet::new(),
        }
    }

    fn me(&self) -> WorkerId {
        self.world.context.config.worker
    }

    fn list(&self, scope: &mut Scope<Self>) {
        let moves = self.world.moves.clone();
        let work = async move {
            match tokio::time::timeout(CLAIM_DEADLINE, moves.list()).await {
                Ok(listed) => listed,
                Err(_) => Err(ControlPlaneError::Unavailable),
            }
        };
        scope.run(work, MigrationsMessage::Listed);
    }

    fn listed(&mut self, listed: Listed, scope: &mut Scope<Self>) {
        let store = &self.world.context.environment.store;
        let watch = listed.and_then(|(moves, revision)| {
            let watch = store.watch(&keys::rooms(), revision)?;
            Ok((moves, watch))
        });
        match watch {
            Ok((moves, watch)) => {
                let me = self.me();
                for (room, record) in moves {
                    if record.from == me || record.to == me {
                        self.look(room, scope);
                    }
                }
                // What was missed while nobody watched: rooms that others have taken.
                for entry in self.world.context.directory.rooms() {
                    self.look(entry.name, scope);
                }
                Self::watch(watch, scope);
            }
            Err(error) => {
                tracing::debug!(%error, "moves cannot be watched for now");
                self.relist(scope);
            }
        }
    }

    fn relist(&self, scope: &mut Scope<Self>) {
        let world = Arc::clone(&self.world);
        let work = async move {
            tokio::time::sleep(WORKERS_TICK).await;
            world.moves.list().await
        };
        scope.run(work, MigrationsMessage::Listed);
    }

    fn watch(mut watch: Box<dyn Watch>, scope: &mut Scope<Self>) {
        let work = async move {
            let change = watch.next().await;
            (watch, change)
        };
        scope.run(work, MigrationsMessage::Watched);
    }

    fn watched(&mut self, (watch, change): Watched, scope: &mut Scope<Self>) {
        let change = match change {
            Ok(change) => change,
            Err(error) => {
                tracing::debug!(%error, "the watch of moves ended");
                self.relist(scope);
                return;
            }
        };
        let (key, value) = match &change {
            Change::Put(entry) => (&entry.key, Some(&entry.value)),
            Change::Deleted { key, .. } => (key, None),
        };
        if let Some(room) = keys::moving_room(key) {
            let record = value.and_then(|value| MigrationRecord::decode(key, value).ok());
            let me = self.me();
            let ours = record.is_some_and(|record| record.from == me || record.to == me);
            if ours || self.is_here(&room) {
                self.look(room, scope);
            }
        } else if let Some(room) = keys::owned_room(key)
            && let Some(entry) = self.world.context.directory.room(&room)
            && let Some(value) = value
            && let Ok(owner) = RoomOwner::decode(key, value)
            && owner.epoch > entry.epoch
        {
            self.look(room, scope);
        }
        Self::watch(watch, scope);
    }

    fn is_here(&self, room: &RoomName) -> bool {
        self.moving.contains_key(room) || self.world.context.directory.room(room).is_some()
    }

    fn look(&mut self, room: RoomName, scope: &mut Scope<Self>) {
        if !self.busy.insert(room.clone()) {
            self.again.insert(room);
            return;
        }
        let world = Arc::clone(&self.world);
        let name = room.clone();
        let work = async move { world.advance(&name).await };
        scope.run(work, move |advanced| {
            MigrationsMessage::Advanced(room, advanced)
        });
    }

    fn advanced(&mut self, room: RoomName, advanced: Advanced, scope: &mut Scope<Self>) {
        self.busy.remove(&room);
        let before = match advanced {
            Advanced::Moving(record) => self.moving.insert(room.clone(), record),
            Advanced::Still => self.moving.remove(&room),
            Advanced::Unknown => None,
        };
        if let (Advanced::Still, Some(record)) = (advanced, before)
            && record.from == self.me()
        {
            self.count(&record);
        }
        let moving = u32::try_from(self.moving.len()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::MIGRATIONS_ACTIVE).set(f64::from(moving));
        if self.again.remove(&room) {
            self.look(room, scope);
        }
    }

    /// A room does one thing at a time.
    fn move_shard(
        &self,
        room: RoomName,
        to: Option<ShardId>,
        reply: Reply<Result<ShardMove, RpcError>>,
        scope: &mut Scope<Self>,
    ) {
        if self.moving.contains_key(&room) || self.busy.contains(&room) {
            reply.send(Err(ErrorType::Conflict.into()));
            return;
        }
        let world = Arc::clone(&self.world);
        let work = async move {
            let reason = MigrateReason::Operator;
            reply.send(world.move_shard(&room, to, reason).await);
        };
        scope.run(work, |()| MigrationsMessage::ShardMoved);
    }

    /// A move from here is over, one way or the other.
    fn count(&self, record: &MigrationRecord) {
        let outcome = if record.phase >= Phase::Committed {
            "moved"
        } else {
            "abandoned"
        };
        ::metrics::counter!(metrics::MIGRATIONS, "outcome" => outcome).increment(1);
        let took_ms = self
            .world
            .context
            .unix_ms()
            .saturating_sub(record.planned_at_ms);
        let took = std::time::Duration::from_millis(took_ms).as_secs_f64();
        ::metrics::histogram!(metrics::MIGRATION_SECONDS).record(took);
    }

    fn tick(&mut self, scope: &mut Scope<Self>) {
        for room in self.moving.keys().cloned().collect::<Vec<_>>() {
            self.look(room, scope);
        }
    }

    /// Clients hear where else to go, should this worker die.
    fn workers(&self, scope: &mut Scope<Self>) {
        let world = Arc::clone(&self.world);
        let work = async move {
            let store = Arc::clone(&world.context.environment.store);
            let workers = membership::workers(store.as_ref());
            match tokio::time::timeout(CLAIM_DEADLINE, workers).await {
                Ok(Ok(workers)) => Some(workers),
                // Those of before are better than none.
                Ok(Err(_)) | Err(_) => None,
            }
        };
        scope.run(work, MigrationsMessage::Seen);
    }
}

impl Behaviour for Migrations {
    type Message = MigrationsMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.list(scope);
        self.workers(scope);
        scope.every(MOVE_TICK, || MigrationsMessage::Tick);
        scope.every(WORKERS_TICK, || MigrationsMessage::Workers);
        if self.balance.is_some() {
            scope.every(BALANCE_TICK, || MigrationsMessage::Balance);
        }
    }

    fn handle(&mut self, message: MigrationsMessage, scope: &mut Scope<Self>) {
        match message {
            MigrationsMessage::Listed(listed) => self.listed(listed, scope),
            MigrationsMessage::Watched(watched) => self.watched(watched, scope),
            MigrationsMessage::Tick => self.tick(scope),
            MigrationsMessage::Workers => self.workers(scope),
            MigrationsMessage::Seen(workers) => {
                if let Some(workers) = workers {
                    self.world.context.seen(workers);
                }
            }
            MigrationsMessage::Advanced(room, advanced) => self.advanced(room, advanced, scope),
            MigrationsMessage::Look(room) => self.look(room, scope),
            MigrationsMessage::Balance => self.weigh(scope),
            MigrationsMessage::Weighed(rooms) => self.weighed(&rooms, scope),
            MigrationsMessage::Planned(decision, epoch, begun) => {
                self.planned(&decision, epoch, begun, scope);
            }
            MigrationsMessage::MoveShard(room, to, reply) => {
                self.move_shard(room, to, reply, scope);
            }
            MigrationsMessage::ShardMoved => {}
            MigrationsMessage::Status(reply) => {
                let all = self.moving.iter().map(|(room, record)| MoveStatus {
                    room: room.clone(),
                    record: *record,
                });
                reply.send(all.collect());
            }
        }
    }
}
