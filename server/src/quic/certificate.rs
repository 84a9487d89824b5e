//! What the QUIC listener shows of itself: the certificate of HTTP, or one that browsers take by
//! its hash.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use media_types::Clock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::ALPN_RTMP;
use crate::tls::TlsError;

/// Browsers take a certificate by its hash when it is valid for 14 days at most (WebTransport,
/// section 6.6), and its key is of the curve P-256, as those are that we make.
const LIFE: Duration = Duration::from_secs(13 * 24 * 3_600);
/// Clocks of other machines may be behind.
const BACKDATED: Duration = Duration::from_secs(3_600);

/// SHA-256 of a certificate that was made at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateHash([u8; 32]);

impl CertificateHash {
    fn of(der: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, der);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }

    /// As lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a text cannot fail.
            let _written = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Certificate and key of the listener.
pub struct Identity {
    tls: ServerConfig,
    /// What clients pin that do not know who signed it; `None` for a certificate of the operator.
    pub hash: Option<CertificateHash>,
}

impl Identity {
    /// The certificate of HTTP.
    #[must_use]
    pub const fn shared(tls: ServerConfig) -> Self {
        Self { tls, hash: None }
    }

    /// A certificate made now, valid for 13 days.
    ///
    /// # Errors
    /// What the maker of certificates refuses.
    pub fn made(names: Vec<String>, clock: &dyn Clock) -> Result<Self, TlsError> {
        let key = rcgen::KeyPair::generate().map_err(TlsError::Make)?;
        let mut params = rcgen::CertificateParams::new(names).map_err(TlsError::Make)?;
        let now = rcgen::date_time_ymd(1970, 1, 1) + clock.unix();
        params.not_before = now - BACKDATED;
        params.not_after = now - BACKDATED + LIFE;
        let certificate = params.self_signed(&key).map_err(TlsError::Make)?;
        let hash = CertificateHash::of(certificate.der());
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(vec![certificate.into()], key.into()))
            .map_err(TlsError::Setup)?;
        Ok(Self {
            tls,
            hash: Some(hash),
        })
    }

    /// TLS for QUIC: our protocols, and early data where it is wanted. Tickets are kept in memory
    /// and good for one use, so that early data is taken once.
    pub(super) fn config(&self, early_data: bool) -> ServerConfig {
        let mut tls = self.tls.clone();
        let own = [ALPN_RTMP, web_transport_quinn::ALPN];
        let names = own.iter().chain(moq_net::ALPNS);
        tls.alpn_protocols = names.map(|name| name.as_bytes().to_vec()).collect();
        // QUIC knows all or nothing (RFC 9001, section 4.6.1).
        tls.max_early_data_size = if early_data { u32::MAX } else { 0 };
        tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn browsers_can_pin_what_is_made() {
        let identity = Identity::made(vec!["localhost".to_owned()], &SystemClock).unwrap();
        assert_eq!(identity.hash.unwrap().hex().len(), 64);
        let config = identity.config(true);
        assert_eq!(
            config.alpn_protocols[..2],
            [b"rtmp".to_vec(), b"h3".to_vec()]
        );
        assert_eq!(config.max_early_data_size, u32::MAX);
        assert_eq!(identity.config(false).max_early_data_size, 0);
    }
}
