//! Figures: read once a second, told by value.

use std::time::Instant;

use media_contract::{
    Fact, LayerFigures, ShardFigures, SlotFigures, Subject, TrackFigures, TransportFigures,
};
use media_types::{Bitrate, RoomId};
use media_webrtc::TransportStats;

use super::Shard;
use super::link::Link;
use crate::demux::LinkIndex;
use crate::limits::FIGURES_PARTS;
use crate::room::Room;

const PARTS: usize = FIGURES_PARTS as usize;
/// Layers are chosen anew twice in a round.
const ALLOCATION_PARTS: u32 = FIGURES_PARTS / 2;
const ALLOCATIONS: usize = ALLOCATION_PARTS as usize;

/// Facts about the shard itself are of no room.
const NO_ROOM: RoomId = RoomId::new(0);

impl Shard {
    /// What the shard counted, and what it holds now.
    #[must_use]
    pub fn figures(&self, _now: Instant) -> ShardFigures {
        let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let tracks = || self.rooms.values().flat_map(|room| room.tracks.values());
        let forwarders = tracks().map(|track| track.subscriptions.len()).sum();
        ShardFigures {
            shard: self.config.id,
            rooms: size(self.rooms.len()),
            transports: size(self.links.len()),
            tracks: size(tracks().count()),
            forwarders: size(forwarders),
            packets_in: self.counters.packets_in(),
            packets_out: self.counters.packets_out(),
            bytes_in: self.counters.bytes_in,
            bytes_out: self.counters.bytes_out,
            lost_in: self.counters.lost_in,
            retransmitted_out: self.counters.retransmitted_out,
            keyframe_requests: self.counters.keyframe_requests,
            dropped: self.counters.dropped(),
            crashed: self.counters.crashed,
        }
    }

    /// Tells the figures of the next part of the transports; at the end of a round, those of the
    /// shard. Layers are chosen anew by the rates of late.
    pub(super) fn tell_figures(&mut self, now: Instant) {
        let part = self.figures_part;
        for index in (part..self.links.end()).step_by(PARTS) {
            self.tell_transport_figures(now, index);
            self.lift_cap(now, index);
        }
        for index in (part % ALLOCATION_PARTS..self.links.end()).step_by(ALLOCATIONS) {
            self.want_allocation(index);
        }
        self.figures_part = (part + 1) % FIGURES_PARTS;
        if self.figures_part != 0 {
            return;
        }
        let figures = Box::new(self.figures(now));
        self.outbox
            .tell(NO_ROOM, Subject::Shard, Fact::ShardFigures(figures));
    }

    fn tell_transport_figures(&mut self, now: Instant, index: LinkIndex) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        let Some(stats) = link.peek(|transport| transport.figures(now)) else {
            return;
        };
        let lost: u64 = stats.streams.iter().map(|stream| stream.lost).sum();
        self.counters.lost_in += lost.saturating_sub(link.lost_counted);
        link.lost_counted = lost;
        let estimate = link
            .estimate
            .filter(|_| link.estimate != link.told_estimate);
        link.told_estimate = link.estimate;
        let (room, subject) = (link.room, Subject::Transport(link.id));
        let Some(found) = self.rooms.get(room) else {
            return;
        };
        let Some(link) = self.links.get(index) else {
            return;
        };
        let figures = transport_figures(link, found, &stats);
        self.tell(room, subject, Fact::Figures(figures));
        if let Some(estimate) = estimate {
            self.tell(room, subject, Fact::BandwidthChanged { estimate });
        }
    }
}

fn transport_figures(link: &Link, room: &Room, stats: &TransportStats) -> TransportFigures {
    let slots = link.slots.iter().flatten().filter_map(|slot| {
        let filled = slot.filled.as_ref()?;
        let sent = stats.slots.iter().find(|sent| sent.slot == slot.index);
        Some(SlotFigures {
            mid: slot.mid,
            track: filled.track,
            layer: filled.told.and_then(|(_, layer)| layer),
            rate: sent.map_or(Bitrate::ZERO, |sent| sent.rate),
            limited: filled.limited,
        })
    });
    let tracks = link.published.iter().filter_map(|published| {
        let streams = || {
            stats
                .streams
                .iter()
                .filter(|stream| stream.mid == published.mid)
        };
        Some(TrackFigures {
            track: published.track,
            codec: room.tracks.get(published.index)?.sent_here().codec,
            rate: streams().map(|stream| stream.rate).sum(),
            lost: streams().map(|stream| stream.lost).sum(),
            layers: streams()
                .map(|stream| LayerFigures {
                    rid: stream.rid,
                    rate: stream.rate,
                })
                .collect(),
        })
    });
    TransportFigures {
        estimate: stats.estimate,
        rtt: stats.rtt,
        loss_out: stats.loss_out,
        loss_in: stats.loss_in,
        rate_out: stats.rate_out,
        rate_in: stats.rate_in,
        slots: slots.collect(),
        tracks: tracks.collect(),
    }
}
