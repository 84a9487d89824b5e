//! What operators and other rooms ask of a room.

use std::time::Instant;

use media_contract::Action;
use media_types::{Identity, PeerId};
use signaling::rest::{PeerStatus, RoomPatch, RoomStatus, SessionKind as Via};

use signaling::view::CloseReason;

use super::Room;
use crate::peer::PeerMessage;
use crate::room::message::RoomMessage;
use crate::room::quality::Score;
use crate::room::record::PeerRecord;
use crate::room::talk::Stamp;
use crate::session::SessionKind;

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Room {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on what is for operators"
    )]
    pub(super) fn administer(&mut self, now: Instant, message: RoomMessage) {
        match message {
            RoomMessage::Deliver(letter, reply) => reply.send(self.state.deliver(letter)),
            RoomMessage::Status(reply) => reply.send(self.status()),
            RoomMessage::Peers(reply) => reply.send(self.peer_statuses()),
            RoomMessage::Patch(patch, reply) => {
                self.patch(*patch);
                reply.send(self.status());
            }
            RoomMessage::Kick(identity, reason, reply) => {
                let peer = self.state.identities.get(&identity).copied();
                let near = peer.is_some_and(|peer| self.state.kick(now, peer, reason));
                reply.send(near || self.state.kick_far(identity, reason));
            }
            RoomMessage::MuteTrack(identity, track, muted, reply) => {
                reply.send(self.tell_named(&identity, PeerMessage::Mute(track, muted)));
            }
            RoomMessage::ChangePeer(identity, change, reply) => {
                reply.send(self.tell_named(&identity, PeerMessage::Change(change)));
            }
            RoomMessage::Revoke(revocation, reply) => {
                let members = self.state.members.values();
                let met = members.filter(|member| revocation.meets(&member.record));
                let met: Vec<PeerId> = met.map(|member| member.record.peer).collect();
                for peer in &met {
                    self.state.kick(now, *peer, CloseReason::Revoked);
                }
                reply.send(count(met.len()));
            }
            RoomMessage::PanicPeer(identity, reply) => {
                let peer = self.faulty(&identity);
                if let Some(peer) = peer {
                    self.tell(peer, PeerMessage::Panic);
                }
                reply.send(peer.is_some());
            }
            RoomMessage::PanicTransport(identity, reply) => {
                let peer = self.faulty(&identity).filter(|peer| self.has_media(*peer));
                let member = peer.and_then(|peer| self.state.members.get(&peer));
                let target = member.map(|m| (m.record.shard, m.record.transport));
                if let Some((shard, transport)) = target {
                    self.command(shard, Action::InjectFault { transport });
                }
                reply.send(target.is_some());
            }
            _ => {}
        }
    }

    /// A member that a fault may be injected into.
    fn faulty(&self, identity: &Identity) -> Option<PeerId> {
        let peer = self.state.identities.get(identity).copied();
        peer.filter(|_| self.seed.context.config.debug_faults)
    }

    /// Tells a member that is known by its identity; whether there is one.
    fn tell_named(&mut self, identity: &Identity, message: PeerMessage) -> bool {
        let Some(peer) = self.state.identities.get(identity).copied() else {
            return false;
        };
        self.tell(peer, message);
        true
    }

    fn patch(&mut self, patch: RoomPatch) {
        let settings = patch.apply(self.state.settings.clone());
        self.seed.set_settings(settings.clone());
        self.state.settings = settings;
    }

    /// The room with all its parts, wherever it is asked for.
    fn status(&self) -> RoomStatus {
        let parts = &self.state.parts;
        let me = self.seed.context.config.worker;
        RoomStatus {
            name: self.seed.name.clone(),
            settings: self.state.settings.clone(),
            peers: count(self.state.members.len() + parts.everybody()),
            publishers: count(self.state.publishers()),
            tracks: count(self.state.tracks.len()),
            opened_at: self.seed.opened_at_ms,
            worker: parts.owner.unwrap_or(me).to_string(),
            epoch: self.state.stage.epoch.0,
        }
    }

    fn peer_statuses(&self) -> Vec<PeerStatus> {
        let members = self.state.members.values();
        let mut statuses: Vec<_> = members
            .map(|member| self.peer_status(&member.record, member.quality.told()))
            .collect();
        statuses.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        statuses
    }

    fn peer_status(&self, record: &PeerRecord, quality: Option<Score>) -> PeerStatus {
        PeerStatus {
            peer_id: record.identity.clone(),
            session_id: record.peer,
            name: record.name.clone(),
            metadata: record.metadata.clone(),
            state: record.state,
            via: match record.kind {
                SessionKind::WebSocket => Via::WebSocket,
                SessionKind::Whip => Via::Whip,
                SessionKind::Whep { .. } => Via::Whep,
                SessionKind::Ingest(_) => Via::Ingest,
            },
            joined_at: record.joined_at_ms,
            tracks: self.state.tracks_of(record.peer),
            quality: quality.map(|score| score.value),
            quality_reason: quality.map(|score| score.reason),
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        let context = &self.seed.context;
        Stamp {
            message_id: format!("{:016x}", context.ids.message()),
            at: context.unix_ms(),
        }
    }
}
