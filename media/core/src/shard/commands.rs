//! Commands: what should be, made so. Each is answered exactly once, and twice is as once.

use std::time::Instant;

use media_contract::{
    Action, Command, CommandId, Event, Fact, RefusedReason, SlotSnapshot, Snapshot, Subject,
    TapSnapshot, TrackOrigin, TrackSnapshot, TransportSnapshot,
};
use media_types::{Epoch, RoomId, TransportId};

use super::{Shard, Timer};
use crate::demux::LinkIndex;
use crate::guard::inject_fault;
use crate::limits::ROOM_TICK;
use crate::room::{Room, RoomIndex};
use crate::shard::slots::state_of;
use crate::tap::Tap;
use crate::track::Publisher;

impl Shard {
    /// Carries out a command, or refuses it; the answer comes by [`Self::poll_event`].
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let Command {
            id,
            room,
            epoch,
            action,
        } = command;
        // What came before belongs to those who were there then.
        self.fan_out_all();
        let subject = subject_of(&action);
        let describes = matches!(action, Action::Describe);
        let fact = match self.execute(now, id, room, epoch, action) {
            Ok(Some(fact)) => fact,
            Ok(None) => Fact::Done { command: id },
            Err(reason) => Fact::Refused {
                command: id,
                reason,
            },
        };
        self.outbox.answer(Event {
            room,
            subject,
            fact,
        });
        if describes {
            self.retell_wanted(room);
        }
        self.settle(now);
    }

    /// The answer, if it is more than `Done`.
    fn execute(
        &mut self,
        now: Instant,
        command: CommandId,
        id: RoomId,
        epoch: Epoch,
        action: Action,
    ) -> Result<Option<Fact>, RefusedReason> {
        let done = |()| None;
        match action {
            Action::OpenRoom => self.open_room(now, id, epoch).map(done),
            Action::CloseRoom => self.close_room(now, id, epoch).map(done),
            Action::LinkRoom { peers } => {
                let room = self.enter(id, epoch)?;
                self.link_room(room, peers).map(done)
            }
            Action::Describe => {
                let room = self.enter(id, epoch)?;
                let snapshot = self.describe(room).ok_or(RefusedReason::UnknownRoom)?;
                Ok(Some(Fact::Described { command, snapshot }))
            }
            Action::Negotiate {
                transport,
                offer,
                pairs,
            } => {
                let room = self.enter(id, epoch)?;
                let link = self.link(room, transport)?;
                self.negotiate(now, link, command, &offer, &pairs).map(Some)
            }
            action @ (Action::OpenTransport { .. }
            | Action::CloseTransport { .. }
            | Action::AddCandidate { .. }
            | Action::Publish { .. }
            | Action::InjectFault { .. }) => {
                let room = self.enter(id, epoch)?;
                self.apply_to_transport(now, room, action).map(done)
            }
            action @ (Action::Fill { .. } | Action::Empty { .. } | Action::SetWish { .. }) => {
                let room = self.enter(id, epoch)?;
                self.apply_to_slot(now, room, action).map(done)
            }
            action @ (Action::OpenIngest(_) | Action::OpenTap { .. } | Action::CloseTap { .. }) => {
                let room = self.enter(id, epoch)?;
                self.apply_to_live(now, room, action).map(done)
            }
            action @ (Action::Unpublish { .. }
            | Action::Mute { .. }
            | Action::OpenRelay { .. }
            | Action::CloseRelay { .. }) => {
                let room = self.enter(id, epoch)?;
                self.apply_to_track(now, room, action).map(done)
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes these only"
    )]
    fn apply_to_transport(
        &mut self,
        now: Instant,
        room: RoomIndex,
        action: Action,
    ) -> Result<(), RefusedReason> {
        match action {
            Action::OpenTransport {
                transport,
                settings,
            } => self.open_transport_once(now, room, transport, settings),
            Action::CloseTransport { transport } => {
                if let Ok(link) = self.link(room, transport) {
                    self.close_transport(now, link);
                }
                Ok(())
            }
            Action::AddCandidate {
                transport,
                candidate,
            } => {
                let link = self.link(room, transport)?;
                self.add_candidate(now, link, &candidate);
                Ok(())
            }
            Action::Publish {
                transport,
                mid,
                track,
                source,
            } => {
                let link = self.link(room, transport)?;
                self.wake_room(now, room);
                self.publish(now, link, mid, track, source)
            }
            Action::InjectFault { transport } => self.inject(now, room, transport),
            _ => Ok(()),
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes these only"
    )]
    fn apply_to_track(
        &mut self,
        now: Instant,
        room: RoomIndex,
        action: Action,
    ) -> Result<(), RefusedReason> {
        match action {
            Action::Unpublish { track } => {
                self.unpublish(room, track);
                Ok(())
            }
            Action::Mute { track, muted } => self.mute(now, room, track, muted),
            Action::OpenRelay { track, end } => {
                self.wake_room(now, room);
                self.open_relay(now, room, track, &end)
            }
            Action::CloseRelay { track, other } => {
                self.close_relay(now, room, track, other);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes these only"
    )]
    fn apply_to_slot(
        &mut self,
        now: Instant,
        room: RoomIndex,
        action: Action,
    ) -> Result<(), RefusedReason> {
        match action {
            Action::Fill {
                transport,
                slot,
                track,
                wish,
            } => {
                let link = self.link(room, transport)?;
                self.fill(now, link, slot, track, wish)
            }
            Action::Empty { transport, slot } => {
                // What is gone is empty.
                if let Ok(link) = self.link(room, transport)
                    && let Some(slot) = self.links.get(link).and_then(|link| link.slot_of(slot))
                {
                    self.empty_slot(link, slot);
                }
                Ok(())
            }
            Action::SetWish {
                transport,
                slot,
                wish,
            } => {
                let link = self.link(room, transport)?;
                let slot = self.links.get(link).and_then(|link| link.slot_of(slot));
                let set = slot.is_some_and(|slot| self.set_wish(now, link, slot, wish));
                set.then_some(()).ok_or(RefusedReason::UnknownMid)
            }
            _ => Ok(()),
        }
    }

    /// The room of a command, if its epoch is not stale; a higher one is adopted.
    fn enter(&mut self, room: RoomId, epoch: Epoch) -> Result<RoomIndex, RefusedReason> {
        let index = self.room_ids.get(&room).copied();
        let index = index.ok_or(RefusedReason::UnknownRoom)?;
        let room = self
            .rooms
            .get_mut(index)
            .ok_or(RefusedReason::UnknownRoom)?;
        if epoch < room.epoch {
            return Err(RefusedReason::StaleEpoch);
        }
        room.epoch = epoch;
        Ok(index)
    }

    fn link(&self, room: RoomIndex, id: TransportId) -> Result<LinkIndex, RefusedReason> {
        let link = self.rooms.get(room).and_then(|room| room.links.get(&id));
        link.copied().ok_or(RefusedReason::UnknownTransport)
    }

    fn open_room(&mut self, now: Instant, id: RoomId, epoch: Epoch) -> Result<(), RefusedReason> {
        if self.room_ids.contains_key(&id) {
            return self.enter(id, epoch).map(|_| ());
        }
        if self.rooms.len() >= self.config.limits.rooms_max {
            return Err(RefusedReason::Limit("rooms_max"));
        }
        let Self { rooms, wheel, .. } = self;
        let index = rooms.insert_with(|index| {
            let timer = wheel.register(Timer::Room(index));
            wheel.set(timer, now + ROOM_TICK);
            Room::new(id, epoch, timer)
        });
        self.room_ids.insert(id, index);
        Ok(())
    }

    fn close_room(&mut self, now: Instant, id: RoomId, epoch: Epoch) -> Result<(), RefusedReason> {
        let index = match self.enter(id, epoch) {
            Ok(index) => index,
            Err(RefusedReason::UnknownRoom) => return Ok(()),
            Err(reason) => return Err(reason),
        };
        let room = self.rooms.get(index);
        let links: Vec<_> = room
            .into_iter()
            .flat_map(|room| room.links.values())
            .copied()
            .collect();
        for link in links {
            self.close_transport(now, link);
        }
        let room = self.rooms.get(index);
        let tracks: Vec<_> = room
            .into_iter()
            .flat_map(|room| room.track_ids.keys())
            .copied()
            .collect();
        for track in tracks {
            self.remove_track(index, track);
        }
        if let Some(room) = self.rooms.remove(index) {
            self.wheel.unregister(room.timer);
        }
        self.room_ids.remove(&id);
        Ok(())
    }

    fn open_transport_once(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TransportId,
        settings: media_contract::TransportSettings,
    ) -> Result<(), RefusedReason> {
        if let Ok(link) = self.link(room, id) {
            if let Some(link) = self.links.get_mut(link) {
                link.settings = settings;
            }
            return Ok(());
        }
        if self.links.len() >= self.config.limits.transports_max {
            return Err(RefusedReason::Limit("transports_max"));
        }
        let opened = self.open_transport(now, room, id, settings);
        opened.map(|_| ()).ok_or(RefusedReason::UnknownTransport)
    }

    fn inject(
        &mut self,
        now: Instant,
        room: RoomIndex,
        transport: TransportId,
    ) -> Result<(), RefusedReason> {
        if !self.config.allow_faults {
            return Err(RefusedReason::Forbidden);
        }
        let link = self.link(room, transport)?;
        self.with_transport(link, |_| inject_fault());
        self.drain_transport(now, link);
        Ok(())
    }

    fn describe(&self, index: RoomIndex) -> Option<Snapshot> {
        let room = self.rooms.get(index)?;
        let links = room.links.values().filter_map(|&link| self.links.get(link));
        Some(Snapshot {
            room: room.id,
            epoch: room.epoch,
            transports: links
                .map(|link| TransportSnapshot {
                    transport: link.id,
                    settings: link.settings.clone(),
                    connected: link
                        .peek(|transport| transport.is_connected())
                        .unwrap_or(false),
                    media: link.media.clone(),
                    slots: slots_of(link, room),
                })
                .collect(),
            tracks: room
                .track_ids
                .keys()
                .filter_map(|&id| self.describe_track(room, id))
                .collect(),
            taps: taps_of(room),
        })
    }

    fn describe_track(&self, room: &Room, id: media_types::TrackId) -> Option<TrackSnapshot> {
        let track = room.track(id)?;
        let origin = match track.publisher {
            Publisher::Local { link, mid } => {
                let link = self.links.get(link)?;
                TrackOrigin::Transport(link.id, mid)
            }
            Publisher::Ingest => TrackOrigin::Ingest {
                feed: track.feed.as_ref().map_or(0, |feed| feed.number()),
            },
            Publisher::Relay { .. } => TrackOrigin::Relay,
        };
        Some(TrackSnapshot {
            track: id,
            origin,
            codec: track.codec,
            layers: track.layers.known(),
            muted: track.muted,
        })
    }
}

fn slots_of(link: &super::link::Link, room: &Room) -> Vec<SlotSnapshot> {
    let slots = link.slots.iter().flatten().filter_map(|slot| {
        let filled = slot.filled.as_ref()?;
        let track = room.tracks.get(filled.index)?;
        let supported = track
            .codec
            .is_none_or(|codec| slot.supported.contains(codec));
        Some(SlotSnapshot {
            mid: slot.mid,
            track: filled.track,
            wish: filled.wish,
            state: state_of(track, filled, supported).0,
        })
    });
    slots.collect()
}

fn taps_of(room: &Room) -> Vec<TapSnapshot> {
    let tracks = room.tracks.values();
    let taps = tracks.flat_map(|track| {
        let snapshot = |tap: &Tap| TapSnapshot {
            tap: tap.id,
            track: track.id,
        };
        track.taps.iter().map(snapshot)
    });
    let mut taps: Vec<_> = taps.collect();
    taps.sort_by_key(|tap| tap.tap);
    taps
}

fn subject_of(action: &Action) -> Subject {
    match action {
        Action::OpenRoom | Action::CloseRoom | Action::LinkRoom { .. } | Action::Describe => {
            Subject::Room
        }
        Action::OpenTransport { transport, .. }
        | Action::CloseTransport { transport }
        | Action::Negotiate { transport, .. }
        | Action::AddCandidate { transport, .. }
        | Action::Publish { transport, .. }
        | Action::InjectFault { transport } => Subject::Transport(*transport),
        Action::Fill {
            transport, slot, ..
        }
        | Action::Empty { transport, slot }
        | Action::SetWish {
            transport, slot, ..
        } => Subject::Slot(*transport, *slot),
        Action::Unpublish { track }
        | Action::Mute { track, .. }
        | Action::OpenRelay { track, .. }
        | Action::CloseRelay { track, .. } => Subject::Track(*track),
        Action::OpenIngest(ingest) => Subject::Track(ingest.track),
        Action::OpenTap { tap, .. } | Action::CloseTap { tap } => Subject::Tap(*tap),
    }
}
