//! DTLS (RFC 6347) up to the keys for SRTP (RFC 5764).
//!
//! Driven directly and not by str0m's provider, which makes its settings anew for each connection:
//! each time they are checked by generating keys of every kind, a millisecond on ours of 2026.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile as DtlsProfile};
use media_rtp::srtp::{DtlsRole, KeyingMaterial, SrtpProfile, SrtpReceiver, SrtpSender};

/// The longest record that we make.
const RECORD_BYTES: usize = 2_048;
/// Handshake records stay below this, so that they cross any path.
const MTU: usize = 1_200;
/// A timer further away than this is none.
const TIMER_MAX: Duration = Duration::from_secs(60);

/// The certificate that all clients of an engine show: what identifies them is signalling.
pub(super) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    /// As `a=fingerprint` has it, hash function included.
    pub(super) fingerprint: String,
}

impl Identity {
    pub(super) fn generate() -> Result<Self> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()?;
        let config = Config::builder().mtu(MTU).build()?;
        let fingerprint = fingerprint_of(&certificate.certificate);
        Ok(Self {
            certificate,
            config: Arc::new(config),
            fingerprint,
        })
    }
}

fn fingerprint_of(certificate: &[u8]) -> String {
    let provider = str0m::crypto::from_feature_flags().sha256_provider;
    let mut text = String::from("sha-256 ");
    for (place, byte) in provider.sha256(certificate).iter().enumerate() {
        let colon = if place == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// Both directions' keys.
pub(super) struct Keys {
    pub(super) sender: SrtpSender,
    pub(super) receiver: SrtpReceiver,
}

/// One client's handshake.
pub(super) struct Handshake {
    dtls: Dtls,
    /// What the other end's certificate must hash to.
    expected: String,
    believed: bool,
    pub(super) timeout: Option<Instant>,
    /// Once it is through.
    pub(super) keys: Option<Keys>,
    /// The other end said goodbye, or is not who it should be.
    pub(super) ended: bool,
}

impl Handshake {
    pub(super) fn begin(
        identity: &Identity,
        now: Instant,
        active: bool,
        expected: &str,
        out: &mut Vec<Vec<u8>>,
    ) -> Self {
        let config = Arc::clone(&identity.config);
        let dtls = Dtls::new_12(config, identity.certificate.clone(), now);
        let mut handshake = Self {
            dtls,
            expected: expected.to_owned(),
            believed: false,
            timeout: None,
            keys: None,
            ended: false,
        };
        handshake.dtls.set_active(active);
        handshake.handle_timeout(now, out);
        handshake
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        out: &mut Vec<Vec<u8>>,
    ) {
        // What cannot be read is dropped, and the other end says it again.
        let _ = self.dtls.handle_packet(datagram);
        self.handle_timeout(now, out);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        if self.dtls.handle_timeout(now).is_err() {
            self.ended = true;
        }
        self.drain(now, out);
    }

    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        if self.dtls.close().is_ok() {
            self.drain(now, out);
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else there is or will be is no part of a handshake"
    )]
    fn drain(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.dtls.poll_output(&mut record) {
                Output::Packet(packet) => out.push(packet.to_vec()),
                Output::PeerCert(certificate) => {
                    let shown = fingerprint_of(certificate);
                    self.believed = shown.eq_ignore_ascii_case(&self.expected);
                    self.ended |= !self.believed;
                }
                Output::KeyingMaterial(material, profile) if self.believed => {
                    self.keys = keys_of(material.as_ref(), profile, self.dtls.is_active());
                }
                Output::CloseNotify => self.ended = true,
                Output::Timeout(at) => {
                    self.timeout = (at < now + TIMER_MAX).then_some(at);
                    return;
                }
                Output::BufferTooSmall { .. } => {
                    self.ended = true;
                    return;
                }
                _ => {}
            }
        }
    }
}

/// A profile that we do not know leaves no keys.
fn keys_of(material: &[u8], profile: DtlsProfile, active: bool) -> Option<Keys> {
    let profile = match profile {
        DtlsProfile::AES128_CM_SHA1_80 => SrtpProfile::AesCm128HmacSha1_80,
        DtlsProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        DtlsProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        _ => return None,
    };
    let role = if active {
        DtlsRole::Client
    } else {
        DtlsRole::Server
    };
    let material = KeyingMaterial::split(profile, material).ok()?;
    Some(Keys {
        sender: SrtpSender::new(profile, material.sending(role)).ok()?,
        receiver: SrtpReceiver::new(profile, material.receiving(role)).ok()?,
    })
}
