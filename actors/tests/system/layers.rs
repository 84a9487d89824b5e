//! How much of a track is sent and shown: what nobody watches, and what is of use.

use actors::SessionKind;
use media_contract::{Action, Fact};
use media_types::{Bitrate, Codec, Rid, ShardId};
use serde_json::json;
use signaling::ErrorType;
use signaling::client_message::OfferParams;
use signaling::view::CloseReason;

use crate::rooms::{PUBLISH, WATCH};
use crate::slots::{publishers, shown, track};
use crate::world::{World, config, request, run};

fn wanted(rids: &[&str]) -> Fact {
    let rids = rids.iter().map(|rid| rid.parse::<Rid>().unwrap());
    Fact::LayersWanted {
        active: rids.collect(),
        bounds: Vec::new(),
    }
}

#[test]
fn a_publisher_hears_which_layers_are_watched() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let (ana, bob) = (&all[0], &all[1]);
        let camera = track(&world, ana, "video").await;
        ana.inbox.take();
        bob.inbox.take();
        for _ in 0..2 {
            world.plane.happen_to(&ana.identity, camera, wanted(&["q"]));
            world.settle().await;
        }
        let told = ana.inbox.take_only(&["publishLayers"]);
        let expected = json!({"trackId": camera, "active": ["q"]});
        assert_eq!(told, [("publishLayers".to_owned(), expected)]);
        world.plane.happen_to(&ana.identity, camera, wanted(&[]));
        world.settle().await;
        let told = ana.inbox.take_only(&["publishLayers"]);
        assert_eq!(told[0].1["active"], json!([]));
        assert!(bob.inbox.take_only(&["publishLayers"]).is_empty());
    });
}

#[test]
fn a_publisher_hears_what_its_layers_are_to_be_kept_under() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 1).await;
        let ana = &all[0];
        let camera = track(&world, ana, "video").await;
        ana.inbox.take();
        let fitted = |kbps: &[u64]| Fact::LayersWanted {
            active: vec!["f".parse::<Rid>().unwrap()],
            bounds: kbps
                .iter()
                .map(|kbps| ("f".parse().unwrap(), Bitrate::from_kbps(*kbps)))
                .collect(),
        };
        for bounds in [&[850][..], &[850], &[640], &[]] {
            world.plane.happen_to(&ana.identity, camera, fitted(bounds));
            world.settle().await;
        }
        let told = ana.inbox.take_only(&["publishLayers"]);
        let told: Vec<_> = told.into_iter().map(|(_, params)| params).collect();
        let with = |bps: u64| {
            let bounds = json!({"f": bps});
            json!({"trackId": camera, "active": ["f"], "maxBitrates": bounds})
        };
        let free = json!({"trackId": camera, "active": ["f"]});
        assert_eq!(told, [with(850_000), with(640_000), free]);
    });
}

#[test]
fn a_publisher_that_comes_back_hears_it_again() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 1).await;
        let ana = &all[0];
        let camera = track(&world, ana, "video").await;
        world
            .plane
            .happen_to(&ana.identity, camera, wanted(&["q", "h"]));
        world.settle().await;
        let again = world.resume(ana).await.unwrap();
        world.settle().await;
        assert!(again.joined.result.resumed);
        let told = again.inbox.take_only(&["publishLayers"]);
        let expected = json!({"trackId": camera, "active": ["q", "h"]});
        assert_eq!(told, [("publishLayers".to_owned(), expected)]);
    });
}

