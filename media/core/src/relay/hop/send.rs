//! The outward half: packets paced by what the path carries, and those sent again.

use std::time::{Duration, Instant};

use media_bwe::{GccEstimator, Pacer, PacketReport, Priority};
use media_types::{Bitrate, DataSize, Epoch, MediaKind};

use super::HopConfig;
use super::datagram::{OVERHEAD, Part, write_padding, write_unit};
use crate::limits::{
    HOP_DATAGRAM_MIN, HOP_OFFERED_PERIOD, HOP_QUEUE_MAX, HOP_RING, HOP_RING_AGE, HOP_WAIT_MAX,
};
use crate::relay::RelayPacket;
use crate::relay::wire::Writer;

/// What a datagram costs beside its bytes: IPv6, UDP, QUIC's header, frame and tag.
const PATH_OVERHEAD: usize = 40 + 8 + 12 + 3 + 16;
/// The estimate is to carry so much of what is offered, in percent, and
const WANTED_PERCENT: u64 = 150;
/// so much besides: a track that is about to begin.
const WANTED_MORE: Bitrate = Bitrate::from_kbps(5_000);

/// A packet with its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) label: u32,
    pub(super) epoch: Epoch,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
enum Item {
    First { part: Part, body: Vec<u8> },
    Again(u32),
}

/// What became of a packet.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pushed {
    pub(super) packets: u8,
    pub(super) split: bool,
    pub(super) dropped: u8,
}

/// A datagram that may be wanted again.
#[derive(Debug)]
struct Kept {
    number: u32,
    at: Instant,
    part: Part,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Outward {
    pacer: Pacer<Item>,
    estimator: GccEstimator,
    datagram_max: usize,
    next_number: u32,
    next_join: u16,
    ring: Vec<Option<Kept>>,
    /// Bytes that were pushed since then.
    offered: (Instant, u64),
    overdue: u64,
}

impl Outward {
    pub(super) fn new(now: Instant, config: HopConfig) -> Self {
        let estimator = GccEstimator::new(config.estimator);
        Self {
            pacer: Pacer::new(now, config.estimator.start, HOP_QUEUE_MAX),
            estimator,
            datagram_max: config.datagram_max.max(HOP_DATAGRAM_MIN),
            next_number: 0,
            next_join: 0,
            ring: Vec::new(),
            offered: (now, 0),
            overdue: 0,
        }
    }

    pub(super) fn set_datagram_max(&mut self, bytes: usize) {
        self.datagram_max = bytes.max(HOP_DATAGRAM_MIN);
    }

    pub(super) const fn datagram_max(&self) -> usize {
        self.datagram_max
    }

    /// Queues a packet, in two halves where it does not fit into one datagram.
    pub(super) fn push(
        &mut self,
        now: Instant,
        label: u32,
        epoch: Epoch,
        packet: &RelayPacket,
    ) -> Pushed {
        let mut body = Vec::with_capacity(packet.payload().len() + OVERHEAD);
        packet.write(&mut Writer(&mut body));
        self.note_offered(now, body.len());
        let priority = match packet.codec().kind() {
            MediaKind::Audio => Priority::Audio,
            MediaKind::Video => Priority::Video,
        };
        let room = self.datagram_max.saturating_sub(OVERHEAD);
        let mut pushed = Pushed {
            packets: 1,
            ..Pushed::default()
        };
        if body.len() <= room {
            let part = Part::Whole { label, epoch };
            pushed.dropped += u8::from(self.queue(now, priority, part, body));
            return pushed;
        }
        if body.len() > 2 * room {
            pushed.dropped += 1;
            return pushed;
        }
        self.next_join = self.next_join.wrapping_add(1);
        let join = self.next_join;
        let tail = body.split_off(body.len() / 2);
        pushed.split = true;
        let head = Part::Head { join, label, epoch };
        pushed.dropped += u8::from(self.queue(now, priority, head, body));
        let tail_dropped = self.queue(now, priority, Part::Tail { join }, tail);
        pushed.dropped += u8::from(tail_dropped);
        pushed
    }

    /// Queues one datagram; whether one was dropped for it.
    fn queue(&mut self, now: Instant, priority: Priority, part: Part, body: Vec<u8>) -> bool {
        let size = size_of(body.len() + OVERHEAD);
        let item = Item::First { part, body };
        self.pacer.push(now, priority, size, item).is_some()
    }

