//! Tokens that are believed no more, until they would have ended anyway.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actors::Revocation;
use media_types::Identity;
use signaling::{Claims, ErrorType};

use super::Bearer;

/// Revocations at one time: what does not fit is a key to take out of the settings.
const ENTRIES_MAX: usize = 100_000;

/// What was revoked, each with the time after which nothing that it names can be good.
pub struct Revocations {
    life: Duration,
    until: Mutex<BTreeMap<Revocation, Duration>>,
    count: AtomicU64,
}

impl Revocations {
    /// Remembers each revocation for `life`: as long as any token or session lives.
    pub(crate) const fn new(life: Duration) -> Self {
        Self {
            life,
            until: Mutex::new(BTreeMap::new()),
            count: AtomicU64::new(0),
        }
    }

    /// Remembers one.
    ///
    /// # Errors
    /// `overloaded` where no more can be remembered.
    pub fn add(&self, revocation: Revocation, now: Duration) -> Result<(), ErrorType> {
        self.add_until(revocation, now.saturating_add(self.life), now)
    }

    /// How long each is remembered.
    #[must_use]
    pub const fn life(&self) -> Duration {
        self.life
    }

    /// Remembers one until a given time.
    ///
    /// # Errors
    /// `overloaded` where no more can be remembered.
    pub fn add_until(
        &self,
        revocation: Revocation,
        ends: Duration,
        now: Duration,
    ) -> Result<(), ErrorType> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, ends| *ends > now);
        if until.len() >= ENTRIES_MAX && !until.contains_key(&revocation) {
            return Err(ErrorType::Overloaded);
        }
        let held = until.entry(revocation).or_default();
        *held = ends.max(*held);
        drop(until);
        self.count.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whether a token with these claims is believed no more.
    #[must_use]
    pub fn meet(&self, claims: &Claims, now: Duration) -> bool {
        self.meet_bearer(&claims.into(), now)
    }

    /// The same, by what names a token.
    #[must_use]
    pub fn meet_bearer(&self, bearer: &Bearer, now: Duration) -> bool {
        let token = bearer.token.clone().map(Revocation::Token);
        let identity = bearer.identity.clone().map(Revocation::Identity);
        let key = Revocation::Key(bearer.issuer.clone());
        let named = [token, identity, Some(key)].into_iter().flatten();
        named.into_iter().any(|named| self.holds(&named, now))
    }

    /// How many were added so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether nothing of this identity is believed.
    #[must_use]
    pub fn meet_peer(&self, identity: &Identity, now: Duration) -> bool {
        self.holds(&Revocation::Identity(identity.clone()), now)
    }

    fn holds(&self, revocation: &Revocation, now: Duration) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(revocation).is_some_and(|ends| *ends > now)
    }
}
