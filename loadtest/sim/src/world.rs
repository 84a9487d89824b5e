//! Shards, clients and the network between them, stepped by hand in virtual time.
//!
//! The world plays the part of the actors: it opens transports, passes offers and answers,
//! publishes what is offered, fills every slot with what others publish, and relays between shards
//! where clients of one room lie on different ones.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use media_contract::{Action, Command, CommandId, Event, Fact, Subject};
use media_core::{HopFigures, Shard, ShardConfig};
use media_types::{Epoch, RoomId, ShardId, TransportId};
use media_webrtc::{CandidateAddr, Certificate, Path, Protocol, TransportConfig};
use str0m::config::CryptoProvider;

use crate::director::Director;
use crate::hops::{self, Hops};
use crate::seed::seed_clients;
use crate::tape::{Tape, Taped};
use crate::{Chance, Client, Link, Pipe, Plan, scripted_provider, seed_keys};

const ROOM: RoomId = RoomId::new(1);
const ROUNDS_MAX: usize = 1_000;

/// A client with its two pipes.
pub struct Member {
    /// The client.
    pub client: Client,
    /// Towards the server.
    pub up: Pipe<Vec<u8>>,
    /// Towards the client.
    pub down: Pipe<Vec<u8>>,
    /// Its shard.
    pub shard: ShardId,
    /// Its transport.
    pub transport: TransportId,
    /// What str0m gave up with, if it did.
    pub failed: Option<String>,
}

/// A whole room on a lossy network.
pub struct World {
    /// The start of the run.
    pub start: Instant,
    /// The present.
    pub now: Instant,
    /// Everyone who joined, in that order.
    pub members: Vec<Member>,
    /// Every event that the shards told, in order.
    pub events: Vec<(ShardId, Event)>,
    shards: Vec<Taped>,
    /// Where each shard is a worker of its own.
    hops: Option<Hops>,
    director: Director,
    provider: Arc<CryptoProvider>,
    chance: Chance,
    seed: u64,
    next_command: u64,
    trace: u64,
}

/// The start of every run: one for the process, since str0m tells wall clock times that it derives
/// from it.
pub(crate) fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods, reason = "only differences to it are used")]
    *BASE.get_or_init(Instant::now)
}

pub(crate) fn server_address(shard: ShardId) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 7_800 + shard.0)
}

/// A shard whose chance and keys follow the seed.
pub(crate) fn new_shard(start: Instant, seed: u64, index: u16) -> Shard {
    let provider = scripted_provider(&str0m::crypto::from_feature_flags());
    let candidate = CandidateAddr {
        addr: server_address(ShardId(index)),
        protocol: Protocol::Udp,
    };
    let certificate = Certificate::generate_by(provider.dtls_provider).expect("a certificate");
    let mut transport = TransportConfig::new(start, Duration::ZERO, certificate, vec![candidate]);
    transport.dtls = provider.dtls_provider;
    let mut config = ShardConfig::new(ShardId(index), transport, [index_seed(seed, index); 32]);
    config.allow_faults = true;
    Shard::new(start, config)
}

impl World {
    /// A worker with that many shards and one open room.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn new(seed: u64, shards: u16) -> Self {
        let start = base();
        let mut chance = Chance::new(seed, 0);
        seed_clients(&mut chance);
        seed_keys(seed);
        let provider = Arc::new(scripted_provider(&str0m::crypto::from_feature_flags()));
        let shards = (0..shards)
            .map(|index| Taped::new(start, seed, index))
            .collect();
        let mut world = Self {
            start,
            now: start,
            members: Vec::new(),
            events: Vec::new(),
            shards,
            hops: None,
            director: Director::default(),
            provider,
            chance,
            seed,
            next_command: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        for index in 0..world.shards.len() {
            world.command(shard_id(index), Action::OpenRoom);
        }
        world
    }

    /// So many workers of one shard each, which hold one room together, linked each with each by
    /// such a path.
    #[must_use]
    pub fn of_workers(seed: u64, workers: u16, link: &Link) -> Self {
        let mut world = Self::new(seed, workers);
        let count = usize::from(workers);
        world.hops = Some(Hops::new(world.start, seed, count, link));
        world.director.spans = true;
        for index in 0..count {
            let others = (0..count).filter(|other| *other != index);
            let peers = others.map(hops::peer).collect();
            world.command(shard_id(index), Action::LinkRoom { peers });
        }
        world
    }

    /// What crossed from one worker to another.
    #[must_use]
    pub fn crossed(&self, from: usize, to: usize) -> Option<HopFigures> {
        self.hops.as_ref()?.figures(self.now, from, to)
    }