    /// How much is offered, so that the estimate probes that far.
    fn note_offered(&mut self, now: Instant, bytes: usize) {
        let (since, sum) = &mut self.offered;
        *sum = sum.saturating_add(u64::try_from(bytes + PATH_OVERHEAD).unwrap_or(0));
        let elapsed = now.saturating_duration_since(*since);
        if elapsed >= HOP_OFFERED_PERIOD {
            let rate = Bitrate::of(DataSize::from_bytes(*sum), elapsed);
            let wanted = rate.percent(WANTED_PERCENT).saturating_add(WANTED_MORE);
            self.estimator.set_wanted(now, wanted);
            self.offered = (now, 0);
        }
    }

    /// The far side tells what came.
    pub(super) fn on_feedback(&mut self, now: Instant, reports: &[PacketReport]) {
        self.estimator.on_feedback(now, reports.iter().copied());
    }

    /// The far side wants datagrams again; how many it will get.
    pub(super) fn on_nack(&mut self, now: Instant, rtt: Duration, numbers: &[u32]) -> u64 {
        let mut queued = 0;
        for &number in numbers {
            let Some(kept) = self.kept_mut(number) else {
                continue;
            };
            let age = now.saturating_duration_since(kept.at);
            if age >= HOP_RING_AGE || age < rtt / 2 {
                continue;
            }
            let size = size_of(kept.body.len() + OVERHEAD);
            let item = Item::Again(number);
            let priority = Priority::Retransmission;
            queued += u64::from(self.pacer.push(now, priority, size, item).is_none());
        }
        queued
    }

    /// Writes the next datagram that may leave; whether there is one.
    pub(super) fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if let Some(cluster) = self.estimator.poll_probe(now) {
            self.pacer.start_probe(now, cluster);
        }
        self.pacer.set_rate(self.estimator.pacing_rate(now));
        if self.pacer.queue_delay(now) > HOP_WAIT_MAX {
            let before = self.pacer.len();
            self.pacer.retain(|item| matches!(item, Item::Again(_)));
            let dropped = before.saturating_sub(self.pacer.len());
            self.overdue += u64::try_from(dropped).unwrap_or(0);
        }
        while let Some(departure) = self.pacer.pop_next(now) {
            let (number, part, body) = match departure.item {
                Item::First { part, body } => {
                    let number = self.next_number;
                    self.next_number = number.wrapping_add(1);
                    (number, part, body)
                }
                Item::Again(number) => match self.take_kept(number) {
                    Some(kept) => (number, kept.part, kept.body),
                    None => continue,
                },
            };
            let size = size_of(body.len() + OVERHEAD);
            let transport_sequence = match departure.probe {
                Some(probe) => self.estimator.on_probe_sent(now, size, probe),
                None => self.estimator.on_sent(now, size),
            };
            write_unit(out, transport_sequence, number, &part, &body);
            self.keep(Kept {
                number,
                at: now,
                part,
                body,
            });
            return true;
        }
        let Some((_, probe)) = self.pacer.poll_padding(now) else {
            return false;
        };
        let size = size_of(self.datagram_max);
        let transport_sequence = self.estimator.on_probe_sent(now, size, probe);
        self.pacer.on_padding(now, size);
        write_padding(out, transport_sequence, self.datagram_max);
        true
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = [self.pacer.poll_timeout(), self.estimator.poll_timeout(now)];
        due.into_iter().flatten().min()
    }

    pub(super) fn estimate(&self, now: Instant) -> Bitrate {
        self.estimator.estimate(now)
    }

    pub(super) const fn feedback_rtt(&self) -> Option<Duration> {
        self.estimator.feedback_rtt()
    }

    /// Datagrams that waited too long.
    pub(super) const fn overdue(&self) -> u64 {
        self.overdue
    }

    fn keep(&mut self, kept: Kept) {
        if self.ring.is_empty() {
            self.ring.resize_with(HOP_RING, || None);
        }
        let place = place_of(kept.number);
        if let Some(slot) = self.ring.get_mut(place) {
            *slot = Some(kept);
        }
    }

    fn kept_mut(&mut self, number: u32) -> Option<&mut Kept> {
        let slot = self.ring.get_mut(place_of(number))?.as_mut();
        slot.filter(|kept| kept.number == number)
    }

    fn take_kept(&mut self, number: u32) -> Option<Kept> {
        self.kept_mut(number)?;
        self.ring.get_mut(place_of(number))?.take()
    }
}

fn place_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(0) % HOP_RING
}

fn size_of(bytes: usize) -> DataSize {
    DataSize::from_bytes(u64::try_from(bytes + PATH_OVERHEAD).unwrap_or(u64::MAX))
}
