//! Rooms that move between two workers on one store.

use std::sync::Arc;
use std::time::Duration;

use actors::{ActorsConfig, Credentials, ResumeClaims};
use control_plane::testing::ManualClock;
use control_plane::{Membership, MemoryStore, MoveReason, Record, RoomOwner, Store, WorkerRecord};
use control_plane::{keys, membership};
use media_types::{RoomName, TrackId, WorkerId};
use serde_json::{Value, json};
use signaling::ErrorType;
use signaling::server_message::Reply;
use signaling::view::CloseReason;

use crate::world::{Client, World, config, grants, request, run};

const PUBLISH: &str = "send a0 audio, send v0 video, slot a1 audio, slot v1 video";

pub(crate) struct Pair {
    pub(crate) a: World,
    pub(crate) b: World,
    members: Vec<Membership>,
    pub(crate) store: Arc<MemoryStore>,
}

fn worker(id: u64) -> ActorsConfig {
    let url = format!("wss://{id}/v1/signal");
    ActorsConfig {
        worker: WorkerId::new(id),
        endpoints: vec![url.clone()],
        url,
        id_seed: id * 1_000,
        ..config()
    }
}

async fn enlist(store: &Arc<MemoryStore>, id: u64) -> Membership {
    let record = WorkerRecord {
        id: WorkerId::new(id),
        url: format!("wss://{id}/v1/signal"),
        ready: true,
        ..WorkerRecord::default()
    };
    let mut member = Membership::new(store.clone(), record, membership::LEASE_TTL);
    let now = tokio::time::Instant::now().into_std();
    member.renew(now).await.unwrap();
    member
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With other settings of the first worker.
    pub(crate) async fn with(change: impl FnOnce(&mut ActorsConfig)) -> Self {
        Self::with_shards(1, change).await
    }

    /// Likewise, with so many shards each.
    pub(crate) async fn with_shards(shards: u16, change: impl FnOnce(&mut ActorsConfig)) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(ManualClock::new())));
        let members = vec![enlist(&store, 1).await, enlist(&store, 2).await];
        let world = |settings| World::over(shards, settings, &[], store.clone());
        let mut first = worker(1);
        change(&mut first);
        Self {
            a: world(first),
            b: world(worker(2)),
            members,
            store,
        }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() {
            self.a.settle().await;
            self.b.pass(step.min(left)).await;
            left = left.saturating_sub(step);
        }
    }

    /// Lets time pass while the connections of these clients answer pings.
    pub(crate) async fn pass_with(&self, clients: &[&Client], time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let now = tokio::time::Instant::now().into_std();
            for client in clients {
                *client.inbox.pinged.lock().unwrap() = Some(now);
            }
            let step = SECOND.min(left);
            self.pass(step).await;
            left = left.saturating_sub(step);
        }
    }

    pub(crate) async fn owner(&self, room: &RoomName) -> RoomOwner {
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await.unwrap().unwrap();
        RoomOwner::decode(&key, &entry.value).unwrap()
    }

    /// A worker's lease is given back.
    pub(crate) async fn leave(&mut self, member: usize) {
        self.members[member].leave().await.unwrap();
    }

    pub(crate) async fn moves(&self, room: &RoomName) -> bool {
        let key = keys::room_migration(room);
        self.store.get(&key).await.unwrap().is_some()
    }
}

/// Follows the room as a client does, with the token that it was given.
pub(crate) async fn follow(to: &World, client: &Client) -> Client {
    let mut wish = request(client.room.as_str(), client.identity.as_str());
    wish.credentials = Credentials::Resume(Box::new(ResumeClaims {
        room: client.room.clone(),
        identity: client.identity.clone(),
        session: client.joined.result.session_id,
        grants: grants(),
    }));
    to.try_join(wish).await.unwrap()
}

pub(crate) fn tracks(client: &Client) -> Vec<TrackId> {
    match client.inbox.answer(1) {
        Some(Ok(Reply::Offer(offer))) => offer.tracks.iter().map(|it| it.track_id).collect(),
        other => panic!("{other:?}"),
    }
}

/// What others are told of somebody who comes or goes.
pub(crate) fn news(client: &Client) -> Vec<(String, Value)> {
    let methods = ["peerJoined", "peerLeft", "peerUpdated", "trackUnpublished"];
    client.inbox.take_only(&methods)
}

const SECOND: Duration = Duration::from_secs(1);

