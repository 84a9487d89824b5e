//! The store in memory, with faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use media_types::Clock;

use crate::error::ControlPlaneError;
use crate::store::{
    Change, Condition, Entry, LeaseId, Listing, Revision, Store, StoreFuture, Swap, Watch,
};

/// Changes kept for watches that start late; as etcd, the store forgets older ones.
const HISTORY_MAX: usize = 4_096;
/// The same in bytes of keys and values: batches of events are large, and there are many of them.
const HISTORY_BYTES_MAX: usize = 1_024 * 1_024;

/// What goes wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; takes a place in the plan.
    None,
    /// It does not arrive.
    Unavailable,
    /// It is carried out, but its answer is lost.
    AnswerLost,
}

/// Keeps what has to outlive the process: every key but those that are bound to a lease, which end
/// with it. Called by one writer at a time, before anybody sees the change; a failure refuses it.
pub trait Journal: Send {
    /// Keeps a key's value.
    ///
    /// # Errors
    /// [`ControlPlaneError::Unavailable`]: it is not kept.
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), ControlPlaneError>;

    /// Forgets a key; one that was never kept is as good as forgotten.
    ///
    /// # Errors
    /// [`ControlPlaneError::Unavailable`]: it is kept still.
    fn remove(&mut self, key: &str) -> Result<(), ControlPlaneError>;
}

/// A store that lives as long as the process, or with its [`Journal`] longer.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// Locked for the whole of a write, so that writers follow each other while readers, who lock
    /// the state alone, never wait for a disk.
    journal: Mutex<Option<Box<dyn Journal>>>,
}

struct Lease {
    ttl: Duration,
    ends: Instant,
}

#[derive(Clone)]
struct Stored {
    value: Vec<u8>,
    revision: Revision,
    lease: Option<LeaseId>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Stored>,
    leases: BTreeMap<LeaseId, Lease>,
    last_lease: i64,
    revision: u64,
    history: VecDeque<Change>,
    history_bytes: usize,
    forgotten: Revision,
    wakers: Vec<Waker>,
    faults: VecDeque<Fault>,
    down: bool,
    faulted: u64,
}

impl MemoryStore {
    /// An empty store whose leases end by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
            journal: Mutex::default(),
        }
    }

    /// A store that begins with what an earlier one kept, and keeps its own writes there.
    #[must_use]
    pub fn with_journal(
        clock: Arc<dyn Clock>,
        kept: impl IntoIterator<Item = (String, Vec<u8>)>,
        journal: Box<dyn Journal>,
    ) -> Self {
        let store = Self::new(clock);
        for (key, value) in kept {
            store.lock().put(&key, value, None);
        }
        Self {
            journal: Mutex::new(Some(journal)),
            ..store
        }
    }

    /// Plans faults for the next operations, one each.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Takes the store away, or brings it back.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Operations that a fault has hit, so that a test can assert that it fired.
    #[must_use]
    pub fn faulted(&self) -> u64 {
        self.lock().faulted
    }

    /// Ends what is due and tells the watches. Operations do it by themselves; a host of watches
    /// alone calls it now and then.
    pub fn expire(&self) {
        let now = self.clock.now();
        self.lock().expire(now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation under the plan of faults: at once, not at the first poll.
    fn operate<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut State, Instant) -> Result<T, ControlPlaneError>,
    ) -> StoreFuture<'a, T> {
        let now = self.clock.now();
        let mut state = self.lock();
        let fault = state.next_fault(now);
        let result = match fault {
            Fault::Unavailable => Err(ControlPlaneError::Unavailable),
            Fault::None => operation(&mut state, now),
            Fault::AnswerLost => operation(&mut state, now).and_then(lost),
        };
        drop(state);
        Box::pin(std::future::ready(result))
    }

    /// Runs one write: looks whether it may be, has it kept, and only then makes it.
    fn write<'a>(
        &'a self,
        key: &str,
        check: impl FnOnce(&State) -> Result<Option<Swap>, ControlPlaneError>,
        kept: Option<&[u8]>,
        apply: impl FnOnce(&mut State) -> Revision,
    ) -> StoreFuture<'a, Swap> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut state = self.lock();
        let fault = state.next_fault(now);
        let result = match (fault, check(&state)) {
            (Fault::Unavailable, _) => Err(ControlPlaneError::Unavailable),
            (_, Err(error)) => Err(error),
            (_, Ok(Some(conflict))) => Ok(conflict),
            (_, Ok(None)) => {
                drop(state);
                let written = match (journal.as_mut(), kept) {
                    (None, _) => Ok(()),
                    (Some(journal), Some(value)) => journal.put(key, value),
                    (Some(journal), None) => journal.remove(key),
                };
                // A lease that ended meanwhile ended after this write, and takes it along.
                written.map(|()| Swap::Done(apply(&mut self.lock())))
            }
        };
        let result = match fault {
            Fault::AnswerLost => result.and_then(lost),
            Fault::None | Fault::Unavailable => result,
        };
        Box::pin(std::future::ready(result))
    }
}

/// What a caller sees of an operation whose answer did not arrive.
fn lost<T>(_: T) -> Result<T, ControlPlaneError> {
    Err(ControlPlaneError::Unavailable)
}

