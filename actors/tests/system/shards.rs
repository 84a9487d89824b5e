//! Rooms that go from one shard of their worker to another.

use std::sync::Arc;
use std::time::Duration;

use actors::{Fault, Hooks, Observer, SessionKind};
use control_plane::balance::{Decision, Policy};
use media_contract::Action;
use media_types::{Codec, Epoch, RoomName, ShardId, TrackId, WorkerId};
use serde_json::json;
use signaling::ErrorType;
use signaling::view::CloseReason;

use crate::moves::{Pair, news, tracks};
use crate::world::{Client, World, config, request, run};

const PUBLISH: &str = "send a0 audio, send v0 video, slot a1 audio, slot v1 video";
const SECOND: Duration = Duration::from_secs(1);

/// Two who publish, have nothing new to read, and the ids of what they publish.
async fn call(world: &World) -> (Client, Client, [Vec<TrackId>; 2]) {
    let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
    for client in [&ana, &bob] {
        client.offer(1, PUBLISH);
        world.settle().await;
    }
    let tracks = [tracks(&ana), tracks(&bob)];
    drop((ana.inbox.take(), bob.inbox.take()));
    (ana, bob, tracks)
}

/// Time passes while these clients answer pings.
async fn pass(world: &World, clients: &[&Client], seconds: u32) {
    for _ in 0..seconds {
        let now = tokio::time::Instant::now().into_std();
        for client in clients {
            *client.inbox.pinged.lock().unwrap() = Some(now);
        }
        world.pass(SECOND).await;
    }
}

/// Follows the room as a client does, and publishes what it published.
async fn follow(world: &World, client: &Client) -> Client {
    let there = world.resume(client).await.unwrap();
    assert!(!there.joined.result.resumed, "another life of the room");
    there.offer(1, PUBLISH);
    world.settle().await;
    there
}

/// Somebody new is on the new shard, and those who moved hear of nobody else.
async fn joined_by_eve(world: &World, before: [&Client; 2], there: [&Client; 2]) {
    let eve = world.join("r", "eve").await;
    eve.offer(1, PUBLISH);
    pass(world, &[there[0], there[1], &eve], 40).await;
    assert_eq!(world.plane.shard_of(&eve.identity), Some(ShardId(1)));
    for client in before {
        assert_eq!(news(client), []);
    }
    for client in there {
        let told: Vec<_> = news(client).into_iter().map(|(method, _)| method).collect();
        assert_eq!(told, ["peerJoined"]);
    }
}

#[test]
fn a_room_goes_to_another_shard_and_nobody_hears_of_anybody_coming_or_going() {
    run(async {
        let world = World::new(2, config());
        let (ana, bob, was) = call(&world).await;
        let room = ana.room.clone();
        let before = world.system.room(&room).await.unwrap();
        assert_eq!(world.plane.shard_of(&ana.identity), Some(ShardId(0)));
        let moved = world.system.move_shard(&room, None).await.unwrap();
        assert_eq!((moved.from, moved.to), (ShardId(0), ShardId(1)));
        world.settle().await;
        for client in [&ana, &bob] {
            let told = client.inbox.take_only(&["migrate"]);
            // To wherever they have found this worker before.
            assert_eq!(
                (&told[0].1["url"], &told[0].1["reason"]),
                (&json!(""), &json!("operator"))
            );
        }
        let again = world.system.move_shard(&room, None).await.unwrap_err();
        assert_eq!(again.kind(), ErrorType::Conflict);

        let ana_there = follow(&world, &ana).await;
        let bob_there = follow(&world, &bob).await;
        assert_eq!([tracks(&ana_there), tracks(&bob_there)], was);
        // Both shards have all of it until both have settled.
        assert_eq!(world.plane.totals(), (2, 4, 8, 0));
        ana.tell(9, "settled", json!({}));
        pass(&world, &[&ana, &bob, &ana_there, &bob_there], 1).await;
        assert_eq!((ana.inbox.closed(), bob.inbox.closed()), (None, None));
        bob.tell(9, "settled", json!({}));
        pass(&world, &[&ana_there, &bob_there], 1).await;
        let moved = Some(CloseReason::Moved);
        assert_eq!((ana.inbox.closed(), bob.inbox.closed()), (moved, moved));
        assert_eq!(world.plane.totals(), (1, 2, 4, 0));
        for client in [&ana_there, &bob_there] {
            world.plane.flow(&client.identity, Codec::Vp8);
        }
        world.settle().await;
        assert_eq!(world.plane.totals(), (1, 2, 4, 4));
        assert_eq!(world.plane.shard_of(&ana.identity), Some(ShardId(1)));
        assert_eq!(world.system.population(), (1, 2));
        let after = world.system.room(&room).await.unwrap();
        assert_eq!((after.epoch, after.peers), (before.epoch, 2));

        joined_by_eve(&world, [&ana, &bob], [&ana_there, &bob_there]).await;
        let back = world.system.move_shard(&room, Some(ShardId(0))).await;
        assert_eq!(back.unwrap().to, ShardId(0));
    });
}

