//! One stock str0m client.

use std::net::SocketAddr;
use std::time::Instant;

use media_contract::MediaLine;
use media_types::{Identity, MediaKind, Mid, TransportId};
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{KeyframeRequest, Pt, Rid};
use str0m::net::Receive;
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// A client with what came to it.
pub(crate) struct Client {
    pub(crate) rtc: Rtc,
    pub(crate) identity: Identity,
    pub(crate) transport: TransportId,
    pub(crate) shard: usize,
    pub(crate) addr: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) media: Vec<MediaLine>,
    pub(crate) timeout: Instant,
    /// Media that came, by m-line.
    pub(crate) packets: Vec<(Instant, Mid, RtpPacket)>,
    pub(crate) keyframe_requests: Vec<(Instant, KeyframeRequest)>,
    pub(crate) events: Vec<Event>,
    /// Datagrams that are ready to leave.
    pub(crate) outgoing: Vec<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(
        base: Instant,
        number: usize,
        adjust: impl FnOnce(RtcConfig) -> RtcConfig,
    ) -> Self {
        let config = Rtc::builder().set_rtp_mode(true).set_stats_interval(None);
        let mut rtc = adjust(config).build(base);
        let port = 5_000 + u16::try_from(number).unwrap();
        let addr = SocketAddr::from(([10, 0, 1, 1], port));
        rtc.add_local_candidate(Candidate::host(addr, "udp").unwrap());
        Self {
            rtc,
            identity: format!("peer{number}").parse().unwrap(),
            transport: TransportId::new(u64::try_from(number).unwrap() + 1),
            shard: 0,
            addr,
            server: super::shard_addr(0),
            media: Vec::new(),
            timeout: base,
            packets: Vec::new(),
            keyframe_requests: Vec::new(),
            events: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    pub(crate) fn offer<T>(
        &mut self,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> (String, SdpPendingOffer, T) {
        self.server = super::shard_addr(u16::try_from(self.shard).unwrap());
        let mut api = self.rtc.sdp_api();
        let changed = change(&mut api);
        let (offer, pending) = api.apply().unwrap();
        (offer.to_sdp_string(), pending, changed)
    }

    pub(crate) fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
    }

    pub(crate) fn kind(&self, mid: Mid) -> MediaKind {
        let line = self.media.iter().find(|line| line.mid == mid);
        line.expect("a negotiated m-line").kind
    }

    pub(crate) fn pass_time(&mut self, now: Instant) {
        if self.timeout <= now {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
            self.poll(now);
        }
    }

    pub(crate) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let proto = str0m::net::Protocol::Udp;
        let receive = Receive::new(proto, self.server, self.addr, bytes).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
        self.poll(now);
    }

    /// Takes what there is to send, and notes what happened. str0m wants it after each input.
    pub(crate) fn poll(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
                Output::Transmit(transmit) => self.outgoing.push(transmit.contents.to_vec()),
                Output::Event(Event::RtpPacket(packet)) => {
                    let ssrc = packet.header.ssrc;
                    let mid = self.rtc.direct_api().stream_rx(&ssrc).unwrap().mid();
                    self.packets.push((now, ours(mid), packet));
                }
                Output::Event(Event::KeyframeRequest(request)) => {
                    self.keyframe_requests.push((now, request));
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Media that came on one m-line.
    pub(crate) fn on(&self, mid: Mid) -> Vec<&RtpPacket> {
        let packets = self.packets.iter().filter(|(_, on, _)| *on == mid);
        packets.map(|(_, _, packet)| packet).collect()
    }

    pub(crate) fn payload_type(&self, codec: Codec) -> Pt {
        let mut params = self.rtc.codec_config().params().iter();
        let found = params.find(|params| params.spec().codec == codec);
        found.expect("a configured codec").pt()
    }

    /// Sends a packet now.
    pub(crate) fn write(&mut self, now: Instant, mid: Mid, rid: Option<&str>, write: RtpWrite) {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(theirs(mid), rid.map(Rid::from));
        stream.expect("a stream to send on").write_rtp(write);
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.poll(now);
    }
}

/// str0m's mid as ours.
pub(crate) fn ours(mid: str0m::media::Mid) -> Mid {
    mid.to_string().parse().unwrap()
}

/// Our mid as str0m's.
pub(crate) fn theirs(mid: Mid) -> str0m::media::Mid {
    mid.as_str().into()
}
