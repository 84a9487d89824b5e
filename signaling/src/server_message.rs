//! What the server sends: results of requests, and notifications.

use std::collections::BTreeMap;

use media_types::{Identity, Mid, TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client_message::Address;
pub use crate::rpc::Outgoing;
use crate::token::Secret;
use crate::view::{
    CloseReason, IceServer, LeaveReason, MigrateReason, Peer, PeerState, PublishedStats,
    QualityReason, Reaction, Room, SlotState, Speaker, SubscribedStats, Track,
};

macro_rules! notifications {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $params:ty;)*) => {
        /// A notification: something happened in the room or to this session.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "method", content = "params", rename_all = "camelCase")]
        pub enum ServerMessage {
            $($(#[$doc])* $name($params),)*
        }

        impl ServerMessage {
            /// The notifications, as on the wire.
            pub const METHODS: &'static [&'static str] = &[$($word),*];

            /// The notification's name on the wire.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self { $(Self::$name(_) => $word,)* }
            }
        }

        pub(crate) fn notifications_schema(
            generator: &mut schemars::SchemaGenerator,
        ) -> serde_json::Map<String, Value> {
            let mut notifications = serde_json::Map::new();
            $(
                let params = generator.subschema_for::<$params>().to_value();
                notifications.insert(
                    $word.to_owned(),
                    serde_json::json!({ "params": params }),
                );
            )*
            notifications
        }
    };
}

notifications! {
    /// Somebody came.
    PeerJoined = "peerJoined", PeerJoinedParams;
    /// Somebody went; said once.
    PeerLeft = "peerLeft", PeerLeftParams;
    /// Somebody's name, metadata or state changed.
    PeerUpdated = "peerUpdated", PeerUpdatedParams;
    /// A track was added, or went live.
    TrackPublished = "trackPublished", TrackPublishedParams;
    /// A track is gone.
    TrackUnpublished = "trackUnpublished", TrackUnpublishedParams;
    /// A track was muted or unmuted.
    TrackMuted = "trackMuted", TrackMutedParams;
    /// What slots show has changed.
    Slots = "slots", SlotsParams;
    /// Who speaks, loudest first; at most four a second.
    Speakers = "speakers", SpeakersParams;
    /// How many listen, in rooms too large to name them; at most one a second.
    Audience = "audience", AudienceParams;
    /// Where to reconnect.
    Endpoints = "endpoints", EndpointsParams;
    /// How well somebody's media arrives.
    Quality = "quality", QualityParams;
    /// Which layers somebody watches; the others may rest at the sender.
    PublishLayers = "publishLayers", PublishLayersParams;
    /// Somebody cannot decode one of one's own tracks.
    CodecUnsupported = "codecUnsupported", CodecUnsupportedParams;
    /// A message by `send`.
    Message = "message", MessageParams;
    /// Somebody said something.
    Chat = "chat", ChatNotice;
    /// Reactions of the last second.
    Reactions = "reactions", ReactionsParams;
    /// The room moves: connect there.
    Migrate = "migrate", MigrateParams;
    /// The server is about to close this session.
    Closing = "closing", ClosingParams;
}

/// Somebody came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerJoinedParams {
    /// Who.
    pub peer: Peer,
}

/// Somebody went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerLeftParams {
    /// Who.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// Why.
    pub reason: LeaveReason,
}

/// What changed of a peer; what is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerUpdatedParams {
    /// Who.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// The new display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PeerState>,
}

/// A track as it is now; also when `live` or its codec change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrackPublishedParams {
    /// The track.
    pub track: Track,
}

/// A track is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackUnpublishedParams {
    /// The track.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// Whose it was.
    #[schemars(with = "String")]
    pub peer_id: Identity,
}

/// A track was muted or unmuted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackMutedParams {
    /// The track.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// Whose it is.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// Muted, or not.
    pub muted: bool,
}

/// Slots whose content changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotsParams {
    /// Those slots alone.
    pub slots: Vec<SlotState>,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpeakersParams {
    /// Loudest first; empty when nobody does.
    pub speakers: Vec<Speaker>,
}

/// How many listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AudienceParams {
    /// Peers that publish nothing.
    pub audience: u32,
}

/// Where to reconnect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointsParams {
    /// URLs of signalling: this worker's first, then up to three others.
    pub endpoints: Vec<String>,
}

/// How well somebody's media arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QualityParams {
    /// Who; may be the receiver of this.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// From 0, unusable, to 1, flawless.
    pub score: f64,
    /// What costs most of what is missing to 1.
    pub reason: QualityReason,
}

/// Which layers of one's own track somebody watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishLayersParams {
    /// The track.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// The rids to send; the others may rest.
    pub active: Vec<String>,
    /// Bits per second to keep a layer under, by its rid: nobody who shows it can take more. A
    /// layer that is not named has no bound, whatever was said before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_bitrates: BTreeMap<String, u64>,
}

/// Somebody in the room cannot decode one of one's own tracks: it may go on in a codec that
/// every browser has (RFC 7742, section 5). At most once a second for a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodecUnsupportedParams {
    /// The track.
    #[schemars(with = "String")]
    pub track_id: TrackId,
}

