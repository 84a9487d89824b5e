//! What a token claims and what that grants. Verification is the server's.

use std::fmt;
use std::str::FromStr;

use media_types::{Identity, NameError, RoomName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text that must never be logged: `Debug` shows its length alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Do not print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} B)", self.0.len())
    }
}

/// The rooms that a token is for: one name, or all that start with what stands before a `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPattern {
    /// This room alone.
    Exact(RoomName),
    /// Every room whose name starts so; empty for every room.
    Prefix(String),
}

impl RoomPattern {
    /// Whether the room is one of these.
    #[must_use]
    pub fn matches(&self, room: &RoomName) -> bool {
        match self {
            Self::Exact(name) => name == room,
            Self::Prefix(prefix) => room.as_str().starts_with(prefix),
        }
    }
}

impl FromStr for RoomPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.strip_suffix('*') {
            None => text.parse().map(Self::Exact),
            Some("") => Ok(Self::Prefix(String::new())),
            Some(prefix) => {
                // A prefix is made of what names are made of.
                let name: RoomName = prefix.parse()?;
                Ok(Self::Prefix(name.as_str().to_owned()))
            }
        }
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => fmt::Display::fmt(name, f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Serialize for RoomPattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RoomPattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an operator may do; each includes the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AdminRole {
    /// Look.
    Viewer,
    /// Look and act on rooms and peers.
    Operator,
    /// Everything.
    Admin,
}

/// One thing that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Send media.
    Publish,
    /// Receive media.
    Subscribe,
    /// Send messages.
    Data,
    /// Publish by RTMP, QUIC or WHIP with a long-lived token.
    Ingest,
    /// Play HLS, DASH, FLV and the like.
    Play,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Publish,
        Self::Subscribe,
        Self::Data,
        Self::Ingest,
        Self::Play,
    ];
}

impl FromStr for Grant {
    type Err = UnknownGrant;

    fn from_str(text: &str) -> Result<Self, UnknownGrant> {
        match text {
            "publish" => Ok(Self::Publish),
            "subscribe" => Ok(Self::Subscribe),
            "data" => Ok(Self::Data),
            "ingest" => Ok(Self::Ingest),
            "play" => Ok(Self::Play),
            _ => Err(UnknownGrant),
        }
    }
}

/// The text names no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant is one of publish, subscribe, data, ingest, play")]
pub struct UnknownGrant;

/// The `troupe` claim: rooms and grants. What is missing is a no.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grants {
    /// The rooms; may end in `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub room: Option<RoomPattern>,
    /// The display name that the peer starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The metadata that the peer starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// May send media.
    #[serde(default)]
    pub publish: bool,
    /// May receive media.
    #[serde(default)]
    pub subscribe: bool,
    /// May send messages.
    #[serde(default)]
    pub data: bool,
    /// May ingest with a long-lived token.
    #[serde(default)]
    pub ingest: bool,
    /// May play HLS and the like.
    #[serde(default)]
    pub play: bool,
    /// What it may do through the admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminRole>,
}

impl Grants {
    /// Nothing but the room.
    #[must_use]
    pub fn for_room(room: RoomPattern) -> Self {
        Self {
            room: Some(room),
            ..Self::default()
        }
    }

    /// The same with one more grant.
    #[must_use]
    pub const fn with(mut self, grant: Grant) -> Self {
        match grant {
            Grant::Publish => self.publish = true,
            Grant::Subscribe => self.subscribe = true,
            Grant::Data => self.data = true,
            Grant::Ingest => self.ingest = true,
            Grant::Play => self.play = true,
        }
        self
    }

    /// Whether this is granted.
    #[must_use]
    pub const fn allows(&self, grant: Grant) -> bool {
        match grant {
            Grant::Publish => self.publish,
            Grant::Subscribe => self.subscribe,
            Grant::Data => self.data,
            Grant::Ingest => self.ingest,
            Grant::Play => self.play,
        }
    }

    /// Whether the token is for this room at all.
    #[must_use]
    pub fn covers(&self, room: &RoomName) -> bool {
        self.room
            .as_ref()
            .is_some_and(|pattern| pattern.matches(room))
    }

    /// Whether the token acts with this role or a higher one.
    #[must_use]
    pub fn admits(&self, role: AdminRole) -> bool {
        self.admin.is_some_and(|held| held >= role)
    }
}

/// The claims of a token (RFC 7519). Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// The name of the API key that signed.
    pub iss: String,
    /// Who it is for.
    #[schemars(with = "String")]
    pub sub: Identity,
    /// Not valid from then on.
    pub exp: u64,
    /// Not valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Present where the token is for one `join` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// What it grants.
    #[serde(default)]
    pub troupe: Grants,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_rooms() {
        let room: RoomName = "class-7".parse().unwrap();
        for (pattern, matches) in [
            ("class-7", true),
            ("class-8", false),
            ("class-*", true),
            ("*", true),
            ("lab-*", false),
        ] {
            let parsed: RoomPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(&room), matches, "{pattern}");
            assert_eq!(parsed.to_string(), pattern);
        }
        assert!("".parse::<RoomPattern>().is_err());
        assert!("a*b".parse::<RoomPattern>().is_err());
        assert!("a b*".parse::<RoomPattern>().is_err());
    }

    #[test]
    fn what_is_missing_is_not_granted() {
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "iss": "devkey", "sub": "ana", "exp": 10,
            "troupe": {"room": "r", "publish": true, "admin": "operator"},
        }))
        .unwrap();
        let grants = &claims.troupe;
        assert!(grants.allows(Grant::Publish));
        assert!(!grants.allows(Grant::Subscribe) && !grants.allows(Grant::Data));
        assert!(grants.covers(&"r".parse().unwrap()) && !grants.covers(&"s".parse().unwrap()));
        assert!(grants.admits(AdminRole::Viewer) && !grants.admits(AdminRole::Admin));
        assert!(!Grants::default().covers(&"r".parse().unwrap()));
        let json = serde_json::to_value(&claims).unwrap();
        assert_eq!(serde_json::from_value::<Claims>(json).unwrap(), claims);
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(7 B)");
    }
}
