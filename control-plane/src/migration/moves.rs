//! The store's side of a move: looking, and the writes that steps ask for.

use std::sync::Arc;

use media_types::{Epoch, RoomId, RoomName, WorkerId};

use super::{Handover, Local, MigrationRecord, MoveReason, Phase, View, is_stale};
use crate::error::ControlPlaneError;
use crate::keys;
use crate::model::{Record, RoomOwner};
use crate::ownership::Owned;
use crate::store::{Condition, Entry, Revision, Store, Swap};

/// Attempts to write a key that nobody else should write.
const ATTEMPTS_MAX: usize = 4;

/// The moves as one worker sees and makes them.
#[derive(Clone)]
pub struct Moves {
    store: Arc<dyn Store>,
    me: WorkerId,
}

/// What came of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// It is written.
    Yes,
    /// The room moves already.
    Already(MigrationRecord),
    /// The room is not ours to move.
    Elsewhere(RoomOwner),
}

/// One look at the store. Writes that follow from it hold only if nothing has changed since.
#[derive(Debug, Clone)]
pub struct Look {
    /// The move.
    pub record: Option<MigrationRecord>,
    /// The owner; epoch 0 where there never was one.
    pub owner: RoomOwner,
    record_at: Condition,
    owner_at: Condition,
    from_alive: bool,
    to_alive: bool,
}

impl Look {
    /// The same with what only the worker itself knows.
    #[must_use]
    pub fn view(&self, me: WorkerId, now_ms: u64, local: Local) -> View {
        View {
            me,
            now_ms,
            record: self.record,
            owner: self.owner,
            from_alive: self.from_alive,
            to_alive: self.to_alive,
            local,
        }
    }
}

fn condition(entry: Option<&Entry>) -> Condition {
    entry.map_or(Condition::Absent, |entry| Condition::At(entry.revision))
}

