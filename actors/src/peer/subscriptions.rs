//! Slots: what they show, what the client wants of them, what it hears of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use media_contract::{Action, MediaLineUse, RefusedReason, SlotState as Flow, Wish};
use media_types::{MediaKind, Mid, TrackId, TrackSource};
use signaling::client_message::{SlotWish, SubscribeParams};
use signaling::server_message::{SlotsParams, SubscribeResult};
use signaling::view::{SlotPhase, SlotReason, SlotState};
use signaling::{ErrorType, RpcError, ServerMessage};

use super::slots::{Candidate, Refill};
use super::state::{Effect, PeerState, Purpose};
use crate::hooks::VideoLimit;
use crate::room::{Pin, RoomView, TrackEntry};
use crate::session::SessionKind;

/// Of a slot that the client has pinned, where it does not say.
const PRIORITY_PINNED: u8 = 100;
/// Of a shared screen.
const PRIORITY_SCREEN: u8 = 50;

fn wish_of(wanted: &SlotWish, priority: u8) -> Wish {
    let pixels =
        |max: Option<u32>| max.map_or(u16::MAX, |max| u16::try_from(max).unwrap_or(u16::MAX));
    let fps = wanted
        .max_fps
        .map_or(u8::MAX, |max| u8::try_from(max).unwrap_or(u8::MAX));
    let nothing = |max: Option<u32>| max == Some(0);
    Wish {
        width_max: pixels(wanted.max_width),
        height_max: pixels(wanted.max_height),
        fps_max: fps,
        priority: wanted.priority.unwrap_or(priority),
        paused: nothing(wanted.max_width) || nothing(wanted.max_height) || nothing(wanted.max_fps),
    }
}

impl PeerState {
    /// What there is to see and hear has changed.
    pub(crate) fn set_view(&mut self, view: Arc<RoomView>) {
        for own in &mut self.record.tracks {
            let entry = view.tracks.iter().find(|e| e.view.track_id == own.track);
            if let Some(entry) = entry {
                own.codec = entry.view.codec;
            }
        }
        let listed = |track: &TrackId| view.tracks.iter().any(|e| e.view.track_id == *track);
        self.record.sizes.retain(|track, _| listed(track));
        self.view = view;
        self.arrange();
    }

    /// Fills slots anew where another choice is better.
    pub(super) fn arrange(&mut self) {
        if self.is_settling() || !self.record.grants.subscribe {
            return;
        }
        self.tell_undecodable();
        let candidates = self.candidates();
        let view = Arc::clone(&self.view);
        let refills = self.slots.arrange(&candidates, &view.loudest);
        let transport = self.record.transport;
        let mut told = Vec::new();
        for Refill { mid, track } in refills {
            let action = match track {
                Some(track) => Action::Fill {
                    transport,
                    slot: mid,
                    track,
                    wish: self.wish_for(mid, track),
                },
                None => Action::Empty {
                    transport,
                    slot: mid,
                },
            };
            self.command(Purpose::Fill(mid), action);
            told.extend(self.note_shown(mid, track, Flow::Waiting));
        }
        self.tell_slots(told);
    }

    /// What may be shown: live tracks of others that the client can decode, and what it pinned.
    fn candidates(&self) -> Vec<Candidate> {
        let pinned: BTreeSet<TrackId> = self.slots.pinned().collect();
        let entries = self.view.tracks.iter().filter(|entry| self.may_show(entry));
        entries
            .filter(|e| pinned.contains(&e.view.track_id) || self.decodes(e))
            .map(|entry| Candidate {
                track: entry.view.track_id,
                kind: entry.view.kind,
                publisher: entry.view.peer_id.clone(),
                source: entry.view.source,
                heard: entry.heard,
            })
            .collect()
    }

    /// The room hears, once, of each video that the client cannot decode: its publisher may send it
    /// in another codec. A client that takes no video has no say.
    fn tell_undecodable(&mut self) {
        let takes_video = self.lines.iter().any(|line| {
            let receives = matches!(line.usage, MediaLineUse::Slot | MediaLineUse::Both);
            receives && line.kind == MediaKind::Video && !line.codecs.is_empty()
        });
        let entries = self.view.tracks.iter().filter(|entry| {
            let video = entry.view.kind == MediaKind::Video;
            takes_video && video && self.may_show(entry) && !self.decodes(entry)
        });
        let found: BTreeSet<TrackId> = entries.map(|entry| entry.view.track_id).collect();
        let new = found.difference(&self.undecodable).copied();
        self.effects.extend(new.map(Effect::Unsupported));
        self.undecodable = found;
    }

