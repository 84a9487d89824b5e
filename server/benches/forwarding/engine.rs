//! What forwards. Here: a bare shard over memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_contract::{Command, Event};
use media_core::{Shard, ShardConfig};
use media_types::ShardId;
use media_webrtc::{CandidateAddr, Certificate, Path, Protocol, TransmitBatch, TransportConfig};
use str0m::crypto::CryptoProvider;

/// As large as the server's own arenas.
pub(crate) const ARENA_BYTES: usize = 512 * 1_024;
/// Enough of a packet for its header.
const HEAD: usize = 64;

/// Forwards datagrams between clients that are known by their number.
pub(crate) trait Engine {
    /// A place for one more client: its address.
    fn add(&mut self) -> SocketAddr;
    /// Where clients send to.
    fn addr(&self) -> SocketAddr;
    fn command(&mut self, now: Instant, command: Command);
    fn event(&mut self) -> Option<Event>;
    /// Something from a client, for the next turn.
    fn put(&mut self, client: usize, datagram: &[u8]);
    /// What came to a client, or the beginning of it.
    fn take(&mut self, client: usize, take: &mut dyn FnMut(&[u8]));
    /// Whether something came for the next turn.
    fn is_pending(&self) -> bool;
    /// When a turn is due all the same.
    fn timeout(&self) -> Option<Instant>;
    /// Does what there is to do: this is what is measured.
    fn turn(&mut self, now: Instant);
    /// What must be done after a turn and is nobody's cost.
    fn settle(&mut self) {}
}

pub(crate) fn shard(
    now: Instant,
    id: ShardId,
    addr: SocketAddr,
    provider: &CryptoProvider,
) -> Shard {
    let candidate = CandidateAddr {
        addr,
        protocol: Protocol::Udp,
    };
    let certificate = Certificate::generate_by(provider.dtls_provider).unwrap();
    let mut transport = TransportConfig::new(now, Duration::ZERO, certificate, vec![candidate]);
    transport.dtls = provider.dtls_provider;
    Shard::new(now, ShardConfig::new(id, transport, [7; 32]))
}

/// A bare shard: datagrams come from memory, and what it sends is only counted.
pub(crate) struct Bare {
    shard: Shard,
    addr: SocketAddr,
    inbox: Vec<(usize, Vec<u8>)>,
    batches: Vec<TransmitBatch>,
    used: usize,
    /// The beginnings of what came to each client.
    came: Vec<Vec<u8>>,
}

impl Bare {
    pub(crate) fn new(now: Instant, provider: &CryptoProvider) -> Self {
        let addr = SocketAddr::from(([10, 0, 0, 1], 7_800));
        Self {
            shard: shard(now, ShardId(0), addr, provider),
            addr,
            inbox: Vec::new(),
            batches: Vec::new(),
            used: 0,
            came: Vec::new(),
        }
    }

    fn client_addr(client: usize) -> SocketAddr {
        ([10, 1, 0, 1], 1_000 + u16::try_from(client).unwrap()).into()
    }
}

impl Engine for Bare {
    fn add(&mut self) -> SocketAddr {
        self.came.push(Vec::new());
        Self::client_addr(self.came.len() - 1)
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn command(&mut self, now: Instant, command: Command) {
        self.shard.handle_command(now, command);
    }

    fn event(&mut self) -> Option<Event> {
        self.shard.poll_event()
    }

    fn put(&mut self, client: usize, datagram: &[u8]) {
        self.inbox.push((client, datagram.to_vec()));
    }

    fn take(&mut self, client: usize, take: &mut dyn FnMut(&[u8])) {
        let came = std::mem::take(&mut self.came[client]);
        let mut rest = came.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (head, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            take(head);
            rest = after;
        }
        self.came[client] = came;
        self.came[client].clear();
    }

    fn is_pending(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn timeout(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    fn turn(&mut self, now: Instant) {
        for (client, mut datagram) in self.inbox.drain(..) {
            let path = Path {
                local: self.addr,
                remote: Self::client_addr(client),
                protocol: Protocol::Udp,
            };
            self.shard.handle_datagram(now, path, &mut datagram);
        }
        if self.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.shard.handle_timeout(now);
        }
        loop {
            if self.used == self.batches.len() {
                self.batches.push(TransmitBatch::new(ARENA_BYTES));
            }
            let batch = &mut self.batches[self.used];
            self.used += 1;
            if !self.shard.poll_transmit(now, batch) {
                return;
            }
        }
    }

    fn settle(&mut self) {
        for batch in &mut self.batches[..self.used] {
            for (path, datagram) in batch.datagrams() {
                let client = usize::from(path.remote.port() - 1_000);
                // While somebody joins the whole handshake is needed.
                let most = match datagram[0] {
                    0..128 => datagram.len(),
                    _ => HEAD,
                };
                let head = &datagram[..datagram.len().min(most)];
                let length = u16::try_from(head.len()).unwrap();
                self.came[client].extend(length.to_be_bytes());
                self.came[client].extend(head);
            }
            batch.clear();
        }
        self.used = 0;
    }
}
