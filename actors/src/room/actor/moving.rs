//! What a move asks of a room, at either end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::migration::{HandedPeer, HandedTrack, Handover, Local};
use media_types::Epoch;
use signaling::server_message::MigrateParams;
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError, ServerMessage};

use super::Room;
use crate::room::message::{Audience, Move, RoomMessage};
use crate::room::record::PeerRecord;
use crate::room::state::RoomPhase;
use crate::rooms::{settings_of, spec_of};
use crate::session::{Notice, SessionKind};

/// A room that is this worker's from now on.
pub(crate) struct Activation {
    pub(crate) epoch: Epoch,
    /// What the last owner left.
    pub(crate) handover: Option<Handover>,
    /// How long those who were there are expected.
    pub(crate) expected: Duration,
}

impl Room {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on what is about moves"
    )]
    pub(super) fn take_move(&mut self, now: Instant, message: RoomMessage) {
        match message {
            RoomMessage::Migrate(to) => self.migrate(now, *to),
            RoomMessage::Activate(activation) => self.activate(now, *activation),
            RoomMessage::Yield(to, reply) => reply.send(self.make_way(now, *to)),
            RoomMessage::SendOff => {
                self.state.stage.sent_off = true;
                self.keep_stage();
                self.send_off();
            }
            RoomMessage::HandOff(reply) => self.hand_off(reply),
            RoomMessage::Settled(peer) => self.state.settle(peer),
            RoomMessage::Standing(reply) => {
                // A room that closes says nothing: who asks looks again.
                if let Some(standing) = self.standing() {
                    reply.send(standing);
                }
            }
            RoomMessage::Weigh(reply) => {
                if let Some(mut weighed) = self.state.weigh() {
                    weighed.shard = weighed.shard.filter(|_| self.bound().is_none());
                    reply.send(weighed);
                }
            }
            RoomMessage::Roster(reply) => reply.send(Box::new(self.handover())),
            RoomMessage::Release => {
                let empties = self.seed.context.is_draining();
                self.state.release(now, empties);
                self.keep_move();
            }
            RoomMessage::StandBy(reply) => {
                self.state.parts.stands_by = self.state.parts.is_branch();
                reply.send(self.state.parts.stands_by);
            }
            RoomMessage::Dismantle if self.state.parts.stands_by => {
                self.state.parts.stands_by = false;
            }
            RoomMessage::Dismantle => self.state.close(CloseReason::RoomClosed),
            _ => {}
        }
    }

    fn standing(&self) -> Option<Local> {
        Some(match self.state.phase {
            RoomPhase::Standby => Local::Standby,
            RoomPhase::Active if self.state.parts.stands_by => Local::Standby,
            // What another worker owns is not this one's to move.
            RoomPhase::Active if self.state.parts.is_branch() => Local::Absent,
            RoomPhase::Active => Local::Active(self.state.stage.epoch),
            RoomPhase::Handover => Local::Handover {
                settled: self.state.is_settled(),
            },
            RoomPhase::Closed => return None,
        })
    }

    fn activate(&mut self, now: Instant, activation: Activation) {
        let Activation {
            epoch,
            handover,
            expected,
        } = activation;
        if let Some(handover) = &handover {
            let admission = &self.seed.context.environment.admission;
            for used in &handover.used {
                admission.consume(&used.jti, &used.sub, None);
            }
            let settings = settings_of(handover.settings.clone());
            self.seed.set_settings(settings.clone());
            self.state.settings = settings;
        }
        self.state.activate(now, epoch, handover, now + expected);
        self.keep_move();
    }

    /// Each client gets a token of its own to go on with at the target.
    pub(super) fn migrate(&mut self, now: Instant, to: Move) {
        let next = to.to.owner().filter(|_| !self.state.parts.is_branch());
        if self.state.hand_over(now, to) {
            if let Some(next) = next {
                let observer = &self.seed.context.config.hooks.observer;
                observer.room_moved(&self.seed.name, next);
            }
            self.keep_stage();
            self.send_off();
        }
    }

    /// Why the room has to stay on its shard, where it has to.
    fn bound(&self) -> Option<&'static str> {
        let used = || (!self.live.is_idle()).then_some("streams are packaged, recorded or played");
        self.state.bound().or_else(used)
    }

    /// The room goes on at another shard: from here on it takes nobody, and nothing changes.
    fn make_way(&mut self, now: Instant, to: Move) -> Result<Box<Handover>, RpcError> {
        if let Some(why) = self.bound() {
            return Err(RpcError::with_message(ErrorType::Conflict, why));
        }
        let handover = Box::new(self.handover());
        self.state.hand_over(now, to);
        self.keep_stage();
        Ok(handover)
    }

    fn send_off(&mut self) {
        let Some((to, _)) = &self.state.stage.leaving else {
            return;
        };
        let deadline_ms = u64::try_from(to.deadline.as_millis()).unwrap_or(u64::MAX);
        let records = self.state.members.values().map(|member| &member.record);
        let notices: Vec<_> = records
            .map(|record| {
                let migrate = ServerMessage::Migrate(MigrateParams {
                    url: to.url.clone(),
                    token: self.resume_token(record),
                    deadline_ms,
                    reason: to.reason,
                });
                (record.peer, Arc::new(Notice::new(migrate)))
            })
            .collect();
        for (peer, notice) in notices {
            self.notify(Audience::One(peer), &notice);
        }
    }

    /// What the next owner has to know.
    pub(super) fn handover(&self) -> Handover {
        let members = self.state.members.values();
        let follow = members.filter(|member| member.record.kind == SessionKind::WebSocket);
        let peers = follow.map(|member| handed(&member.record, member.named));
        Handover {
            epoch: self.state.stage.epoch,
            settings: spec_of(&self.state.settings),
            peers: peers.collect(),
            used: self.state.stage.used.iter().cloned().collect(),
            parts: self.state.parts.workers(),
        }
    }

    /// What a move has made of the room outlives this life.
    pub(super) fn keep_move(&self) {
        self.keep_stage();
        self.seed.set_parts(self.state.parts.keep());
    }

    /// The stage outlives this life.
    pub(super) fn keep_stage(&self) {
        self.seed.set_stage(self.state.stage.clone());
    }
}

fn handed(record: &PeerRecord, named: bool) -> HandedPeer {
    let tracks = record.tracks.iter().map(|track| HandedTrack {
        track: track.track,
        kind: track.kind,
        codec: track.codec,
        source: track.source,
        name: track.name.clone(),
        muted: track.muted,
    });
    HandedPeer {
        identity: record.identity.clone(),
        session: record.peer,
        named,
        name: record.name.clone(),
        metadata: record.metadata.clone(),
        joined_at_ms: record.joined_at_ms,
        jti: record.jti.clone(),
        key: record.key.clone(),
        // Who has just come here itself may not have published again yet.
        tracks: tracks.chain(record.handed.iter().cloned()).collect(),
    }
}
