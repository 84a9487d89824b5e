//! Shards and stock str0m clients, joined by a network of virtual time.
#![allow(
    dead_code,
    missing_docs,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "shared by several test binaries, each of which uses a part; one instant is the base"
)]

pub(crate) mod client;
pub(crate) mod hops;
pub(crate) mod live;
pub(crate) mod media;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_contract::{
    Action, Command, CommandId, Event, Fact, RefusedReason, ShardFigures, Subject,
    TransportSettings, TransportUse, Wish,
};
use media_core::{Shard, ShardConfig};
use media_types::{Bitrate, Codec, Epoch, Mid, RoomId, ShardId, TrackId, TrackSource, TransportId};
use media_webrtc::{CandidateAddr, Certificate, Path, Protocol, TransmitBatch, TransportConfig};
use str0m::change::SdpApi;

use client::Client;

pub(crate) const ROOM: RoomId = RoomId::new(1);

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// A datagram under way.
struct Flying {
    way: Way,
    client: usize,
    bytes: Vec<u8>,
}

/// Says whether a datagram of a client is lost.
pub(crate) type Loss = Box<dyn FnMut(Way, usize, &[u8]) -> bool>;

/// The whole arrangement.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) base: Instant,
    pub(crate) shards: Vec<Shard>,
    pub(crate) clients: Vec<Client>,
    pub(crate) events: Vec<(ShardId, Event)>,
    pub(crate) loss: Loss,
    pub(crate) one_way: Duration,
    pub(crate) epoch: Epoch,
    /// Messages that crossed between shards.
    pub(crate) relayed: usize,
    /// Links to those that stand for other workers.
    pub(crate) hops: hops::Hops,
    flying: BTreeMap<(Instant, u64), Flying>,
    pub(crate) batch: TransmitBatch,
    next_flight: u64,
    next_command: u64,
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn shard_config(base: Instant, id: u16, certificate: Certificate) -> ShardConfig {
    let candidates = vec![CandidateAddr {
        addr: shard_addr(id),
        protocol: Protocol::Udp,
    }];
    let unix = Duration::from_secs(1_700_000_000);
    let mut transport = TransportConfig::new(base, unix, certificate, candidates);
    // Paths of these tests are wide, and nothing here is about finding that out.
    transport.start_bitrate = Bitrate::from_kbps(2_500);
    let mut config = ShardConfig::new(ShardId(id), transport, [7; 32]);
    config.allow_faults = true;
    config
}

pub(crate) fn shard_addr(id: u16) -> std::net::SocketAddr {
    ([10, 0, 0, 1], 7_800 + id).into()
}

impl World {
    /// This many shards, with the room open on each.
    pub(crate) fn new(shards: u16) -> Self {
        let base = Instant::now();
        let certificate = Certificate::generate().unwrap();
        let shards = (0..shards)
            .map(|id| Shard::new(base, shard_config(base, id, certificate.clone())))
            .collect();
        let mut world = Self {
            now: base,
            base,
            shards,
            clients: Vec::new(),
            events: Vec::new(),
            loss: Box::new(|_, _, _| false),
            one_way: ms(5),
            epoch: Epoch::FIRST,
            relayed: 0,
            hops: hops::Hops::default(),
            flying: BTreeMap::new(),
            batch: TransmitBatch::new(1 << 20),
            next_flight: 0,
            next_command: 0,
        };
        for shard in 0..world.shards.len() {
            assert!(world.is_done(shard, Action::OpenRoom));
        }
        world
    }

    /// Gives a command and returns its answer.
    pub(crate) fn command(&mut self, shard: usize, action: Action) -> Fact {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let command = Command {
            id,
            room: ROOM,
            epoch: self.epoch,
            action,
        };
        self.shards[shard].handle_command(self.now, command);
        self.drain();
        let mut answers = self
            .events
            .iter()
            .filter_map(|(_, event)| match &event.fact {
                fact @ (Fact::Done { command }
                | Fact::Refused { command, .. }
                | Fact::Negotiated { command, .. }
                | Fact::Described { command, .. })
                    if *command == id =>
                {
                    Some(fact.clone())
                }
                _ => None,
            });
        let answer = answers.next().expect("every command is answered");
        assert_eq!(answers.next(), None, "and once only");
        answer
    }

