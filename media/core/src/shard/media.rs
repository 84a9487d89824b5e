//! A packet's way through a room: into its track, out to its subscribers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{Codec, NtpTime};
use media_webrtc::{SendPacket, SlotIndex, StreamIndex, TransmitBatch};

use super::deadline::Wheel;
use super::link::Link;
use super::{Shard, Timer, mark_dirty};
use crate::demux::LinkIndex;
use crate::error::DropReason;
use crate::forward::Forwarder;
use crate::relay::{RelayBody, RelayMessage, RelayOut, RelayPacket};
use crate::room::{RoomIndex, TrackIndex};
use crate::slab::Slab;
use crate::stats::{Counters, count};
use crate::track::keyframe::Urgency;
use crate::track::{Arrival, Publisher, Stream, Subscription, Taken, Track};

/// A round trip that is taken for granted before one was measured.
const RTT_ASSUMED: Duration = Duration::from_millis(50);

/// Where subscribers' packets go: the shard in parts.
pub(super) struct Exits<'a> {
    pub(super) links: &'a mut Slab<Link>,
    pub(super) dirty: &'a mut VecDeque<LinkIndex>,
    pub(super) doomed: &'a mut Vec<LinkIndex>,
    pub(super) counters: &'a mut Counters,
    /// Where packets leave at once, if somebody waits for them.
    pub(super) out: Option<&'a mut TransmitBatch>,
}

impl Exits<'_> {
    fn send(&mut self, now: Instant, index: LinkIndex, packet: SendPacket) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        self.counters.on_packet_out(packet.codec.kind());
        let sent = match self.out.as_deref_mut() {
            Some(out) => {
                let before = out.bytes();
                let sent = link.call(|transport| transport.send_through(now, packet, out));
                self.counters.bytes_out += count(out.bytes().saturating_sub(before));
                sent
            }
            None => link.call(|transport| transport.send(now, packet)),
        };
        if sent.is_none() {
            self.doomed.push(index);
        }
        mark_dirty(link, index, self.dirty);
    }

    /// Fetches what serving a subscription needs, while another is served.
    pub(super) fn touch(&self, subscription: Option<&Subscription>) {
        let Some(subscription) = subscription.filter(|it| it.awake) else {
            return;
        };
        std::hint::black_box(subscription.forwarder.touch());
        if let Some(link) = self.links.get(subscription.link) {
            link.peek(|transport| transport.touch(subscription.slot));
        }
    }

    /// Tells a slot's transport how the clock of a fed track goes with ours: the frames of sound
    /// and picture may have been on their way for different times.
    fn pin_clock(&mut self, now: Instant, link: LinkIndex, slot: SlotIndex, clock: SenderClock) {
        if let Some(link) = self.links.get_mut(link) {
            link.call(|transport| transport.pin_clock(now, slot, clock));
        }
    }

    /// Sends what a link has to send, while it is at hand. What is left, or has to be heard of it,
    /// comes with the others that have something to send. Whether there is no room for more.
    pub(super) fn transmit(
        &mut self,
        now: Instant,
        index: LinkIndex,
        wheel: &mut Wheel<Timer>,
    ) -> bool {
        let Some(out) = self.out.as_deref_mut() else {
            return false;
        };
        // Others wait for longer than who is not the last.
        if self.dirty.back() != Some(&index) {
            return out.is_full();
        }
        let Some(link) = self.links.get_mut(index) else {
            return out.is_full();
        };
        let before = out.bytes();
        let rest = link.call(|transport| {
            transport.poll_transmit(now, out);
            (transport.has_events(), transport.poll_timeout())
        });
        self.counters.bytes_out += count(out.bytes().saturating_sub(before));
        let Some((told, timeout)) = rest else {
            return out.is_full();
        };
        if let Some(at) = timeout {
            wheel.set_by(link.timer, at);
        }
        if !told && !out.is_full() {
            link.dirty = false;
            self.dirty.pop_back();
        }
        out.is_full()
    }
}

impl Shard {
    /// Takes a packet of a track, from its publisher or by relay, to all who show it.
    pub(super) fn take_arrival(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let known = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        let stream = known.and_then(|track| track.stream(arrival.stream));
        if !stream.is_some_and(|stream| stream.is_continued(arrival)) {
            self.fan_out_all();
        }
        let track = self
            .rooms
            .get_mut(room)
            .and_then(|room| room.tracks.get_mut(index));
        let track = track.ok_or(DropReason::Unpublished)?;
        let taken = track.take(now, arrival, &mut self.next_source)?;
        if taken.keyframe {
            forget_lost(&mut self.links, track.publisher, arrival);
        }
        self.relay_packet(now, room, index, arrival);
        if taken.started {
            self.tell_started(room, index);
        }
        if taken.reallocate {
            self.reallocate_subscribers(now, room, index);
            self.relay_layers(now, room, index);
        }
        let tapped = self.is_tapped(room, index);
        self.defer(now, room, index, taken);
        if tapped || taken.started || taken.reallocate {
            self.fan_out_all();
        }
        if taken.started || taken.reallocate {
            self.tell_slots_of(room, index);
            self.request_awaited(now, room, index, Urgency::Join);
        }
        Ok(())
    }

