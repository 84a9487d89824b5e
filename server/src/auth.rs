//! Who may do what: verification of tokens, the replay guard, and the tokens of our own.
//!
//! A failure says [`signaling::ErrorType::Unauthorized`] and no more: which check a token failed is
//! nobody's business but the log's, at DEBUG. Nothing here reads a clock; `now` is the time since
//! the Unix epoch.

mod issue;
mod keys;
mod replay;
mod resume;
mod verify;

pub(crate) use issue::random_id;
pub use issue::{TokenRequest, issue};
pub use keys::{KeyError, KeyRing};
pub use replay::{Admitted, ReplayGuard};
pub use resume::{ResumeClaims, ResumeSigner};
pub use verify::{Access, Verifier, authorize};

use std::time::Duration;

use crate::config::AuthConfig;

/// Everything that judges tokens, shared by all listeners.
pub struct Auth {
    /// Judges tokens that API keys signed.
    pub verifier: Verifier,
    /// Lets tokens with a `jti` join once.
    pub replay: ReplayGuard,
    /// Signs and judges resume tokens.
    pub resume: ResumeSigner,
}

impl Auth {
    /// From the settings.
    ///
    /// # Errors
    /// A key that cannot be used, by its name.
    pub fn new(config: &AuthConfig) -> Result<Self, KeyError> {
        Ok(Self {
            verifier: Verifier::new(KeyRing::new(&config.keys)?, config),
            replay: ReplayGuard::new(),
            resume: ResumeSigner::new(&keys::cluster_secret(config)),
        })
    }
}

/// Whole seconds, as tokens count them.
const fn seconds(time: Duration) -> u64 {
    time.as_secs()
}

#[cfg(test)]
mod tests;
