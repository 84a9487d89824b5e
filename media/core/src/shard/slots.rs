//! Slots: filled, emptied, and what is told of them.

use std::time::Instant;

use media_contract::{Fact, RefusedReason, SlotState, Subject, TransportUse, Wish};
use media_types::{Layer, Mid, TrackId};
use media_webrtc::SlotIndex;

use super::Shard;
use super::link::Filled;
use crate::demux::LinkIndex;
use crate::forward::Forwarder;
use crate::limits::SLOTS_PER_TRANSPORT_MAX;
use crate::room::{RoomIndex, TrackIndex};
use crate::track::keyframe::Urgency;
use crate::track::{Audience, Subscription, Track};

impl Shard {
    /// Fills a slot with a track, whatever it had before.
    pub(super) fn fill(
        &mut self,
        now: Instant,
        index: LinkIndex,
        mid: Mid,
        track: TrackId,
        wish: Wish,
    ) -> Result<(), RefusedReason> {
        let link = self
            .links
            .get(index)
            .ok_or(RefusedReason::UnknownTransport)?;
        if !link.settings.subscribe || link.settings.usage == TransportUse::Publisher {
            return Err(RefusedReason::Forbidden);
        }
        let slot = link.slot_of(mid).ok_or(RefusedReason::UnknownMid)?;
        let room = link.room;
        let filled = link
            .slots
            .iter()
            .flatten()
            .filter(|slot| slot.filled.is_some());
        let is_full = filled.count() >= SLOTS_PER_TRANSPORT_MAX;
        let found = self.rooms.get(room).ok_or(RefusedReason::UnknownRoom)?;
        let place = found
            .track_index(track)
            .ok_or(RefusedReason::UnknownTrack)?;
        let kind = found.tracks.get(place).map(|track| track.kind);
        let known = link.slot(slot).ok_or(RefusedReason::UnknownMid)?;
        if kind != Some(known.kind) {
            return Err(RefusedReason::UnknownMid);
        }
        let shown = known.filled.as_ref().map(|filled| filled.track);
        if shown.is_none() && is_full {
            return Err(RefusedReason::Limit("slots_per_transport_max"));
        }
        if shown != Some(track) {
            self.empty_slot(index, slot);
            self.attach(now, index, slot, room, place);
        }
        self.set_wish(now, index, slot, wish);
        self.tell_slot(index, slot);
        self.tell_wanted(now, room, place);
        self.catch_up(now, index, slot);
        self.request_awaited(now, room, place, Urgency::Join);
        Ok(())
    }

    /// Puts a slot's forwarder among the subscriptions of a track.
    fn attach(
        &mut self,
        now: Instant,
        index: LinkIndex,
        slot_index: SlotIndex,
        room: RoomIndex,
        place: TrackIndex,
    ) {
        let Self {
            rooms,
            links,
            random,
            ..
        } = self;
        let track = rooms
            .get_mut(room)
            .and_then(|room| room.tracks.get_mut(place));
        let (Some(track), Some(link)) = (track, links.get_mut(index)) else {
            return;
        };
        let awake = link.connected_at.is_some();
        let Some(slot) = link.slot_mut(slot_index) else {
            return;
        };
        let mut forwarder = slot
            .parked
            .take()
            .unwrap_or_else(|| Forwarder::new(now, slot_index, slot.kind, random.next_u64()));
        forwarder.set_track(track.layers.scheme());
        slot.filled = Some(Filled {
            track: track.id,
            index: place,
            position: track.subscriptions.len(),
            wish: Wish::default(),
            wished_at: now,
            limited: false,
            told: None,
        });
        track.subscriptions.push(Subscription {
            link: index,
            slot: slot_index,
            forwarder,
            awake,
            reach: 0,
            audience: Audience::default(),
            told_layer: None,
        });
    }

    /// The transport is connected: what its slots show can flow.
    pub(super) fn wake(&mut self, now: Instant, index: LinkIndex) {
        // It gets what came until now from the history.
        self.fan_out_all();
        let Some(link) = self.links.get(index) else {
            return;
        };
        let room = link.room;
        let slots = link.slots.iter().flatten();
        let filled: Vec<_> = slots
            .filter_map(|slot| Some((slot.index, slot.filled.as_ref()?)))
            .map(|(slot, filled)| (slot, filled.index, filled.position))
            .collect();
        for (slot, track, position) in filled {
            let found = self.rooms.get_mut(room);
            let found = found.and_then(|room| room.tracks.get_mut(track));
            if let Some(subscription) = found.and_then(|it| it.subscriptions.get_mut(position)) {
                subscription.awake = true;
            }
            self.catch_up(now, index, slot);
            self.request_awaited(now, room, track, Urgency::Join);
        }
    }

