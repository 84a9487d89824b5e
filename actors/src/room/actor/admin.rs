//! What operators and other rooms ask of a room.

use std::time::Instant;

use media_types::PeerId;
use signaling::rest::{PeerStatus, RoomPatch, RoomSettings, RoomStatus, SessionKind as Via};
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};

use super::Room;
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
            RoomMessage::Patch(patch, reply) => reply.send(self.patch(*patch)),
            RoomMessage::Act(identity, deed, reply) => self.act(now, identity, deed, reply),
            RoomMessage::Shut(reply) => reply.send(self.shut()),
            RoomMessage::Revoke(revocation, reply) => {
                let members = self.state.members.values();
                let met = members.filter(|member| revocation.meets(&member.record));
                let met: Vec<PeerId> = met.map(|member| member.record.peer).collect();
                for peer in &met {
                    self.state.kick(now, *peer, CloseReason::Revoked);
                }
                reply.send(count(met.len()));
            }
            _ => {}
        }
    }

    /// Only its owner sets a room; other parts hear of it.
    fn patch(&mut self, patch: RoomPatch) -> Result<RoomStatus, RpcError> {
        self.owned_here()?;
        self.set(patch.apply(self.state.settings.clone()));
        self.state.tell_settings();
        Ok(self.status())
    }

    pub(super) fn set(&mut self, settings: RoomSettings) {
        self.seed.set_settings(settings.clone());
        self.state.settings = settings;
        self.state.parts.touch();
    }

    /// Only its owner ends a room; the other parts end with it.
    fn shut(&mut self) -> Result<(), RpcError> {
        self.owned_here()?;
        self.state.close(CloseReason::RoomClosed);
        Ok(())
    }

    fn owned_here(&self) -> Result<(), RpcError> {
        let Some(owner) = self.state.parts.owner else {
            return Ok(());
        };
        let part = self.state.parts.part(owner).map(|part| part.url.clone());
        let leaving = self.state.stage.leaving.as_ref();
        let url = part.or_else(|| leaving.map(|(to, _)| to.url.clone()));
        Err(url.map_or_else(|| ErrorType::Unavailable.into(), RpcError::moved))
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
            shards: self.state.shards.iter().map(|shard| shard.0).collect(),
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
