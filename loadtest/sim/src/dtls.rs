//! A scripted handshake in place of DTLS.
//!
//! Real DTLS draws randomness that cannot be seeded, and its signatures vary in length, so a run
//! with it could not be repeated byte for byte. This stand-in exchanges certificates in two
//! flights, then gives both ends keys from the thread's seed. A smaller set of tests runs with real
//! DTLS.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::crypto::CryptoError;
use str0m::crypto::CryptoProvider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial,
    ProtocolVersion, SrtpProfile,
};

/// Key and salt of both ends for AEAD-AES-256-GCM (RFC 7714, section 12).
pub(crate) const KEYING_BYTES: usize = 2 * (32 + 12);
/// A handshake record (RFC 6347), so that demultiplexing takes it for DTLS.
pub(crate) const HELLO: &[u8] = &[22, 254, 253, 1];
pub(crate) const HELLO_BACK: &[u8] = &[22, 254, 253, 2];
/// Application data, for SCTP.
const DATA: &[u8] = &[23, 254, 253, 3];
const CLOSE: &[u8] = &[21, 254, 253, 4];
/// Everybody's certificate.
pub(crate) const CERTIFICATE: [u8; 64] = [7; 64];
/// A lost flight goes again after this.
const REPEAT: Duration = Duration::from_millis(100);

thread_local! {
    static KEY: Cell<u8> = const { Cell::new(1) };
}

/// The provider of both ends.
#[derive(Debug)]
struct ScriptedDtls;

static SCRIPTED: ScriptedDtls = ScriptedDtls;

/// str0m's usual provider with the handshake replaced.
#[must_use]
pub fn scripted_provider(usual: &CryptoProvider) -> CryptoProvider {
    CryptoProvider {
        dtls_provider: &SCRIPTED,
        ..usual.clone()
    }
}

/// Sets what the keys of this thread's next connections are made of.
pub fn seed_keys(seed: u64) {
    KEY.set(seed.to_le_bytes()[0]);
}

/// What the keys of this thread's connections are made of.
pub(crate) fn key_of_thread() -> u8 {
    KEY.get()
}

impl DtlsProvider for ScriptedDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        Some(DtlsCert {
            certificate: CERTIFICATE.to_vec(),
            private_key: vec![7; 64],
        })
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Scripted {
            certificate: cert.certificate.clone(),
            active: false,
            stage: Stage::Idle,
            now,
            repeat_at: now,
            out: VecDeque::new(),
            buffered: Vec::new(),
        }))
    }

    fn is_test(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Greeting,
    Connected,
    Closed,
}

#[derive(Debug)]
enum Step {
    Packet(Vec<u8>),
    Certificate(Vec<u8>),
    Keys,
    Connected,
    Data(Vec<u8>),
    Closed,
}

#[derive(Debug)]
struct Scripted {
    certificate: Vec<u8>,
    active: bool,
    stage: Stage,
    now: Instant,
    repeat_at: Instant,
    out: VecDeque<Step>,
    buffered: Vec<Vec<u8>>,
}

impl Scripted {
    fn greet(&mut self, header: &[u8]) {
        let certificate = self.certificate.clone();
        self.send(header, &certificate);
    }

    fn connect(&mut self, certificate: &[u8]) {
        if matches!(self.stage, Stage::Connected | Stage::Closed) {
            return;
        }
        self.stage = Stage::Connected;
        let certificate = Step::Certificate(certificate.to_vec());
        self.out.extend([certificate, Step::Keys, Step::Connected]);
        for data in std::mem::take(&mut self.buffered) {
            self.send(DATA, &data);
        }
    }

    fn send(&mut self, header: &[u8], data: &[u8]) {
        self.out.push_back(Step::Packet([header, data].concat()));
    }
}

impl DtlsInstance for Scripted {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        if active && self.stage == Stage::Idle {
            self.stage = Stage::Greeting;
            self.repeat_at = self.now;
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        match packet.split_at_checked(HELLO.len()) {
            Some((header, certificate)) if header == HELLO && !self.active => {
                self.greet(HELLO_BACK);
                self.connect(certificate);
            }
            Some((header, certificate)) if header == HELLO_BACK && self.active => {
                self.connect(certificate);
            }
            Some((header, data)) if header == DATA => {
                self.out.push_back(Step::Data(data.to_vec()));
            }
            Some((header, _)) if header == CLOSE && self.stage != Stage::Closed => {
                self.stage = Stage::Closed;
                self.out.push_back(Step::Closed);
            }
            _ => {}
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        if self.stage == Stage::Greeting && self.repeat_at <= self.now {
            self.repeat_at = self.now + REPEAT;
            self.greet(HELLO);
        }
        let (step, bytes) = match self.out.pop_front() {
            None if self.stage == Stage::Greeting => return DtlsOutput::Timeout(self.repeat_at),
            None => return DtlsOutput::Timeout(self.now + Duration::from_secs(3_600)),
            Some(Step::Connected) => return DtlsOutput::Connected,
            Some(Step::Closed) => return DtlsOutput::CloseNotify,
            Some(Step::Keys) => {
                let keys = KeyingMaterial::new(&[KEY.get(); KEYING_BYTES]);
                return DtlsOutput::KeyingMaterial(keys, SrtpProfile::AEAD_AES_256_GCM);
            }
            Some(Step::Certificate(bytes)) => (None, bytes),
            Some(Step::Packet(bytes)) => (Some(true), bytes),
            Some(Step::Data(bytes)) => (Some(false), bytes),
        };
        let Some(target) = buf.get_mut(..bytes.len()) else {
            return DtlsOutput::Timeout(self.now);
        };
        target.copy_from_slice(&bytes);
        match step {
            None => DtlsOutput::PeerCert(target),
            Some(true) => DtlsOutput::Packet(target),
            Some(false) => DtlsOutput::ApplicationData(target),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if self.stage == Stage::Connected {
            self.send(DATA, data);
        } else {
            self.buffered.push(data.to_vec());
        }
        Ok(data.len())
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        (self.stage == Stage::Connected).then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closed(&self) -> bool {
        self.stage == Stage::Closed && self.out.is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        if self.stage != Stage::Closed {
            self.send(CLOSE, &[]);
            self.stage = Stage::Closed;
        }
        Ok(())
    }
}
