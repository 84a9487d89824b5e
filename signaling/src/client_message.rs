//! What clients send: JSON-RPC 2.0 requests, one struct of parameters a method.

use std::fmt;
use std::str::FromStr;

use media_types::{Identity, Mid, RoomName, TrackId, TrackSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RpcError;
use crate::rpc::{self, Incoming, ParseFailure, RequestId};
use crate::server_message::{
    ChatResult, EmptyResult, JoinResult, OfferResult, SendResult, StatsResult, SubscribeResult,
    TimeResult,
};
use crate::token::Secret;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $params:ty => $result:ty;)*) => {
        /// A request or notification of a client.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "method", content = "params", rename_all = "camelCase")]
        pub enum ClientMessage {
            $($(#[$doc])* $name($params),)*
        }

        impl ClientMessage {
            /// The methods, as on the wire.
            pub const METHODS: &'static [&'static str] = &[$($word),*];

            /// The method's name on the wire.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self { $(Self::$name(_) => $word,)* }
            }

            pub(crate) fn from_parts(
                method: &str,
                params: Value,
            ) -> Option<Result<Self, serde_json::Error>> {
                match method {
                    $($word => Some(serde_json::from_value(params).map(Self::$name)),)*
                    _ => None,
                }
            }
        }

        /// Calls `$visit` with each method's name, parameters and result, for the schema.
        pub(crate) fn methods_schema(
            generator: &mut schemars::SchemaGenerator,
        ) -> serde_json::Map<String, Value> {
            let mut methods = serde_json::Map::new();
            $(
                let params = generator.subschema_for::<$params>().to_value();
                let result = generator.subschema_for::<$result>().to_value();
                methods.insert(
                    $word.to_owned(),
                    serde_json::json!({ "params": params, "result": result }),
                );
            )*
            methods
        }
    };
}

methods! {
    /// Enters a room, or takes a session up again.
    Join = "join", JoinParams => JoinResult;
    /// Says that the client is there.
    Ping = "ping", PingParams => EmptyResult;
    /// Offers a session description: at first, to renegotiate, and to restart ICE.
    Offer = "offer", OfferParams => OfferResult;
    /// One more candidate of the client (trickle ICE, RFC 8838).
    Candidate = "candidate", CandidateParams => EmptyResult;
    /// Fills slots by hand.
    Subscribe = "subscribe", SubscribeParams => SubscribeResult;
    /// Takes a track out of the room.
    Unpublish = "unpublish", UnpublishParams => EmptyResult;
    /// Mutes or unmutes a track of one's own.
    Mute = "mute", MuteParams => EmptyResult;
    /// Replaces one's own metadata.
    SetMetadata = "setMetadata", SetMetadataParams => EmptyResult;
    /// Sends a message to a peer or to all.
    Send = "send", SendParams => SendResult;
    /// Says something to the room.
    Chat = "chat", ChatParams => ChatResult;
    /// Reacts; counted and coalesced per second.
    React = "react", ReactParams => EmptyResult;
    /// Compares clocks, as NTP does (RFC 5905, section 8).
    Time = "time", TimeParams => TimeResult;
    /// Asks what the server sees of this peer.
    Stats = "stats", StatsParams => StatsResult;
    /// Says that the room's next worker serves this client: the session here may end.
    Settled = "settled", SettledParams => EmptyResult;
    /// Leaves for good.
    Leave = "leave", LeaveParams => EmptyResult;
}

/// Reads one text frame.
///
/// Takes what the peer sent, whatever it is: the length is checked first, then JSON, then the
/// request's shape, then the method, then its parameters, and at last their limits.
///
/// # Errors
/// The answer to send, with the request's id where it could be read.
pub fn parse(text: &str) -> Result<Incoming, ParseFailure> {
    rpc::parse_request(text)
}

/// Parameters of `join`. The room is the token's; the URL's `?room=`, where the token is for many.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinParams {
    /// The join token, unless it came with the URL or as a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The same `jti`, `sub` and `nonce` within 60 s repeat the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// A display name; the token's, where it has one, wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Metadata to start with; the token's, where it has some, wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// The `resumeToken` of an earlier `join`, in place of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Secret>,
    /// What the join is part of, where it is traced (W3C Trace Context, section 3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Parameters of `ping`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PingParams {}

