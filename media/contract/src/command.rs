//! What an actor may ask of a shard.

use std::time::Duration;

use media_types::{
    Codec, Epoch, Identity, MediaKind, Mid, RoomId, ShardId, TapId, TrackId, TrackSource,
    TransportId, WorkerId,
};

/// Names one command, so that its answer finds who asked. Unique within a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// One request to a shard. Fenced: a command of a lower epoch than the room's is refused as stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// For the answer.
    pub id: CommandId,
    /// The room that it is about.
    pub room: RoomId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// What to do.
    pub action: Action,
}

/// What a transport is for; decides which slots and channels it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportUse {
    /// A full member of the room.
    Peer,
    /// A WHIP publisher: never receives media.
    Publisher,
    /// A WHEP viewer: never publishes.
    Viewer,
}

/// What a transport needs at birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportSettings {
    /// Whom it belongs to; data messages are addressed and signed with it.
    pub identity: Identity,
    /// What it is for.
    pub usage: TransportUse,
    /// Whether it may publish media.
    pub publish: bool,
    /// Whether it may receive media.
    pub subscribe: bool,
    /// Whether it may send data messages.
    pub data: bool,
    /// The codecs that its room allows; empty: all that the shard forwards.
    pub codecs: Vec<Codec>,
}

/// One subscription's standing wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The widest picture of use, in pixels; `u16::MAX` for any.
    pub width_max: u16,
    /// The highest picture of use, in pixels; `u16::MAX` for any.
    pub height_max: u16,
    /// The fastest picture rate of use, in Hz; `u8::MAX` for any.
    pub fps_max: u8,
    /// Higher goes first when the budget does not do for all: 0 background, 100 pinned.
    pub priority: u8,
    /// The subscriber wants nothing of this for now.
    pub paused: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            width_max: u16::MAX,
            height_max: u16::MAX,
            fps_max: u8::MAX,
            priority: 10,
            paused: false,
        }
    }
}

/// A track that has no transport: its frames are fed by whoever speaks its source's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestTrack {
    /// Its id, chosen by the actor; kept when its source comes back.
    pub track: TrackId,
    /// Who publishes it.
    pub identity: Identity,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is encoded with.
    pub codec: Codec,
    /// What it shows.
    pub source: TrackSource,
    /// Which of the source's connections feeds it: rises with each, and frames of lower ones are
    /// dropped. The same number again changes nothing.
    pub feed: u32,
}

/// How much a tap wants of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TapWish {
    /// The best layer that it may have; a paused wish lets nothing out.
    pub wish: Wish,
    /// Asks the publisher for a keyframe whenever this long has passed without one, so that what is
    /// packaged can be cut. `None`: only at the start, and to begin anew. At least 1 s.
    pub keyframe_every: Option<Duration>,
}

/// The other end of a relay: a shard of this worker or of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelayPeer {
    /// A shard of this worker.
    Shard(ShardId),
    /// A shard of another worker.
    Worker {
        /// Which worker.
        worker: WorkerId,
        /// Which of its shards.
        shard: ShardId,
    },
}

impl From<ShardId> for RelayPeer {
    fn from(shard: ShardId) -> Self {
        Self::Shard(shard)
    }
}

impl RelayPeer {
    /// The shard, if it is one of this worker.
    #[must_use]
    pub const fn here(self) -> Option<ShardId> {
        match self {
            Self::Shard(shard) => Some(shard),
            Self::Worker { .. } => None,
        }
    }

    /// The worker, if it is another one.
    #[must_use]
    pub const fn worker(self) -> Option<WorkerId> {
        match self {
            Self::Shard(_) => None,
            Self::Worker { worker, .. } => Some(worker),
        }
    }
}

/// Which end of a relay between two shards a command opens. Between workers the wanting end is
/// enough: the other one opens itself when it is asked, if its room is linked to who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RelayEnd {
    /// On the shard that has the publisher: carry the track to that shard while it wants it.
    Out {
        /// The shard that wants it.
        to: RelayPeer,
    },
    /// On the shard that has subscribers: a track that lives on that other shard.
    In {
        /// The shard that has the publisher.
        from: RelayPeer,
        /// Audio or video.
        kind: MediaKind,
        /// What it is encoded with.
        codec: Codec,
        /// What it shows.
        source: TrackSource,
        /// Who publishes it.
        publisher: Identity,
    },
}