    fn may_show(&self, entry: &TrackEntry) -> bool {
        let wanted = match &self.record.kind {
            SessionKind::Whep { peer, track } => {
                let by_peer = peer.as_ref().is_none_or(|peer| *peer == entry.view.peer_id);
                let track_id = entry.view.track_id;
                by_peer && track.is_none_or(|track| track == track_id)
            }
            SessionKind::WebSocket | SessionKind::Whip | SessionKind::Ingest(_) => {
                entry.owner != self.record.peer
            }
        };
        wanted && entry.view.live
    }

    fn decodes(&self, entry: &TrackEntry) -> bool {
        self.lines.iter().any(|line| {
            let receives = matches!(line.usage, MediaLineUse::Slot | MediaLineUse::Both);
            receives && line.kind == entry.view.kind && line.codecs.contains(&entry.view.codec)
        })
    }

    fn wish_for(&self, mid: Mid, track: TrackId) -> Wish {
        self.bounded(track, self.wanted_of(mid, track))
    }

    fn wanted_of(&self, mid: Mid, track: TrackId) -> Wish {
        if let Some(wish) = self.wishes.get(&mid) {
            return *wish;
        }
        let entry = self.view.tracks.iter().find(|e| e.view.track_id == track);
        let screen = entry.is_some_and(|entry| entry.view.source == TrackSource::Screen);
        let mut wish = Wish::default();
        if self.slots.is_pinned(mid) {
            wish.priority = PRIORITY_PINNED;
        } else if screen {
            wish.priority = PRIORITY_SCREEN;
        }
        match self.record.sizes.get(&track) {
            Some(size) => Wish {
                priority: size.priority.max(wish.priority),
                ..*size
            },
            None => wish,
        }
    }

