//! Which layers a transport's slots get now: the caller of the allocator, with its memory.

use std::time::{Duration, Instant};

use media_contract::Wish;
use media_types::{Bitrate, Identity, Layer, MediaKind, TrackSource};
use media_webrtc::SlotIndex;

use super::Shard;
use super::caps::{self, Cap};
use super::link::{Filled, Link, Slot};
use crate::allocate::ladder::Style;
use crate::allocate::steady::{Novelty, Question};
use crate::allocate::{self, Bases, Claim, Class, Grant, Ladder, Rank, Step, ladder};
use crate::demux::LinkIndex;
use crate::limits::{
    AUDIO_RESERVE, ESTIMATE_GRACE, FIT_AFTER, FIT_FREE_PERCENT, FIT_SQUEEZE_PERCENT, RAISE_FRESH,
    RAISE_HEADROOM_PERCENT,
};
use crate::room::{Room, RoomIndex, TrackIndex};
use crate::track::fit::in_proportion;
use crate::track::{Audience, Track};

/// Wishes from here on were made by somebody who looks at that one picture.
const PRIORITY_PINNED: u8 = 100;

/// Memory that allocations use again; one entry a filled slot in all but the last.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    slots: Vec<SlotIndex>,
    claims: Vec<Claim>,
    /// What flows now.
    current: Vec<Grant>,
    /// What is to flow.
    chosen: Vec<Grant>,
    /// Tracks of which another layer is wanted now.
    moved: Vec<(RoomIndex, TrackIndex)>,
    /// What each asks of its publisher.
    audiences: Vec<Audience>,
    /// Tracks of the room whose encodings were bound otherwise.
    refitted: Vec<TrackIndex>,
    /// Bounds for publishers.
    caps: Vec<Cap>,
}

impl Scratch {
    fn clear(&mut self) {
        self.slots.clear();
        self.claims.clear();
        self.current.clear();
        self.chosen.clear();
        self.audiences.clear();
    }
}

