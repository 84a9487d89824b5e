//! Figures of one transport.

use std::time::Duration;

use media_bwe::EstimatorFigures;
use media_types::{Bitrate, Codec, Mid, Rid};

use crate::packet::{SlotIndex, StreamIndex};

/// What a transport counted. Totals since its start; rates over the last second or so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransportStats {
    /// What the path towards the client can carry.
    pub estimate: Bitrate,
    /// Round-trip time, once known.
    pub rtt: Option<Duration>,
    /// Share of packets towards the client that were lost in the last interval, 0 to 1.
    pub loss_out: f32,
    /// Share of packets from the client that were lost in the last interval, 0 to 1.
    pub loss_in: f32,
    /// Rate towards the client, media only.
    pub rate_out: Bitrate,
    /// Rate from the client, media only.
    pub rate_in: Bitrate,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets received.
    pub packets_in: u64,
    /// Packets sent again.
    pub retransmitted_out: u64,
    /// Packets that came by retransmission and were of use.
    pub repaired_in: u64,
    /// Keyframe requests sent.
    pub keyframe_requests_out: u64,
    /// Keyframe requests received.
    pub keyframe_requests_in: u64,
    /// Packets dropped because the pacer was full.
    pub pacer_dropped: u64,
    /// Bytes that wait in the pacer.
    pub backlog_bytes: u64,
    /// How long the oldest packet in the pacer has waited.
    pub queue_delay: Duration,
    /// What the estimate towards the client is made of.
    pub estimator: Option<EstimatorFigures>,
    /// Packets of padding sent to probe the path.
    pub padding_out: u64,
    /// Its slots that have sent.
    pub slots: Vec<SlotStats>,
    /// Its streams that have received.
    pub streams: Vec<StreamStats>,
}

/// One slot's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotStats {
    /// Which.
    pub slot: SlotIndex,
    /// Its m-line.
    pub mid: Mid,
    /// Rate sent.
    pub rate: Bitrate,
    /// Packets sent, retransmissions not counted.
    pub packets: u64,
}

/// One receive stream's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStats {
    /// Which.
    pub stream: StreamIndex,
    /// Its m-line.
    pub mid: Mid,
    /// Its simulcast layer.
    pub rid: Option<Rid>,
    /// What it was last encoded with.
    pub codec: Option<Codec>,
    /// Rate received.
    pub rate: Bitrate,
    /// Packets received.
    pub packets: u64,
    /// Packets lost on the way here, total.
    pub lost: u64,
}
