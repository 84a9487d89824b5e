//! A room on its way to another worker, at either end (docs/migration.md).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use control_plane::migration::{HandedPeer, HandedTrack, Handover, UsedToken};
use media_contract::Action;
use media_types::{Epoch, Identity, PeerId, WorkerId};
use signaling::ServerMessage;
use signaling::server_message::{PeerLeftParams, TrackUnpublishedParams};
use signaling::view::{CloseReason, LeaveReason, Peer, PeerState, Track};

use super::message::{Audience, Destination, Move};
use super::record::PeerRecord;
use super::state::{Effect, Member, RoomPhase, RoomState};
use crate::limits::USED_TOKENS_MAX;
use crate::part::PartBody;
use crate::session::SessionKind;

/// What of a move outlives a crash of the room's actor; its seed keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    pub(crate) phase: RoomPhase,
    /// In which the room is owned here.
    pub(crate) epoch: Epoch,
    /// Where it goes, and when those who have not followed are let go.
    pub(crate) leaving: Option<(Move, Instant)>,
    /// Clients were sent to the room's life on another shard.
    pub(crate) sent_off: bool,
    /// The room was handed over: whoever owns it in a higher epoch has it.
    pub(crate) ceded: bool,
    /// Peers that the next worker serves.
    pub(crate) settled: BTreeSet<PeerId>,
    /// Who is expected from the last worker.
    pub(crate) expected: BTreeMap<Identity, HandedPeer>,
    /// Until when.
    pub(crate) expected_until: Option<Instant>,
    /// Tokens for one use that were used here and before.
    pub(crate) used: VecDeque<UsedToken>,
}

impl Stage {
    pub(crate) fn in_epoch(phase: RoomPhase, epoch: Epoch) -> Self {
        Self {
            phase,
            epoch,
            ..Self::default()
        }
    }
}

impl Stage {
    fn destination(&self) -> Option<Destination> {
        self.leaving.as_ref().map(|(to, _)| to.to)
    }

    /// The worker that clients of this one go to.
    pub(super) fn leaving_to(&self) -> Option<WorkerId> {
        self.destination().and_then(Destination::worker)
    }

    /// The same, if it is the room's next owner.
    pub(super) fn next_owner(&self) -> Option<WorkerId> {
        self.destination().and_then(Destination::owner)
    }
}

impl RoomState {
    /// Goes on where a life before this one was.
    pub(crate) fn take_stage(&mut self, now: Instant, stage: Stage) {
        self.phase = stage.phase;
        self.stage = stage;
        self.note_empty(now);
    }

    fn enter(&mut self, phase: RoomPhase) {
        self.phase = phase;
        self.stage.phase = phase;
    }

    /// The room is owned here from now on: by a move, or again after one that came to nothing.
    pub(crate) fn activate(
        &mut self,
        now: Instant,
        epoch: Epoch,
        handover: Option<Handover>,
        until: Instant,
    ) {
        if self.phase == RoomPhase::Closed {
            return;
        }
        self.enter(RoomPhase::Active);
        self.stage.leaving = None;
        (self.stage.sent_off, self.stage.ceded) = (false, false);
        (self.parts.owner, self.parts.stands_by) = (None, false);
        self.parts.is_open = true;
        self.parts.touch();
        self.raise(epoch);
        self.stage.settled.clear();
        if let Some(handover) = handover {
            self.stage.used.extend(handover.used);
            self.await_peers(handover.peers, until);
            for worker in handover.parts {
                if worker != self.parts.me {
                    self.tell_roster(worker);
                }
            }
        }
        self.note_empty(now);
    }

    /// The room is owned elsewhere: it forwards, and decides nothing. `false`: it does already.
    pub(crate) fn hand_over(&mut self, now: Instant, to: Move) -> bool {
        if self.phase != RoomPhase::Active {
            return false;
        }
        self.enter(RoomPhase::Handover);
        let destination = to.to;
        let deadline = now + to.deadline;
        self.stage.leaving = Some((to, deadline));
        match destination {
            Destination::Owner(worker, epoch) => {
                self.parts.owner = Some(worker);
                if let Some(epoch) = epoch {
                    self.raise(epoch);
                    self.tell_roster(worker);
                }
            }
            // Each part hears where the others' clients are to be found next.
            Destination::Part(_) => {
                self.parts.touch();
                let roster = Box::new(self.roster());
                self.tell_parts(&PartBody::Roster(roster));
            }
            Destination::Unknown | Destination::Shard(_) => {}
        }
        self.note_empty(now);
        true
    }

