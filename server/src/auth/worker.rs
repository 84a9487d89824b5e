//! What workers of one cluster ask each other without an operator: signed with the cluster's key.
//!
//! A signature holds for one purpose and one text around the time it names, and opens nothing else.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use signaling::ErrorType;

use super::keys::cluster_secret;
use super::seconds;
use crate::config::AuthConfig;

/// The header that carries it.
pub const WORKER_HEADER: &str = "troupe-worker";
/// How far from its time a signature holds.
const WINDOW_S: u64 = 300;
/// What a worker asks another one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerAsk {
    /// What it has yet to post; the text is the query.
    Webhooks,
    /// To record on; the text is the body.
    Recording,
}

impl WorkerAsk {
    /// Keeps it apart from whatever else the cluster's key signs.
    const fn label(self) -> &'static str {
        match self {
            Self::Webhooks => "troupe worker asks for webhooks v1",
            Self::Recording => "troupe worker asks to record on v1",
        }
    }
}

/// Signs and judges what workers ask each other.
pub struct WorkerSigner(hmac::Key);

impl WorkerSigner {
    /// With the secrets of the settings, which all workers of a cluster share.
    #[must_use]
    pub fn new(config: &AuthConfig) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &cluster_secret(config)))
    }

    /// Signs what is asked: `SECONDS.HEX`.
    #[must_use]
    pub fn sign(&self, ask: WorkerAsk, text: &str, now: Duration) -> String {
        self.signature(ask, text, seconds(now))
    }

    fn signature(&self, ask: WorkerAsk, text: &str, at: u64) -> String {
        let signed = format!("{}\n{at}\n{text}", ask.label());
        let tag = hmac::sign(&self.0, signed.as_bytes());
        let hex = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
        format!("{at}.{}", hex.collect::<String>())
    }

    /// Judges a signature.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn judge(
        &self,
        ask: WorkerAsk,
        (given, text): (&str, &str),
        now: Duration,
    ) -> Result<(), ErrorType> {
        let good = || {
            let at: u64 = given.split_once('.')?.0.parse().ok()?;
            let near = at.abs_diff(seconds(now)) <= WINDOW_S;
            let right = self.signature(ask, text, at);
            let same = constant_time::verify_slices_are_equal(right.as_bytes(), given.as_bytes());
            (near && same.is_ok()).then_some(())
        };
        good().ok_or(ErrorType::Unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use signaling::Secret;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn signer(key: &str) -> WorkerSigner {
        WorkerSigner::new(&AuthConfig {
            cluster_key: Some(Secret::new(key)),
            ..AuthConfig::default()
        })
    }

    #[test]
    fn a_signature_holds_for_its_purpose_text_time_and_cluster() {
        let ask = WorkerAsk::Webhooks;
        let (ours, theirs) = (signer("one cluster"), signer("another cluster"));
        let given = ours.sign(ask, "room=hall&epoch=2", NOW);
        let judged = |query: &str, after: u64| {
            let now = NOW + Duration::from_secs(after);
            ours.judge(ask, (&given, query), now).is_ok()
        };
        assert!(judged("room=hall&epoch=2", 0) && judged("room=hall&epoch=2", WINDOW_S));
        assert!(!judged("room=hall&epoch=2", WINDOW_S + 1));
        assert!(!judged("room=hall&epoch=3", 0));
        let good = (given.as_str(), "room=hall&epoch=2");
        assert!(theirs.judge(ask, good, NOW).is_err());
        assert!(ours.judge(WorkerAsk::Recording, good, NOW).is_err());
        for bad in ["", "1700000000", "1700000000.", "x.00"] {
            assert!(ours.judge(ask, (bad, good.1), NOW).is_err());
        }
    }
}
