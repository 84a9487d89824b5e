//! Who owns a room: one worker at a time, by compare-and-swap, with an epoch that only rises.

use std::sync::Arc;
use std::time::Duration;

use media_types::{Epoch, RoomName, WorkerId};

use crate::error::ControlPlaneError;
use crate::keys;
use crate::model::{Record, RoomOwner};
use crate::store::{Condition, Entry, Revision, Store, Swap};

/// How long the record of a room without an owner stays. Its epoch matters to those who still act
/// on an older one: relays and clients know within seconds. Rooms with a name for each meeting
/// would otherwise fill the store for ever.
pub const RELEASED_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Attempts against others who write the same key before giving up.
const ATTEMPTS_MAX: usize = 8;

/// A room that this worker owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The record as written.
    pub record: RoomOwner,
    /// The write, to let go of it again.
    pub revision: Revision,
    /// Whether the room was not ours before that; where it was, it may have been open here.
    pub is_new: bool,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The room is ours, from now on or since before.
    Owned(Owned),
    /// It belongs to another worker.
    Elsewhere {
        /// That worker.
        worker: WorkerId,
        /// Its epoch.
        epoch: Epoch,
        /// Whether that worker's lease still runs.
        alive: bool,
    },
}

/// Claims rooms for one worker.
#[derive(Clone)]
pub struct Ownership {
    store: Arc<dyn Store>,
    worker: WorkerId,
}

struct Current {
    record: RoomOwner,
    condition: Condition,
}

