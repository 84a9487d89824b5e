//! Feature flags, and the switches that take load away: both are records under `flags/`.

use std::collections::BTreeMap;

use media_types::{Identity, RoomName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signaling::RoomPattern;

/// Nobody receives video.
pub const VIDEO_OFF: &str = "video-off";
/// Video of at most `value.maxHeight` lines, 180 where it does not say.
pub const LAYERS_CAPPED: &str = "layers-capped";
/// Nobody chats or reacts.
pub const CHAT_OFF: &str = "chat-off";
/// Nobody new comes in.
pub const JOINS_OFF: &str = "joins-off";
/// The flags that the server itself heeds.
pub const SWITCHES: [&str; 4] = [VIDEO_OFF, LAYERS_CAPPED, CHAT_OFF, JOINS_OFF];
/// The lines of the smallest layer that browsers send.
pub const HEIGHT_CAPPED: u16 = 180;

/// Characters of a name.
const NAME_LENGTH_MAX: usize = 64;
/// Rooms and peers that one flag names.
const TARGETS_MAX: usize = 1_000;
/// Bytes of a description or a value.
const TEXT_BYTES_MAX: usize = 4 * 1024;
const VERSION: u32 = 1;

/// A flag, as operators write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Flag {
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it is on for anybody.
    pub enabled: bool,
    /// The share of rooms that it is on for, in percent; always the same rooms.
    pub percent: u8,
    /// Rooms that it is on for beside that share; a name may end in `*`.
    #[schemars(with = "Vec<String>")]
    pub rooms: Vec<RoomPattern>,
    /// Peers that it is on for, in whichever room.
    #[schemars(with = "Vec<String>")]
    pub peers: Vec<Identity>,
    /// What more it says.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

impl Default for Flag {
    fn default() -> Self {
        Self {
            description: String::new(),
            enabled: false,
            percent: 100,
            rooms: Vec::new(),
            peers: Vec::new(),
            value: Value::Null,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    flag: Flag,
}

impl Flag {
    /// Whether it is on for a peer in a room; without a peer: for the room.
    #[must_use]
    pub fn is_on(&self, name: &str, room: &RoomName, peer: Option<&Identity>) -> bool {
        let named = || {
            self.rooms.iter().any(|pattern| pattern.matches(room))
                || peer.is_some_and(|peer| self.peers.contains(peer))
        };
        self.enabled && (share_of(name, room) < u32::from(self.percent) || named())
    }

    /// Checks what a flag says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, name: &str) -> Result<(), String> {
        if self.percent > 100 {
            return Err("percent is more than 100".to_owned());
        }
        if self.rooms.len() > TARGETS_MAX || self.peers.len() > TARGETS_MAX {
            return Err(format!("more than {TARGETS_MAX} rooms or peers"));
        }
        let long = |text: &str| text.len() > TEXT_BYTES_MAX;
        if long(&self.description) || long(&self.value.to_string()) {
            return Err(format!("description or value above {TEXT_BYTES_MAX} bytes"));
        }
        let heights = self.value.get("maxHeight");
        let height = heights.is_none_or(|it| it.as_u64().is_some_and(|h| (1..=4320).contains(&h)));
        if name == LAYERS_CAPPED && !height {
            return Err("value.maxHeight is from 1 to 4320".to_owned());
        }
        Ok(())
    }

    /// The bytes for the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kept = Kept {
            version: VERSION,
            flag: self.clone(),
        };
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Reads and checks what lies in the store.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if kept.version > VERSION {
            return Err(format!(
                "version {} is newer than this worker",
                kept.version
            ));
        }
        kept.flag.check(name)?;
        Ok(kept.flag)
    }

    /// The lines that [`LAYERS_CAPPED`] leaves.
    #[must_use]
    pub fn height(&self) -> u16 {
        let height = self.value.get("maxHeight").and_then(Value::as_u64);
        height
            .and_then(|it| u16::try_from(it).ok())
            .unwrap_or(HEIGHT_CAPPED)
    }
}

/// All flags that there are.
pub type Flags = BTreeMap<String, Flag>;

/// Whether a flag may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= NAME_LENGTH_MAX && name.bytes().all(plain)
}

/// The same for a flag and a room on every worker: 0 to 99 (FNV-1a).
fn share_of(name: &str, room: &RoomName) -> u32 {
    let bytes = name.bytes().chain([b'/']).chain(room.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The lower bits of FNV-1a are the worse ones.
    u32::try_from((hash >> 32) % 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flag(text: Value) -> Flag {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_share_of_the_rooms_grows_and_never_changes_places() {
        let room = |n: u32| -> RoomName { format!("room-{n}").parse().unwrap() };
        let on = |percent: u8| -> Vec<u32> {
            let flag = flag(json!({"enabled": true, "percent": percent}));
            (0..10_000)
                .filter(|&n| flag.is_on("new", &room(n), None))
                .collect()
        };
        let (tenth, half) = (on(10), on(50));
        assert!((900..1_100).contains(&tenth.len()), "{}", tenth.len());
        assert!((4_800..5_200).contains(&half.len()), "{}", half.len());
        assert!(tenth.iter().all(|n| half.contains(n)));
        assert_eq!((on(0).len(), on(100).len()), (0, 10_000));
    }

    #[test]
    fn named_rooms_and_peers_have_it() {
        let flag = flag(json!({
            "enabled": true, "percent": 0, "rooms": ["class-*"], "peers": ["ann"],
        }));
        let (class, lobby) = ("class-7".parse().unwrap(), "lobby".parse().unwrap());
        let (ann, bob) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        assert!(flag.is_on("f", &class, Some(&bob)));
        assert!(flag.is_on("f", &lobby, Some(&ann)));
        assert!(!flag.is_on("f", &lobby, Some(&bob)));
        let off = Flag {
            enabled: false,
            ..flag
        };
        assert!(!off.is_on("f", &class, Some(&ann)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Flag::decode("f", b"{").is_err());
        let bad = |text: Value| Flag::decode("layers-capped", text.to_string().as_bytes());
        assert!(bad(json!({"version": 2, "flag": {}})).is_err());
        assert!(bad(json!({"version": 1, "flag": {"percent": 101}})).is_err());
        assert!(bad(json!({"version": 1, "flag": {"value": {"maxHeight": 0}}})).is_err());
        let good = bad(json!({"version": 1, "flag": {"value": {"maxHeight": 360}}})).unwrap();
        assert_eq!(good.height(), 360);
        assert_eq!(Flag::default().height(), HEIGHT_CAPPED);
        assert_eq!(Flag::decode("f", &good.encode()).unwrap(), good);
        assert!(is_name("new-ui.2") && !is_name("a/b") && !is_name(""));
    }
}
