//! Figures that shards report once a second, by value. Counters are totals since the start.

use std::collections::BTreeMap;
use std::time::Duration;

use media_types::{Bitrate, Codec, Layer, MediaKind, Mid, Rid, ShardId, TrackId};

/// One transport in the last second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransportFigures {
    /// What the path towards the client can carry.
    pub estimate: Bitrate,
    /// Round-trip time, once known.
    pub rtt: Option<Duration>,
    /// Share of packets towards the client that were lost in the last interval, 0 to 1.
    pub loss_out: f32,
    /// Share of packets from the client that were lost in the last interval, 0 to 1.
    pub loss_in: f32,
    /// Rate towards the client.
    pub rate_out: Bitrate,
    /// Rate from the client.
    pub rate_in: Bitrate,
    /// Its filled slots.
    pub slots: Vec<SlotFigures>,
    /// What it publishes.
    pub tracks: Vec<TrackFigures>,
}

/// One filled slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFigures {
    /// Its m-line.
    pub mid: Mid,
    /// What it shows.
    pub track: TrackId,
    /// The layer that flows.
    pub layer: Option<Layer>,
    /// Its rate.
    pub rate: Bitrate,
    /// Whether the budget allows less than the wish asks for and the track has.
    pub limited: bool,
}

/// One layer of a published track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerFigures {
    /// Its simulcast layer; `None` without simulcast.
    pub rid: Option<Rid>,
    /// Its rate; zero while it is silent.
    pub rate: Bitrate,
}

/// One published track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFigures {
    /// Its id.
    pub track: TrackId,
    /// Its codec, once packets came.
    pub codec: Option<Codec>,
    /// Its rate, all layers.
    pub rate: Bitrate,
    /// Packets lost on the way here, total.
    pub lost: u64,
    /// Its layers, lowest first: one a simulcast stream, or one of all.
    pub layers: Vec<LayerFigures>,
}

/// One shard: totals since its start, and what exists now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFigures {
    /// Which.
    pub shard: ShardId,
    /// Rooms now.
    pub rooms: u32,
    /// Transports now.
    pub transports: u32,
    /// Tracks now, relayed ones included.
    pub tracks: u32,
    /// Forwarders now.
    pub forwarders: u32,
    /// RTP packets in, by kind.
    pub packets_in: BTreeMap<MediaKind, u64>,
    /// RTP packets out, by kind.
    pub packets_out: BTreeMap<MediaKind, u64>,
    /// Bytes in, all datagrams.
    pub bytes_in: u64,
    /// Bytes out, all datagrams.
    pub bytes_out: u64,
    /// Packets that publishers' links lost.
    pub lost_in: u64,
    /// Packets sent again to subscribers.
    pub retransmitted_out: u64,
    /// Keyframe requests sent to publishers.
    pub keyframe_requests: u64,
    /// Datagrams and packets dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Transports ended by the panic fence.
    pub crashed: u64,
}