impl Moves {
    /// For this worker.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, me: WorkerId) -> Self {
        Self { store, me }
    }

    /// Looks at one room.
    ///
    /// # Errors
    /// Where the store does not answer, or holds a record that cannot be read.
    pub async fn look(&self, room: &RoomName) -> Result<Look, ControlPlaneError> {
        let key = keys::room_migration(room);
        let entry = self.store.get(&key).await?;
        let record_at = condition(entry.as_ref());
        let decode = |entry: Entry| MigrationRecord::decode(&key, &entry.value);
        let record = entry.map(decode).transpose()?;
        // The leases before the owner: whoever is seen dead was dead when the owner is read.
        let (mut from_alive, mut to_alive) = (true, true);
        if let Some(record) = &record {
            from_alive = self.is_alive(record.from).await?;
            to_alive = self.is_alive(record.to).await?;
        }
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await?;
        let owner_at = condition(entry.as_ref());
        let owner = match entry {
            Some(entry) => RoomOwner::decode(&key, &entry.value)?,
            None => RoomOwner {
                worker: None,
                epoch: Epoch(0),
                before: None,
            },
        };
        Ok(Look {
            record,
            owner,
            record_at,
            owner_at,
            from_alive,
            to_alive,
        })
    }

    async fn is_alive(&self, worker: WorkerId) -> Result<bool, ControlPlaneError> {
        let entry = self.store.get(&keys::worker(worker)).await?;
        Ok(entry.is_some())
    }

    /// Plans a move of a room that this worker owns.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn plan(
        &self,
        (room, id): (&RoomName, RoomId),
        to: WorkerId,
        reason: MoveReason,
        (now_ms, deadline_ms): (u64, u64),
    ) -> Result<Planned, ControlPlaneError> {
        let key = keys::room_migration(room);
        let mut look = self.look(room).await?;
        for _ in 0..ATTEMPTS_MAX {
            if look.owner.worker != Some(self.me) {
                return Ok(Planned::Elsewhere(look.owner));
            }
            if let Some(record) = &look.record
                && !is_stale(record, &look.owner, now_ms)
            {
                return Ok(Planned::Already(*record));
            }
            let record = MigrationRecord {
                from: self.me,
                to,
                room: id,
                phase: Phase::Planned,
                epoch: look.owner.epoch,
                planned_at_ms: now_ms,
                deadline_ms,
                reason,
            };
            let value = record.encode();
            match self.store.swap(&key, look.record_at, value, None).await? {
                Swap::Done(_) => return Ok(Planned::Yes),
                Swap::Conflict(_) => look = self.look(room).await?,
            }
        }
        Err(ControlPlaneError::Contended)
    }

    /// Writes the record with another phase. `false`: somebody has written it meanwhile.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn note(
        &self,
        room: &RoomName,
        look: &Look,
        phase: Phase,
    ) -> Result<bool, ControlPlaneError> {
        let Some(record) = look.record else {
            return Ok(false);
        };
        let value = MigrationRecord { phase, ..record }.encode();
        let key = keys::room_migration(room);
        let swap = self.store.swap(&key, look.record_at, value, None).await?;
        Ok(matches!(swap, Swap::Done(_)))
    }

    /// Gives the room to the move's target, its roster first. `false`: somebody was faster.
    ///
    /// # Errors
    /// As [`Self::look`]. Whether the room is still ours is then unknown: look again before
    /// anything else is decided.
    pub async fn commit(
        &self,
        room: &RoomName,
        look: &Look,
        handover: &Handover,
    ) -> Result<bool, ControlPlaneError> {
        let Some(record) = look.record else {
            return Ok(false);
        };
        self.write_handover(room, handover).await?;
        let owner = RoomOwner {
            worker: Some(record.to),
            epoch: record.epoch.next(),
            before: Some(record.from),
        };
        Ok(self.own(room, look, owner).await?.is_some())
    }

    /// Takes a room for this worker, in the next epoch. `None`: somebody was faster.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn take(
        &self,
        room: &RoomName,
        look: &Look,
    ) -> Result<Option<Owned>, ControlPlaneError> {
        let owner = RoomOwner {
            worker: Some(self.me),
            epoch: look.owner.epoch.next(),
            before: look.owner.worker.or(look.owner.before),
        };
        self.own(room, look, owner).await
    }

    async fn own(
        &self,
        room: &RoomName,
        look: &Look,
        owner: RoomOwner,
    ) -> Result<Option<Owned>, ControlPlaneError> {
        let key = keys::room_owner(room);
        let value = owner.encode();
        let swap = self.store.swap(&key, look.owner_at, value, None).await?;
        Ok(match swap {
            Swap::Done(revision) => Some(Owned {
                record: owner,
                revision,
                is_new: true,
            }),
            Swap::Conflict(_) => None,
        })
    }

    /// The room as this worker owns it, where a look says that it does.
    #[must_use]
    pub fn owned(&self, look: &Look) -> Option<Owned> {
        match look.owner_at {
            Condition::At(revision) if look.owner.worker == Some(self.me) => Some(Owned {
                record: look.owner,
                revision,
                is_new: false,
            }),
            Condition::At(_) | Condition::Absent => None,
        }
    }

    /// Ends a move: the record goes, and what was handed over. A record that was written meanwhile
    /// stays.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn forget(&self, room: &RoomName, look: &Look) -> Result<(), ControlPlaneError> {
        let Condition::At(revision) = look.record_at else {
            return Ok(());
        };
        let key = keys::room_handover(room);
        if let Some(entry) = self.store.get(&key).await? {
            self.store.delete(&key, entry.revision).await?;
        }
        let key = keys::room_migration(room);
        self.store.delete(&key, revision).await?;
        Ok(())
    }

    /// What the source handed over when it ended this epoch.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn handover(
        &self,
        room: &RoomName,
        epoch: Epoch,
    ) -> Result<Option<Handover>, ControlPlaneError> {
        let key = keys::room_handover(room);
        let Some(entry) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let handover = Handover::decode(&key, &entry.value)?;
        Ok(Some(handover).filter(|handover| handover.epoch == epoch))
    }

    async fn write_handover(
        &self,
        room: &RoomName,
        handover: &Handover,
    ) -> Result<(), ControlPlaneError> {
        let key = keys::room_handover(room);
        let mut at = condition(self.store.get(&key).await?.as_ref());
        for _ in 0..ATTEMPTS_MAX {
            match self.store.swap(&key, at, handover.encode(), None).await? {
                Swap::Done(_) => return Ok(()),
                Swap::Conflict(entry) => at = condition(entry.as_ref()),
            }
        }
        Err(ControlPlaneError::Contended)
    }

    /// Rooms with a move that this worker has a part in, and the moment to watch from.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn list(
        &self,
    ) -> Result<(Vec<(RoomName, MigrationRecord)>, Revision), ControlPlaneError> {
        let listing = self.store.list(&keys::rooms()).await?;
        let mut moves = Vec::new();
        for entry in &listing.entries {
            if let Some(room) = keys::moving_room(&entry.key)
                && let Ok(record) = MigrationRecord::decode(&entry.key, &entry.value)
            {
                moves.push((room, record));
            }
        }
        Ok((moves, listing.revision))
    }
}
