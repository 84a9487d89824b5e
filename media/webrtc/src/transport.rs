//! [`Transport`]: joins session, SRTP, receive and send sides.

use std::time::{Duration, Instant};

use media_types::{Bitrate, BufferPool, Codec, DataSize, Mid};

use crate::batch::TransmitBatch;
use crate::config::{Permissions, TransportConfig, TransportSeed};
use crate::error::{DropReason, WebRtcError};
use crate::event::TransportEvent;
use crate::negotiate::Negotiated;
use crate::packet::{Incoming, SendPacket, SlotIndex, StreamIndex};
use crate::path::Path;
use crate::stats::TransportStats;

/// One secured media path to one client.
#[derive(Debug)]
pub struct Transport {
    ufrag: String,
}

impl Transport {
    /// A transport that waits for its first offer.
    ///
    /// # Errors
    /// [`WebRtcError`] if the settings cannot work.
    pub fn new(
        _now: Instant,
        _config: &TransportConfig,
        _permissions: Permissions,
        seed: TransportSeed,
    ) -> Result<Self, WebRtcError> {
        Ok(Self { ufrag: seed.ufrag })
    }

    /// Our ICE user name fragment: STUN requests for this transport name it first. It changes when
    /// [`Transport::negotiate`] finds an ICE restart.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Takes a client's offer: the first, a renegotiation, or an ICE restart. `pairs` are audio and
    /// video slots that share one msid stream; empty: the i-th audio with the i-th video slot.
    ///
    /// # Errors
    /// [`WebRtcError::BadSdp`] and [`WebRtcError::SdpLimit`]; the transport stays as it was.
    pub fn negotiate(
        &mut self,
        _now: Instant,
        _offer: &str,
        _pairs: &[(Mid, Mid)],
    ) -> Result<Negotiated, WebRtcError> {
        Err(WebRtcError::Ended)
    }

    /// Takes a trickled candidate. Being ICE-lite we learn addresses from the client's checks, so a
    /// candidate is only looked at.
    ///
    /// # Errors
    /// [`WebRtcError::BadCandidate`] if it cannot be read.
    pub fn add_remote_candidate(&mut self, _candidate: &str) -> Result<(), WebRtcError> {
        Ok(())
    }

    /// Takes a datagram of STUN or DTLS.
    pub fn handle_control(&mut self, _now: Instant, _path: Path, _datagram: &[u8]) {}

    /// Takes a datagram of RTP and opens it into a buffer of `pool`. `None` for what carries no
    /// media: padding, and repairs of what has come.
    ///
    /// # Errors
    /// Why the packet is of no use.
    pub fn handle_rtp(
        &mut self,
        _now: Instant,
        _path: Path,
        _datagram: &[u8],
        _pool: &mut BufferPool,
    ) -> Result<Option<Incoming>, DropReason> {
        Err(DropReason::NoKeys)
    }

    /// Takes a datagram of RTCP; what it says comes out as events.
    ///
    /// # Errors
    /// Why the packet is of no use.
    pub fn handle_rtcp(
        &mut self,
        _now: Instant,
        _path: Path,
        _datagram: &[u8],
    ) -> Result<(), DropReason> {
        Err(DropReason::NoKeys)
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Transport::handle_timeout`] and [`Transport::poll_transmit`] want to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        None
    }

    /// Adds all that is ready to be sent. When the batch has no room left it is marked full, and
    /// the rest stays for the next call.
    pub fn poll_transmit(&mut self, _now: Instant, _out: &mut TransmitBatch) {}

    /// Asks a publisher for a keyframe: PLI, or FIR if only that was negotiated.
    pub fn request_keyframe(&mut self, _now: Instant, _stream: StreamIndex) {}

    /// The slot of an m-line, if the client can show a track there.
    #[must_use]
    pub fn slot(&self, _mid: Mid) -> Option<SlotIndex> {
        None
    }

    /// Whether the slot's client offered this codec for it.
    #[must_use]
    pub fn slot_supports(&self, _slot: SlotIndex, _codec: Codec) -> bool {
        false
    }

    /// Whether the slot negotiated redundancy for Opus (RFC 2198).
    #[must_use]
    pub fn slot_supports_red(&self, _slot: SlotIndex) -> bool {
        false
    }

    /// Queues a packet; it leaves at the next [`Transport::poll_transmit`] that the pacer allows.
    pub fn send(&mut self, _now: Instant, _packet: SendPacket) {}

    /// What the path towards the client can carry.
    #[must_use]
    pub fn estimate(&self, _now: Instant) -> Bitrate {
        Bitrate::ZERO
    }

    /// Bytes that wait in the pacer.
    #[must_use]
    pub fn backlog(&self) -> DataSize {
        DataSize::ZERO
    }

    /// How long the oldest packet in the pacer has waited.
    #[must_use]
    pub fn queue_delay(&self, _now: Instant) -> Duration {
        Duration::ZERO
    }

    /// Round-trip time to the client, once known.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        None
    }

    /// Sends a data message over the reliable or the lossy channel. `false` if that channel is not
    /// open, or is full.
    ///
    /// # Errors
    /// [`WebRtcError::DataSize`] and [`WebRtcError::DataChannel`].
    pub fn send_data(&mut self, _reliable: bool, _message: &[u8]) -> Result<bool, WebRtcError> {
        Ok(false)
    }

    /// Figures up to `now`.
    #[must_use]
    pub fn figures(&self, _now: Instant) -> TransportStats {
        TransportStats::default()
    }

    /// Whether ICE and DTLS are through, and it has not ended.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        false
    }

    /// Where media goes: the path that the client nominated.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        None
    }

    /// Says goodbye; the next [`Transport::poll_transmit`] sends it.
    pub fn close(&mut self, _now: Instant) {}
}
