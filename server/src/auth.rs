//! Who may do what: verification of tokens, the replay guard, and the tokens of our own.
//!
//! A failure says [`signaling::ErrorType::Unauthorized`] and no more: which check a token failed is
//! nobody's business but the log's, at DEBUG. Nothing here reads a clock; `now` is the time since
//! the Unix epoch.

mod bearer;
mod issue;
mod keys;
mod play;
mod replay;
mod resume;
mod revoke;
mod verify;
mod worker;

pub use bearer::{Bearer, Standing};
pub(crate) use issue::random_id;
pub use issue::{TokenRequest, issue};
pub use keys::{KeyError, KeyRing};
pub use play::{PlaySigner, SignedQuery};
pub use replay::{Admitted, ReplayGuard};
pub use resume::{ResumeClaims, ResumeSigner};
pub use revoke::Revocations;
pub use verify::{Access, Verifier, authorize};
pub use worker::{WORKER_HEADER, WorkerAsk, WorkerSigner};

use std::sync::Arc;
use std::time::Duration;

use media_types::Clock;
use signaling::{Claims, ErrorType};

use crate::config::AuthConfig;

/// Everything that judges tokens, shared by all listeners.
pub struct Auth {
    /// Judges tokens that API keys signed.
    pub verifier: Verifier,
    /// Lets tokens with a `jti` join once.
    pub replay: ReplayGuard,
    /// Signs and judges resume tokens.
    pub resume: ResumeSigner,
    /// Judges signed URLs, and the sessions of those who watch by HTTP.
    pub play: PlaySigner,
    /// Tokens that are believed no more.
    pub revoked: Arc<Revocations>,
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
            play: PlaySigner::new(config),
            resume: ResumeSigner::new(&keys::cluster_secret(config)),
            revoked: Arc::new(Revocations::new(config.ingest_max_ttl.max(resume::LIFE))),
        })
    }

    /// Judges a token that an API key signed: its signature, its times, and that nobody revoked it.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn judge(&self, token: &str, access: Access, now: Duration) -> Result<Claims, ErrorType> {
        let claims = self.verifier.verify(token, access, now)?;
        let good = !self.revoked.meet(&claims, now);
        good.then_some(claims).ok_or(ErrorType::Unauthorized)
    }

    /// Whether who was let in with this may go on.
    #[must_use]
    pub fn standing(&self, bearer: Bearer, clock: Arc<dyn Clock>) -> Standing {
        Standing::new(Arc::clone(&self.revoked), bearer, clock)
    }

    /// Judges a resume token in the same way.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn judge_resume(&self, token: &str, now: Duration) -> Result<ResumeClaims, ErrorType> {
        let claims = self.resume.verify(token, now)?;
        let good = !self.revoked.meet_peer(&claims.sub, now);
        good.then_some(claims).ok_or(ErrorType::Unauthorized)
    }
}

/// Whole seconds, as tokens count them.
const fn seconds(time: Duration) -> u64 {
    time.as_secs()
}

#[cfg(test)]
mod tests;
