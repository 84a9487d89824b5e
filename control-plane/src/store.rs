//! What we ask of a store: small keys and values, compare-and-swap, watches and leases.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::ControlPlaneError;

/// The answer of a store, whenever it comes. No runtime is assumed.
pub type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, ControlPlaneError>> + Send + 'a>>;

/// Counts the writes to the whole store; rises with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A promise to come back in time; keys bound to it go when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The write that it has its value from.
    pub revision: Revision,
}

/// All keys of a prefix at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by key.
    pub entries: Vec<Entry>,
    /// The moment: watch from here.
    pub revision: Revision,
}

/// What must hold for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There is no such key.
    Absent,
    /// The key was last written then.
    At(Revision),
}

/// What came of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done(Revision),
    /// The condition did not hold; what is there instead.
    Conflict(Option<Entry>),
}

/// What a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key was written.
    Put(Entry),
    /// A key went, by a delete or with its lease.
    Deleted {
        /// The key.
        key: String,
        /// The write that took it away.
        revision: Revision,
    },
}

impl Change {
    /// The write that made this change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

/// Changes as they come, each once and in order.
pub trait Watch: Send {
    /// The next change. `Err` ends the watch: list, and watch from there.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, ControlPlaneError>>;
}

impl dyn Watch {
    /// Waits for the next change.
    ///
    /// # Errors
    /// See [`Watch::poll_next`].
    pub async fn next(&mut self) -> Result<Change, ControlPlaneError> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// A store of the cluster.
///
/// Every write that depends on a read is conditional. [`ControlPlaneError::Unavailable`] leaves
/// open whether a write was carried out; who retries must be content with either.
pub trait Store: Send + Sync {
    /// One key.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>>;

    /// All keys that start with `prefix`.
    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing>;

    /// Writes `value` if the condition holds; with a lease the key goes when that ends.
    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap>;

    /// Deletes the key if it was last written at `revision`.
    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap>;

    /// All changes under `prefix` after `after`.
    ///
    /// # Errors
    /// [`ControlPlaneError::Compacted`] where that is too long ago.
    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError>;

    /// A new lease, which ends `ttl` after its last renewal.
    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId>;

    /// Renews a lease. [`ControlPlaneError::LeaseLost`] where it has ended.
    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()>;

    /// Ends a lease, and deletes what is bound to it.
    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()>;
}
