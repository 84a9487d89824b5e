//! Tokens that are believed no more, until they would have ended anyway.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actors::Revocation;
use media_types::Identity;
use signaling::{Claims, ErrorType};

/// Revocations at one time: what does not fit is a key to take out of the settings.
const ENTRIES_MAX: usize = 100_000;

/// What was revoked, each with the time after which nothing that it names can be good.
pub struct Revocations {
    life: Duration,
    until: Mutex<BTreeMap<Revocation, Duration>>,
}

impl Revocations {
    /// Remembers each revocation for `life`: as long as any token or session lives.
    pub(super) const fn new(life: Duration) -> Self {
        Self {
            life,
            until: Mutex::new(BTreeMap::new()),
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
        Ok(())
    }

    /// Whether a token with these claims is believed no more.
    #[must_use]
    pub fn meet(&self, claims: &Claims, now: Duration) -> bool {
        let token = claims.jti.clone().map(Revocation::Token);
        let key = Revocation::Key(claims.iss.clone());
        let named = [token, Some(key)].into_iter().flatten();
        named.into_iter().any(|named| self.holds(&named, now)) || self.meet_peer(&claims.sub, now)
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
