//! A room with parts on several workers: what the others have, as each of them last told.
//!
//! One worker owns the room; the parts of the others are *branches* of it. Every part tells all
//! the others what it has; [`RoomState::reunite`] makes one room of it and tells clients the
//! difference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{RelayPeer, Speaker};
use media_types::{Epoch, Identity, PeerId, ShardId, TrackId, WorkerId};
use signaling::view::{CloseReason, Peer};

use super::message::Audience;
use super::moving::views_of;
use super::state::{Effect, RoomPhase, RoomState};
use crate::limits::{PART_GRACE, PART_OPENING, PART_PERIOD, PART_REPEAT, PART_SILENCE};
use crate::part::{FarPeer, FarTrack, PartBody, PartRoster};
use crate::session::SessionKind;

pub(crate) mod hand;
mod limit;
mod place;
mod said;
pub(crate) mod seats;
#[cfg(test)]
mod tests;
mod union;

use limit::{KeptSeats, Seats};
pub(crate) use place::Place;

/// What another worker has of the room.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) roster: Arc<PartRoster>,
    /// When it last spoke.
    heard_at: Instant,
    /// Since when there is no link to it, or it is over and its clients are to be found elsewhere.
    lost_at: Option<Instant>,
    /// The latter.
    is_over: bool,
    /// Joins that were sent there since it last spoke.
    sent: u32,
}

/// What of the parts outlives a crash of the room's actor.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptParts {
    pub(crate) owner: Option<WorkerId>,
    pub(crate) is_open: bool,
    pub(crate) rosters: BTreeMap<WorkerId, Arc<PartRoster>>,
    pub(crate) seats: KeptSeats,
}

/// The room's parts, and what this one is among them.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) me: WorkerId,
    pub(crate) url: String,
    /// Peers of the room that this worker takes; 0 for any number.
    pub(crate) limit: usize,
    /// Who owns the room; `None`: this worker.
    pub(crate) owner: Option<WorkerId>,
    /// Whether it takes new peers, as far as it has places.
    pub(crate) is_open: bool,
    /// A branch that may become the owner by a move.
    pub(crate) stands_by: bool,
    /// Shards were told of other workers.
    pub(crate) linked: bool,
    known: BTreeMap<WorkerId, Part>,
    /// Who is in at other parts, as clients were told.
    pub(crate) peers: BTreeMap<Identity, (WorkerId, FarPeer)>,
    pub(crate) heard: BTreeMap<WorkerId, Vec<Speaker>>,
    /// Where a part is being opened, and since when.
    opening: Option<(WorkerId, Instant)>,
    /// What this part has is not what the others were told.
    changed: bool,
    /// What the others have is not what clients were told.
    torn: bool,
    told_at: Option<Instant>,
    /// When all was said again, whatever else happens.
    repeated_at: Option<Instant>,
    /// The limits of the room.
    pub(crate) seats: Seats,
    /// When to look for another owner.
    orphan_due: Option<Instant>,
    /// Parts that do not take this one's clients.
    pub(crate) refused: BTreeSet<WorkerId>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            me: WorkerId::new(0),
            url: String::new(),
            limit: 0,
            owner: None,
            is_open: true,
            stands_by: false,
            linked: false,
            known: BTreeMap::new(),
            peers: BTreeMap::new(),
            heard: BTreeMap::new(),
            opening: None,
            changed: false,
            torn: false,
            told_at: None,
            repeated_at: None,
            seats: Seats::default(),
            orphan_due: None,
            refused: BTreeSet::new(),
        }
    }
}

impl Parts {
    /// Somebody came or went here, or publishes something else.
    pub(crate) fn touch(&mut self) {
        (self.changed, self.torn) = (true, true);
        self.seats.touch();
    }

    /// Whether this worker holds a part of a room that another one owns.
    pub(crate) const fn is_branch(&self) -> bool {
        self.owner.is_some()
    }

    /// Other workers that hold a part.
    pub(crate) fn workers(&self) -> Vec<WorkerId> {
        let known = self.known.iter().filter(|(_, part)| !part.is_over);
        known.map(|(worker, _)| *worker).collect()
    }

