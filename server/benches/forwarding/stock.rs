//! The same load forwarded by stock str0m: one `Rtc` a client, all defaults, its estimator on.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::crypto::CryptoProvider;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::client::{FEEDBACK, Joining, Light};
use crate::real::loopback;
use crate::world::{
    PICTURE, PICTURE_PACKET_BYTES, PICTURE_PACKETS, SOUND, SOUND_BYTES, STEP, Sample, cpu,
};

const ESTIMATE: Bitrate = Bitrate::kbps(2_500);

/// The server's end of one client.
struct Peer {
    rtc: Rtc,
    addr: SocketAddr,
    /// Sound and picture.
    slots: Vec<Mid>,
    wake: Instant,
}

pub(crate) struct Stock {
    socket: UdpSocket,
    addr: SocketAddr,
    peers: Vec<Peer>,
    by_addr: HashMap<SocketAddr, usize>,
    clients: Vec<(Light, UdpSocket)>,
    now: Instant,
    picture_at: Instant,
    sound_at: Instant,
    pictures: u64,
}

impl Stock {
    /// One publisher, who comes first, and so many viewers.
    pub(crate) fn new(base: Instant, provider: &Arc<CryptoProvider>, viewers: usize) -> Self {
        let socket = loopback();
        let addr = socket.local_addr().unwrap();
        let mut stock = Self {
            socket,
            addr,
            peers: Vec::new(),
            by_addr: HashMap::new(),
            clients: Vec::new(),
            now: base,
            picture_at: base,
            sound_at: base,
            pictures: 0,
        };
        for number in 0..=viewers {
            stock.join(base, provider, number == 0);
        }
        let now = stock.now;
        (stock.picture_at, stock.sound_at) = (now, now);
        let count = stock.clients.len() as u32;
        for (index, (client, _)) in stock.clients.iter_mut().enumerate() {
            client.begin(now + FEEDBACK * index as u32 / count);
        }
        stock
    }

    fn join(&mut self, base: Instant, provider: &Arc<CryptoProvider>, publishes: bool) {
        let socket = loopback();
        let client_addr = socket.local_addr().unwrap();
        let pairs = usize::from(!publishes);
        let (mut joining, offer, pending) =
            Joining::new(self.now, provider, client_addr, publishes, pairs);
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(Arc::clone(provider))
            .enable_bwe(Some(ESTIMATE))
            .build(self.now);
        rtc.add_local_candidate(Candidate::host(self.addr, "udp").unwrap());
        let offer = SdpOffer::from_sdp_string(&offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap();
        joining.accept(pending, &answer.to_sdp_string());
        self.by_addr.insert(client_addr, self.peers.len());
        self.peers.push(Peer {
            rtc,
            addr: client_addr,
            slots: joining.slots.clone(),
            wake: self.now,
        });
        let mut rest = 3;
        while rest > 0 {
            rest -= u32::from(joining.rtc.is_connected());
            for datagram in joining.poll(self.now) {
                socket.send_to(&datagram, self.addr).unwrap();
            }
            self.now += Duration::from_micros(200);
            self.turn();
            let mut buffer = [0; 2_048];
            while let Ok(length) = socket.recv(&mut buffer) {
                joining.receive(self.now, self.addr, &buffer[..length]);
            }
        }
        let peer = self.peers.last_mut().unwrap();
        peer.rtc.bwe().set_bitrate(ESTIMATE, ESTIMATE);
        self.clients.push((joining.connected(base), socket));
    }

    /// What came in is handed on, and what is due is sent.
    fn turn(&mut self) {
        let now = self.now;
        let mut buffer = [0; 2_048];
        let mut media = Vec::new();
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let Some(&index) = self.by_addr.get(&from) else {
                continue;
            };
            let datagram = &buffer[..length];
            let receive = Receive::new(Protocol::Udp, from, self.addr, datagram).unwrap();
            let peer = &mut self.peers[index];
            peer.rtc.handle_input(Input::Receive(now, receive)).unwrap();
            peer.poll(&self.socket, &mut media);
        }
        for packet in media {
            self.forward(packet);
        }
        for peer in &mut self.peers {
            if peer.wake <= now {
                peer.rtc.handle_input(Input::Timeout(now)).unwrap();
                peer.poll(&self.socket, &mut Vec::new());
            }
        }
    }

    fn forward(&mut self, packet: RtpPacket) {
        let now = self.now;
        let header = &packet.header;
        let video = usize::from(*header.payload_type == 96);
        let payload: Arc<[u8]> = packet.payload;
        for peer in self.peers.iter_mut().skip(1) {
            let mut api = peer.rtc.direct_api();
            let stream = api.stream_tx_by_mid(peer.slots[video], None).unwrap();
            let write = RtpWrite::new(
                header.payload_type,
                packet.seq_no,
                header.timestamp,
                now,
                Arc::clone(&payload),
            );
            stream.write_rtp(write.marker(header.marker).nackable(video == 1));
            // The others of its picture may go with it.
            peer.wake = now;
        }
    }

    pub(crate) fn run(&mut self, time: Duration) -> Sample {
        let before = self.packets();
        let end = self.now + time;
        let mut sample = Sample::default();
        while self.now < end {
            self.now += STEP;
            self.publish();
            let start = cpu();
            self.turn();
            sample.cpu += cpu() - start;
            let now = self.now;
            for (client, socket) in &mut self.clients {
                if client.due() <= now {
                    drain(now, client, socket);
                    let to = self.addr;
                    client.answer(now, |datagram| {
                        socket.send_to(datagram, to).unwrap();
                    });
                }
            }
        }
        sample.packets = self.packets() - before;
        sample
    }

    fn publish(&mut self) {
        let (client, socket) = &mut self.clients[0];
        let send = |datagram: &[u8]| {
            socket.send_to(datagram, self.addr).unwrap();
        };
        if self.picture_at <= self.now {
            self.picture_at += PICTURE;
            self.pictures += 1;
            let key = self.pictures % 60 == 1;
            client.picture(key, PICTURE_PACKETS, PICTURE_PACKET_BYTES, send);
        }
        if self.sound_at <= self.now {
            self.sound_at += SOUND;
            client.sound(SOUND_BYTES, send);
        }
    }

    fn packets(&mut self) -> u64 {
        let now = self.now;
        let counts = self.clients.iter_mut().map(|(client, socket)| {
            drain(now, client, socket);
            client.packets
        });
        counts.sum()
    }
}

fn drain(now: Instant, client: &mut Light, socket: &UdpSocket) {
    let mut buffer = [0; 2_048];
    while let Ok(length) = socket.recv(&mut buffer) {
        client.receive(now, &buffer[..length]);
    }
}

impl Peer {
    fn poll(&mut self, socket: &UdpSocket, media: &mut Vec<RtpPacket>) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.wake = at;
                    return;
                }
                Output::Transmit(transmit) => {
                    socket.send_to(&transmit.contents, self.addr).unwrap();
                }
                Output::Event(Event::RtpPacket(packet)) => media.push(packet),
                Output::Event(_) => {}
            }
        }
    }
}