    /// Why the room has to stay on its shard, where it has to.
    pub(crate) fn bound(&self) -> Option<&'static str> {
        let follows = |member: &Member| member.record.kind == SessionKind::WebSocket;
        if self.phase != RoomPhase::Active || !self.stage.expected.is_empty() {
            Some("it moves already")
        } else if self.parts.is_branch() || !self.parts.workers().is_empty() {
            Some("it has parts on other workers")
        } else if self.shards.len() > 1 {
            Some("it is on several shards")
        } else if !self.members.values().all(follows) {
            Some("peers by WHIP, WHEP, RTMP and QUIC cannot follow")
        } else {
            None
        }
    }

    /// What is left of a room on a shard that everybody has gone from ends, a part likewise, and
    /// the room of a worker that cannot learn from the store that all have settled. Whether that
    /// has happened.
    pub(crate) fn end_if_followed(&mut self, now: Instant) -> bool {
        let ends = match self.stage.destination() {
            Some(Destination::Shard(_)) => self.stage.sent_off,
            Some(Destination::Part(_)) => true,
            Some(Destination::Owner(..)) => self.stage.ceded,
            Some(Destination::Unknown) | None => false,
        };
        let ended = ends && self.phase == RoomPhase::Handover && self.is_settled();
        match (ended, self.stage.ceded) {
            (true, true) => self.release(now, false),
            (true, false) => self.close(CloseReason::Moved),
            (false, _) => {}
        }
        ended
    }

    /// The next worker serves this peer.
    pub(crate) fn settle(&mut self, peer: PeerId) {
        if self.phase == RoomPhase::Handover && self.members.contains_key(&peer) {
            self.stage.settled.insert(peer);
        }
    }

    /// Whether everybody who can follow has.
    pub(crate) fn is_settled(&self) -> bool {
        let mut follow = self
            .members
            .values()
            .filter(|member| member.record.kind == SessionKind::WebSocket);
        follow.all(|member| self.stage.settled.contains(&member.record.peer))
    }

    /// A token for one use was used.
    pub(crate) fn note_used(&mut self, jti: &str, sub: &Identity) {
        if self.stage.used.len() >= USED_TOKENS_MAX {
            self.stage.used.pop_front();
        }
        self.stage.used.push_back(UsedToken {
            jti: jti.to_owned(),
            sub: sub.clone(),
        });
    }

    /// Who comes from the last worker, if this session is expected.
    pub(crate) fn handed(&self, identity: &Identity, session: PeerId) -> Option<&HandedPeer> {
        let peer = self.stage.expected.get(identity)?;
        (peer.session == session).then_some(peer)
    }

    /// Lets somebody in whom the others take for present already.
    pub(crate) fn admit_handed(&mut self, now: Instant, record: PeerRecord) {
        let peer = record.peer;
        let expected = self.stage.expected.remove(&record.identity);
        self.open_shard(record.shard);
        self.parts.touch();
        self.identities.insert(record.identity.clone(), peer);
        let named = expected.is_none_or(|expected| expected.named);
        self.members.insert(peer, Member::new(record, named));
        self.effects.push(Effect::Spawn(peer));
        self.note_empty(now);
        self.note_audience(now);
    }

    /// Somebody expected came as somebody new: those of before are taken back. Whether the others
    /// knew it by name.
    pub(crate) fn forgo(&mut self, identity: &Identity) -> Option<bool> {
        let peer = self.stage.expected.remove(identity)?;
        self.tell_tracks_gone(&peer);
        Some(peer.named)
    }

    fn tell_tracks_gone(&mut self, peer: &HandedPeer) {
        // Those that are still had from elsewhere go by themselves.
        let tracks = peer.tracks.iter();
        let gone: Vec<_> = tracks
            .filter(|track| self.tracks.get(track.track).is_none())
            .collect();
        for track in gone {
            let message = ServerMessage::TrackUnpublished(TrackUnpublishedParams {
                track_id: track.track,
                peer_id: peer.identity.clone(),
            });
            self.notify(Audience::All, message);
        }
    }

    /// Ends what has waited long enough: those who were expected, and those who did not follow.
    pub(crate) fn move_timeout(&mut self, now: Instant) {
        let late = |due: Option<Instant>| due.is_some_and(|due| now >= due);
        if late(self.stage.leaving.as_ref().map(|(_, due)| *due)) {
            self.release(now, false);
            return;
        }
        if !late(self.stage.expected_until) {
            return;
        }
        self.stage.expected_until = None;
        self.parts.touch();
        for peer in std::mem::take(&mut self.stage.expected).into_values() {
            self.tell_away(peer, LeaveReason::Moved);
        }
        self.tell_left_behind();
        self.note_empty(now);
    }

    /// Somebody who was expected does not come.
    pub(super) fn tell_away(&mut self, peer: HandedPeer, reason: LeaveReason) {
        if self.find_elsewhere(&peer.identity) {
            return;
        }
        self.tell_tracks_gone(&peer);
        if peer.named {
            let peer_id = peer.identity;
            let message = ServerMessage::PeerLeft(PeerLeftParams { peer_id, reason });
            self.notify(Audience::All, message);
        }
    }

    /// Tracks that their publishers did not bring along.
    fn tell_left_behind(&mut self) {
        let members = self.members.values_mut();
        let left: Vec<_> = members
            .flat_map(|member| {
                let identity = member.record.identity.clone();
                let handed = std::mem::take(&mut member.record.handed).into_iter();
                handed.map(move |track| (track.track, identity.clone()))
            })
            .filter(|(track, _)| self.tracks.get(*track).is_none())
            .collect();
        for (track_id, peer_id) in left {
            let params = TrackUnpublishedParams { track_id, peer_id };
            self.notify(Audience::All, ServerMessage::TrackUnpublished(params));
        }
    }

    /// All who follow by themselves have: the others stay, unless the worker is to be emptied.
    pub(crate) fn release(&mut self, now: Instant, empties: bool) {
        let is_part = matches!(self.stage.destination(), Some(Destination::Part(_)));
        if empties || is_part || !self.stay_behind(now) {
            self.close(CloseReason::Moved);
        }
    }

    /// Takes somebody out who is in at the room's next worker, without a word.
    pub(super) fn let_go(&mut self, peer: PeerId) {
        let Some(member) = self.members.remove(&peer) else {
            return;
        };
        self.identities.remove(&member.record.identity);
        self.qualities.forget(&member.record.identity);
        let place = self.effects.len();
        self.drop_tracks_of(&member.record);
        let told = self.effects.split_off(place);
        let quiet = told
            .into_iter()
            .filter(|effect| !matches!(effect, Effect::Notify(..)));
        self.effects.extend(quiet);
        // At once, and not when its transport ends: another worker has these tracks now.
        for track in &member.record.tracks {
            let unpublish = Action::Unpublish { track: track.track };
            let command = Effect::Command(member.record.shard, unpublish);
            self.effects.push(command);
        }
        let reason = Some(CloseReason::Moved);
        self.effects.push(Effect::Dismiss(peer, reason));
    }

    /// What was the room's worker holds a part of it from now on.
    pub(super) fn settle_branch(&mut self) {
        self.enter(RoomPhase::Active);
        self.stage.leaving = None;
        self.stage.settled.clear();
    }

    pub(crate) fn move_due(&self) -> Option<Instant> {
        let leaving = self.stage.leaving.as_ref().map(|(_, due)| *due);
        leaving.or(self.stage.expected_until)
    }

    /// Those who are expected, as others see them, and what they publish.
    pub(crate) fn expected_views(&self) -> (Vec<Peer>, Vec<Track>) {
        let named = self.stage.expected.values().filter(|peer| peer.named);
        let peers = named.clone().map(|peer| Peer {
            peer_id: peer.identity.clone(),
            name: peer.name.clone(),
            metadata: peer.metadata.clone(),
            state: PeerState::Active,
        });
        let listed = |track: &Track| self.tracks.get(track.track_id).is_some();
        let here = self
            .members
            .values()
            .map(|member| (&member.record.identity, &member.record.handed));
        let coming = named.map(|peer| (&peer.identity, &peer.tracks));
        let all = here.chain(coming);
        let tracks = all.flat_map(|(identity, handed)| views_of(identity, handed, true));
        let tracks = tracks.filter(|track| !listed(track));
        (peers.collect(), tracks.collect())
    }
}

/// What somebody is to publish here as before, as others see it.
pub(super) fn views_of(
    identity: &Identity,
    handed: &[HandedTrack],
    live: bool,
) -> impl Iterator<Item = Track> {
    handed.iter().map(move |track| Track {
        track_id: track.track,
        peer_id: identity.clone(),
        kind: track.kind,
        codec: track.codec,
        source: track.source,
        name: track.name.clone(),
        muted: track.muted,
        live,
    })
}
