//! Transports: their birth, what they tell, and their end.

use std::time::Instant;

use media_contract::{Fact, LostReason, Subject, TransportSettings};
use media_types::TransportId;
use media_webrtc::{Permissions, Transport, TransportEvent, TransportSeed};

use super::link::{Link, lost_reason};
use super::{Shard, Timer, mark_dirty};
use crate::demux::LinkIndex;
use crate::room::RoomIndex;

impl Shard {
    /// Makes a transport; `None` if its library refuses.
    pub(super) fn open_transport(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TransportId,
        settings: TransportSettings,
    ) -> Option<LinkIndex> {
        let seed = self.seed();
        let ufrag = seed.ufrag.clone();
        let permissions = Permissions {
            publish: settings.publish,
            subscribe: settings.subscribe,
            // Who may not send data messages may still receive them.
            data: true,
        };
        let config = self.config.transport.allowing(&settings.codecs);
        let made = crate::guard::fence(|| Transport::new(now, &config, permissions, seed));
        let transport = made.ok()?.ok()?;
        let Self { links, wheel, .. } = self;
        let link = links.insert_with(|index| {
            let timer = wheel.register(Timer::Link(index));
            Link::new(id, room, settings, timer, transport)
        });
        self.demux.insert_ufrag(&ufrag, link);
        if let Some(room) = self.rooms.get_mut(room) {
            room.links.insert(id, link);
        }
        self.mark_dirty(link);
        Some(link)
    }

    fn seed(&mut self) -> TransportSeed {
        let shard = self.config.id;
        let mut ufrag = self.random.ufrag(shard);
        while self.demux.has_ufrag(&ufrag) {
            ufrag = self.random.ufrag(shard);
        }
        TransportSeed {
            ufrag,
            pwd: self.random.password(),
            random: self.random.next_u64(),
        }
    }

    /// Calls into a transport inside its fence; it may have something to send afterwards.
    pub(super) fn with_transport<R>(
        &mut self,
        index: LinkIndex,
        call: impl FnOnce(&mut Transport) -> R,
    ) -> Option<R> {
        let link = self.links.get_mut(index)?;
        let result = link.call(call);
        mark_dirty(link, index, &mut self.dirty);
        result
    }

    /// Hears what a transport has to tell, and notices its end.
    pub(super) fn drain_transport(&mut self, now: Instant, index: LinkIndex) {
        self.take_events(now, index);
        self.flush_messages(now, index);
        if let Some(link) = self.links.get_mut(index).filter(|link| link.lost.is_none()) {
            mark_dirty(link, index, &mut self.dirty);
        }
    }

    /// Takes what a transport has to tell; whether there was anything.
    pub(super) fn take_events(&mut self, now: Instant, index: LinkIndex) -> bool {
        let mut any = false;
        while let Some(link) = self.links.get_mut(index) {
            let Some(event) = link.call(Transport::poll_event).flatten() else {
                if link.lost.is_some() {
                    self.doomed.push(index);
                }
                break;
            };
            any = true;
            self.take_event(now, index, event);
        }
        any
    }

    fn take_event(&mut self, now: Instant, index: LinkIndex, event: TransportEvent) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        let (room, subject) = (link.room, Subject::Transport(link.id));
        match event {
            TransportEvent::Connected => {
                link.connected_at.get_or_insert(now);
                self.tell(room, subject, Fact::TransportConnected);
                self.wake(now, index);
                self.want_allocation(index);
            }
            TransportEvent::Lost(reason) => {
                link.lost.get_or_insert(lost_reason(reason));
            }
            TransportEvent::PathChanged(_) => self.tell(room, subject, Fact::PathChanged),
            TransportEvent::KeyframeRequested { slot } => {
                self.on_keyframe_requested(now, index, slot);
            }
            TransportEvent::PathBack => self.on_path_back(now, index),
            TransportEvent::Nack { slot, sequences } => {
                self.send_again(now, index, slot, &sequences);
            }
            TransportEvent::SenderReport { stream, ntp, rtp } => {
                if let Some(track) = link.known_route(stream) {
                    self.on_sender_report(room, track, stream, ntp, rtp);
                }
            }
            TransportEvent::NeedKeyframe { stream } => {
                if let Some(track) = link.known_route(stream)
                    && let Some(place) = self.stream_place(room, track, stream)
                {
                    self.on_lost(now, room, track, place);
                }
            }
            TransportEvent::Estimate(estimate) => {
                link.set_estimate(now, estimate);
                self.want_allocation(index);
            }
            TransportEvent::Data { reliable, bytes } => {
                self.take_message(now, index, reliable, &bytes);
            }
            TransportEvent::DataOpen { reliable } => {
                if let Some(open) = link.channels.get_mut(usize::from(reliable)) {
                    *open = true;
                }
            }
            // A goodbye for one stream shows as a stall if nothing follows.
            TransportEvent::StreamEnded { .. } | _ => {}
        }
    }

    /// Ends a transport that was lost, with all that it published and showed, and tells of it.
    pub(super) fn bury(&mut self, index: LinkIndex) {
        self.fan_out_all();
        let Some(link) = self.links.get(index) else {
            return;
        };
        let Some(reason) = link.lost else {
            return;
        };
        let (room, subject) = (link.room, Subject::Transport(link.id));
        if reason == LostReason::Crashed {
            self.counters.crashed += 1;
            tracing::error!("a transport crashed inside its fence");
        }
        self.remove_transport(index);
        self.tell(room, subject, Fact::TransportLost { reason });
    }

    /// Ends a transport on command: it says goodbye at the next transmission.
    pub(super) fn close_transport(&mut self, now: Instant, index: LinkIndex) {
        if let Some(mut link) = self.remove_transport(index) {
            link.call(|transport| transport.close(now));
            self.farewells.push(link);
        }
    }

    /// Takes a transport out of everything.
    fn remove_transport(&mut self, index: LinkIndex) -> Option<Link> {
        let link = self.links.get(index)?;
        let room = link.room;
        let published: Vec<_> = link
            .published
            .iter()
            .map(|published| published.track)
            .collect();
        let slots: Vec<_> = link.slots.iter().flatten().map(|slot| slot.index).collect();
        for slot in slots {
            self.empty_slot(index, slot);
        }
        for track in published {
            self.end_published(room, index, track);
        }
        self.demux.remove(index);
        let link = self.links.remove(index)?;
        self.wheel.unregister(link.timer);
        if let Some(room) = self.rooms.get_mut(room) {
            room.links.remove(&link.id);
        }
        Some(link)
    }
}