    /// Adds a client: its transport opens, its offer is on its way. Returns its index.
    ///
    /// # Panics
    /// When str0m refuses to make an offer.
    pub fn join(&mut self, plan: Plan, link: &Link, shard: u16) -> usize {
        let index = self.members.len();
        let number = u32::try_from(index).expect("few members");
        let address = client_address(number, 0);
        let mut client =
            Client::new(self.now, number, address, Arc::clone(&self.provider)).expect("a client");
        let offer = client.offer(plan);
        let pipe = |usage: u64| Pipe::new(self.start, link.clone(), Chance::new(self.seed, usage));
        let base = 2 * u64::from(number) + 1;
        let transport = TransportId::new(u64::from(number) + 1);
        self.members.push(Member {
            client,
            up: pipe(base),
            down: pipe(base + 1),
            shard: ShardId(shard),
            transport,
            failed: None,
        });
        let settings = self.director.join(ShardId(shard), transport, number);
        self.command(
            ShardId(shard),
            Action::OpenTransport {
                transport,
                settings,
            },
        );
        let negotiate = Action::Negotiate {
            transport,
            offer,
            pairs: Vec::new(),
        };
        self.command(ShardId(shard), negotiate);
        self.settle();
        index
    }

    /// Takes a client out.
    pub fn leave(&mut self, member: usize) {
        let Member {
            shard, transport, ..
        } = self.members[member];
        self.command(shard, Action::CloseTransport { transport });
        self.settle();
    }

    /// Ends a client's transport by a panic inside its fence.
    pub fn crash(&mut self, member: usize) {
        let Member {
            shard, transport, ..
        } = self.members[member];
        self.command(shard, Action::InjectFault { transport });
        self.settle();
    }

    /// Gives a client another address, as a change of network would.
    pub fn roam(&mut self, member: usize) {
        let number = u32::try_from(member).expect("few members");
        let count = self.chance.below(1_000) + 1;
        let client = &mut self.members[member].client;
        client.move_to(client_address(number, u16::try_from(count).unwrap_or(1)));
    }

    /// Sends one command of the test's own.
    pub fn command(&mut self, shard: ShardId, action: Action) {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let command = Command {
            id,
            room: ROOM,
            epoch: Epoch::FIRST,
            action,
        };
        self.director.note(&command);
        self.shards[usize::from(shard.0)].handle_command(self.now, command);
    }

    /// Lets that much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(next) = self.next_wake().filter(|next| *next < end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Records what goes into the shards and comes out of them from now on; to be called before
    /// anybody joins.
    pub fn record(&mut self) {
        let (start, seed) = (self.start, self.seed);
        for (index, shard) in (0..).zip(&mut self.shards) {
            *shard = Taped::new(start, seed, index);
            shard.record();
        }
        for index in 0..self.shards.len() {
            self.command(shard_id(index), Action::OpenRoom);
        }
    }

    /// What was recorded of a shard, if it was.
    #[must_use]
    pub fn tape(&self, shard: u16) -> Option<Tape> {
        self.shards.get(usize::from(shard))?.tape()
    }

    /// A number made of when every datagram was sent and how long it was: equal for equal runs.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Events about one transport, slots included.
    pub fn events_of(&self, member: usize) -> impl Iterator<Item = &Fact> {
        let transport = self.members[member].transport;
        self.events
            .iter()
            .filter_map(move |(_, event)| match event.subject {
                Subject::Transport(about) | Subject::Slot(about, _) if about == transport => {
                    Some(&event.fact)
                }
                Subject::Transport(_)
                | Subject::Slot(..)
                | Subject::Shard
                | Subject::Room
                | Subject::Track(_)
                | Subject::Tap(_) => None,
            })
    }

    /// Frames that a member was shown of another, in all its slots, since `from`.
    #[must_use]
    pub fn frames(&self, viewer: usize, publisher: usize, from: Instant) -> usize {
        let publisher = u32::try_from(publisher).unwrap_or(u32::MAX);
        let shown = self.members[viewer].client.all_shown().values();
        shown
            .map(|shown| shown.frames_of(publisher, from, self.now))
            .sum()
    }

    /// Pictures that a member was shown of another since `from`.
    #[must_use]
    pub fn pictures(&self, viewer: usize, publisher: usize, from: Instant) -> usize {
        let publisher = u32::try_from(publisher).unwrap_or(u32::MAX);
        let shown = self.members[viewer].client.all_shown().values();
        shown
            .map(|shown| shown.pictures_of(publisher, from, self.now))
            .sum()
    }

    fn next_wake(&self) -> Option<Instant> {
        let clients = self.members.iter().filter(|member| member.failed.is_none());
        let clients = clients.map(|member| Some(member.client.poll_timeout()));
        let pipes = self
            .members
            .iter()
            .flat_map(|member| [member.up.next(), member.down.next()]);
        let shards = self.shards.iter().map(Taped::poll_timeout);
        let hops = self.hops.as_ref().map(|hops| hops.poll_timeout(self.now));
        clients
            .chain(pipes)
            .chain(shards)
            .chain(hops)
            .flatten()
            .min()
    }

