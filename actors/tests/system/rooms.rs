//! Rooms and peers through the public handle: who comes, who goes, who hears of it.

use std::time::Duration;

use crate::world::{World, claims, config, methods, request, run};
use actors::{Credentials, SessionKind};
use media_types::Codec;
use serde_json::json;
use signaling::rest::{RoomPatch, RoomSettings};
use signaling::view::{CloseReason, PeerState};
use signaling::{ErrorType, server_message::Reply};

pub(crate) const PUBLISH: &str = "send a0 audio, send v0 video, slot a1 audio, slot v1 video";
pub(crate) const WATCH: &str = "slot a1 audio, slot v1 video";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn who_joins_is_named_and_given_what_it_needs() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let result = &ana.joined.result;
        assert_eq!(result.peer_id.as_str(), "ana");
        assert!(!result.resumed && result.room.peers.is_empty());
        assert_eq!(result.heartbeat.interval_ms, 5_000);
        let token = format!("r/ana/{}", result.session_id);
        assert_eq!(result.resume_token.expose(), token);
        let bob = world.join("r", "bob").await;
        let named: Vec<_> = bob
            .joined
            .result
            .room
            .peers
            .iter()
            .map(|p| p.peer_id.as_str())
            .collect();
        assert_eq!(named, ["ana"]);
        let joined = ana.inbox.take();
        assert_eq!(
            joined,
            [(
                "peerJoined".into(),
                json!({"peer": {"peerId": "bob", "state": "active"}})
            )]
        );
    });
}

#[test]
fn a_call_of_two_is_set_up_and_taken_down() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        bob.offer(1, WATCH);
        world.settle().await;
        let answer = ana.inbox.answer(1).unwrap().unwrap();
        let Reply::Offer(offer) = answer else {
            panic!("{answer:?}");
        };
        assert!(offer.sdp.starts_with("answer to send"));
        let mids: Vec<_> = offer
            .tracks
            .iter()
            .map(|track| track.mid.as_str())
            .collect();
        assert_eq!(mids, ["a0", "v0"]);
        let published = bob.inbox.take();
        assert_eq!(methods(&published), ["trackPublished", "trackPublished"]);
        assert_eq!(published[0].1["track"]["live"], false);
        let first = json!(offer.tracks[0].track_id);
        assert_eq!(published[0].1["track"]["trackId"], first);
        assert_eq!(published[1].1["track"]["source"], "camera");
        // Nothing is shown before packets flow.
        assert!(world.plane.slots_of(&bob.identity).is_empty());
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.settle().await;
        let told = bob.inbox.take_only(&["trackPublished"]);
        assert!(
            told.iter()
                .all(|(_, params)| params["track"]["live"] == true)
        );
        assert_eq!(told.len(), 2);
        assert_eq!(world.plane.slots_of(&bob.identity).len(), 2);
        assert!(world.plane.slots_of(&ana.identity).is_empty());
        assert_eq!(world.plane.totals(), (1, 2, 2, 2));

        ana.tell(2, "leave", json!({}));
        world.settle().await;
        let told = bob
            .inbox
            .take_only(&["trackUnpublished", "peerLeft", "peerUpdated"]);
        assert_eq!(
            methods(&told),
            ["trackUnpublished", "trackUnpublished", "peerLeft"]
        );
        assert_eq!(told[2].1, json!({"peerId": "ana", "reason": "left"}));
        assert_eq!(world.plane.totals(), (1, 1, 0, 0));
        bob.tell(2, "leave", json!({}));
        world.pass(seconds(21)).await;
        assert_eq!(world.system.population(), (0, 0));
        assert_eq!(world.plane.totals(), (0, 0, 0, 0));
    });
}

