//! Wraps `str0m::Rtc` for what it does here: SDP, ICE-lite, DTLS 1.2 and data channels.
//!
//! Only STUN and DTLS datagrams pass. Anything else that str0m makes is dropped: media under our
//! keys is sealed in one place alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use media_rtp::header::PacketKind;
use str0m::change::SdpOffer;
use str0m::config::DtlsVersion;
use str0m::net::{DatagramSend, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use crate::channels::Channels;
use crate::config::{TransportConfig, TransportSeed};
use crate::error::WebRtcError;
use crate::event::LostReason;
use crate::extensions;
use crate::formats;
use crate::keys::{self, KeySlot, SessionKeys};
use crate::limits::{CONTROL_DATAGRAMS_MAX, DATA_BUFFERED_BYTES_MAX, DATA_BYTES_MAX, PATHS_MAX};
use crate::path::{CandidateAddr, Path, Protocol};
use crate::sdp::attribute_value;
use crate::stun;

/// str0m's own reports are not wanted.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What a session tells its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionEvent {
    /// ICE and DTLS are through.
    Connected,
    /// It is over.
    Ended(LostReason),
    /// The client proved to be at this path, by a check that we answered.
    Validated { path: Path, nominated: bool },
    /// A data channel opened.
    ChannelOpen { reliable: bool },
    /// A data message.
    Data { reliable: bool, bytes: Vec<u8> },
}

