//! Bodies of the admin API.

use media_types::{Codec, Identity, PeerId, RoomName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
use crate::view::{PeerState, QualityReason, Track};

/// What a room may hold and how long it lives: the body of `PUT rooms/{r}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RoomSettings {
    /// Peers at one time.
    pub max_peers: u32,
    /// Peers that publish at one time.
    pub max_publishers: u32,
    /// How long a room stays that nobody has joined yet, in seconds.
    pub empty_timeout_s: u32,
    /// How long a room stays when the last peer has gone, in seconds.
    pub departure_timeout_s: u32,
    /// What the application keeps with the room.
    pub metadata: Value,
    /// The codecs that may be published; absent: all that the server forwards.
    #[schemars(with = "Option<Vec<crate::schema::Codec>>")]
    pub codecs: Option<Vec<Codec>>,
    /// Whether it is recorded from its first track on.
    pub recording: bool,
    /// Whether a join may open it again once it has closed.
    pub auto_create: bool,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            max_peers: 1_000,
            max_publishers: 50,
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            metadata: Value::Null,
            codecs: None,
            recording: false,
            auto_create: true,
        }
    }
}

/// The body of `PATCH rooms/{r}`: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RoomPatch {
    /// See [`RoomSettings::max_peers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_peers: Option<u32>,
    /// See [`RoomSettings::max_publishers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_publishers: Option<u32>,
    /// See [`RoomSettings::empty_timeout_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_timeout_s: Option<u32>,
    /// See [`RoomSettings::departure_timeout_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub departure_timeout_s: Option<u32>,
    /// See [`RoomSettings::metadata`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// See [`RoomSettings::codecs`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<crate::schema::Codec>>")]
    pub codecs: Option<Vec<Codec>>,
    /// See [`RoomSettings::recording`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
    /// See [`RoomSettings::auto_create`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_create: Option<bool>,
}

impl RoomPatch {
    /// The settings with this patch applied.
    #[must_use]
    pub fn apply(self, settings: RoomSettings) -> RoomSettings {
        let old = settings;
        RoomSettings {
            max_peers: self.max_peers.unwrap_or(old.max_peers),
            max_publishers: self.max_publishers.unwrap_or(old.max_publishers),
            empty_timeout_s: self.empty_timeout_s.unwrap_or(old.empty_timeout_s),
            departure_timeout_s: self.departure_timeout_s.unwrap_or(old.departure_timeout_s),
            metadata: self.metadata.unwrap_or(old.metadata),
            codecs: self.codecs.or(old.codecs),
            recording: self.recording.unwrap_or(old.recording),
            auto_create: self.auto_create.unwrap_or(old.auto_create),
        }
    }
}

/// A room, as `GET rooms` and `GET rooms/{r}` show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStatus {
    /// Its name.
    #[schemars(with = "String")]
    pub name: RoomName,
    /// Its settings.
    pub settings: RoomSettings,
    /// Peers now.
    pub peers: u32,
    /// Peers that publish now.
    pub publishers: u32,
    /// Tracks now.
    pub tracks: u32,
    /// When it opened, in milliseconds since the Unix epoch.
    pub opened_at: u64,
    /// The worker that owns it.
    pub worker: String,
    /// The number of its ownership.
    pub epoch: u64,
    /// The shards of the worker that answers on which it is open, the one it opened on first.
    #[serde(default)]
    pub shards: Vec<u16>,
}

/// A peer, as `GET rooms/{r}/peers` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its identity.
    #[schemars(with = "String")]
    pub peer_id: Identity,
    /// Its session.
    #[schemars(with = "String")]
    pub session_id: PeerId,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the application keeps with it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// Whether it is there.
    pub state: PeerState,
    /// How it came.
    pub via: SessionKind,
    /// When it joined, in milliseconds since the Unix epoch.
    pub joined_at: u64,
    /// What it publishes.
    pub tracks: Vec<Track>,
    /// How well its media arrives, both ways, as it was told last: 1 flawless, 0 unusable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// What costs most of what is missing to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_reason: Option<QualityReason>,
}

/// How a peer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SessionKind {
    /// By WebSocket signalling.
    WebSocket,
    /// By WHIP.
    Whip,
    /// By WHEP.
    Whep,
    /// By RTMP, QUIC or upload.
    Ingest,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask the next page with; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The query of a paged list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageQuery {
    /// Entries at most.
    pub limit: Option<usize>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Entries at most, within its bounds.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
            .unwrap_or(PAGE_LIMIT_DEFAULT)
            .clamp(1, PAGE_LIMIT_MAX)
    }
}

impl<T> Page<T> {
    /// Cuts the page that a query asks for out of a list sorted by `key`, which is also the cursor.
    #[must_use]
    pub fn cut(sorted: Vec<T>, query: &PageQuery, key: impl Fn(&T) -> String) -> Self {
        let limit = query.limit();
        let after = |item: &T| {
            query
                .cursor
                .as_ref()
                .is_none_or(|cursor| key(item) > *cursor)
        };
        let mut items: Vec<T> = sorted.into_iter().filter(after).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| more).map(key);
        Self { items, cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_their_documented_defaults() {
        let settings: RoomSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, RoomSettings::default());
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!(json["maxPeers"], 1_000);
        assert_eq!(json["maxPublishers"], 50);
        assert_eq!(json["emptyTimeoutS"], 300);
        assert_eq!(json["departureTimeoutS"], 20);
        assert!(serde_json::from_str::<RoomSettings>(r#"{"maxPeer":1}"#).is_err());
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let patch: RoomPatch =
            serde_json::from_str(r#"{"maxPeers":2,"codecs":["vp8","opus"]}"#).unwrap();
        let settings = patch.apply(RoomSettings::default());
        assert_eq!(settings.max_peers, 2);
        assert_eq!(settings.codecs, Some(vec![Codec::Vp8, Codec::Opus]));
        assert_eq!(settings.max_publishers, 50);
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let all: Vec<String> = (0..7).map(|n| format!("room-{n}")).collect();
        let mut query = PageQuery {
            limit: Some(3),
            cursor: None,
        };
        let mut seen = Vec::new();
        loop {
            let page = Page::cut(all.clone(), &query, String::clone);
            seen.extend(page.items);
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
