//! What transports are made with.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_types::{Bitrate, Codec, NtpTime};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::dtls::DtlsProvider;

use crate::dtls::SharedDtls;
use crate::error::WebRtcError;
use crate::keys;
use crate::path::CandidateAddr;

/// A self-signed certificate for DTLS, with its key. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<DtlsCert>);

impl Certificate {
    /// Makes a fresh one; once a worker is enough.
    ///
    /// # Errors
    /// [`WebRtcError::Certificate`] if the cryptographic library fails.
    pub fn generate() -> Result<Self, WebRtcError> {
        Self::generate_by(&SharedDtls)
    }

    /// Has another DTLS implementation make one, as a simulation with [`TransportConfig::dtls`]
    /// does.
    ///
    /// # Errors
    /// [`WebRtcError::Certificate`] if it fails.
    pub fn generate_by(provider: &dyn DtlsProvider) -> Result<Self, WebRtcError> {
        let certificate = provider.generate_certificate();
        certificate
            .map(|certificate| Self(Arc::new(certificate)))
            .ok_or(WebRtcError::Certificate)
    }

    pub(crate) fn to_str0m(&self) -> DtlsCert {
        DtlsCert::clone(&self.0)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Settings that all transports of a shard share. Made once with [`TransportConfig::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportConfig {
    /// Where we can be reached; announced in every answer.
    pub candidates: Vec<CandidateAddr>,
    /// Our DTLS certificate.
    pub certificate: Certificate,
    /// The moment that `unix_base` belongs to.
    pub base: Instant,
    /// The wall clock at `base`, as time since the Unix epoch, for sender reports.
    pub unix_base: Duration,
    /// A client from whom nothing authentic came for this long is lost.
    pub liveness: Duration,
    /// Codecs that may be negotiated.
    pub codecs: Vec<Codec>,
    /// What a path is taken to carry before anything is known of it. Generous, so that the first
    /// picture does not wait.
    pub start_bitrate: Bitrate,
    /// What no estimate exceeds.
    pub bitrate_max: Bitrate,
    /// Stands in for the DTLS implementation where a simulation needs keys from its seed.
    pub dtls: &'static dyn DtlsProvider,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl TransportConfig {
    /// Settings with defaults: all codecs, 15 s of liveness, 1 Mb/s to start with.
    #[must_use]
    pub fn new(
        base: Instant,
        unix_base: Duration,
        certificate: Certificate,
        candidates: Vec<CandidateAddr>,
    ) -> Self {
        Self {
            candidates,
            certificate,
            base,
            unix_base,
            liveness: Duration::from_secs(15),
            codecs: Codec::ALL.to_vec(),
            start_bitrate: Bitrate::from_kbps(1_000),
            bitrate_max: Bitrate::from_kbps(50_000),
            dtls: &SharedDtls,
            provider: Arc::new(keys::provider()),
        }
    }

    /// The same for one transport whose room allows only `codecs`; none named: no narrower than
    /// before. An m-line for which no codec is left is refused in the answer (RFC 9429, section
    /// 5.3.1) and described as [`crate::MediaLineUse::Idle`].
    #[must_use]
    pub fn allowing(&self, codecs: &[Codec]) -> Self {
        let mut narrowed = self.clone();
        let allowed = |codec: &Codec| codecs.is_empty() || codecs.contains(codec);
        narrowed.codecs.retain(allowed);
        narrowed
    }

    /// The wall clock at `now`.
    #[must_use]
    pub fn ntp(&self, now: Instant) -> NtpTime {
        let since = now.saturating_duration_since(self.base);
        NtpTime::from_unix(self.unix_base.saturating_add(since))
    }
}

/// What one client may do over its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// It may send media.
    pub publish: bool,
    /// It may be sent media.
    pub subscribe: bool,
    /// It may send and be sent data messages.
    pub data: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self {
        publish: true,
        subscribe: true,
        data: true,
    };
}

/// What makes one transport different from every other.
#[derive(Clone)]
pub struct TransportSeed {
    /// The ICE user name fragment, 4 to 250 characters of `[A-Za-z0-9+/]` (RFC 8839, section 5.4).
    /// After an ICE restart it is followed by a letter that counts the restarts.
    pub ufrag: String,
    /// The ICE password, 22 to 250 of the same characters, from a good source of randomness.
    pub pwd: String,
    /// Where SSRCs and first sequence numbers come from.
    pub random: u64,
}

impl fmt::Debug for TransportSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TransportSeed");
        shown.field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}
