//! What breaks, and what the others notice of it: nothing.

use std::time::Duration;

use actors::Fault;
use media_contract::{Action, Fact, LostReason};
use media_types::{Codec, ShardId};
use serde_json::json;
use signaling::ErrorType;
use signaling::view::CloseReason;

use crate::rooms::{PUBLISH, WATCH};
use crate::world::{Client, World, config, methods, run};

/// Three in a room, each publishing and watching, with media flowing.
async fn call(world: &World) -> [Client; 3] {
    let clients = [
        world.join("r", "ana").await,
        world.join("r", "bob").await,
        world.join("r", "cem").await,
    ];
    for client in &clients {
        client.offer(1, PUBLISH);
    }
    world.settle().await;
    for client in &clients {
        world.plane.flow(&client.identity, Codec::Vp8);
    }
    world.settle().await;
    for client in &clients {
        client.inbox.take();
    }
    world.plane.take_log();
    clients
}

fn changes(world: &World) -> Vec<Action> {
    let log = world.plane.take_log().into_iter().map(|(_, action)| action);
    let harmless = |action: &Action| matches!(action, Action::OpenRoom | Action::Describe);
    log.filter(|action| !harmless(action)).collect()
}

async fn inject(world: &World, fault: Fault) {
    let room = "r".parse().unwrap();
    world.system.inject(&room, fault).await.unwrap();
}

#[test]
fn a_room_that_fails_costs_nobody_a_frame() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, cem] = call(&world).await;
        let before = (world.plane.totals(), world.plane.slots_of(&ana.identity));
        inject(&world, Fault::Room).await;
        // Said while the room is down; handled when it is back.
        ana.tell(2, "chat", json!({"text": "hello"}));
        world.pass(Duration::from_millis(700)).await;
        assert_eq!(changes(&world), []);
        let after = (world.plane.totals(), world.plane.slots_of(&ana.identity));
        assert_eq!(before, after);
        assert_eq!(methods(&bob.inbox.take()), ["chat"]);
        assert!(ana.inbox.answer(2).unwrap().is_ok());
        // It knows everybody again.
        let status = world.system.room(&"r".parse().unwrap()).await.unwrap();
        assert_eq!((status.peers, status.publishers, status.tracks), (3, 3, 6));
        let dora = world.join("r", "dora").await;
        let room = &dora.joined.result.room;
        assert_eq!((room.peers.len(), room.tracks.len()), (3, 6));
        assert!(room.tracks.iter().all(|track| track.live));
        cem.tell(3, "leave", json!({}));
        world.settle().await;
        let told = bob.inbox.take_only(&["peerJoined", "peerLeft"]);
        assert_eq!(methods(&told), ["peerJoined", "peerLeft"]);
    });
}

#[test]
fn a_peer_that_fails_costs_nobody_a_frame() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, _cem] = call(&world).await;
        let slots = world.plane.slots_of(&ana.identity);
        let pinned = *slots.values().next().unwrap();
        let wish = json!({"slots": [{"mid": "v1", "trackId": pinned, "maxWidth": 320}]});
        ana.tell(2, "subscribe", wish);
        world.settle().await;
        let before = (world.plane.totals(), world.plane.slots_of(&ana.identity));
        world.plane.take_log();
        bob.inbox.take();
        ana.inbox.take();
        inject(&world, Fault::Peer(ana.identity.clone())).await;
        ana.tell(3, "ping", json!({}));
        world.pass(Duration::from_millis(300)).await;
        assert_eq!(changes(&world), []);
        assert_eq!(
            before,
            (world.plane.totals(), world.plane.slots_of(&ana.identity))
        );
        assert_eq!(
            world.plane.wish(&ana.identity, "v1").unwrap().width_max,
            320
        );
        assert!(ana.inbox.answer(3).unwrap().is_ok());
        assert!(bob.inbox.take().is_empty());
        // It still has its tracks, its slots and its grants.
        let own = &world.system.peers(&"r".parse().unwrap()).await.unwrap()[0].tracks;
        ana.tell(
            4,
            "mute",
            json!({"trackId": own[0].track_id, "muted": true}),
        );
        ana.offer(5, PUBLISH);
        world.settle().await;
        assert!(ana.inbox.answer(4).unwrap().is_ok() && ana.inbox.answer(5).unwrap().is_ok());
        assert_eq!(
            methods(&bob.inbox.take_only(&["trackMuted"])),
            ["trackMuted"]
        );
        assert_eq!(world.plane.totals(), before.0);
    });
}

