//! Words about one room, about streams that are watched, about recordings.

use clap::Subcommand;
use media_types::{Identity, RoomName};
use serde_json::{Value, json};

use super::{Call, get, json_value};

#[derive(Debug, Subcommand)]
pub(super) enum RoomAct {
    /// Shows it
    Show { room: RoomName },
    /// Opens it, or replaces its settings: JSON as in `'{"maxPeers": 20}'`
    Put {
        room: RoomName,
        #[arg(value_parser = json_value, default_value = "{}")]
        settings: Value,
    },
    /// Changes the settings that the JSON names
    Patch {
        room: RoomName,
        #[arg(value_parser = json_value)]
        settings: Value,
    },
    /// Closes it
    Close { room: RoomName },
    /// Changes a peer: JSON as in `'{"grants": {"publish": false}}'`
    Peer {
        room: RoomName,
        peer: Identity,
        #[arg(value_parser = json_value)]
        change: Value,
    },
}

impl RoomAct {
    pub(super) fn call(self) -> Call {
        match self {
            Self::Show { room } => get(&format!("rooms/{room}")),
            Self::Put { room, settings } => Call("PUT", format!("rooms/{room}"), Some(settings)),
            Self::Patch { room, settings } => {
                Call("PATCH", format!("rooms/{room}"), Some(settings))
            }
            Self::Close { room } => Call("DELETE", format!("rooms/{room}"), None),
            Self::Peer { room, peer, change } => {
                Call("PATCH", format!("rooms/{room}/peers/{peer}"), Some(change))
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum EgressAct {
    /// Lists them, of all workers
    List,
    /// Shows one
    Show { room: RoomName, stream: Identity },
    /// Stops packaging one
    Stop { room: RoomName, stream: Identity },
}

impl EgressAct {
    pub(super) fn call(self) -> Call {
        match self {
            Self::List => get("egress?limit=1000"),
            Self::Show { room, stream } => get(&format!("egress/{room}/{stream}")),
            Self::Stop { room, stream } => Call("DELETE", format!("egress/{room}/{stream}"), None),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum RecordingAct {
    /// Lists them
    List,
    /// Shows one
    Show { id: String },
    /// Begins one
    Start {
        room: RoomName,
        /// This publisher alone
        #[arg(long)]
        stream: Option<Identity>,
    },
    /// Ends one
    Stop { id: String },
    /// Deletes one
    Delete { id: String },
}

impl RecordingAct {
    pub(super) fn call(self) -> Call {
        match self {
            Self::List => get("recordings?limit=1000"),
            Self::Show { id } => get(&format!("recordings/{id}")),
            Self::Start { room, stream } => {
                let body = json!({ "room": room, "stream": stream });
                Call("POST", "recordings".to_owned(), Some(body))
            }
            Self::Stop { id } => Call("POST", format!("recordings/{id}/stop"), None),
            Self::Delete { id } => Call("DELETE", format!("recordings/{id}"), None),
        }
    }
}
