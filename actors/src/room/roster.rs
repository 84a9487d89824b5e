//! Who is in: joining, taking over, resuming, changing, leaving.

use std::sync::Arc;
use std::time::Instant;

use media_contract::{Action, LostReason, ShardLoad};
use media_types::{Identity, PeerId, ShardId};
use signaling::server_message::{PeerJoinedParams, PeerLeftParams, PeerUpdatedParams};
use signaling::view::{CloseReason, LeaveReason, Peer, Room, Track};
use signaling::{ErrorType, RpcError, ServerMessage};

use super::message::Audience;
use super::parts::seats::Seat;
use super::quality::Quality;
use super::record::{MediaPhase, PeerRecord};
use super::state::{Effect, Member, RoomState};
use crate::limits::{TRANSPORT_CRASH_WINDOW, TRANSPORT_CRASHES};
use crate::session::{Outbox, SessionKind};

/// What a wish to enter amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A new session; whoever had the identity goes.
    New,
    /// The session goes on.
    Resume(PeerId),
    /// It is not known yet whether there is a place.
    Wait,
}

impl RoomState {
    /// Whether somebody may come in, and how. Changes nothing.
    pub(crate) fn entry(
        &self,
        identity: &Identity,
        kind: &SessionKind,
        resume: Option<PeerId>,
    ) -> Result<Entry, RpcError> {
        if let Some(session) = resume
            && let Some(member) = self.members.get(&session)
            && member.record.identity == *identity
            && member.record.media != MediaPhase::Lost
        {
            return Ok(Entry::Resume(session));
        }
        if let Some(earlier) = self.fed_by(identity, kind) {
            return Ok(Entry::Resume(earlier));
        }
        let replaces = self.replaced_by(identity, kind).is_some();
        let comes = replaces || self.stage.expected.contains_key(identity);
        let far = self.parts.peers.contains_key(identity);
        match self.peer_seat() {
            _ if comes || far => Ok(Entry::New),
            Seat::Free => Ok(Entry::New),
            Seat::Full => Err(ErrorType::RoomFull.into()),
            Seat::Soon => Ok(Entry::Wait),
        }
    }

    /// The session that joined with this token, to repeat its answer.
    pub(crate) fn joined_with(&self, identity: &Identity, jti: &str) -> Option<PeerId> {
        let peer = self.identities.get(identity)?;
        let member = self.members.get(peer)?;
        (member.record.jti.as_deref() == Some(jti)).then_some(*peer)
    }

    /// The live source that a newer connection of it goes on with: its tracks stay.
    fn fed_by(&self, identity: &Identity, kind: &SessionKind) -> Option<PeerId> {
        let is_fed = |kind: &SessionKind| matches!(kind, SessionKind::Ingest(_));
        let earlier = self.identities.get(identity).filter(|_| is_fed(kind))?;
        let member = self.members.get(earlier)?;
        is_fed(&member.record.kind).then_some(*earlier)
    }

    fn replaced_by(&self, identity: &Identity, kind: &SessionKind) -> Option<PeerId> {
        match kind {
            SessionKind::Whep { .. } => None,
            SessionKind::WebSocket | SessionKind::Whip | SessionKind::Ingest(_) => {
                self.identities.get(identity).copied()
            }
        }
    }

    /// The shard for one more peer: the room's own, then others that it is open on, then the least
    /// loaded of the rest.
    pub(crate) fn choose_shard(&self, loads: &[ShardLoad]) -> ShardId {
        let alive = |shard: &ShardId| loads.iter().any(|load| load.shard == *shard);
        let has_place =
            |shard: &&ShardId| alive(shard) && self.on_shard(**shard) < self.limits.peers_per_shard;
        if let Some(open) = self.shards.iter().find(has_place) {
            return *open;
        }
        let closed = loads
            .iter()
            .filter(|load| !self.shards.contains(&load.shard));
        let least = closed.min_by_key(|load| (load.busy_ppm, load.transports, load.shard));
        let open = self.shards.iter().filter(|shard| alive(shard));
        let emptiest = open.min_by_key(|shard| self.on_shard(**shard));
        let home = self.shards.first();
        let fallback = emptiest.or(home).copied().unwrap_or(ShardId(0));
        least.map_or(fallback, |load| load.shard)
    }

