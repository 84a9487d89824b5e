//! What peers say to each other, and what they may ask of the server.

use std::time::Duration;

use media_contract::{Fact, TransportFigures};
use media_types::{Bitrate, Codec};
use serde_json::json;
use signaling::ErrorType;
use signaling::server_message::Reply;

use crate::rooms::{PUBLISH, WATCH};
use crate::world::{World, claims, config, methods, request, run};

#[test]
fn chat_reaches_everybody_with_an_id_and_a_time() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.inbox.take();
        ana.tell(1, "chat", json!({"text": "hello"}));
        world.settle().await;
        let Reply::Chat(result) = ana.inbox.answer(1).unwrap().unwrap() else {
            panic!("not the result of chat");
        };
        assert_eq!(result.at, 1_700_000_000_000);
        let told = bob.inbox.take();
        let expected = json!({
            "messageId": result.message_id, "from": "ana", "text": "hello", "at": result.at,
        });
        assert_eq!(told, [("chat".into(), expected)]);
        assert_eq!(ana.inbox.take(), told);
    });
}

#[test]
fn reactions_are_counted_for_a_second() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.inbox.take();
        for kind in ["clap", "clap", "heart"] {
            bob.tell(1, "react", json!({"kind": kind}));
        }
        world.pass(Duration::from_millis(500)).await;
        assert!(ana.inbox.take().is_empty());
        world.pass(Duration::from_millis(600)).await;
        let counted = json!({"reactions": [
            {"kind": "clap", "count": 2}, {"kind": "heart", "count": 1},
        ]});
        assert_eq!(ana.inbox.take(), [("reactions".into(), counted)]);
    });
}

#[test]
fn messages_go_to_one_to_all_and_to_other_rooms() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        let far = world.join("s", "far").await;
        let cem = world.join("r", "cem").await;
        for client in [&ana, &bob, &cem] {
            client.inbox.take();
        }
        let send = |to: &str| json!({"to": to, "topic": "t", "payload": {"n": 1}});
        ana.tell(1, "send", send("peer:bob"));
        ana.tell(2, "send", send("room"));
        ana.tell(3, "send", send("peer:nobody"));
        ana.tell(4, "send", send("room:s"));
        world.settle().await;
        let delivered = |id| match ana.inbox.answer(id) {
            Some(Ok(Reply::Send(result))) => Ok(result.delivered),
            Some(Err(error)) => Err(error.kind()),
            other => panic!("{other:?}"),
        };
        assert_eq!(delivered(1), Ok(1));
        assert_eq!(delivered(2), Ok(2));
        assert_eq!(delivered(3), Err(ErrorType::NotFound));
        assert_eq!(delivered(4), Err(ErrorType::Forbidden));
        let told = bob.inbox.take();
        assert_eq!(methods(&told), ["message", "message"]);
        let expected = json!({"from": "ana", "to": "peer:bob", "topic": "t", "payload": {"n": 1}});
        assert_eq!(told[0].1, expected);
        assert_eq!(cem.inbox.take()[0].1["to"], "room");
        assert!(far.inbox.take().is_empty());

        let mut token = claims("boss");
        token.troupe.admin = Some(signaling::AdminRole::Admin);
        let mut wish = request("r", "boss");
        wish.credentials = actors::Credentials::Token(Box::new(token));
        let boss = world.try_join(wish).await.unwrap();
        boss.tell(1, "send", send("room:s"));
        boss.tell(2, "send", send("room:nowhere"));
        world.settle().await;
        assert!(matches!(boss.inbox.answer(1), Some(Ok(Reply::Send(r))) if r.delivered == 1));
        assert_eq!(
            boss.inbox.answer(2).unwrap().unwrap_err().kind(),
            ErrorType::NotFound
        );
        assert_eq!(far.inbox.take()[0].1["from"], "boss");
        let from = "admin".parse().unwrap();
        let to = signaling::Address::Room;
        let sent = world
            .system
            .send(&far.room, from, to, "t".into(), json!(1))
            .await;
        assert_eq!(sent, Ok(1));
    });
}

#[test]
fn a_data_message_for_a_client_without_a_channel_goes_by_signalling() {
    run(async {
        let world = World::new(1, config());
        let bob = world.join("r", "bob").await;
        bob.offer(1, WATCH);
        world.settle().await;
        world.plane.happen(
            &bob.identity,
            Fact::Data {
                from: "ana".parse().unwrap(),
                topic: "pos".into(),
                payload: vec![1, 2, 3],
            },
        );
        world.settle().await;
        let told = bob.inbox.take_only(&["message"]);
        assert_eq!(told[0].1["payload"], json!({"base64": "AQID"}));
        assert_eq!(told[0].1["from"], "ana");
    });
}

