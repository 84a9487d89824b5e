//! Rooms full of light clients, in steps of a millisecond of virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{Action, Command, CommandId, Fact, TransportSettings, TransportUse, Wish};
use media_types::{Epoch, RoomId, TrackId, TrackSource, TransportId};
use str0m::crypto::CryptoProvider;

use crate::client::{FEEDBACK, Joining, Light};
use crate::engine::Engine;
use crate::memory::counted;

pub(crate) const STEP: Duration = Duration::from_millis(1);
/// While somebody joins nobody else answers, so that must not take long.
const JOIN_STEP: Duration = Duration::from_micros(200);
/// Pictures come each 33 ms and sound each 20 ms, of 1.5 Mb/s and 48 kb/s.
pub(crate) const PICTURE: Duration = Duration::from_nanos(33_333_333);
pub(crate) const SOUND: Duration = Duration::from_millis(20);
pub(crate) const PICTURE_PACKETS: usize = 6;
pub(crate) const PICTURE_PACKET_BYTES: usize = 1_042;
pub(crate) const SOUND_BYTES: usize = 120;

/// CPU time of this thread.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Who is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rooms: usize,
    pub(crate) publishers: usize,
    pub(crate) viewers: usize,
}

impl Plan {
    /// One publisher and its viewers.
    pub(crate) const fn fan(viewers: usize) -> Self {
        Self {
            rooms: 1,
            publishers: 1,
            viewers,
        }
    }

    /// Rooms of three who see each other.
    pub(crate) const fn rooms(rooms: usize) -> Self {
        Self {
            rooms,
            publishers: 3,
            viewers: 0,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self.viewers {
            0 => format!("{} rooms of {}", self.rooms, self.publishers),
            viewers => format!("1 → {viewers}"),
        }
    }

    /// Forwarded packets a second.
    pub(crate) const fn rate(&self) -> usize {
        let pairs = self.publishers * (self.publishers - 1 + self.viewers);
        self.rooms * pairs * (30 * PICTURE_PACKETS + 50)
    }
}

/// What a stretch of time cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) packets: u64,
}

impl Sample {
    pub(crate) fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
        self.packets += other.packets;
    }

    pub(crate) fn nanos(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }
}

struct Publisher {
    client: usize,
    picture_at: Instant,
    sound_at: Instant,
    pictures: u64,
}

pub(crate) struct World<E> {
    pub(crate) engine: E,
    base: Instant,
    pub(crate) now: Instant,
    provider: Arc<CryptoProvider>,
    clients: Vec<Light>,
    publishers: Vec<Publisher>,
    commands: u64,
    tracks: u64,
}

impl<E: Engine> World<E> {
    pub(crate) fn new(
        engine: E,
        base: Instant,
        provider: &Arc<CryptoProvider>,
        plan: Plan,
    ) -> Self {
        let mut world = Self {
            engine,
            base,
            now: base,
            provider: Arc::clone(provider),
            clients: Vec::new(),
            publishers: Vec::new(),
            commands: 0,
            tracks: 0,
        };
        for room in 0..plan.rooms {
            world.open(RoomId::new(room as u64 + 1), plan);
        }
        world.stagger();
        world
    }

    fn open(&mut self, room: RoomId, plan: Plan) {
        self.ask(room, Action::OpenRoom);
        let mut tracks: Vec<(usize, [TrackId; 2])> = Vec::new();
        let mut slots = Vec::new();
        for member in 0..plan.publishers + plan.viewers {
            let publishes = member < plan.publishers;
            let pairs = plan.publishers - usize::from(publishes);
            let client = self.clients.len();
            let (published, filled) = self.join(room, publishes, pairs);
            let transport = TransportId::new(client as u64 + 1);
            if publishes {
                let ids = published
                    .iter()
                    .zip([TrackSource::Microphone, TrackSource::Camera]);
                let ids: Vec<_> = ids
                    .map(|(&mid, source)| {
                        self.tracks += 1;
                        let track = TrackId::new(self.tracks);
                        let publish = Action::Publish {
                            transport,
                            mid,
                            track,
                            source,
                        };
                        self.ask(room, publish);
                        track
                    })
                    .collect();
                tracks.push((client, [ids[0], ids[1]]));
                self.publishers.push(Publisher {
                    client,
                    picture_at: self.base,
                    sound_at: self.base,
                    pictures: 0,
                });
            }
            slots.push((client, filled));
        }
        for (client, slots) in slots {
            let others = tracks.iter().filter(|(publisher, _)| *publisher != client);
            let shown = others.flat_map(|(_, tracks)| tracks);
            for (&slot, &track) in slots.iter().zip(shown) {
                let fill = Action::Fill {
                    transport: TransportId::new(client as u64 + 1),
                    slot,
                    track,
                    wish: Wish::default(),
                };
                self.ask(room, fill);
            }
        }
    }

