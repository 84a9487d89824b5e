//! The least server that stock str0m makes: WHIP in, WHEP out, one `Rtc` a client, one thread. A
//! yardstick for `bench-peers`, and nothing to run a service with.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::media::{KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// What subscribers are taken to have until their feedback says otherwise.
const ESTIMATE: Bitrate = Bitrate::kbps(2_500);
const MEDIA: Token = Token(0);
const ORDERS: Token = Token(1);
/// Without a timer the loop looks around this often.
const TURN_MAX: Duration = Duration::from_millis(100);
/// Longest request body: an offer.
const BODY_BYTES_MAX: usize = 1 << 18;

/// Forwards with stock str0m
#[derive(Debug, Parser)]
#[command(name = "troupe-stock", version)]
struct Arguments {
    /// Where WHIP and WHEP are taken, as 192.0.2.7:8080
    #[arg(long)]
    listen: SocketAddr,
}

/// What the listener wants of the loop.
enum Order {
    Join {
        room: String,
        publishes: bool,
        offer: String,
        reply: Sender<Result<(u64, String)>>,
    },
    Leave(u64),
}

/// The server's end of one client.
struct Peer {
    rtc: Rtc,
    room: String,
    publishes: bool,
    addr: Option<SocketAddr>,
    audio: Option<Mid>,
    video: Option<Mid>,
    wake: Instant,
}

/// What a peer has brought.
#[derive(Default)]
struct Brought {
    packets: Vec<RtpPacket>,
    keyframe: bool,
}

struct Server {
    socket: UdpSocket,
    local: SocketAddr,
    peers: BTreeMap<u64, Peer>,
    by_addr: HashMap<SocketAddr, u64>,
    next: u64,
}

#[allow(
    clippy::disallowed_methods,
    reason = "a program of its own has its own clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<()> {
    let Arguments { listen } = Arguments::parse();
    let mut poll = Poll::new()?;
    let local = SocketAddr::new(listen.ip(), 0);
    let mut socket = UdpSocket::bind(local)?;
    poll.registry()
        .register(&mut socket, MEDIA, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), ORDERS)?);
    let (orders, received) = channel();
    let listener = TcpListener::bind(listen)?;
    std::thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || accept(&listener, &orders, &waker))?;
    let local = socket.local_addr()?;
    let mut server = Server {
        socket,
        local,
        peers: BTreeMap::new(),
        by_addr: HashMap::new(),
        next: 0,
    };
    let mut events = Events::with_capacity(16);
    loop {
        let due = server.peers.values().map(|peer| peer.wake).min();
        let wait = due.map_or(TURN_MAX, |at| at.saturating_duration_since(now()));
        if let Err(error) = poll.poll(&mut events, Some(wait.min(TURN_MAX)))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        server.obey(&received);
        server.receive()?;
        server.fire()?;
    }
}

