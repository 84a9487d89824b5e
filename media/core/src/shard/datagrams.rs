//! Datagrams in: whose they are, and what they are for.

use std::time::Instant;

use media_rtp::header::PacketKind;
use media_webrtc::Path;

use super::{Shard, mark_dirty};
use crate::demux::LinkIndex;
use crate::error::DropReason;
use crate::stats::count;
use crate::track::Arrival;

impl Shard {
    /// Takes a datagram from the socket.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.bytes_in += count(datagram.len());
        if let Err(reason) = self.take_datagram(now, path, datagram) {
            self.counters.on_dropped(reason);
        }
        self.settle(now);
    }

    /// Takes the end of an ICE-TCP connection.
    pub fn handle_path_closed(&mut self, now: Instant, path: Path) {
        if let Some(link) = self.demux.remove_path(path) {
            self.with_transport(link, |transport| transport.handle_path_closed(path));
            self.drain_transport(now, link);
        }
        self.settle(now);
    }

    fn take_datagram(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let kind = PacketKind::of(datagram);
        if kind == PacketKind::Unknown {
            return Err(DropReason::UnknownKind);
        }
        let link = self.demux.find(path, kind, datagram)?;
        match kind {
            PacketKind::Rtp => self.take_rtp(now, link, path, datagram),
            PacketKind::Rtcp => {
                let taken = self.with_transport(link, |t| t.handle_rtcp(now, path, datagram));
                self.drain_transport(now, link);
                taken.unwrap_or(Ok(())).map_err(DropReason::from)
            }
            PacketKind::Stun | PacketKind::Dtls | PacketKind::Unknown => {
                self.with_transport(link, |t| t.handle_control(now, path, datagram));
                self.drain_transport(now, link);
                Ok(())
            }
        }
    }

    fn take_rtp(
        &mut self,
        now: Instant,
        index: LinkIndex,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let Self {
            links, pool, dirty, ..
        } = self;
        let Some(link) = links.get_mut(index) else {
            return Err(DropReason::UnknownAddress);
        };
        let opened = link.call(|t| t.handle_rtp(now, path, datagram, pool));
        mark_dirty(link, index, dirty);
        let room = link.room;
        let routed = match opened {
            Some(Ok(Some(incoming))) => {
                let track = link.route(incoming.stream, incoming.mid);
                let track = track.ok_or(DropReason::Unpublished);
                track.map(|track| Some((track, Arrival::from(incoming))))
            }
            Some(Ok(None)) | None => Ok(None),
            Some(Err(reason)) => Err(DropReason::from(reason)),
        };
        self.drain_transport(now, index);
        if let Some((track, arrival)) = routed? {
            self.counters.on_packet_in(arrival.codec.kind());
            self.take_published(now, room, track, &arrival)?;
        }
        Ok(())
    }
}