    fn step(&mut self) {
        for index in 0..self.members.len() {
            self.deliver(index);
        }
        self.take_far();
        for shard in &mut self.shards {
            if shard.poll_timeout().is_some_and(|at| at <= self.now) {
                shard.handle_timeout(self.now);
            }
        }
        self.settle();
    }

    /// Arrivals of one member, both ways, and its timer.
    fn deliver(&mut self, index: usize) {
        let now = self.now;
        let member = &mut self.members[index];
        let local = server_address(member.shard);
        let shard = &mut self.shards[usize::from(member.shard.0)];
        while let Some(mut datagram) = member.up.pop(now) {
            let remote = member.client.address();
            let path = Path {
                local,
                remote,
                protocol: Protocol::Udp,
            };
            shard.handle_datagram(now, path, &mut datagram);
        }
        if member.failed.is_some() {
            return;
        }
        let mut outcome = Ok(());
        while let Some(datagram) = member.down.pop(now) {
            outcome = outcome.and(member.client.handle_datagram(now, local, &datagram));
        }
        if member.client.poll_timeout() <= now {
            outcome = outcome.and(member.client.handle_timeout(now));
        }
        member.failed = outcome.err().map(|error| error.to_string());
    }

    /// Moves what is ready until nothing more is: datagrams into pipes, relays, events.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let moved = self.send_clients()
                | self.send_shards()
                | self.relay()
                | self.send_far()
                | self.direct();
            if !moved {
                return;
            }
        }
        panic!(
            "the shards never come to rest at {:?}",
            self.now.duration_since(self.start)
        );
    }

    fn send_clients(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.members.len() {
            while let Some((_, datagram)) = self.members[index].client.poll_transmit() {
                self.note_sent(&datagram);
                self.members[index]
                    .up
                    .push(self.now, datagram.len(), datagram);
                moved = true;
            }
        }
        moved
    }

    fn send_shards(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.shards.len() {
            for (path, datagram) in self.shards[index].poll_transmit(self.now) {
                moved = true;
                self.note_sent(&datagram);
                let to = |member: &&mut Member| member.client.address() == path.remote;
                if let Some(member) = self.members.iter_mut().find(to) {
                    member.down.push(self.now, datagram.len(), datagram);
                }
            }
        }
        moved
    }

    fn relay(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.shards.len() {
            while let Some((to, message)) = self.shards[index].poll_relay() {
                let Some(to) = to.here() else {
                    if let Some(hops) = &mut self.hops {
                        hops.take(self.now, index, to, message);
                    }
                    continue;
                };
                let from = shard_id(index).into();
                self.shards[usize::from(to.0)].handle_relay(self.now, from, message);
                moved = true;
            }
        }
        moved
    }

    fn send_far(&mut self) -> bool {
        let now = self.now;
        self.hops.as_mut().is_some_and(|hops| hops.send(now))
    }

    /// What has come from other workers.
    fn take_far(&mut self) {
        let now = self.now;
        let arrived = self.hops.as_mut().map(|hops| hops.arrive(now));
        for (to, from, message) in arrived.unwrap_or_default() {
            self.shards[to].handle_relay(now, from, message);
        }
    }

    fn direct(&mut self) -> bool {
        let mut events = Vec::new();
        for (index, shard) in self.shards.iter_mut().enumerate() {
            while let Some(event) = shard.poll_event(self.now) {
                events.push((shard_id(index), event));
            }
        }
        let moved = !events.is_empty();
        for (shard, event) in events {
            if let Fact::Negotiated { answer, .. } = &event.fact {
                self.answer(&event, answer);
            }
            let actions = self.director.direct(shard, &event);
            self.events.push((shard, event));
            for (shard, action) in actions {
                self.command(shard, action);
            }
        }
        moved
    }

    fn answer(&mut self, event: &Event, answer: &str) {
        let Subject::Transport(transport) = event.subject else {
            return;
        };
        let member = self
            .members
            .iter_mut()
            .find(|member| member.transport == transport);
        if let Some(member) = member {
            let outcome = member.client.answer(answer);
            member.failed = outcome.err().map(|error| error.to_string());
        }
    }

    /// FNV-1a over time and length. The bytes are left out: str0m keeps its streams in hash maps,
    /// so which of its SSRCs signs a feedback packet is not ours to repeat.
    fn note_sent(&mut self, datagram: &[u8]) {
        let time = self.now.duration_since(self.start).as_nanos();
        let length = datagram.len() as u128;
        for byte in time.to_le_bytes().into_iter().chain(length.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Shards of one run draw differently, and runs of different seeds too.
fn index_seed(seed: u64, index: u16) -> u8 {
    Chance::new(seed, u64::from(index) + 1_000)
        .number()
        .to_le_bytes()[0]
}

fn shard_id(index: usize) -> ShardId {
    ShardId(u16::try_from(index).expect("few shards"))
}

pub(crate) fn client_address(number: u32, roamed: u16) -> SocketAddr {
    let [_, _, high, low] = number.to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(10, 1, high, low).into(), 40_000 + roamed)
}
