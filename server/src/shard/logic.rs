//! What the thread needs of a shard. The packet core is the one implementation that ships; tests of
//! the loop bring smaller ones.

use std::time::Instant;

use actors::IngestPlace;
use media_contract::{Command, Event, RelayPeer};
use media_core::TapPoll;
use media_types::{PacketFrame, TapId};
use media_webrtc::{Path, TransmitBatch};

/// A state machine that a shard's thread drives.
pub(crate) trait Logic {
    /// What it sends to other shards.
    type Relay: Send + 'static;

    fn handle_command(&mut self, now: Instant, command: Command);
    fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]);
    fn handle_path_closed(&mut self, now: Instant, path: Path);
    fn handle_relay(&mut self, now: Instant, from: RelayPeer, message: Self::Relay);
    fn handle_timeout(&mut self, now: Instant);
    /// Whether more is waiting than fitted.
    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> bool;
    fn poll_relay(&mut self) -> Option<(RelayPeer, Self::Relay)>;
    /// Takes a frame of a live source.
    fn handle_ingest(&mut self, now: Instant, place: IngestPlace, frame: PacketFrame) {
        let _nowhere = (now, place, frame);
    }
    /// Whether anybody gets what a live source brings.
    fn is_ingest_wanted(&self, _place: IngestPlace) -> bool {
        true
    }
    /// A tap that has something to read, or has ended.
    fn poll_ready_tap(&mut self) -> Option<TapId> {
        None
    }
    /// What a tap has next.
    fn poll_tap(&mut self, _now: Instant, _tap: TapId) -> TapPoll {
        TapPoll::Ended
    }
    fn poll_event(&mut self) -> Option<Event>;
    fn poll_timeout(&self) -> Option<Instant>;
    /// Transports now.
    fn transports(&self, now: Instant) -> u32;
}

impl Logic for media_core::Shard {
    type Relay = media_core::RelayMessage;

    fn handle_command(&mut self, now: Instant, command: Command) {
        Self::handle_command(self, now, command);
    }

    fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        Self::handle_datagram(self, now, path, datagram);
    }

    fn handle_path_closed(&mut self, now: Instant, path: Path) {
        Self::handle_path_closed(self, now, path);
    }

    fn handle_relay(&mut self, now: Instant, from: RelayPeer, message: Self::Relay) {
        Self::handle_relay(self, now, from, message);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> bool {
        Self::poll_transmit(self, now, out)
    }

    fn poll_relay(&mut self) -> Option<(RelayPeer, Self::Relay)> {
        Self::poll_relay(self)
    }

    fn handle_ingest(&mut self, now: Instant, place: IngestPlace, frame: PacketFrame) {
        let IngestPlace {
            room, track, feed, ..
        } = place;
        Self::handle_ingest(self, now, room, track, feed, frame);
    }

    fn is_ingest_wanted(&self, place: IngestPlace) -> bool {
        Self::is_ingest_wanted(self, place.room, place.track)
    }

    fn poll_ready_tap(&mut self) -> Option<TapId> {
        Self::poll_ready_tap(self)
    }

    fn poll_tap(&mut self, now: Instant, tap: TapId) -> TapPoll {
        Self::poll_tap(self, now, tap)
    }

    fn poll_event(&mut self) -> Option<Event> {
        Self::poll_event(self)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn transports(&self, now: Instant) -> u32 {
        self.figures(now).transports
    }
}
