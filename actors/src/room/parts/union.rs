//! One room made of its parts.

use std::collections::BTreeMap;
use std::time::Instant;

use control_plane::migration::HandedTrack;
use media_contract::RelayPeer;
use media_types::{Identity, ShardId, TrackId, WorkerId};
use signaling::ServerMessage;
use signaling::server_message::{
    PeerJoinedParams, PeerLeftParams, PeerUpdatedParams, TrackMutedParams, TrackPublishedParams,
};
use signaling::view::{CloseReason, LeaveReason, Peer};

use super::{Audience, FarPeer, FarTrack, FarTracks, PartRoster, RoomPhase, RoomState};
use crate::room::record::TrackEntry;
use crate::room::state::Effect;

type FarPeers = BTreeMap<Identity, (WorkerId, FarPeer)>;

impl RoomState {
    /// Makes one room of all parts, and tells clients what is new of it.
    pub(crate) fn reunite(&mut self, now: Instant) {
        if !std::mem::take(&mut self.parts.torn) || self.phase == RoomPhase::Closed {
            return;
        }
        self.yield_sessions(now);
        let peers = self.far_peers();
        let tracks = self.far_tracks(&peers);
        let before = std::mem::replace(&mut self.parts.peers, peers);
        let mut changed = false;
        for track in self.tracks.far_ids() {
            if !tracks.contains_key(&track) {
                changed |= self.drop_track(track);
            }
        }
        self.tell_peers(&before);
        for (id, (home, owner, far)) in tracks {
            changed |= self.place_far(id, home, owner, far);
        }
        self.forget_sources();
        if changed {
            self.push_view();
        }
        self.note_empty(now);
        self.note_audience(now);
    }

    /// Whether somebody of this name is in, at whichever part, or expected here.
    pub(crate) fn is_in(&self, identity: &Identity) -> bool {
        self.identities.contains_key(identity)
            || self.parts.peers.contains_key(identity)
            || self.stage.expected.contains_key(identity)
    }

    /// The shard on which a track can be tapped, and where that has it from if it is a track of
    /// another part.
    pub(crate) fn tap_place(&self, track: TrackId) -> Option<(ShardId, Option<RelayPeer>)> {
        if let Some(home) = self.tracks.home(track) {
            return Some((home, None));
        }
        let far = self.tracks.far_home(track)?;
        Some((*self.shards.first()?, Some(far)))
    }

    /// Who came in later at another part goes on there.
    fn yield_sessions(&mut self, now: Instant) {
        if self.phase != RoomPhase::Active {
            return;
        }
        let known = self.parts.known.values();
        let rosters = known.map(|part| &part.roster);
        let peers = rosters
            .filter(|roster| roster.leaving.is_none())
            .flat_map(|roster| &roster.peers);
        let later = peers.filter_map(|far| {
            let own = self.identities.get(&far.peer.peer_id)?;
            let member = self.members.get(own)?;
            let here = (member.record.joined_at_ms, *own);
            ((far.joined_at_ms, far.session) > here).then_some(*own)
        });
        for peer in later.collect::<Vec<_>>() {
            self.kick_replaced(now, peer);
        }
    }

    /// Who is at other parts and not here.
    fn far_peers(&self) -> FarPeers {
        let mut found = FarPeers::new();
        for (worker, part) in &self.parts.known {
            let follows = self.comes_here(&part.roster);
            for far in &part.roster.peers {
                let identity = &far.peer.peer_id;
                let own = self.identities.contains_key(identity)
                    || self.stage.expected.contains_key(identity);
                if own || follows && far.follows {
                    continue;
                }
                let better = found
                    .get(identity)
                    .is_none_or(|(at, other)| self.prefers((*worker, far), (*at, other)));
                if better {
                    found.insert(identity.clone(), (*worker, far.clone()));
                }
            }
        }
        found
    }