#[test]
fn a_lost_client_is_waited_for_and_resumes() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        bob.offer(1, WATCH);
        world.settle().await;
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.settle().await;
        bob.inbox.take();
        let before = world.plane.totals();
        world.plane.take_log();

        ana.session().socket_lost();
        world.pass(seconds(10)).await;
        bob.tell(2, "ping", json!({}));
        let told = bob.inbox.take();
        assert_eq!(
            told,
            [(
                "peerUpdated".into(),
                json!({"peerId": "ana", "state": "reconnecting"})
            )]
        );
        let again = world.resume(&ana).await.unwrap();
        assert!(again.joined.result.resumed);
        assert_eq!(again.joined.result.session_id, ana.joined.result.session_id);
        let told = bob.inbox.take();
        assert_eq!(
            told,
            [(
                "peerUpdated".into(),
                json!({"peerId": "ana", "state": "active"})
            )]
        );
        // Not one command: media never noticed.
        assert_eq!(world.plane.take_log(), []);
        assert_eq!(world.plane.totals(), before);
        // The old connection is no longer heard.
        ana.session().socket_lost();
        world.settle().await;
        assert!(bob.inbox.take().is_empty());
        again.tell(3, "ping", json!({}));
        world.settle().await;
        assert!(again.inbox.answer(3).unwrap().is_ok());
    });
}

#[test]
fn a_client_lost_for_longer_leaves_once() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        world.settle().await;
        bob.inbox.take();
        ana.session().socket_lost();
        for _ in 0..8 {
            bob.tell(2, "ping", json!({}));
            world.pass(seconds(4)).await;
        }
        let told = bob.inbox.take_only(&["peerLeft", "peerUpdated"]);
        assert_eq!(methods(&told), ["peerUpdated", "peerLeft"]);
        assert_eq!(told[1].1["reason"], "timeout");
        assert_eq!(world.plane.totals().1, 0);
        // Whoever comes back now begins anew.
        let again = world.resume(&ana).await.unwrap();
        assert!(!again.joined.result.resumed);
        assert_ne!(again.joined.result.session_id, ana.joined.result.session_id);
    });
}

#[test]
fn two_missed_pings_make_a_zombie() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        for _ in 0..4 {
            ana.tell(1, "ping", json!({}));
            bob.tell(1, "ping", json!({}));
            world.pass(seconds(5)).await;
        }
        assert!(bob.inbox.take_only(&["peerUpdated"]).is_empty());
        for _ in 0..3 {
            bob.tell(1, "ping", json!({}));
            world.pass(seconds(5)).await;
        }
        let told = bob.inbox.take_only(&["peerUpdated"]);
        assert_eq!(told.len(), 1);
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Timeout));
        let status = world.system.peers(&"r".parse().unwrap()).await.unwrap();
        assert_eq!(status[0].state, PeerState::Reconnecting);
    });
}

#[test]
fn a_second_session_of_an_identity_takes_the_place_of_the_first() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        world.settle().await;
        bob.inbox.take();
        let again = world.join("r", "ana").await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Replaced));
        let told = ana.inbox.take();
        assert_eq!(told.last().unwrap().1, json!({"reason": "replaced"}));
        let told = bob.inbox.take();
        let expected = ["trackUnpublished", "trackUnpublished", "peerUpdated"];
        assert_eq!(methods(&told), expected);
        assert_eq!(world.plane.totals().1, 0);
        assert_eq!(again.joined.result.room.peers.len(), 1);
        assert!(ana.session().is_over());
        // Viewers may be any number of one identity, and nobody is told who they are.
        let mut viewer = request("r", "ana");
        viewer.kind = SessionKind::Whep {
            peer: None,
            track: None,
        };
        world.try_join(viewer).await.unwrap();
        assert!(!again.session().is_over());
        let told = bob.inbox.take();
        assert_eq!(told, [("audience".into(), json!({"audience": 1}))]);
    });
}

#[test]
fn limits_are_refused_with_room_full() {
    run(async {
        let mut config = config();
        config.room_defaults.max_peers = 3;
        config.room_defaults.max_publishers = 1;
        let world = World::new(1, config);
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        world.join("r", "cem").await;
        let error = world.try_join(request("r", "dora")).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::RoomFull);
        // Who is in already may come again.
        assert!(world.try_join(request("r", "bob")).await.is_ok());
        assert!(bob.session().is_over());
        let bob = world.join("r", "bob").await;
        ana.offer(1, PUBLISH);
        world.settle().await;
        bob.offer(1, PUBLISH);
        world.settle().await;
        assert!(ana.inbox.answer(1).unwrap().is_ok());
        let refused = bob.inbox.answer(1).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorType::RoomFull);
        assert_eq!(world.plane.totals().2, 2);
        bob.offer(2, WATCH);
        world.settle().await;
        assert!(bob.inbox.answer(2).unwrap().is_ok());
    });
}

