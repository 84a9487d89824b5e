//! One room made of its parts.

use std::collections::BTreeMap;
use std::time::Instant;

use media_contract::RelayPeer;
use media_types::{Identity, ShardId, TrackId, WorkerId};
use signaling::ServerMessage;
use signaling::server_message::{
    PeerJoinedParams, PeerLeftParams, PeerUpdatedParams, TrackMutedParams, TrackPublishedParams,
};
use signaling::view::{CloseReason, LeaveReason, Peer};

use super::{Audience, FarPeer, FarTracks, RoomPhase, RoomState};
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
            .filter(|roster| !roster.leaving)
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

    /// Who is at other parts and not here. Of two sessions the one that was known stays.
    fn far_peers(&self) -> FarPeers {
        let mut found = FarPeers::new();
        for (worker, part) in &self.parts.known {
            // Until the room is this worker's, whoever is on the way is still where it was.
            let mine = part.roster.owner == self.parts.me && !self.parts.is_branch();
            let follows = part.roster.leaving && mine;
            for far in &part.roster.peers {
                if follows && far.follows {
                    continue;
                }
                let identity = &far.peer.peer_id;
                let own = self.identities.contains_key(identity)
                    || self.stage.expected.contains_key(identity);
                if own {
                    continue;
                }
                let rank = |worker: &WorkerId, far: &FarPeer| {
                    let before = self.parts.peers.get(identity);
                    let known =
                        |(at, it): &(WorkerId, FarPeer)| at == worker && it.session == far.session;
                    let same = before.is_some_and(known);
                    (same, far.joined_at_ms, far.session)
                };
                let better = found
                    .get(identity)
                    .is_none_or(|(at, other)| rank(worker, far) > rank(at, other));
                if better {
                    found.insert(identity.clone(), (*worker, far.clone()));
                }
            }
        }
        found
    }

    fn far_tracks(&self, peers: &FarPeers) -> FarTracks {
        let mut tracks = FarTracks::new();
        for (worker, far) in peers.values() {
            for track in &far.tracks {
                let id = track.track.track_id;
                if self.tracks.home(id).is_some() {
                    continue;
                }
                let home = RelayPeer::Worker {
                    worker: *worker,
                    shard: ShardId(track.shard),
                };
                tracks.insert(id, (home, far.session, track.clone()));
            }
        }
        tracks
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
        far: super::FarTrack,
    ) -> bool {
        let new = far.track;
        let moved = self.tracks.far_home(id) != Some(home);
        if moved && self.tracks.get(id).is_some() {
            self.close_relays(id);
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