/// str0m's part of one transport.
pub(crate) struct Session {
    rtc: Rtc,
    keys: KeySlot,
    credentials: IceCreds,
    restarts: u32,
    candidates: Vec<CandidateAddr>,
    /// Local addresses as datagrams came to them, by remote: with address translation they differ
    /// from the candidates that str0m knows.
    seen: ArrayVec<Path, PATHS_MAX>,
    channels: Channels,
    datagrams: VecDeque<(Path, DatagramSend)>,
    events: VecDeque<SessionEvent>,
    timeout: Option<Instant>,
    phase: SessionPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionPhase {
    Connecting,
    Connected,
    Ended,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(
        now: Instant,
        config: &TransportConfig,
        seed: &TransportSeed,
    ) -> Result<Self, WebRtcError> {
        let credentials = IceCreds {
            ufrag: seed.ufrag.clone(),
            pass: seed.pwd.clone(),
        };
        let rtc_config = rtc_config(config, &credentials);
        let (mut rtc, keys) = keys::with_tap(config.dtls, || rtc_config.build(now));
        for candidate in &config.candidates {
            rtc.add_local_candidate(host_candidate(*candidate)?);
        }
        Ok(Self {
            rtc,
            keys,
            credentials,
            restarts: 0,
            candidates: config.candidates.clone(),
            seen: ArrayVec::new(),
            channels: Channels::default(),
            datagrams: VecDeque::new(),
            events: VecDeque::new(),
            timeout: None,
            phase: SessionPhase::Connecting,
        })
    }

    pub(crate) fn ufrag(&self) -> &str {
        &self.credentials.ufrag
    }

    /// Applies an offer and returns str0m's answer. `restart`: the offer has other ICE credentials
    /// than the one before, so ours change too (RFC 8839, section 4.4.1.1.1).
    pub(crate) fn accept_offer(
        &mut self,
        now: Instant,
        offer: &str,
        restart: bool,
    ) -> Result<String, WebRtcError> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(|error| bad_sdp(&error))?;
        let answer = self.rtc.sdp_api().accept_offer(offer);
        let answer = answer.map_err(|error| bad_sdp(&error))?;
        let mut text = answer.to_sdp_string();
        if restart {
            let made_up = self.rtc.direct_api().local_ice_credentials();
            self.restart_credentials();
            let ours = self.credentials.clone();
            text = with_credentials(&text, &made_up, &ours);
            self.rtc.direct_api().set_local_ice_credentials(ours);
        }
        self.handle_timeout(now);
        Ok(text)
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if self.phase == SessionPhase::Ended {
            return;
        }
        let Some(local) = self.candidate_of(path) else {
            return;
        };
        self.remember(path);
        let receive = Receive::new(path.protocol.into(), path.remote, local, datagram);
        let Ok(receive) = receive else {
            return;
        };
        let request = stun::binding_request(datagram);
        // An error here is about this datagram; what ends the session shows in the phase.
        let _ = self.rtc.handle_input(Input::Receive(now, receive));
        let answered = self.drain(request.map(|request| (path, request.transaction)));
        if let Some(request) = request.filter(|_| answered) {
            self.events.push_back(SessionEvent::Validated {
                path,
                nominated: request.use_candidate,
            });
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == SessionPhase::Ended {
            return;
        }
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(None);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    pub(crate) fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<(Path, DatagramSend)> {
        self.datagrams.pop_front()
    }

    pub(crate) fn unpoll_datagram(&mut self, path: Path, datagram: DatagramSend) {
        self.datagrams.push_front((path, datagram));
    }

    /// The keys, once the handshake is through.
    pub(crate) fn keys(&self) -> Option<&SessionKeys> {
        self.keys.get()
    }

    /// Sends a data message; `false` if the channel is not open or full.
    pub(crate) fn send_data(
        &mut self,
        now: Instant,
        reliable: bool,
        message: &[u8],
    ) -> Result<bool, WebRtcError> {
        if message.len() > DATA_BYTES_MAX {
            return Err(WebRtcError::DataSize(message.len()));
        }
        let Some(id) = self.channels.id(reliable) else {
            return Ok(false);
        };
        let Some(mut channel) = self.rtc.channel(id) else {
            return Ok(false);
        };
        let written = channel.write(true, message);
        let written = written.map_err(|_| WebRtcError::DataChannel)?;
        self.handle_timeout(now);
        Ok(written)
    }

    /// Starts the goodbye: DTLS `close_notify`.
    pub(crate) fn close(&mut self) {
        if self.phase != SessionPhase::Ended {
            let _ = self.rtc.close();
            self.drain(None);
            self.phase = SessionPhase::Ended;
        }
    }

    /// Takes what str0m has to give. `request` is a check that came in this turn; the result says
    /// whether it was answered, which str0m does only for authentic ones.
    fn drain(&mut self, request: Option<(Path, [u8; 12])>) -> bool {
        let mut answered = false;
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = Some(at);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let protocol = Protocol::from(transmit.proto);
                    let path = self.path_to(transmit.source, transmit.destination, protocol);
                    let contents = &transmit.contents;
                    answered |= request.is_some_and(|(from, transaction)| {
                        from == path && stun::is_success(contents, &transaction)
                    });
                    self.queue(path, transmit.contents);
                }
                Ok(Output::Event(event)) => self.on_event(event),
                // Whatever failed is over for str0m: see `is_alive` below.
                Err(_) => {
                    if !self.rtc.is_alive() {
                        break;
                    }
                }
            }
        }
        if !self.rtc.is_alive() {
            self.end();
        }
        answered
    }

    fn queue(&mut self, path: Path, contents: DatagramSend) {
        let kind = PacketKind::of(&contents);
        let wanted = matches!(kind, PacketKind::Stun | PacketKind::Dtls);
        if wanted && self.datagrams.len() < CONTROL_DATAGRAMS_MAX {
            self.datagrams.push_back((path, contents));
        }
    }

    fn on_connected(&mut self) {
        if self.keys.get().is_some() && self.phase == SessionPhase::Connecting {
            self.phase = SessionPhase::Connected;
            self.events.push_back(SessionEvent::Connected);
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "str0m sees no media, and ICE states are judged by our own liveness"
    )]
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => self.on_connected(),
            Event::ChannelOpen(id, label) => {
                if let Some(reliable) = self.channels.open(id, &label) {
                    self.events
                        .push_back(SessionEvent::ChannelOpen { reliable });
                }
            }
            Event::ChannelData(data) => {
                let reliable = self.channels.is_reliable(data.id);
                if let Some(reliable) = reliable.filter(|_| data.data.len() <= DATA_BYTES_MAX) {
                    self.events.push_back(SessionEvent::Data {
                        reliable,
                        bytes: data.data,
                    });
                }
            }
            Event::ChannelClose(id) => self.channels.close(id),
            Event::Closed => self.end(),
            _ => {}
        }
    }

    fn end(&mut self) {
        let reason = match self.phase {
            SessionPhase::Connecting => LostReason::Handshake,
            SessionPhase::Connected => LostReason::Closed,
            SessionPhase::Ended => return,
        };
        self.phase = SessionPhase::Ended;
        self.events.push_back(SessionEvent::Ended(reason));
    }

    /// The candidate that str0m knows for the local address of `path`.
    fn candidate_of(&self, path: Path) -> Option<std::net::SocketAddr> {
        let fitting = || {
            let candidates = self.candidates.iter();
            candidates.filter(move |candidate| candidate.protocol == path.protocol)
        };
        let exact = fitting().find(|candidate| candidate.addr == path.local);
        let family =
            || fitting().find(|candidate| candidate.addr.is_ipv4() == path.remote.is_ipv4());
        exact.or_else(family).map(|candidate| candidate.addr)
    }

    fn remember(&mut self, path: Path) {
        let same = |seen: &Path| seen.remote == path.remote && seen.protocol == path.protocol;
        if let Some(at) = self.seen.iter().position(same) {
            self.seen.remove(at);
        } else if self.seen.is_full() {
            self.seen.remove(0);
        }
        self.seen.push(path);
    }

    fn path_to(
        &self,
        source: std::net::SocketAddr,
        remote: std::net::SocketAddr,
        protocol: Protocol,
    ) -> Path {
        let same = |seen: &&Path| seen.remote == remote && seen.protocol == protocol;
        self.seen.iter().rev().find(same).copied().unwrap_or(Path {
            local: source,
            remote,
            protocol,
        })
    }

    /// New credentials that follow from the old: unpredictable to those who do not know those, and
    /// the same in every run of a simulation.
    fn restart_credentials(&mut self) {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let provider = str0m::crypto::from_feature_flags().sha256_provider;
        let hash = provider.sha256(self.credentials.pass.as_bytes());
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied();
        let pass = hash.iter().filter_map(letter).map(char::from).collect();
        if self.restarts > 0 {
            self.credentials.ufrag.pop();
        }
        let count = usize::try_from(self.restarts % 26).unwrap_or(0);
        let mark = ALPHABET.get(count).copied().unwrap_or(b'a');
        self.credentials.ufrag.push(char::from(mark));
        self.credentials.pass = pass;
        self.restarts = self.restarts.saturating_add(1);
    }
}