    /// Gives a command; whether it was done.
    pub(crate) fn is_done(&mut self, shard: usize, action: Action) -> bool {
        matches!(self.command(shard, action), Fact::Done { .. })
    }

    /// Gives a command that is to be refused.
    pub(crate) fn refusal(&mut self, shard: usize, action: Action) -> RefusedReason {
        match self.command(shard, action) {
            Fact::Refused { reason, .. } => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A client with a transport on a shard that has not offered anything yet.
    pub(crate) fn add_client(&mut self, shard: usize, client: Client) -> usize {
        self.add_client_of(shard, client, Vec::new())
    }

    /// The same in a room that allows these codecs.
    pub(crate) fn add_client_of(
        &mut self,
        shard: usize,
        client: Client,
        codecs: Vec<Codec>,
    ) -> usize {
        let index = self.clients.len();
        let settings = TransportSettings {
            identity: client.identity.clone(),
            usage: TransportUse::Peer,
            publish: true,
            subscribe: true,
            data: true,
            codecs,
        };
        let transport = client.transport;
        self.clients.push(Client { shard, ..client });
        let open = Action::OpenTransport {
            transport,
            settings,
        };
        assert!(self.is_done(shard, open));
        index
    }

    /// A client that offers what `change` adds, connected.
    pub(crate) fn join<T>(
        &mut self,
        shard: usize,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> (usize, T) {
        let number = self.clients.len();
        let index = self.add_client(shard, Client::new(self.base, number, |config| config));
        let changed = self.negotiate(index, change);
        self.connect(index);
        (index, changed)
    }

    /// Offers what `change` adds and applies the answer.
    pub(crate) fn negotiate<T>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> T {
        let (offer, pending, changed) = self.clients[index].offer(change);
        let (shard, transport) = (self.clients[index].shard, self.clients[index].transport);
        let answer = self.command(
            shard,
            Action::Negotiate {
                transport,
                offer,
                pairs: Vec::new(),
            },
        );
        let Fact::Negotiated { answer, media, .. } = answer else {
            panic!("not negotiated: {answer:?}");
        };
        self.clients[index].media = media;
        self.clients[index].accept(pending, &answer);
        self.drain();
        changed
    }

    pub(crate) fn connect(&mut self, index: usize) {
        let connected = self.run_until(Duration::from_secs(5), |world| {
            let subject = Subject::Transport(world.clients[index].transport);
            let told = world.told(subject, |fact| matches!(fact, Fact::TransportConnected));
            told && world.clients[index].rtc.is_connected()
        });
        assert!(connected, "client {index} does not connect");
    }

    /// Binds an m-line to a track, which gets the id `track`.
    pub(crate) fn publish(&mut self, index: usize, mid: Mid, track: u64) -> TrackId {
        let (shard, transport) = (self.clients[index].shard, self.clients[index].transport);
        let kind = self.clients[index].kind(mid);
        let track = TrackId::new(track);
        let publish = Action::Publish {
            transport,
            mid,
            track,
            source: TrackSource::default_for(kind),
        };
        assert!(self.is_done(shard, publish));
        track
    }

    pub(crate) fn fill(&mut self, index: usize, slot: Mid, track: TrackId, wish: Wish) {
        let (shard, transport) = (self.clients[index].shard, self.clients[index].transport);
        let fill = Action::Fill {
            transport,
            slot,
            track,
            wish,
        };
        assert!(self.is_done(shard, fill));
    }

    /// Whether a fact of a subject was ever told.
    pub(crate) fn told(&self, subject: Subject, mut is: impl FnMut(&Fact) -> bool) -> bool {
        let mut events = self.events.iter();
        events.any(|(_, event)| event.subject == subject && is(&event.fact))
    }

    /// The last fact of a subject that `find` likes.
    pub(crate) fn last<T>(
        &self,
        subject: Subject,
        find: impl FnMut(&Fact) -> Option<T>,
    ) -> Option<T> {
        let events = self.events.iter().rev();
        let facts = events.filter(|(_, event)| event.subject == subject);
        facts.map(|(_, event)| &event.fact).find_map(find)
    }

    pub(crate) fn figures(&self, shard: usize) -> ShardFigures {
        self.shards[shard].figures(self.now)
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
            self.drain();
            if done(self) {
                return true;
            }
            let flights = self.flying.keys().next().map(|&(at, _)| at);
            let clients = self.clients.iter().map(|client| client.timeout);
            let shards = self.shards.iter().filter_map(Shard::poll_timeout);
            let hops = self.hops.poll_timeout(self.now);
            let timers = clients.chain(shards).chain(flights).chain(hops);
            let next = timers.min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return done(self);
            }
            // A timeout that is due and stays due must not hold time up.
            self.now = next.max(self.now + Duration::from_micros(50));
            self.step();
        }
    }

    fn step(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let Flying { way, client, bytes } = entry.remove();
            match way {
                Way::Up => self.give_shard(client, &bytes),
                Way::Down => self.clients[client].receive(self.now, &bytes),
            }
        }
        for client in &mut self.clients {
            client.pass_time(self.now);
        }
        for shard in &mut self.shards {
            shard.handle_timeout(self.now);
        }
    }

