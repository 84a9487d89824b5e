//! Rooms of a worker that is cut off from the store, and not from the other workers.

use std::time::Duration;

use actors::Fault;
use control_plane::{Record, RoomOwner, Store, keys};
use media_types::{Codec, WorkerId};
use serde_json::{Value, json};
use signaling::ErrorType;
use signaling::view::CloseReason;

use crate::moves::follow;
use crate::parts::Cluster;
use crate::world::{Client, request, run};

const SECOND: Duration = Duration::from_secs(1);
const PUBLISH: &str = "send a audio";
const NEWS: [&str; 5] = [
    "peerJoined",
    "peerLeft",
    "peerUpdated",
    "trackUnpublished",
    "migrate",
];

/// Who owns the room, and in which epoch, as the store says.
async fn owner(cluster: &Cluster) -> (u64, u64) {
    let key = keys::room_owner(&"hall".parse().unwrap());
    let entry = cluster.store.get(&key).await.unwrap().unwrap();
    let owner = RoomOwner::decode(&key, &entry.value).unwrap();
    (owner.worker.map_or(0, WorkerId::get), owner.epoch.0)
}

/// Somebody new comes to a worker, while letters are carried.
async fn come(cluster: &Cluster, to: u64, name: &str) -> Result<Client, ErrorType> {
    let joining = cluster.at(to).try_join(request("hall", name));
    let (joined, ()) = tokio::join!(joining, cluster.pass(SECOND));
    joined.map_err(|error| error.kind())
}

/// Two are in at the first worker, which is cut off until its lease has ended.
async fn cut(workers: u64) -> (Cluster, Client, Client) {
    let mut cluster = Cluster::new(workers, 0).await;
    let (_, ana) = cluster.join(1, "ana").await;
    let (_, bob) = cluster.join(1, "bob").await;
    ana.offer(1, PUBLISH);
    cluster.pass_pinged(&[&ana, &bob], 3).await;
    drop((ana.inbox.take(), bob.inbox.take()));
    cluster.path(1).set(false);
    cluster.bury(1).await;
    cluster.pass(3 * SECOND).await;
    (cluster, ana, bob)
}

fn migrate(client: &Client) -> (Value, Value) {
    let told = client.inbox.take_only(&["migrate"]);
    let [(_, params)] = told.as_slice() else {
        panic!("{told:?}");
    };
    (params["url"].clone(), params["reason"].clone())
}

#[test]
fn a_worker_that_is_cut_off_hands_a_room_over_to_who_asks_for_it() {
    run(async {
        let (cluster, ana, bob) = cut(2).await;
        let before = cluster.at(1).system.room(&ana.room).await.unwrap();
        let eve = come(&cluster, 2, "eve").await.unwrap();
        assert_eq!(owner(&cluster).await, (2, 2));
        let view = &eve.joined.result.room;
        let seen: Vec<&str> = view.peers.iter().map(|it| it.peer_id.as_str()).collect();
        assert_eq!((seen, view.tracks.len()), (vec!["ana", "bob"], 1));

        let to = (json!("wss://2/v1/signal"), json!("ownership"));
        assert_eq!([migrate(&ana), migrate(&bob)], [to.clone(), to]);
        let mut there = Vec::new();
        for client in [&ana, &bob] {
            there.push(follow(cluster.at(2), client).await);
            cluster.pass(SECOND).await;
            if client.identity == ana.identity {
                there[0].offer(1, PUBLISH);
                cluster.pass(SECOND).await;
                cluster.at(2).plane.flow(&ana.identity, Codec::Vp8);
            }
            client.tell(9, "settled", json!({}));
        }
        cluster.pass_pinged(&[&eve, &there[0], &there[1]], 40).await;
        for (client, after) in [&ana, &bob].into_iter().zip(&there) {
            assert_eq!(client.inbox.closed(), Some(CloseReason::Moved));
            let told = after.inbox.take_only(&NEWS);
            assert!(told.is_empty(), "{told:?}");
        }
        let told = eve.inbox.take_only(&["peerJoined", "peerLeft", "migrate"]);
        assert_eq!(told, []);
        let populations = [1, 2].map(|id| cluster.at(id).system.population());
        assert_eq!(populations, [(0, 0), (1, 3)]);
        let after = cluster.at(2).system.room(&ana.room).await.unwrap();
        assert_eq!(
            (&after.opened_at, after.epoch),
            (&before.opened_at, 2),
            "the same room"
        );

        cluster.path(1).set(true);
        cluster.pass_pinged(&[&eve, &there[0], &there[1]], 5).await;
        assert_eq!(owner(&cluster).await, (2, 2));
        assert_eq!(eve.inbox.take_only(&NEWS), []);
    });
}

