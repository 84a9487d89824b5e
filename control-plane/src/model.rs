//! The records in the store: JSON with a `version`.

use media_types::{Codec, Epoch, WorkerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ControlPlaneError;

/// A record of the store.
///
/// Written with its version; a reader refuses versions above its own, so that an old worker in a
/// rolling update never overwrites what it does not understand.
pub trait Record: Serialize + DeserializeOwned {
    /// The version that this code writes.
    const VERSION: u32;

    /// The bytes for the store.
    fn encode(&self) -> Vec<u8> {
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.insert("version".to_owned(), Self::VERSION.into());
        Value::Object(fields).to_string().into_bytes()
    }

    /// Reads the bytes that lie under `key`.
    ///
    /// # Errors
    /// [`ControlPlaneError::Record`] and [`ControlPlaneError::Version`].
    fn decode(key: &str, bytes: &[u8]) -> Result<Self, ControlPlaneError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let wrong = |source| ControlPlaneError::Record {
            key: key.to_owned(),
            source,
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if version > Self::VERSION {
            return Err(ControlPlaneError::Version {
                key: key.to_owned(),
                found: version,
            });
        }
        serde_json::from_slice(bytes).map_err(wrong)
    }
}

/// A worker, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRecord {
    /// New at each start of the process.
    pub id: WorkerId,
    /// Where clients reach its signalling.
    pub url: String,
    /// Where operators say that it stands; empty where they do not.
    #[serde(default)]
    pub region: String,
    /// Whether it takes joins.
    pub ready: bool,
    /// Whether it is being emptied.
    pub draining: bool,
    /// Rooms that it owns.
    pub rooms: u32,
    /// How busy its busiest shard is, in thousandths.
    pub load_permille: u16,
    /// Packets a second that it takes and sends.
    #[serde(default)]
    pub packets_per_s: u64,
    /// Bits a second that it sends.
    #[serde(default)]
    pub egress_bps: u64,
    /// Where other workers reach its relay, the best first; empty: it takes no part in relays.
    #[serde(default)]
    pub relay: Vec<String>,
}

impl Default for WorkerRecord {
    fn default() -> Self {
        Self {
            id: WorkerId::new(0),
            url: String::new(),
            region: String::new(),
            ready: false,
            draining: false,
            rooms: 0,
            load_permille: 0,
            packets_per_s: 0,
            egress_bps: 0,
            relay: Vec::new(),
        }
    }
}

impl Record for WorkerRecord {
    const VERSION: u32 = 1;
}

/// Who owns a room. Stays for a while after the last owner let it go, so that epochs only rise
/// ([`crate::ownership::RELEASED_LIFE`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomOwner {
    /// Nobody, where the last owner let it go.
    pub worker: Option<WorkerId>,
    /// Rises with each owner.
    pub epoch: Epoch,
    /// Who had it in the epoch before; where nobody has it, who had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<WorkerId>,
}

impl Record for RoomOwner {
    const VERSION: u32 = 1;
}

/// What a room may hold and how long it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSpec {
    /// Peers at one time.
    pub max_peers: u32,
    /// Peers that publish at one time.
    pub max_publishers: u32,
    /// Seconds that it stays before the first join.
    pub empty_timeout_s: u32,
    /// Seconds that it stays after the last peer.
    pub departure_timeout_s: u32,
    /// What the application keeps with it.
    #[serde(default)]
    pub metadata: Value,
    /// The codecs that may be published; `None`: all.
    #[serde(default)]
    pub codecs: Option<Vec<Codec>>,
    /// Whether it is recorded.
    #[serde(default)]
    pub recording: bool,
    /// Whether a join may open it again once it has closed.
    pub auto_create: bool,
}

impl Record for RoomSpec {
    const VERSION: u32 = 1;
}

impl Default for RoomSpec {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_carry_their_version() {
        let owner = RoomOwner {
            worker: Some(WorkerId::new(1)),
            epoch: Epoch(3),
            before: None,
        };
        let json: Value = serde_json::from_slice(&owner.encode()).unwrap();
        let expected = serde_json::json!({"version": 1, "worker": "wk_0000000000001", "epoch": 3});
        assert_eq!(json, expected);
    }

    #[test]
    fn a_newer_record_is_left_alone() {
        let newer = br#"{"version":2,"worker":null,"epoch":1}"#;
        let error = RoomOwner::decode("k", newer).unwrap_err();
        assert!(matches!(error, ControlPlaneError::Version { found: 2, .. }));
        let broken = RoomOwner::decode("k", b"{}").unwrap_err();
        assert!(matches!(broken, ControlPlaneError::Record { .. }));
    }

    proptest! {
        #[test]
        fn written_is_read(
            id: u64, url in "\\PC{0,30}", rooms: u32, load_permille: u16, ready: bool,
            draining: bool, max_peers: u32, recording: bool,
        ) {
            let id = WorkerId::new(id);
            let region = String::new();
            let worker = WorkerRecord {
                id, url, region, ready, draining, rooms, load_permille, ..WorkerRecord::default()
            };
            prop_assert_eq!(WorkerRecord::decode("k", &worker.encode()).unwrap(), worker);
            let spec = RoomSpec { max_peers, recording, ..RoomSpec::default() };
            prop_assert_eq!(RoomSpec::decode("k", &spec.encode()).unwrap(), spec);
        }
    }
}