#[test]
fn who_does_not_follow_leaves_and_is_told_so_once() {
    run(async {
        let world = World::new(2, config());
        let (ana, bob, [_, of_bob]) = call(&world).await;
        world.system.move_shard(&ana.room, None).await.unwrap();
        world.settle().await;
        let there = follow(&world, &ana).await;
        ana.tell(9, "settled", json!({}));
        pass(&world, &[&ana, &bob, &there], 32).await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Moved));
        let gone = of_bob.iter().map(|track| {
            let params = json!({"trackId": track, "peerId": "bob"});
            ("trackUnpublished".to_owned(), params)
        });
        let left = json!({"peerId": "bob", "reason": "moved"});
        let expected: Vec<_> = gone.chain([("peerLeft".to_owned(), left)]).collect();
        assert_eq!(news(&there), expected);
        assert_eq!(world.plane.totals(), (1, 1, 2, 0));
        assert_eq!(world.system.population(), (1, 1));
    });
}

#[test]
fn a_room_that_cannot_go_stays_as_it_was() {
    run(async {
        let world = World::new(2, config());
        let (ana, bob, _) = call(&world).await;
        let kind = |refused: signaling::RpcError| refused.kind();
        let nobody: RoomName = "nobody".parse().unwrap();
        let wrong = world.system.move_shard(&nobody, None).await;
        assert_eq!(kind(wrong.unwrap_err()), ErrorType::NotFound);
        for to in [0, 7] {
            let wrong = world.system.move_shard(&ana.room, Some(ShardId(to))).await;
            assert_eq!(kind(wrong.unwrap_err()), ErrorType::Conflict, "{to}");
        }
        let mut whip = request("r", "camera");
        whip.kind = SessionKind::Whip;
        let camera = world.try_join(whip).await.unwrap();
        let bound = world.system.move_shard(&ana.room, None).await.unwrap_err();
        assert_eq!(bound.kind(), ErrorType::Conflict);
        pass(&world, &[&ana, &bob], 2).await;
        // Nothing of the attempt is left, and people come and go.
        assert_eq!(world.plane.totals().0, 1);
        assert_eq!(world.system.population(), (1, 3));
        let eve = world.join("r", "eve").await;
        assert_eq!(eve.joined.result.room.peers.len(), 3);
        camera.session().leave().unwrap();
        world.settle().await;
        world.system.move_shard(&ana.room, None).await.unwrap();
    });
}

#[test]
fn both_lives_of_a_room_outlive_a_crash() {
    run(async {
        let world = World::new(2, config());
        let (ana, bob, was) = call(&world).await;
        world.system.move_shard(&ana.room, None).await.unwrap();
        world.settle().await;
        let fault = world.system.inject(&ana.room, Fault::Room).await;
        fault.unwrap();
        world.settle().await;
        let ana_there = follow(&world, &ana).await;
        let bob_there = follow(&world, &bob).await;
        assert_eq!([tracks(&ana_there), tracks(&bob_there)], was);
        // A shard that starts again is heard of on either side: here, where they come from.
        world.plane.restart(ShardId(0));
        world.system.shard_restarted(ShardId(0));
        world.settle().await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::ShardRestarted));
        pass(&world, &[&ana_there, &bob_there], 40).await;
        assert_eq!(world.plane.totals(), (1, 2, 4, 0));
        assert_eq!(world.system.population(), (1, 2));
        assert_eq!((news(&ana_there), news(&bob_there)), (vec![], vec![]));
    });
}

