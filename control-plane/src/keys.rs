//! The layout of keys. Nothing else knows it.

use media_types::{RoomName, WorkerId};

/// What every key starts with; the number rises when the layout changes.
pub const ROOT: &str = "/troupe/v1/";

/// All workers.
#[must_use]
pub fn workers() -> String {
    format!("{ROOT}workers/")
}

/// One worker's record, bound to its lease.
#[must_use]
pub fn worker(id: WorkerId) -> String {
    format!("{ROOT}workers/{id}")
}

/// All rooms with all that belongs to them.
#[must_use]
pub fn rooms() -> String {
    format!("{ROOT}rooms/")
}

/// A room's settings.
#[must_use]
pub fn room_spec(room: &RoomName) -> String {
    format!("{ROOT}rooms/{room}/spec")
}

/// A room's owner and epoch.
#[must_use]
pub fn room_owner(room: &RoomName) -> String {
    format!("{ROOT}rooms/{room}/owner")
}

/// A room's move, while it moves.
#[must_use]
pub fn room_migration(room: &RoomName) -> String {
    format!("{ROOT}rooms/{room}/migration")
}

/// What a room's next worker must know of it, while it moves.
#[must_use]
pub fn room_handover(room: &RoomName) -> String {
    format!("{ROOT}rooms/{room}/handover")
}

/// One section of the configuration.
#[must_use]
pub fn config(section: &str) -> String {
    format!("{ROOT}config/{section}")
}

/// All sections of the configuration.
#[must_use]
pub fn configs() -> String {
    format!("{ROOT}config/")
}

/// All flags.
#[must_use]
pub fn flags() -> String {
    format!("{ROOT}flags/")
}

/// All tokens that are believed no more.
#[must_use]
pub fn revocations() -> String {
    format!("{ROOT}tokens/revoked/")
}

/// Tokens that are believed no more: `kind` says by what they are named.
#[must_use]
pub fn revocation(kind: &str, name: &str) -> String {
    format!("{ROOT}tokens/revoked/{kind}/{name}")
}

/// How far the audit log of every worker is.
#[must_use]
pub fn audit_heads() -> String {
    format!("{ROOT}audit/")
}

/// How far one audit log is.
#[must_use]
pub fn audit_head(chain: &str) -> String {
    format!("{ROOT}audit/{chain}")
}

/// One flag.
#[must_use]
pub fn flag(name: &str) -> String {
    format!("{ROOT}flags/{name}")
}

/// A token for many rooms that has been used.
#[must_use]
pub fn jti(jti: &str) -> String {
    format!("{ROOT}tokens/jti/{jti}")
}

/// The room whose owner lies under this key.
#[must_use]
pub fn owned_room(key: &str) -> Option<RoomName> {
    let rest = key.strip_prefix(ROOT)?.strip_prefix("rooms/")?;
    rest.strip_suffix("/owner")?.parse().ok()
}

/// The room whose move lies under this key.
#[must_use]
pub fn moving_room(key: &str) -> Option<RoomName> {
    let rest = key.strip_prefix(ROOT)?.strip_prefix("rooms/")?;
    rest.strip_suffix("/migration")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_operators_look_for_them() {
        let room: RoomName = "lobby".parse().unwrap();
        assert_eq!(room_spec(&room), "/troupe/v1/rooms/lobby/spec");
        assert_eq!(room_owner(&room), "/troupe/v1/rooms/lobby/owner");
        assert_eq!(room_migration(&room), "/troupe/v1/rooms/lobby/migration");
        assert_eq!(
            worker(WorkerId::new(1)),
            "/troupe/v1/workers/wk_0000000000001"
        );
        assert_eq!(config("webrtc"), "/troupe/v1/config/webrtc");
        assert_eq!(flag("red"), "/troupe/v1/flags/red");
        assert_eq!(jti("a1"), "/troupe/v1/tokens/jti/a1");
        assert!(room_owner(&room).starts_with(&rooms()));
        assert!(worker(WorkerId::new(1)).starts_with(&workers()));
        assert_eq!(owned_room(&room_owner(&room)), Some(room.clone()));
        assert_eq!(owned_room(&room_spec(&room)), None);
        assert_eq!(room_handover(&room), "/troupe/v1/rooms/lobby/handover");
        assert_eq!(moving_room(&room_migration(&room)), Some(room.clone()));
        assert_eq!(moving_room(&room_owner(&room)), None);
    }
}