    /// The client fills slots by hand.
    pub(super) fn subscribe(
        &mut self,
        params: SubscribeParams,
    ) -> Result<(SubscribeResult, Vec<SlotState>), RpcError> {
        if !self.record.grants.subscribe {
            return Err(ErrorType::Forbidden.into());
        }
        for wanted in &params.slots {
            if self.slots.shows(wanted.mid).is_some() {
                self.want(wanted);
            }
        }
        self.present();
        let place = self.effects.len();
        self.arrange();
        // Commands stay; the notification comes after the answer.
        let rest = self.effects.split_off(place);
        let (notices, commands): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|effect| matches!(effect, super::state::Effect::Send(_)));
        drop(notices);
        self.effects.extend(commands);
        let slots = params.slots.iter().map(|wanted| self.slot_state(wanted));
        let result = SubscribeResult {
            slots: slots.collect(),
        };
        let named: BTreeSet<Mid> = params.slots.iter().map(|wanted| wanted.mid).collect();
        let others = self
            .shown
            .values()
            .filter(|slot| !named.contains(&slot.mid));
        let others = others.cloned().collect();
        Ok((result, others))
    }

    /// Notes one wish; a slot that keeps its track hears of it at once.
    fn want(&mut self, wanted: &SlotWish) {
        let mid = wanted.mid;
        let is_pin = wanted.pin.unwrap_or(true);
        let Some(track) = wanted.track_id.filter(|_| is_pin) else {
            self.release(mid);
            if let Some(track) = wanted.track_id {
                self.want_size(track, wanted);
            }
            return;
        };
        let wish = wish_of(wanted, PRIORITY_PINNED);
        self.slots.pin(mid, Some(track));
        self.wishes.insert(mid, wish);
        self.record.pins.retain(|pin| pin.mid != mid);
        let track = Some(track);
        self.record.pins.push(Pin { mid, track, wish });
        if self.slots.shows(mid) == Some(track) {
            self.set_wish(mid, wish);
        }
    }

    /// Takes a pin away; a slot that keeps its track gets the wish that it has without it.
    fn release(&mut self, mid: Mid) {
        self.slots.release(mid);
        self.record.pins.retain(|pin| pin.mid != mid);
        let had = self.wishes.remove(&mid).is_some();
        if let (true, Some(Some(track))) = (had, self.slots.shows(mid)) {
            self.set_wish(mid, self.wish_for(mid, track));
        }
    }

    /// Notes how much of a track is of use wherever the server shows it.
    fn want_size(&mut self, track: TrackId, wanted: &SlotWish) {
        if !self.view.tracks.iter().any(|e| e.view.track_id == track) {
            return;
        }
        let wish = wish_of(wanted, Wish::default().priority);
        self.record.sizes.insert(track, wish);
        let showing = self
            .slots
            .iter()
            .filter(|(.., shown)| *shown == Some(track));
        let free = showing.filter(|(mid, ..)| !self.wishes.contains_key(mid));
        let free: Vec<Mid> = free.map(|(mid, ..)| mid).collect();
        for mid in free {
            self.set_wish(mid, self.wish_for(mid, track));
        }
    }

    /// A wish within what operators allow.
    fn bounded(&self, track: TrackId, wish: Wish) -> Wish {
        let entry = self.view.tracks.iter().find(|e| e.view.track_id == track);
        if entry.is_none_or(|entry| entry.view.kind != MediaKind::Video) {
            return wish;
        }
        match self.video {
            VideoLimit::Free => wish,
            VideoLimit::Height(lines) => Wish {
                height_max: wish.height_max.min(lines),
                ..wish
            },
            VideoLimit::Off => Wish {
                paused: true,
                ..wish
            },
        }
    }

    /// Operators allow more or less video than before: every slot that shows some hears of it.
    pub(crate) fn limit_video(&mut self, limit: VideoLimit) {
        if self.video == limit {
            return;
        }
        self.video = limit;
        let video = self
            .slots
            .iter()
            .filter(|(_, kind, _)| *kind == MediaKind::Video);
        let shown: Vec<(Mid, TrackId)> = video
            .filter_map(|(mid, _, track)| Some((mid, track?)))
            .collect();
        for (mid, track) in shown {
            self.set_wish(mid, self.wanted_of(mid, track));
        }
    }

    /// Nothing is shown any more.
    pub(super) fn empty_slots(&mut self) {
        let transport = self.record.transport;
        let filled: Vec<Mid> = self
            .slots
            .iter()
            .filter_map(|(mid, _, track)| track.map(|_| mid))
            .collect();
        let mut told = Vec::new();
        for slot in filled {
            self.slots.adopt(slot, None);
            self.command(Purpose::Fill(slot), Action::Empty { transport, slot });
            told.extend(self.note_shown(slot, None, Flow::Waiting));
        }
        self.tell_slots(told);
    }

    fn set_wish(&mut self, slot: Mid, wish: Wish) {
        let wish = match self.slots.shows(slot).flatten() {
            Some(track) => self.bounded(track, wish),
            None => wish,
        };
        let transport = self.record.transport;
        let set = Action::SetWish {
            transport,
            slot,
            wish,
        };
        self.command(Purpose::Other, set);
    }

    fn slot_state(&self, wanted: &SlotWish) -> SlotState {
        let not_found = SlotState {
            track_id: wanted.track_id,
            reason: Some(SlotReason::NotFound),
            ..SlotState::waiting(wanted.mid)
        };
        match self.slots.shows(wanted.mid) {
            None => not_found,
            Some(None) if wanted.track_id.is_some() => not_found,
            Some(_) => {
                let shown = self.shown.get(&wanted.mid).cloned();
                shown.unwrap_or(SlotState::waiting(wanted.mid))
            }
        }
    }

    /// What comes out of a slot has changed.
    pub(super) fn slot_changed(&mut self, mid: Mid, track: TrackId, state: Flow) {
        if self.slots.shows(mid) == Some(Some(track)) {
            let told = self.note_shown(mid, Some(track), state);
            self.tell_slots(told.into_iter().collect());
        }
    }

    /// Keeps what the client should know of a slot; returns it where that is news.
    pub(super) fn note_shown(
        &mut self,
        mid: Mid,
        track_id: Option<TrackId>,
        state: Flow,
    ) -> Option<SlotState> {
        let (state, reason) = match state {
            Flow::Live => (SlotPhase::Live, None),
            Flow::Paused => (SlotPhase::Paused, None),
            Flow::Starved => (SlotPhase::Paused, Some(SlotReason::Bandwidth)),
            Flow::Muted => (SlotPhase::Muted, None),
            Flow::Unsupported => (SlotPhase::Unsupported, Some(SlotReason::Codec)),
            Flow::Waiting => (SlotPhase::Waiting, None),
        };
        let slot = SlotState {
            mid,
            track_id,
            state,
            reason,
        };
        let before = self.shown.insert(mid, slot.clone());
        (before.as_ref() != Some(&slot)).then_some(slot)
    }

    pub(super) fn tell_slots(&mut self, slots: Vec<SlotState>) {
        if !slots.is_empty() {
            self.notify(ServerMessage::Slots(SlotsParams { slots }));
            self.tell_qualities();
        }
    }

    /// A client that comes back hears of all its slots.
    pub(super) fn tell_all_slots(&mut self) {
        let slots = self.shown.values().cloned().collect();
        self.tell_slots(slots);
    }

    /// The shard could not fill a slot.
    pub(super) fn fill_refused(&mut self, now: Instant, mid: Mid, reason: &RefusedReason) {
        let Some(track) = self.slots.shows(mid).flatten() else {
            return;
        };
        if *reason == RefusedReason::Unsupported {
            self.slot_changed(mid, track, Flow::Unsupported);
            return;
        }
        // The track may just have gone, or not yet have come: look again soon.
        self.slots.adopt(mid, None);
        self.mark_dirty(now);
    }
}
