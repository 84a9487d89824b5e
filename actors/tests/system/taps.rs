//! Media that is taken out of a room at one worker while it is published at another.

use std::collections::BTreeSet;

use actors::{EgressPurpose, EgressRequest, EgressSession, EgressTap};
use control_plane::MoveReason;
use media_contract::{Action, RelayPeer, TapWish};
use media_types::{Codec, ShardId, TrackId, WorkerId};
use serde_json::json;
use signaling::ErrorType;
use signaling::view::CloseReason;

use crate::moves::follow;
use crate::parts::{Cluster, SECOND};
use crate::world::{Client, run};

const SEND: &str = "send a0 audio, send v0 video";

async fn open(cluster: &Cluster, at: u64, stream: Option<&str>) -> EgressSession {
    let request = EgressRequest {
        room: "hall".parse().unwrap(),
        stream: stream.map(|stream| stream.parse().unwrap()),
        wish: TapWish::default(),
        purpose: EgressPurpose::Recorder,
    };
    let opened = cluster.at(at).system.open_egress(request).await.unwrap();
    cluster.pass(SECOND).await;
    opened
}

async fn publish(cluster: &Cluster, at: u64, client: &Client) {
    client.offer(1, SEND);
    cluster.pass(SECOND).await;
    cluster.at(at).plane.flow(&client.identity, Codec::Vp8);
    cluster.pass(SECOND).await;
}

fn taps(egress: &EgressSession) -> Vec<EgressTap> {
    egress.view().borrow().taps.clone()
}

fn from(worker: u64) -> Option<RelayPeer> {
    Some(RelayPeer::Worker {
        worker: WorkerId::new(worker),
        shard: ShardId(0),
    })
}

/// Whose tracks are tapped, and where they come from.
fn sources(egress: &EgressSession) -> Vec<(String, Option<RelayPeer>)> {
    let taps = taps(egress).into_iter();
    taps.map(|tap| (tap.publisher.to_string(), tap.far))
        .collect()
}

/// The tracks whose relays and taps a worker's shard was told to open, one after the other.
fn opened(cluster: &Cluster, at: u64) -> Vec<(TrackId, bool)> {
    let log = cluster.at(at).plane.take_log().into_iter();
    let opened = log.filter_map(|(_, action)| match action {
        Action::OpenRelay { track, .. } => Some((track, false)),
        Action::OpenTap { track, .. } => Some((track, true)),
        _ => None,
    });
    opened.collect()
}

#[test]
fn what_is_published_at_any_part_can_be_taken_out_at_each() {
    run(async {
        let cluster = Cluster::new(2, 1).await;
        let (first, ana) = cluster.join(1, "ana").await;
        let (second, bob) = cluster.join(1, "bob").await;
        assert_eq!((first, second), (1, 2));
        cluster.pass(SECOND).await;
        publish(&cluster, 1, &ana).await;
        cluster.at(2).plane.take_log();
        let all = open(&cluster, 2, None).await;
        let of_ana = open(&cluster, 2, Some("ana")).await;
        let anas = [("ana".to_owned(), from(1)), ("ana".to_owned(), from(1))];
        assert_eq!(sources(&all), anas);
        assert_eq!(sources(&of_ana), anas);
        publish(&cluster, 2, &bob).await;
        let bobs = [("bob".to_owned(), None), ("bob".to_owned(), None)];
        assert_eq!(sources(&all), [anas.clone(), bobs].concat());
        assert_eq!(sources(&of_ana), anas);
        // A relay is there before what it carries is tapped.
        let known: BTreeSet<TrackId> = taps(&of_ana).iter().map(|tap| tap.track).collect();
        publish(&cluster, 1, &ana).await;
        drop(opened(&cluster, 2));
        let late = open(&cluster, 1, Some("bob")).await;
        let steps = opened(&cluster, 1);
        let tapped = |(track, tap): &&(TrackId, bool)| *tap && !known.contains(track);
        assert_eq!(steps.iter().filter(tapped).count(), 2);
        let afar = [("bob".to_owned(), from(2)), ("bob".to_owned(), from(2))];
        assert_eq!(sources(&late), afar);
        // It ends with the last who is in, wherever that is.
        ana.session().leave().unwrap();
        cluster.pass_pinged(&[&bob], 2).await;
        assert_eq!(sources(&of_ana), []);
        assert!(!of_ana.view().borrow().ended);
        let room = "hall".parse().unwrap();
        cluster.at(1).system.close_room(&room).await.unwrap();
        cluster.pass(SECOND).await;
        for egress in [&all, &of_ana, &late] {
            assert!(egress.view().borrow().ended);
        }
    });
}

