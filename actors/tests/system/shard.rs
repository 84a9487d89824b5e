//! Shards as tables: they do what commands say and tell what follows, without a packet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use media_contract::{
    Action, Command, CommandId, Event, Fact, MediaLine, MediaLineUse, Plane, PlaneError,
    RefusedReason, RelayEnd, ShardLoad, SlotSnapshot, SlotState, Snapshot, Speaker, Subject,
    TrackSnapshot, TransportSettings, TransportSnapshot, Wish,
};
use media_types::{
    Codec, Epoch, Identity, LayerSet, MediaKind, Mid, RoomId, ShardId, TrackId, TransportId,
};

#[derive(Default)]
struct Room {
    epoch: Epoch,
    transports: BTreeMap<TransportId, Transport>,
    tracks: BTreeMap<TrackId, Track>,
}

struct Transport {
    settings: TransportSettings,
    media: Vec<MediaLine>,
    slots: BTreeMap<Mid, (TrackId, Wish)>,
}

struct Track {
    publisher: Option<(TransportId, Mid)>,
    codec: Option<Codec>,
    muted: bool,
    relayed_to: BTreeSet<ShardId>,
}

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
            busy_ppm: 0,
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

/// `send a0 audio, slot v0 video, idle x0 audio`; video lines know VP8 and H.264 unless the line
/// ends in the name of its one codec.
fn lines(sdp: &str) -> Result<Vec<MediaLine>, RefusedReason> {
    let bad = || RefusedReason::BadSdp(sdp.to_owned());
    let mut media = Vec::new();
    for line in sdp.split(',') {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [usage, mid, kind, rest @ ..] = words.as_slice() else {
            return Err(bad());
        };
        let kind = match *kind {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => return Err(bad()),
        };
        let named = rest
            .first()
            .map(|name| Codec::ALL.into_iter().find(|c| c.name() == *name));
        let codecs = match (named, kind) {
            (Some(codec), _) => vec![codec.ok_or_else(bad)?],
            (None, MediaKind::Audio) => vec![Codec::Opus],
            (None, MediaKind::Video) => vec![Codec::Vp8, Codec::H264],
        };
        media.push(MediaLine {
            mid: mid.parse().map_err(|_| bad())?,
            kind,
            usage: match *usage {
                "send" => MediaLineUse::Publish,
                "slot" => MediaLineUse::Slot,
                "both" => MediaLineUse::Both,
                "idle" => MediaLineUse::Idle,
                _ => return Err(bad()),
            },
            codecs,
            rids: Vec::new(),
        });
    }
    Ok(media)
}

impl Room {
    fn transport(&mut self, id: TransportId) -> Result<&mut Transport, RefusedReason> {
        self.transports
            .get_mut(&id)
            .ok_or(RefusedReason::UnknownTransport)
    }

    fn track(&mut self, id: TrackId) -> Result<&mut Track, RefusedReason> {
        self.tracks.get_mut(&id).ok_or(RefusedReason::UnknownTrack)
    }

    fn act(&mut self, command: CommandId, action: Action) -> Result<Fact, RefusedReason> {
        match action {
            Action::OpenTransport {
                transport,
                settings,
            } => {
                self.transports.entry(transport).or_insert(Transport {
                    settings,
                    media: Vec::new(),
                    slots: BTreeMap::new(),
                });
            }
            Action::Negotiate {
                transport, offer, ..
            } => {
                let media = lines(&offer)?;
                self.transport(transport)?.media.clone_from(&media);
                return Ok(Fact::Negotiated {
                    command,
                    answer: format!("answer to {offer}"),
                    media,
                    data: false,
                });
            }
            Action::Publish {
                transport,
                mid,
                track,
                ..
            } => {
                self.transport(transport)?;
                self.tracks.entry(track).or_insert(Track {
                    publisher: Some((transport, mid)),
                    codec: None,
                    muted: false,
                    relayed_to: BTreeSet::new(),
                });
            }
            Action::Unpublish { track } => {
                self.track(track)?;
                self.tracks.remove(&track);
            }
            Action::Empty { transport, slot } => {
                self.transport(transport)?.slots.remove(&slot);
            }
            Action::SetWish {
                transport,
                slot,
                wish,
            } => {
                let slots = &mut self.transport(transport)?.slots;
                slots.get_mut(&slot).ok_or(RefusedReason::UnknownMid)?.1 = wish;
            }
            Action::Mute { track, muted } => self.track(track)?.muted = muted,
            Action::OpenRelay { track, end } => match end {
                RelayEnd::Out { to } => {
                    self.track(track)?.relayed_to.insert(to);
                }
                RelayEnd::In { codec, .. } => {
                    self.tracks.entry(track).or_insert(Track {
                        publisher: None,
                        codec: Some(codec),
                        muted: false,
                        relayed_to: BTreeSet::new(),
                    });
                }
            },
            Action::CloseRelay { track, other } => {
                if let Some(found) = self.tracks.get_mut(&track) {
                    found.relayed_to.remove(&other);
                    if found.publisher.is_none() {
                        self.tracks.remove(&track);
                    }
                }
            }
            _ => {}
        }
        Ok(Fact::Done { command })
    }

    fn fill(
        &mut self,
        transport: TransportId,
        slot: Mid,
        track: TrackId,
        wish: Wish,
    ) -> Result<SlotState, RefusedReason> {
        let found = self.track(track)?;
        let (codec, muted) = (found.codec, found.muted);
        let transport = self.transport(transport)?;
        let line = transport.media.iter().find(|line| line.mid == slot);
        let line = line.ok_or(RefusedReason::UnknownMid)?;
        let decodes = codec.is_none_or(|codec| line.codecs.contains(&codec));
        transport.slots.insert(slot, (track, wish));
        Ok(match (decodes, muted, codec) {
            (false, ..) => SlotState::Unsupported,
            (_, true, _) => SlotState::Muted,
            (_, _, None) => SlotState::Waiting,
            _ => SlotState::Live,
        })
    }

    fn snapshot(&self, room: RoomId) -> Snapshot {
        let transports = self
            .transports
            .iter()
            .map(|(id, transport)| TransportSnapshot {
                transport: *id,
                settings: transport.settings.clone(),
                connected: true,
                media: transport.media.clone(),
                slots: transport
                    .slots
                    .iter()
                    .map(|(mid, (track, wish))| SlotSnapshot {
                        mid: *mid,
                        track: *track,
                        wish: *wish,
                        state: SlotState::Live,
                    })
                    .collect(),
            });
        let tracks = self.tracks.iter().map(|(id, track)| TrackSnapshot {
            track: *id,
            publisher: track.publisher,
            codec: track.codec,
            layers: LayerSet::EMPTY,
            muted: track.muted,
        });
        Snapshot {
            room,
            epoch: self.epoch,
            transports: transports.collect(),
            tracks: tracks.collect(),
        }
    }
}
