//! Which layers a transport's slots get now: the caller of the allocator, with its memory.

use std::time::Instant;

use media_types::{Bitrate, Layer, MediaKind};
use media_webrtc::SlotIndex;

use super::Shard;
use super::link::{Filled, Link, Slot};
use crate::allocate::{self, Bases, Claim, Grant, Ladder, Shares, Step, ladder};
use crate::demux::LinkIndex;
use crate::limits::{CONGESTION_HOLD, ESTIMATE_GRACE, RAISE_HEADROOM_PERCENT, RAISE_PERIOD};
use crate::room::{Room, RoomIndex, TrackIndex};
use crate::track::Track;

/// Memory that allocations use again; one entry a filled slot in all but the shares.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    slots: Vec<SlotIndex>,
    claims: Vec<Claim>,
    /// What flows now, and whether it may rise already.
    flows: Vec<(Grant, bool)>,
    settled: Vec<Grant>,
    /// Tracks of which another layer is wanted now.
    moved: Vec<(RoomIndex, TrackIndex)>,
    cautious: Shares,
    full: Shares,
}

impl Shard {
    /// Chooses the layers of all slots of a transport.
    pub(super) fn allocate(&mut self, now: Instant, index: LinkIndex) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.choose(now, index, &mut scratch);
        self.rewatched.append(&mut scratch.moved);
        for &slot in &scratch.slots {
            self.tell_slot(index, slot);
        }
        self.scratch = scratch;
    }

    fn choose(&mut self, now: Instant, index: LinkIndex, scratch: &mut Scratch) {
        scratch.slots.clear();
        scratch.claims.clear();
        scratch.flows.clear();
        let start = self.config.transport.start_bitrate;
        let Self { rooms, links, .. } = self;
        let Some(link) = links.get_mut(index) else {
            return;
        };
        link.allocating = false;
        let Some(room) = rooms.get_mut(link.room) else {
            return;
        };
        let mut audio = Bitrate::ZERO;
        for slot in link.slots.iter().flatten() {
            let Some(view) = View::of(slot, room) else {
                continue;
            };
            if slot.kind == MediaKind::Audio {
                audio = audio.saturating_add(view.track.layers.rate());
            }
            let claim = view.claim();
            scratch.flows.push(view.flow(now, &claim));
            scratch.slots.push(slot.index);
            scratch.claims.push(claim);
        }
        let budget = link.estimate.unwrap_or(start).saturating_sub(audio);
        share(budget, bases(now, link), scratch);
        apply(now, link, room, scratch);
    }

    /// Has the layers of all who show a track chosen anew.
    pub(super) fn reallocate_subscribers(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
    ) {
        let mut position = 0;
        while let Some(subscription) = self
            .rooms
            .get(room)
            .and_then(|room| room.tracks.get(index)?.subscriptions.get(position))
        {
            let link = subscription.link;
            self.allocate(now, link);
            position += 1;
        }
    }

    /// The same, before the call returns.
    pub(super) fn want_allocations_of(&mut self, room: RoomIndex, index: TrackIndex) {
        let mut position = 0;
        while let Some(subscription) = self
            .rooms
            .get(room)
            .and_then(|room| room.tracks.get(index)?.subscriptions.get(position))
        {
            let link = subscription.link;
            self.want_allocation(link);
            position += 1;
        }
    }
}

/// Only an estimate that has fallen, on a path that had time to show itself, holds pictures back.
fn bases(now: Instant, link: &Link) -> Bases {
    let since = |at| now.saturating_duration_since(at);
    let settled = link
        .connected_at
        .is_some_and(|at| since(at) >= ESTIMATE_GRACE);
    let fell = link.fell_at.is_some_and(|at| since(at) < CONGESTION_HOLD);
    if settled && fell {
        Bases::Paid
    } else {
        Bases::Free
    }
}

/// A filled slot with the track that it shows.
struct View<'a> {
    slot: &'a Slot,
    filled: &'a Filled,
    track: &'a Track,
}

impl<'a> View<'a> {
    fn of(slot: &'a Slot, room: &'a Room) -> Option<Self> {
        let filled = slot.filled.as_ref()?;
        let track = room.tracks.get(filled.index)?;
        Some(Self {
            slot,
            filled,
            track,
        })
    }

