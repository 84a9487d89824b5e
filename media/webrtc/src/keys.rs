//! Takes the keys out of the DTLS handshake.
//!
//! str0m makes its DTLS instance through a provider. Ours wraps the real one: when the handshake
//! exports keying material (RFC 5764, section 4.2) it keeps it for our own RTP path and tells str0m
//! only that it is connected, so that str0m never has a key to seal media with. Two senders under
//! one key would give it away.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use media_rtp::srtp::{DtlsRole, KeyingMaterial, SrtpProfile};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion,
    SrtpProfile as DtlsProfile,
};

use crate::dtls::SharedDtls;

/// What a finished handshake leaves for SRTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionKeys {
    pub(crate) profile: SrtpProfile,
    pub(crate) material: KeyingMaterial,
    pub(crate) role: DtlsRole,
}

/// Where one session's keys appear; set once.
pub(crate) type KeySlot = Arc<OnceLock<SessionKeys>>;

#[derive(Clone)]
struct Order {
    slot: KeySlot,
    inner: &'static dyn DtlsProvider,
}

thread_local! {
    /// Whose instance is being made. `RtcConfig::build` calls the provider before it returns, so
    /// nothing else can come between.
    static ORDER: RefCell<Option<Order>> = const { RefCell::new(None) };
}

/// Runs `build`, in which str0m makes its DTLS instance, and returns where the keys will appear.
pub(crate) fn with_tap<T>(
    inner: &'static dyn DtlsProvider,
    build: impl FnOnce() -> T,
) -> (T, KeySlot) {
    let slot = KeySlot::default();
    let order = Order {
        slot: Arc::clone(&slot),
        inner,
    };
    ORDER.with_borrow_mut(|current| *current = Some(order));
    let built = build();
    ORDER.with_borrow_mut(|current| *current = None);
    (built, slot)
}

/// The default provider with our tap in place of its DTLS.
pub(crate) fn provider() -> CryptoProvider {
    static TAP: Tap = Tap;
    CryptoProvider {
        dtls_provider: &TAP,
        ..str0m::crypto::from_feature_flags()
    }
}

#[derive(Debug)]
struct Tap;

impl DtlsProvider for Tap {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        SharedDtls.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let order = ORDER.with_borrow_mut(Option::take);
        let order = order.ok_or_else(|| CryptoError::Other("nobody asked for keys".into()))?;
        Ok(Box::new(TappedInstance {
            inner: order.inner.new_dtls(cert, now, dtls_version, mtu)?,
            slot: order.slot,
        }))
    }
}

struct TappedInstance {
    inner: Box<dyn DtlsInstance>,
    slot: KeySlot,
}

impl fmt::Debug for TappedInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TappedInstance").finish_non_exhaustive()
    }
}

impl TappedInstance {
    fn keep(&self, exported: &[u8], profile: DtlsProfile) {
        let Some(profile) = profile_of(profile) else {
            return;
        };
        let Ok(material) = KeyingMaterial::split(profile, exported) else {
            return;
        };
        let role = if self.inner.is_active() {
            DtlsRole::Client
        } else {
            DtlsRole::Server
        };
        // A second export cannot happen; if it did, the first keys are those in use.
        let _ = self.slot.set(SessionKeys {
            profile,
            material,
            role,
        });
    }
}

/// A profile that we do not know leaves no keys, and the session fails.
const fn profile_of(profile: DtlsProfile) -> Option<SrtpProfile> {
    match profile {
        DtlsProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::AesCm128HmacSha1_80),
        DtlsProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        DtlsProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}

impl DtlsInstance for TappedInstance {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else there is or will be is str0m's"
    )]
    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.inner.poll_output(buf) {
            DtlsOutput::KeyingMaterial(material, profile) => {
                self.keep(material.as_ref(), profile);
                DtlsOutput::Connected
            }
            other => other,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