impl Server {
    fn obey(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Join {
                    room,
                    publishes,
                    offer,
                    reply,
                } => {
                    // Whoever has stopped waiting does not miss it.
                    let _ = reply.send(self.join(room, publishes, &offer));
                }
                Order::Leave(id) => {
                    self.peers.remove(&id);
                    self.by_addr.retain(|_, peer| *peer != id);
                }
            }
        }
    }

    fn join(&mut self, room: String, publishes: bool, offer: &str) -> Result<(u64, String)> {
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .enable_bwe(Some(ESTIMATE))
            .build(now());
        rtc.add_local_candidate(Candidate::host(self.local, "udp")?);
        let offer = SdpOffer::from_sdp_string(offer)?;
        let answer = rtc.sdp_api().accept_offer(offer)?.to_sdp_string();
        rtc.bwe().set_bitrate(ESTIMATE, ESTIMATE);
        self.next += 1;
        let peer = Peer {
            rtc,
            room,
            publishes,
            addr: None,
            audio: None,
            video: None,
            wake: now(),
        };
        self.peers.insert(self.next, peer);
        Ok((self.next, answer))
    }

    fn receive(&mut self) -> Result<()> {
        let mut buffer = [0; 2_048];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let datagram = buffer.get(..length).unwrap_or_default();
            let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, datagram) else {
                continue;
            };
            let input = Input::Receive(now(), receive);
            let known = self.by_addr.get(&from).copied();
            let found = known.or_else(|| {
                let mut peers = self.peers.iter();
                Some(*peers.find(|(_, peer)| peer.rtc.accepts(&input))?.0)
            });
            if let Some(id) = found {
                self.by_addr.insert(from, id);
                self.take(id, from, input)?;
            }
        }
    }

    fn take(&mut self, id: u64, from: SocketAddr, input: Input<'_>) -> Result<()> {
        let mut brought = Brought::default();
        let Some(peer) = self.peers.get_mut(&id) else {
            return Ok(());
        };
        peer.addr = Some(from);
        peer.rtc.handle_input(input)?;
        peer.poll(&self.socket, &mut brought)?;
        let room = peer.room.clone();
        for packet in brought.packets {
            self.forward(&room, &packet)?;
        }
        if brought.keyframe {
            self.ask_for_keyframe(&room)?;
        }
        Ok(())
    }

    fn fire(&mut self) -> Result<()> {
        let mut wanted = Vec::new();
        for peer in self.peers.values_mut() {
            let at = now();
            if peer.wake <= at {
                let mut brought = Brought::default();
                peer.rtc.handle_input(Input::Timeout(at))?;
                peer.poll(&self.socket, &mut brought)?;
                wanted.extend(brought.keyframe.then(|| peer.room.clone()));
            }
        }
        wanted
            .iter()
            .try_for_each(|room| self.ask_for_keyframe(room))
    }

    fn forward(&mut self, room: &str, packet: &RtpPacket) -> Result<()> {
        let header = &packet.header;
        let at = now();
        let viewers = self.peers.values_mut();
        for peer in viewers.filter(|peer| !peer.publishes && peer.room == room) {
            let video = *header.payload_type != 111;
            let Some(mid) = (if video { peer.video } else { peer.audio }) else {
                continue;
            };
            if !peer.rtc.is_connected() {
                continue;
            }
            let mut api = peer.rtc.direct_api();
            let Some(stream) = api.stream_tx_by_mid(mid, None) else {
                continue;
            };
            let write = RtpWrite::new(
                header.payload_type,
                packet.seq_no,
                header.timestamp,
                at,
                Arc::clone(&packet.payload),
            );
            stream.write_rtp(write.marker(header.marker).nackable(video));
            // The others of its picture may go with it.
            peer.wake = at;
        }
        Ok(())
    }

    fn ask_for_keyframe(&mut self, room: &str) -> Result<()> {
        let publishers = self.peers.values_mut();
        for peer in publishers.filter(|peer| peer.publishes && peer.room == room) {
            let Some(mid) = peer.video else { continue };
            let mut api = peer.rtc.direct_api();
            if let Some(stream) = api.stream_rx_by_mid(mid, None) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            peer.poll(&self.socket, &mut Brought::default())?;
        }
        Ok(())
    }
}

impl Peer {
    fn poll(&mut self, socket: &UdpSocket, brought: &mut Brought) -> Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake = at;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // A full queue loses it, as a network would.
                    let _ = socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => brought.packets.push(packet),
                Output::Event(Event::KeyframeRequest(_)) => brought.keyframe = true,
                Output::Event(Event::Connected) => brought.keyframe = !self.publishes,
                Output::Event(Event::MediaAdded(media)) => match media.kind {
                    MediaKind::Audio => self.audio = Some(media.mid),
                    MediaKind::Video => self.video = Some(media.mid),
                },
                Output::Event(_) => {}
            }
        }
    }
}

fn accept(listener: &TcpListener, orders: &Sender<Order>, waker: &Arc<Waker>) {
    for stream in listener.incoming().flatten() {
        let (orders, waker) = (orders.clone(), Arc::clone(waker));
        let answer = move || {
            if let Err(error) = serve(&stream, &orders, &waker) {
                let text = format!("{error:#}");
                let _ = write_answer(&stream, "400 Bad Request", "", &text);
            }
        };
        if std::thread::Builder::new().spawn(answer).is_err() {
            eprintln!("troupe-stock: no thread for a request");
        }
    }
}

/// One request of a connection, which is closed then.
fn serve(stream: &TcpStream, orders: &Sender<Order>, waker: &Waker) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().context("a path")?,
    );
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    if length > BODY_BYTES_MAX {
        bail!("a body of {length} bytes");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (kind, name) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    match (method, kind) {
        ("POST", "whip" | "whep") => {
            let (reply, answer) = channel();
            orders.send(Order::Join {
                room: name.to_owned(),
                publishes: kind == "whip",
                offer: String::from_utf8(body)?,
                reply,
            })?;
            waker.wake()?;
            let (id, sdp) = answer.recv()??;
            let headers = format!("Location: /session/{id}\r\nContent-Type: application/sdp\r\n");
            write_answer(stream, "201 Created", &headers, &sdp)
        }
        ("DELETE", "session") => {
            orders.send(Order::Leave(name.parse()?))?;
            waker.wake()?;
            write_answer(stream, "200 OK", "", "")
        }
        _ => write_answer(stream, "404 Not Found", "", ""),
    }
}

fn write_answer(mut stream: &TcpStream, status: &str, headers: &str, body: &str) -> Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(stream.flush()?)
}