    pub(crate) fn part(&self, worker: WorkerId) -> Option<&PartRoster> {
        self.known.get(&worker).map(|part| &*part.roster)
    }

    /// The shards of other workers on which the room is open.
    pub(crate) fn far_shards(&self) -> impl Iterator<Item = RelayPeer> {
        self.known.iter().flat_map(|(worker, part)| {
            let shards = part.roster.shards.iter();
            shards.map(|shard| RelayPeer::Worker {
                worker: *worker,
                shard: ShardId(*shard),
            })
        })
    }

    /// How many are in at other parts.
    pub(crate) fn count(&self) -> usize {
        self.peers.len()
    }

    /// Of those, who publishes.
    pub(crate) fn publishers(&self) -> usize {
        let publish = self.peers.values().filter(|(_, far)| far.publishes);
        publish.count()
    }

    /// Those that are not named to clients.
    pub(crate) fn unnamed(&self) -> usize {
        let unnamed = self.peers.values().filter(|(_, far)| !far.named).count();
        unnamed.saturating_add(self.viewers())
    }

    /// All that are in at other parts, viewers without a name among them.
    pub(crate) fn everybody(&self) -> usize {
        self.count().saturating_add(self.viewers())
    }

    fn viewers(&self) -> usize {
        let viewers = self.known.values().map(|part| part.roster.viewers);
        usize::try_from(viewers.sum::<u32>()).unwrap_or(usize::MAX)
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = Peer> {
        let named = self.peers.values().filter(|(_, far)| far.named);
        named.map(|(_, far)| far.peer.clone())
    }

    pub(crate) fn keep(&self) -> KeptParts {
        let known = self.known.iter();
        KeptParts {
            owner: self.owner,
            is_open: self.is_open,
            rosters: known
                .map(|(worker, part)| (*worker, Arc::clone(&part.roster)))
                .collect(),
            seats: self.seats.keep(),
        }
    }

    /// When [`RoomState::parts_timeout`] wants to be called.
    pub(crate) fn due(&self, members: usize) -> Option<Instant> {
        if self.known.is_empty() {
            let both = [self.orphan_due, self.seats.due()];
            return both.into_iter().flatten().min();
        }
        let pause = match self.changed {
            true => period(members),
            false => PART_REPEAT,
        };
        let tell = self.told_at.map(|at| at + pause);
        let lost = self.known.values().map(Part::ends).min();
        let all = [tell, lost, self.orphan_due, self.seats.due()];
        all.into_iter().flatten().min()
    }
}

impl Part {
    fn new(now: Instant, roster: Arc<PartRoster>) -> Self {
        Self {
            roster,
            heard_at: now,
            lost_at: None,
            is_over: false,
            sent: 0,
        }
    }

    /// When it counts as gone.
    fn ends(&self) -> Instant {
        let silent = self.heard_at + PART_SILENCE;
        self.lost_at
            .map_or(silent, |lost| silent.min(lost + PART_GRACE))
    }
}

/// Between two rosters: larger ones wait longer, so that a crowd that comes in costs no more than
/// it has to.
fn period(members: usize) -> Duration {
    let more = u64::try_from(members).unwrap_or(u64::MAX).min(1_000);
    PART_PERIOD + Duration::from_millis(more)
}

impl RoomState {
    /// Takes over what a life before this one knew of the others.
    pub(crate) fn recall_parts(&mut self, now: Instant, kept: KeptParts) {
        self.parts.owner = kept.owner;
        self.parts.is_open = kept.is_open || kept.owner.is_none();
        self.parts.seats = Seats::recall(&kept.seats);
        for (worker, roster) in kept.rosters {
            self.parts.known.insert(worker, Part::new(now, roster));
        }
        if !self.parts.known.is_empty() {
            self.parts.touch();
            self.parts.told_at = Some(now);
            self.link_shards();
        }
    }

