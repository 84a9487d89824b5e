//! Reading and writing keys of the cluster's store for operators, with a deadline.

use std::sync::Arc;
use std::time::Duration;

use actors::limits::STORE_RETRY_AFTER;
use control_plane::{Condition, ControlPlaneError, Entry, Listing, Store, Swap};
use signaling::{ErrorType, RpcError};

/// Attempts against others who write the same key.
const ATTEMPTS_MAX: usize = 8;
/// How long the store may take to answer an operator.
const DEADLINE: Duration = Duration::from_secs(3);

/// The store as operators' wishes reach it: who asks hears `unavailable`, and when to ask again,
/// where it does not answer in time. What fails again and again is refused before it gets here
/// (`crate::store`).
#[derive(Clone)]
pub struct Guarded {
    store: Arc<dyn Store>,
}

impl Guarded {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store itself, for who has patience of its own.
    pub(super) fn inner(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// All keys of a prefix.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list(&self, prefix: &str) -> Result<Listing, RpcError> {
        within(self.store.list(prefix)).await
    }

    /// One key.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, RpcError> {
        within(self.store.get(key)).await
    }

    /// Writes a key, whatever it held; `None` deletes it. Tells whether it was there before.
    ///
    /// # Errors
    /// `unavailable`, and `conflict` where others write it all the time.
    pub async fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<bool, RpcError> {
        let mut found = self.get(key).await?;
        for _ in 0..ATTEMPTS_MAX {
            let existed = found.is_some();
            let swap = match (&value, &found) {
                (None, None) => return Ok(false),
                (None, Some(entry)) => self.store.delete(key, entry.revision),
                (Some(value), entry) => {
                    let condition = entry
                        .as_ref()
                        .map_or(Condition::Absent, |entry| Condition::At(entry.revision));
                    self.store.swap(key, condition, value.clone(), None)
                }
            };
            match within(swap).await? {
                Swap::Done(_) => return Ok(existed),
                Swap::Conflict(now) => found = now,
            }
        }
        Err(ErrorType::Conflict.into())
    }
}

async fn within<T>(
    asked: impl Future<Output = Result<T, ControlPlaneError>>,
) -> Result<T, RpcError> {
    let answer = tokio::time::timeout(DEADLINE, asked).await;
    let answer = answer.unwrap_or(Err(ControlPlaneError::Unavailable));
    answer.map_err(|error| {
        tracing::debug!(%error, "the store does not answer an operator");
        RpcError::from(ErrorType::Unavailable).retry_after(STORE_RETRY_AFTER)
    })
}
