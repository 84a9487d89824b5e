//! [`Shard`]: everything that one thread of the packet core owns.

mod caps;
mod catch_up;
mod commands;
mod datagrams;
pub(crate) mod deadline;
mod fan_out;
mod figures;
mod fit;
mod ingest;
mod keyframes;
mod layers;
mod link;
mod media;
mod messages;
mod negotiation;
mod outbox;
mod relay_ends;
mod relays;
mod slots;
mod succession;
mod taps;
mod tick;
mod tracks;
mod transports;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use media_contract::{Event, Fact, RelayPeer, Subject};
use media_types::{BufferPool, RoomId, ShardId, TapId};
use media_webrtc::{SlotIndex, TransmitBatch, TransportConfig};

use crate::demux::{Demux, LinkIndex};
use crate::limits;
use crate::random::Random;
use crate::relay::{RelayMessage, RelayQueue};
use crate::room::{Room, RoomIndex, TrackIndex};
use crate::slab::Slab;
use crate::stats::{Counters, count};
use crate::tap::Tap;
use crate::track::keyframe::Urgency;
use deadline::{TimerId, Wheel};
use fan_out::Arrivals;
use link::Link;
pub(crate) use media::alignment;
use outbox::Outbox;

/// Bounds of a shard that an operator may lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLimits {
    /// Rooms at once.
    pub rooms_max: usize,
    /// Transports at once.
    pub transports_max: usize,
    /// Tracks of one room at once.
    pub tracks_per_room_max: usize,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self {
            rooms_max: limits::ROOMS_MAX,
            transports_max: limits::TRANSPORTS_MAX,
            tracks_per_room_max: limits::TRACKS_PER_ROOM_MAX,
        }
    }
}

/// What a shard is made with.
#[derive(Clone)]
#[non_exhaustive]
pub struct ShardConfig {
    /// Which shard this is; at most 1,023, since ICE user names carry it in two digits.
    pub id: ShardId,
    /// What its transports are made with.
    pub transport: TransportConfig,
    /// Its bounds.
    pub limits: ShardLimits,
    /// Whether `InjectFault` is obeyed.
    pub allow_faults: bool,
    /// Where its ICE credentials and first numbers come from: fresh and secret for each shard.
    pub seed: [u8; 32],
}

impl ShardConfig {
    /// Settings with default bounds and without faults.
    #[must_use]
    pub fn new(id: ShardId, transport: TransportConfig, seed: [u8; 32]) -> Self {
        Self {
            id,
            transport,
            limits: ShardLimits::default(),
            allow_faults: false,
            seed,
        }
    }
}

/// Whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Figures,
    Link(LinkIndex),
    Room(RoomIndex),
}

/// One shard. See the crate's documentation.
pub struct Shard {
    config: ShardConfig,
    rooms: Slab<Room>,
    room_ids: BTreeMap<RoomId, RoomIndex>,
    links: Slab<Link>,
    demux: Demux,
    wheel: Wheel<Timer>,
    figures_timer: TimerId,
    /// The part of the transports whose figures come next.
    figures_part: u32,
    outbox: Outbox,
    relays: RelayQueue,
    pool: BufferPool,
    counters: Counters,
    random: Random,
    next_source: u32,
    /// Links with something to send, in the order in which they got it.
    dirty: VecDeque<LinkIndex>,
    /// Packets that no subscriber has got yet.
    arrivals: Arrivals,
    /// Transports that were closed and have their goodbyes to say.
    farewells: Vec<Link>,
    /// Links to be buried before the call returns.
    doomed: Vec<LinkIndex>,
    /// Links whose layers are to be chosen anew before the call returns.
    allocating: Vec<LinkIndex>,
    /// Tracks of which something else is watched than before; those who send them are to know
    /// before the call returns.
    rewatched: Vec<(RoomIndex, TrackIndex)>,
    /// Slots whose layer changed while a packet went round.
    changed: Vec<(LinkIndex, SlotIndex)>,
    scratch: layers::Scratch,
    /// Where the taps are.
    taps: BTreeMap<TapId, (RoomIndex, TrackIndex)>,
    /// Taps that have something to be read since they were last read, in that order.
    ready_taps: VecDeque<TapId>,
    /// Taps whose track has gone, as long as something of it is unread.
    ended_taps: BTreeMap<TapId, Tap>,
}

impl Shard {
    /// A shard without rooms.
    #[must_use]
    pub fn new(now: Instant, config: ShardConfig) -> Self {
        let mut wheel = Wheel::new(now);
        let figures_timer = wheel.register(Timer::Figures);
        wheel.set(figures_timer, now + limits::FIGURES_STEP);
        Self {
            rooms: Slab::default(),
            room_ids: BTreeMap::new(),
            links: Slab::default(),
            demux: Demux::default(),
            wheel,
            figures_timer,
            figures_part: 0,
            outbox: Outbox::default(),
            relays: RelayQueue::default(),
            pool: BufferPool::new(limits::POOL_BUFFERS_MAX),
            counters: Counters::default(),
            random: Random::new(&config.seed),
            next_source: 0,
            dirty: VecDeque::new(),
            arrivals: Arrivals::default(),
            farewells: Vec::new(),
            doomed: Vec::new(),
            allocating: Vec::new(),
            rewatched: Vec::new(),
            changed: Vec::new(),
            scratch: layers::Scratch::default(),
            taps: BTreeMap::new(),
            ready_taps: VecDeque::new(),
            ended_taps: BTreeMap::new(),
            config,
        }
    }

