//! One worker's way to the store, which can be cut while the others' is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use control_plane::{
    Change, Condition, ControlPlaneError, Entry, LeaseId, Listing, MemoryStore, Revision, Store,
    StoreFuture, Swap, Watch,
};

pub(crate) struct Path {
    store: Arc<MemoryStore>,
    open: Arc<AtomicBool>,
}

impl Path {
    pub(crate) fn to(store: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            open: Arc::new(AtomicBool::new(true)),
        })
    }

    pub(crate) fn set(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    fn way<'a, T: 'a>(&'a self, there: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.open.load(Ordering::Acquire) {
            true => there,
            false => Box::pin(async { Err(ControlPlaneError::Unavailable) }),
        }
    }
}

impl Store for Path {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.way(self.store.get(key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.way(self.store.list(prefix))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        self.way(self.store.swap(key, condition, value, lease))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        self.way(self.store.delete(key, revision))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        if !self.open.load(Ordering::Acquire) {
            return Err(ControlPlaneError::Unavailable);
        }
        let watch = self.store.watch(prefix, after)?;
        let open = Arc::clone(&self.open);
        Ok(Box::new(Seen { watch, open }))
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.way(self.store.grant(ttl))
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.way(self.store.renew(lease))
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.way(self.store.revoke(lease))
    }
}

/// Ends with the first change that a cut has kept away.
struct Seen {
    watch: Box<dyn Watch>,
    open: Arc<AtomicBool>,
}

impl Watch for Seen {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, ControlPlaneError>> {
        match self.open.load(Ordering::Acquire) {
            true => self.watch.poll_next(context),
            false => Poll::Ready(Err(ControlPlaneError::Unavailable)),
        }
    }
}
