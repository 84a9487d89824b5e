//! Workers that die with their parts of a room: the owner, the next owner, both ends of a move.

use std::time::Duration;

use control_plane::{MoveReason, Record, RoomOwner, Store, keys};
use media_types::WorkerId;
use serde_json::{Value, json};
use signaling::ErrorType;

use crate::parts::{Cluster, SECOND};
use crate::world::{Client, request, run};

/// Two at the first worker, two at the second, and so on; the last one takes one more.
async fn fill(workers: u64) -> (Cluster, Vec<Client>) {
    let cluster = Cluster::new(workers, 2).await;
    let mut clients = Vec::new();
    for n in 0..workers * 2 - 1 {
        let (at, client) = cluster.join(1, &format!("p{n}")).await;
        assert_eq!(at, 1 + n / 2);
        clients.push(client);
    }
    cluster.pass(SECOND).await;
    for client in &clients {
        client.inbox.take();
    }
    (cluster, clients)
}

/// Who the store says has the room, and in which epoch.
async fn owner(cluster: &Cluster, room: &Client) -> (u64, u64) {
    let key = keys::room_owner(&room.room);
    let world = cluster.worlds.values().next().unwrap();
    let entry = world.store.get(&key).await.unwrap().unwrap();
    let owner = RoomOwner::decode(&key, &entry.value).unwrap();
    (owner.worker.unwrap().get(), owner.epoch.0)
}

/// All that are left name the one that the store does, in its epoch.
async fn agree(cluster: &Cluster, room: &Client) -> (u64, u64) {
    let (worker, epoch) = owner(cluster, room).await;
    for world in cluster.worlds.values() {
        if let Ok(status) = world.system.room(&room.room).await {
            let named = (status.worker, status.epoch);
            assert_eq!(named, (WorkerId::new(worker).to_string(), epoch));
        }
    }
    (worker, epoch)
}

fn left(client: &Client) -> Vec<(String, Value)> {
    let mut told = client.inbox.take_only(&["peerLeft", "peerJoined"]);
    told.sort_by_key(|(_, params)| params.to_string());
    told
}

fn lost(names: &[&str]) -> Vec<(String, Value)> {
    let gone = |name: &&str| json!({"peerId": name, "reason": "timeout"});
    let told = names.iter().map(gone);
    told.map(|params| ("peerLeft".to_owned(), params)).collect()
}

#[test]
fn the_owner_and_another_part_die_together_and_the_third_has_the_room() {
    run(async {
        let (mut cluster, clients) = fill(3).await;
        let last = &clients[4];
        cluster.kill(1).await;
        cluster.kill(2).await;
        cluster.pass_pinged(&[last], 4).await;
        assert_eq!(left(last), lost(&["p0", "p1", "p2", "p3"]));
        cluster.pass_pinged(&[last], 6).await;
        assert_eq!(agree(&cluster, last).await, (3, 2));
        let (at, new) = cluster.join(3, "new").await;
        assert_eq!(at, 3);
        assert_eq!(new.joined.result.room.peers.len(), 1);
        // Whoever was on one of the dead comes back by his token, as somebody new.
        last.session().leave().unwrap();
        cluster.pass(SECOND).await;
        assert!(cluster.at(3).resume(&clients[0]).await.is_ok());
        assert_eq!(cluster.at(3).system.population(), (1, 2));
    });
}

#[test]
fn the_next_owner_dies_as_soon_as_it_is_one() {
    run(async {
        let (mut cluster, clients) = fill(3).await;
        cluster.kill(1).await;
        let mut next = 1;
        for _ in 0..2_000 {
            cluster.pass(Duration::from_millis(10)).await;
            next = owner(&cluster, &clients[4]).await.0;
            if next != 1 {
                break;
            }
        }
        let rest: Vec<u64> = [2, 3].into_iter().filter(|id| *id != next).collect();
        assert_eq!(rest.len(), 1, "one of them has the room");
        cluster.kill(next).await;
        let there: Vec<&Client> = match rest[0] {
            2 => clients[2..4].iter().collect(),
            _ => vec![&clients[4]],
        };
        cluster.pass_pinged(&there, 12).await;
        assert_eq!(agree(&cluster, there[0]).await, (rest[0], 3));
        assert_eq!(cluster.at(rest[0]).system.population(), (1, there.len()));
    });
}

#[test]
fn while_the_store_names_a_dead_owner_its_parts_go_on() {
    run(async {
        let (mut cluster, clients) = fill(3).await;
        let rest: Vec<&Client> = clients[2..].iter().collect();
        // First the store is away as well, then it is back, and the lease runs still.
        cluster.at(3).store.set_down(true);
        cluster.crash(1);
        cluster.pass_pinged(&rest, 4).await;
        for client in &rest {
            assert_eq!(left(client), lost(&["p0", "p1"]));
        }
        let (at, fourth) = cluster.join(3, "fourth").await;
        assert_eq!(at, 3, "who comes is let in by what is known");
        let mut all = rest.clone();
        all.push(&fourth);
        cluster.pass_pinged(&all, 20).await;
        cluster.at(3).store.set_down(false);
        cluster.pass_pinged(&all, 20).await;
        for id in [2, 3] {
            let status = cluster.at(id).system.room(&rest[0].room).await.unwrap();
            assert_eq!((status.epoch, status.peers), (1, 4));
        }
        cluster.bury(1).await;
        cluster.pass_pinged(&all, 12).await;
        assert_eq!(agree(&cluster, rest[0]).await.1, 2);
        let told: Vec<_> = rest.iter().flat_map(|it| left(it)).collect();
        assert_eq!(told.len(), 3, "of the fourth, once each");
        assert!(told.iter().all(|(method, _)| method == "peerJoined"));
    });
}

/// Both ends of a move die so long after it began; the parts that are left have the room.
async fn both_ends_die(after: Duration) {
    let (mut cluster, clients) = fill(4).await;
    let rest: Vec<&Client> = clients[2..6].iter().collect();
    let to = Some(WorkerId::new(4));
    let system = &cluster.at(1).system;
    let moving = system.move_room(&rest[0].room, to, MoveReason::Operator);
    moving.await.unwrap();
    cluster.pass(after).await;
    cluster.kill(1).await;
    cluster.kill(4).await;
    cluster.pass_pinged(&rest, 20).await;
    let (owner, epoch) = agree(&cluster, rest[0]).await;
    assert!([2, 3].contains(&owner), "{owner} after {after:?}");
    assert!([2, 3].contains(&epoch), "{epoch} after {after:?}");
    assert_eq!(cluster.at(2).system.population(), (1, 2));
    assert_eq!(cluster.at(3).system.population(), (1, 2));
    for client in &rest {
        let status = cluster.at(2).system.room(&client.room).await.unwrap();
        assert_eq!(status.peers, 4, "after {after:?}");
        assert_eq!(client.inbox.closed(), None);
    }
    let full = cluster.at(owner).try_join(request("hall", "new")).await;
    assert_eq!(full.err().unwrap().kind(), ErrorType::Overloaded);
    // Nothing of the move stands in the way of the next one.
    let system = &cluster.at(owner).system;
    let other = Some(WorkerId::new(5 - owner));
    let again = system.move_room(&rest[0].room, other, MoveReason::Operator);
    assert!(again.await.is_ok(), "after {after:?}");
}

#[test]
fn both_ends_of_a_move_die_and_the_other_parts_have_the_room() {
    for after in [0, 10, 20, 30, 50, 100, 300, 1_000, 3_000] {
        run(both_ends_die(Duration::from_millis(after)));
    }
}
