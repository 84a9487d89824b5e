//! Who is shown where, by choice of the server and of the client.

use std::time::Duration;

use actors::SessionKind;
use media_contract::{Fact, LostReason};
use media_types::{Codec, TrackId};
use serde_json::{Value, json};
use signaling::ErrorType;
use signaling::client_message::OfferParams;
use signaling::server_message::Reply;

use crate::rooms::{PUBLISH, WATCH};
use crate::world::{Client, World, config, methods, request, run};

/// Publishers `p1`… with media flowing.
pub(crate) async fn publishers(world: &World, count: usize) -> Vec<Client> {
    let mut all = Vec::new();
    for n in 1..=count {
        let client = world.join("r", &format!("p{n}")).await;
        client.offer(1, "send a audio, send v video");
        world.settle().await;
        world.plane.flow(&client.identity, Codec::Vp8);
        world.settle().await;
        all.push(client);
    }
    all
}

/// The track of that kind, as others see it.
pub(crate) async fn track(world: &World, client: &Client, kind: &str) -> TrackId {
    let peers = world.system.peers(&client.room).await.unwrap();
    let own = peers
        .iter()
        .find(|peer| peer.peer_id == client.identity)
        .unwrap();
    let named = |track: &&signaling::view::Track| serde_json::to_value(track.kind).unwrap() == kind;
    own.tracks.iter().find(named).unwrap().track_id
}

pub(crate) fn shown(world: &World, client: &Client, mid: &str) -> Option<TrackId> {
    world.plane.slots_of(&client.identity).get(mid).copied()
}

#[test]
fn who_speaks_is_shown_and_heard() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 3).await;
        let eve = world.join("r", "eve").await;
        eve.offer(1, WATCH);
        world.settle().await;
        assert_eq!(
            shown(&world, &eve, "v1"),
            Some(track(&world, &all[0], "video").await)
        );
        eve.inbox.take();
        let voice = track(&world, &all[2], "audio").await;
        world.plane.speak(&[(voice, &all[2].identity, 20)]);
        world.settle().await;
        assert_eq!(
            shown(&world, &eve, "v1"),
            Some(track(&world, &all[2], "video").await)
        );
        assert_eq!(shown(&world, &eve, "a1"), Some(voice));
        let told = eve.inbox.take();
        let speakers = told
            .iter()
            .find(|(method, _)| method == "speakers")
            .unwrap();
        assert_eq!(speakers.1["speakers"][0]["peerId"], "p3");
        let level = speakers.1["speakers"][0]["level"].as_f64().unwrap();
        assert!((level - 107.0 / 127.0).abs() < 1e-9);
        let slots: Vec<&Value> = told
            .iter()
            .filter(|(m, _)| m == "slots")
            .map(|(_, p)| p)
            .collect();
        assert_eq!(slots.last().unwrap()["slots"][0]["state"], "live");
    });
}

#[test]
fn a_client_pins_and_lets_go() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let eve = world.join("r", "eve").await;
        eve.offer(1, WATCH);
        world.settle().await;
        let second = track(&world, &all[1], "video").await;
        let wish = json!({"slots": [
            {"mid": "v1", "trackId": second, "maxWidth": 640, "maxHeight": 360, "maxFps": 15},
            {"mid": "zz", "trackId": second},
        ]});
        eve.tell(2, "subscribe", wish);
        world.settle().await;
        let Reply::Subscribe(result) = eve.inbox.answer(2).unwrap().unwrap() else {
            panic!("not the result of subscribe");
        };
        let result = serde_json::to_value(result.slots).unwrap();
        assert_eq!(
            result[0],
            json!({"mid": "v1", "trackId": second, "state": "waiting"})
        );
        assert_eq!(result[1]["reason"], "not_found");
        assert_eq!(shown(&world, &eve, "v1"), Some(second));
        let wish = world.plane.wish(&eve.identity, "v1").unwrap();
        assert_eq!(
            (wish.width_max, wish.height_max, wish.fps_max, wish.priority),
            (640, 360, 15, 100)
        );
        // A louder one does not take a pinned slot.
        let voice = track(&world, &all[0], "audio").await;
        world.plane.speak(&[(voice, &all[0].identity, 5)]);
        world.settle().await;
        assert_eq!(shown(&world, &eve, "v1"), Some(second));
        // Only the wish changes: the slot is not filled anew.
        world.plane.take_log();
        let paused = json!({"slots": [{"mid": "v1", "trackId": second, "maxWidth": 0}]});
        eve.tell(3, "subscribe", paused);
        world.settle().await;
        assert_eq!(world.plane.take_log().len(), 1);
        assert!(world.plane.wish(&eve.identity, "v1").unwrap().paused);
        eve.tell(
            4,
            "subscribe",
            json!({"slots": [{"mid": "v1", "trackId": null}]}),
        );
        world.settle().await;
        assert_eq!(
            shown(&world, &eve, "v1"),
            Some(track(&world, &all[0], "video").await)
        );
    });
}

