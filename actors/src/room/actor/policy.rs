//! What operators switch while the room runs.

use std::time::Instant;

use media_types::PeerId;
use signaling::server_message::EndpointsParams;
use signaling::{ErrorType, RequestId, RpcError, ServerMessage};

use super::Room;
use crate::peer::PeerMessage;
use crate::room::message::{Audience, Speech};
use crate::room::state::Effect;

impl Room {
    /// Passes on what somebody says, unless chat is switched off.
    pub(super) fn say(
        &mut self,
        now: Instant,
        peer: PeerId,
        request: Option<RequestId>,
        speech: Speech,
    ) {
        let chats = matches!(speech, Speech::Chat(_) | Speech::React(_));
        let policy = &self.seed.context.config.hooks.policy;
        let member = self.state.members.get(&peer);
        let silent = |identity| !policy.may_chat(&self.seed.name, identity);
        if chats && member.is_some_and(|member| silent(&member.record.identity)) {
            let error = RpcError::with_message(ErrorType::Unavailable, "chat is switched off");
            let answer = Effect::Answer(peer, request, Err(error));
            self.state.effects.push(answer);
            return;
        }
        let stamp = self.stamp();
        self.state.say(now, peer, request, speech, stamp);
    }

    /// Everybody asks anew how much video it may receive.
    pub(super) fn policy_changed(&mut self) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.tell(peer, PeerMessage::Policy);
        }
    }

    /// Everybody hears where to reconnect should this worker die.
    pub(super) fn endpoints_changed(&mut self) {
        let endpoints = self.seed.context.endpoints();
        let message = ServerMessage::Endpoints(EndpointsParams { endpoints });
        self.state.notify(Audience::All, message);
    }

    /// Lets the world outside hear what the members are told.
    pub(super) fn observe(&self, message: &ServerMessage) {
        let observer = &self.seed.context.config.hooks.observer;
        observer.told(&self.seed.name, self.seed.epoch.get(), message);
    }
}
