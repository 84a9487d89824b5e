//! A part that is about to become the room's owner, before it knows.

use std::time::Instant;

use control_plane::RoomSpec;
use control_plane::migration::{HandedPeer, Handover};
use media_types::{Codec, MediaKind, TrackSource};
use signaling::ServerMessage;
use signaling::view::{PeerState, Track};

use super::*;
use crate::room::state::RoomLimits;
use signaling::rest::RoomSettings;

const TRACK: TrackId = TrackId::new(70);
const EPOCH: Epoch = Epoch(2);

fn worker(id: u64) -> WorkerId {
    WorkerId::new(id)
}

fn far(identity: &str, session: u64, tracks: &[TrackId]) -> FarPeer {
    let track = |id: &TrackId| FarTrack {
        track: Track {
            track_id: *id,
            peer_id: identity.parse().unwrap(),
            kind: MediaKind::Video,
            codec: Codec::Vp8,
            source: TrackSource::Camera,
            name: None,
            muted: false,
            live: true,
        },
        shard: 0,
    };
    FarPeer {
        peer: Peer {
            peer_id: identity.parse().unwrap(),
            name: None,
            metadata: serde_json::Value::Null,
            state: PeerState::Active,
        },
        session: PeerId::new(session),
        named: true,
        follows: true,
        publishes: !tracks.is_empty(),
        joined_at_ms: 1,
        tracks: tracks.iter().map(track).collect(),
    }
}

fn roster(of: u64, owner: u64, leaving: Option<u64>, peers: Vec<FarPeer>) -> PartRoster {
    PartRoster {
        owner: worker(owner),
        url: format!("wss://{of}"),
        shards: vec![0],
        parts: Vec::new(),
        leaving: leaving.map(worker),
        places: 0,
        peers,
        viewers: 0,
    }
}

/// Worker 1's part of a room that 2 owns, with Ana there and Eve at 3; 1 is to have the room.
#[allow(clippy::disallowed_methods, reason = "a base to count from")]
fn arrange() -> (Instant, RoomState) {
    let now = Instant::now();
    let limits = RoomLimits {
        roster: 10,
        peers_per_shard: 100,
    };
    let name = "r".parse().unwrap();
    let mut room = RoomState::new(now, name, RoomSettings::default(), limits, ShardId(0));
    (room.parts.me, room.parts.owner) = (worker(1), Some(worker(2)));
    (room.parts.is_open, room.parts.stands_by) = (false, true);
    room.raise(EPOCH);
    room.tapped = true;
    let at_two = roster(2, 2, None, vec![far("ana", 7, &[TRACK])]);
    room.take_roster(now, worker(2), EPOCH, at_two);
    room.take_roster(
        now,
        worker(3),
        EPOCH,
        roster(3, 2, None, vec![far("eve", 8, &[])]),
    );
    room.reunite(now);
    room.take_effects();
    (now, room)
}

/// Whether somebody has left, of each thing that clients are told.
fn told(room: &mut RoomState) -> Vec<bool> {
    let effects = room.take_effects().into_iter();
    let told = effects.filter_map(|effect| {
        let (Effect::Pass(_, notice) | Effect::Notify(_, notice)) = effect else {
            return None;
        };
        Some(matches!(notice.message(), ServerMessage::PeerLeft(_)))
    });
    told.collect()
}

#[test]
fn who_comes_before_the_room_does_waits_for_it() {
    let (now, mut room) = arrange();
    let [ana, eve] = ["ana", "eve"].map(|it| it.parse::<Identity>().unwrap());
    let at_two = roster(2, 1, Some(1), vec![far("ana", 7, &[TRACK])]);
    room.take_roster(now, worker(2), EPOCH.next(), at_two);
    room.reunite(now);
    assert!(told(&mut room).is_empty(), "nobody has gone anywhere yet");
    let from = RelayPeer::Worker {
        worker: worker(2),
        shard: ShardId(0),
    };
    assert_eq!(room.tap_place(TRACK), Some((ShardId(0), Some(from))));
    assert!(room.is_awaited(PeerId::new(7), &ana));
    assert!(!room.is_awaited(PeerId::new(8), &eve), "she stays at 3");
    assert_eq!(room.far_session(PeerId::new(8), &eve), Some("wss://3"));
    assert_eq!(room.place(now, &[]), Place::Soon, "2 would send them here");

    let handover = Handover {
        epoch: EPOCH,
        settings: RoomSpec::default(),
        peers: vec![HandedPeer {
            identity: ana.clone(),
            session: PeerId::new(7),
            named: true,
            name: None,
            metadata: serde_json::Value::Null,
            joined_at_ms: 1,
            jti: None,
            key: None,
            tracks: Vec::new(),
        }],
        used: Vec::new(),
        parts: vec![worker(3)],
    };
    let until = now + Duration::from_secs(30);
    room.activate(now, EPOCH.next(), Some(handover), until);
    room.reunite(now);
    assert!(!room.is_awaited(PeerId::new(7), &ana), "she may come in");
    assert!(room.handed(&ana, PeerId::new(7)).is_some());
    assert!(!told(&mut room).contains(&true));
}

#[test]
fn before_the_owner_goes_nobody_waits() {
    let (now, mut room) = arrange();
    let to = "wss://2".to_owned();
    assert_eq!(room.place(now, &[]), Place::At(to));
    room.parts.stands_by = false;
    let ana: Identity = "ana".parse().unwrap();
    assert!(!room.is_awaited(PeerId::new(7), &ana));
    assert_eq!(room.far_session(PeerId::new(7), &ana), Some("wss://2"));
}

#[test]
fn whom_a_part_sent_elsewhere_is_awaited_there_when_it_ends() {
    for comes in [true, false] {
        let (now, mut room) = arrange();
        room.parts.stands_by = false;
        let leaving = roster(3, 2, Some(2), vec![far("eve", 8, &[TRACK])]);
        room.take_roster(now, worker(3), EPOCH, leaving);
        room.reunite(now);
        room.take_effects();
        room.part_over(now, worker(3));
        // Whoever says it again.
        let later = now + PART_GRACE / 2;
        room.part_over(later, worker(3));
        room.reunite(later);
        assert_eq!(room.parts.workers(), [worker(2)]);
        assert!(told(&mut room).is_empty(), "she is on the way");
        if comes {
            let both = vec![far("ana", 7, &[]), far("eve", 9, &[TRACK])];
            room.take_roster(later, worker(2), EPOCH, roster(2, 2, None, both));
            room.reunite(later);
            assert!(told(&mut room).is_empty(), "nothing is new");
        }
        let over = now + PART_GRACE;
        room.parts_timeout(over);
        room.reunite(over);
        let left = told(&mut room).contains(&true);
        assert_eq!(left, !comes);
    }
}