    /// Whether clients of a part are on their way to this one.
    fn comes_here(&self, roster: &PartRoster) -> bool {
        // Until the room is this worker's, whoever is on the way is still where it was.
        let mine = roster.owner != self.parts.me || !self.parts.is_branch();
        roster.leaving == Some(self.parts.me) && mine
    }

    /// Whether somebody is in at another part, whom clients know: takes him for there from now on.
    pub(in crate::room) fn find_elsewhere(&mut self, identity: &Identity) -> bool {
        let known = self.parts.known.iter();
        let found = known
            .filter(|(_, part)| !self.comes_here(&part.roster))
            .find_map(|(worker, part)| {
                let mut peers = part.roster.peers.iter();
                let far = peers.find(|far| far.peer.peer_id == *identity)?;
                Some((*worker, far.clone()))
            });
        let is_there = found.is_some();
        if let Some(found) = found {
            self.parts.peers.insert(identity.clone(), found);
        }
        is_there
    }

    /// Which of two sessions of somebody counts: of one that goes to where the other one is the
    /// latter, once all of it is there; else the one that was known, else the later one.
    fn prefers(&self, new: (WorkerId, &FarPeer), than: (WorkerId, &FarPeer)) -> bool {
        let goes = |from: WorkerId, to| {
            let roster = self.parts.part(from);
            roster.is_some_and(|roster| roster.leaving == Some(to))
        };
        let is_over = |at| self.parts.known.get(&at).is_some_and(|part| part.is_over);
        if goes(than.0, new.0) {
            return is_over(than.0) || has_all(new.1, than.1);
        }
        if goes(new.0, than.0) {
            return !is_over(new.0) && !has_all(than.1, new.1);
        }
        let rank = |(worker, far): (WorkerId, &FarPeer)| {
            let before = self.parts.peers.get(&far.peer.peer_id);
            let known = |(at, it): &(WorkerId, FarPeer)| *at == worker && it.session == far.session;
            let same = before.is_some_and(known);
            (same, far.joined_at_ms, far.session)
        };
        rank(new) > rank(than)
    }

    fn far_tracks(&self, peers: &FarPeers) -> FarTracks {
        let mut tracks = FarTracks::new();
        let coming = self.parts.known.iter().flat_map(|(worker, part)| {
            let peers = part.roster.peers.iter();
            peers.map(move |far| (worker, far))
        });
        let coming = coming.flat_map(|(worker, far)| {
            let kept = far.tracks.iter().filter(|track| self.keeps(*worker, track));
            kept.map(move |track| (worker, far, track))
        });
        let there = peers.values().flat_map(|(worker, far)| {
            let tracks = far.tracks.iter();
            tracks.map(move |track| (worker, far, track))
        });
        for (worker, far, track) in coming.chain(there) {
            let id = track.track.track_id;
            if self.tracks.home(id).is_none() {
                let home = home_of(*worker, track);
                let here = self.identities.get(&track.track.peer_id);
                let owner = here.copied().unwrap_or(far.session);
                tracks.insert(id, (home, owner, track.clone()));
            }
        }
        tracks
    }

    /// Whether a track whose publisher is on the way to here, or has come, is had from another part
    /// until it is published here.
    fn keeps(&self, worker: WorkerId, far: &FarTrack) -> bool {
        let track = &far.track;
        if self.tracks.far_home(track.track_id) != Some(home_of(worker, far)) {
            return false;
        }
        let of = |handed: &[HandedTrack]| handed.iter().any(|it| it.track == track.track_id);
        let expected = self.stage.expected.get(&track.peer_id);
        let own = self.identities.get(&track.peer_id);
        let member = own.and_then(|peer| self.members.get(peer));
        expected.is_some_and(|peer| of(&peer.tracks))
            || member.is_some_and(|member| of(&member.record.handed))
    }

