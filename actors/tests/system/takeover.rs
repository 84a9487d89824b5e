//! Those at other parts of a room whose owner moves: what they watch goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use control_plane::MoveReason;
use media_contract::{Action, RelayEnd, RelayPeer};
use media_types::{Codec, ShardId, TrackId, WorkerId};
use serde_json::json;

use crate::moves::follow;
use crate::parts::Cluster;
use crate::world::{Client, run};

const SECOND: Duration = Duration::from_secs(1);

fn shown(cluster: &Cluster, who: &Client) -> BTreeSet<TrackId> {
    let slots = cluster.at(2).plane.slots_of(&who.identity);
    slots.into_values().collect()
}

/// What the second worker was told of relays: `None` where one is closed, else whence it comes.
fn relays(cluster: &Cluster) -> Vec<(TrackId, Option<RelayPeer>)> {
    let log = cluster.at(2).plane.take_log().into_iter();
    let relays = log.filter_map(|(_, action)| match action {
        Action::OpenRelay { track, end } => match end {
            RelayEnd::In { from, .. } => Some((track, Some(from))),
            RelayEnd::Out { .. } => None,
        },
        Action::CloseRelay { track, .. } => Some((track, None)),
        _ => None,
    });
    relays.collect()
}

fn at(worker: u64) -> Option<RelayPeer> {
    Some(RelayPeer::Worker {
        worker: WorkerId::new(worker),
        shard: ShardId(0),
    })
}

#[test]
fn a_track_comes_by_the_old_worker_until_its_publisher_has_settled_and_then_by_the_new() {
    run(async {
        let cluster = Cluster::new(3, 1).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let (place, bob) = cluster.join(1, "bob").await;
        assert_eq!(place, 2);
        let send = "send a0 audio, send v0 video";
        ana.offer(1, send);
        bob.offer(1, "slot a1 audio, slot v1 video");
        cluster.pass(SECOND).await;
        cluster.at(1).plane.flow(&ana.identity, Codec::Vp8);
        cluster.pass(SECOND).await;
        let of_ana = shown(&cluster, &bob);
        assert_eq!(of_ana.len(), 2);
        drop((relays(&cluster), bob.inbox.take()));

        let system = &cluster.at(1).system;
        let to = Some(WorkerId::new(3));
        let moving = system.move_room(&ana.room, to, MoveReason::Operator);
        moving.await.unwrap();
        cluster.pass(SECOND).await;
        let there = follow(cluster.at(3), &ana).await;
        there.offer(1, send);
        cluster.pass(SECOND).await;
        cluster.at(3).plane.flow(&ana.identity, Codec::Vp8);
        cluster.pass_pinged(&[&ana, &bob, &there], 5).await;
        // Both workers have her media now: it comes from the new one once that flows, and from the
        // old one until then.
        let steps_of = |steps: &[(TrackId, Option<RelayPeer>)], track: &TrackId| -> Vec<_> {
            let own = steps.iter().filter(|(id, _)| id == track);
            own.map(|(_, from)| *from)
                .filter(|from| *from != at(1))
                .collect()
        };
        let meanwhile = relays(&cluster);
        for track in &of_ana {
            assert_eq!(steps_of(&meanwhile, track), [at(3)], "{meanwhile:?}");
        }
        assert_eq!(shown(&cluster, &bob), of_ana);

        ana.tell(9, "settled", json!({}));
        cluster.pass_pinged(&[&bob, &there], 3).await;
        let after = relays(&cluster);
        for track in &of_ana {
            assert_eq!(steps_of(&after, track), [None], "{after:?}");
        }
        assert_eq!(shown(&cluster, &bob), of_ana);
        let told = [
            "peerJoined",
            "peerLeft",
            "trackPublished",
            "trackUnpublished",
        ];
        assert_eq!(bob.inbox.take_only(&told), []);
    });
}

#[test]
fn a_room_moves_to_where_a_part_of_it_is() {
    run(async {
        let cluster = Cluster::new(3, 1).await;
        let (_, ana) = cluster.join(1, "ana").await;
        // The second worker has the least load; it goes away while Bob comes.
        cluster.cut(|(one, other)| *one == 2 || *other == 2);
        let (place, _bob) = cluster.join(1, "bob").await;
        assert_eq!(place, 3);
        cluster.link((1, 2));
        cluster.pass(SECOND).await;
        let system = &cluster.at(1).system;
        let moved = system.move_room(&ana.room, None, MoveReason::Operator);
        assert_eq!(moved.await.unwrap().record.to, WorkerId::new(3));
    });
}
