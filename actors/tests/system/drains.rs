//! Workers that are emptied while their rooms are on the way already.

use std::time::Duration;

use actors::{SessionKind, System};
use control_plane::MoveReason;
use media_types::WorkerId;
use signaling::ErrorType;
use signaling::view::CloseReason;
use tokio::task::JoinHandle;

use crate::moves::{Pair, follow};
use crate::parts::Cluster;
use crate::world::{Client, request, run};

const SECOND: Duration = Duration::from_secs(1);

/// What an operator's drain and the end of a process do.
async fn drain(system: System) -> usize {
    let moved = system.drain_by_moving().await;
    system.drain().await;
    moved
}

/// Has those who are told to go from the first worker to the second do so, and settle there.
async fn follow_all(pair: &Pair, clients: &[Client], there: &mut Vec<Client>) {
    for client in clients {
        if !client.inbox.take_only(&["migrate"]).is_empty() {
            there.push(follow(&pair.b, client).await);
            client.tell(9, "settled", serde_json::json!({}));
        }
    }
}

fn all_moved(clients: &[Client]) {
    for client in clients {
        assert_eq!(client.inbox.closed(), Some(CloseReason::Moved));
    }
}

/// Its only client follows, and with it the room has left the first worker, which ends.
async fn one_room_moves(pair: &Pair, clients: &[Client], drained: JoinHandle<usize>) {
    let mut there = Vec::new();
    follow_all(pair, clients, &mut there).await;
    pair.pass(SECOND).await;
    assert_eq!(drained.await.unwrap(), 1);
    all_moved(clients);
    assert_eq!(pair.b.system.population(), (1, 1));
}

#[test]
fn a_worker_told_to_end_while_it_drains_ends_no_room_on_its_way() {
    run(async {
        let pair = Pair::new().await;
        let mut clients = Vec::new();
        for room in 0..20 {
            clients.push(pair.a.join(&format!("r{room:02}"), "ana").await);
        }
        let operator = actix_rt::spawn(drain(pair.a.system.clone()));
        // Sixteen rooms are at the second worker, and their clients have not gone there yet.
        pair.pass(SECOND).await;
        assert_eq!(pair.b.system.population(), (16, 0));
        let signal = actix_rt::spawn(drain(pair.a.system.clone()));
        pair.pass(2 * SECOND).await;
        assert!(!signal.is_finished());
        let mut there = Vec::new();
        while !(operator.is_finished() && signal.is_finished()) {
            pair.pass(Duration::from_millis(100)).await;
            follow_all(&pair, &clients, &mut there).await;
        }
        assert_eq!(operator.await.unwrap(), 20);
        assert_eq!((there.len(), pair.b.system.population()), (20, (20, 20)));
        assert_eq!(pair.a.system.population(), (0, 0));
        all_moved(&clients);
    });
}