#[test]
fn a_worker_with_all_its_rooms_opens_no_other() {
    run(async {
        let mut config = config();
        config.rooms_max = 1;
        let world = World::new(1, config);
        world.join("r", "ana").await;
        let error = world.try_join(request("s", "bob")).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::Overloaded);
        assert!(world.try_join(request("r", "bob")).await.is_ok());
    });
}

#[test]
fn a_large_room_names_publishers_and_counts_the_others() {
    run(async {
        let mut config = config();
        config.roster_limit = 3;
        let world = World::new(1, config);
        let ana = world.join("r", "ana").await;
        let mut late = Vec::new();
        for n in 0..12 {
            late.push(world.join("r", &format!("p{n}")).await);
        }
        let told = ana.inbox.take();
        let named = told
            .iter()
            .filter(|(method, _)| method == "peerJoined")
            .count();
        assert_eq!(named, 2);
        // Twelve joins within a quarter of a second: the first is told at once, the rest together.
        let counts: Vec<_> = told
            .iter()
            .filter(|(method, _)| method == "audience")
            .collect();
        assert_eq!(counts.len(), 1);
        world.pass(Duration::from_millis(1_100)).await;
        assert_eq!(
            ana.inbox.take(),
            [("audience".into(), json!({"audience": 10}))]
        );
        let room = &late[11].joined.result.room;
        assert_eq!((room.peers.len(), room.audience), (3, 9));
        late[11].offer(1, PUBLISH);
        world.settle().await;
        let told = ana.inbox.take_only(&["peerJoined", "trackPublished"]);
        assert_eq!(
            methods(&told),
            ["peerJoined", "trackPublished", "trackPublished"]
        );
        late[10].tell(1, "leave", json!({}));
        late[0].tell(1, "leave", json!({}));
        world.pass(seconds(2)).await;
        let told = ana.inbox.take();
        assert_eq!(methods(&told), ["peerLeft", "audience"]);
        assert_eq!(told[1].1["audience"], 8);
    });
}

#[test]
fn an_empty_room_closes_and_its_next_life_has_a_higher_epoch() {
    run(async {
        let world = World::new(1, config());
        let name = "r".parse().unwrap();
        let ana = world.join("r", "ana").await;
        assert_eq!(world.system.room(&name).await.unwrap().epoch, 1);
        ana.tell(1, "leave", json!({}));
        world.pass(seconds(19)).await;
        assert_eq!(world.system.population(), (1, 0));
        world.pass(seconds(2)).await;
        assert_eq!(world.system.population(), (0, 0));
        world.join("r", "ana").await;
        assert_eq!(world.system.room(&name).await.unwrap().epoch, 2);
    });
}

#[test]
fn an_operator_opens_a_room_and_it_keeps_its_settings() {
    run(async {
        let world = World::new(1, config());
        let name = "r".parse().unwrap();
        let mut settings = RoomSettings {
            max_peers: 1,
            empty_timeout_s: 5,
            auto_create: false,
            ..RoomSettings::default()
        };
        let (status, is_new) = world
            .system
            .open_room(&name, settings.clone())
            .await
            .unwrap();
        assert!(is_new && status.settings == settings);
        world.join("r", "ana").await;
        let refused = world.try_join(request("r", "bob")).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorType::RoomFull);
        let patch = RoomPatch {
            max_peers: Some(2),
            ..Default::default()
        };
        world.system.update_room(&name, patch).await.unwrap();
        let bob = world.join("r", "bob").await;
        world
            .system
            .kick(&name, &bob.identity, CloseReason::Kicked)
            .await
            .unwrap();
        world.settle().await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Kicked));
        world.system.close_room(&name).await.unwrap();
        world.settle().await;
        assert_eq!(world.system.population(), (0, 0));
        // A join does not open it again, an operator does; what was patched has been kept.
        let refused = world.try_join(request("r", "bob")).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorType::NotFound);
        settings.auto_create = true;
        world.system.open_room(&name, settings).await.unwrap();
        world.pass(seconds(6)).await;
        assert_eq!(world.system.population(), (0, 0));
        world.join("r", "bob").await;
        let status = world.system.room(&name).await.unwrap();
        assert_eq!(
            (status.settings.max_peers, status.settings.empty_timeout_s),
            (1, 5)
        );
    });
}