impl State {
    /// Ends what is due, and says what the plan has in store for the operation.
    fn next_fault(&mut self, now: Instant) -> Fault {
        self.expire(now);
        let fault = match (self.down, self.faults.pop_front()) {
            (true, _) => Fault::Unavailable,
            (false, fault) => fault.unwrap_or(Fault::None),
        };
        self.faulted += u64::from(fault != Fault::None);
        fault
    }

    fn write(&mut self, change: impl FnOnce(Revision) -> Change) -> Revision {
        self.revision += 1;
        let revision = Revision(self.revision);
        let change = change(revision);
        self.history_bytes += size(&change);
        self.history.push_back(change);
        // The newest stays, however large it is.
        while (self.history.len() > HISTORY_MAX || self.history_bytes > HISTORY_BYTES_MAX)
            && self.history.len() > 1
            && let Some(oldest) = self.history.pop_front()
        {
            self.history_bytes -= size(&oldest);
            self.forgotten = oldest.revision();
        }
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
        revision
    }

    fn entry(&self, key: &str) -> Option<Entry> {
        let stored = self.entries.get(key)?;
        Some(Entry {
            key: key.to_owned(),
            value: stored.value.clone(),
            revision: stored.revision,
        })
    }

    fn holds(&self, key: &str, condition: Condition) -> bool {
        let stored = self.entries.get(key).map(|stored| stored.revision);
        match condition {
            Condition::Absent => stored.is_none(),
            Condition::At(revision) => stored == Some(revision),
        }
    }

    fn put(&mut self, key: &str, value: Vec<u8>, lease: Option<LeaseId>) -> Revision {
        let revision = self.write(|revision| {
            Change::Put(Entry {
                key: key.to_owned(),
                value: value.clone(),
                revision,
            })
        });
        let stored = Stored {
            value,
            revision,
            lease,
        };
        self.entries.insert(key.to_owned(), stored);
        revision
    }

    fn remove(&mut self, key: &str) -> Revision {
        self.entries.remove(key);
        self.write(|revision| Change::Deleted {
            key: key.to_owned(),
            revision,
        })
    }

    fn end_lease(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        let bound = self.entries.iter();
        let bound = bound.filter(|(_, stored)| stored.lease == Some(lease));
        let keys: Vec<String> = bound.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
    }

    fn expire(&mut self, now: Instant) {
        let due = self.leases.iter().filter(|(_, lease)| lease.ends <= now);
        let due: Vec<LeaseId> = due.map(|(&id, _)| id).collect();
        for lease in due {
            self.end_lease(lease);
        }
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.operate(|state, _| Ok(state.entry(key)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.operate(|state, _| {
            let keys = state.entries.range(prefix.to_owned()..);
            let keys = keys.take_while(|(key, _)| key.starts_with(prefix));
            let entries = keys.filter_map(|(key, _)| state.entry(key)).collect();
            let revision = Revision(state.revision);
            Ok(Listing { entries, revision })
        })
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        let check = |state: &State| {
            if lease.is_some_and(|lease| !state.leases.contains_key(&lease)) {
                return Err(ControlPlaneError::LeaseLost);
            }
            let holds = state.holds(key, condition);
            Ok((!holds).then(|| Swap::Conflict(state.entry(key))))
        };
        let kept = lease.is_none().then(|| value.clone());
        self.write(key, check, kept.as_deref(), |state| {
            let revision = state.put(key, value, lease);
            if lease.is_some_and(|lease| !state.leases.contains_key(&lease)) {
                state.remove(key);
            }
            revision
        })
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        let check = |state: &State| {
            let holds = state.holds(key, Condition::At(revision));
            Ok((!holds).then(|| Swap::Conflict(state.entry(key))))
        };
        self.write(key, check, None, |state| state.remove(key))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        if after < self.lock().forgotten {
            return Err(ControlPlaneError::Compacted);
        }
        Ok(Box::new(MemoryWatch {
            prefix: prefix.to_owned(),
            after,
            clock: Arc::clone(&self.clock),
            state: Arc::clone(&self.state),
        }))
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.operate(|state, now| {
            state.last_lease += 1;
            let id = LeaseId(state.last_lease);
            let ends = now + ttl;
            state.leases.insert(id, Lease { ttl, ends });
            Ok(id)
        })
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.operate(|state, now| {
            let lease = state.leases.get_mut(&lease);
            let lease = lease.ok_or(ControlPlaneError::LeaseLost)?;
            lease.ends = now + lease.ttl;
            Ok(())
        })
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.operate(|state, _| {
            state.end_lease(lease);
            Ok(())
        })
    }
}

fn size(change: &Change) -> usize {
    match change {
        Change::Put(entry) => entry.key.len() + entry.value.len(),
        Change::Deleted { key, .. } => key.len(),
    }
}

struct MemoryWatch {
    prefix: String,
    after: Revision,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

impl Watch for MemoryWatch {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, ControlPlaneError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(self.clock.now());
        if self.after < state.forgotten {
            return Poll::Ready(Err(ControlPlaneError::Compacted));
        }
        let from = state
            .history
            .partition_point(|change| change.revision() <= self.after);
        for change in state.history.range(from..) {
            self.after = change.revision();
            let key = match change {
                Change::Put(entry) => &entry.key,
                Change::Deleted { key, .. } => key,
            };
            if key.starts_with(&self.prefix) {
                return Poll::Ready(Ok(change.clone()));
            }
        }
        let waker = context.waker();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