    /// Empties a slot; its forwarder stays with it, so that its numbers go on.
    pub(super) fn empty_slot(&mut self, index: LinkIndex, slot_index: SlotIndex) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        let room = link.room;
        let Some(slot) = link.slot_mut(slot_index) else {
            return;
        };
        let Some(filled) = slot.filled.take() else {
            return;
        };
        let room = self.rooms.get_mut(room);
        let Some(track) = room.and_then(|room| room.tracks.get_mut(filled.index)) else {
            return;
        };
        if filled.position >= track.subscriptions.len() {
            return;
        }
        let mut subscription = track.subscriptions.swap_remove(filled.position);
        subscription.forwarder.set_target(None);
        slot.parked = Some(subscription.forwarder);
        // The last subscription moved into the gap; its slot must know.
        let moved = track.subscriptions.get(filled.position);
        let moved = moved.map(|moved| (moved.link, moved.slot));
        if let Some((link, slot)) = moved
            && let Some(slot) = self
                .links
                .get_mut(link)
                .and_then(|link| link.slot_mut(slot))
            && let Some(moved) = &mut slot.filled
        {
            moved.position = filled.position;
        }
        self.want_allocation(index);
    }

    /// Replaces the wish of a filled slot; `false` if nothing is in it.
    pub(super) fn set_wish(
        &mut self,
        now: Instant,
        index: LinkIndex,
        slot: SlotIndex,
        wish: Wish,
    ) -> bool {
        let slot = self
            .links
            .get_mut(index)
            .and_then(|link| link.slot_mut(slot));
        let Some(filled) = slot.and_then(|slot| slot.filled.as_mut()) else {
            return false;
        };
        // Whoever changes a wish does not wait for what a rise would wait for.
        if filled.wish != wish {
            filled.wish = wish;
            filled.wished_at = now;
        }
        self.allocate(now, index);
        true
    }

    /// Tells the state of a slot if it is not what was told last.
    pub(super) fn tell_slot(&mut self, index: LinkIndex, slot_index: SlotIndex) {
        let Self {
            rooms,
            links,
            outbox,
            ..
        } = self;
        let Some(link) = links.get_mut(index) else {
            return;
        };
        let (room, transport) = (link.room, link.id);
        let Some(slot) = link.slot_mut(slot_index) else {
            return;
        };
        let (mid, supported) = (slot.mid, slot.supported);
        let (Some(filled), Some(room)) = (&mut slot.filled, rooms.get(room)) else {
            return;
        };
        let Some(track) = room.tracks.get(filled.index) else {
            return;
        };
        let is_supported = track.codec.is_none_or(|codec| supported.contains(codec));
        let state = state_of(track, filled, is_supported);
        if filled.told != Some(state) {
            filled.told = Some(state);
            let fact = Fact::SlotChanged {
                track: filled.track,
                state: state.0,
                layer: state.1,
            };
            outbox.tell(room.id, Subject::Slot(transport, mid), fact);
        }
    }

    /// Tells the state of every slot that shows a track.
    pub(super) fn tell_slots_of(&mut self, room: RoomIndex, index: TrackIndex) {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let Some(track) = track else {
            return;
        };
        let slots = track.subscriptions.iter();
        self.changed
            .extend(slots.map(|subscription| (subscription.link, subscription.slot)));
        while let Some((link, slot)) = self.changed.pop() {
            self.tell_slot(link, slot);
        }
    }
}

/// What a subscription's slot shows.
pub(super) fn state_of(
    track: &Track,
    filled: &Filled,
    is_supported: bool,
) -> (SlotState, Option<Layer>) {
    let forwarder = track
        .subscriptions
        .get(filled.position)
        .map(|found| &found.forwarder);
    let current = forwarder.and_then(Forwarder::current);
    let target = forwarder.and_then(Forwarder::target);
    if !is_supported {
        (SlotState::Unsupported, None)
    } else if track.muted {
        (SlotState::Muted, None)
    } else if filled.wish.paused {
        (SlotState::Paused, None)
    } else if target.is_none() {
        (SlotState::Starved, None)
    } else if current.is_none() {
        (SlotState::Waiting, None)
    } else {
        (SlotState::Live, current)
    }
}
