//! Data messages: read from a channel, signed, and handed to whom they are addressed.

use std::cell::OnceCell;
use std::time::Instant;

use media_contract::{DataTarget, Event, Fact, Subject, TransportUse};
use media_types::Identity;

use super::Shard;
use super::link::Link;
use super::waiting::{Pushed, Shared};
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
    /// The envelope for those who have to wait for it, once there is one.
    shared: OnceCell<Shared>,
}

impl<'a> Message<'a> {
    /// A message that lies, signed, in `bytes`, with its payload from `payload_at` on.
    pub(super) fn new(
        from: &'a Identity,
        to: &'a DataTarget,
        reliable: bool,
        topic: &'a str,
        bytes: &'a [u8],
        payload_at: usize,
    ) -> Self {
        Self {
            from,
            to,
            reliable,
            topic,
            bytes,
            payload: bytes.get(payload_at..).unwrap_or_default(),
            shared: OnceCell::new(),
        }
    }

    fn shared(&self) -> Shared {
        let shared = self.shared.get_or_init(|| self.bytes.into());
        Shared::clone(shared)
    }
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
        let payload_bytes = envelope.payload.len();
        let signed = envelope.write_from(&from);
        let payload_at = signed.len() - payload_bytes;
        let message = Message::new(&from, &to, reliable, &topic, &signed, payload_at);
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

    /// By the channel of its kind, else by the other one. Signalling carries it only to one who has
    /// no channel: a full channel is waited for.
    fn deliver_to(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: LinkIndex,
        message: &Message<'_>,
    ) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        let Some(channel) = link.channel_for(message.reliable) else {
            self.signal(room, index, message);
            return;
        };
        let mut pushed = Pushed::default();
        if !link.waiting.is_before(channel) && link.send_data(now, channel, message.bytes) {
            link.waiting.on_sent(channel);
        } else {
            pushed = link.waiting.push(channel, message.shared());
        }
        let subject = Subject::Transport(link.id);
        let dropped = pushed.dropped;
        self.counters.on_dropped_many(DropReason::DataFull, dropped);
        if pushed.slowed {
            self.tell(room, subject, Fact::SlowClient);
        }
        self.drain_transport(now, index);
    }

    /// Sends what waited for room in a client's channels.
    pub(super) fn flush_messages(&mut self, now: Instant, index: LinkIndex) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        if !link.waiting.is_empty() {
            let mut waiting = std::mem::take(&mut link.waiting);
            waiting.flush(|reliable, bytes| link.send_data(now, reliable, bytes));
            link.waiting = waiting;
        }
    }

    /// Tells a message to its receiver by signalling, which only a full member has.
    fn signal(&mut self, room: RoomIndex, index: LinkIndex, message: &Message<'_>) {
        let (Some(link), Some(room)) = (self.links.get(index), self.rooms.get(room)) else {
            return;
        };
        if link.settings.usage != TransportUse::Peer {
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
            let message = RelayMessage::new(room.id, room.epoch, body);
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