#[test]
fn a_token_for_one_use_is_used_when_the_room_admits() {
    run(async {
        let mut config = config();
        config.room_defaults.max_peers = 1;
        let world = World::new(1, config);
        let wish = |identity: &str, nonce: Option<&str>| {
            let mut wish = request("r", identity);
            let mut token = claims(identity);
            token.jti = Some(format!("jti-{identity}"));
            wish.credentials = Credentials::Token(Box::new(token));
            wish.params.nonce = nonce.map(str::to_owned);
            wish
        };
        let ana = world.try_join(wish("ana", Some("n1"))).await.unwrap();
        let full = world.try_join(wish("bob", Some("n2"))).await.err().unwrap();
        assert_eq!(full.kind(), ErrorType::RoomFull);
        // The first answer again, for one whose connection broke before it came.
        let again = world.try_join(wish("ana", Some("n1"))).await.unwrap();
        assert_eq!(again.joined.result.session_id, ana.joined.result.session_id);
        assert!(!again.joined.result.resumed);
        let replayed = world.try_join(wish("ana", Some("n9"))).await.err().unwrap();
        assert_eq!(replayed.kind(), ErrorType::Replayed);
        again.tell(1, "leave", json!({}));
        world.settle().await;
        // The refusal above has cost bob nothing.
        assert!(world.try_join(wish("bob", Some("n2"))).await.is_ok());
    });
}

#[test]
fn a_room_of_another_worker_is_elsewhere() {
    run(async {
        use control_plane::{Membership, Ownership, WorkerRecord};
        let world = World::new(1, config());
        let other = media_types::WorkerId::new(2);
        let record = WorkerRecord {
            id: other,
            url: "wss://there/v1/signal".into(),
            region: String::new(),
            ready: true,
            draining: false,
            rooms: 0,
            load_permille: 0,
            ..WorkerRecord::default()
        };
        let ttl = control_plane::membership::LEASE_TTL;
        let mut membership = Membership::new(world.store.clone(), record, ttl);
        let now = tokio::time::Instant::now().into_std();
        membership.renew(now).await.unwrap();
        let ownership = Ownership::new(world.store.clone(), other);
        ownership.claim(&"r".parse().unwrap()).await.unwrap();
        let error = world.try_join(request("r", "ana")).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::Moved);
        assert_eq!(error.data.url.as_deref(), Some("wss://there/v1/signal"));
        // Rooms that run do not need the store; new ones do.
        world.join("own", "ana").await;
        world.store.set_down(true);
        world.join("own", "bob").await;
        let error = world.try_join(request("new", "ana")).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::Unavailable);
        assert_eq!(error.data.retry_after_ms, Some(1_000));
    });
}

#[test]
fn a_draining_worker_sends_everybody_away() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("s", "bob").await);
        ana.offer(1, PUBLISH);
        world.settle().await;
        tokio::time::timeout(seconds(1), world.system.drain())
            .await
            .unwrap();
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Draining));
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Draining));
        assert_eq!(world.system.population(), (0, 0));
        world.settle().await;
        assert_eq!(world.plane.totals(), (0, 0, 0, 0));
        let error = world.try_join(request("t", "cem")).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::Draining);
        world.system.stop();
        world.pass(seconds(1)).await;
        assert!(world.system.is_stopped());
        assert!(world.fatal.lock().unwrap().is_empty());
    });
}

#[test]
fn two_hundred_cycles_leave_nothing_behind() {
    run(async {
        let world = World::new(2, config());
        for n in 0..200 {
            let room = format!("r{}", n % 7);
            let ana = world.join(&room, "ana").await;
            ana.offer(1, PUBLISH);
            world.settle().await;
            world.plane.flow(&ana.identity, Codec::H264);
            ana.tell(2, "leave", json!({}));
            world.settle().await;
            assert!(ana.session().is_over());
        }
        world.pass(seconds(25)).await;
        assert_eq!(world.system.population(), (0, 0));
        assert_eq!(world.plane.totals(), (0, 0, 0, 0));
    });
}
