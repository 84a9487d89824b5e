//! Where somebody new is let in.

use std::time::{Duration, Instant};

use control_plane::WorkerRecord;
use control_plane::placement::{self, Demand};
use media_types::{Identity, PeerId, WorkerId};

use super::{FarPeer, PART_OPENING, PartBody, RoomPhase, RoomState};
use crate::part::OpenPart;
use crate::rooms::spec_of;

/// What becomes of somebody who wants in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In here.
    Here,
    /// In at that URL.
    At(String),
    /// A part is being opened: soon.
    Soon,
    /// No worker has a place.
    Nowhere,
}

impl RoomState {
    /// Whether somebody is in at another part of a room that this worker owns.
    pub(crate) fn is_elsewhere(&self) -> bool {
        !self.parts.is_branch() && (self.parts.count() > 0 || self.parts.unnamed() > 0)
    }

    /// How long the room, or this branch of it, stays when nobody is in.
    pub(crate) fn departure(&self) -> Duration {
        if self.parts.is_branch() && !self.parts.is_open {
            return Duration::ZERO;
        }
        Duration::from_secs(self.settings.departure_timeout_s.into())
    }

    /// Peers that this part takes beyond those it has.
    pub(super) fn places(&self) -> u32 {
        let may = self.parts.is_open && self.phase == RoomPhase::Active;
        let free = match (may, self.parts.limit) {
            (false, _) => 0,
            (true, 0) => usize::MAX,
            (true, limit) => limit.saturating_sub(self.members.len()),
        };
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Where a session of another part goes on, if this is one.
    pub(crate) fn far_session(&self, session: PeerId, identity: &Identity) -> Option<&str> {
        let (worker, far) = self.parts.peers.get(identity)?;
        let roster = self.parts.part(*worker)?;
        (far.session == session && roster.leaving.is_none()).then_some(&*roster.url)
    }

    /// Whether a session is likely one of those that come with the room, which is about to be this
    /// worker's: not one of a part that stays where it is.
    pub(crate) fn is_awaited(&self, session: PeerId, identity: &Identity) -> bool {
        let stays = |(worker, far): &(WorkerId, FarPeer)| {
            far.session == session && Some(*worker) != self.parts.owner
        };
        self.parts.stands_by && !self.parts.peers.get(identity).is_some_and(stays)
    }

    /// Where somebody new goes; may ask for another part. `workers` are those that are linked.
    pub(crate) fn place(&mut self, now: Instant, workers: &[WorkerRecord]) -> Place {
        let places = self.places();
        if let Some(owner) = self.parts.owner {
            let part = self.parts.part(owner);
            // The owner would send them here, where the room will be in a moment.
            let leaves = self.parts.stands_by
                && part.is_some_and(|roster| roster.leaving == Some(self.parts.me));
            let url = part.map(|roster| roster.url.clone());
            return match (places, url) {
                (0, Some(_)) if leaves => Place::Soon,
                (0, Some(url)) => Place::At(url),
                (0, None) => Place::Soon,
                _ => Place::Here,
            };
        }
        let limit = u32::try_from(self.parts.limit).unwrap_or(u32::MAX);
        let is_near = self.parts.limit > 0 && places <= limit / 4;
        if !is_near {
            return Place::Here;
        }
        let known = self.parts.known.iter_mut();
        let free = known
            .filter(|(_, part)| part.lost_at.is_none())
            .map(|(_, part)| (part.roster.places.saturating_sub(part.sent), part))
            .max_by_key(|(free, _)| *free)
            .filter(|(free, _)| *free > 0);
        if let Some((_, part)) = free {
            if places > 0 {
                return Place::Here;
            }
            part.sent = part.sent.saturating_add(1);
            return Place::At(part.roster.url.clone());
        }
        let opens = self.open_part(now, workers);
        match (places, opens) {
            (1.., _) => Place::Here,
            (0, true) => Place::Soon,
            (0, false) => Place::Nowhere,
        }
    }

    /// Has another worker open a part; whether one does.
    fn open_part(&mut self, now: Instant, workers: &[WorkerRecord]) -> bool {
        let recent = |since: Instant| now.saturating_duration_since(since) < PART_OPENING;
        if self.parts.opening.is_some_and(|(_, since)| recent(since)) {
            return true;
        }
        let me = self.parts.me;
        let own = workers.iter().find(|worker| worker.id == me);
        let demand = Demand {
            region: own.map_or("", |own| own.region.as_str()),
            holders: &[],
            except: Some(me),
        };
        let tried = self.parts.opening.map(|(worker, _)| worker);
        let free = |worker: &&WorkerRecord| {
            !worker.relay.is_empty() && !self.parts.known.contains_key(&worker.id)
        };
        let free: Vec<WorkerRecord> = workers.iter().filter(free).cloned().collect();
        let others: Vec<WorkerRecord> = free
            .iter()
            .filter(|worker| Some(worker.id) != tried)
            .cloned()
            .collect();
        let chosen = placement::choose(&others, &demand).or(placement::choose(&free, &demand));
        let Some(to) = chosen.map(|worker| worker.id) else {
            return false;
        };
        self.invite(now, to);
        true
    }

    fn invite(&mut self, now: Instant, to: WorkerId) {
        self.parts.opening = Some((to, now));
        let open = OpenPart {
            settings: spec_of(&self.settings),
            roster: self.roster(),
        };
        self.tell_part(to, PartBody::Open(Box::new(open)));
    }
}