    /// What the slot asks for.
    fn claim(&self) -> Claim {
        let wish = &self.filled.wish;
        let codec = self.track.codec;
        let supported = codec.is_none_or(|codec| self.slot.supported.contains(codec));
        let layers = &self.track.layers;
        let (ladder, reach) = match self.slot.kind {
            _ if !supported => (Ladder::new(), 0),
            MediaKind::Audio => ladder::build([FREE], wish),
            // Nothing came yet: whatever comes first is welcome.
            MediaKind::Video if layers.known().is_empty() => ladder::build([ANY], wish),
            MediaKind::Video => ladder::build(layers.steps(), wish),
        };
        Claim {
            priority: wish.priority,
            ladder,
            reach,
        }
    }

    /// What flows now as a grant, and whether it has flowed long enough to rise.
    fn flow(&self, now: Instant, claim: &Claim) -> (Grant, bool) {
        let subscription = self.track.subscriptions.get(self.filled.position);
        let target = subscription.and_then(|found| found.forwarder.target());
        let current = target.map_or(0, |layer| place(claim, layer));
        let raised = self.filled.raised_at;
        let rested = |at| now.saturating_duration_since(at) >= RAISE_PERIOD;
        (current, current == 0 || raised.is_none_or(rested))
    }
}

/// Audio is taken off the budget beforehand and costs nothing more.
const FREE: Step = Step {
    layer: Layer::BASE,
    rate: Bitrate::ZERO,
    size: None,
    fps: None,
};

/// Stands for the layers of a track of which none is known.
const ANY: Step = Step {
    layer: Layer::TOP,
    ..FREE
};

/// Shares the budget out, moving what flows as little as it allows.
fn share(budget: Bitrate, bases: Bases, scratch: &mut Scratch) {
    let Scratch {
        claims,
        flows,
        settled,
        cautious,
        full,
        ..
    } = scratch;
    full.allocate(budget, bases, claims);
    cautious.allocate(budget.percent(RAISE_HEADROOM_PERCENT), bases, claims);
    settled.clear();
    let grants = cautious.grants.iter().zip(&full.grants);
    settled.extend(
        flows
            .iter()
            .zip(grants)
            .map(|(&(current, rested), (&cautious, &full))| {
                let grant = allocate::settle(current, cautious, full);
                if rested { grant } else { grant.min(current) }
            }),
    );
    // Holding still must not cost more than there is.
    let limit = budget.max(allocate::total(claims, &full.grants));
    if allocate::total(claims, settled) > limit {
        settled.clone_from(&full.grants);
    }
}

/// Gives each forwarder its target.
fn apply(now: Instant, link: &mut Link, room: &mut Room, scratch: &mut Scratch) {
    let room_index = link.room;
    let shares = scratch.claims.iter().zip(&scratch.settled);
    let flows = scratch.flows.iter().zip(shares);
    for (slot, (&(current, _), (claim, &grant))) in scratch.slots.iter().zip(flows) {
        let slot = link.slot_mut(*slot);
        let Some(filled) = slot.and_then(|slot| slot.filled.as_mut()) else {
            continue;
        };
        if grant > current {
            filled.raised_at = Some(now);
        }
        let track = room.tracks.get_mut(filled.index);
        let subscription = track.and_then(|track| track.subscriptions.get_mut(filled.position));
        let target = allocate::layer_of(claim, grant);
        let Some(subscription) = subscription else {
            continue;
        };
        let has_all = grant == claim.ladder.len();
        let held_back = target.map_or(0, |layer| layer.spatial);
        let reach = if has_all { claim.reach } else { held_back };
        if subscription.forwarder.target() != target || subscription.reach != reach {
            subscription.forwarder.set_target(target);
            subscription.reach = reach;
            scratch.moved.push((room_index, filled.index));
        }
    }
}

/// Where on a ladder a layer stands: at the last step that does not pass it, but at least the
/// first.
fn place(claim: &Claim, layer: Layer) -> Grant {
    let below = claim.ladder.iter().take_while(|step| step.layer <= layer);
    below.count().max(usize::from(!claim.ladder.is_empty()))
}
