//! A stock str0m client and a [`Transport`], joined by a network of virtual time.
#![allow(
    dead_code,
    missing_docs,
    clippy::disallowed_methods,
    reason = "shared by several test binaries, each of which uses a part; one instant is the base"
)]

pub(crate) mod scripted;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_rtp::header::PacketKind;
use media_types::{BufferPool, Mid};
use media_webrtc::{
    CandidateAddr, Certificate, DropReason, Incoming, Negotiated, Path, Permissions, Protocol,
    TransmitBatch, Transport, TransportConfig, TransportEvent, TransportSeed,
};
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::net::Receive;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

pub(crate) const ONE_WAY: Duration = Duration::from_millis(5);

pub(crate) fn server_addr() -> SocketAddr {
    ([10, 0, 0, 1], 7_800).into()
}

pub(crate) fn client_addr() -> SocketAddr {
    ([10, 0, 0, 2], 5_000).into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// A datagram under way.
struct Flying {
    at: Instant,
    way: Way,
    client: SocketAddr,
    bytes: Vec<u8>,
}

/// Says whether a datagram is lost.
pub(crate) type Loss = Box<dyn FnMut(Way, &[u8]) -> bool>;

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) base: Instant,
    pub(crate) server: Transport,
    pub(crate) client: Rtc,
    /// Where the client's datagrams seem to come from.
    pub(crate) client_addr: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Where the client believes the server to be.
    announced: SocketAddr,
    pub(crate) loss: Loss,
    /// What a queue adds to the way up.
    pub(crate) up_delay: Duration,
    pub(crate) server_events: Vec<TransportEvent>,
    pub(crate) client_events: Vec<Event>,
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) drops: Vec<DropReason>,
    pub(crate) down: Vec<Vec<u8>>,
    pub(crate) answer: String,
    pool: BufferPool,
    batch: TransmitBatch,
    flying: VecDeque<Flying>,
    client_timeout: Instant,
}

pub(crate) fn config(base: Instant) -> TransportConfig {
    let candidates = vec![CandidateAddr {
        addr: server_addr(),
        protocol: Protocol::Udp,
    }];
    let unix = Duration::from_secs(1_700_000_000);
    TransportConfig::new(base, unix, Certificate::generate().unwrap(), candidates)
}

pub(crate) fn seed() -> TransportSeed {
    TransportSeed {
        ufrag: "AAserver".into(),
        pwd: "hV3nQe0sTq8uWm5rYb2kLp".into(),
        random: 42,
    }
}

