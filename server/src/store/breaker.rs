//! A store that is left alone for a while when it fails again and again.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actors::limits::STORE_RETRY_AFTER;
use control_plane::{
    Change, Condition, ControlPlaneError, Entry, LeaseId, Listing, Revision, Store, StoreFuture,
    Swap, Watch,
};
use media_types::Clock;
use tokio::time::timeout;

use crate::ops::breaker::{Admitted, Breaker, Rests};

/// Short ones: a connection that breaks fails all that is under way, and is made anew in a moment;
/// and rooms are to open again within seconds of the store's return.
const RESTS: Rests = Rests {
    first: Duration::from_millis(500),
    longest: STORE_RETRY_AFTER,
};
/// How long a trial may take: somebody's join may be the one that is let through, and is answered
/// as soon as the others all the same. No longer than a rest, so that there is one at a time.
const TRIAL_MAX: Duration = RESTS.first;

/// A store behind a breaker.
///
/// What somebody asks for is refused while that is open. Leases and watches are not: a worker
/// becomes a member again as soon as it can, and a renewal that succeeds closes the breaker.
pub(super) struct BreakerStore {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
}

impl BreakerStore {
    /// The same store, behind a breaker of its own.
    pub(super) fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            clock,
            breaker: Arc::new(Breaker::with_rests("store", RESTS)),
        }
    }

    /// Asks, unless the breaker is open.
    fn asked<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let answer = match self.breaker.admit(self.clock.now()) {
                Err(_) => return Err(ControlPlaneError::Unavailable),
                Ok(Admitted::Freely) => ask().await,
                Ok(Admitted::OnTrial) => timeout(TRIAL_MAX, ask())
                    .await
                    .unwrap_or(Err(ControlPlaneError::Unavailable)),
            };
            self.note(&answer);
            answer
        })
    }

    /// What is asked in any case.
    fn heard<'a, T: Send + 'a>(&'a self, work: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let answer = work.await;
            self.note(&answer);
            answer
        })
    }

    /// A conflict, a lease that has ended, a past that is forgotten: all of these are answers.
    fn note<T>(&self, answer: &Result<T, ControlPlaneError>) {
        let is_answer = !matches!(answer, Err(ControlPlaneError::Unavailable));
        self.breaker.note(is_answer, self.clock.now());
    }
}

impl Store for BreakerStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.asked(move || self.inner.get(key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.asked(move || self.inner.list(prefix))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        self.asked(move || self.inner.swap(key, condition, value, lease))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        self.asked(move || self.inner.delete(key, revision))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        Ok(Box::new(Heard {
            watch: self.inner.watch(prefix, after)?,
            clock: Arc::clone(&self.clock),
            breaker: Arc::clone(&self.breaker),
        }))
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.heard(self.inner.grant(ttl))
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.heard(self.inner.renew(lease))
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.heard(self.inner.revoke(lease))
    }
}

/// A watch: what it brings, the store has said. That it ends says only that a connection broke, of
/// all watches at once; whether the store answers, the lists say that follow.
struct Heard {
    watch: Box<dyn Watch>,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
}

impl Watch for Heard {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, ControlPlaneError>> {
        let change = ready!(self.watch.poll_next(context));
        if change.is_ok() {
            self.breaker.note(true, self.clock.now());
        }
        Poll::Ready(change)
    }
}

#[cfg(test)]
mod tests;
