//! Data messages: read from a channel, signed, and handed to whom they are addressed.

use std::time::Instant;

use media_contract::{DataTarget, Event, Fact, Subject, TransportUse};
use media_types::Identity;

use super::Shard;
use super::link::Link;
use crate::data::Envelope;
use crate::demux::LinkIndex;
use crate::error::DropReason;
use crate::relay::{RelayBody, RelayMessage};
use crate::room::RoomIndex;

/// A signed message on its way to its receivers.
pub(super) struct Message<'a> {
    pub(super) from: &'a Identity,
    pub(super) to: &'a DataTarget,
    pub(super) reliable: bool,
    pub(super) topic: &'a str,
    /// The whole envelope.
    pub(super) bytes: &'a [u8],
    /// What it carries.
    pub(super) payload: &'a [u8],
}

impl Shard {
    /// Takes a message from a client's data channel.
    pub(super) fn take_message(
        &mut self,
        now: Instant,
        index: LinkIndex,
        reliable: bool,
        bytes: &[u8],
    ) {
        let Some(link) = self.links.get(index) else {
            return;
        };
        if !link.settings.data {
            self.counters.on_dropped(DropReason::DataForbidden);
            return;
        }
        let Some(envelope) = Envelope::read(bytes, reliable) else {
            self.counters.on_dropped(DropReason::BadData);
            return;
        };
        let (room, from) = (link.room, link.settings.identity.clone());
        let (to, topic) = (envelope.to.clone(), envelope.topic.clone());
        let payload = envelope.payload;
        let signed = envelope.write_from(&from);
        let message = Message {
            from: &from,
            to: &to,
            reliable,
            topic: &topic,
            bytes: &signed,
            payload,
        };
        self.deliver(now, room, Some(index), &message);
        self.relay_message(room, &message);
    }

    /// Hands a message to its receivers on this shard.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        room: RoomIndex,
        sender: Option<LinkIndex>,
        message: &Message<'_>,
    ) {
        let Some(found) = self.rooms.get(room) else {
            return;
        };
        let receivers: Vec<_> = found
            .links
            .values()
            .copied()
            .filter(|&link| Some(link) != sender)
            .filter(|&link| {
                self.links
                    .get(link)
                    .is_some_and(|link| is_for(link, message))
            })
            .collect();
        for link in receivers {
            self.deliver_to(now, room, link, message);
        }
    }

    /// By the channel of its kind, else by the other one, else by signalling.
    fn deliver_to(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: LinkIndex,
        message: &Message<'_>,
    ) {
        let sent = self.with_transport(index, |transport| {
            let send = |transport: &mut media_webrtc::Transport, reliable| {
                transport
                    .send_data(now, reliable, message.bytes)
                    .unwrap_or(false)
            };
            send(transport, message.reliable) || (!message.reliable && send(transport, true))
        });
        self.drain_transport(now, index);
        let (Some(link), Some(room)) = (self.links.get(index), self.rooms.get(room)) else {
            return;
        };
        // Only a full member has signalling to be reached by.
        if sent == Some(true) || link.settings.usage != TransportUse::Peer {
            return;
        }
        let event = Event {
            room: room.id,
            subject: Subject::Transport(link.id),
            fact: Fact::Data {
                from: message.from.clone(),
                topic: message.topic.to_owned(),
                payload: message.payload.to_vec(),
            },
        };
        let size = message.payload.len();
        if !self
            .outbox
            .tell_data(link.id, event, size, message.reliable)
        {
            self.counters.on_dropped(DropReason::DataFull);
        }
    }

    /// Carries a message to the other shards of the room.
    fn relay_message(&mut self, room: RoomIndex, message: &Message<'_>) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        for shard in room.other_shards() {
            let body = RelayBody::Data {
                from: message.from.clone(),
                to: message.to.clone(),
                reliable: message.reliable,
                topic: message.topic.to_owned(),
                message: message.bytes.to_vec(),
                payload_at: message.bytes.len() - message.payload.len(),
            };
            let message = RelayMessage {
                room: room.id,
                body,
            };
            if !self.relays.push(shard, message) {
                self.counters.on_dropped(DropReason::RelayFull);
            }
        }
    }
}

fn is_for(link: &Link, message: &Message<'_>) -> bool {
    match message.to {
        DataTarget::Room => link.settings.identity != *message.from,
        DataTarget::Peer(identity) => link.settings.identity == *identity,
    }
}
