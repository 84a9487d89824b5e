//! A worker that is emptied while it holds a part of another one's room.

use std::collections::BTreeSet;
use std::time::Duration;

use actors::{Fault, System};
use media_contract::{Action, RelayEnd, RelayPeer};
use media_types::{Codec, ShardId, TrackId, WorkerId};
use serde_json::json;
use signaling::view::CloseReason;
use tokio::task::JoinHandle;

use crate::moves::follow;
use crate::parts::{Cluster, SECOND};
use crate::world::{Client, run};

const PUBLISH: &str =
    "send a0 audio, send v0 video, slot a1 audio, slot v1 video, slot a2 audio, slot v2 video";
const NEWS: [&str; 5] = [
    "peerJoined",
    "peerLeft",
    "peerUpdated",
    "trackPublished",
    "trackUnpublished",
];

fn drain(cluster: &Cluster, id: u64) -> JoinHandle<usize> {
    let system: System = cluster.at(id).system.clone();
    actix_rt::spawn(async move {
        let moved = system.drain_by_moving().await;
        system.drain().await;
        moved
    })
}

fn shown(cluster: &Cluster, at: u64, who: &Client) -> BTreeSet<TrackId> {
    let slots = cluster.at(at).plane.slots_of(&who.identity);
    slots.into_values().collect()
}

async fn publish(cluster: &Cluster, at: u64, client: &Client) {
    client.offer(1, PUBLISH);
    cluster.pass(SECOND).await;
    cluster.at(at).plane.flow(&client.identity, Codec::Vp8);
}

/// Ana at the room's owner, Bob and Eve at parts of it; each sees both others.
struct Hall {
    cluster: Cluster,
    ana: Client,
    bob: Client,
    eve: Client,
}

impl Hall {
    async fn new() -> Self {
        let cluster = Cluster::new(3, 1).await;
        let mut clients = Vec::new();
        for (place, name) in [(1, "ana"), (2, "bob"), (3, "eve")] {
            let (at, client) = cluster.join(1, name).await;
            assert_eq!(at, place);
            clients.push(client);
            cluster.pass(SECOND).await;
        }
        for (place, client) in (1..).zip(&clients) {
            publish(&cluster, place, client).await;
        }
        let all: Vec<&Client> = clients.iter().collect();
        cluster.pass_pinged(&all, 2).await;
        for (place, client) in (1..).zip(&clients) {
            assert_eq!(shown(&cluster, place, client).len(), 4);
            client.inbox.take();
            cluster.at(place).plane.take_log();
        }
        let [ana, bob, eve] = clients.try_into().ok().unwrap();
        Self {
            cluster,
            ana,
            bob,
            eve,
        }
    }

    /// Where Bob is told to go.
    fn sent(&self) -> Option<u64> {
        let told = self.bob.inbox.take_only(&["migrate"]);
        let url = told.first()?.1["url"].as_str()?.to_owned();
        Some(self.cluster.id_of(Some(&url)))
    }

    async fn pass(&self, more: &[&Client], seconds: u32) {
        let all = [&[&self.ana, &self.bob, &self.eve], more].concat();
        self.cluster.pass_pinged(&all, seconds).await;
    }

    fn nobody_notices(&self) {
        assert_eq!(self.ana.inbox.take_only(&NEWS), []);
        assert_eq!(self.eve.inbox.take_only(&NEWS), []);
    }

    /// Bob goes there, and settles.
    async fn bob_follows(&self, to: u64) -> Client {
        let there = follow(self.cluster.at(to), &self.bob).await;
        publish(&self.cluster, to, &there).await;
        self.pass(&[&there], 2).await;
        self.bob.tell(9, "settled", json!({}));
        self.pass(&[&there], 2).await;
        there
    }
}

/// Whence a worker was told to have tracks, and what of it to close.
fn relays(cluster: &Cluster, at: u64) -> BTreeSet<(TrackId, bool, RelayPeer)> {
    let log = cluster.at(at).plane.take_log().into_iter();
    let relays = log.filter_map(|(_, action)| match action {
        Action::OpenRelay {
            track,
            end: RelayEnd::In { from, .. },
        } => Some((track, true, from)),
        Action::CloseRelay { track, other } => Some((track, false, other)),
        _ => None,
    });
    relays.collect()
}

fn from(worker: u64) -> RelayPeer {
    RelayPeer::Worker {
        worker: WorkerId::new(worker),
        shard: ShardId(0),
    }
}