impl Ownership {
    /// Claims for this worker.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, worker: WorkerId) -> Self {
        Self { store, worker }
    }

    /// Claims a room that nobody owns. Safe to repeat after an answer was lost.
    ///
    /// # Errors
    /// Where the store does not answer, holds a record that cannot be read, or stays contended.
    pub async fn claim(&self, room: &RoomName) -> Result<Claim, ControlPlaneError> {
        let key = keys::room_owner(room);
        let mut entry = self.store.get(&key).await?;
        for _ in 0..ATTEMPTS_MAX {
            let current = Self::read(&key, entry.as_ref())?;
            if let Some(claim) = self.owned(&current).await? {
                return Ok(claim);
            }
            match self.take(&key, &current).await? {
                Ok(owned) => return Ok(Claim::Owned(owned)),
                Err(other) => entry = other,
            }
        }
        Err(ControlPlaneError::Contended)
    }

    /// What [`Self::claim`] would say of a room that somebody owns; `None`: nobody does, and it is
    /// not claimed.
    ///
    /// # Errors
    /// Where the store does not answer or holds a record that cannot be read.
    pub async fn find(&self, room: &RoomName) -> Result<Option<Claim>, ControlPlaneError> {
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await?;
        self.owned(&Self::read(&key, entry.as_ref())?).await
    }

    async fn owned(&self, current: &Current) -> Result<Option<Claim>, ControlPlaneError> {
        Ok(match (current.record.worker, current.condition) {
            (Some(worker), Condition::At(revision)) if worker == self.worker => {
                let record = current.record;
                Some(Claim::Owned(Owned {
                    record,
                    revision,
                    is_new: false,
                }))
            }
            (Some(worker), _) => Some(Claim::Elsewhere {
                worker,
                epoch: current.record.epoch,
                alive: self.store.get(&keys::worker(worker)).await?.is_some(),
            }),
            (None, _) => None,
        })
    }

    /// Takes a room from a worker whose lease has ended and which does not answer either. `epoch`
    /// is the one that the caller saw; if it has risen since, somebody else was first.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn take_over(
        &self,
        room: &RoomName,
        epoch: Epoch,
    ) -> Result<Claim, ControlPlaneError> {
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await?;
        let current = Self::read(&key, entry.as_ref())?;
        if current.record.epoch == epoch
            && let Ok(owned) = self.take(&key, &current).await?
        {
            return Ok(Claim::Owned(owned));
        }
        self.claim(room).await
    }

    /// Lets a room go. The record stays without an owner for [`RELEASED_LIFE`], so that the next
    /// epoch is higher.
    ///
    /// # Errors
    /// As [`Self::claim`]; a record that is no longer ours is left alone and is no error.
    pub async fn release(&self, room: &RoomName, owned: Owned) -> Result<(), ControlPlaneError> {
        self.leave(room, owned, Some(self.worker)).await
    }

    /// Lets a room go that was claimed and not opened. Whose it was before stays in the record:
    /// the next owner waits for that worker's events, and not for ours. Where the claim found the
    /// room ours, it may have been open in that epoch, and this is [`Self::release`].
    ///
    /// # Errors
    /// As [`Self::release`].
    pub async fn give_back(&self, room: &RoomName, owned: Owned) -> Result<(), ControlPlaneError> {
        let before = match owned.is_new {
            true => owned.record.before,
            false => Some(self.worker),
        };
        self.leave(room, owned, before).await
    }

    async fn leave(
        &self,
        room: &RoomName,
        owned: Owned,
        before: Option<WorkerId>,
    ) -> Result<(), ControlPlaneError> {
        let key = keys::room_owner(room);
        let record = RoomOwner {
            worker: None,
            before,
            ..owned.record
        };
        let condition = Condition::At(owned.revision);
        let value = record.encode();
        let grave = self.store.grant(RELEASED_LIFE).await?;
        let swap = self.store.swap(&key, condition, value, Some(grave)).await?;
        if let Swap::Conflict(_) = swap {
            self.store.revoke(grave).await?;
        }
        Ok(())
    }

    fn read(key: &str, entry: Option<&Entry>) -> Result<Current, ControlPlaneError> {
        let Some(entry) = entry else {
            let record = RoomOwner {
                worker: None,
                epoch: Epoch(0),
                before: None,
            };
            return Ok(Current {
                record,
                condition: Condition::Absent,
            });
        };
        Ok(Current {
            record: RoomOwner::decode(key, &entry.value)?,
            condition: Condition::At(entry.revision),
        })
    }

    async fn take(
        &self,
        key: &str,
        current: &Current,
    ) -> Result<Result<Owned, Option<Entry>>, ControlPlaneError> {
        let record = RoomOwner {
            worker: Some(self.worker),
            epoch: current.record.epoch.next(),
            before: current.record.worker.or(current.record.before),
        };
        let value = record.encode();
        let swap = self.store.swap(key, current.condition, value, None).await?;
        Ok(match swap {
            Swap::Done(revision) => Ok(Owned {
                record,
                revision,
                is_new: true,
            }),
            Swap::Conflict(entry) => Err(entry),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::{Fault, MemoryStore};
    use crate::testing::{ManualClock, block_on};

    fn store() -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(Arc::new(ManualClock::new())))
    }

    fn owned(claim: Claim) -> Owned {
        match claim {
            Claim::Owned(owned) => owned,
            Claim::Elsewhere { .. } => panic!("{claim:?}"),
        }
    }

    #[test]
    fn a_room_that_was_let_go_is_forgotten_and_one_that_is_owned_is_not() {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let worker = Ownership::new(store.clone(), WorkerId::new(1));
        let [once, again] = ["once", "again"].map(|name| name.parse().unwrap());
        for room in [&once, &again] {
            let mine = owned(block_on(worker.claim(room)).unwrap());
            block_on(worker.release(room, mine)).unwrap();
        }
        let mine = owned(block_on(worker.claim(&again)).unwrap());
        assert_eq!(mine.record.epoch, Epoch(2));
        clock.advance(RELEASED_LIFE);
        let listing = block_on(store.list(&keys::rooms())).unwrap();
        let left: Vec<_> = listing.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(left, [keys::room_owner(&again)]);
    }

    #[test]
    fn a_room_has_one_owner_and_epochs_rise() {
        let store = store();
        let first = Ownership::new(store.clone(), WorkerId::new(1));
        let second = Ownership::new(store, WorkerId::new(2));
        let room = "lobby".parse().unwrap();
        let mine = owned(block_on(first.claim(&room)).unwrap());
        assert_eq!(mine.record.epoch, Epoch(1));
        let again = Owned {
            is_new: false,
            ..mine
        };
        assert_eq!(owned(block_on(first.claim(&room)).unwrap()), again);
        let elsewhere = Claim::Elsewhere {
            worker: WorkerId::new(1),
            epoch: Epoch(1),
            alive: false,
        };
        assert_eq!(block_on(second.claim(&room)).unwrap(), elsewhere);
        block_on(first.release(&room, mine)).unwrap();
        let theirs = owned(block_on(second.claim(&room)).unwrap());
        assert_eq!(theirs.record.epoch, Epoch(2));
        assert_eq!(
            (mine.record.before, theirs.record.before),
            (None, Some(WorkerId::new(1)))
        );
        // A release by a past owner changes nothing.
        block_on(first.release(&room, mine)).unwrap();
        let still = owned(block_on(second.claim(&room)).unwrap());
        assert_eq!((still.record, still.is_new), (theirs.record, false));
    }

    #[test]
    fn who_opens_no_room_leaves_it_said_whose_it_was() {
        let store = store();
        let room = "lobby".parse().unwrap();
        let [one, two, three] =
            [1, 2, 3].map(|id| Ownership::new(store.clone(), WorkerId::new(id)));
        let claimed = |worker: &Ownership| owned(block_on(worker.claim(&room)).unwrap());
        block_on(one.give_back(&room, claimed(&one))).unwrap();
        let opened = claimed(&one);
        assert_eq!(
            (opened.record.epoch, opened.record.before),
            (Epoch(2), None)
        );
        block_on(one.release(&room, opened)).unwrap();
        let before = |owned: Owned| (owned.record.epoch.0, owned.record.before);
        let passed = claimed(&two);
        assert_eq!(before(passed), (3, Some(WorkerId::new(1))));
        block_on(two.give_back(&room, passed)).unwrap();
        let opened = claimed(&three);
        assert_eq!(before(opened), (4, Some(WorkerId::new(1))));
        // It was open here in this epoch, and is claimed again.
        block_on(three.give_back(&room, claimed(&three))).unwrap();
        assert_eq!(before(claimed(&two)), (5, Some(WorkerId::new(3))));
    }

    #[test]
    fn who_looks_for_an_owner_claims_nothing() {
        let store = store();
        let room = "lobby".parse().unwrap();
        let [one, two] = [1, 2].map(|id| Ownership::new(store.clone(), WorkerId::new(id)));
        assert_eq!(block_on(one.find(&room)).unwrap(), None);
        assert_eq!(block_on(store.get(&keys::room_owner(&room))).unwrap(), None);
        let mine = block_on(one.claim(&room)).unwrap();
        let found = Owned {
            is_new: false,
            ..owned(mine)
        };
        assert_eq!(
            block_on(one.find(&room)).unwrap(),
            Some(Claim::Owned(found))
        );
        let elsewhere = block_on(two.claim(&room)).unwrap();
        assert_eq!(block_on(two.find(&room)).unwrap(), Some(elsewhere));
        block_on(one.release(&room, owned(mine))).unwrap();
        assert_eq!(block_on(two.find(&room)).unwrap(), None);
        store.plan([Fault::Unavailable]);
        assert!(block_on(two.find(&room)).is_err());
    }

    #[test]
    fn a_dead_owner_is_succeeded_once() {
        let store = store();
        let room = "lobby".parse().unwrap();
        let [dead, one, two] = [1, 2, 3].map(|id| Ownership::new(store.clone(), WorkerId::new(id)));
        block_on(dead.claim(&room)).unwrap();
        let taken = owned(block_on(one.take_over(&room, Epoch(1))).unwrap());
        assert_eq!(
            (taken.record.epoch, taken.record.before),
            (Epoch(2), Some(WorkerId::new(1)))
        );
        let late = block_on(two.take_over(&room, Epoch(1))).unwrap();
        assert!(matches!(
            late,
            Claim::Elsewhere {
                epoch: Epoch(2),
                ..
            }
        ));
    }

    #[test]
    fn a_lost_answer_does_not_lose_the_room() {
        let store = store();
        let ownership = Ownership::new(store.clone(), WorkerId::new(1));
        let room = "lobby".parse().unwrap();
        store.plan([Fault::None, Fault::AnswerLost]);
        assert!(block_on(ownership.claim(&room)).is_err());
        let claimed = owned(block_on(ownership.claim(&room)).unwrap());
        assert_eq!(claimed.record.epoch, Epoch(1));
        assert_eq!(store.faulted(), 1);
    }

    proptest! {
        /// Whatever workers do and whatever is lost, nobody shares an epoch with another.
        #[test]
        fn never_two_owners_in_one_epoch(
            steps in prop::collection::vec((0..3_usize, 0..3_u8, 0..6_u8), 1..60),
        ) {
            let store = store();
            let room: RoomName = "r".parse().unwrap();
            let workers = [1, 2, 3].map(|id| Ownership::new(store.clone(), WorkerId::new(id)));
            let mut held = [None; 3];
            let mut owners = std::collections::BTreeMap::new();
            for (index, action, fault) in steps {
                let worker = &workers[index];
                store.plan(match fault {
                    0 => vec![Fault::Unavailable],
                    1 => vec![Fault::None, Fault::AnswerLost],
                    _ => vec![],
                });
                let claim = match (action, held[index]) {
                    (0, Some(owned)) => {
                        let _ = block_on(worker.release(&room, owned));
                        held[index] = None;
                        continue;
                    }
                    (1, _) => {
                        let seen = owners.keys().next_back().copied().unwrap_or_default();
                        block_on(worker.take_over(&room, seen))
                    }
                    _ => block_on(worker.claim(&room)),
                };
                if let Ok(Claim::Owned(owned)) = claim {
                    held[index] = Some(owned);
                    let owner = owners.entry(owned.record.epoch).or_insert(index);
                    prop_assert_eq!(*owner, index);
                }
            }
        }
    }
}