pub(crate) fn client_config() -> RtcConfig {
    Rtc::builder().set_rtp_mode(true).set_stats_interval(None)
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(client_config(), |_| {})
    }

    pub(crate) fn with(client: RtcConfig, adjust: impl FnOnce(&mut TransportConfig)) -> Self {
        let now = Instant::now();
        let mut config = config(now);
        adjust(&mut config);
        let server = Transport::new(now, &config, Permissions::ALL, seed()).unwrap();
        let CandidateAddr { addr, protocol } = config.candidates[0];
        let mut client = client.build(now);
        let builder = Candidate::builder();
        let candidate = match protocol {
            Protocol::Udp => builder.udp().host(client_addr()).build(),
            Protocol::Tcp => {
                let builder = builder.tcp().host(client_addr());
                builder.tcptype(str0m::net::TcpType::Active).build()
            }
        };
        client.add_local_candidate(candidate.unwrap());
        Self {
            now,
            base: now,
            server,
            client,
            client_addr: client_addr(),
            protocol,
            announced: addr,
            loss: Box::new(|_, _| false),
            up_delay: Duration::ZERO,
            server_events: Vec::new(),
            client_events: Vec::new(),
            incoming: Vec::new(),
            drops: Vec::new(),
            down: Vec::new(),
            answer: String::new(),
            pool: BufferPool::new(64),
            batch: TransmitBatch::new(256 * 1_024),
            flying: VecDeque::new(),
            client_timeout: now,
        }
    }

    /// Lets the client offer what `change` adds, and both apply the outcome.
    pub(crate) fn negotiate<T>(
        &mut self,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> (T, Negotiated) {
        let mut api = self.client.sdp_api();
        let changed = change(&mut api);
        let (offer, pending) = api.apply().unwrap();
        let negotiated = self.answer(&offer.to_sdp_string(), pending, &[]);
        (changed, negotiated)
    }

    pub(crate) fn answer(
        &mut self,
        offer: &str,
        pending: SdpPendingOffer,
        pairs: &[(Mid, Mid)],
    ) -> Negotiated {
        let negotiated = self.server.negotiate(self.now, offer, pairs).unwrap();
        self.answer = negotiated.answer.clone();
        let answer = SdpAnswer::from_sdp_string(&negotiated.answer).unwrap();
        self.client
            .sdp_api()
            .accept_answer(pending, answer)
            .unwrap();
        self.drain_client();
        negotiated
    }

    /// Connects, or fails the test.
    pub(crate) fn connect(&mut self) {
        let connected = self.run_until(Duration::from_secs(5), |pair| {
            let told = pair.server_events.contains(&TransportEvent::Connected);
            told && pair.client.is_connected()
        });
        assert!(connected, "no connection: {:?}", self.server_events);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done`; whether that came in time.
    pub(crate) fn run_until(
        &mut self,
        time: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> bool {
        let end = self.now + time;
        loop {
            self.drain_client();
            self.drain_server();
            if done(self) {
                return true;
            }
            let next = [Some(self.client_timeout), self.server.poll_timeout()];
            let next = next
                .into_iter()
                .flatten()
                .chain(self.flying.front().map(|f| f.at));
            let next = next.min().unwrap_or(end).max(self.now);
            if next >= end {
                self.now = end;
                return done(self);
            }
            // A timeout that is due and stays due must not hold time up.
            self.now = next.max(self.now + Duration::from_micros(50));
            self.deliver();
            if self.client_timeout <= self.now {
                self.client.handle_input(Input::Timeout(self.now)).unwrap();
            }
            self.server.handle_timeout(self.now);
        }
    }

    fn fly(&mut self, way: Way, client: SocketAddr, bytes: Vec<u8>) {
        if !(self.loss)(way, &bytes) {
            let extra = match way {
                Way::Up => self.up_delay,
                Way::Down => Duration::ZERO,
            };
            let at = self.now + ONE_WAY + extra;
            let place = self.flying.partition_point(|flying| flying.at <= at);
            self.flying.insert(
                place,
                Flying {
                    at,
                    way,
                    client,
                    bytes,
                },
            );
        }
    }

    fn deliver(&mut self) {
        while self
            .flying
            .front()
            .is_some_and(|flying| flying.at <= self.now)
        {
            let flying = self.flying.pop_front().unwrap();
            match flying.way {
                Way::Up => self.reach_server(flying.client, &flying.bytes),
                Way::Down if flying.client == self.client_addr => self.reach_client(&flying.bytes),
                // Sent to an address that the client has left.
                Way::Down => {}
            }
        }
    }

    pub(crate) fn reach_server(&mut self, client: SocketAddr, bytes: &[u8]) {
        let path = Path {
            local: server_addr(),
            remote: client,
            protocol: self.protocol,
        };
        match PacketKind::of(bytes) {
            PacketKind::Stun | PacketKind::Dtls => {
                self.server.handle_control(self.now, path, bytes);
            }
            PacketKind::Rtp => {
                match self
                    .server
                    .handle_rtp(self.now, path, bytes, &mut self.pool)
                {
                    Ok(packet) => self.incoming.extend(packet),
                    Err(reason) => self.drops.push(reason),
                }
            }
            PacketKind::Rtcp => {
                if let Err(reason) = self.server.handle_rtcp(self.now, path, bytes) {
                    self.drops.push(reason);
                }
            }
            PacketKind::Unknown => {}
        }
        self.drain_server();
    }

    fn reach_client(&mut self, bytes: &[u8]) {
        let (from, to) = (self.announced, client_addr());
        let protocol = match self.protocol {
            Protocol::Udp => str0m::net::Protocol::Udp,
            Protocol::Tcp => str0m::net::Protocol::Tcp,
        };
        let receive = Receive::new(protocol, from, to, bytes).unwrap();
        self.client
            .handle_input(Input::Receive(self.now, receive))
            .unwrap();
        self.drain_client();
    }

    pub(crate) fn drain_client(&mut self) {
        loop {
            match self.client.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.client_timeout = at;
                    return;
                }
                Output::Event(event) => self.client_events.push(event),
                Output::Transmit(transmit) => {
                    let client = self.client_addr;
                    self.fly(Way::Up, client, transmit.contents.to_vec());
                }
            }
        }
    }

    pub(crate) fn drain_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            self.server_events.push(event);
        }
        self.batch.clear();
        self.server.poll_transmit(self.now, &mut self.batch);
        assert!(!self.batch.is_full());
        let sent: Vec<_> = self
            .batch
            .datagrams()
            .map(|(p, b)| (p, b.to_vec()))
            .collect();
        for (path, bytes) in sent {
            assert_eq!((path.local, path.protocol), (server_addr(), self.protocol));
            self.down.push(bytes.clone());
            self.fly(Way::Down, path.remote, bytes);
        }
        while let Some(event) = self.server.poll_event() {
            self.server_events.push(event);
        }
    }

    pub(crate) fn server_event<T>(&self, find: impl Fn(&TransportEvent) -> Option<T>) -> Option<T> {
        self.server_events.iter().find_map(find)
    }
}

/// str0m's mid as ours.
pub(crate) fn mid(mid: str0m::media::Mid) -> Mid {
    mid.to_string().parse().unwrap()
}
