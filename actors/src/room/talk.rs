//! What peers say: chat, reactions, messages.

use std::time::Instant;

use media_types::{Identity, PeerId};
use serde_json::Value;
use signaling::server_message::{
    ChatNotice, ChatResult, MessageParams, ReactionsParams, Reply, SendResult,
};
use signaling::view::Reaction;
use signaling::{Address, ErrorType, RequestId, RpcError, ServerMessage};

use super::message::{Audience, Letter, Speech};
use super::state::{Effect, RoomState};
use crate::limits::{REACTION_KINDS_MAX, REACTIONS_PERIOD};
use crate::session::SessionKind;

/// What the room cannot make by itself.
pub(crate) struct Stamp {
    /// The id of a chat message.
    pub(crate) message_id: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) at: u64,
}

impl RoomState {
    /// A peer says something; its grant has been checked.
    pub(crate) fn say(
        &mut self,
        now: Instant,
        peer: PeerId,
        request: Option<RequestId>,
        speech: Speech,
        stamp: Stamp,
    ) {
        let Some(member) = self.members.get(&peer) else {
            return;
        };
        let from = member.record.identity.clone();
        let answer = match speech {
            Speech::Chat(text) => Ok(self.chat(from, text, stamp).into()),
            Speech::React(kind) => {
                self.react(now, kind);
                Ok(Reply::EMPTY)
            }
            Speech::Send { to, topic, payload } => {
                self.send(peer, from, to, topic, payload).map(Into::into)
            }
        };
        self.effects.push(Effect::Answer(peer, request, answer));
    }

    fn chat(&mut self, from: Identity, text: String, stamp: Stamp) -> ChatResult {
        let Stamp { message_id, at } = stamp;
        let notice = ServerMessage::Chat(ChatNotice {
            message_id: message_id.clone(),
            from,
            text,
            at,
        });
        self.say_far(None, &notice);
        self.notify(Audience::All, notice);
        ChatResult { message_id, at }
    }

    fn react(&mut self, now: Instant, kind: String) {
        if self.reactions.len() < REACTION_KINDS_MAX || self.reactions.contains_key(&kind) {
            let count = self.reactions.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
        self.reactions_due.get_or_insert(now + REACTIONS_PERIOD);
    }

    pub(super) fn flush_reactions(&mut self) {
        self.reactions_due = None;
        let reactions: Vec<Reaction> = std::mem::take(&mut self.reactions)
            .into_iter()
            .map(|(kind, count)| Reaction { kind, count })
            .collect();
        let message = ServerMessage::Reactions(ReactionsParams { reactions });
        self.say_far(None, &message);
        self.notify(Audience::All, message);
    }

    fn send(
        &mut self,
        peer: PeerId,
        from: Identity,
        to: Address,
        topic: String,
        payload: Value,
    ) -> Result<SendResult, RpcError> {
        if let Address::OtherRoom(_) = to {
            return Err(ErrorType::Unsupported.into());
        }
        let message = MessageParams {
            from,
            to,
            topic,
            payload,
        };
        match self.post(Audience::Except(peer), message) {
            Some(delivered) => Ok(SendResult { delivered }),
            None => Err(ErrorType::NotFound.into()),
        }
    }

    /// Hands a message to whom it is addressed, `room` for all of the room, at whatever part; how
    /// many that are. `None`: there is nobody of that name.
    fn post(&mut self, room: Audience, message: MessageParams) -> Option<u32> {
        let near = match &message.to {
            Address::Peer(identity) => {
                let near = self.identities.get(identity).copied();
                if near.is_none() && !self.parts.peers.contains_key(identity) {
                    return None;
                }
                near.map(Audience::One)
            }
            Address::Room | Address::OtherRoom(_) => Some(room),
        };
        let far = match &message.to {
            Address::Peer(identity) => near.is_none().then(|| Some(identity.clone())),
            Address::Room | Address::OtherRoom(_) => Some(None),
        };
        let message = ServerMessage::Message(message);
        let mut delivered = 0;
        if let Some(to) = far {
            delivered = match to {
                Some(_) => 1,
                None => self.parts.count(),
            };
            self.say_far(to, &message);
        }
        let delivered = u32::try_from(delivered).unwrap_or(u32::MAX);
        let reached = near.map_or(0, |audience| self.reached(audience));
        if let Some(audience) = near {
            self.notify(audience, message);
        }
        Some(reached.saturating_add(delivered))
    }

    /// A message from outside the room; tells how many it was handed to.
    pub(crate) fn deliver(&mut self, letter: Letter) -> u32 {
        let message = MessageParams {
            from: letter.from,
            to: letter.to,
            topic: letter.topic,
            payload: letter.payload,
        };
        self.post(Audience::All, message).unwrap_or(0)
    }

    /// Members with signalling that a notification reaches.
    fn reached(&self, audience: Audience) -> u32 {
        let listens = |peer: &PeerId| match audience {
            Audience::All => true,
            Audience::Except(except) => *peer != except,
            Audience::One(one) => *peer == one,
        };
        let members = self
            .members
            .iter()
            .filter(|(peer, member)| listens(peer) && member.record.kind == SessionKind::WebSocket);
        u32::try_from(members.count()).unwrap_or(u32::MAX)
    }
}