    /// Lets time pass: timers of transports and rooms, and figures.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.wheel.pop_due(now) {
            match timer {
                Timer::Figures => {
                    self.tell_figures(now);
                    self.wheel
                        .set(self.figures_timer, now + limits::FIGURES_STEP);
                }
                Timer::Link(link) => {
                    self.with_transport(link, |transport| transport.handle_timeout(now));
                    self.drain_transport(now, link);
                }
                Timer::Room(room) => self.tick_room(now, room),
            }
        }
        self.settle(now);
    }

    /// Adds all that is ready to be sent, one transport after the other. `true`: `out` is full and
    /// more waits; send it, clear it and call again. An arena has at least 8 KiB.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> bool {
        while let Some(mut link) = self.farewells.pop() {
            link.call(|transport| transport.poll_transmit(now, out));
            if out.is_full() {
                self.farewells.push(link);
                return true;
            }
        }
        // Who was interrupted goes first, and nobody waits for all of a large audience.
        let interrupted = self.arrivals.is_interrupted() && self.send_dirty(now, out);
        if !interrupted {
            self.fan_out(now, Some(out));
        }
        let full = out.is_full() || self.send_dirty(now, out);
        self.settle(now);
        // An arena that takes nothing even when empty must not be tried for ever.
        full && !out.is_empty()
    }

    /// Has links send what they have, in the order in which they got it, until `out` is full.
    fn send_dirty(&mut self, now: Instant, out: &mut TransmitBatch) -> bool {
        while let Some(index) = self.dirty.pop_front() {
            let Some(link) = self.links.get_mut(index) else {
                continue;
            };
            link.dirty = false;
            let before = out.bytes();
            link.call(|transport| transport.poll_transmit(now, out));
            self.counters.bytes_out += count(out.bytes().saturating_sub(before));
            self.arm(index);
            // Only what was told just now can have made more to send.
            if self.take_events(now, index) {
                self.drain_transport(now, index);
            }
            if out.is_full() {
                self.mark_dirty_first(index);
                return true;
            }
        }
        false
    }

    /// Takes a message for another shard.
    pub fn poll_relay(&mut self) -> Option<(RelayPeer, RelayMessage)> {
        self.relays.pop()
    }

    /// Takes what happened, oldest first. What nobody took is replaced by what is newer of its
    /// kind.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.poll()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.poll_timeout()
    }

    /// Whether so many answers wait in [`Self::poll_event`] that no command should be handed in.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.outbox.is_congested()
    }

    /// Does what a call has left to do: burials and allocations, which may cause each other.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(link) = self.doomed.pop() {
                self.bury(link);
            } else if let Some(link) = self.allocating.pop() {
                self.allocate(now, link);
            } else if let Some((room, track)) = self.rewatched.pop() {
                self.tell_wanted(now, room, track);
                self.request_awaited(now, room, track, Urgency::Join);
            } else {
                return;
            }
        }
    }

    /// Puts a link among those that have something to send.
    fn mark_dirty(&mut self, index: LinkIndex) {
        if let Some(link) = self.links.get_mut(index) {
            mark_dirty(link, index, &mut self.dirty);
        }
    }

    /// The same, before all others: it was interrupted.
    fn mark_dirty_first(&mut self, index: LinkIndex) {
        if let Some(link) = self.links.get_mut(index)
            && !std::mem::replace(&mut link.dirty, true)
        {
            self.dirty.push_front(index);
        }
    }

    /// Arms a link's timer for what its transport waits for. Only earlier times move it: firing too
    /// early costs little, and most packets only postpone.
    fn arm(&mut self, index: LinkIndex) {
        if let Some(link) = self.links.get(index)
            && let Some(at) = link.peek(media_webrtc::Transport::poll_timeout).flatten()
        {
            self.wheel.set_by(link.timer, at);
        }
    }

    /// Has a link's layers chosen anew before the call returns.
    fn want_allocation(&mut self, index: LinkIndex) {
        if let Some(link) = self.links.get_mut(index)
            && !std::mem::replace(&mut link.allocating, true)
        {
            self.allocating.push(index);
        }
    }

    /// Brings a room's tick near: it has something to look after now.
    fn wake_room(&mut self, now: Instant, room: RoomIndex) {
        if let Some(room) = self.rooms.get(room) {
            self.wheel.set_by(room.timer, now + limits::ROOM_TICK);
        }
    }

    fn tell(&mut self, room: RoomIndex, subject: Subject, fact: Fact) {
        if let Some(room) = self.rooms.get(room) {
            self.outbox.tell(room.id, subject, fact);
        }
    }
}

/// Puts a link among those that have something to send, where the shard is borrowed in parts.
fn mark_dirty(link: &mut Link, index: LinkIndex, dirty: &mut VecDeque<LinkIndex>) {
    if !std::mem::replace(&mut link.dirty, true) {
        dirty.push_back(index);
    }
}