/// The answer with our credentials in place of those that str0m made up.
fn with_credentials(answer: &str, made_up: &IceCreds, ours: &IceCreds) -> String {
    let replaced = answer
        .lines()
        .map(|line| match attribute_value(line, "ice-ufrag") {
            Some(_) => format!("a=ice-ufrag:{}", ours.ufrag),
            None if attribute_value(line, "ice-pwd").is_some() => {
                format!("a=ice-pwd:{}", ours.pass)
            }
            None if attribute_value(line, "candidate").is_some() => {
                let of = |ufrag: &str| format!(" ufrag {ufrag}");
                line.replace(&of(&made_up.ufrag), &of(&ours.ufrag))
            }
            None => line.to_owned(),
        });
    replaced
        .flat_map(|line| [line, "\r\n".to_owned()])
        .collect()
}

fn bad_sdp(error: &dyn std::fmt::Display) -> WebRtcError {
    WebRtcError::BadSdp(error.to_string())
}

fn rtc_config(config: &TransportConfig, credentials: &IceCreds) -> RtcConfig {
    let base = RtcConfig::new()
        .set_crypto_provider(config.provider.clone())
        .set_dtls_cert(config.certificate.to_str0m())
        .set_dtls_version(DtlsVersion::Dtls12)
        .set_local_ice_credentials(credentials.clone())
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .set_stats_interval(None)
        .set_rtcp_report_interval_audio(NEVER)
        .set_rtcp_report_interval_video(NEVER)
        .set_sctp_max_buffered_amount(DATA_BUFFERED_BYTES_MAX)
        .set_sctp_max_message_size(u32::try_from(DATA_BYTES_MAX).unwrap_or(u32::MAX))
        .set_extension_map(extensions::offered());
    formats::enable(base, &config.codecs)
}

fn host_candidate(candidate: CandidateAddr) -> Result<Candidate, WebRtcError> {
    let builder = Candidate::builder();
    let built = match candidate.protocol {
        Protocol::Udp => builder.udp().host(candidate.addr).build(),
        Protocol::Tcp => {
            let passive = str0m::net::TcpType::Passive;
            builder.tcp().host(candidate.addr).tcptype(passive).build()
        }
    };
    built.map_err(|_| WebRtcError::BadCandidate)
}