    /// Lets a new session in.
    pub(crate) fn admit(&mut self, now: Instant, record: PeerRecord) {
        let peer = record.peer;
        self.parts.touch();
        self.open_shard(record.shard);
        let far = self.parts.peers.get(&record.identity);
        let far = far.map(|(_, far)| far.named);
        let replaced = self.replaced_by(&record.identity, &record.kind);
        let awaited = record
            .is_member()
            .then(|| self.forgo(&record.identity))
            .flatten();
        let was_named = replaced
            .and_then(|earlier| self.replace(earlier))
            .or(awaited)
            .or(far);
        let many = self.members.len() >= self.limits.roster;
        let named = record.is_member() && (was_named == Some(true) || !many);
        if record.is_member() {
            self.identities.insert(record.identity.clone(), peer);
        }
        if named {
            let view = record.view();
            let message = if was_named == Some(true) {
                ServerMessage::PeerUpdated(PeerUpdatedParams {
                    peer_id: view.peer_id,
                    name: view.name,
                    metadata: Some(view.metadata),
                    state: Some(view.state),
                })
            } else {
                ServerMessage::PeerJoined(PeerJoinedParams { peer: view })
            };
            self.notify(Audience::Except(peer), message);
        }
        self.members.insert(peer, Member::new(record, named));
        self.effects.push(Effect::Spawn(peer));
        self.note_empty(now);
        self.note_audience(now);
    }

    /// An earlier session of the same identity goes without a word to the others, but for its
    /// tracks. Returns whether they knew it by name.
    fn replace(&mut self, earlier: PeerId) -> Option<bool> {
        let member = self.members.remove(&earlier)?;
        self.identities.remove(&member.record.identity);
        self.qualities.forget(&member.record.identity);
        self.drop_tracks_of(&member.record);
        let reason = Some(CloseReason::Replaced);
        self.effects.push(Effect::Dismiss(earlier, reason));
        Some(member.named)
    }

    /// A connection takes a session up. `false` if it is no longer there.
    pub(crate) fn resume(&mut self, peer: PeerId, outbox: Arc<dyn Outbox>) -> bool {
        let Some(member) = self.members.get_mut(&peer) else {
            return false;
        };
        member.record.outbox = outbox;
        member.record.attachment = member.record.attachment.saturating_add(1);
        self.effects.push(Effect::Attach(peer));
        self.tell_layers_again(peer);
        true
    }

    /// A peer says how it is. Idempotent: what differs from before is told to the others.
    pub(crate) fn present(&mut self, now: Instant, mut record: PeerRecord) {
        let Some(member) = self.members.get_mut(&record.peer) else {
            return;
        };
        if record.attachment < member.record.attachment {
            record.attachment = member.record.attachment;
            record.outbox = Arc::clone(&member.record.outbox);
        }
        if record.tracks.is_empty() && !member.record.tracks.is_empty() {
            member.reserved = false;
        }
        let before = std::mem::replace(&mut member.record, record.clone());
        self.parts.touch();
        let Some(member) = self.members.get_mut(&record.peer) else {
            return;
        };
        if member.named {
            self.tell_update(&before, &record);
        } else if !record.tracks.is_empty() && record.is_member() {
            member.named = true;
            let message = ServerMessage::PeerJoined(PeerJoinedParams {
                peer: record.view(),
            });
            self.notify(Audience::Except(record.peer), message);
        }
        self.compare_tracks(&before, &record);
        self.note_audience(now);
    }

    /// Takes over a record after a restart of the room: nobody is told what they know already.
    pub(crate) fn recall(&mut self, now: Instant, record: PeerRecord) {
        self.open_shard(record.shard);
        self.parts.touch();
        let member = Member {
            named: record.is_member() && self.members.len() < self.limits.roster
                || !record.tracks.is_empty(),
            reserved: false,
            quality: Quality::default(),
            record,
        };
        if member.record.is_member() {
            let identity = member.record.identity.clone();
            self.identities.insert(identity, member.record.peer);
        }
        self.recall_tracks(&member.record);
        self.members.insert(member.record.peer, member);
        self.note_empty(now);
    }

    fn tell_update(&mut self, before: &PeerRecord, after: &PeerRecord) {
        let changed = |differs: bool| differs.then_some(());
        let name = changed(before.name != after.name).and_then(|()| after.name.clone());
        let metadata = changed(before.metadata != after.metadata).map(|()| after.metadata.clone());
        let state = changed(before.state != after.state).map(|()| after.state);
        if name.is_none() && metadata.is_none() && state.is_none() {
            return;
        }
        let message = ServerMessage::PeerUpdated(PeerUpdatedParams {
            peer_id: after.identity.clone(),
            name,
            metadata,
            state,
        });
        self.notify(Audience::Except(after.peer), message);
    }

