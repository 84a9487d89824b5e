//! What exists now, for reconciling what should be with what is.

use media_types::{Codec, Epoch, LayerSet, Mid, RoomId, TapId, TrackId, TransportId};

use crate::{MediaLine, SlotState, TransportSettings, Wish};

/// Everything that one shard holds of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The room.
    pub room: RoomId,
    /// The epoch that it was last commanded with.
    pub epoch: Epoch,
    /// Its transports, by id.
    pub transports: Vec<TransportSnapshot>,
    /// Its tracks, by id, relayed ones included.
    pub tracks: Vec<TrackSnapshot>,
    /// Its taps, by id.
    pub taps: Vec<TapSnapshot>,
}

/// One transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportSnapshot {
    /// Its id.
    pub transport: TransportId,
    /// What it was opened with.
    pub settings: TransportSettings,
    /// Whether ICE and DTLS are through.
    pub connected: bool,
    /// The m-lines of the last accepted offer.
    pub media: Vec<MediaLine>,
    /// Its slots that are filled.
    pub slots: Vec<SlotSnapshot>,
}

/// One filled slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Its m-line.
    pub mid: Mid,
    /// What it shows.
    pub track: TrackId,
    /// How much of it is wished.
    pub wish: Wish,
    /// How that goes.
    pub state: SlotState,
}

/// One track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSnapshot {
    /// Its id.
    pub track: TrackId,
    /// Where it comes from.
    pub origin: TrackOrigin,
    /// Its codec, once packets came.
    pub codec: Option<Codec>,
    /// Layers seen.
    pub layers: LayerSet,
    /// Whether it is muted.
    pub muted: bool,
}

/// Where a track comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackOrigin {
    /// A transport of the shard.
    Transport(TransportId, Mid),
    /// Frames that are fed, by this connection of its source.
    Ingest {
        /// Which of its connections.
        feed: u32,
    },
    /// Another shard.
    Relay,
}

impl TrackOrigin {
    /// Whether the track is published on this shard.
    #[must_use]
    pub const fn is_home(self) -> bool {
        !matches!(self, Self::Relay)
    }
}

/// One tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapSnapshot {
    /// Its id.
    pub tap: TapId,
    /// Its track.
    pub track: TrackId,
}
