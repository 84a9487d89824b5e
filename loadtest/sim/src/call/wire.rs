//! How a light client reaches its server: ICE checks, the scripted handshake, and SRTP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_rtp::header::{Element, HeaderFields, PacketKind, RtpHeader, write_header};
use media_rtp::srtp::{DtlsRole, KeyingMaterial, SrtpProfile, SrtpReceiver, SrtpSender};

use crate::dtls::{CERTIFICATE, HELLO, HELLO_BACK, KEYING_BYTES, key_of_thread};

/// Checks before the server's first answer, and the handshake's repeats.
const CHECK_FAST: Duration = Duration::from_millis(100);
/// Consent (RFC 7675, section 5.1).
const CHECK_SLOW: Duration = Duration::from_millis(2_500);
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;
const DATAGRAM_BYTES: usize = 1_500;

/// What came to a client.
pub(super) enum Incoming {
    /// An RTP packet with its payload in the clear, padding included.
    Rtp(RtpHeader, Vec<u8>, Vec<u8>),
    /// A compound RTCP packet.
    Rtcp(Vec<u8>),
    /// Nothing for the client.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Checking,
    Greeting,
    Open,
}

/// One client's connection.
pub(super) struct Wire {
    phase: Phase,
    ufrag: String,
    remote: Option<(String, String)>,
    check_at: Instant,
    greet_at: Instant,
    checks: u32,
    number: u32,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    out: VecDeque<Vec<u8>>,
}

impl Wire {
    pub(super) fn new(now: Instant, number: u32) -> Self {
        let profile = SrtpProfile::AeadAes256Gcm;
        let keys = KeyingMaterial::split(profile, &[key_of_thread(); KEYING_BYTES]);
        let keys = keys.expect("keys of the right length");
        let sender = SrtpSender::new(profile, keys.sending(DtlsRole::Client));
        let receiver = SrtpReceiver::new(profile, keys.receiving(DtlsRole::Client));
        Self {
            phase: Phase::Idle,
            ufrag: format!("c{number:04}"),
            remote: None,
            check_at: now,
            greet_at: now,
            checks: 0,
            number,
            sender: sender.expect("keys of the profile"),
            receiver: receiver.expect("keys of the profile"),
            out: VecDeque::new(),
        }
    }

    pub(super) fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Starts with the server's ICE credentials.
    pub(super) fn start(&mut self, now: Instant, ufrag: &str, pwd: &str) {
        self.remote = Some((ufrag.to_owned(), pwd.to_owned()));
        self.phase = Phase::Checking;
        self.check_at = now;
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Greeting => Some(self.check_at.min(self.greet_at)),
            Phase::Checking | Phase::Open => Some(self.check_at),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            return;
        }
        if self.check_at <= now {
            let connecting = self.phase == Phase::Checking;
            self.check_at = now + if connecting { CHECK_FAST } else { CHECK_SLOW };
            let check = self.check();
            self.out.push_back(check);
        }
        if self.phase == Phase::Greeting && self.greet_at <= now {
            self.greet_at = now + CHECK_FAST;
            self.out.push_back([HELLO, &CERTIFICATE].concat());
        }
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Incoming {
        match PacketKind::of(datagram) {
            PacketKind::Stun => {
                if self.phase == Phase::Checking && datagram.starts_with(&BINDING_SUCCESS) {
                    self.phase = Phase::Greeting;
                    self.greet_at = now;
                    self.handle_timeout(now);
                }
                Incoming::Nothing
            }
            PacketKind::Dtls => {
                if self.phase == Phase::Greeting && datagram.starts_with(HELLO_BACK) {
                    self.phase = Phase::Open;
                }
                Incoming::Nothing
            }
            PacketKind::Rtp => self.open_rtp(datagram),
            PacketKind::Rtcp => {
                let mut compound = Vec::new();
                match self.receiver.open_rtcp(datagram, &mut compound) {
                    Ok(()) => Incoming::Rtcp(compound),
                    Err(_) => Incoming::Nothing,
                }
            }
            _ => Incoming::Nothing,
        }
    }

    pub(super) fn send_rtp(
        &mut self,
        fields: &HeaderFields,
        index: u64,
        extensions: &[Element<'_>],
        payload: &[u8],
    ) {
        let mut packet = vec![0; DATAGRAM_BYTES];
        let header = write_header(&mut packet, fields, extensions).expect("a header that fits");
        let sealed = self
            .sender
            .seal_rtp(&mut packet, header, fields.ssrc, index, 0, payload);
        packet.truncate(sealed.expect("a packet that fits"));
        self.out.push_back(packet);
    }

    pub(super) fn send_rtcp(&mut self, compound: &[u8]) {
        let mut sealed = Vec::new();
        self.sender
            .seal_rtcp(compound, &mut sealed)
            .expect("a compound to seal");
        self.out.push_back(sealed);
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    fn open_rtp(&mut self, datagram: &[u8]) -> Incoming {
        let Ok(header) = RtpHeader::parse(datagram) else {
            return Incoming::Nothing;
        };
        let mut payload = vec![0; datagram.len()];
        match self.receiver.open_rtp(&header, datagram, &mut payload) {
            Ok(opened) => {
                payload.truncate(opened.length);
                let clear = datagram[..header.header_length()].to_vec();
                Incoming::Rtp(header, clear, payload)
            }
            Err(_) => Incoming::Nothing,
        }
    }

    /// A connectivity check that nominates (RFC 8445, section 7.1; RFC 8489, section 14).
    fn check(&mut self) -> Vec<u8> {
        self.checks += 1;
        let (ufrag, pwd) = self.remote.clone().expect("started");
        let mut message = BINDING_REQUEST.to_vec();
        message.extend([0, 0]);
        message.extend(COOKIE);
        message.extend(self.number.to_be_bytes());
        message.extend([0; 4]);
        message.extend(self.checks.to_be_bytes());
        put(
            &mut message,
            USERNAME,
            format!("{ufrag}:{}", self.ufrag).as_bytes(),
        );
        put(&mut message, PRIORITY, &0x6e7f_1eff_u32.to_be_bytes());
        put(
            &mut message,
            ICE_CONTROLLING,
            &u64::from(self.number).to_be_bytes(),
        );
        put(&mut message, USE_CANDIDATE, &[]);
        set_length(&mut message, 24);
        let provider = str0m::crypto::from_feature_flags().sha1_hmac_provider;
        let tag = provider.sha1_hmac(pwd.as_bytes(), &[&message]);
        put(&mut message, MESSAGE_INTEGRITY, &tag);
        set_length(&mut message, 8);
        let checksum = crc32(&message) ^ 0x5354_554e;
        put(&mut message, FINGERPRINT, &checksum.to_be_bytes());
        message
    }
}

fn put(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("a short attribute");
    message.extend(kind.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The length field counts what follows the header, and `more` that is still to come.
fn set_length(message: &mut [u8], more: usize) {
    let length = u16::try_from(message.len() - 20 + more).expect("a short message");
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// CRC-32 (ISO 3309), as STUN's fingerprint takes it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}
