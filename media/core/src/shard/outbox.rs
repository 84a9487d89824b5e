//! What the shard tells, until somebody takes it.
//!
//! Facts are coalesced: one place per (room, subject, kind), where a newer fact replaces an older
//! one that nobody has taken. Answers and data messages are never replaced; they keep their order
//! among the facts and have bounds of their own.

use std::collections::{BTreeMap, VecDeque};

use media_contract::{Event, Fact, Subject};
use media_types::{RoomId, TransportId};

use crate::limits::{ANSWERS_MAX, DATA_BYTES_PER_TRANSPORT_MAX, DATA_MESSAGES_PER_TRANSPORT_MAX};

/// Facts of one kind replace each other; opposites share a kind, so that the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Life,
    Path,
    Liveness,
    Slot,
    Speakers,
    Bandwidth,
    Wanted,
    Keyframe,
    Epoch,
    SlowClient,
    Figures,
}

fn kind_of(fact: &Fact) -> Option<Kind> {
    match fact {
        Fact::TransportConnected | Fact::TransportLost { .. } => Some(Kind::Life),
        Fact::PathChanged => Some(Kind::Path),
        Fact::TrackStarted { .. } | Fact::TrackStalled => Some(Kind::Liveness),
        Fact::SlotChanged { .. } => Some(Kind::Slot),
        Fact::SpeakersChanged { .. } => Some(Kind::Speakers),
        Fact::BandwidthChanged { .. } => Some(Kind::Bandwidth),
        Fact::LayersWanted { .. } => Some(Kind::Wanted),
        Fact::KeyframeWanted => Some(Kind::Keyframe),
        Fact::NewerEpoch { .. } => Some(Kind::Epoch),
        Fact::TapEnded => Some(Kind::Life),
        Fact::SlowClient => Some(Kind::SlowClient),
        Fact::Figures(_) | Fact::ShardFigures(_) | Fact::IngestFigures(_) => Some(Kind::Figures),
        Fact::Done { .. }
        | Fact::Negotiated { .. }
        | Fact::Refused { .. }
        | Fact::Described { .. }
        | Fact::Data { .. }
        | _ => None,
    }
}

type Key = (RoomId, Subject, Kind);

#[derive(Debug)]
enum Entry {
    /// The fact is in `facts`.
    Fact(Key),
    Answer(Box<Event>),
    /// The oldest message of this transport's queue.
    Data(TransportId),
}

#[derive(Debug, Default)]
struct DataQueue {
    messages: VecDeque<(Event, usize)>,
    bytes: usize,
}

/// Events in the order in which they first happened.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    order: VecDeque<Entry>,
    facts: BTreeMap<Key, Event>,
    data: BTreeMap<TransportId, DataQueue>,
    answers: usize,
}

impl Outbox {
    /// Adds an answer to a command.
    pub(crate) fn answer(&mut self, event: Event) {
        self.answers += 1;
        self.order.push_back(Entry::Answer(Box::new(event)));
    }

    /// Adds a fact, in the place of an older one of its kind if that still waits.
    pub(crate) fn tell(&mut self, room: RoomId, subject: Subject, fact: Fact) {
        let Some(kind) = kind_of(&fact) else {
            self.answer(Event {
                room,
                subject,
                fact,
            });
            return;
        };
        let key = (room, subject, kind);
        let event = Event {
            room,
            subject,
            fact,
        };
        if self.facts.insert(key, event).is_none() {
            self.order.push_back(Entry::Fact(key));
        }
    }

    /// Adds a data message for a transport's signalling. Where the queue is full, a lossy message
    /// takes the oldest one's place; a reliable one is refused with `false`.
    pub(crate) fn tell_data(
        &mut self,
        to: TransportId,
        event: Event,
        bytes: usize,
        reliable: bool,
    ) -> bool {
        let queue = self.data.entry(to).or_default();
        let full = |queue: &DataQueue| {
            queue.messages.len() >= DATA_MESSAGES_PER_TRANSPORT_MAX
                || queue.bytes + bytes > DATA_BYTES_PER_TRANSPORT_MAX
        };
        if reliable && full(queue) {
            return false;
        }
        while full(queue) {
            let Some((_, dropped)) = queue.messages.pop_front() else {
                return false;
            };
            queue.bytes -= dropped;
        }
        queue.messages.push_back((event, bytes));
        queue.bytes += bytes;
        self.order.push_back(Entry::Data(to));
        true
    }

    /// Whether so many answers wait that no further command should be handed in.
    pub(crate) fn is_congested(&self) -> bool {
        self.answers >= ANSWERS_MAX
    }

    /// Takes the next event.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        while let Some(entry) = self.order.pop_front() {
            let event = match entry {
                Entry::Fact(key) => self.facts.remove(&key),
                Entry::Answer(event) => {
                    self.answers -= 1;
                    Some(*event)
                }
                Entry::Data(to) => self.pop_data(to),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// An entry without a message is one whose message made room for a newer one.
    fn pop_data(&mut self, to: TransportId) -> Option<Event> {
        let queue = self.data.get_mut(&to)?;
        let (event, bytes) = queue.messages.pop_front()?;
        queue.bytes -= bytes;
        if queue.messages.is_empty() {
            self.data.remove(&to);
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests;
