//! Shards as tables: they do what commands say and tell what follows, without a packet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use media_contract::{
    Action, Command, CommandId, Event, Fact, Plane, PlaneError, RefusedReason, ShardLoad, Speaker,
    Subject, Wish,
};
use media_types::TransportId;
use media_types::{Codec, Epoch, Identity, LayerSet, MediaKind, Mid, RoomId, ShardId, TrackId};

use crate::table::{Room, Transport};

#[derive(Default)]
struct Shard {
    rooms: BTreeMap<RoomId, Room>,
}

#[derive(Default)]
struct Inner {
    shards: BTreeMap<ShardId, Shard>,
    events: VecDeque<(ShardId, Event)>,
    log: Vec<(ShardId, Action)>,
    busy: bool,
    load: u32,
    /// Of shards that differ.
    loads: BTreeMap<ShardId, u32>,
}

pub(crate) struct FakePlane(Mutex<Inner>);

impl Plane for FakePlane {
    fn send(&self, shard: ShardId, command: Command) -> Result<(), PlaneError> {
        let mut inner = self.0.lock().unwrap();
        if inner.busy {
            return Err(PlaneError::Busy);
        }
        inner.log.push((shard, command.action.clone()));
        inner.carry_out(shard, command);
        Ok(())
    }

    fn loads(&self) -> Vec<ShardLoad> {
        let inner = self.0.lock().unwrap();
        let loads = inner.shards.iter().map(|(shard, state)| ShardLoad {
            shard: *shard,
            transports: state
                .rooms
                .values()
                .map(|r| r.transports.len() as u32)
                .sum(),
            busy_ppm: inner.loads.get(shard).copied().unwrap_or(inner.load),
        });
        loads.collect()
    }
}

impl FakePlane {
    pub(crate) fn new(shards: u16) -> Arc<Self> {
        let shards = (0..shards).map(|id| (ShardId(id), Shard::default()));
        Arc::new(Self(Mutex::new(Inner {
            shards: shards.collect(),
            ..Inner::default()
        })))
    }

    pub(crate) fn take_events(&self) -> Vec<(ShardId, Event)> {
        self.0.lock().unwrap().events.drain(..).collect()
    }

    /// Takes the commands since the last call.
    pub(crate) fn take_log(&self) -> Vec<(ShardId, Action)> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    pub(crate) fn set_busy(&self, busy: bool) {
        self.0.lock().unwrap().busy = busy;
    }

    /// How much of their time the shards work from now on, in parts of a million.
    pub(crate) fn set_load(&self, ppm: u32) {
        self.0.lock().unwrap().load = ppm;
    }

    /// How much of its time one shard works from now on, likewise.
    pub(crate) fn set_shard_load(&self, shard: ShardId, ppm: u32) {
        self.0.lock().unwrap().loads.insert(shard, ppm);
    }

    /// Rooms, transports, tracks and filled slots that exist.
    pub(crate) fn totals(&self) -> (usize, usize, usize, usize) {
        let inner = self.0.lock().unwrap();
        let rooms = || inner.shards.values().flat_map(|shard| shard.rooms.values());
        let transports = rooms().flat_map(|room| room.transports.values());
        (
            rooms().count(),
            rooms().map(|room| room.transports.len()).sum(),
            rooms().map(|room| room.tracks.len()).sum(),
            transports.map(|transport| transport.slots.len()).sum(),
        )
    }

    /// Which tracks a peer's slots show, by m-line.
    pub(crate) fn slots_of(&self, identity: &Identity) -> BTreeMap<String, TrackId> {
        let inner = self.0.lock().unwrap();
        let found = inner.find(identity);
        let slots = found.iter().flat_map(|(_, _, transport)| &transport.slots);
        slots
            .map(|(mid, (track, _))| (mid.to_string(), *track))
            .collect()
    }

    pub(crate) fn wish(&self, identity: &Identity, mid: &str) -> Option<Wish> {
        let inner = self.0.lock().unwrap();
        let mid: Mid = mid.parse().unwrap();
        let found = inner.find(identity);
        let slot = found
            .iter()
            .find_map(|(_, _, transport)| transport.slots.get(&mid));
        slot.map(|(_, wish)| *wish)
    }

    pub(crate) fn shard_of(&self, identity: &Identity) -> Option<ShardId> {
        self.0
            .lock()
            .unwrap()
            .find(identity)
            .first()
            .map(|(shard, ..)| *shard)
    }

    /// Packets begin to flow on everything that the peer publishes.
    pub(crate) fn flow(&self, identity: &Identity, video: Codec) {
        self.0.lock().unwrap().flow(identity, video);
    }

    /// Somebody is heard.
    pub(crate) fn speak(&self, speakers: &[(TrackId, &Identity, u8)]) {
        let mut inner = self.0.lock().unwrap();
        let speakers: Vec<Speaker> = speakers
            .iter()
            .map(|(track, identity, level)| Speaker {
                track: *track,
                identity: (*identity).clone(),
                level: *level,
            })
            .collect();
        let rooms: Vec<_> = inner.room_ids();
        for (shard, room) in rooms {
            let speakers = speakers.clone();
            inner.tell(
                shard,
                room,
                Subject::Room,
                Fact::SpeakersChanged { speakers },
            );
        }
    }

    /// Something happens to a peer's transport; a loss takes it away.
    pub(crate) fn happen(&self, identity: &Identity, fact: Fact) {
        let mut inner = self.0.lock().unwrap();
        let found = inner.place_of(identity);
        let Some((shard, room, transport)) = found else {
            panic!("{identity} has no transport");
        };
        if matches!(fact, Fact::TransportLost { .. }) {
            inner.close_transport(shard, room, transport);
        }
        inner.tell(shard, room, Subject::Transport(transport), fact);
    }