    /// A member goes; the others hear of it once.
    pub(crate) fn remove(&mut self, now: Instant, peer: PeerId, reason: LeaveReason) -> bool {
        let Some(member) = self.members.remove(&peer) else {
            return false;
        };
        let record = member.record;
        self.parts.touch();
        if self.identities.get(&record.identity) == Some(&peer) {
            self.identities.remove(&record.identity);
        }
        if !self.identities.contains_key(&record.identity) {
            self.heard.remove(&record.identity);
            self.qualities.forget(&record.identity);
        }
        self.drop_tracks_of(&record);
        if member.named {
            let peer_id = record.identity.clone();
            let message = ServerMessage::PeerLeft(PeerLeftParams { peer_id, reason });
            self.notify(Audience::All, message);
        }
        self.effects.push(Effect::Dismiss(peer, None));
        self.note_empty(now);
        self.note_audience(now);
        true
    }

    /// Somebody is gone whom nobody remembers but by name.
    pub(crate) fn tell_lost(&mut self, identity: &Identity) {
        if !self.identities.contains_key(identity) {
            let message = ServerMessage::PeerLeft(PeerLeftParams {
                peer_id: identity.clone(),
                reason: LeaveReason::Internal,
            });
            self.notify(Audience::All, message);
        }
    }

    /// Sends a member away.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "all other reasons are an operator's"
    )]
    pub(crate) fn kick(&mut self, now: Instant, peer: PeerId, close: CloseReason) -> bool {
        let reason = match close {
            CloseReason::TransportFailed => LeaveReason::TransportFailed,
            CloseReason::Revoked => LeaveReason::Revoked,
            _ => LeaveReason::Kicked,
        };
        let place = self.effects.len();
        if !self.remove(now, peer, reason) {
            return false;
        }
        for effect in self.effects.iter_mut().skip(place) {
            if let Effect::Dismiss(dismissed, why) = effect
                && *dismissed == peer
            {
                *why = Some(close);
            }
        }
        true
    }

    /// A peer's media path broke. Crashes of ours are counted: too many, and the peer goes.
    pub(crate) fn media_lost(&mut self, now: Instant, peer: PeerId, reason: LostReason) {
        let Some(member) = self.members.get(&peer) else {
            return;
        };
        if reason != LostReason::Crashed {
            return;
        }
        self.effects
            .push(Effect::Rejoin(peer, CloseReason::Internal));
        let identity = member.record.identity.clone();
        let recent = |at: &Instant| now.duration_since(*at) <= TRANSPORT_CRASH_WINDOW;
        self.crashes
            .retain(|_, crashes| crashes.back().is_some_and(recent));
        let crashes = self.crashes.entry(identity).or_default();
        crashes.push_back(now);
        while crashes.front().is_some_and(|at| !recent(at)) {
            crashes.pop_front();
        }
        if crashes.len() >= TRANSPORT_CRASHES {
            self.effects.pop();
            self.kick(now, peer, CloseReason::TransportFailed);
        }
    }

    /// The room as this member sees it.
    pub(crate) fn view_for(&self, peer: PeerId) -> Room {
        let others = || self.members.values().filter(|m| m.record.peer != peer);
        let mut peers: Vec<Peer> = others()
            .filter(|member| member.named)
            .map(|member| member.record.view())
            .collect();
        let own = self.members.get(&peer);
        let own_identity = own.map(|member| &member.record.identity);
        let mut tracks: Vec<Track> = self
            .tracks
            .iter()
            .map(|entry| entry.view.clone())
            .filter(|track| Some(&track.peer_id) != own_identity)
            .collect();
        let (expected, handed) = self.expected_views();
        peers.extend(expected);
        peers.extend(self.parts.named());
        let foreign = |track: &Track| Some(&track.peer_id) != own_identity;
        tracks.extend(handed.into_iter().filter(foreign));
        let unnamed = others().filter(|member| !member.named).count();
        let unnamed = unnamed.saturating_add(self.parts.unnamed());
        Room {
            name: self.name.clone(),
            metadata: self.settings.metadata.clone(),
            peers,
            tracks,
            audience: u32::try_from(unnamed).unwrap_or(u32::MAX),
        }
    }

    /// A shard forgot everything: the room opens there again, its peers must come back.
    pub(crate) fn shard_restarted(&mut self, shard: ShardId) {
        if !self.shards.contains(&shard) {
            return;
        }
        self.loudest.remove(&shard);
        self.effects.push(Effect::Command(shard, Action::OpenRoom));
        self.link_shard(shard);
        self.reopen_relays(shard);
        let there: Vec<PeerId> = self
            .members
            .values()
            .filter(|member| member.record.shard == shard)
            .filter(|member| member.record.media == MediaPhase::Open)
            .map(|member| member.record.peer)
            .collect();
        let rejoin = |peer| Effect::Rejoin(peer, CloseReason::ShardRestarted);
        self.effects.extend(there.into_iter().map(rejoin));
    }
}
