//! A worker's membership: its record in the store, bound to a lease that must be renewed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::ControlPlaneError;
use crate::keys;
use crate::model::{Record, WorkerRecord};
use crate::store::{Condition, LeaseId, Store, Swap};

/// How long a lease outlives its last renewal.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
/// How often it is renewed: three attempts fit into the time that it lasts. 3 s for
/// [`LEASE_TTL`].
#[must_use]
pub fn renew_interval(ttl: Duration) -> Duration {
    ttl.mul_f64(0.3)
}

/// One worker's membership.
///
/// Losing the lease is not the end: the worker keeps the rooms that it owns and registers again;
/// only claims of new rooms wait until then.
pub struct Membership {
    store: Arc<dyn Store>,
    record: WorkerRecord,
    ttl: Duration,
    lease: Option<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    id: LeaseId,
    renewed: Instant,
}

impl Membership {
    /// A worker that is not registered yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, record: WorkerRecord, ttl: Duration) -> Self {
        Self {
            store,
            record,
            ttl,
            lease: None,
        }
    }

    /// The record as it was last written, or will be.
    #[must_use]
    pub const fn record(&self) -> &WorkerRecord {
        &self.record
    }

    /// Whether this worker may claim rooms: its lease was renewed recently enough that no other
    /// worker can have seen it end.
    #[must_use]
    pub fn may_claim(&self, now: Instant) -> bool {
        self.lease
            .is_some_and(|lease| now.saturating_duration_since(lease.renewed) < self.ttl)
    }

    /// When [`Self::renew`] is due next.
    #[must_use]
    pub fn next_renewal(&self, now: Instant) -> Instant {
        self.lease
            .map_or(now, |lease| lease.renewed + renew_interval(self.ttl))
    }

    /// Registers, or renews what is registered; registers anew where the lease was lost.
    ///
    /// # Errors
    /// Where the store does not answer. The next call goes on from there.
    pub async fn renew(&mut self, now: Instant) -> Result<(), ControlPlaneError> {
        if let Some(lease) = &mut self.lease {
            match self.store.renew(lease.id).await {
                Ok(()) => {
                    lease.renewed = now;
                    return Ok(());
                }
                Err(ControlPlaneError::LeaseLost) => self.lease = None,
                Err(error) => return Err(error),
            }
        }
        let id = self.store.grant(self.ttl).await?;
        self.lease = Some(Lease { id, renewed: now });
        let written = self.write().await;
        if written.is_err() {
            self.lease = None;
        }
        written
    }

    /// Changes the record: readiness, draining, load.
    ///
    /// # Errors
    /// Where the store does not answer or the lease has ended; the change is kept and written
    /// with the next registration.
    pub async fn update(
        &mut self,
        change: impl FnOnce(&mut WorkerRecord),
    ) -> Result<(), ControlPlaneError> {
        change(&mut self.record);
        self.write().await
    }

    /// Ends the lease, and with it the record.
    ///
    /// # Errors
    /// Where the store does not answer; the lease then ends by itself.
    pub async fn leave(&mut self) -> Result<(), ControlPlaneError> {
        match self.lease.take() {
            Some(lease) => self.store.revoke(lease.id).await,
            None => Ok(()),
        }
    }

    async fn write(&self) -> Result<(), ControlPlaneError> {
        let lease = self.lease.ok_or(ControlPlaneError::LeaseLost)?;
        let key = keys::worker(self.record.id);
        let value = self.record.encode();
        let mut condition = match self.store.get(&key).await? {
            Some(entry) => Condition::At(entry.revision),
            None => Condition::Absent,
        };
        // The key is ours alone: a conflict is an earlier lease's end between the two calls.
        for _ in 0..3 {
            let swap = self
                .store
                .swap(&key, condition, value.clone(), Some(lease.id));
            condition = match swap.await? {
                Swap::Done(_) => return Ok(()),
                Swap::Conflict(Some(entry)) => Condition::At(entry.revision),
                Swap::Conflict(None) => Condition::Absent,
            };
        }
        Err(ControlPlaneError::Contended)
    }
}

/// All workers whose lease runs. Records that cannot be read are passed over: they belong to a
/// newer version.
///
/// # Errors
/// Where the store does not answer.
pub async fn workers(store: &dyn Store) -> Result<Vec<WorkerRecord>, ControlPlaneError> {
    let prefix = keys::workers();
    let listing = store.list(&prefix).await?;
    let records = listing.entries.iter();
    let records = records.filter_map(|entry| WorkerRecord::decode(&entry.key, &entry.value).ok());
    Ok(records.collect())
}

#[cfg(test)]
mod tests {
    use media_types::{Clock, WorkerId};

    use super::*;
    use crate::memory::MemoryStore;
    use crate::testing::{ManualClock, block_on};

    fn record() -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(1),
            url: "wss://a.example/v1/signal".to_owned(),
            region: String::new(),
            ready: false,
            draining: false,
            rooms: 0,
            load_permille: 0,
            ..WorkerRecord::default()
        }
    }

    #[test]
    fn a_silent_worker_leaves_the_list_and_may_come_back() {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let mut membership = Membership::new(store.clone(), record(), LEASE_TTL);
        assert!(!membership.may_claim(clock.now()));
        block_on(membership.renew(clock.now())).unwrap();
        block_on(membership.update(|record| record.ready = true)).unwrap();
        let listed = block_on(workers(store.as_ref())).unwrap();
        assert_eq!(listed, [membership.record().clone()]);
        assert!(listed[0].ready);

        clock.advance(renew_interval(LEASE_TTL));
        assert_eq!(membership.next_renewal(clock.now()), clock.now());
        block_on(membership.renew(clock.now())).unwrap();
        clock.advance(LEASE_TTL);
        assert!(!membership.may_claim(clock.now()));
        assert_eq!(block_on(workers(store.as_ref())).unwrap(), []);

        block_on(membership.renew(clock.now())).unwrap();
        assert!(membership.may_claim(clock.now()));
        assert_eq!(block_on(workers(store.as_ref())).unwrap().len(), 1);
        block_on(membership.leave()).unwrap();
        assert_eq!(block_on(workers(store.as_ref())).unwrap(), []);
    }

    #[test]
    fn a_store_that_is_away_does_not_end_the_membership_at_once() {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let mut membership = Membership::new(store.clone(), record(), LEASE_TTL);
        block_on(membership.renew(clock.now())).unwrap();
        store.set_down(true);
        clock.advance(renew_interval(LEASE_TTL));
        assert!(block_on(membership.renew(clock.now())).is_err());
        assert!(membership.may_claim(clock.now()));
        clock.advance(renew_interval(LEASE_TTL));
        store.set_down(false);
        block_on(membership.renew(clock.now())).unwrap();
        assert_eq!(block_on(workers(store.as_ref())).unwrap().len(), 1);
    }
}