    /// Whether somebody reads the track without waiting for what is sent.
    fn is_tapped(&self, room: RoomIndex, index: TrackIndex) -> bool {
        let track = self.rooms.get(room).and_then(|room| room.tracks.get(index));
        track.is_some_and(|track| !track.taps.is_empty())
    }

    /// Copies a packet to the shards that want its track.
    fn relay_packet(
        &mut self,
        now: Instant,
        room: RoomIndex,
        index: TrackIndex,
        arrival: &Arrival,
    ) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        let Some(track) = room.tracks.get(index) else {
            return;
        };
        let crosses = |relay: &&RelayOut| relay.wanted(now).contains(arrival.stream);
        for relay in track.relays.iter().filter(crosses) {
            let Some(packet) = RelayPacket::copy_of(arrival) else {
                continue;
            };
            let body = RelayBody::Packet {
                track: track.id,
                packet: Box::new(packet),
            };
            let message = RelayMessage::new(room.id, room.epoch, body);
            if !self.relays.push(relay.to, message) {
                self.counters.on_dropped(DropReason::RelayFull);
            }
        }
    }

    /// A subscriber's decoder needs a keyframe.
    pub(super) fn on_keyframe_requested(&mut self, now: Instant, link: LinkIndex, slot: SlotIndex) {
        let Some((room, index)) = self.showing(link, slot) else {
            return;
        };
        let needed = self.with_forwarder(link, slot, |forwarder| {
            forwarder.on_keyframe_requested();
            forwarder.repairs().or_else(|| forwarder.awaits())
        });
        if let Some(stream) = needed.flatten() {
            self.want_keyframe(now, room, index, stream, Urgency::Repair);
        }
    }

    /// A client's path carries again: repairs of what was lost meanwhile would only delay the
    /// keyframes that it needs.
    pub(super) fn on_path_back(&mut self, now: Instant, link: LinkIndex) {
        let slots = self.links.get(link).map_or(0, |link| link.slots.len());
        let slots = (0..slots).filter_map(|slot| u16::try_from(slot).ok());
        for slot in slots.map(SlotIndex) {
            self.with_forwarder(link, slot, Forwarder::on_outage);
            self.on_keyframe_requested(now, link, slot);
        }
    }

    /// Everybody who shows this encoding needs a keyframe.
    pub(super) fn want_repair(&mut self, room: RoomIndex, index: TrackIndex, stream: u8) {
        let track = self
            .rooms
            .get_mut(room)
            .and_then(|room| room.tracks.get_mut(index));
        let subscriptions = track.into_iter().flat_map(|track| &mut track.subscriptions);
        for Subscription { forwarder, .. } in subscriptions {
            if forwarder.source_stream() == Some(stream) {
                forwarder.on_keyframe_requested();
            }
        }
    }

    /// Answers a NACK from the track's history.
    pub(super) fn send_again(
        &mut self,
        now: Instant,
        index: LinkIndex,
        slot: SlotIndex,
        sequences: &[u16],
    ) {
        let rtt = self
            .links
            .get(index)
            .and_then(|link| link.peek(|t| t.rtt()).flatten());
        let rtt = rtt.unwrap_or(RTT_ASSUMED);
        for &missing in sequences {
            let Some((room, track)) = self.showing(index, slot) else {
                return;
            };
            let position = self.position(index, slot);
            let Some(track) = self
                .rooms
                .get_mut(room)
                .and_then(|room| room.tracks.get_mut(track))
            else {
                return;
            };
            let again = position.and_then(|position| resend(now, track, position, missing, rtt));
            if let Some(packet) = again {
                self.counters.retransmitted_out += 1;
                self.with_transport(index, |transport| transport.send(now, packet));
            }
        }
    }

    /// The place of a transport's stream among its track's encodings.
    pub(super) fn stream_place(
        &self,
        room: RoomIndex,
        index: TrackIndex,
        stream: StreamIndex,
    ) -> Option<u8> {
        let track = self.rooms.get(room)?.tracks.get(index)?.sent_here();
        let places = (0..).zip(&track.streams);
        let mut found = places.filter(|(_, known)| {
            known
                .as_ref()
                .is_some_and(|known| known.index == Some(stream))
        });
        found.next().map(|(place, _)| place)
    }

    /// Keeps a publisher's clocks, which align its encodings with each other.
    pub(super) fn on_sender_report(
        &mut self,
        room: RoomIndex,
        index: TrackIndex,
        stream: StreamIndex,
        ntp: NtpTime,
        rtp: u32,
    ) {
        let clock = SenderClock {
            ntp,
            timestamp: RtpTimestamp(rtp),
        };
        let Some(place) = self.stream_place(room, index, stream) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(track) = room.tracks.get_mut(index) else {
            return;
        };
        let sent = track.sent_here_mut();
        if let Some(Some(stream)) = sent.streams.get_mut(usize::from(place)) {
            stream.clock = Some(clock);
        }
        // A successor has no relays yet.
        for relay in &sent.relays {
            let body = RelayBody::Clock {
                track: sent.id,
                stream: place,
                clock,
            };
            let message = RelayMessage::new(room.id, room.epoch, body);
            self.relays.push(relay.to, message);
        }
    }

    /// Works on the forwarder of a filled slot.
    pub(super) fn with_forwarder<R>(
        &mut self,
        link: LinkIndex,
        slot: SlotIndex,
        work: impl FnOnce(&mut Forwarder) -> R,
    ) -> Option<R> {
        let (room, index) = self.showing(link, slot)?;
        let position = self.position(link, slot)?;
        let track = self.rooms.get_mut(room)?.tracks.get_mut(index)?;
        let subscription = track.subscriptions.get_mut(position)?;
        Some(work(&mut subscription.forwarder))
    }

    /// Which track a slot shows.
    pub(super) fn showing(
        &self,
        link: LinkIndex,
        slot: SlotIndex,
    ) -> Option<(RoomIndex, TrackIndex)> {
        let link = self.links.get(link)?;
        let filled = link.slot(slot)?.filled.as_ref()?;
        Some((link.room, filled.index))
    }

    pub(super) fn position(&self, link: LinkIndex, slot: SlotIndex) -> Option<usize> {
        let filled = self.links.get(link)?.slot(slot)?.filled.as_ref()?;
        Some(filled.position)
    }
}