/// Who gets a data message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataTarget {
    /// Everybody in the room but the sender.
    Room,
    /// One peer.
    Peer(Identity),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes the room's table on this shard. Answered by `Done`.
    OpenRoom,
    /// Ends the room on this shard with all its transports. Answered by `Done`.
    CloseRoom,
    /// Names the other shards, of this and of other workers, that hold a part of the room, in the
    /// place of those named before: data messages cross to them, and those of other workers may ask
    /// for the room's tracks. Answered by `Done`.
    LinkRoom {
        /// Which.
        peers: Vec<RelayPeer>,
    },
    /// Makes a transport. Answered by `Done`.
    OpenTransport {
        /// Its id, chosen by the actor.
        transport: TransportId,
        /// What it needs at birth.
        settings: TransportSettings,
    },
    /// Ends a transport: its tracks, its slots, its keys. Answered by `Done`.
    CloseTransport {
        /// Which.
        transport: TransportId,
    },
    /// Takes a client's offer: first, renegotiation or ICE restart. Answered by `Negotiated`.
    Negotiate {
        /// Which.
        transport: TransportId,
        /// The SDP text.
        offer: String,
        /// Audio and video slots that share one msid stream; empty: the i-th with the i-th.
        pairs: Vec<(Mid, Mid)>,
    },
    /// A trickled candidate of the client; ICE-lite needs none, so a bad one is merely counted.
    AddCandidate {
        /// Which.
        transport: TransportId,
        /// The `candidate:` line.
        candidate: String,
    },
    /// Binds what the client sends on an m-line to a track. Answered by `Done`.
    Publish {
        /// Which transport.
        transport: TransportId,
        /// Which m-line, one that `Negotiated` listed as publishing.
        mid: Mid,
        /// The track's id, chosen by the actor.
        track: TrackId,
        /// What it shows.
        source: TrackSource,
    },
    /// Makes a track that is fed by frames, or renews its feed. Ended by `Unpublish`. Answered by
    /// `Done`.
    OpenIngest(IngestTrack),
    /// Ends a track; what the client still sends on its m-line is dropped. Answered by `Done`.
    Unpublish {
        /// Which.
        track: TrackId,
    },
    /// Fills a slot with a track, whatever it had before. Answered by `Done`; the slot's state
    /// follows in `SlotChanged`.
    Fill {
        /// Which transport.
        transport: TransportId,
        /// Which slot.
        slot: Mid,
        /// With what.
        track: TrackId,
        /// How much of it.
        wish: Wish,
    },
    /// Empties a slot. Answered by `Done`.
    Empty {
        /// Which transport.
        transport: TransportId,
        /// Which slot.
        slot: Mid,
    },
    /// Replaces the wish of a slot. Answered by `Done`.
    SetWish {
        /// Which transport.
        transport: TransportId,
        /// Which slot.
        slot: Mid,
        /// How much of its track.
        wish: Wish,
    },
    /// Stops or resumes the forwarding of a track. Answered by `Done`.
    Mute {
        /// Which.
        track: TrackId,
        /// Whether nothing of it may pass.
        muted: bool,
    },
    /// Opens a tap on a track, or changes its wish. Its packets go to whoever reads the tap.
    /// Answered by `Done`; when the track ends, `TapEnded` tells.
    OpenTap {
        /// Its id, chosen by the actor.
        tap: TapId,
        /// On what.
        track: TrackId,
        /// How much of it.
        wish: TapWish,
    },
    /// Closes a tap. Answered by `Done`.
    CloseTap {
        /// Which.
        tap: TapId,
    },
    /// Opens one end of a relay. Answered by `Done`.
    OpenRelay {
        /// Which track.
        track: TrackId,
        /// Which end this shard is.
        end: RelayEnd,
    },
    /// Closes this shard's end of a relay towards or from that shard. Answered by `Done`.
    CloseRelay {
        /// Which track.
        track: TrackId,
        /// The other shard.
        other: RelayPeer,
    },
    /// Ends the transport with an injected panic inside its fence. Only where the worker's
    /// configuration allows faults; else refused.
    InjectFault {
        /// Which.
        transport: TransportId,
    },
    /// Lists what exists. Answered by `Described`.
    Describe,
}
