//! Moving rooms to other workers: what operators, and a worker that drains, ask for.

use std::time::Duration;

use control_plane::migration::{MigrationRecord, MoveReason, Moves, Planned};
use control_plane::placement::{self, Demand};
use control_plane::{ControlPlaneError, RoomOwner, WorkerRecord, membership};
use media_types::{RoomName, WorkerId};
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};

use super::System;
use super::admin::ask;
use crate::limits::{ASK_DEADLINE, CLAIM_DEADLINE, MOVE_TICK, MOVES_AT_ONCE};
use crate::migration::{MigrationsMessage, MoveStatus};
use crate::room::RoomMessage;

fn unavailable(_: ControlPlaneError) -> RpcError {
    ErrorType::Unavailable.into()
}

/// The store has its time.
async fn within<T>(
    work: impl Future<Output = Result<T, ControlPlaneError>>,
) -> Result<T, RpcError> {
    match tokio::time::timeout(CLAIM_DEADLINE, work).await {
        Ok(result) => result.map_err(unavailable),
        Err(_) => Err(ErrorType::Unavailable.into()),
    }
}

impl System {
    fn moves(&self) -> Moves {
        let store = &self.context.environment.store;
        Moves::new(std::sync::Arc::clone(store), self.context.config.worker)
    }

    /// Those who are members of the cluster now.
    ///
    /// # Errors
    /// `unavailable` where the store does not answer.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, RpcError> {
        within(membership::workers(self.context.environment.store.as_ref())).await
    }

    /// Begins to move a room of this worker: to that one, or to the one that suits best.
    ///
    /// # Errors
    /// `not_found`: no such room; `moved`: another worker has it; `conflict`: it moves already, or
    /// cannot go there; `unavailable`: there is no other worker, or no store.
    pub async fn move_room(
        &self,
        room: &RoomName,
        to: Option<WorkerId>,
        reason: MoveReason,
    ) -> Result<MoveStatus, RpcError> {
        let workers = self.workers().await?;
        let Some(entry) = self.context.directory.room(room) else {
            return Err(self.elsewhere(room, &workers).await?);
        };
        let target = self.target(&workers, to)?;
        let now = self.context.unix_ms();
        let grace = self.context.config.move_deadline.as_millis();
        let deadline = now.saturating_add(u64::try_from(grace).unwrap_or(u64::MAX));
        let (moves, id) = (self.moves(), entry.id);
        let plan = moves.plan((room, id), target, reason, (now, deadline));
        match within(plan).await? {
            Planned::Yes => {}
            Planned::Already(_) => return Err(ErrorType::Conflict.into()),
            Planned::Elsewhere(owner) => return Err(owned_by(owner, &workers)),
        }
        let look = MigrationsMessage::Look(room.clone());
        if self.migrations.tell(look).is_err() {
            tracing::debug!(%room, "a planned move begins when the watch brings it");
        }
        let record = within(async { Ok(moves.look(room).await?.record) }).await?;
        let record = record.ok_or_else(|| RpcError::new(ErrorType::Unavailable))?;
        Ok(MoveStatus {
            room: room.clone(),
            record,
        })
    }

    fn target(&self, workers: &[WorkerRecord], to: Option<WorkerId>) -> Result<WorkerId, RpcError> {
        let me = self.context.config.worker;
        let own = workers.iter().find(|worker| worker.id == me);
        let demand = Demand {
            region: own.map_or("", |own| own.region.as_str()),
            holders: &[],
            except: Some(me),
        };
        match to {
            None => placement::choose(workers, &demand)
                .map(|worker| worker.id)
                .ok_or_else(|| {
                    RpcError::with_message(ErrorType::Unavailable, "there is no other worker")
                }),
            Some(to) => {
                let found = workers.iter().find(|worker| worker.id == to);
                let found = found.ok_or_else(|| RpcError::new(ErrorType::NotFound))?;
                let able = placement::score(found, &demand).is_some();
                let why = "that worker takes no rooms";
                able.then_some(to)
                    .ok_or_else(|| RpcError::with_message(ErrorType::Conflict, why))
            }
        }
    }

    async fn elsewhere(
        &self,
        room: &RoomName,
        workers: &[WorkerRecord],
    ) -> Result<RpcError, RpcError> {
        let moves = self.moves();
        let look = within(moves.look(room)).await?;
        Ok(owned_by(look.owner, workers))
    }

    /// The moves that this worker has a part in.
    pub async fn moving(&self) -> Vec<MoveStatus> {
        let asked = self.migrations.ask(ASK_DEADLINE, MigrationsMessage::Status);
        asked.await.unwrap_or_default()
    }

    /// Refuses new rooms, moves the rooms that somebody is in to other workers, and waits until
    /// they have gone; those that cannot be moved stay for the caller to close. How many were
    /// moved.
    pub async fn drain_by_moving(&self) -> usize {
        self.context.start_draining();
        let mut left = std::collections::VecDeque::new();
        let workers = self.workers().await.unwrap_or_default();
        if self.target(&workers, None).is_err() {
            return 0;
        }
        for entry in self.context.directory.rooms() {
            let peers = ask(&entry, RoomMessage::Status).await;
            if peers.is_ok_and(|status| status.peers > 0) {
                left.push_back(entry);
            } else if entry
                .listener
                .mailbox
                .tell(RoomMessage::Close(CloseReason::Draining))
                .is_err()
            {
                tracing::debug!(room = %entry.name, "an empty room closes with the others");
            }
        }
        let mut going = Vec::new();
        let mut moved = 0;
        while !left.is_empty() || !going.is_empty() {
            while going.len() < MOVES_AT_ONCE
                && let Some(entry) = left.pop_front()
            {
                match self.move_room(&entry.name, None, MoveReason::Drain).await {
                    Ok(status) => going.push((entry, status.record)),
                    Err(error) => {
                        tracing::warn!(room = %entry.name, %error, "a room cannot be moved");
                    }
                }
            }
            tokio::time::sleep(MOVE_TICK).await;
            going.retain(|(entry, record)| {
                let here = self.context.directory.room_by_id(entry.id).is_some();
                moved += usize::from(!here);
                here && !self.is_late(record)
            });
        }
        moved
    }

    /// Whether a move has had its time, that of letting clients go included.
    fn is_late(&self, record: &MigrationRecord) -> bool {
        let grace = Duration::from_secs(5).as_millis();
        let grace = u64::try_from(grace).unwrap_or(u64::MAX);
        self.context.unix_ms() > record.deadline_ms.saturating_add(grace)
    }
}

fn owned_by(owner: RoomOwner, workers: &[WorkerRecord]) -> RpcError {
    let record = workers
        .iter()
        .find(|worker| Some(worker.id) == owner.worker);
    match record {
        Some(record) => RpcError::moved(&*record.url),
        None => ErrorType::NotFound.into(),
    }
}
