//! What the actors ask: who may come in, chat, and receive how much video.

use std::sync::Arc;

use actors::{Entrance, VideoLimit};
use arc_swap::ArcSwap;
use control_plane::balance::Decision;
use media_types::{Clock, Epoch, Identity, RoomName, WorkerId};
use serde_json::json;
use signaling::{ErrorType, RpcError, ServerMessage};

use super::events::Journal;
use super::flags::{CHAT_OFF, Flags, JOINS_OFF, LAYERS_CAPPED, SWITCHES, VIDEO_OFF};
use super::limits::Gates;
use super::sections::Sections;

/// When a client may try again that a switch keeps out.
const JOINS_OFF_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// The switches and limits in force.
pub struct Policy {
    pub(super) flags: ArcSwap<Flags>,
    /// How often clients may come in.
    pub gates: Gates,
    pub(super) sections: Arc<Sections>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Policy {
    pub(super) fn new(sections: Arc<Sections>, clock: Arc<dyn Clock>) -> Self {
        Self {
            flags: ArcSwap::default(),
            gates: Gates::default(),
            sections,
            clock,
        }
    }

    /// All flags.
    #[must_use]
    pub fn flags(&self) -> Arc<Flags> {
        self.flags.load_full()
    }

    fn is_on(&self, name: &str, room: &RoomName, peer: Option<&Identity>) -> bool {
        let flags = self.flags.load();
        flags
            .get(name)
            .is_some_and(|flag| flag.is_on(name, room, peer))
    }

    /// Puts other flags in force; whether one of the switches is another one.
    pub(super) fn set(&self, flags: Flags) -> bool {
        let before = self.flags.swap(Arc::new(flags));
        let now = self.flags.load();
        SWITCHES
            .iter()
            .any(|name| before.get(*name) != now.get(*name))
    }
}

impl actors::Policy for Policy {
    fn admits(&self, entrance: &Entrance<'_>) -> Result<(), RpcError> {
        if self.is_on(JOINS_OFF, entrance.room, Some(entrance.identity)) {
            let error = RpcError::with_message(ErrorType::Overloaded, "joins are switched off");
            return Err(error.retry_after(JOINS_OFF_RETRY));
        }
        let live = self.sections.live();
        let now = self.clock.now();
        self.gates
            .join(&live.limits, entrance.key, entrance.room, now)
    }

    fn may_chat(&self, room: &RoomName, identity: &Identity) -> bool {
        !self.is_on(CHAT_OFF, room, Some(identity))
    }

    fn video(&self, room: &RoomName, identity: &Identity) -> VideoLimit {
        if self.is_on(VIDEO_OFF, room, Some(identity)) {
            return VideoLimit::Off;
        }
        let flags = self.flags.load();
        let cap = flags.get(LAYERS_CAPPED);
        let cap = cap.filter(|flag| flag.is_on(LAYERS_CAPPED, room, Some(identity)));
        cap.map_or(VideoLimit::Free, |flag| VideoLimit::Height(flag.height()))
    }
}

/// Turns what the actors tell into events.
pub(super) struct Witness(pub(super) Arc<Journal>);

impl actors::Observer for Witness {
    fn room_opened(&self, room: &RoomName, epoch: Epoch, before: Option<WorkerId>) {
        self.0.room_opened(room, epoch, before);
    }

    fn room_moved(&self, room: &RoomName, to: WorkerId) {
        self.0.room_moved(room, to);
    }

    fn room_closed(&self, room: &RoomName) {
        self.0.room_closed(room);
    }

    fn room_moves(&self, room: &RoomName, epoch: Epoch, decision: &Decision) {
        let mut data = json!({"cause": decision.cause.word(), "to": decision.to.to_string()});
        if let Some(shard) = decision.shard {
            data["shard"] = json!(shard.0);
        }
        self.0.emit("room.moving", Some((room, epoch)), data);
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is said within a room is nobody's business outside"
    )]
    fn told(&self, room: &RoomName, epoch: Epoch, message: &ServerMessage) {
        let (kind, data) = match message {
            ServerMessage::PeerJoined(joined) => ("peer.joined", json!(joined)),
            ServerMessage::PeerLeft(left) => ("peer.left", json!(left)),
            ServerMessage::PeerUpdated(updated) => ("peer.updated", json!(updated)),
            ServerMessage::TrackPublished(published) => ("track.published", json!(published)),
            ServerMessage::TrackUnpublished(gone) => ("track.unpublished", json!(gone)),
            ServerMessage::TrackMuted(muted) => ("track.muted", json!(muted)),
            _ => return,
        };
        self.0.emit(kind, Some((room, epoch)), data);
    }
}

#[cfg(test)]
mod tests {
    use actors::Observer;
    use control_plane::balance::Cause;
    use media_types::ShardId;
    use serde_json::Value;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_room_that_moves_by_itself_says_why_and_where_to() {
        let journal = Arc::new(Journal::new("wk".to_owned(), Arc::new(SystemClock), 0));
        let witness = Witness(Arc::clone(&journal));
        let room: RoomName = "hall".parse().unwrap();
        let mut decision = Decision {
            room: room.clone(),
            to: WorkerId::new(7),
            shard: None,
            cause: Cause::Overload,
        };
        witness.room_moves(&room, Epoch(3), &decision);
        decision.shard = Some(ShardId(1));
        witness.room_moves(&room, Epoch(3), &decision);
        let told = journal.since(0, 10).events;
        let told: Vec<Value> = told.iter().map(|event| json!(**event)).collect();
        let [first, second] = &told[..] else {
            panic!("{told:?}");
        };
        let to = WorkerId::new(7).to_string();
        assert_eq!(first["data"], json!({"cause": "overload", "to": to}));
        let data = json!({"cause": "overload", "to": to, "shard": 1});
        assert_eq!(second["data"], data);
        assert_eq!(
            (&first["type"], &first["room"], &first["epoch"]),
            (&json!("room.moving"), &json!("hall"), &json!(3))
        );
        assert!(first["seq"].as_u64() < second["seq"].as_u64());
    }

    #[test]
    fn a_room_says_whose_it_was_and_whose_it_is_next() {
        let journal = Arc::new(Journal::new("wk".to_owned(), Arc::new(SystemClock), 0));
        let witness = Witness(Arc::clone(&journal));
        let [hall, attic]: [RoomName; 2] = ["hall", "attic"].map(|name| name.parse().unwrap());
        let other = WorkerId::new(7);
        witness.room_opened(&hall, Epoch(1), None);
        witness.room_opened(&hall, Epoch(1), None);
        witness.room_moved(&hall, other);
        witness.room_closed(&hall);
        witness.room_opened(&hall, Epoch(3), Some(other));
        // What was only a part of another worker's is not over with that.
        witness.room_closed(&attic);
        witness.room_closed(&hall);
        let told = journal.since(0, 10).events;
        let told = told
            .iter()
            .map(|it| (&*it.kind, it.epoch, it.seq, &it.data));
        let (to, from) = (
            json!({"to": other.to_string()}),
            json!({"from": other.to_string()}),
        );
        let expected = [
            ("room.opened", 1, 1, &Value::Null),
            ("room.moved", 1, 2, &to),
            ("room.opened", 3, 1, &from),
            ("room.closed", 3, 2, &Value::Null),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
