//! A shard's thread, its socket and its queues.
//!
//! Each shard is one OS thread that owns one [`media_core::Shard`], one UDP socket and its ends of
//! the queues; nobody else touches any of them. Commands and ICE-TCP frames come in by lock-free
//! queues and a wake, events go out by a ring that a task on a control thread drains, packets for
//! other shards by one ring for each pair. The thread runs a loop of fixed order with bounded work
//! a turn. A panic ends the inner thread alone: an outer one, which does nothing else, starts a
//! fresh shard over the same socket and queues.

pub(crate) mod far;
pub(crate) mod live;
mod logic;
pub(crate) mod metrics;
mod pin;
pub(crate) mod pump;
pub(crate) mod ring;
pub(crate) mod socket;
mod stepped;
pub(crate) mod streams;
pub(crate) mod thread;
mod wake;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use media_types::{Clock, ShardId};

pub use pump::EventSink;
pub(crate) use ring::Inbox;
pub use stepped::SteppedShard;
pub(crate) use streams::StreamOut;

use crate::limits::ARENA_BYTES;
use crate::net::Reach;
use media_webrtc::TransmitBatch;
use ring::Reports;
use socket::{ShardSocket, SocketFigures};
use thread::{Parts, SOCKET_TOKEN, WAKE_TOKEN};

/// How a shard's thread fared; counters are totals since the worker's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadFigures {
    /// Which shard.
    pub(crate) shard: ShardId,
    /// Its socket.
    pub(crate) socket: SocketFigures,
    /// The share of the last second that it worked, in millionths.
    pub(crate) busy_ppm: u32,
    /// Turns of its loop.
    pub(crate) turns: u64,
    /// Packets for other shards that found no room.
    pub(crate) relay_drops: u64,
    /// ICE-TCP connections now.
    pub(crate) streams: u64,
    /// Frames towards ICE-TCP clients that found no room.
    pub(crate) stream_drops: u64,
}

/// All shards of a worker: their sockets bound, their threads not yet started.
pub struct Shards {
    /// The queues into each.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    parts: Vec<Parts<media_core::RelayMessage>>,
    reports: Vec<Reports>,
}

/// A shard whose thread runs.
pub(crate) struct Running {
    pub(crate) id: ShardId,
    pub(crate) thread: JoinHandle<()>,
    pub(crate) reports: Reports,
}

impl Shards {
    /// Binds a socket for each of `count` shards, at the port of `first` and those that follow; a
    /// port of 0 takes any that are free.
    ///
    /// # Errors
    /// When a port is taken or the address is not ours.
    pub fn bind(count: u16, first: SocketAddr, reach: &Reach) -> io::Result<Self> {
        let mut prepared = Vec::new();
        for index in 0..count {
            let port = match first.port() {
                0 => 0,
                base => base.checked_add(index).ok_or_else(no_such_port)?,
            };
            let address = SocketAddr::new(first.ip(), port);
            let socket = ShardSocket::bind(address, reach.clone())
                .map_err(|error| named(&error, address))?;
            prepared.push(Prepared::new(ShardId(index), socket)?);
        }
        let inboxes: Vec<_> = prepared.iter().map(|p| Arc::clone(&p.inbox)).collect();
        let lanes = ring::lanes(&inboxes);
        let (mut parts, mut reports) = (Vec::new(), Vec::new());
        for (prepared, lanes) in prepared.into_iter().zip(lanes) {
            let (reporter, reading) = ring::reports();
            parts.push(prepared.finish(lanes, reporter));
            reports.push(reading);
        }
        Ok(Self {
            inboxes,
            parts,
            reports,
        })
    }

    /// Gives the shards queues from and to other workers, and whoever carries them the other ends.
    pub(crate) fn open_far(&mut self) -> far::FarEnds<media_core::RelayMessage> {
        let parts = self.parts.iter_mut();
        far::connect(parts.map(|parts| (&mut parts.lanes, Arc::clone(&parts.inbox))))
    }

    /// The UDP ports, in the order of the shards.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.parts.iter().map(|p| p.socket.port()).collect()
    }

    /// Starts the threads, each on a core of its own where `pin` says so. `make` makes a shard; it
    /// is called again after a panic.
    pub(crate) fn start<M>(
        self,
        clock: &Arc<dyn Clock>,
        pin: bool,
        make: &M,
    ) -> io::Result<Vec<Running>>
    where
        M: Fn(std::time::Instant, ShardId) -> media_core::Shard + Clone + Send + Sync + 'static,
    {
        let mut running = Vec::new();
        for (mut parts, reports) in self.parts.into_iter().zip(self.reports) {
            let id = parts.id;
            parts.pin = pin;
            let make = make.clone();
            let thread = thread::spawn(parts, Arc::clone(clock), move |now| make(now, id))?;
            running.push(Running {
                id,
                thread,
                reports,
            });
        }
        Ok(running)
    }
}

/// A shard's socket and inbox, before it has its lanes.
struct Prepared {
    poll: mio::Poll,
    socket: ShardSocket,
    inbox: Arc<Inbox>,
    id: ShardId,
}

impl Prepared {
    fn new(id: ShardId, mut socket: ShardSocket) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        socket.register(poll.registry(), SOCKET_TOKEN)?;
        let wake = wake::Wake::new(poll.registry(), WAKE_TOKEN)?;
        let inbox = Arc::new(Inbox::new(id, wake));
        Ok(Self {
            poll,
            socket,
            inbox,
            id,
        })
    }

    fn finish<R>(self, lanes: ring::Lanes<R>, reporter: ring::Reporter) -> Parts<R> {
        Parts {
            id: self.id,
            inbox: self.inbox,
            poll: self.poll,
            socket: self.socket,
            streams: streams::Streams::default(),
            live: live::LiveRings::default(),
            lanes,
            reporter,
            batch: TransmitBatch::new(ARENA_BYTES),
            pin: false,
            turns: 0,
            relay_drops: 0,
        }
    }
}

fn no_such_port() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "webrtc.udp_port leaves no port for every shard",
    )
}

fn named(error: &io::Error, address: SocketAddr) -> io::Error {
    io::Error::new(error.kind(), format!("udp {address}: {error}"))
}