/// A message by `send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageParams {
    /// Who sent it, written by the server.
    #[schemars(with = "String")]
    pub from: Identity,
    /// Whom it was sent to.
    #[schemars(with = "String")]
    pub to: Address,
    /// What it is about.
    pub topic: String,
    /// As it was sent.
    pub payload: Value,
}

/// Somebody said something; the sender gets it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatNotice {
    /// As in the sender's result.
    pub message_id: String,
    /// Who.
    #[schemars(with = "String")]
    pub from: Identity,
    /// What.
    pub text: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Reactions of the last second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReactionsParams {
    /// Each kind once.
    pub reactions: Vec<Reaction>,
}

/// The room moves to another worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrateParams {
    /// Where to connect; empty: where this session is, since the worker stays the same.
    pub url: String,
    /// What to `join` with there, as `resume`.
    pub token: Secret,
    /// How long the old session lives on, in milliseconds from now.
    pub deadline_ms: u64,
    /// Why.
    pub reason: MigrateReason,
}

/// The server is about to close this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosingParams {
    /// Why.
    pub reason: CloseReason,
    /// When to come back, in milliseconds from now; absent: at once or never, as the reason says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A result with nothing in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmptyResult {}

/// Result of `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinResult {
    /// Who one is in the room.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// New at each join; the same when resumed.
    #[schemars(with = "String")]
    pub session_id: media_types::PeerId,
    /// For the next `join {resume}`.
    pub resume_token: Secret,
    /// Whether the earlier session goes on: its transport, tracks and slots are as they were.
    pub resumed: bool,
    /// The room as it is.
    pub room: Room,
    /// For the `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// How often to `ping`.
    pub heartbeat: Heartbeat,
    /// The worker that serves this session.
    pub worker: String,
    /// Where to reconnect: this worker's URL first.
    pub endpoints: Vec<String>,
}

/// How often to `ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Milliseconds between two pings.
    pub interval_ms: u64,
    /// Pings missed until the session counts as lost.
    pub missed: u32,
}

/// Result of `offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferResult {
    /// The answer.
    pub sdp: String,
    /// All that one publishes by now: which m-line carries which track.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<AcceptedTrack>,
}

/// A track of one's own that the server has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedTrack {
    /// The m-line that carries it.
    #[schemars(with = "String")]
    pub mid: Mid,
    /// Its id.
    #[schemars(with = "String")]
    pub track_id: TrackId,
}

/// Result of `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscribeResult {
    /// The slots that were named, as they are now.
    pub slots: Vec<SlotState>,
}

/// Result of `send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendResult {
    /// To how many peers it was handed.
    pub delivered: u32,
}

/// Result of `chat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatResult {
    /// The message's id, unique in the room.
    pub message_id: String,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Result of `time`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeResult {
    /// As the client sent it.
    pub t0: f64,
    /// The server's clock when it came, since the Unix epoch.
    pub t1: f64,
    /// The server's clock when the answer left.
    pub t2: f64,
}

/// Result of `stats`: what the server sees of this peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsResult {
    /// What the path to the client is believed to carry, in bits per second.
    pub estimate_bps: u64,
    /// What is being sent to the client, in bits per second.
    pub sent_bps: u64,
    /// What is being received from the client, in bits per second.
    pub received_bps: u64,
    /// Round-trip time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Part of what was sent that was lost, 0 to 1.
    pub loss: f64,
    /// The score of `quality`, 0 to 1.
    pub quality: f64,
    /// The tracks that this peer publishes.
    pub published: Vec<PublishedStats>,
    /// What its slots get.
    pub slots: Vec<SubscribedStats>,
}

/// The result of a request, whichever.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// Nothing to say but that it is done.
    Empty(EmptyResult),
    /// Of `join`.
    Join(Box<JoinResult>),
    /// Of `offer`.
    Offer(OfferResult),
    /// Of `subscribe`.
    Subscribe(SubscribeResult),
    /// Of `send`.
    Send(SendResult),
    /// Of `chat`.
    Chat(ChatResult),
    /// Of `time`.
    Time(TimeResult),
    /// Of `stats`.
    Stats(StatsResult),
}

impl Reply {
    /// The result with nothing in it.
    pub const EMPTY: Self = Self::Empty(EmptyResult {});
}

macro_rules! into_reply {
    ($($variant:ident($result:ty)),* $(,)?) => {
        $(impl From<$result> for Reply {
            fn from(result: $result) -> Self {
                Self::$variant(result)
            }
        })*
    };
}

into_reply! {
    Empty(EmptyResult),
    Offer(OfferResult),
    Subscribe(SubscribeResult),
    Send(SendResult),
    Chat(ChatResult),
    Time(TimeResult),
    Stats(StatsResult),
}

impl From<JoinResult> for Reply {
    fn from(result: JoinResult) -> Self {
        Self::Join(Box::new(result))
    }
}

/// The slot with this mid, empty and waiting; a starting point.
impl SlotState {
    /// A slot that shows nothing yet.
    #[must_use]
    pub const fn waiting(mid: Mid) -> Self {
        Self {
            mid,
            track_id: None,
            state: crate::view::SlotPhase::Waiting,
            reason: None,
        }
    }
}