    /// All that this part has.
    pub(crate) fn roster(&self) -> PartRoster {
        let mut tracks: BTreeMap<PeerId, Vec<FarTrack>> = BTreeMap::new();
        for entry in self.tracks.iter() {
            if let Some(shard) = self.tracks.home(entry.view.track_id) {
                let mut track = entry.view.clone();
                track.live &= self.tracks.has_arrived(track.track_id);
                let shard = shard.0;
                let of = tracks.entry(entry.owner).or_default();
                of.push(FarTrack { track, shard });
            }
        }
        let members = || self.members.values();
        let peers = members().filter(|member| member.record.is_member());
        let peers = peers.map(|member| {
            let record = &member.record;
            let shard = record.shard.0;
            let own = tracks.remove(&record.peer).into_iter().flatten();
            // What it brings along, and has not published yet, is no news either.
            let coming = views_of(&record.identity, &record.handed, false);
            let coming = coming.map(|track| FarTrack { track, shard });
            FarPeer {
                peer: record.view(),
                session: record.peer,
                named: member.named,
                follows: record.kind == SessionKind::WebSocket,
                publishes: member.publishes(),
                joined_at_ms: record.joined_at_ms,
                tracks: own.chain(coming).collect(),
            }
        });
        let peers = peers.collect();
        let viewers = members().filter(|member| !member.record.is_member());
        PartRoster {
            owner: self.parts.owner.unwrap_or(self.parts.me),
            url: self.parts.url.clone(),
            shards: self.shards.iter().map(|shard| shard.0).collect(),
            parts: self.parts.workers(),
            leaving: self.stage.leaving_to(),
            places: self.places(),
            peers,
            viewers: u32::try_from(viewers.count()).unwrap_or(u32::MAX),
        }
    }

    fn tell_part(&mut self, to: WorkerId, body: PartBody) {
        self.effects.push(Effect::Part(to, Box::new(body)));
    }

    /// Tells all other parts.
    pub(crate) fn tell_parts(&mut self, body: &PartBody) {
        for worker in self.parts.workers() {
            self.tell_part(worker, body.clone());
        }
    }

    pub(super) fn tell_roster(&mut self, to: WorkerId) {
        let roster = Box::new(self.roster());
        self.tell_part(to, PartBody::Roster(roster));
    }

    /// A worker says what it has.
    pub(crate) fn take_roster(
        &mut self,
        now: Instant,
        from: WorkerId,
        epoch: Epoch,
        roster: PartRoster,
    ) {
        let ours = self.stage.epoch;
        if epoch > ours && self.parts.is_branch() && roster.owner != self.parts.me {
            self.parts.owner = Some(roster.owner);
            self.raise(epoch);
        }
        let (others, roster) = (roster.parts.clone(), Arc::new(roster));
        if self.parts.owner == Some(from) {
            self.parts.orphan_due = None;
        }
        self.parts.told_at.get_or_insert(now);
        let part = Part::new(now, Arc::clone(&roster));
        let before = self.parts.known.insert(from, part);
        if let Some(before) = &before {
            self.note_departed(&before.roster, &roster);
        }
        if self.parts.opening.is_some_and(|(worker, _)| worker == from) {
            self.parts.opening = None;
        }
        if before.as_ref().map(|part| &part.roster.shards) != Some(&roster.shards) {
            self.link_shards();
        }
        self.parts.seats.touch();
        if before.is_none() || epoch < ours {
            self.tell_roster(from);
        }
        for other in others {
            if other != self.parts.me && !self.parts.known.contains_key(&other) {
                self.tell_roster(other);
            }
        }
        if before.is_none_or(|before| before.roster != roster) {
            self.parts.torn = true;
            self.effects.push(Effect::KeepParts);
        }
        self.bury_parts(now);
    }

    /// The room's epoch is a higher one than what was commanded with.
    pub(crate) fn raise(&mut self, epoch: Epoch) {
        self.stage.epoch = self.stage.epoch.max(epoch);
        self.effects.push(Effect::Raise(self.stage.epoch));
        if !self.parts.known.is_empty() {
            self.link_shards();
            for shard in self.shards.clone() {
                self.reopen_relays(shard);
            }
        }
        self.parts.changed = true;
        self.parts.seats.touch();
    }

