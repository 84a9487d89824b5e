//! The store, and the thread that makes its writes.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use control_plane::{
    Condition, ControlPlaneError, Entry, LeaseId, Listing, MemoryStore, Revision, Store,
    StoreFuture, Swap, Watch,
};
use media_types::Clock;
use tokio::sync::oneshot;

use crate::file::{File, OpenError};
use crate::limits::WRITES_WAITING_MAX;

type Write = Box<dyn FnOnce(&MemoryStore) + Send>;

/// A durable store in one file, shared behind an `Arc`. Dropping it waits for the writes that were
/// begun and closes the file.
pub struct EmbeddedStore {
    memory: Arc<MemoryStore>,
    /// There until the store is dropped.
    writes: Option<SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the file, or makes it with its folder. Leases end by this clock.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that another process has open is an error too.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (file, kept) = File::open(path)?;
        let memory = MemoryStore::with_journal(clock, kept, Box::new(file));
        let memory = Arc::new(memory);
        let (writes, waiting) = sync_channel::<Write>(WRITES_WAITING_MAX);
        let store = Arc::clone(&memory);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || waiting.iter().for_each(|write| write(&store)))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            memory,
            writes: Some(writes),
            thread: Some(thread),
        })
    }

    /// Has the thread do it: in the order of the calls, begun whether or not the answer is awaited.
    fn write(
        &self,
        write: impl FnOnce(&MemoryStore) -> Result<Swap, ControlPlaneError> + Send + 'static,
    ) -> StoreFuture<'_, Swap> {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |store| {
            // Who does not wait any more has no use for the answer.
            let _ = answer.send(write(store));
        });
        let queued = self.writes.as_ref().map(|writes| writes.try_send(write));
        Box::pin(async move {
            if !matches!(queued, Some(Ok(()))) {
                return Err(ControlPlaneError::Unavailable);
            }
            answered
                .await
                .unwrap_or(Err(ControlPlaneError::Unavailable))
        })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.writes = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread has panicked");
        }
    }
}

/// The answer of the store in memory, which never lets anybody wait.
fn at_once(future: StoreFuture<'_, Swap>) -> Result<Swap, ControlPlaneError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(ControlPlaneError::Unavailable),
    }
}

impl Store for EmbeddedStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.memory.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.memory.list(prefix)
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        let key = key.to_owned();
        self.write(move |store| at_once(store.swap(&key, condition, value, lease)))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        let key = key.to_owned();
        self.write(move |store| at_once(store.delete(&key, revision)))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        self.memory.watch(prefix, after)
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.memory.grant(ttl)
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.memory.renew(lease)
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.memory.revoke(lease)
    }
}
