//! DTLS whose settings are made once.
//!
//! Making settings has the cryptographic library try all its parts: key exchanges on three curves,
//! signatures, ciphers. str0m's own provider does that for each connection, which takes six times
//! as long as the handshake itself.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate};
use str0m::config::{DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

/// The default implementation, as [`crate::TransportConfig::dtls`].
#[derive(Debug)]
pub(crate) struct SharedDtls;

/// Settings for datagrams of at most `mtu` bytes. ICE has proved where a client is, so that cookies
/// would only add a round trip.
fn settings(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
    let builder = Config::builder().use_server_cookie(false);
    let builder = match mtu {
        Some(mtu) => builder.mtu(mtu),
        None => builder,
    };
    let made = builder.build().map(Arc::new);
    made.map_err(|error| CryptoError::Other(format!("settings of DTLS: {error}")))
}

/// The same, made once for the size that all transports have.
fn shared_settings(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
    static SHARED: OnceLock<(Option<usize>, Arc<Config>)> = OnceLock::new();
    let (size, shared) = match SHARED.get() {
        Some(known) => known,
        None => {
            let made = settings(mtu)?;
            SHARED.get_or_init(|| (mtu, made))
        }
    };
    match *size == mtu {
        true => Ok(Arc::clone(shared)),
        false => settings(mtu),
    }
}

impl DtlsProvider for SharedDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags()
            .dtls_provider
            .generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        if dtls_version != DtlsVersion::Dtls12 {
            return Err(CryptoError::Other("only DTLS 1.2 is spoken".into()));
        }
        let certificate = DtlsCertificate {
            certificate: cert.certificate.clone(),
            private_key: cert.private_key.clone(),
        };
        let dtls = Dtls::new_12(shared_settings(mtu)?, certificate, now);
        Ok(Box::new(Instance(dtls)))
    }
}

struct Instance(Dtls);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_made_once_for_each_size() {
        let [first, again] = [(); 2].map(|()| shared_settings(Some(1_150)).unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        let other = shared_settings(Some(900)).unwrap();
        assert_eq!((first.mtu(), other.mtu()), (1_150, 900));
        assert!(!first.use_server_cookie() && !other.use_server_cookie());
    }
}