#[test]
fn what_a_client_cannot_decode_is_not_chosen_and_is_said() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        ana.offer(1, "send v video av1");
        let eve = world.join("r", "eve").await;
        eve.offer(1, WATCH);
        world.settle().await;
        world.plane.flow(&ana.identity, Codec::Av1);
        world.settle().await;
        assert_eq!(shown(&world, &eve, "v1"), None);
        let film = track(&world, &ana, "video").await;
        eve.inbox.take();
        eve.tell(
            2,
            "subscribe",
            json!({"slots": [{"mid": "v1", "trackId": film}]}),
        );
        world.settle().await;
        let told = eve.inbox.take_only(&["slots"]);
        let expected =
            json!({"mid": "v1", "trackId": film, "state": "unsupported", "reason": "codec"});
        assert_eq!(told.last().unwrap().1["slots"][0], expected);
    });
}

#[test]
fn muting_and_taking_out_reach_shard_and_peers() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        bob.offer(1, WATCH);
        world.settle().await;
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.settle().await;
        let (voice, face) = (
            track(&world, &ana, "audio").await,
            track(&world, &ana, "video").await,
        );
        bob.inbox.take();
        ana.tell(2, "mute", json!({"trackId": voice, "muted": true}));
        bob.tell(2, "mute", json!({"trackId": voice, "muted": true}));
        world.settle().await;
        let told = bob.inbox.take_only(&["trackMuted"]);
        assert_eq!(
            told[0].1,
            json!({"trackId": voice, "peerId": "ana", "muted": true})
        );
        bob.tell(3, "mute", json!({"trackId": voice, "muted": true}));
        ana.tell(3, "unpublish", json!({"trackId": face}));
        world.settle().await;
        let refused = bob.inbox.answer(3).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorType::NotFound);
        assert_eq!(shown(&world, &bob, "v1"), None);
        assert_eq!(shown(&world, &bob, "a1"), Some(voice));
        assert_eq!(
            methods(&bob.inbox.take_only(&["trackUnpublished"])),
            ["trackUnpublished"]
        );
        // An operator may mute as well, and an m-line that stops takes its track along.
        world
            .system
            .mute(&ana.room, &ana.identity, None, false)
            .await
            .unwrap();
        world.settle().await;
        assert_eq!(bob.inbox.take_only(&["trackMuted"])[0].1["muted"], false);
        ana.offer(
            4,
            "idle a0 audio, idle v0 video, slot a1 audio, slot v1 video",
        );
        world.settle().await;
        assert_eq!(world.plane.totals().2, 0);
        assert_eq!(
            methods(&bob.inbox.take_only(&["trackUnpublished"])),
            ["trackUnpublished"]
        );
    });
}

/// A wish to enter with these grants and no more.
fn granted(identity: &str, publish: bool, subscribe: bool) -> actors::JoinRequest {
    let mut token = crate::world::claims(identity);
    token.troupe.publish = publish;
    token.troupe.subscribe = subscribe;
    token.troupe.data = false;
    let mut wish = request("r", identity);
    wish.credentials = actors::Credentials::Token(Box::new(token));
    wish
}

