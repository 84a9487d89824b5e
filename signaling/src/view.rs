//! What messages are made of: rooms, peers, tracks and slots as clients see them.

use media_types::{Codec, Identity, MediaKind, Mid, RoomName, TrackId, TrackSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$item])* $variant,)*
        }
    };
}

/// A room as a peer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// Its name.
    #[schemars(with = "String")]
    pub name: RoomName,
    /// What the application keeps with it.
    pub metadata: Value,
    /// All others; in a large room those who publish.
    pub peers: Vec<Peer>,
    /// What the others publish.
    pub tracks: Vec<Track>,
    /// How many there are that `peers` does not name.
    pub audience: u32,
}

/// A peer as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its identity.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// A display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the application keeps with it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// Whether it is there.
    pub state: PeerState,
}

word_enum! {
    /// Whether a peer is there.
    PeerState {
        /// It is.
        Active,
        /// Its signalling was lost; its media may go on.
        Reconnecting,
    }
}

/// A track as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// Its id; the same for its whole life, wherever the room moves.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// Whose it is.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// Audio or video.
    #[schemars(with = "crate::schema::MediaKind")]
    pub kind: MediaKind,
    /// What it is encoded with.
    #[schemars(with = "crate::schema::Codec")]
    pub codec: Codec,
    /// What it shows.
    #[schemars(with = "crate::schema::TrackSource")]
    pub source: TrackSource,
    /// The publisher's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Muted by its publisher.
    pub muted: bool,
    /// Whether packets flow yet.
    pub live: bool,
}

/// What a slot shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotState {
    /// The slot.
    #[schemars(with = "String")]
    pub mid: Mid,
    /// The track in it, or none.
    #[schemars(with = "Option<String>")]
    pub track_id: Option<TrackId>,
    /// What comes of it.
    pub state: SlotPhase,
    /// Why nothing comes, where there is more to say than the state does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SlotReason>,
}

word_enum! {
    /// What comes out of a slot.
    SlotPhase {
        /// Media.
        Live,
        /// Nothing for now: the reason says why.
        Paused,
        /// Nothing: the publisher has muted.
        Muted,
        /// Nothing: the subscriber did not offer the track's codec.
        Unsupported,
        /// Nothing yet: no track, or one that does not flow.
        Waiting,
    }
}

word_enum! {
    /// Why nothing comes out of a slot.
    SlotReason {
        /// The path to the subscriber does not carry it.
        Bandwidth,
        /// The subscriber did not offer the codec.
        Codec,
        /// There is no such track, or no longer.
        NotFound,
        /// The token does not grant it.
        Forbidden,
        /// The publisher sends nothing.
        Publisher,
    }
}

/// Somebody who speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    /// Who.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// How loud, 0 to 1.
    pub level: f64,
}

/// Reactions of one kind within a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction {
    /// An emoji or a short word.
    pub kind: String,
    /// How many.
    pub count: u32,
}

/// A STUN or TURN server (`RTCIceServer` of WebRTC 1.0, section 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IceServer {
    /// Its URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

word_enum! {
    /// Why a peer went.
    LeaveReason {
        /// It said so.
        Left,
        /// Its session was lost and not taken up again.
        Timeout,
        /// An operator removed it.
        Kicked,
        /// Its transport failed too often.
        TransportFailed,
        /// Its token was revoked.
        Revoked,
        /// The room was closed.
        RoomClosed,
        /// The room went to another worker and the peer did not follow.
        Moved,
        /// The server failed it.
        Internal,
    }
}

word_enum! {
    /// Why the server closes a session.
    CloseReason {
        /// The client reads slower than the room speaks: resume.
        SlowClient,
        /// The worker shuts down: join again elsewhere.
        Draining,
        /// The room is on another worker now: join there, unless that was done.
        Moved,
        /// The media transport failed too often: join again.
        TransportFailed,
        /// The media thread was restarted: resume.
        ShardRestarted,
        /// An operator removed the peer: do not come back.
        Kicked,
        /// A newer session of the same identity took its place: do not come back.
        Replaced,
        /// The room was closed.
        RoomClosed,
        /// The token was revoked.
        Revoked,
        /// No pings came: resume.
        Timeout,
        /// Too many malformed frames.
        Malformed,
        /// Nothing joined in time.
        HandshakeTimeout,
        /// The session's queue stayed full: resume.
        Overloaded,
        /// The server failed: resume.
        Internal,
    }
}

word_enum! {
    /// Why a room moves.
    MigrateReason {
        /// Its worker drains.
        Drain,
        /// Load is spread.
        Balance,
        /// An operator asked.
        Operator,
        /// Another worker owns it now.
        Ownership,
    }
}

word_enum! {
    /// What costs a peer's quality most.
    QualityReason {
        /// Nothing worth naming.
        None,
        /// Lost packets.
        Loss,
        /// A long way, or a long queue.
        Latency,
        /// The path carries less than wanted.
        Bandwidth,
        /// Nothing arrives.
        NoMedia,
    }
}

/// A track that this peer publishes, as it arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedStats {
    /// The track.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// Its layers, lowest first.
    pub layers: Vec<LayerStats>,
    /// Part of the packets that was lost, 0 to 1.
    pub loss: f64,
}

/// One layer as it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerStats {
    /// The simulcast encoding, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// The spatial layer.
    pub spatial: u8,
    /// Whether packets of it come.
    pub active: bool,
    /// Bits per second.
    pub bps: u64,
}

/// What a slot gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribedStats {
    /// The slot.
    #[schemars(with = "String")]
    pub mid: Mid,
    /// The track in it.
    #[schemars(with = "Option<String>")]
    pub track_id: Option<TrackId>,
    /// The spatial layer that is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spatial: Option<u8>,
    /// The highest temporal layer that is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal: Option<u8>,
    /// Bits per second.
    pub bps: u64,
}