#[test]
fn a_part_goes_to_its_owner_and_nobody_notices() {
    run(async {
        let hall = Hall::new().await;
        let (cluster, bob) = (&hall.cluster, &hall.bob);
        let seen = [1, 3].map(|id| {
            let who = if id == 1 { &hall.ana } else { &hall.eve };
            shown(cluster, id, who)
        });
        let of_bob: BTreeSet<TrackId> = seen[0].intersection(&seen[1]).copied().collect();
        assert_eq!(of_bob.len(), 2);
        let drained = drain(cluster, 2);
        hall.pass(&[], 1).await;
        assert_eq!(hall.sent(), Some(1));
        hall.nobody_notices();

        let there = follow(cluster.at(1), bob).await;
        let view = &there.joined.result.room;
        assert_eq!((view.peers.len(), view.tracks.len()), (2, 4));
        hall.pass(&[&there], 1).await;
        there.offer(1, PUBLISH);
        hall.pass(&[&there], 1).await;
        // He publishes at both; until it flows at the first worker the second one's is shown.
        assert_eq!(relays(cluster, 1), BTreeSet::new());
        assert_eq!(relays(cluster, 3), BTreeSet::new());
        cluster.at(1).plane.flow(&there.identity, Codec::Vp8);
        hall.pass(&[&there], 1).await;
        let opened = of_bob.iter().map(|track| (*track, true, from(1)));
        assert_eq!(relays(cluster, 3), opened.collect());
        assert_eq!(shown(cluster, 1, &there).len(), 4);
        assert!(!drained.is_finished());
        bob.tell(9, "settled", json!({}));
        hall.pass(&[&there], 2).await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Moved));
        assert_eq!(drained.await.unwrap(), 1);
        for id in [1, 3] {
            let closed = of_bob.iter().map(|track| (*track, false, from(2)));
            assert_eq!(relays(cluster, id), closed.collect(), "at {id}");
        }

        // Long after: all is as it was, but for where he is.
        hall.pass(&[&there], 40).await;
        hall.nobody_notices();
        assert_eq!(there.inbox.closed(), None);
        let after = [shown(cluster, 1, &hall.ana), shown(cluster, 3, &hall.eve)];
        assert_eq!(after, seen);
        let people = [1, 2, 3].map(|id| cluster.at(id).system.population());
        assert_eq!(people, [(1, 2), (0, 0), (1, 1)]);
        there.session().leave().unwrap();
        hall.pass(&[], 1).await;
        let left = hall.eve.inbox.take_only(&["peerLeft"]);
        assert_eq!(left[0].1, json!({"peerId": "bob", "reason": "left"}));
    });
}

#[test]
fn what_is_said_on_the_way_is_heard_once_by_all() {
    run(async {
        let hall = Hall::new().await;
        let drained = drain(&hall.cluster, 2);
        hall.pass(&[], 1).await;
        let there = follow(hall.cluster.at(1), &hall.bob).await;
        hall.pass(&[&there], 1).await;
        // Who moves speaks and listens where he was (docs/migration.md).
        for (from, to) in [(&hall.ana, &hall.bob), (&hall.eve, &hall.bob)] {
            from.tell(7, "chat", json!({"text": "here"}));
            hall.pass(&[&there], 1).await;
            assert_eq!(to.inbox.take_only(&["chat"]).len(), 1);
        }
        for other in [&hall.ana, &hall.eve] {
            other.inbox.take();
        }
        hall.bob.tell(8, "chat", json!({"text": "me, too"}));
        hall.pass(&[&there], 1).await;
        for other in [&hall.ana, &hall.eve] {
            assert_eq!(other.inbox.take_only(&["chat"]).len(), 1);
        }
        hall.bob.tell(9, "settled", json!({}));
        hall.pass(&[&there], 2).await;
        assert_eq!(drained.await.unwrap(), 1);
    });
}

#[test]
fn where_the_one_that_takes_them_dies_they_go_to_the_next() {
    run(async {
        let mut hall = Hall::new().await;
        // The owner does not hear of it in time: the other part is asked.
        hall.cluster.cut(|pair| *pair == (2, 1) || *pair == (1, 2));
        hall.pass(&[], 1).await;
        let drained = drain(&hall.cluster, 2);
        hall.pass(&[], 2).await;
        assert_eq!(hall.sent(), Some(3));
        hall.cluster.link((1, 2));
        hall.cluster.kill(3).await;
        hall.pass(&[], 6).await;
        assert_eq!(hall.sent(), Some(1));
        let there = hall.bob_follows(1).await;
        assert_eq!(drained.await.unwrap(), 1);
        assert_eq!(hall.bob.inbox.closed(), Some(CloseReason::Moved));
        let news = hall.ana.inbox.take_only(&["peerJoined", "peerLeft"]);
        assert_eq!(news.len(), 1, "{news:?}");
        assert_eq!(news[0].1, json!({"peerId": "eve", "reason": "timeout"}));
        assert_eq!(shown(&hall.cluster, 1, &there).len(), 2);
    });
}