#[test]
fn grants_are_kept() {
    run(async {
        let world = World::new(1, config());
        publishers(&world, 1).await;
        let mute = world.try_join(granted("mute", false, true)).await.unwrap();
        mute.offer(1, PUBLISH);
        mute.tell(2, "chat", json!({"text": "hm"}));
        world.settle().await;
        assert_eq!(
            mute.inbox.answer(1).unwrap().unwrap_err().kind(),
            ErrorType::Forbidden
        );
        assert_eq!(
            mute.inbox.answer(2).unwrap().unwrap_err().kind(),
            ErrorType::Forbidden
        );
        // Nor does what was named vanish because the shard made its m-line idle.
        let tracks = json!([{"mid": "x0", "source": "camera"}]);
        mute.tell(
            4,
            "offer",
            json!({"sdp": "idle x0 video", "tracks": tracks}),
        );
        world.settle().await;
        let refused = mute.inbox.answer(4).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorType::Forbidden);
        let blind = world.try_join(granted("blind", true, false)).await.unwrap();
        blind.offer(1, PUBLISH);
        world.settle().await;
        blind.tell(2, "subscribe", json!({"slots": []}));
        world.settle().await;
        assert!(blind.inbox.answer(1).unwrap().is_ok());
        assert_eq!(
            blind.inbox.answer(2).unwrap().unwrap_err().kind(),
            ErrorType::Forbidden
        );
        assert!(world.plane.slots_of(&blind.identity).is_empty());
        let nobody = world
            .try_join(granted("nobody", false, false))
            .await
            .unwrap();
        nobody.offer(1, WATCH);
        nobody.offer(2, "nonsense");
        mute.offer(3, "nonsense");
        world.settle().await;
        assert_eq!(
            nobody.inbox.answer(1).unwrap().unwrap_err().kind(),
            ErrorType::Forbidden
        );
        assert_eq!(
            mute.inbox.answer(3).unwrap().unwrap_err().kind(),
            ErrorType::BadSdp
        );
    });
}

#[test]
fn whip_publishes_and_whep_follows() {
    run(async {
        let world = World::new(1, config());
        let mut wish = request("r", "cam");
        wish.kind = SessionKind::Whip;
        let whip = world.try_join(wish).await.unwrap();
        let params = |sdp: &str| OfferParams {
            sdp: sdp.to_owned(),
            ..OfferParams::default()
        };
        let deliver = world.settle();
        let offer = whip.session().offer(params("send a audio, send v video"));
        let (answer, ()) = tokio::join!(offer, deliver);
        assert!(answer.unwrap().sdp.starts_with("answer"));
        world.plane.flow(&whip.identity, Codec::H264);
        world.plane.happen(&whip.identity, Fact::TransportConnected);
        let others = publishers(&world, 2).await;
        let mut wish = request("r", "tv");
        let peer = Some(others[1].identity.clone());
        wish.kind = SessionKind::Whep { peer, track: None };
        let whep = world.try_join(wish).await.unwrap();
        let offer = whep.session().offer(params(WATCH));
        let (answer, ()) = tokio::join!(offer, world.settle());
        assert!(answer.is_ok());
        assert_eq!(
            shown(&world, &whep, "v1"),
            Some(track(&world, &others[1], "video").await)
        );
        world.plane.happen(&whep.identity, Fact::TransportConnected);
        // No heartbeat is asked of them; their life is their transport's.
        world.pass(Duration::from_secs(60)).await;
        assert!(!whip.session().is_over() && !whep.session().is_over());
        let reason = LostReason::TimedOut;
        world
            .plane
            .happen(&whip.identity, Fact::TransportLost { reason });
        whep.session().leave().unwrap();
        world.settle().await;
        assert!(whip.session().is_over() && whep.session().is_over());
    });
}

#[test]
fn whip_without_a_media_path_is_given_up() {
    run(async {
        let world = World::new(1, config());
        let mut wish = request("r", "cam");
        wish.kind = SessionKind::Whip;
        let whip = world.try_join(wish).await.unwrap();
        world.pass(Duration::from_secs(31)).await;
        assert!(whip.session().is_over());
    });
}