#[test]
fn a_room_and_a_peer_that_fail_together_cost_nobody_a_frame() {
    run(async {
        for peer_first in [true, false] {
            let world = World::new(1, config());
            let [ana, bob, cem] = call(&world).await;
            let before = (world.plane.totals(), world.plane.slots_of(&ana.identity));
            if peer_first {
                inject(&world, Fault::Peer(ana.identity.clone())).await;
                inject(&world, Fault::Room).await;
            } else {
                // The room's fault waits in its box behind the peer's.
                let peer = inject(&world, Fault::Peer(ana.identity.clone()));
                let room = inject(&world, Fault::Room);
                tokio::join!(room, peer);
            }
            ana.tell(2, "ping", json!({}));
            world.pass(Duration::from_millis(1_500)).await;
            assert_eq!(changes(&world), []);
            let after = (world.plane.totals(), world.plane.slots_of(&ana.identity));
            assert_eq!(before, after);
            assert!(bob.inbox.take_only(&["peerLeft", "peerJoined"]).is_empty());
            assert!(!ana.session().is_over() && !cem.session().is_over());
            assert!(ana.inbox.answer(2).unwrap().is_ok());
            assert_eq!(world.system.population(), (1, 3));
            // It is known by name, with all that it publishes.
            let peers = world.system.peers(&"r".parse().unwrap()).await.unwrap();
            assert_eq!(peers[0].peer_id, ana.identity);
            assert_eq!(peers[0].tracks.len(), 2);
            ana.tell(3, "chat", json!({"text": "still here"}));
            world.settle().await;
            assert_eq!(methods(&bob.inbox.take_only(&["chat"])), ["chat"]);
        }
    });
}

#[test]
fn a_peer_whose_policy_is_spent_leaves() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, _cem] = call(&world).await;
        for _ in 0..4 {
            inject(&world, Fault::Peer(ana.identity.clone())).await;
            world.pass(Duration::from_millis(500)).await;
        }
        let told = bob.inbox.take_only(&["peerLeft"]);
        assert_eq!(
            told,
            [(
                "peerLeft".into(),
                json!({"peerId": "ana", "reason": "internal"})
            )]
        );
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Internal));
        assert_eq!(world.plane.totals().1, 2);
        assert_eq!(world.system.population(), (1, 2));
        let again = world.resume(&ana).await.unwrap();
        assert!(!again.joined.result.resumed);
    });
}

#[test]
fn a_room_whose_policy_is_spent_closes_and_can_be_opened_again() {
    run(async {
        let world = World::new(1, config());
        let clients = call(&world).await;
        for _ in 0..4 {
            inject(&world, Fault::Room).await;
            world.pass(Duration::from_millis(1_500)).await;
        }
        for client in &clients {
            assert_eq!(client.inbox.closed(), Some(CloseReason::Internal));
            assert!(client.session().is_over());
        }
        assert_eq!(world.system.population(), (0, 0));
        assert_eq!(world.plane.totals(), (0, 0, 0, 0));
        assert!(world.fatal.lock().unwrap().is_empty());
        world.join("r", "ana").await;
        let status = world.system.room(&"r".parse().unwrap()).await.unwrap();
        assert_eq!(status.epoch, 2);
    });
}

#[test]
fn a_crashed_transport_sends_its_client_round_and_the_second_one_out() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, _cem] = call(&world).await;
        let crashed = || Fact::TransportLost {
            reason: LostReason::Crashed,
        };
        world.plane.happen(&ana.identity, crashed());
        world.settle().await;
        assert_eq!(
            ana.inbox.take().last().unwrap().1,
            json!({"reason": "internal"})
        );
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Internal));
        let told = bob
            .inbox
            .take_only(&["trackUnpublished", "peerUpdated", "peerLeft"]);
        assert_eq!(
            methods(&told),
            ["trackUnpublished", "trackUnpublished", "peerUpdated"]
        );
        let again = world.resume(&ana).await.unwrap();
        assert!(!again.joined.result.resumed);
        assert_eq!(
            methods(&bob.inbox.take_only(&["peerUpdated", "peerLeft"])),
            ["peerUpdated"]
        );
        again.offer(1, PUBLISH);
        world.settle().await;
        assert!(again.inbox.answer(1).unwrap().is_ok());
        world.plane.happen(&ana.identity, crashed());
        world.settle().await;
        assert_eq!(again.inbox.closed(), Some(CloseReason::TransportFailed));
        let told = bob.inbox.take_only(&["peerLeft"]);
        assert_eq!(
            told[0].1,
            json!({"peerId": "ana", "reason": "transport_failed"})
        );
        assert_eq!(told.len(), 1);
    });
}