/// Two who publish, and have nothing new to read.
async fn call(pair: &Pair) -> (Client, Client) {
    let (ana, bob) = (pair.a.join("r", "ana").await, pair.a.join("r", "bob").await);
    for client in [&ana, &bob] {
        client.offer(1, PUBLISH);
        pair.a.settle().await;
    }
    ana.tell(2, "setMetadata", json!({"metadata": {"seat": 4}}));
    pair.a.settle().await;
    (ana, bob)
}

/// Clients of a room that was handed over know where to go; others are sent there.
async fn sent_on(pair: &Pair, clients: [&Client; 2]) {
    for client in clients {
        let told = client.inbox.take_only(&["migrate"]);
        assert_eq!(told[0].1["url"], "wss://2/v1/signal");
        assert_eq!(told[0].1["reason"], "operator");
    }
    // Who comes now is sent to the new owner, and lets nobody in twice.
    let eve = pair.a.try_join(request("r", "eve")).await.err().unwrap();
    assert_eq!(eve.kind(), ErrorType::Moved);
    assert_eq!(eve.data.url.as_deref(), Some("wss://2/v1/signal"));
}

/// Both join at the target, and publish what they published.
async fn follow_both(pair: &Pair, ana: &Client, bob: &Client, of_bob: &[TrackId]) -> [Client; 2] {
    let ana_there = follow(&pair.b, ana).await;
    // The others are named though they have not come yet, with what they publish.
    let view = &ana_there.joined.result.room;
    let [other] = view.peers.as_slice() else {
        panic!("{view:?}");
    };
    assert_eq!(other.peer_id.as_str(), "bob");
    let named: Vec<TrackId> = view.tracks.iter().map(|track| track.track_id).collect();
    assert_eq!(named, of_bob);
    let bob_there = follow(&pair.b, bob).await;
    let seen = &bob_there.joined.result.room.peers[0];
    assert_eq!(seen.metadata, json!({"seat": 4}));
    for client in [&ana_there, &bob_there] {
        client.offer(1, PUBLISH);
        pair.b.settle().await;
    }
    [ana_there, bob_there]
}

#[test]
fn a_room_moves_and_nobody_hears_of_anybody_coming_or_going() {
    run(async {
        let pair = Pair::new().await;
        let (ana, bob) = call(&pair).await;
        let room = ana.room.clone();
        let (of_ana, of_bob) = (tracks(&ana), tracks(&bob));
        drop((news(&ana), news(&bob)));
        let before = pair.a.system.room(&room).await.unwrap();

        let moving = pair.a.system.move_room(&room, None, MoveReason::Operator);
        assert_eq!(moving.await.unwrap().record.to, WorkerId::new(2));
        pair.pass(SECOND).await;
        assert_eq!(pair.owner(&room).await.worker, Some(WorkerId::new(2)));
        sent_on(&pair, [&ana, &bob]).await;
        let [ana_there, bob_there] = follow_both(&pair, &ana, &bob, &of_bob).await;
        assert_eq!((tracks(&ana_there), tracks(&bob_there)), (of_ana, of_bob));

        // The old worker serves everybody until all have settled.
        ana.tell(9, "settled", json!({}));
        pair.pass(SECOND).await;
        assert_eq!((ana.inbox.closed(), bob.inbox.closed()), (None, None));
        bob.tell(9, "settled", json!({}));
        pair.pass(SECOND).await;
        let moved = Some(CloseReason::Moved);
        assert_eq!((ana.inbox.closed(), bob.inbox.closed()), (moved, moved));
        assert_eq!(pair.a.system.population(), (0, 0));
        assert!(!pair.moves(&room).await);
        let after = pair.b.system.room(&room).await.unwrap();
        assert_eq!((before.epoch, after.epoch, after.peers), (1, 2, 2));

        pair.pass_with(&[&ana_there, &bob_there], 40 * SECOND).await;
        for client in [&ana, &bob, &ana_there, &bob_there] {
            assert_eq!(news(client), []);
        }
    });
}

#[test]
fn who_does_not_follow_leaves_and_is_told_so_once() {
    run(async {
        let pair = Pair::new().await;
        let (ana, bob) = (pair.a.join("r", "ana").await, pair.a.join("r", "bob").await);
        bob.offer(1, PUBLISH);
        pair.a.settle().await;
        let mine = tracks(&bob);
        let moving = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Balance);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        let there = follow(&pair.b, &ana).await;
        pair.pass_with(&[&ana, &bob, &there], 32 * SECOND).await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Moved));
        let gone = mine.iter().map(|track| {
            let params = json!({"trackId": track, "peerId": "bob"});
            ("trackUnpublished".to_owned(), params)
        });
        let left = json!({"peerId": "bob", "reason": "moved"});
        let expected: Vec<_> = gone.chain([("peerLeft".to_owned(), left)]).collect();
        assert_eq!(news(&there), expected);
    });
}

