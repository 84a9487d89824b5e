//! A handshake in two datagrams with keys from nowhere, for profiles that DTLS does not choose.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use str0m::config::{DtlsCert, DtlsVersion, KeyingMaterial};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};

/// Chooses the profile of all handshakes of a test binary's process.
#[derive(Debug)]
pub(crate) struct Scripted {
    profile: AtomicU16,
}

pub(crate) static SCRIPTED: Scripted = Scripted {
    profile: AtomicU16::new(1),
};

impl Scripted {
    pub(crate) fn choose(&self, dtls_number: u16) {
        self.profile.store(dtls_number, Ordering::SeqCst);
    }
}

impl DtlsProvider for Scripted {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        Some(DtlsCert {
            certificate: b"a certificate".to_vec(),
            private_key: Vec::new(),
        })
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let (profile, length) = match self.profile.load(Ordering::SeqCst) {
            7 => (SrtpProfile::AEAD_AES_128_GCM, 56),
            8 => (SrtpProfile::AEAD_AES_256_GCM, 88),
            _ => (SrtpProfile::AES128_CM_SHA1_80, 60),
        };
        Ok(Box::new(Instance {
            hello: [&[22][..], &cert.certificate].concat(),
            profile,
            length,
            active: false,
            out: VecDeque::new(),
            now,
            greeted: false,
        }))
    }
}

enum Step {
    Packet(Vec<u8>),
    PeerCert(Vec<u8>),
    Keys,
    Connected,
    Data(Vec<u8>),
}

struct Instance {
    hello: Vec<u8>,
    profile: SrtpProfile,
    length: usize,
    active: bool,
    out: VecDeque<Step>,
    now: Instant,
    greeted: bool,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        if active {
            self.out.push_back(Step::Packet(self.hello.clone()));
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        match packet.split_first() {
            Some((22, certificate)) if !self.greeted => {
                self.greeted = true;
                if !self.active {
                    self.out.push_back(Step::Packet(self.hello.clone()));
                }
                self.out.push_back(Step::PeerCert(certificate.to_vec()));
                self.out.push_back(Step::Keys);
                self.out.push_back(Step::Connected);
            }
            Some((23, data)) => self.out.push_back(Step::Data(data.to_vec())),
            _ => {}
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let mut copy = |bytes: Vec<u8>| {
            let length = bytes.len();
            buf[..length].copy_from_slice(&bytes);
            length
        };
        match self.out.pop_front() {
            None => DtlsOutput::Timeout(self.now + Duration::from_secs(3_600)),
            Some(Step::Packet(bytes)) => {
                let length = copy(bytes);
                DtlsOutput::Packet(&buf[..length])
            }
            Some(Step::PeerCert(bytes)) => {
                let length = copy(bytes);
                DtlsOutput::PeerCert(&buf[..length])
            }
            Some(Step::Data(bytes)) => {
                let length = copy(bytes);
                DtlsOutput::ApplicationData(&buf[..length])
            }
            Some(Step::Keys) => {
                let bytes: Vec<u8> = (0..=255).take(self.length).collect();
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(&bytes), self.profile)
            }
            Some(Step::Connected) => DtlsOutput::Connected,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.out.push_back(Step::Packet([&[23][..], data].concat()));
        Ok(data.len())
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        Some(ProtocolVersion::DTLS1_2)
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        Ok(())
    }
}