#[test]
fn a_restarted_shard_is_opened_again_and_its_clients_come_back() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, cem] = call(&world).await;
        world.plane.restart(ShardId(0));
        world.system.shard_restarted(ShardId(0));
        world.settle().await;
        for client in [&ana, &bob, &cem] {
            assert_eq!(client.inbox.closed(), Some(CloseReason::ShardRestarted));
        }
        assert_eq!(world.plane.totals(), (1, 0, 0, 0));
        for client in [&ana, &bob] {
            let again = world.resume(client).await.unwrap();
            assert!(!again.joined.result.resumed);
            again.offer(1, PUBLISH);
            world.settle().await;
            assert!(again.inbox.answer(1).unwrap().is_ok());
            world.plane.flow(&client.identity, Codec::Vp8);
            world.settle().await;
        }
        assert_eq!(world.plane.totals(), (1, 2, 4, 4));
    });
}

#[test]
fn what_a_full_command_queue_refused_is_made_up_for() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        bob.offer(1, WATCH);
        world.settle().await;
        world.plane.set_busy(true);
        ana.offer(1, PUBLISH);
        world.settle().await;
        let error = ana.inbox.answer(1).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorType::Overloaded);
        world.plane.set_busy(false);
        world.pass(Duration::from_secs(1)).await;
        ana.offer(2, PUBLISH);
        world.settle().await;
        assert!(ana.inbox.answer(2).unwrap().is_ok());
        // Filling a slot is refused, and done a little later.
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.plane.set_busy(true);
        world.settle().await;
        assert!(world.plane.slots_of(&bob.identity).is_empty());
        world.plane.set_busy(false);
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.plane.slots_of(&bob.identity).len(), 2);
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_and_waited_for() {
    run(async {
        let world = World::new(1, config());
        let [ana, bob, _cem] = call(&world).await;
        *ana.inbox.room_for.lock().unwrap() = Some(2);
        for id in 0..3 {
            bob.tell(10 + id, "chat", json!({"text": "again"}));
        }
        world.settle().await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::SlowClient));
        assert_eq!(
            methods(&bob.inbox.take_only(&["peerUpdated"])),
            ["peerUpdated"]
        );
        let again = world.resume(&ana).await.unwrap();
        assert!(again.joined.result.resumed);
        let slots = again.inbox.take_only(&["slots"]);
        assert_eq!(slots[0].1["slots"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn a_room_spans_two_shards_by_relays() {
    run(async {
        let mut config = config();
        config.room_peers_per_shard = 1;
        let world = World::new(2, config);
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.offer(1, PUBLISH);
        bob.offer(1, WATCH);
        world.settle().await;
        assert_eq!(world.plane.shard_of(&ana.identity), Some(ShardId(0)));
        assert_eq!(world.plane.shard_of(&bob.identity), Some(ShardId(1)));
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.settle().await;
        assert_eq!(world.plane.slots_of(&bob.identity).len(), 2);
        // The room on two shards, two tracks on each.
        assert_eq!(world.plane.totals(), (2, 2, 4, 2));
        // A shard that forgets gets its relays again.
        world.plane.restart(ShardId(1));
        world.system.shard_restarted(ShardId(1));
        world.settle().await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::ShardRestarted));
        assert_eq!(world.plane.totals(), (2, 1, 4, 0));
        let bob = world.resume(&bob).await.unwrap();
        bob.offer(1, WATCH);
        world.settle().await;
        assert_eq!(world.plane.slots_of(&bob.identity).len(), 2);
        ana.tell(2, "leave", json!({}));
        world.settle().await;
        assert_eq!(world.plane.totals(), (2, 1, 0, 0));
    });
}

#[test]
fn faults_are_injected_where_they_are_allowed() {
    run(async {
        let mut config = config();
        config.debug_faults = false;
        let world = World::new(1, config);
        let ana = world.join("r", "ana").await;
        let room = "r".parse().unwrap();
        let refused = world
            .system
            .inject(&room, Fault::Peer(ana.identity.clone()))
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorType::Forbidden);
    });
}
