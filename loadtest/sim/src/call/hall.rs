//! The world of light clients: one shard, and pipes that several of them may share.

use std::time::{Duration, Instant};

use loadtest::network::{Chance, Pipe, Trace};
use media_contract::{Action, Command, CommandId, Event, Fact, SlotState, Subject, Wish};
use media_core::Shard;
use media_types::{Bitrate, Epoch, Layer, Mid, RoomId, ShardId, TransportId};
use media_webrtc::{Path, Protocol, TransmitBatch};

use super::CallPlan;
use super::caller::{Caller, known_rids};
use crate::director::Director;
use crate::dtls::seed_keys;
use crate::world::{base, client_address, new_shard, server_address};

/// The layers that a publisher is to send, and what some are to be kept under.
type Orders = (Vec<String>, Vec<(String, Bitrate)>);

const ROOM: RoomId = RoomId::new(1);
const ROUNDS_MAX: usize = 1_000;
/// From a decision of the server to a client's encoder: signalling, and the page's own time.
const SIGNALLING: Duration = Duration::from_millis(50);

/// One direction of one path, perhaps shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipeId(usize);

/// What a slot was told to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// When.
    pub at: Instant,
    /// The slot.
    pub mid: Mid,
    /// Its state.
    pub state: SlotState,
    /// Its layer.
    pub layer: Option<Layer>,
}

/// A client with what is known of it.
pub struct Guest {
    /// The client.
    pub caller: Caller,
    /// What the shard thought of its path, and when.
    pub estimates: Vec<(Instant, Bitrate)>,
    /// What its slots were told to show.
    pub placed: Vec<Placed>,
    /// When its connection came through, and when it ended.
    pub connected: Option<Instant>,
    /// When its connection ended, if it did.
    pub lost: Option<Instant>,
    /// When which of its layers were wanted.
    pub wanted: Vec<(Instant, Vec<String>)>,
    /// When it was told what to keep its layers under, all bounds together.
    pub bounded: Vec<(Instant, Bitrate)>,
    up: usize,
    down: usize,
}

/// A room of light clients.
pub struct Hall {
    /// The start of the run.
    pub start: Instant,
    /// The present.
    pub now: Instant,
    /// Everyone who joined, in that order.
    pub guests: Vec<Guest>,
    pipes: Vec<Pipe<(usize, Vec<u8>)>>,
    shard: Shard,
    director: Director,
    seed: u64,
    next_command: u64,
    orders: Vec<(Instant, usize, Orders)>,
    trace: u64,
}

