//! The limits of a room that several workers have a part of.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actors::ActorsConfig;
use signaling::ErrorType;
use signaling::rest::RoomPatch;
use signaling::server_message::Reply;

use crate::parts::{Cluster, SECOND};
use crate::world::{Client, config, request, run};

/// A room for so many, of whom so many publish, that takes four a worker.
async fn cluster(workers: u64, max_peers: u32, max_publishers: u32) -> Cluster {
    let mut settings = ActorsConfig {
        room_peers_per_worker: 4,
        ..config()
    };
    settings.room_defaults.max_peers = max_peers;
    settings.room_defaults.max_publishers = max_publishers;
    Cluster::with(workers, settings).await
}

/// All of them, beside each other.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let begun = |future| -> (Pin<Box<F>>, Option<F::Output>) { (Box::pin(future), None) };
    let mut open: Vec<_> = futures.map(begun).collect();
    poll_fn(|cx| {
        for (future, output) in open.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        match open.iter().all(|(_, output)| output.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    open.into_iter().filter_map(|(_, output)| output).collect()
}

/// Comes as a client does that goes where it is sent, beginning at some worker.
async fn come(cluster: &Cluster, first: u64, name: &str) -> Result<(u64, Client), ErrorType> {
    let mut at = first;
    for _ in 0..50 {
        let error = match cluster.at(at).try_join(request("hall", name)).await {
            Ok(client) => return Ok((at, client)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorType::Moved => at = cluster.id_of(error.data.url.as_deref()),
            ErrorType::Unavailable => tokio::time::sleep(Duration::from_millis(200)).await,
            kind => return Err(kind),
        }
    }
    panic!("{name} gets nowhere");
}

/// Many at once, while letters cross; those who are in.
async fn storm(cluster: &Cluster, names: &str, many: u64) -> Vec<(u64, Client)> {
    let workers = u64::try_from(cluster.worlds.len()).unwrap();
    let names: Vec<String> = (0..many).map(|n| format!("{names}{n}")).collect();
    let all = names
        .iter()
        .zip(0_u64..)
        .map(|(name, n)| come(cluster, 1 + n % workers, name));
    let (ends, ()) = tokio::join!(join_all(all), cluster.pass(6 * SECOND));
    let is_in = |end: Result<_, ErrorType>| match end {
        Ok(found) => Some(found),
        Err(kind) => {
            assert!(
                matches!(kind, ErrorType::RoomFull | ErrorType::Overloaded),
                "{kind:?}"
            );
            None
        }
    };
    ends.into_iter().filter_map(is_in).collect()
}

fn population(cluster: &Cluster) -> usize {
    let worlds = cluster.worlds.values();
    worlds.map(|world| world.system.population().1).sum()
}

#[test]
fn a_storm_into_all_parts_fills_the_room_and_no_more() {
    run(async {
        let cluster = cluster(3, 10, 50).await;
        let members = storm(&cluster, "p", 40).await;
        assert_eq!((members.len(), population(&cluster)), (10, 10));
        let mut at: Vec<u64> = members.iter().map(|(at, _)| *at).collect();
        at.sort_unstable();
        at.dedup();
        assert_eq!(at, [1, 2, 3], "they are at all parts");
        // Whose place is free again is taken by one, wherever he comes.
        for (_, member) in members.iter().take(3) {
            member.session().leave().unwrap();
        }
        cluster.pass(SECOND).await;
        let more = storm(&cluster, "q", 20).await;
        assert_eq!((more.len(), population(&cluster)), (3, 10));
    });
}

#[test]
fn publishers_of_all_parts_are_as_many_as_may_be() {
    run(async {
        let cluster = cluster(3, 100, 5).await;
        let members = storm(&cluster, "p", 12).await;
        assert_eq!(members.len(), 12);
        for (_, member) in &members {
            member.offer(1, "send a audio");
        }
        cluster.pass(3 * SECOND).await;
        let granted = |client: &Client| match client.inbox.answer(1) {
            Some(Ok(Reply::Offer(_))) => true,
            Some(Err(error)) => {
                assert_eq!(error.kind(), ErrorType::RoomFull);
                false
            }
            other => panic!("{other:?}"),
        };
        let many = members.iter().filter(|(_, it)| granted(it)).count();
        assert_eq!(many, 5);
        let of = members.iter().find(|(_, it)| granted(it)).unwrap();
        of.1.session().leave().unwrap();
        cluster.pass(SECOND).await;
        let again: Vec<_> = members.iter().filter(|(_, it)| !granted(it)).collect();
        for (_, member) in &again {
            member.inbox.take();
            member.offer(1, "send a audio");
        }
        cluster.pass(3 * SECOND).await;
        assert_eq!(again.iter().filter(|(_, it)| granted(it)).count(), 1);
    });
}

#[test]
fn a_limit_that_is_changed_holds_at_all_parts() {
    run(async {
        let cluster = cluster(2, 6, 50).await;
        assert_eq!(storm(&cluster, "p", 12).await.len(), 6);
        let room = "hall".parse().unwrap();
        let patch = RoomPatch {
            max_peers: Some(8),
            ..RoomPatch::default()
        };
        cluster
            .at(1)
            .system
            .update_room(&room, patch)
            .await
            .unwrap();
        cluster.pass(SECOND).await;
        assert_eq!(storm(&cluster, "q", 12).await.len(), 2);
        assert_eq!(population(&cluster), 8);
    });
}

#[test]
fn the_next_owner_knows_what_all_parts_hold() {
    run(async {
        let mut cluster = cluster(3, 10, 50).await;
        let members = storm(&cluster, "p", 40).await;
        let here = |at: u64| members.iter().filter(|(it, _)| *it == at).count();
        let left = 10 - here(1);
        cluster.kill(1).await;
        // The room has another owner once its last one has been silent for so long.
        let clients: Vec<&Client> = members.iter().map(|(_, it)| it).collect();
        cluster.pass_pinged(&clients, 10).await;
        assert_eq!(population(&cluster), left);
        let free = 10 - left;
        let places = (8 - left).min(free);
        let more = storm_at(&cluster, [2, 3], 20).await;
        assert_eq!(more, places, "each worker takes four");
    });
}

/// Twenty at once at the workers that are left; how many are in.
async fn storm_at(cluster: &Cluster, at: [u64; 2], many: usize) -> usize {
    let names: Vec<String> = (0..many).map(|n| format!("r{n}")).collect();
    let all = names.iter().zip(at.into_iter().cycle());
    let all = all.map(|(name, at)| come(cluster, at, name));
    let (ends, ()) = tokio::join!(join_all(all), cluster.pass(6 * SECOND));
    ends.into_iter().filter(Result::is_ok).count()
}
