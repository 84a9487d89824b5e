//! What a room says to very many: in proportion to how many they are, whatever happens.

use std::time::Duration;

use media_contract::{Fact, TransportFigures};
use media_types::Codec;
use serde_json::json;
use signaling::rest::RoomSettings;
use signaling::view::CloseReason;

use crate::rooms::WATCH;
use crate::slots::publishers;
use crate::world::{Client, World, config, request, run};

/// `count` join within two seconds; notifications that all of them got.
async fn notices_of_a_crowd(count: usize) -> usize {
    let world = World::new(1, config());
    let settings = RoomSettings {
        max_peers: 5_000,
        ..RoomSettings::default()
    };
    let room = "r".parse().unwrap();
    world.system.open_room(&room, settings).await.unwrap();
    let pause = Duration::from_secs(2) / u32::try_from(count).unwrap();
    let mut inboxes = Vec::new();
    for n in 0..count {
        let mut wish = request("r", &format!("p{n}"));
        let inbox = std::sync::Arc::new(crate::world::Inbox::default());
        wish.outbox = inbox.clone();
        world.system.join(wish).await.unwrap();
        inboxes.push(inbox);
        tokio::time::sleep(pause).await;
    }
    world.pass(Duration::from_secs(2)).await;
    inboxes.iter().map(|inbox| inbox.take().len()).sum()
}

#[test]
fn a_crowd_costs_messages_in_proportion() {
    let roster = config().roster_limit;
    let named = roster * (roster - 1) / 2;
    run(async move {
        // Each named member to those before it; then the audience is counted, at first and once
        // a second, to who is there.
        let small = notices_of_a_crowd(1_000).await;
        let large = notices_of_a_crowd(2_000).await;
        println!("1,000 joined: {small} notices; 2,000 joined: {large}");
        assert!(small <= named + 4 * 1_000, "{small}");
        assert!(large <= named + 4 * 2_000, "{large}");
    });
}

fn lossy_out() -> TransportFigures {
    TransportFigures {
        loss_out: 0.3,
        ..TransportFigures::default()
    }
}

fn lossy_in() -> TransportFigures {
    TransportFigures {
        loss_in: 0.1,
        ..TransportFigures::default()
    }
}

/// Seconds in which each of these members has these figures.
async fn pass(world: &World, of: &[&Client], seconds: u32, figures: &TransportFigures) {
    for _ in 0..seconds {
        for client in of {
            let figures = Fact::Figures(figures.clone());
            world.plane.happen(&client.identity, figures);
        }
        world.pass(Duration::from_secs(1)).await;
    }
}

fn told_of(client: &Client) -> Vec<(String, f64)> {
    let all = client.inbox.take_only(&["quality"]);
    let of = |params: serde_json::Value| {
        let peer = params["peerId"].as_str().unwrap().to_owned();
        (peer, params["score"].as_f64().unwrap())
    };
    all.into_iter().map(|(_, params)| of(params)).collect()
}

#[test]
fn who_only_receives_badly_is_told_so_alone() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let eve = world.join("r", "eve").await;
        eve.offer(1, WATCH);
        world.settle().await;
        // A viewer, and a publisher whose own pictures arrive well.
        pass(&world, &[&eve, &all[0]], 1, &lossy_out()).await;
        assert_eq!(told_of(&eve).first(), Some(&("eve".to_owned(), 0.0)));
        assert_eq!(told_of(&all[0]), [("p1".to_owned(), 0.0)]);
        assert_eq!(told_of(&all[1]), [("p1".to_owned(), 1.0)]);
        pass(&world, &[&all[0]], 3, &lossy_in()).await;
        let last = told_of(&all[1]).pop().unwrap();
        assert!(last.0 == "p1" && (last.1 - 0.5).abs() < 1e-6, "{last:?}");
    });
}

#[test]
fn with_many_publishers_only_those_who_see_one_hear_how_it_fares() {
    const PUBLISHERS: usize = 14;
    const VIEWERS: usize = 30;
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, PUBLISHERS).await;
        let mut viewers = Vec::new();
        for n in 0..VIEWERS {
            let viewer = world.join("r", &format!("v{n}")).await;
            viewer.offer(1, WATCH);
            viewers.push(viewer);
        }
        world.settle().await;
        world.plane.flow(&all[0].identity, Codec::Vp8);
        let of: Vec<&Client> = all.iter().collect();
        pass(&world, &of, 3, &lossy_in()).await;
        for viewer in &viewers {
            let told = told_of(viewer);
            // One slot for pictures, one for sound, and both of one publisher.
            let peers: Vec<&str> = told.iter().map(|(peer, _)| peer.as_str()).collect();
            assert_eq!(peers, ["p1"], "{told:?}");
        }
        // Nobody sees another here; each hears of itself.
        for (client, n) in all.iter().zip(1..) {
            let told = told_of(client);
            assert!(told.iter().all(|(peer, _)| *peer == format!("p{n}")));
        }
        // Another choice: what is not known yet of the one that is shown now is told.
        let third = crate::slots::track(&world, &all[2], "video").await;
        let wish = json!({ "slots": [{ "mid": "v1", "trackId": third.to_string() }] });
        viewers[0].tell(2, "subscribe", wish);
        world.settle().await;
        let told = told_of(&viewers[0]);
        assert!(
            told.iter()
                .any(|(peer, score)| peer == "p3" && *score < 0.6),
            "{told:?}"
        );
    });
}

#[test]
fn pings_that_a_connection_answers_keep_its_session() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let bob = world.join("r", "bob").await;
        let ping = |client: &Client| {
            let now = tokio::time::Instant::now().into_std();
            *client.inbox.pinged.lock().unwrap() = Some(now);
        };
        for _ in 0..12 {
            ping(&ana);
            ping(&bob);
            world.pass(config().heartbeat_interval).await;
        }
        assert_eq!((ana.inbox.closed(), bob.inbox.closed()), (None, None));
        bob.inbox.take();
        // Two missed and a half.
        for _ in 0..3 {
            ping(&bob);
            world.pass(config().heartbeat_interval).await;
        }
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Timeout));
        let told = bob.inbox.take_only(&["peerUpdated"]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1["state"], "reconnecting");
    });
}