impl Hall {
    /// A shard with one open room.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let start = base();
        seed_keys(seed);
        let mut hall = Self {
            start,
            now: start,
            guests: Vec::new(),
            pipes: Vec::new(),
            shard: new_shard(start, seed, 0),
            director: Director::default(),
            seed,
            next_command: 0,
            orders: Vec::new(),
            trace: 0xcbf2_9ce4_8422_2325,
        };
        hall.command(Action::OpenRoom);
        hall
    }

    /// Lays a pipe. Clients that are given one pipe share it.
    pub fn pipe(&mut self, trace: impl Into<Trace>) -> PipeId {
        let usage = u64::try_from(self.pipes.len()).expect("few pipes");
        let chance = Chance::new(self.seed, 2_000 + usage);
        self.pipes.push(Pipe::new(self.start, trace, chance));
        PipeId(self.pipes.len() - 1)
    }

    /// What a pipe did.
    #[must_use]
    pub fn look(&self, pipe: PipeId) -> &Pipe<(usize, Vec<u8>)> {
        &self.pipes[pipe.0]
    }

    /// Adds a client; returns its index, which is the number that its frames carry.
    pub fn join(&mut self, plan: CallPlan, up: PipeId, down: PipeId) -> usize {
        let index = self.guests.len();
        let number = u32::try_from(index).expect("few guests");
        let chance = Chance::new(self.seed, 3_000 + u64::from(number));
        let caller = Caller::new(self.now, number, plan, chance);
        let offer = caller.offer();
        self.guests.push(Guest {
            caller,
            estimates: Vec::new(),
            placed: Vec::new(),
            connected: None,
            lost: None,
            wanted: Vec::new(),
            bounded: Vec::new(),
            up: up.0,
            down: down.0,
        });
        let transport = transport_of(index);
        let settings = self.director.join(ShardId(0), transport, number);
        self.command(Action::OpenTransport {
            transport,
            settings,
        });
        self.command(Action::Negotiate {
            transport,
            offer,
            pairs: Vec::new(),
        });
        self.settle();
        index
    }

    /// Wishes something else of the slots in which a viewer is shown a publisher.
    pub fn wish(&mut self, viewer: usize, publisher: usize, wish: Wish) {
        let (transport, shown) = (transport_of(viewer), transport_of(publisher));
        for slot in self.director.slots_showing(transport, shown) {
            self.command(Action::SetWish {
                transport,
                slot,
                wish,
            });
        }
        self.settle();
    }

    /// Lets time pass up to that long after the start.
    pub fn run_to(&mut self, since_start: Duration) {
        let end = self.start + since_start;
        self.settle();
        while let Some(next) = self.next_wake().filter(|next| *next < end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// A number made of every datagram's time and bytes: equal for equal runs.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    fn next_wake(&self) -> Option<Instant> {
        let callers = self
            .guests
            .iter()
            .filter_map(|guest| guest.caller.poll_timeout());
        let pipes = self.pipes.iter().filter_map(Pipe::next);
        let orders = self.orders.iter().map(|(at, ..)| *at);
        let shard = self.shard.poll_timeout();
        callers.chain(pipes).chain(orders).chain(shard).min()
    }

    fn step(&mut self) {
        let now = self.now;
        for pipe in 0..self.pipes.len() {
            while let Some((guest, datagram)) = self.pipes[pipe].pop(now) {
                self.deliver(pipe, guest, datagram);
            }
        }
        let (due, later) = std::mem::take(&mut self.orders)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.orders = later;
        for (_, guest, (rids, bounds)) in due {
            self.guests[guest].caller.set_layers(&rids, &bounds);
        }
        for guest in &mut self.guests {
            if guest.caller.poll_timeout().is_some_and(|at| at <= now) {
                guest.caller.handle_timeout(now);
            }
        }
        if self.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.shard.handle_timeout(now);
        }
        self.settle();
    }

    fn deliver(&mut self, pipe: usize, guest: usize, mut datagram: Vec<u8>) {
        let number = u32::try_from(guest).expect("few guests");
        if self.guests[guest].up == pipe {
            let path = Path {
                local: server_address(ShardId(0)),
                remote: client_address(number, 0),
                protocol: Protocol::Udp,
            };
            self.shard.handle_datagram(self.now, path, &mut datagram);
        } else {
            self.guests[guest]
                .caller
                .handle_datagram(self.now, &datagram);
        }
    }

    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !(self.send_callers() | self.send_shard() | self.direct()) {
                return;
            }
        }
        panic!("the shard never comes to rest");
    }

    fn send_callers(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.guests.len() {
            while let Some(datagram) = self.guests[index].caller.poll_transmit() {
                self.note_sent(&datagram);
                let pipe = self.guests[index].up;
                self.pipes[pipe].push(self.now, datagram.len(), (index, datagram));
                moved = true;
            }
        }
        moved
    }

    fn send_shard(&mut self) -> bool {
        let mut moved = false;
        let mut batch = TransmitBatch::new(65_536);
        while self.shard.poll_transmit(self.now, &mut batch) || !batch.is_empty() {
            let sent: Vec<(Path, Vec<u8>)> = batch
                .datagrams()
                .map(|(path, bytes)| (path, bytes.to_vec()))
                .collect();
            batch.clear();
            moved = true;
            for (path, datagram) in sent {
                self.note_sent(&datagram);
                let guest = (0..)
                    .zip(&self.guests)
                    .position(|(number, _)| client_address(number, 0) == path.remote);
                if let Some(guest) = guest {
                    let pipe = self.guests[guest].down;
                    self.pipes[pipe].push(self.now, datagram.len(), (guest, datagram));
                }
            }
        }
        moved
    }

    fn direct(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.shard.poll_event() {
            moved = true;
            self.note(&event);
            for (_, action) in self.director.direct(ShardId(0), &event) {
                self.command(action);
            }
        }
        moved
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is not measured is not noted"
    )]
    fn note(&mut self, event: &Event) {
        let now = self.now;
        let track = match event.subject {
            Subject::Track(track) => Some(TransportId::new(track.get() >> 32)),
            Subject::Transport(transport) | Subject::Slot(transport, _) => Some(transport),
            Subject::Shard | Subject::Room | Subject::Tap(_) => None,
        };
        let index = track.and_then(|transport| usize::try_from(transport.get()).ok());
        let index = index.and_then(|number| number.checked_sub(1));
        let Some((index, guest)) = index.and_then(|at| Some((at, self.guests.get_mut(at)?))) else {
            return;
        };
        match (&event.fact, event.subject) {
            (Fact::Negotiated { answer, .. }, _) => guest.caller.answer(now, answer),
            (Fact::TransportConnected, _) => guest.connected = Some(now),
            (Fact::TransportLost { .. }, _) => guest.lost = Some(now),
            (Fact::BandwidthChanged { estimate }, _) => guest.estimates.push((now, *estimate)),
            (Fact::Figures(figures), _) => guest.estimates.push((now, figures.estimate)),
            (Fact::SlotChanged { state, layer, .. }, Subject::Slot(_, mid)) => {
                let (state, layer) = (*state, *layer);
                guest.placed.push(Placed {
                    at: now,
                    mid,
                    state,
                    layer,
                });
            }
            (Fact::LayersWanted { active, bounds }, _) => {
                let rids = known_rids(active.iter().map(|rid| rid.as_str()));
                guest.wanted.push((now, rids.clone()));
                let all = bounds.iter().map(|(_, rate)| *rate).sum();
                guest.bounded.push((now, all));
                let bounds = bounds.iter().map(|(rid, rate)| (rid.to_string(), *rate));
                let orders = (rids, bounds.collect());
                self.orders.push((now + SIGNALLING, index, orders));
            }
            _ => {}
        }
    }

    fn command(&mut self, action: Action) {
        self.next_command += 1;
        let command = Command {
            id: CommandId(self.next_command),
            room: ROOM,
            epoch: Epoch::FIRST,
            action,
        };
        self.director.note(&command);
        self.shard.handle_command(self.now, command);
    }

    /// FNV-1a.
    fn note_sent(&mut self, datagram: &[u8]) {
        let time = self.now.duration_since(self.start).as_nanos().to_le_bytes();
        for byte in time.iter().chain(datagram) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn transport_of(guest: usize) -> TransportId {
    TransportId::new(u64::try_from(guest).expect("few guests") + 1)
}