    /// A worker has no part any more.
    pub(crate) fn part_gone(&mut self, now: Instant, worker: WorkerId) {
        if self.parts.known.remove(&worker).is_none() {
            return;
        }
        self.parts.heard.remove(&worker);
        self.parts.seats.touch();
        self.hand_failed(worker);
        if self.parts.owner == Some(worker) {
            self.parts.orphan_due = Some(now);
        }
        self.link_shards();
        self.parts.torn = true;
        self.effects.push(Effect::KeepParts);
    }

    /// Who is linked now.
    pub(crate) fn links_changed(&mut self, now: Instant, linked: &BTreeSet<WorkerId>) {
        for (worker, part) in &mut self.parts.known {
            if !linked.contains(worker) {
                part.lost_at.get_or_insert(now);
            } else if !part.is_over && part.lost_at.take().is_some() {
                part.heard_at = now;
                self.parts.changed = true;
            }
        }
        // Who lost us may be back: it hears of us, and answers.
        for worker in self.parts.owner.into_iter().chain(self.stage.leaving_to()) {
            if linked.contains(&worker) && !self.parts.known.contains_key(&worker) {
                self.tell_roster(worker);
            }
        }
    }

    pub(crate) fn parts_timeout(&mut self, now: Instant) {
        let gone = |part: &Part| now >= part.ends();
        let known = self.parts.known.iter();
        let gone = known
            .filter(|(_, part)| gone(part))
            .map(|(worker, _)| *worker);
        for worker in gone.collect::<Vec<_>>() {
            self.part_gone(now, worker);
        }
        if self.parts.orphan_due.is_some_and(|due| now >= due) {
            self.parts.orphan_due = Some(now + PART_REPEAT);
            // A room that moves is looked after by who moves it.
            if self.phase == RoomPhase::Active && self.parts.is_branch() {
                self.effects.push(Effect::Orphaned);
            }
        }
        let pause = match self.parts.changed {
            true => period(self.members.len()),
            false => PART_REPEAT,
        };
        let due = self.parts.told_at.is_none_or(|at| now >= at + pause);
        if due && !self.parts.known.is_empty() && self.phase != RoomPhase::Standby {
            self.parts.told_at = Some(now);
            let repeats = !std::mem::take(&mut self.parts.changed);
            let roster = Box::new(self.roster());
            self.tell_parts(&PartBody::Roster(roster));
            let said = |at: Instant| now < at + PART_REPEAT;
            if !self.parts.repeated_at.is_some_and(said) {
                self.parts.repeated_at = Some(now);
                self.parts.seats.repeat();
                self.tell_settings();
            }
            if repeats {
                self.tell_qualities_far();
            }
        }
    }

    /// What the other parts are told at the end of this one.
    pub(crate) fn part_with(&mut self, reason: CloseReason) {
        if self.members.is_empty() {
            // The last ones left by themselves, and are not lost with the part.
            let roster = Box::new(self.roster());
            self.tell_parts(&PartBody::Roster(roster));
        }
        let ends = !self.parts.is_branch() && reason == CloseReason::RoomClosed;
        self.tell_parts(&match ends {
            true => PartBody::Close(reason),
            false => PartBody::Gone,
        });
    }

    /// Clients of the room's next owner go; those who cannot follow by themselves stay, and the
    /// room becomes a branch for them, and for whoever packages, records or plays it here where the
    /// next owner can be reached. `false`: nobody stays.
    pub(crate) fn stay_behind(&mut self, now: Instant) -> bool {
        let follows = |kind: &SessionKind| *kind == SessionKind::WebSocket;
        let members = self.members.values().map(|member| &member.record);
        let (gone, stay): (Vec<_>, Vec<_>) = members
            .map(|record| (record.peer, follows(&record.kind)))
            .partition(|(_, follows)| *follows);
        let Some(owner) = self.parts.owner else {
            return false;
        };
        let is_tapped = self.tapped && self.parts.known.contains_key(&owner);
        if stay.is_empty() && !is_tapped {
            return false;
        }
        for (peer, _) in gone {
            self.let_go(peer);
        }
        self.settle_branch();
        self.parts.is_open = false;
        self.parts.touch();
        self.note_empty(now);
        true
    }
}

/// The tracks that other parts have, by where they are.
pub(crate) type FarTracks = BTreeMap<TrackId, (RelayPeer, PeerId, FarTrack)>;