#[test]
fn metadata_is_told_and_kept() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.inbox.take();
        bob.tell(1, "setMetadata", json!({"metadata": {"hand": true}}));
        world.settle().await;
        let told = ana.inbox.take();
        let expected = json!({"peerId": "bob", "metadata": {"hand": true}});
        assert_eq!(told, [("peerUpdated".into(), expected)]);
        let cem = world.join("r", "cem").await;
        assert_eq!(
            cem.joined.result.room.peers[1].metadata,
            json!({"hand": true})
        );
    });
}

#[test]
fn time_and_stats_say_what_the_server_sees() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        world.settle().await;
        world.plane.flow(&ana.identity, Codec::Vp8);
        let figures = TransportFigures {
            estimate: Bitrate::from_kbps(900),
            rtt: Some(Duration::from_millis(40)),
            loss_out: 0.1,
            ..TransportFigures::default()
        };
        world.plane.happen(&ana.identity, Fact::Figures(figures));
        world.settle().await;
        ana.tell(2, "stats", json!({}));
        ana.tell(3, "time", json!({"t0": 12.5}));
        ana.tell(4, "join", json!({}));
        world.settle().await;
        let Some(Ok(Reply::Stats(stats))) = ana.inbox.answer(2) else {
            panic!("no stats");
        };
        assert_eq!((stats.estimate_bps, stats.rtt_ms), (900_000, Some(40.0)));
        assert!((stats.quality - 0.5).abs() < 1e-6);
        let slots: Vec<_> = stats.slots.iter().map(|slot| slot.mid.as_str()).collect();
        assert_eq!((slots, stats.slots[0].track_id), (vec!["a1", "v1"], None));
        let Some(Ok(Reply::Time(time))) = ana.inbox.answer(3) else {
            panic!("no time");
        };
        assert_eq!((time.t0, time.t1), (12.5, 1_700_000_000_000.0));
        assert_eq!(
            ana.inbox.answer(4).unwrap().unwrap_err().kind(),
            ErrorType::Conflict
        );
        let told = bob.inbox.take_only(&["quality"]);
        assert_eq!(told[0].1["peerId"], "ana");
        // What does not reach ana is ana's trouble alone.
        assert_eq!(told[0].1["reason"], "none");
        let own = ana.inbox.take_only(&["quality"]);
        assert_eq!(own[0].1["reason"], "loss");
        // Told once; the same again is no news.
        world.plane.happen(
            &ana.identity,
            Fact::Figures(TransportFigures {
                loss_out: 0.11,
                ..TransportFigures::default()
            }),
        );
        world.pass(Duration::from_secs(3)).await;
        assert!(bob.inbox.take_only(&["quality"]).is_empty());
    });
}

#[test]
fn a_flood_is_refused_with_a_time_to_wait() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        for n in 1..=100 {
            ana.tell(n, "chat", json!({"text": "again"}));
            // What is not talk is not counted as talk.
            ana.tell(200 + n, "ping", json!({}));
            if n % 25 == 0 {
                world.settle().await;
            }
        }
        assert!(ana.inbox.answer(50).unwrap().is_ok());
        let error = ana.inbox.answer(100).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorType::RateLimited);
        assert!(error.data.retry_after_ms.is_some());
        assert!(ana.inbox.answer(300).unwrap().is_ok());
        world.pass(Duration::from_secs(2)).await;
        ana.tell(999, "chat", json!({"text": "at last"}));
        world.settle().await;
        assert!(ana.inbox.answer(999).unwrap().is_ok());
    });
}

#[test]
fn a_room_that_moves_gives_each_client_its_own_token() {
    run(async {
        use signaling::view::MigrateReason;
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        let url = || "wss://there/v1/signal".to_owned();
        let deadline = Duration::from_secs(30);
        let reason = MigrateReason::Drain;
        world
            .system
            .migrate(&ana.room, url(), deadline, reason)
            .unwrap();
        world.settle().await;
        for client in [&ana, &bob] {
            let told = client.inbox.take_only(&["migrate"]);
            let token = client.joined.result.resume_token.expose();
            let expected = json!({
                "url": url(), "token": token, "deadlineMs": 30_000, "reason": "drain",
            });
            assert_eq!(told, [("migrate".into(), expected)]);
        }
    });
}
