//! What a shard tells.

use media_types::{
    Bitrate, Codec, Epoch, Identity, Layer, LayerSet, MediaKind, Mid, Rid, RoomId, TapId, TrackId,
    TransportId,
};

use crate::{CommandId, ShardFigures, Snapshot, TrackFigures, TransportFigures};

/// One thing that happened, in one room.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where.
    pub room: RoomId,
    /// To whom or what; with the kind of fact it is the key under which newer replaces older.
    pub subject: Subject,
    /// What.
    pub fact: Fact,
}

/// What an event is about. Actors route by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The shard itself.
    Shard,
    /// The room.
    Room,
    /// A transport, hence its peer.
    Transport(TransportId),
    /// A slot of a transport.
    Slot(TransportId, Mid),
    /// A track, hence the room.
    Track(TrackId),
    /// A tap, hence the room.
    Tap(TapId),
}

/// What an m-line of an accepted offer is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaLineUse {
    /// The client sends on it.
    Publish,
    /// The client can show a track on it.
    Slot,
    /// The client does both: a `sendrecv` m-line.
    Both,
    /// Nothing flows: inactive, stopped or refused.
    Idle,
}

/// One audio or video m-line of an accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLine {
    /// Its media id.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is for.
    pub usage: MediaLineUse,
    /// Codecs that both ends know, in the client's order.
    pub codecs: Vec<Codec>,
    /// The layers that the client announced, lowest first; empty without simulcast.
    pub rids: Vec<Rid>,
}

/// Why a transport ended on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// Nothing authentic came from the client for the liveness window.
    TimedOut,
    /// The client said goodbye (DTLS close).
    Closed,
    /// DTLS failed: wrong fingerprint, no common profile.
    Handshake,
    /// It panicked inside its fence.
    Crashed,
    /// Its shard ended.
    ShardRestarted,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedReason {
    /// Its epoch is lower than the room's.
    StaleEpoch,
    /// No such room on this shard.
    UnknownRoom,
    /// No such transport.
    UnknownTransport,
    /// No such track.
    UnknownTrack,
    /// No such m-line, or it is not of the kind that the command needs.
    UnknownMid,
    /// The SDP cannot be read or used; the text says what is wrong with it.
    BadSdp(String),
    /// The slot's client did not offer the track's codec.
    Unsupported,
    /// A limit of the shard; the word is the limit's config key.
    Limit(&'static str),
    /// The transport's settings forbid it.
    Forbidden,
}

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// Packets flow.
    Live,
    /// The wish holds it back.
    Paused,
    /// The budget of its transport does not do for its least layer.
    Starved,
    /// Its publisher muted it.
    Muted,
    /// The client did not offer its codec.
    Unsupported,
    /// No packet, or no keyframe, has come yet.
    Waiting,
}

/// One who is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The audio track.
    pub track: TrackId,
    /// Who publishes it.
    pub identity: Identity,
    /// Smoothed level in −dBov: 0 loudest, 127 silence.
    pub level: u8,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// A command without a result of its own was carried out.
    Done {
        /// Which.
        command: CommandId,
    },
    /// An offer was accepted.
    Negotiated {
        /// Which command.
        command: CommandId,
        /// The SDP answer.
        answer: String,
        /// Its audio and video m-lines.
        media: Vec<MediaLine>,
        /// Whether data channels were negotiated.
        data: bool,
    },
    /// A command was not carried out.
    Refused {
        /// Which.
        command: CommandId,
        /// Why.
        reason: RefusedReason,
    },
    /// What exists in the room on this shard.
    Described {
        /// Which command.
        command: CommandId,
        /// All of it.
        snapshot: Snapshot,
    },
    /// ICE and DTLS are through; media may flow.
    TransportConnected,
    /// The transport is gone, and all that it published or showed.
    TransportLost {
        /// Why.
        reason: LostReason,
    },
    /// The client's address changed.
    PathChanged,
    /// First packets of a track, or its first after a stall.
    TrackStarted {
        /// What it is encoded with.
        codec: Codec,
        /// Layers seen so far.
        layers: LayerSet,
    },
    /// A track that is not muted has been silent for longer than DTX explains.
    TrackStalled,
    /// Somebody needs a keyframe of an ingest track; whoever feeds it may make one. Throttled, and
    /// repeated until one comes.
    KeyframeWanted,
    /// A tap's track has ended, and the tap with it.
    TapEnded,
    /// Once a second, about an ingest track that is fed.
    IngestFigures(TrackFigures),
    /// Which simulcast layers of a track somebody watches changed; the others may be paused where
    /// they are made. Told at once when a layer is wanted again, and after a second without
    /// anybody when it is not; never for a track without simulcast.
    LayersWanted {
        /// The layers to send, lowest first; empty while nobody watches.
        active: Vec<Rid>,
        /// What layers are to be kept under, since nobody who shows them can take more; the others
        /// have no bound.
        bounds: Vec<(Rid, Bitrate)>,
    },
    /// What a slot shows changed.
    SlotChanged {
        /// The track in it.
        track: TrackId,
        /// Its state.
        state: SlotState,
        /// The layer that flows, if any.
        layer: Option<Layer>,
    },
    /// Who is heard, loudest first, at most 4 times a second; empty when all are silent.
    SpeakersChanged {
        /// Loudest first, at most eight.
        speakers: Vec<Speaker>,
    },
    /// What the path to the client can carry, at most once a second.
    BandwidthChanged {
        /// The estimate.
        estimate: Bitrate,
    },
    /// Another worker says that the room has a higher epoch than its commands here had: its owner
    /// is another one. Told once for each epoch.
    NewerEpoch {
        /// The other worker's.
        epoch: Epoch,
    },
    /// A data message for a client that has no data channel; it goes by signalling.
    Data {
        /// Who sent it.
        from: Identity,
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// A client does not take its reliable data messages as fast as they come: its queue was full,
    /// what waited is dropped and its session has to begin anew from a snapshot.
    SlowClient,
    /// Once a second, about a transport.
    Figures(TransportFigures),
    /// Once a second, about the shard.
    ShardFigures(Box<ShardFigures>),
}