#[test]
fn who_could_not_follow_does_not_come_to_a_room_that_is_about_to_go() {
    run(async {
        let pair = Pair::new().await;
        let mut clients = Vec::new();
        for room in 0..20 {
            clients.push(pair.a.join(&format!("r{room:02}"), "ana").await);
        }
        let signal = actix_rt::spawn(drain(pair.a.system.clone()));
        pair.pass(SECOND).await;
        // Sixteen rooms are the second worker's, four have not begun to move.
        let mut told = [0, 0];
        for client in &clients {
            let mut wish = request(client.room.as_str(), "cam");
            wish.kind = SessionKind::Whip;
            let refused = pair.a.try_join(wish).await.err();
            match refused.expect("is refused").kind() {
                ErrorType::Moved => told[0] += 1,
                ErrorType::Draining => told[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, [16, 4]);
        signal.abort();
    });
}

#[test]
fn a_move_that_an_operator_began_is_seen_through_by_a_worker_that_ends() {
    run(async {
        let pair = Pair::new().await;
        let clients = [pair.a.join("r", "ana").await];
        let room = clients[0].room.clone();
        let moving = pair.a.system.move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        // At its very beginning, and not when it is at the second worker.
        let signal = actix_rt::spawn(drain(pair.a.system.clone()));
        pair.pass(3 * SECOND).await;
        assert_eq!(clients[0].inbox.closed(), None);
        assert!(!signal.is_finished());
        one_room_moves(&pair, &clients, signal).await;
    });
}

#[test]
fn a_room_that_comes_in_while_its_worker_drains_goes_on_to_another() {
    run(async {
        let pair = Pair::new().await;
        let ana = pair.a.join("r", "ana").await;
        let room = ana.room.clone();
        let moving = pair.a.system.move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        // The second worker owns it, and nobody is in there yet.
        assert_eq!(pair.b.system.population(), (1, 0));
        let signal = actix_rt::spawn(drain(pair.b.system.clone()));
        pair.pass(SECOND).await;
        let clients = [ana];
        let mut there = Vec::new();
        follow_all(&pair, &clients, &mut there).await;
        pair.pass(3 * SECOND).await;
        all_moved(&clients);
        let told = there[0].inbox.take_only(&["migrate"]);
        assert_eq!(told[0].1["url"], "wss://1/v1/signal");
        let back = follow(&pair.a, &there[0]).await;
        there[0].tell(9, "settled", serde_json::json!({}));
        pair.pass(SECOND).await;
        assert_eq!(signal.await.unwrap(), 1);
        all_moved(&there);
        assert_eq!(back.inbox.closed(), None);
        let owner = pair.owner(&room).await;
        assert_eq!((owner.worker, owner.epoch.0), (Some(WorkerId::new(1)), 3));
        assert!(!pair.moves(&room).await);
    });
}

#[test]
fn a_room_whose_target_dies_in_a_drain_goes_to_the_next() {
    run(async {
        let mut cluster = Cluster::new(3, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        // The second worker hears nothing any more, but its lease runs.
        cluster.at(2).system.stop();
        cluster.pass(SECOND).await;
        let signal = actix_rt::spawn(drain(cluster.at(1).system.clone()));
        cluster.pass(SECOND).await;
        let moving = cluster.at(1).system.moving().await;
        assert_eq!(moving[0].record.to, WorkerId::new(2));
        cluster.members.remove(&2).unwrap().leave().await.unwrap();
        cluster.pass(SECOND).await;
        assert_eq!(ana.inbox.take_only(&["migrate"]).len(), 1);
        let there = follow(cluster.at(3), &ana).await;
        ana.tell(9, "settled", serde_json::json!({}));
        cluster.pass(SECOND).await;
        assert_eq!(signal.await.unwrap(), 1);
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Moved));
        assert_eq!(there.inbox.closed(), None);
    });
}

#[test]
fn with_nowhere_to_go_rooms_close_at_once() {
    run(async {
        let mut pair = Pair::new().await;
        let ana = pair.a.join("r", "ana").await;
        pair.leave(1).await;
        let began = tokio::time::Instant::now();
        assert_eq!(drain(pair.a.system.clone()).await, 0);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Draining));
    });
}

/// A worker that is told to end while the store is away for so long.
async fn drained_without_the_store(away: Duration) {
    let pair = Pair::new().await;
    let clients = [pair.a.join("r", "ana").await];
    pair.store.set_down(true);
    let signal = actix_rt::spawn(drain(pair.a.system.clone()));
    let [ana] = &clients;
    let began = tokio::time::Instant::now();
    while began.elapsed() < away {
        pair.pass_with(&[ana], SECOND).await;
    }
    pair.store.set_down(false);
    pair.pass(2 * SECOND).await;
    one_room_moves(&pair, &clients, signal).await;
}

#[test]
fn a_store_that_is_away_for_a_second_ends_no_room() {
    run(drained_without_the_store(SECOND));
}

#[test]
fn one_that_refuses_at_once_for_nine_seconds_ends_none_either() {
    run(drained_without_the_store(9 * SECOND));
}

#[test]
fn a_worker_without_rooms_waits_for_no_store() {
    run(async {
        let pair = Pair::new().await;
        pair.store.set_down(true);
        let began = tokio::time::Instant::now();
        assert_eq!(drain(pair.a.system.clone()).await, 0);
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}