#[test]
fn a_room_that_moves_is_recorded_on_where_it_was() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        publish(&cluster, 1, &ana).await;
        let egress = open(&cluster, 1, None).await;
        let before: BTreeSet<TrackId> = taps(&egress).iter().map(|tap| tap.track).collect();
        assert_eq!(before.len(), 2);
        let room = ana.room.clone();
        let mut here = ana;
        // There, back, and there again.
        for (at, to) in [(1, 2), (2, 1), (1, 2)] {
            let system = &cluster.at(at).system;
            let moving = system.move_room(&room, None, MoveReason::Operator);
            moving.await.unwrap();
            cluster.pass(SECOND).await;
            let there = follow(cluster.at(to), &here).await;
            there.offer(1, SEND);
            cluster.pass(SECOND).await;
            cluster.at(to).plane.flow(&there.identity, Codec::Vp8);
            cluster.pass_pinged(&[&here, &there], 2).await;
            here.tell(9, "settled", json!({}));
            cluster.pass_pinged(&[&there], 3).await;
            assert_eq!(here.inbox.closed(), Some(CloseReason::Moved), "to {to}");
            let whence = from(2).filter(|_| to == 2);
            let ana = ("ana".to_owned(), whence);
            assert_eq!(sources(&egress), [ana.clone(), ana], "at {to}");
            let after: BTreeSet<TrackId> = taps(&egress).iter().map(|tap| tap.track).collect();
            assert_eq!(after, before);
            here = there;
        }
        // Long after; nobody is let in there, and it goes when nobody records any more.
        cluster.pass_pinged(&[&here], 40).await;
        assert_eq!(cluster.at(1).system.population(), (1, 0));
        let (at, bob) = cluster.join(1, "bob").await;
        assert_eq!(at, 2);
        assert!(!egress.view().borrow().ended);
        drop(egress);
        cluster.pass_pinged(&[&here, &bob], 2).await;
        assert_eq!(cluster.at(1).system.population(), (0, 0));
        assert_eq!(cluster.at(2).system.population(), (1, 2));
    });
}

#[test]
fn without_a_way_to_the_next_worker_nothing_is_held_back() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        cluster.cut(|_| true);
        let (_, ana) = cluster.join(1, "ana").await;
        publish(&cluster, 1, &ana).await;
        let egress = open(&cluster, 1, None).await;
        let system = &cluster.at(1).system;
        let moving = system.move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        cluster.pass(SECOND).await;
        let there = follow(cluster.at(2), &ana).await;
        cluster.pass(SECOND).await;
        ana.tell(9, "settled", json!({}));
        cluster.pass_pinged(&[&there], 3).await;
        assert!(egress.view().borrow().ended);
        assert_eq!(cluster.at(1).system.population(), (0, 0));
    });
}

#[test]
fn a_part_that_is_only_recorded_ends_with_its_room() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        publish(&cluster, 1, &ana).await;
        let egress = open(&cluster, 1, Some("ana")).await;
        let room = ana.room.clone();
        let system = &cluster.at(1).system;
        let moving = system.move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        cluster.pass(SECOND).await;
        // Who is on the way can be asked for at the next worker already.
        let early = open(&cluster, 2, Some("ana")).await;
        assert_eq!(sources(&early), []);
        let there = follow(cluster.at(2), &ana).await;
        cluster.pass(SECOND).await;
        ana.tell(9, "settled", json!({}));
        cluster.pass_pinged(&[&there], 3).await;
        assert_eq!(cluster.at(1).system.population(), (1, 0));
        assert_eq!(sources(&egress), [], "she publishes nothing there");
        there.session().leave().unwrap();
        cluster.pass(40 * SECOND).await;
        assert!(egress.view().borrow().ended && early.view().borrow().ended);
        assert_eq!(cluster.at(1).system.population(), (0, 0));
        let request = EgressRequest {
            room,
            stream: None,
            wish: TapWish::default(),
            purpose: EgressPurpose::Play,
        };
        let gone = cluster.at(1).system.open_egress(request).await;
        assert_eq!(gone.unwrap_err().kind(), ErrorType::NotFound);
    });
}
