//! The server's own loop over real sockets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use media_contract::{Command, Event};
use str0m::crypto::CryptoProvider;
use troupe_server::net::{Reach, ReachSettings};
use troupe_server::shard::{Shards, SteppedShard};

use crate::engine::{Engine, shard};

/// The loop of a shard's thread, socket and all.
pub(crate) struct Real {
    shard: SteppedShard,
    addr: SocketAddr,
    clients: Vec<UdpSocket>,
    pending: bool,
}

pub(crate) fn loopback() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let room = socket2::SockRef::from(&socket);
    room.set_recv_buffer_size(400_000).unwrap();
    socket
}

impl Real {
    pub(crate) fn new(now: Instant, provider: &CryptoProvider) -> Self {
        let ip = Ipv4Addr::LOCALHOST.into();
        let settings = ReachSettings {
            loopback: true,
            ..ReachSettings::default()
        };
        let reach = Reach::new(ip, &[ip], &settings);
        let shards = Shards::bind(1, SocketAddr::new(ip, 0), &reach).unwrap();
        let addr = SocketAddr::new(ip, shards.ports()[0]);
        let mut stepped = shards.stepped(now, |now, id| shard(now, id, addr, provider));
        Self {
            shard: stepped.remove(0),
            addr,
            clients: Vec::new(),
            pending: false,
        }
    }

    /// Whether neighbours of one size may leave as one segmented send.
    pub(crate) fn segment(&mut self, segment: bool) {
        self.shard.set_segmentation(segment);
    }

    /// Datagrams sent, and the system calls that took.
    pub(crate) fn sends(&self) -> (u64, u64) {
        self.shard.sends()
    }
}

impl Engine for Real {
    fn add(&mut self) -> SocketAddr {
        let socket = loopback();
        let addr = socket.local_addr().unwrap();
        self.clients.push(socket);
        addr
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn command(&mut self, _now: Instant, command: Command) {
        self.shard.command(command).unwrap();
        self.pending = true;
    }

    fn event(&mut self) -> Option<Event> {
        self.shard.poll_event()
    }

    fn put(&mut self, client: usize, datagram: &[u8]) {
        self.clients[client].send_to(datagram, self.addr).unwrap();
        self.pending = true;
    }

    fn take(&mut self, client: usize, take: &mut dyn FnMut(&[u8])) {
        let mut buffer = [0; 2_048];
        while let Ok(length) = self.clients[client].recv(&mut buffer) {
            take(&buffer[..length]);
        }
    }

    fn is_pending(&self) -> bool {
        self.pending
    }

    fn timeout(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    fn turn(&mut self, now: Instant) {
        while self.shard.turn(now) {}
        self.pending = false;
    }
}