impl Shard {
    /// Chooses the layers of all slots of a transport.
    pub(super) fn allocate(&mut self, now: Instant, index: LinkIndex) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.choose(now, index, &mut scratch);
        self.rewatched.append(&mut scratch.moved);
        while let Some(cap) = scratch.caps.pop() {
            self.cap(now, cap);
        }
        let room = self.links.get(index).map(|link| link.room);
        for track in scratch.refitted.drain(..) {
            self.tell_fit(room, track);
        }
        for &slot in &scratch.slots {
            self.tell_slot(index, slot);
        }
        self.scratch = scratch;
    }

    fn choose(&mut self, now: Instant, index: LinkIndex, scratch: &mut Scratch) {
        let start = self.config.transport.start_bitrate;
        let Self { rooms, links, .. } = self;
        let Some(link) = links.get_mut(index) else {
            return;
        };
        link.allocating = false;
        let Some(room) = rooms.get_mut(link.room) else {
            return;
        };
        let (mut audio, mut novelty) = gather(now, link, room, scratch);
        if let Some(estimate) = link.estimate {
            let need = audio.saturating_add(allocate::total(&scratch.claims, &scratch.current));
            link.congestion.confirm(now, estimate, need);
        }
        let budget = |audio| link.estimate.unwrap_or(start).saturating_sub(audio);
        if squeeze(now, link, room, budget(audio), scratch) {
            (audio, novelty) = gather(now, link, room, scratch);
        }
        let question = Question {
            now,
            budget: budget(audio),
            bases: bases(now, link),
            claims: &scratch.claims,
            current: &scratch.current,
            novelty,
            fell_at: link.congestion.fell_at(),
        };
        let chosen = link.steady.decide(&question).unwrap_or(&scratch.current);
        scratch.chosen.extend_from_slice(chosen);
        link.granted = audio.saturating_add(allocate::total(&scratch.claims, &scratch.chosen));
        let budget = question.budget;
        aim(now, link, room, audio, &scratch.claims);
        bound(now, link, room, budget, scratch);
        measure(now, link, room, budget, scratch);
        apply(is_known(now, link), link, room, scratch);
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
        let found = self.rooms.get_mut(room);
        if let Some(track) = found.and_then(|room| room.tracks.get_mut(index)) {
            track.aim_taps();
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

/// Collects what the slots ask for and what flows; the rate that sound takes, and how new it is.
fn gather(now: Instant, link: &Link, room: &Room, scratch: &mut Scratch) -> (Bitrate, Novelty) {
    scratch.clear();
    let mut audio = Bitrate::ZERO;
    let mut novelty = Novelty::Settled;
    for slot in link.slots.iter().flatten() {
        let Some(view) = View::of(slot, room) else {
            continue;
        };
        if slot.kind == MediaKind::Audio {
            let spoken = view.track.layers.rate();
            audio = audio.max(AUDIO_RESERVE).saturating_add(spoken);
        }
        let claim = view.claim(room.dominant.speaker());
        let current = view.current(&claim);
        novelty = novelty.max(view.novelty(now, &claim, current));
        scratch.current.push(current);
        scratch.slots.push(slot.index);
        scratch.claims.push(claim);
    }
    (audio, novelty)
}

/// Has encoders that are fitted to this viewer give way before layers are left for a budget that
/// does not do any more; whether one does.
fn squeeze(
    now: Instant,
    link: &Link,
    room: &mut Room,
    budget: Bitrate,
    scratch: &mut Scratch,
) -> bool {
    let need = allocate::total(&scratch.claims, &scratch.current);
    if need <= budget || need > budget.percent(FIT_SQUEEZE_PERCENT) {
        return false;
    }
    let mut squeezed = false;
    let narrow = is_known(now, link);
    let shares = scratch.claims.iter().zip(&scratch.current);
    let filled = link
        .slots
        .iter()
        .flatten()
        .filter_map(|it| it.filled.as_ref());
    for (filled, (claim, &grant)) in filled.zip(shares) {
        let Some(layer) = allocate::layer_of(claim, grant) else {
            continue;
        };
        let Some(track) = room.tracks.get_mut(filled.index) else {
            continue;
        };
        if !narrow && track.fit.bound(layer.spatial).is_none() {
            continue;
        }
        let left = in_proportion(allocate::rate_of(claim, grant), budget, need);
        if let Some(subscription) = track.subscriptions.get_mut(filled.position) {
            let audience = &mut subscription.audience;
            audience.left = audience.left.or(narrow.then_some(left)).map(|_| left);
        }
        if track.update_fit(now) {
            squeezed = true;
            scratch.refitted.push(filled.index);
        }
    }
    squeezed
}

/// Tells the estimator what is to flow, and how much there is to be had, with the room that a rise
/// asks for. Encodings that are bound for want of room would be had whole.
fn aim(now: Instant, link: &mut Link, room: &Room, audio: Bitrate, claims: &[Claim]) {
    let views = link.slots.iter().flatten();
    let views = views.filter_map(|slot| View::of(slot, room));
    let tops = views.zip(claims).filter_map(|(view, claim)| {
        let top = claim.ladder.last()?.rate;
        let whole = view
            .whole(claim)
            .map(|whole| whole.percent(FIT_FREE_PERCENT));
        Some(whole.map_or(top, |whole| whole.max(top)))
    });
    let all: Bitrate = tops.sum();
    let wanted = audio.saturating_add(all.percent(100 * 100 / RAISE_HEADROOM_PERCENT + 1));
    let granted = link.granted;
    link.call(|transport| {
        transport.set_wanted(now, wanted);
        transport.set_granted(now, granted);
    });
}

/// What the path leaves to each slot: what it has, and an equal share of what is spare among those
/// that could take more. Where there is too little, each gives in proportion.
fn measure(now: Instant, link: &Link, room: &Room, budget: Bitrate, scratch: &mut Scratch) {
    let all = allocate::total(&scratch.claims, &scratch.chosen);
    let views = || {
        let slots = link.slots.iter().flatten();
        let views = slots.filter_map(|slot| View::of(slot, room));
        views.zip(scratch.claims.iter().zip(&scratch.chosen))
    };
    let hungry = |view: &View<'_>, claim: &Claim, grant: Grant| {
        grant < claim.ladder.len() || view.whole(claim).is_some()
    };
    let hungry = views().filter(|(view, (claim, grant))| hungry(view, claim, **grant));
    let sharers = u64::try_from(hungry.count()).unwrap_or(1).max(1);
    let spare = budget.saturating_sub(all).bps() / sharers;
    let settled = has_been(now, link, ESTIMATE_GRACE);
    let narrow = is_known(now, link);
    for (view, (claim, &grant)) in views() {
        let held = allocate::rate_of(claim, grant);
        let left = match all <= budget {
            true => held.saturating_add(Bitrate::from_bps(spare)),
            false => in_proportion(held, budget, all),
        };
        // A bound begins where a path is known to be narrow, and stays while it shows no more.
        let known = settled && (narrow || view.whole(claim).is_some());
        let next = claim.ladder.get(grant).map(|step| step.layer.spatial);
        let shown = allocate::layer_of(claim, grant).map(|layer| layer.spatial);
        scratch.audiences.push(Audience {
            reach: claim.reach,
            smooth: next != shown,
            left: known.then_some(left),
        });
    }
}

/// Bounds publishers to what this viewer can take, where that is known: what its other slots leave.
fn bound(now: Instant, link: &Link, room: &Room, budget: Bitrate, scratch: &mut Scratch) {
    let narrow = bases(now, link) == Bases::Paid;
    let all = allocate::total(&scratch.claims, &scratch.chosen);
    let shares = scratch.claims.iter().zip(&scratch.chosen);
    let views = link.slots.iter().flatten();
    let views = views.filter_map(|slot| View::of(slot, room));
    for (view, (claim, &grant)) in views.zip(shares) {
        let others = all.saturating_sub(allocate::rate_of(claim, grant));
        let left = narrow.then_some(budget.saturating_sub(others));
        scratch.caps.extend(caps::cap_of(now, &view, left));
    }
}

/// Only an estimate that has fallen, on a path that had time to show itself, holds pictures back.
fn bases(now: Instant, link: &Link) -> Bases {
    if has_been(now, link, ESTIMATE_GRACE) && link.congestion.is_proven(now) {
        Bases::Paid
    } else {
        Bases::Free
    }
}

/// Whether what a path carries is known well enough to fit encoders to it.
fn is_known(now: Instant, link: &Link) -> bool {
    bases(now, link) == Bases::Paid || has_been(now, link, FIT_AFTER)
}

/// Whether a path has been there for so long.
fn has_been(now: Instant, link: &Link, time: Duration) -> bool {
    let since = |at| now.saturating_duration_since(at);
    link.connected_at.is_some_and(|at| since(at) >= time)
}

/// A filled slot with the track that it shows.
pub(super) struct View<'a> {
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

    pub(super) const fn track(&self) -> &Track {
        self.track
    }

    pub(super) const fn wish(&self) -> &Wish {
        &self.filled.wish
    }

    /// What the highest encoding of use costs without the bound that it has.
    fn whole(&self, claim: &Claim) -> Option<Bitrate> {
        let top = u8::try_from(self.track.wanted.published()).unwrap_or(u8::MAX);
        let top = top.saturating_sub(1).min(claim.reach);
        self.track.fit.whole(top)
    }

    /// What the slot asks for.
    fn claim(&self, speaker: Option<&Identity>) -> Claim {
        let wish = &self.filled.wish;
        let codec = self.track.codec;
        let supported = codec.is_none_or(|codec| self.slot.supported.contains(codec));
        let layers = &self.track.layers;
        let style = match self.track.source == TrackSource::Screen {
            true => Style::Detail,
            false => Style::Motion,
        };
        let (ladder, reach) = match self.slot.kind {
            _ if !supported => (Ladder::new(), 0),
            MediaKind::Audio => ladder::build([FREE], wish, style),
            // Nothing came yet: whatever comes first is welcome.
            MediaKind::Video if layers.known().is_empty() => ladder::build([ANY], wish, style),
            MediaKind::Video => ladder::build(layers.steps(), wish, style),
        };
        Claim {
            rank: self.rank(speaker),
            ladder,
            reach,
        }
    }

    fn rank(&self, speaker: Option<&Identity>) -> Rank {
        let priority = self.filled.wish.priority;
        // What is wished in the background stays there.
        let class = if priority >= PRIORITY_PINNED {
            Class::Pinned
        } else if priority > 0 && self.track.source == TrackSource::Screen {
            Class::Screen
        } else if priority > 0 && speaker == Some(&self.track.identity) {
            Class::Speaker
        } else {
            Class::Other
        };
        Rank { class, priority }
    }

    /// What flows now, as a grant.
    fn current(&self, claim: &Claim) -> Grant {
        let subscription = self.track.subscriptions.get(self.filled.position);
        let target = subscription.and_then(|found| found.forwarder.target());
        target.map_or(0, |layer| place(claim, layer))
    }

    fn novelty(&self, now: Instant, claim: &Claim, current: Grant) -> Novelty {
        let lately = now.saturating_duration_since(self.filled.wished_at) < RAISE_FRESH;
        match current {
            _ if !lately || claim.ladder.is_empty() => Novelty::Settled,
            0 => Novelty::Empty,
            _ => Novelty::Fresh,
        }
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

/// Gives each forwarder its target; what the path carries may be `known`.
fn apply(known: bool, link: &mut Link, room: &mut Room, scratch: &mut Scratch) {
    let room_index = link.room;
    let shares = scratch.claims.iter().zip(&scratch.chosen);
    let shares = shares.zip(&scratch.audiences);
    for (&slot, ((claim, &grant), &audience)) in scratch.slots.iter().zip(shares) {
        let slot = link.slot_mut(slot);
        let Some(filled) = slot.and_then(|slot| slot.filled.as_mut()) else {
            continue;
        };
        let has_all = grant == claim.ladder.len();
        let Some(track) = room.tracks.get_mut(filled.index) else {
            continue;
        };
        filled.limited = !has_all || track.fit.bound(claim.reach).is_some();
        let Some(subscription) = track.subscriptions.get_mut(filled.position) else {
            continue;
        };
        subscription.audience = audience;
        let target = allocate::layer_of(claim, grant);
        let held_back = target.map_or(0, |layer| layer.spatial);
        // A browser asked for little at first is slow to find out that it could send more.
        let reach = if has_all || !known {
            claim.reach
        } else {
            held_back
        };
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
