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
        let audience = match &to {
            Address::Peer(identity) => match self.identities.get(identity) {
                Some(target) => Audience::One(*target),
                None => return Err(ErrorType::NotFound.into()),
            },
            Address::Room => Audience::Except(peer),
            Address::OtherRoom(_) => return Err(ErrorType::Unsupported.into()),
        };
        let delivered = self.reached(audience);
        let message = ServerMessage::Message(MessageParams {
            from,
            to,
            topic,
            payload,
        });
        self.notify(audience, message);
        Ok(SendResult { delivered })
    }

    /// A message from outside the room; tells how many it was handed to.
    pub(crate) fn deliver(&mut self, letter: Letter) -> u32 {
        let audience = match &letter.to {
            Address::Peer(identity) => match self.identities.get(identity) {
                Some(target) => Audience::One(*target),
                None => return 0,
            },
            Address::Room | Address::OtherRoom(_) => Audience::All,
        };
        let delivered = self.reached(audience);
        let message = ServerMessage::Message(MessageParams {
            from: letter.from,
            to: letter.to,
            topic: letter.topic,
            payload: letter.payload,
        });
        self.notify(audience, message);
        delivered
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