#[test]
fn two_workers_that_are_emptied_at_once_send_all_to_the_third() {
    run(async {
        let hall = Hall::new().await;
        let cluster = &hall.cluster;
        let both = [drain(cluster, 2), drain(cluster, 3)];
        let mut there: Vec<(u64, Client)> = Vec::new();
        for _ in 0..20 {
            let names: Vec<&Client> = there.iter().map(|(_, client)| client).collect();
            hall.pass(&names, 1).await;
            for client in [&hall.bob, &hall.eve] {
                for (_, told) in client.inbox.take_only(&["migrate"]) {
                    let to = cluster.id_of(told["url"].as_str());
                    there.push((to, follow(cluster.at(to), client).await));
                    client.tell(9, "settled", json!({}));
                }
            }
        }
        assert_eq!(there.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 1]);
        for drained in both {
            assert_eq!(drained.await.unwrap(), 1);
        }
        assert_eq!(cluster.at(1).system.population(), (1, 3));
        let news = hall.ana.inbox.take_only(&["peerJoined", "peerLeft"]);
        assert_eq!(news, []);
    });
}

#[test]
fn who_settles_before_anything_of_him_flows_is_awaited() {
    run(async {
        let hall = Hall::new().await;
        let cluster = &hall.cluster;
        let seen = shown(cluster, 3, &hall.eve);
        let drained = drain(cluster, 2);
        hall.pass(&[], 1).await;
        assert_eq!(hall.sent(), Some(1));
        let there = follow(cluster.at(1), &hall.bob).await;
        there.offer(1, PUBLISH);
        hall.pass(&[&there], 1).await;
        hall.bob.tell(9, "settled", json!({}));
        hall.pass(&[&there], 2).await;
        assert_eq!(drained.await.unwrap(), 1);
        let tracks: BTreeSet<_> = relays(cluster, 3).into_iter().collect();
        cluster.at(1).plane.flow(&there.identity, Codec::Vp8);
        hall.pass(&[&there], 2).await;
        hall.nobody_notices();
        assert_eq!(shown(cluster, 3, &hall.eve), seen);
        // Asked for at the first worker before it was closed at the second.
        let froms = |opens| tracks.iter().filter(move |(_, open, _)| *open == opens);
        assert!(
            froms(true).all(|(.., whence)| *whence == from(1)),
            "{tracks:?}"
        );
        assert_eq!((froms(true).count(), froms(false).count()), (2, 2));
    });
}

#[test]
fn a_part_goes_while_the_store_is_away() {
    run(async {
        let hall = Hall::new().await;
        hall.cluster.store.set_down(true);
        let drained = drain(&hall.cluster, 2);
        hall.pass(&[], 5).await;
        assert_eq!(hall.sent(), Some(1));
        let _there = hall.bob_follows(1).await;
        assert_eq!(drained.await.unwrap(), 1);
        assert_eq!(hall.bob.inbox.closed(), Some(CloseReason::Moved));
        hall.nobody_notices();
    });
}

#[test]
fn who_does_not_follow_has_left_and_who_leaves_on_the_way_too() {
    run(async {
        let hall = Hall::new().await;
        let drained = drain(&hall.cluster, 2);
        hall.pass(&[], 1).await;
        assert_eq!(hall.sent(), Some(1));
        hall.bob.session().leave().unwrap();
        hall.pass(&[], 2).await;
        for other in [&hall.ana, &hall.eve] {
            let left = other.inbox.take_only(&["peerLeft"]);
            assert_eq!(left.len(), 1);
            assert_eq!(left[0].1, json!({"peerId": "bob", "reason": "left"}));
        }
        assert_eq!(drained.await.unwrap(), 1);

        // Eve stays to the end.
        let drained = drain(&hall.cluster, 3);
        hall.pass(&[], 29).await;
        assert!(!drained.is_finished());
        hall.pass(&[], 5).await;
        assert_eq!(drained.await.unwrap(), 1);
        assert_eq!(hall.eve.inbox.closed(), Some(CloseReason::Moved));
        let left = hall.ana.inbox.take_only(&["peerLeft"]);
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].1, json!({"peerId": "eve", "reason": "moved"}));
        assert_eq!(shown(&hall.cluster, 1, &hall.ana).len(), 0);
    });
}

#[test]
fn a_letter_that_is_lost_and_a_room_that_crashes_hold_nobody_up() {
    run(async {
        let hall = Hall::new().await;
        let cluster = &hall.cluster;
        let drained = drain(cluster, 2);
        // The question, or the answer to it.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            cluster.lose_letters();
        }
        hall.pass(&[], 5).await;
        assert_eq!(hall.sent(), Some(1));
        let room = hall.ana.room.clone();
        for id in [1, 2] {
            let system = &cluster.at(id).system;
            system.inject(&room, Fault::Room).await.unwrap();
            hall.pass(&[], 1).await;
        }
        let there = hall.bob_follows(1).await;
        assert_eq!(drained.await.unwrap(), 1);
        assert_eq!(hall.bob.inbox.closed(), Some(CloseReason::Moved));
        let news = ["peerJoined", "peerLeft"];
        assert_eq!(hall.ana.inbox.take_only(&news), []);
        assert_eq!(hall.eve.inbox.take_only(&news), []);
        assert_eq!(shown(cluster, 1, &there).len(), 4);
        assert_eq!(shown(cluster, 3, &hall.eve).len(), 4);
    });
}