#[test]
fn a_target_that_dies_gives_the_room_back_and_nobody_was_sent_away() {
    run(async {
        let mut pair = Pair::new().await;
        let ana = pair.a.join("r", "ana").await;
        let moving = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        assert_eq!(pair.owner(&ana.room).await.worker, Some(WorkerId::new(2)));
        pair.b.system.stop();
        pair.members[1].leave().await.unwrap();
        pair.pass(SECOND).await;
        let owner = pair.owner(&ana.room).await;
        assert_eq!((owner.worker, owner.epoch.0), (Some(WorkerId::new(1)), 3));
        assert_eq!(ana.inbox.closed(), None);
        pair.a.join("r", "bob").await;
        assert_eq!(ana.inbox.take_only(&["peerJoined"]).len(), 1);
        assert!(!pair.moves(&ana.room).await);
    });
}

#[test]
fn a_room_whose_actor_fails_in_the_move_goes_on_moving() {
    run(async {
        let pair = Pair::new().await;
        let ana = pair.a.join("r", "ana").await;
        let moving = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        for world in [&pair.a, &pair.b] {
            let failed = world.system.inject(&ana.room, actors::Fault::Room).await;
            failed.unwrap();
        }
        pair.pass(SECOND).await;
        let there = follow(&pair.b, &ana).await;
        ana.tell(9, "settled", json!({}));
        pair.pass(SECOND).await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Moved));
        assert_eq!(pair.b.system.room(&there.room).await.unwrap().peers, 1);
    });
}

#[test]
fn a_token_for_one_use_stays_used() {
    run(async {
        let pair = Pair::new().await;
        let once = || {
            let mut wish = request("r", "ana");
            if let Credentials::Token(claims) = &mut wish.credentials {
                claims.jti = Some("j1".to_owned());
            }
            wish
        };
        let ana = pair.a.try_join(once()).await.unwrap();
        let moving = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        let error = pair.b.try_join(once()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorType::Replayed);
    });
}

#[test]
fn a_worker_drains_fifty_rooms_and_loses_none() {
    run(async {
        let pair = Pair::new().await;
        let mut clients = Vec::new();
        for room in 0..50 {
            for name in ["ana", "bob"] {
                clients.push(pair.a.join(&format!("r{room}"), name).await);
            }
        }
        let began = tokio::time::Instant::now();
        let system = pair.a.system.clone();
        let drain = actix_rt::spawn(async move { system.drain_by_moving().await });
        let mut there = Vec::new();
        while !drain.is_finished() {
            pair.pass(Duration::from_millis(100)).await;
            for client in &clients {
                if !client.inbox.take_only(&["migrate"]).is_empty() {
                    there.push(follow(&pair.b, client).await);
                    client.tell(9, "settled", json!({}));
                }
            }
        }
        assert_eq!(drain.await.unwrap(), 50);
        println!("fifty rooms drained in {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!((there.len(), pair.b.system.population()), (100, (50, 100)));
        assert_eq!(pair.a.system.population(), (0, 0));
        for client in &clients {
            assert_eq!(client.inbox.closed(), Some(CloseReason::Moved));
        }
    });
}

#[test]
fn what_cannot_be_moved_says_why() {
    run(async {
        let mut pair = Pair::new().await;
        let ana = pair.a.join("r", "ana").await;
        let to = |pair: &Pair, id| {
            let system = pair.a.system.clone();
            let room = ana.room.clone();
            async move {
                let to = Some(WorkerId::new(id));
                let moved = system.move_room(&room, to, MoveReason::Operator).await;
                moved.err().map(|error| error.kind())
            }
        };
        assert_eq!(to(&pair, 7).await, Some(ErrorType::NotFound));
        assert_eq!(to(&pair, 1).await, Some(ErrorType::Conflict));
        let b = pair.b.system.clone();
        let elsewhere = b.move_room(&ana.room, None, MoveReason::Operator).await;
        let elsewhere = elsewhere.err().unwrap();
        assert_eq!(elsewhere.data.url.as_deref(), Some("wss://1/v1/signal"));
        pair.members[1].leave().await.unwrap();
        let alone = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Drain)
            .await;
        assert_eq!(alone.err().unwrap().kind(), ErrorType::Unavailable);
        assert_eq!(pair.a.system.drain_by_moving().await, 0);
        assert_eq!(pair.a.system.population(), (1, 1));
    });
}