    /// Something happens to a track that the peer publishes.
    pub(crate) fn happen_to(&self, identity: &Identity, track: TrackId, fact: Fact) {
        let mut inner = self.0.lock().unwrap();
        let (shard, room, _) = inner.place_of(identity).expect("a transport");
        inner.tell(shard, room, Subject::Track(track), fact);
    }

    /// The shard forgets everything.
    pub(crate) fn restart(&self, shard: ShardId) {
        self.0
            .lock()
            .unwrap()
            .shards
            .insert(shard, Shard::default());
    }
}

impl Inner {
    fn tell(&mut self, shard: ShardId, room: RoomId, subject: Subject, fact: Fact) {
        self.events.push_back((
            shard,
            Event {
                room,
                subject,
                fact,
            },
        ));
    }

    fn room_ids(&self) -> Vec<(ShardId, RoomId)> {
        let shards = self.shards.iter();
        shards
            .flat_map(|(id, shard)| shard.rooms.keys().map(|room| (*id, *room)))
            .collect()
    }

    fn find(&self, identity: &Identity) -> Vec<(ShardId, RoomId, &Transport)> {
        let mut found = Vec::new();
        for (id, shard) in &self.shards {
            for (room_id, room) in &shard.rooms {
                let own = room
                    .transports
                    .values()
                    .filter(|t| t.settings.identity == *identity);
                found.extend(own.map(|transport| (*id, *room_id, transport)));
            }
        }
        found
    }

    fn place_of(&self, identity: &Identity) -> Option<(ShardId, RoomId, TransportId)> {
        self.shards.iter().find_map(|(id, shard)| {
            shard.rooms.iter().find_map(|(room_id, room)| {
                let mut transports = room.transports.iter();
                let own = transports.find(|(_, t)| t.settings.identity == *identity);
                own.map(|(transport, _)| (*id, *room_id, *transport))
            })
        })
    }

    fn flow(&mut self, identity: &Identity, video: Codec) {
        let Some((shard, room_id, transport)) = self.place_of(identity) else {
            panic!("{identity} has no transport");
        };
        let room = self
            .shards
            .get_mut(&shard)
            .unwrap()
            .rooms
            .get_mut(&room_id)
            .unwrap();
        let media = room.transports[&transport].media.clone();
        let mut started = Vec::new();
        for (id, track) in &mut room.tracks {
            let Some((publisher, mid)) = track.publisher else {
                continue;
            };
            if publisher != transport {
                continue;
            }
            let line = media.iter().find(|line| line.mid == mid).unwrap();
            let codec = match line.kind {
                MediaKind::Audio => Codec::Opus,
                MediaKind::Video => video,
            };
            track.codec = Some(codec);
            started.push((*id, codec));
        }
        for (track, codec) in started {
            let layers = LayerSet::EMPTY;
            let fact = Fact::TrackStarted { codec, layers };
            self.tell(shard, room_id, Subject::Track(track), fact);
        }
    }

    fn close_transport(&mut self, shard: ShardId, room: RoomId, transport: TransportId) -> bool {
        let Some(room) = self
            .shards
            .get_mut(&shard)
            .and_then(|s| s.rooms.get_mut(&room))
        else {
            return false;
        };
        room.tracks
            .retain(|_, track| track.publisher.map(|(t, _)| t) != Some(transport));
        room.transports.remove(&transport).is_some()
    }

    fn carry_out(&mut self, shard: ShardId, command: Command) {
        let Command {
            id,
            room,
            epoch,
            action,
        } = command;
        let outcome = self.act(shard, room, epoch, id, action);
        let fact = match outcome {
            Ok(fact) => fact,
            Err(reason) => Fact::Refused {
                command: id,
                reason,
            },
        };
        self.tell(shard, room, Subject::Room, fact);
    }

    fn act(
        &mut self,
        shard: ShardId,
        room_id: RoomId,
        epoch: Epoch,
        command: CommandId,
        action: Action,
    ) -> Result<Fact, RefusedReason> {
        let done = Fact::Done { command };
        let rooms = &mut self.shards.get_mut(&shard).unwrap().rooms;
        match &action {
            Action::OpenRoom => {
                rooms.entry(room_id).or_default().epoch = epoch;
                return Ok(done);
            }
            Action::CloseRoom => {
                rooms.remove(&room_id).ok_or(RefusedReason::UnknownRoom)?;
                return Ok(done);
            }
            _ => {}
        }
        let room = rooms.get_mut(&room_id).ok_or(RefusedReason::UnknownRoom)?;
        if epoch < room.epoch {
            return Err(RefusedReason::StaleEpoch);
        }
        match action {
            Action::CloseTransport { transport } => {
                let known = self.close_transport(shard, room_id, transport);
                known.then_some(done).ok_or(RefusedReason::UnknownTransport)
            }
            Action::Describe => Ok(Fact::Described {
                command,
                snapshot: room.snapshot(room_id),
            }),
            Action::Fill {
                transport,
                slot,
                track,
                wish,
            } => {
                let state = room.fill(transport, slot, track, wish)?;
                let fact = Fact::SlotChanged {
                    track,
                    state,
                    layer: None,
                };
                self.tell(shard, room_id, Subject::Slot(transport, slot), fact);
                Ok(done)
            }
            other => room.act(command, other),
        }
    }
}