    fn join(
        &mut self,
        room: RoomId,
        publishes: bool,
        pairs: usize,
    ) -> (Vec<media_types::Mid>, Vec<media_types::Mid>) {
        let number = self.clients.len();
        let transport = TransportId::new(number as u64 + 1);
        let settings = TransportSettings {
            identity: format!("peer{number}").parse().unwrap(),
            usage: TransportUse::Peer,
            publish: publishes,
            subscribe: true,
            data: true,
            codecs: Vec::new(),
        };
        self.ask(
            room,
            Action::OpenTransport {
                transport,
                settings,
            },
        );
        let addr = self.engine.add();
        let (mut joining, offer, pending) =
            Joining::new(self.now, &self.provider, addr, publishes, pairs);
        let answer = self.ask(
            room,
            Action::Negotiate {
                transport,
                offer,
                pairs: Vec::new(),
            },
        );
        let Fact::Negotiated { answer, .. } = answer else {
            panic!("{answer:?}");
        };
        joining.accept(pending, &answer);
        self.settle(number, &mut joining);
        let ours = |mids: &[str0m::media::Mid]| -> Vec<media_types::Mid> {
            mids.iter()
                .map(|mid| mid.to_string().parse().unwrap())
                .collect()
        };
        let mids = (ours(&joining.publishes), ours(&joining.slots));
        self.clients.push(joining.connected(self.base));
        mids
    }

    /// Lets a client and the engine talk until both have said all that belongs to a join.
    fn settle(&mut self, number: usize, joining: &mut Joining) {
        let server = self.engine.addr();
        let mut rest = 3;
        while rest > 0 {
            rest -= u32::from(joining.rtc.is_connected());
            for datagram in joining.poll(self.now) {
                self.engine.put(number, &datagram);
            }
            self.now += JOIN_STEP;
            counted(|| self.engine.turn(self.now));
            self.engine.settle();
            let mut came = Vec::new();
            self.engine
                .take(number, &mut |datagram| came.push(datagram.to_vec()));
            for datagram in came {
                joining.receive(self.now, server, &datagram);
            }
        }
    }

    fn ask(&mut self, room: RoomId, action: Action) -> Fact {
        self.commands += 1;
        let id = CommandId(self.commands);
        let command = Command {
            id,
            room,
            epoch: Epoch::FIRST,
            action,
        };
        counted(|| {
            self.engine.command(self.now, command);
            self.engine.turn(self.now);
        });
        self.engine.settle();
        let mut found = None;
        while let Some(event) = self.engine.event() {
            let is = match &event.fact {
                Fact::Done { command }
                | Fact::Refused { command, .. }
                | Fact::Negotiated { command, .. } => *command == id,
                _ => false,
            };
            if is {
                found = Some(event.fact);
            }
        }
        let found = found.expect("every command is answered");
        assert!(!matches!(found, Fact::Refused { .. }), "{found:?}");
        found
    }

