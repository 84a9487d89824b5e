//! Moving rooms to other workers: what operators ask for.

use control_plane::migration::{MoveReason, Moves, Planned};
use control_plane::placement::{self, Demand};
use control_plane::{ControlPlaneError, RoomOwner, WorkerRecord, membership};
use media_types::{RoomName, WorkerId};
use signaling::{ErrorType, RpcError};

use super::System;
use super::admin::ask;
use crate::limits::{ASK_DEADLINE, CLAIM_DEADLINE, STORE_RETRY_AFTER};
use crate::migration::{MigrationsMessage, MoveStatus};
use crate::room::RoomMessage;

fn unavailable() -> RpcError {
    RpcError::new(ErrorType::Unavailable).retry_after(STORE_RETRY_AFTER)
}

/// The store has its time.
pub(super) async fn within<T>(
    work: impl Future<Output = Result<T, ControlPlaneError>>,
) -> Result<T, RpcError> {
    match tokio::time::timeout(CLAIM_DEADLINE, work).await {
        Ok(result) => result.map_err(|_| unavailable()),
        Err(_) => Err(unavailable()),
    }
}

impl System {
    pub(super) fn moves(&self) -> Moves {
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
        if self.context.directory.passes(room) {
            return Err(ErrorType::Conflict.into());
        }
        // Where a part of it is, much of it is already.
        let parts = ask(&entry, RoomMessage::Roster).await;
        let parts = parts.map(|known| known.parts).unwrap_or_default();
        let target = self.target(&workers, to, &parts)?;
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

    pub(super) fn target(
        &self,
        workers: &[WorkerRecord],
        to: Option<WorkerId>,
        holders: &[WorkerId],
    ) -> Result<WorkerId, RpcError> {
        let me = self.context.config.worker;
        let own = workers.iter().find(|worker| worker.id == me);
        let demand = Demand {
            region: own.map_or("", |own| own.region.as_str()),
            holders,
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

    pub(super) async fn elsewhere(
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