#[test]
fn a_silent_worker_is_not_waited_for_and_its_clients_come_when_it_hears_of_it() {
    run(async {
        let (cluster, ana, bob) = cut(2).await;
        let joining = cluster.at(2).try_join(request("hall", "eve"));
        let losing = async {
            for _ in 0..100 {
                cluster.lose_letters();
                cluster.pass(Duration::from_millis(10)).await;
                cluster.lose_letters();
            }
        };
        let (eve, ()) = tokio::join!(joining, losing);
        let eve = eve.unwrap();
        assert_eq!(owner(&cluster).await, (2, 2));
        // Two rooms of that name, in two epochs, until the first worker looks.
        assert!(eve.joined.result.room.peers.is_empty());
        cluster.pass_pinged(&[&ana, &bob, &eve], 3).await;
        assert_eq!(ana.inbox.take_only(&NEWS), []);
        cluster.path(1).set(true);
        cluster.pass_pinged(&[&ana, &bob, &eve], 5).await;
        let to = (json!("wss://2/v1/signal"), json!("ownership"));
        assert_eq!([migrate(&ana), migrate(&bob)], [to.clone(), to]);
    });
}

#[test]
fn of_two_who_ask_at_once_one_has_the_room_and_all_come_to_it() {
    run(async {
        let (cluster, ana, bob) = cut(3).await;
        let [second, third] = [2, 3].map(|id| cluster.at(id).try_join(request("hall", "eve")));
        let (second, third, ()) = tokio::join!(second, third, cluster.pass(SECOND));
        let (has, _) = owner(&cluster).await;
        assert_eq!(owner(&cluster).await, (has, 2));
        let [taken, sent] = match has {
            2 => [second, third],
            3 => [third, second],
            other => panic!("{other}"),
        };
        assert_eq!(taken.unwrap().joined.result.room.peers.len(), 2);
        let sent = sent.err().unwrap();
        let url = format!("wss://{has}/v1/signal");
        assert_eq!(sent.data.url.as_deref(), Some(&*url));
        for client in [&ana, &bob] {
            assert_eq!(migrate(client), (json!(url), json!("ownership")));
        }
    });
}

#[test]
fn a_room_that_is_not_there_any_more_is_opened_anew() {
    run(async {
        let (cluster, ana, bob) = cut(2).await;
        // Its worker cannot give it back to the store.
        ana.session().leave().unwrap();
        bob.session().leave().unwrap();
        cluster.pass(60 * SECOND).await;
        assert_eq!(cluster.at(1).system.population(), (0, 0));
        assert_eq!(owner(&cluster).await, (1, 1));
        let eve = come(&cluster, 2, "eve").await.unwrap();
        assert!(eve.joined.result.room.peers.is_empty());
        assert_eq!(owner(&cluster).await, (2, 2));
    });
}

#[test]
fn what_was_handed_over_goes_to_its_next_owner_also_after_a_crash() {
    run(async {
        let (cluster, ana, bob) = cut(2).await;
        let joining = cluster.at(2).try_join(request("hall", "eve"));
        let crashing = async {
            // The question arrives; the answer is on its way.
            cluster.pass(Duration::from_millis(10)).await;
            let system = &cluster.at(1).system;
            system.inject(&ana.room, Fault::Room).await.unwrap();
            cluster.pass(SECOND).await;
        };
        let (eve, ()) = tokio::join!(joining, crashing);
        assert_eq!(eve.unwrap().joined.result.room.peers.len(), 2);
        cluster.pass_pinged(&[&ana, &bob], 2).await;
        let to = (json!("wss://2/v1/signal"), json!("ownership"));
        assert_eq!([migrate(&ana), migrate(&bob)], [to.clone(), to]);
    });
}