#[test]
fn what_happens_at_the_same_time_leaves_nothing_behind() {
    run(async {
        let world = World::new(2, config());
        let (ana, ..) = call(&world).await;
        let both = tokio::join!(
            world.system.move_shard(&ana.room, None),
            world.system.move_shard(&ana.room, None),
        );
        let (moved, refused) = (both.0.unwrap(), both.1.unwrap_err());
        assert_eq!(
            (moved.to, refused.kind()),
            (ShardId(1), ErrorType::Conflict)
        );
        // The life that clients come to ends before they do; the one they come from ends by itself.
        world.system.close_room(&ana.room).await.unwrap();
        pass(&world, &[], 40).await;
        assert_eq!(world.plane.totals(), (0, 0, 0, 0));
        assert_eq!(world.system.population(), (0, 0));

        let (bob, ..) = call(&world).await;
        let both = tokio::join!(
            world.system.move_shard(&bob.room, None),
            world.system.close_room(&bob.room),
        );
        both.1.unwrap();
        pass(&world, &[], 40).await;
        assert_eq!(world.plane.totals(), (0, 0, 0, 0), "{:?}", both.0);
        assert_eq!(world.system.population(), (0, 0));
        // The name is free.
        let eve = world.join("r", "eve").await;
        assert_eq!(eve.joined.result.room.peers.len(), 0);
    });
}

#[test]
fn a_busy_shard_sheds_a_room_to_a_calm_one() {
    #[derive(Default)]
    struct Witness(std::sync::Mutex<Vec<Decision>>);
    impl Observer for Witness {
        fn room_moves(&self, _: &RoomName, _: Epoch, decision: &Decision) {
            self.0.lock().unwrap().push(decision.clone());
        }
    }
    run(async {
        let witness = Arc::new(Witness::default());
        let observer = witness.clone();
        let pair = Pair::with_shards(2, move |settings| {
            settings.balance = Some(Policy::default());
            let policy = Hooks::default().policy;
            settings.hooks = Hooks { policy, observer };
        });
        let pair = pair.await;
        let mut clients = Vec::new();
        for (room, people) in [("large", 6), ("middle", 3)] {
            for n in 0..people {
                let client = pair.a.join(room, &format!("{room}{n}")).await;
                client.offer(1, "send a audio");
                pair.a.settle().await;
                clients.push(client);
            }
            // The next room opens on the same shard.
            pair.a.plane.set_shard_load(ShardId(1), 500_000);
        }
        let all: Vec<&Client> = clients.iter().collect();
        let room: RoomName = "middle".parse().unwrap();
        pair.a.plane.set_shard_load(ShardId(0), 950_000);
        pair.a.plane.set_shard_load(ShardId(1), 100_000);
        pair.pass_with(&all, 5 * SECOND).await;
        assert_eq!(*witness.0.lock().unwrap(), []);
        pair.pass_with(&all, 8 * SECOND).await;
        let [decision] = &witness.0.lock().unwrap()[..] else {
            panic!("one move");
        };
        let Decision {
            room: which,
            to,
            shard,
            ..
        } = decision;
        assert_eq!(
            (which, *to, *shard),
            (&room, WorkerId::new(1), Some(ShardId(1)))
        );
        let opened = pair
            .a
            .plane
            .take_log()
            .into_iter()
            .any(|(shard, action)| shard == ShardId(1) && matches!(action, Action::OpenRoom));
        assert!(opened);
        let told = |client: &&Client| client.inbox.take_only(&["migrate"]).len();
        assert_eq!(all.iter().map(told).sum::<usize>(), 3);
        assert_eq!(pair.b.system.population(), (0, 0));
    });
}