    pub(crate) fn path(&self, client: usize) -> Path {
        let client = &self.clients[client];
        Path {
            local: client.server,
            remote: client.addr,
            protocol: Protocol::Udp,
        }
    }

    /// Hands a datagram to a client's shard as if it came from the client.
    pub(crate) fn give_shard(&mut self, client: usize, bytes: &[u8]) {
        let path = self.path(client);
        let shard = self.clients[client].shard;
        let mut bytes = bytes.to_vec();
        self.shards[shard].handle_datagram(self.now, path, &mut bytes);
    }

    /// Carries everything that is ready to leave: datagrams, relay messages, events.
    pub(crate) fn drain(&mut self) {
        for client in 0..self.clients.len() {
            self.clients[client].poll(self.now);
            for bytes in std::mem::take(&mut self.clients[client].outgoing) {
                self.fly(Way::Up, client, bytes);
            }
        }
        for shard in 0..self.shards.len() {
            self.drain_relay(shard);
        }
        for (to, from, message) in self.hops.exchange(self.now) {
            self.shards[to].handle_relay(self.now, from, message);
        }
        for shard in 0..self.shards.len() {
            self.drain_shard(shard);
        }
    }

    fn drain_relay(&mut self, shard: usize) {
        while let Some((to, message)) = self.shards[shard].poll_relay() {
            self.relayed += 1;
            let from = ShardId(u16::try_from(shard).unwrap());
            match to.here() {
                Some(to) => {
                    let to = usize::from(to.0);
                    self.shards[to].handle_relay(self.now, from.into(), message);
                }
                None => self.hops.take(self.now, shard, to, message),
            }
        }
    }

    fn drain_shard(&mut self, shard: usize) {
        let mut more = true;
        while more {
            self.batch.clear();
            more = self.shards[shard].poll_transmit(self.now, &mut self.batch);
            let datagrams = self.batch.datagrams();
            let sent: Vec<_> = datagrams
                .map(|(path, bytes)| (path, bytes.to_vec()))
                .collect();
            for (path, bytes) in sent {
                let client = self
                    .clients
                    .iter()
                    .position(|client| client.addr == path.remote);
                if let Some(client) = client {
                    self.fly(Way::Down, client, bytes);
                }
            }
        }
        let id = ShardId(u16::try_from(shard).unwrap());
        while let Some(event) = self.shards[shard].poll_event() {
            self.events.push((id, event));
        }
    }

    fn fly(&mut self, way: Way, client: usize, bytes: Vec<u8>) {
        if (self.loss)(way, client, &bytes) {
            return;
        }
        self.next_flight += 1;
        let flying = Flying { way, client, bytes };
        self.flying
            .insert((self.now + self.one_way, self.next_flight), flying);
    }

    /// The id of a client's transport.
    pub(crate) fn transport(&self, client: usize) -> TransportId {
        self.clients[client].transport
    }
}
