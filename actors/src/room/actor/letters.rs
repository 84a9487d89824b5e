//! What leaves the room: to its peers, its shards and its supervisor. And what the shards tell.

use std::sync::Arc;

use media_contract::{Action, Event, Fact, RefusedReason, Subject};
use media_types::{PeerId, ShardId};
use signaling::view::CloseReason;
use supervision::Scope;

use super::Room;
use crate::peer::PeerMessage;
use crate::room::layers::Wanted;
use crate::room::message::Audience;
use crate::room::state::Effect;
use crate::room::supervisor::SupervisorMessage;
use crate::session::{Notice, SessionKind};

impl Room {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "facts that are not for rooms"
    )]
    pub(super) fn event(&mut self, shard: ShardId, event: Event) {
        self.tell_feeder(&event);
        match event.fact {
            Fact::TrackStarted { codec, .. } => {
                if let Subject::Track(track) = event.subject {
                    self.state.track_started(shard, track, codec);
                }
            }
            Fact::LayersWanted { active, bounds } => {
                if let Subject::Track(track) = event.subject {
                    let wanted = Wanted { active, bounds };
                    self.state.layers_wanted(shard, track, wanted);
                }
            }
            Fact::TrackStalled => {
                if let Subject::Track(track) = event.subject {
                    self.state.track_stalled(shard, track);
                }
            }
            Fact::SpeakersChanged { speakers } => self.state.speakers_changed(shard, speakers),
            Fact::Described { command, snapshot } => {
                let asked = self.describes.remove(&command).is_some();
                if asked {
                    self.state.reconcile(shard, &snapshot);
                }
            }
            Fact::Refused { command, reason } => {
                let asked = self.describes.remove(&command).is_some();
                if asked && reason == RefusedReason::UnknownRoom {
                    self.state.shard_restarted(shard);
                } else if !asked {
                    tracing::debug!(room = %self.seed.name, ?reason, "a command was refused");
                }
            }
            _ => {}
        }
    }

    /// Asks the shards that refused something what they have.
    pub(super) fn describe_dirty(&mut self) {
        for shard in std::mem::take(&mut self.dirty) {
            let id = self.commander.next(&self.seed.context.ids);
            self.describes.insert(id, shard);
            let context = &self.seed.context;
            if self
                .commander
                .send(context, shard, id, Action::Describe)
                .is_err()
            {
                self.describes.remove(&id);
                self.dirty.insert(shard);
            }
        }
    }

    /// Tells the peers that missed something how the room is.
    pub(super) fn catch_up(&mut self) {
        let view = self.state.room_view();
        let peers = &self.peers;
        self.behind.retain(|peer| {
            let overrun = PeerMessage::Overrun(Arc::clone(&view));
            peers
                .get(peer)
                .is_some_and(|mailbox| mailbox.tell(overrun).is_err())
        });
    }

    pub(super) fn command(&mut self, shard: ShardId, action: Action) {
        let id = self.commander.next(&self.seed.context.ids);
        if self
            .commander
            .send(&self.seed.context, shard, id, action)
            .is_err()
        {
            self.dirty.insert(shard);
        }
    }

    pub(super) fn tell_supervisor(&self, message: SupervisorMessage) {
        if self.supervisor.tell(message).is_err() {
            tracing::error!(room = %self.seed.name, "the supervisor of the room does not listen");
        }
    }

    pub(super) fn tell(&mut self, peer: PeerId, message: PeerMessage) {
        let Some(mailbox) = self.peers.get(&peer) else {
            return;
        };
        if let Err(supervision::TellError::Full(_)) = mailbox.tell(message) {
            self.behind.insert(peer);
        }
    }

    /// Straight into the clients' queues: no peer is woken, and the text is made once for all.
    pub(super) fn notify(&mut self, audience: Audience, notice: &Notice) {
        if !matches!(audience, Audience::One(_)) {
            self.observe(notice.message());
        }
        self.hand(audience, notice);
    }

    fn hand(&mut self, audience: Audience, notice: &Notice) {
        match audience {
            Audience::One(peer) => self.notify_one(peer, notice),
            Audience::All => self.notify_all(None, notice),
            Audience::Except(except) => self.notify_all(Some(except), notice),
        }
    }

    fn notify_all(&mut self, except: Option<PeerId>, notice: &Notice) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers.into_iter().filter(|peer| Some(*peer) != except) {
            self.notify_one(peer, notice);
        }
    }

    fn notify_one(&mut self, peer: PeerId, notice: &Notice) {
        let member = self.state.members.get(&peer);
        let Some(record) = member.map(|member| &member.record) else {
            return;
        };
        let knows = self.peers.contains_key(&peer) && record.kind == SessionKind::WebSocket;
        if knows && record.outbox.send_shared(notice).is_err() {
            let attachment = record.attachment;
            record.outbox.close(CloseReason::SlowClient);
            self.tell(peer, PeerMessage::SocketLost { attachment });
        }
    }

    /// Does what the state has decided, in its order.
    pub(super) fn carry_out(&mut self, scope: &mut Scope<Self>) {
        for effect in self.state.take_effects() {
            match effect {
                Effect::Spawn(peer) => self.spawn(peer),
                Effect::Attach(peer) => self.attach(peer),
                Effect::Dismiss(peer, reason) => self.dismiss(peer, reason),
                Effect::Notify(audience, notice) => self.notify(audience, &notice),
                Effect::Qualities(board) => {
                    let peers: Vec<PeerId> = self.peers.keys().copied().collect();
                    for peer in peers {
                        self.tell(peer, PeerMessage::Qualities(Arc::clone(&board)));
                    }
                }
                Effect::Answer(peer, request, answer) => {
                    self.tell(peer, PeerMessage::Answer(request, answer));
                }
                Effect::MayPublish(peer, granted) => {
                    self.tell(peer, PeerMessage::MayPublish(granted));
                }
                Effect::View(view) => {
                    let peers: Vec<PeerId> = self.peers.keys().copied().collect();
                    for peer in peers {
                        self.tell(peer, PeerMessage::View(Arc::clone(&view)));
                    }
                    self.tell_egresses();
                }
                Effect::Command(shard, action) => self.command(shard, action),
                Effect::Rejoin(peer, reason) => self.tell(peer, PeerMessage::Rejoin(reason)),
                Effect::Pass(audience, notice) => self.hand(audience, &notice),
                Effect::Part(to, body) => {
                    self.tell_part(to, *body);
                }
                Effect::KeepParts => self.seed.set_parts(self.state.parts.keep()),
                Effect::KeepStage => self.keep_stage(),
                Effect::Raise(epoch) => self.seed.epoch.raise(epoch),
                Effect::Orphaned => self.tell_supervisor(SupervisorMessage::Orphaned),
                Effect::End => scope.stop(),
            }
        }
    }

    pub(super) fn dismiss(&mut self, peer: PeerId, reason: Option<CloseReason>) {
        self.joins.fail(peer);
        let mailbox = self.peers.remove(&peer);
        self.behind.remove(&peer);
        let Some(reason) = reason else {
            return;
        };
        let close = PeerMessage::Close(reason);
        let told = mailbox.is_some_and(|mailbox| mailbox.tell(close).is_ok());
        if !told {
            self.tell_supervisor(SupervisorMessage::Stop(peer));
        }
    }
}
