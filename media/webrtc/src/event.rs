//! What a transport tells its owner.

use media_types::{Bitrate, NtpTime};
use smallvec::SmallVec;

use crate::packet::{SlotIndex, StreamIndex};
use crate::path::Path;

/// Why a transport ended on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// Nothing authentic came for [`crate::TransportConfig::liveness`].
    TimedOut,
    /// The client said goodbye: DTLS close, or SCTP gave up.
    Closed,
    /// DTLS failed: another certificate than announced, or no common profile.
    Handshake,
}

/// Something that happened on a transport, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TransportEvent {
    /// ICE and DTLS are through; media may flow.
    Connected,
    /// The transport is over; nothing works any more.
    Lost(LostReason),
    /// What we send goes another way from now on.
    PathChanged(Path),
    /// The client asks for a keyframe (PLI or FIR).
    KeyframeRequested {
        /// On which slot.
        slot: SlotIndex,
    },
    /// The client misses packets (generic NACK).
    Nack {
        /// Of which slot.
        slot: SlotIndex,
        /// Their sequence numbers as they were sent.
        sequences: SmallVec<[u16; 8]>,
    },
    /// The publisher's clocks (RFC 3550, section 6.4.1): `rtp` was captured at `ntp` of its clock.
    SenderReport {
        /// Of which stream.
        stream: StreamIndex,
        /// The publisher's wall clock.
        ntp: NtpTime,
        /// The stream's timestamp at that moment.
        rtp: u32,
    },
    /// So much of a stream was lost for good that its decoders need a fresh start.
    NeedKeyframe {
        /// Which stream.
        stream: StreamIndex,
    },
    /// The path was cut for a while, and carries again.
    PathBack,
    /// What the path can carry changed.
    Estimate(Bitrate),
    /// A data channel opened.
    DataOpen {
        /// The ordered, reliable one, or the lossy one.
        reliable: bool,
    },
    /// A data message.
    Data {
        /// Whether it came by the reliable channel.
        reliable: bool,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The publisher said goodbye for a stream (RTCP BYE).
    StreamEnded {
        /// Which stream.
        stream: StreamIndex,
    },
}