    /// Spreads everybody evenly over time.
    fn stagger(&mut self) {
        let now = self.now;
        let count = self.clients.len() as u32;
        for (index, client) in self.clients.iter_mut().enumerate() {
            client.begin(now + FEEDBACK * index as u32 / count);
        }
        let count = self.publishers.len() as u32;
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.picture_at = now + PICTURE * index as u32 / count;
            publisher.sound_at = now + SOUND * index as u32 / count;
        }
    }

    /// Lets a millisecond pass; what the server spent on it.
    fn step(&mut self) -> Sample {
        self.now += STEP;
        let now = self.now;
        self.publish(|_| {});
        let mut spent = Sample::default();
        if self.is_due() {
            spent = self.turn();
        }
        self.engine.settle();
        while self.engine.event().is_some() {}
        self.answer(now);
        spent
    }

    fn is_due(&self) -> bool {
        let due = self.engine.timeout().is_some_and(|at| at <= self.now);
        due || self.engine.is_pending()
    }

    fn turn(&mut self) -> Sample {
        let (start, wall) = (cpu(), Instant::now());
        self.engine.turn(self.now);
        Sample {
            cpu: cpu() - start,
            wall: wall.elapsed(),
            packets: 0,
        }
    }

    /// Has publishers send what is due; tells when each packet was.
    fn publish(&mut self, mut sent: impl FnMut(Instant)) {
        let now = self.now;
        for publisher in &mut self.publishers {
            let client = publisher.client;
            let engine = &mut self.engine;
            if publisher.picture_at <= now {
                (0..PICTURE_PACKETS).for_each(|_| sent(publisher.picture_at));
                publisher.picture_at += PICTURE;
                publisher.pictures += 1;
                // A keyframe now and then, for whoever waits for one at the start.
                let key = publisher.pictures < 60 && publisher.pictures % 15 == 1;
                let send = |datagram: &[u8]| engine.put(client, datagram);
                self.clients[client].picture(key, PICTURE_PACKETS, PICTURE_PACKET_BYTES, send);
            }
            if publisher.sound_at <= now {
                sent(publisher.sound_at);
                publisher.sound_at += SOUND;
                let send = |datagram: &[u8]| engine.put(client, datagram);
                self.clients[client].sound(SOUND_BYTES, send);
            }
        }
    }

    /// Has clients answer what came to them.
    fn answer(&mut self, now: Instant) {
        for index in 0..self.clients.len() {
            if self.clients[index].due() <= now {
                self.drain(index);
                let engine = &mut self.engine;
                self.clients[index].answer(now, |datagram| engine.put(index, datagram));
            }
        }
    }

    fn drain(&mut self, client: usize) {
        let (now, light) = (self.now, &mut self.clients[client]);
        self.engine
            .take(client, &mut |datagram| light.receive(now, datagram));
    }

    fn packets(&mut self) -> u64 {
        (0..self.clients.len()).for_each(|client| self.drain(client));
        self.clients.iter().map(|client| client.packets).sum()
    }

    pub(crate) fn run(&mut self, time: Duration) -> Sample {
        let before = self.packets();
        let end = self.now + time;
        let mut sum = Sample::default();
        while self.now < end {
            sum.add(self.step());
        }
        sum.packets = self.packets() - before;
        sum
    }

    /// The same with the time that turns take: the thread is busy until a turn has ended, and what
    /// comes meanwhile waits. The share of time that it was busy, and how long after its arrival
    /// the turn of each packet had ended.
    pub(crate) fn queue(&mut self, time: Duration) -> (f64, Vec<Duration>) {
        let (start, mut free, mut busy) = (self.now, self.now, Duration::ZERO);
        let mut latencies = Vec::new();
        while self.now < start + time {
            let sources = self
                .publishers
                .iter()
                .map(|it| it.picture_at.min(it.sound_at));
            let answers = self.clients.iter().map(Light::due);
            let next = sources.chain(answers).chain(self.engine.timeout()).min();
            self.now = next.unwrap_or(free).max(free);
            let mut arrived = Vec::new();
            self.publish(|at| arrived.push(at));
            self.answer(self.now);
            let spent = self.turn().cpu;
            self.engine.settle();
            while self.engine.event().is_some() {}
            busy += spent;
            free = self.now + spent;
            latencies.extend(arrived.into_iter().map(|at| free - at));
        }
        let load = busy.as_secs_f64() / (self.now - start).as_secs_f64();
        (load, latencies)
    }
}