#[test]
fn a_size_follows_its_track_and_pins_nothing() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let eve = world.join("r", "eve").await;
        eve.offer(1, WATCH);
        world.settle().await;
        let mut videos = Vec::new();
        for client in &all {
            videos.push(track(&world, client, "video").await);
        }
        assert_eq!(shown(&world, &eve, "v1"), Some(videos[0]));
        let size = json!({"slots": [
            {"mid": "v1", "trackId": videos[0], "maxWidth": 320, "priority": 0, "pin": false},
        ]});
        eve.tell(2, "subscribe", size);
        world.settle().await;
        let wish = || {
            let wish = world.plane.wish(&eve.identity, "v1").unwrap();
            (wish.width_max, wish.priority)
        };
        assert_eq!(wish(), (320, 10));
        // Somebody else speaks: the slot is free to go to them, without the size.
        let voice = track(&world, &all[1], "audio").await;
        world.plane.speak(&[(voice, &all[1].identity, 5)]);
        world.settle().await;
        assert_eq!(shown(&world, &eve, "v1"), Some(videos[1]));
        assert_eq!(wish(), (u16::MAX, 10));
        // Back to the first: its size is remembered.
        let voice = track(&world, &all[0], "audio").await;
        world.plane.speak(&[(voice, &all[0].identity, 5)]);
        world.settle().await;
        assert_eq!(shown(&world, &eve, "v1"), Some(videos[0]));
        assert_eq!(wish(), (320, 10));
        // A pin has a wish of its own; without the pin the size counts again, though the slot
        // keeps its track.
        let pin = json!({"slots": [{"mid": "v1", "trackId": videos[0], "maxWidth": 1280}]});
        eve.tell(3, "subscribe", pin);
        world.settle().await;
        assert_eq!(wish(), (1280, 100));
        eve.tell(
            4,
            "subscribe",
            json!({"slots": [{"mid": "v1", "trackId": null}]}),
        );
        world.settle().await;
        assert_eq!(shown(&world, &eve, "v1"), Some(videos[0]));
        assert_eq!(wish(), (320, 10));
    });
}

#[test]
fn a_room_keeps_to_its_codecs() {
    run(async {
        let mut config = config();
        config.room_defaults.codecs = Some(vec![Codec::Opus, Codec::Vp8]);
        let world = World::new(1, config);
        let ana = world.join("r", "ana").await;
        world.plane.take_log();
        ana.offer(1, PUBLISH);
        world.settle().await;
        let log = world.plane.take_log();
        let opened = log.iter().find_map(|(_, action)| match action {
            Action::OpenTransport { settings, .. } => Some(settings.codecs.clone()),
            _ => None,
        });
        assert_eq!(opened, Some(vec![Codec::Opus, Codec::Vp8]));
    });
}

#[test]
fn what_the_room_cannot_carry_is_said() {
    run(async {
        let mut config = config();
        config.room_defaults.codecs = Some(vec![Codec::Opus, Codec::Vp8]);
        let world = World::new(1, config);
        let ana = world.join("r", "ana").await;
        let sdp = "send a audio, send v video av1";
        let named = json!({"sdp": sdp, "tracks": [{"mid": "v", "source": "camera"}]});
        ana.tell(1, "offer", named);
        world.settle().await;
        let error = ana.inbox.answer(1).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorType::Unsupported);
        assert_eq!(world.plane.totals().2, 0);
        // The session goes on: another codec is taken.
        let named = json!({"sdp": "send a audio, send v video vp8",
            "tracks": [{"mid": "v", "source": "camera"}]});
        ana.tell(2, "offer", named);
        world.settle().await;
        assert!(ana.inbox.answer(2).unwrap().is_ok());
        assert_eq!(world.plane.totals().2, 2);

        let mut wish = request("r", "cam");
        wish.kind = SessionKind::Whip;
        let whip = world.try_join(wish).await.unwrap();
        let params = OfferParams {
            sdp: sdp.into(),
            ..OfferParams::default()
        };
        let offered = async { whip.session().offer(params).await };
        let (refused, ()) = tokio::join!(offered, world.settle());
        assert_eq!(refused.unwrap_err().kind(), ErrorType::Unsupported);
    });
}

#[test]
fn who_reads_too_slowly_comes_back() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        ana.offer(1, WATCH);
        world.settle().await;
        world.plane.happen(&ana.identity, Fact::SlowClient);
        world.settle().await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::SlowClient));
        let again = world.resume(&ana).await.unwrap();
        assert!(again.joined.result.resumed);
    });
}

#[test]
fn shards_of_a_room_know_of_each_other() {
    run(async {
        let mut config = config();
        config.room_peers_per_shard = 1;
        let world = World::new(2, config);
        world.plane.take_log();
        let (_ana, _bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        world.settle().await;
        let log = world.plane.take_log();
        let links: Vec<_> = log
            .iter()
            .filter_map(|(shard, action)| match action {
                Action::LinkRoom { peers } => Some((*shard, peers.clone())),
                _ => None,
            })
            .collect();
        let expected = [
            (ShardId(0), vec![ShardId(1).into()]),
            (ShardId(1), vec![ShardId(0).into()]),
        ];
        assert_eq!(links, expected);
    });
}
