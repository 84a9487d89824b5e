//! One packet's fate, as a receiver reports it and as the sender understands it.

use std::time::{Duration, Instant};

use media_types::DataSize;

use crate::probe::ProbeId;

/// What transport-wide feedback says about one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketReport {
    /// The transport-wide sequence number.
    pub sequence: u16,
    /// When it arrived, since an origin of the receiver's choice; `None` if it did not.
    pub arrived: Option<Duration>,
}

/// A report joined with what was known when the packet was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketResult {
    /// The transport-wide sequence number, unwrapped.
    pub sequence: u64,
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived, since an origin of the receiver's choice; `None` if it was lost.
    pub arrived: Option<Duration>,
    /// Its size on the wire.
    pub size: DataSize,
    /// The probe cluster that it was sent in.
    pub probe: Option<ProbeId>,
    /// A report before this one had it as lost: it came late.
    pub was_missing: bool,
}
