//! Emptying a worker: its rooms go to others, also by moves that somebody else began.

use std::collections::BTreeSet;

use control_plane::migration::{Local, MigrationRecord};
use control_plane::{MoveReason, WorkerRecord};
use media_types::RoomId;
use signaling::ErrorType;
use signaling::view::CloseReason;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::System;
use super::admin::ask;
use super::moves::within;
use crate::directory::RoomEntry;
use crate::limits::{DRAIN_ATTEMPTS, DRAIN_PATIENCE, DRAIN_RETRY_AFTER, LATE_GRACE_MS, MOVE_TICK};
use crate::room::RoomMessage;

/// Rooms that are on their way out.
struct Leaving {
    rooms: BTreeSet<RoomId>,
    tasks: JoinSet<bool>,
    /// For how long a store that is away costs no attempt.
    patient: Instant,
}

impl Leaving {
    fn begin(&mut self, system: &System, entry: RoomEntry) {
        if self.rooms.insert(entry.id) {
            let (system, patient) = (system.clone(), self.patient);
            let leave = async move { system.leave(&entry, patient).await };
            self.tasks.spawn(leave);
        }
    }

    /// How many went.
    async fn all(mut self) -> usize {
        let mut gone = 0;
        while let Some(left) = self.tasks.join_next().await {
            gone += usize::from(left.unwrap_or(false));
        }
        gone
    }
}

impl System {
    /// Refuses new rooms, moves the rooms that somebody is in to other workers, and waits until
    /// they have gone; those that cannot be moved stay for the caller to close. Rooms that are on
    /// their way already, by an operator, for load or by another call of this, are waited for. How
    /// many went.
    pub async fn drain_by_moving(&self) -> usize {
        self.context.start_draining();
        let mut leaving = Leaving {
            rooms: BTreeSet::new(),
            tasks: JoinSet::new(),
            patient: Instant::now() + DRAIN_PATIENCE,
        };
        let workers = self.workers_surely(&mut leaving).await;
        let can_move = self.target(&workers, None, &[]).is_ok();
        let moving = self.moving().await;
        for entry in self.context.directory.rooms() {
            let moves = || moving.iter().any(|status| status.room == entry.name);
            if can_move || moves() || self.is(&entry, Local::Absent).await {
                leaving.begin(self, entry);
            }
        }
        leaving.all().await
    }

    /// The workers, by a store that may answer only in a moment; none where it does not, or where
    /// there is no room to move. Clients of parts go meanwhile: the store has no say in that.
    async fn workers_surely(&self, leaving: &mut Leaving) -> Vec<WorkerRecord> {
        loop {
            if let Ok(workers) = self.workers().await {
                return workers;
            }
            let is_empty = self.context.directory.room_count() == 0;
            if is_empty || Instant::now() >= leaving.patient {
                return Vec::new();
            }
            for entry in self.context.directory.rooms() {
                if self.is(&entry, Local::Absent).await {
                    leaving.begin(self, entry);
                }
            }
            tokio::time::sleep(DRAIN_RETRY_AFTER).await;
        }
    }

    /// Has one room go elsewhere; whether it went. That the store is away costs no attempt for as
    /// long as the drain is `patient`.
    async fn leave(&self, entry: &RoomEntry, patient: Instant) -> bool {
        let Ok(_turn) = self.leaving.acquire().await else {
            return false;
        };
        if !self.is_here(entry) {
            return false;
        }
        let mut attempts = 0;
        while attempts < DRAIN_ATTEMPTS {
            attempts += 1;
            self.see_off(entry).await;
            if !self.is_here(entry) {
                return true;
            }
            // Those at other parts of it have their worker.
            let peers = ask(entry, RoomMessage::Peers).await;
            if !peers.is_ok_and(|peers| !peers.is_empty()) {
                self.close_empty(entry);
                return false;
            }
            // Its owner is another worker's: its clients go to another part.
            if self.is(entry, Local::Absent).await {
                self.hand_off(entry).await;
                continue;
            }
            let moved = self.move_room(&entry.name, None, MoveReason::Drain).await;
            match moved {
                Ok(_) => {}
                // Somebody was faster: that move is as good.
                Err(error) if error.kind() == ErrorType::Conflict => {}
                // The store may answer in a moment; a room that is given up is closed.
                Err(error) if error.kind() == ErrorType::Unavailable => {
                    tokio::time::sleep(DRAIN_RETRY_AFTER).await;
                    attempts -= usize::from(Instant::now() < patient);
                }
                Err(error) => {
                    tracing::warn!(room = %entry.name, %error, "a room cannot be moved");
                    return false;
                }
            }
        }
        self.see_off(entry).await;
        !self.is_here(entry)
    }

    /// Has a part's clients go to another part, and waits until they have, or have come back.
    async fn hand_off(&self, entry: &RoomEntry) {
        let asked = ask(entry, RoomMessage::HandOff).await;
        if !matches!(asked, Ok(Ok(()))) {
            tokio::time::sleep(DRAIN_RETRY_AFTER).await;
            return;
        }
        while self.is_here(entry) && !self.is(entry, Local::Absent).await {
            tokio::time::sleep(MOVE_TICK).await;
        }
    }

    /// Whether a room stands so with its moves; one that does not answer does not.
    async fn is(&self, entry: &RoomEntry, local: Local) -> bool {
        let standing = ask(entry, RoomMessage::Standing).await;
        standing.is_ok_and(|standing| standing == local)
    }

    fn is_here(&self, entry: &RoomEntry) -> bool {
        self.context.directory.room_by_id(entry.id).is_some()
    }

    fn close_empty(&self, entry: &RoomEntry) {
        let close = RoomMessage::Close(CloseReason::Draining);
        if entry.listener.mailbox.tell(close).is_err() {
            tracing::debug!(room = %entry.name, "an empty room closes with the others");
        }
    }

    /// Waits until a room's move is over, if it moves from or to here.
    async fn see_off(&self, entry: &RoomEntry) {
        let moves = self.moves();
        let me = self.context.config.worker;
        while self.is_here(entry) {
            let record = match within(moves.look(&entry.name)).await {
                Ok(look) => look.record,
                // Without the store: as it was last seen.
                Err(_) => self.last_seen(entry).await,
            };
            let moves_on = record.is_some_and(|record| {
                let ours = record.from == me || record.to == me;
                ours && !self.is_late(&record)
            });
            if !moves_on {
                return;
            }
            tokio::time::sleep(MOVE_TICK).await;
        }
    }

    async fn last_seen(&self, entry: &RoomEntry) -> Option<MigrationRecord> {
        let moving = self.moving().await;
        let found = moving.into_iter().find(|status| status.room == entry.name);
        found.map(|status| status.record)
    }

    /// Whether a move has had its time, that of letting clients go included.
    fn is_late(&self, record: &MigrationRecord) -> bool {
        self.context.unix_ms() > record.deadline_ms.saturating_add(LATE_GRACE_MS)
    }
}
