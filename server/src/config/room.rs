//! `[room]` and `[session]`: bounds and timings of rooms and of the sessions in them.

use std::time::Duration;

use media_types::Codec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::rest::RoomSettings;

/// What a room gets where `PUT rooms/{r}` does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoomConfig {
    /// Peers at one time.
    pub max_peers: u32,
    /// Peers that publish at one time.
    pub max_publishers: u32,
    /// How long a room stays that nobody has joined yet.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub empty_timeout: Duration,
    /// How long a room stays when the last peer has gone.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub departure_timeout: Duration,
    /// The codecs that may be published; absent: all of `webrtc.codecs`.
    #[schemars(with = "Option<Vec<String>>")]
    pub codecs: Option<Vec<Codec>>,
    /// Whether a join opens a room that does not exist.
    pub auto_create: bool,
    /// Peers above which only publishers are named, and the others counted.
    pub roster_limit: u32,
    /// Peers of one room on this worker; beyond them another worker takes part in the room, if
    /// there is one. 0: any number.
    pub peers_per_worker: u32,
    /// Rooms at one time on this worker.
    pub rooms_max: u32,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            max_peers: 1_000,
            max_publishers: 50,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            codecs: None,
            auto_create: true,
            roster_limit: 100,
            peers_per_worker: 1_000,
            rooms_max: 10_000,
        }
    }
}

impl RoomConfig {
    /// The settings of a room that opens by a join.
    #[must_use]
    pub fn settings(&self) -> RoomSettings {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        RoomSettings {
            max_peers: self.max_peers,
            max_publishers: self.max_publishers,
            empty_timeout_s: seconds(self.empty_timeout),
            departure_timeout_s: seconds(self.departure_timeout),
            codecs: self.codecs.clone(),
            auto_create: self.auto_create,
            ..RoomSettings::default()
        }
    }
}

/// Signalling sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// How long a WebSocket may take to join.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub join_timeout: Duration,
    /// How often clients ping.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub heartbeat_interval: Duration,
    /// Pings missed until a session counts as lost.
    pub heartbeat_missed: u32,
    /// How long a lost session keeps its resources.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub resume_window: Duration,
    /// Messages that wait for a slow client; past it `closing {slow_client}`.
    pub out_messages_max: usize,
    /// Bytes that wait for a slow client; past it `closing {slow_client}`.
    pub out_bytes_max: usize,
    /// Messages of a client that wait for its peer; past it the socket is not read.
    pub in_messages_max: usize,
    /// How long the socket may stay unread before it is closed with 1013.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub in_stall_max: Duration,
    /// Messages a second that a client may send; past it `rate_limited`.
    pub messages_per_second: u32,
    /// Messages that a client may send at once before that rate counts.
    pub messages_burst: u32,
    /// Chat messages, reactions and sends a second of a client, each of which goes to everybody;
    /// past it `rate_limited`.
    pub talk_per_second: u32,
    /// As many at once before that rate counts.
    pub talk_burst: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            join_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_missed: 2,
            resume_window: Duration::from_secs(20),
            out_messages_max: 256,
            out_bytes_max: 1024 * 1024,
            in_messages_max: 64,
            in_stall_max: Duration::from_secs(5),
            messages_per_second: 50,
            messages_burst: 200,
            talk_per_second: 20,
            talk_burst: 50,
        }
    }
}