/// A keyframe has begun: what its publisher lost before is of no use to anybody any more.
pub(super) fn forget_lost(links: &mut Slab<Link>, publisher: Publisher, arrival: &Arrival) {
    if let Publisher::Local { link, .. } = publisher
        && let Some(stream) = arrival.index
        && let Some(link) = links.get_mut(link)
    {
        link.call(|transport| transport.on_keyframe(stream, arrival.sequence));
    }
}

/// Forwards one packet to one subscription. When it starts there, what came out of order before it
/// follows at once: nobody else would send it. Whether it started.
pub(super) fn forward(
    now: Instant,
    streams: &[Option<Box<Stream>>],
    taken: Taken,
    subscription: &mut Subscription,
    exits: &mut Exits<'_>,
) -> bool {
    let stream = streams.get(usize::from(taken.stream));
    let Some(stream) = stream.and_then(Option::as_deref) else {
        return false;
    };
    let Some(packet) = stream.history.get(taken.sequence) else {
        return false;
    };
    let origin = stream.origin(taken.stream);
    let align = |from| alignment(streams, stream, from);
    let forwarder = &mut subscription.forwarder;
    let part = stream.part(taken.sequence);
    let Some(forwarded) = forwarder.forward(now, origin, packet, part, align) else {
        return false;
    };
    let (slot, timestamp) = (forwarded.packet.slot, forwarded.packet.timestamp);
    exits.send(now, subscription.link, forwarded.packet);
    if let Some(clock) = stream.clock_of(packet, timestamp) {
        exits.pin_clock(now, subscription.link, slot, clock);
    }
    if forwarded.started {
        for later in stream.history.since(taken.sequence + 1) {
            let part = stream.part(later.sequence);
            if let Some(forwarded) = forwarder.forward(now, origin, later, part, align) {
                exits.send(now, subscription.link, forwarded.packet);
            }
        }
    }
    forwarded.started
}

/// What to add to a timestamp of `to` to get that of the stream with the source `from` for the same
/// moment, by the publisher's sender reports.
pub(crate) fn alignment(streams: &[Option<Box<Stream>>], to: &Stream, from: u32) -> Option<u32> {
    let from = streams
        .iter()
        .flatten()
        .find(|stream| stream.source == from)?;
    // Encodings of one track share a kind, and all video has one clock rate.
    Some(to.clock?.offset_to(from.clock?, Codec::Vp8.clock_rate()))
}

fn resend(
    now: Instant,
    track: &mut Track,
    position: usize,
    missing: u16,
    rtt: Duration,
) -> Option<SendPacket> {
    let Track {
        streams,
        subscriptions,
        ..
    } = track;
    let forwarder = &mut subscriptions.get_mut(position)?.forwarder;
    let found = forwarder.find(now, missing, rtt)?;
    let stream = streams.get(usize::from(found.sent.stream))?.as_deref()?;
    let packet = stream.history.get(found.sent.in_seq)?;
    Some(forwarder.resend(stream.origin(found.sent.stream), found, packet))
}
