//! The replay guard: a token with a `jti` joins once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use media_types::Identity;
use signaling::{Claims, ErrorType};

/// How long the same `nonce` may repeat a join whose answer was lost.
const REPEAT_WINDOW: Duration = Duration::from_secs(60);
/// How long after a token's end its `jti` is remembered: more than any leeway.
const MARGIN_S: u64 = 120;
/// Tokens remembered at one time: 1,100 joins a second where a token lives for 15 minutes.
const ENTRIES_MAX: usize = 1_000_000;

/// How a token was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It has no `jti`, or this is the first time.
    First,
    /// The same join once more, since its answer was lost: answer as before.
    Repeated,
}

/// Remembers which tokens have joined, until they are of no use anyway.
#[derive(Default)]
pub struct ReplayGuard {
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    by_id: HashMap<String, Entry>,
    by_end: BTreeMap<(u64, String), ()>,
}

struct Entry {
    identity: Identity,
    nonce: Option<String>,
    at: Duration,
}

impl ReplayGuard {
    /// A guard that remembers nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses a token up. To be called when the room's owner admits, and not before.
    ///
    /// # Errors
    /// `replayed` where it was used before, but for the same `jti`, `sub` and `nonce` within 60 s;
    /// `overloaded` where no more can be remembered.
    pub fn consume(
        &self,
        claims: &Claims,
        nonce: Option<&str>,
        now: Duration,
    ) -> Result<Admitted, ErrorType> {
        let Some(jti) = &claims.jti else {
            return Ok(Admitted::First);
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget(now.as_secs());
        if let Some(entry) = used.by_id.get(jti) {
            let same = entry.identity == claims.sub && nonce.is_some();
            let same = same && entry.nonce.as_deref() == nonce;
            let soon = now.saturating_sub(entry.at) <= REPEAT_WINDOW;
            let repeats = same && soon;
            return repeats
                .then_some(Admitted::Repeated)
                .ok_or(ErrorType::Replayed);
        }
        if used.by_id.len() >= ENTRIES_MAX {
            return Err(ErrorType::Overloaded);
        }
        let end = claims.exp.saturating_add(MARGIN_S);
        used.by_end.insert((end, jti.clone()), ());
        let entry = Entry {
            identity: claims.sub.clone(),
            nonce: nonce.map(str::to_owned),
            at: now,
        };
        used.by_id.insert(jti.clone(), entry);
        Ok(Admitted::First)
    }

    /// Tokens that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.by_id.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Used {
    fn forget(&mut self, now: u64) {
        while let Some(first) = self.by_end.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((_, jti), ()) = first.remove_entry();
            self.by_id.remove(&jti);
        }
    }
}