/// Parameters of `stats`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatsParams {}

/// Parameters of `settled`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledParams {}

/// Parameters of `leave`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaveParams {}

/// Parameters of `offer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferParams {
    /// The session description (RFC 8866).
    pub sdp: String,
    /// What the m-lines that send carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<OfferedTrack>,
    /// Which audio and video slots belong together, where it is not the i-th and the i-th.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<[String; 2]>>")]
    pub pairs: Option<Vec<[Mid; 2]>>,
}

/// What one m-line that sends carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedTrack {
    /// The m-line.
    #[schemars(with = "String")]
    pub mid: Mid,
    /// What the track shows.
    #[schemars(with = "crate::schema::TrackSource")]
    pub source: TrackSource,
    /// A name of the publisher's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `candidate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateParams {
    /// The candidate (RFC 8839, section 5.1) without `a=`; empty at the end of candidates.
    pub candidate: String,
    /// Its m-line; all are bundled, so it does not matter which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sdp_mid: Option<Mid>,
}

/// Parameters of `subscribe`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeParams {
    /// The slots and what they shall show. Naming a slot pins it.
    pub slots: Vec<SlotWish>,
}

/// What one slot shall show, and how much of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotWish {
    /// The slot.
    #[schemars(with = "String")]
    pub mid: Mid,
    /// The track to show; `null` takes the pin away.
    #[schemars(with = "Option<String>")]
    pub track_id: Option<TrackId>,
    /// No more pixels across than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u32>,
    /// No more pixels down than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
    /// No more pictures a second than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u32>,
    /// Who gets bandwidth first: the higher. 100 for a pinned slot where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// `false`: the slot is not pinned; the wish holds for the track wherever the server shows it.
    /// True where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<bool>,
}

/// Parameters of `unpublish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnpublishParams {
    /// A track of one's own.
    #[schemars(with = "String")]
    pub track_id: TrackId,
}

/// Parameters of `mute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MuteParams {
    /// A track of one's own.
    #[schemars(with = "String")]
    pub track_id: TrackId,
    /// Muted, or not.
    pub muted: bool,
}

/// Parameters of `setMetadata`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetMetadataParams {
    /// Replaces all of it.
    pub metadata: Value,
}

/// Parameters of `send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SendParams {
    /// `peer:ID`, `room`, or, with the `admin` grant, `room:NAME`.
    #[schemars(with = "String")]
    pub to: Address,
    /// What it is about, of the application's choice.
    pub topic: String,
    /// Any JSON value, or `{"base64": "…"}` for bytes.
    pub payload: Value,
    /// Whether it must arrive. True where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reliable: Option<bool>,
}

/// Parameters of `chat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatParams {
    /// What is said.
    pub text: String,
}

/// Parameters of `react`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReactParams {
    /// An emoji or a short word.
    pub kind: String,
}

/// Parameters of `time`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeParams {
    /// The client's clock when it sent this, in milliseconds.
    pub t0: f64,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One peer of the sender's room: `peer:ID`.
    Peer(Identity),
    /// All others in the sender's room: `room`.
    Room,
    /// All in another room: `room:NAME`.
    OtherRoom(RoomName),
}

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is peer:ID, room or room:NAME")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "room" {
            return Ok(Self::Room);
        }
        let (kind, name) = text.split_once(':').ok_or(AddressError)?;
        match kind {
            "peer" => name.parse().map(Self::Peer).map_err(|_| AddressError),
            "room" => name.parse().map(Self::OtherRoom).map_err(|_| AddressError),
            _ => Err(AddressError),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(identity) => write!(f, "peer:{identity}"),
            Self::Room => f.write_str("room"),
            Self::OtherRoom(name) => write!(f, "room:{name}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl ClientMessage {
    /// The message as a frame, for clients written in Rust. Without an id it is a notification.
    #[must_use]
    pub fn to_text(&self, id: Option<&RequestId>) -> String {
        rpc::request_text(self, id)
    }

    /// Whether every text and list is within [`crate::limits`].
    ///
    /// # Errors
    /// `too_large`, naming the parameter.
    pub fn check_limits(&self) -> Result<(), RpcError> {
        crate::bounds::check(self)
    }
}