    fn tell_peers(&mut self, before: &FarPeers) {
        let mut told = Vec::new();
        for (identity, (worker, old)) in before {
            let here = self.identities.contains_key(identity)
                || self.stage.expected.contains_key(identity);
            let gone = !here && !self.parts.peers.contains_key(identity);
            if gone {
                self.qualities.forget(identity);
            }
            if old.named && gone {
                let reason = match self.parts.known.contains_key(worker) {
                    true => LeaveReason::Left,
                    false => LeaveReason::Timeout,
                };
                let peer_id = identity.clone();
                told.push(ServerMessage::PeerLeft(PeerLeftParams { peer_id, reason }));
            }
        }
        for (identity, (_, new)) in &self.parts.peers {
            let old = before.get(identity).filter(|(_, old)| old.named);
            match old {
                _ if !new.named => {}
                None => {
                    let peer = new.peer.clone();
                    told.push(ServerMessage::PeerJoined(PeerJoinedParams { peer }));
                }
                Some((_, old)) => told.extend(update(&old.peer, &new.peer)),
            }
        }
        for message in told {
            self.pass(Audience::All, message);
        }
    }

    /// Lists a track of another part, or takes over what changed of it; whether that is news.
    fn place_far(
        &mut self,
        id: TrackId,
        home: RelayPeer,
        owner: media_types::PeerId,
        far: FarTrack,
    ) -> bool {
        let mut new = far.track;
        let moved = self.tracks.far_home(id) != Some(home);
        let waited = self.tracks.comes_late(id, moved, new.live);
        new.live |= waited;
        if moved && self.tracks.get(id).is_some() {
            self.supersede(id);
        }
        self.tracks.set_far(id, home);
        let message = |track| ServerMessage::TrackPublished(TrackPublishedParams { track });
        let heard = self.heard.get(&new.peer_id).copied().unwrap_or(0);
        let Some(entry) = self.tracks.get_mut(id) else {
            let (view, live) = (new.clone(), new.live);
            self.tracks.list(TrackEntry { view, owner, heard });
            if live {
                self.relay_everywhere(id);
            }
            self.pass(Audience::All, message(new));
            return true;
        };
        let old = std::mem::replace(&mut entry.view, new.clone());
        entry.owner = owner;
        if new.live && (moved || !old.live) {
            self.relay_everywhere(id);
        }
        let flows = (old.live, old.codec) != (new.live, new.codec);
        if flows {
            self.pass(Audience::All, message(new));
        } else if old.muted != new.muted {
            let muted = TrackMutedParams {
                track_id: id,
                peer_id: new.peer_id,
                muted: new.muted,
            };
            self.pass(Audience::All, ServerMessage::TrackMuted(muted));
        }
        moved || flows
    }

    /// A session that another part has taken up goes without a word.
    fn kick_replaced(&mut self, now: Instant, peer: media_types::PeerId) {
        if let Some(member) = self.members.remove(&peer) {
            self.identities.remove(&member.record.identity);
            self.qualities.forget(&member.record.identity);
            self.drop_tracks_of(&member.record);
            let reason = Some(CloseReason::Replaced);
            self.effects.push(Effect::Dismiss(peer, reason));
            self.parts.touch();
            self.note_empty(now);
        }
    }
}

fn home_of(worker: WorkerId, far: &FarTrack) -> RelayPeer {
    let shard = ShardId(far.shard);
    RelayPeer::Worker { worker, shard }
}

/// Whether all that flows of the one session does of the other.
fn has_all(there: &FarPeer, before: &FarPeer) -> bool {
    let flows = |track: &&FarTrack| track.track.live;
    before.tracks.iter().filter(flows).all(|track| {
        let id = track.track.track_id;
        let mut there = there.tracks.iter().filter(flows);
        there.any(|track| track.track.track_id == id)
    })
}

fn update(old: &Peer, new: &Peer) -> Option<ServerMessage> {
    (old != new).then(|| {
        ServerMessage::PeerUpdated(PeerUpdatedParams {
            peer_id: new.peer_id.clone(),
            name: new.name.clone(),
            metadata: Some(new.metadata.clone()),
            state: Some(new.state),
        })
    })
}
