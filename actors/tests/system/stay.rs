//! Those who cannot follow a room that moves: their media goes on from its last worker.

use std::collections::BTreeSet;
use std::time::Duration;

use actors::{Credentials, Fault, ResumeClaims, SessionKind};
use control_plane::MoveReason;
use media_contract::Fact;
use media_types::{Codec, TrackId};
use serde_json::json;
use signaling::client_message::OfferParams;
use signaling::view::CloseReason;

use crate::parts::Cluster;
use crate::world::{Client, World, grants, request, run};

const PUBLISH: &str = "send a0 audio, send v0 video, slot a1 audio, slot v1 video";
const SECOND: Duration = Duration::from_secs(1);

async fn session(cluster: &Cluster, kind: SessionKind, name: &str, sdp: &str) -> Client {
    let mut wish = request("hall", name);
    wish.kind = kind;
    let client = cluster.at(1).try_join(wish).await.unwrap();
    let params = OfferParams {
        sdp: sdp.to_owned(),
        ..OfferParams::default()
    };
    let offer = client.session().offer(params);
    let (answer, ()) = tokio::join!(offer, cluster.pass(SECOND));
    assert!(answer.is_ok());
    let plane = &cluster.at(1).plane;
    plane.flow(&client.identity, Codec::Vp8);
    plane.happen(&client.identity, Fact::TransportConnected);
    cluster.pass(SECOND).await;
    client
}

async fn follow(to: &World, client: &Client) -> Client {
    let mut wish = request(client.room.as_str(), client.identity.as_str());
    wish.credentials = Credentials::Resume(Box::new(ResumeClaims {
        room: client.room.clone(),
        identity: client.identity.clone(),
        session: client.joined.result.session_id,
        grants: grants(),
    }));
    to.try_join(wish).await.unwrap()
}

fn shown(cluster: &Cluster, at: u64, who: &Client) -> BTreeSet<TrackId> {
    let slots = cluster.at(at).plane.slots_of(&who.identity);
    slots.into_values().collect()
}

#[test]
fn who_publishes_or_watches_without_signalling_stays_and_the_room_goes_on_with_them() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let send = "send a audio, send v video";
        let cam = session(&cluster, SessionKind::Whip, "cam", send).await;
        let whep = SessionKind::Whep {
            peer: Some("ana".parse().unwrap()),
            track: None,
        };
        let slots = "slot a1 audio, slot v1 video";
        let tv = session(&cluster, whep, "tv", slots).await;
        ana.offer(1, PUBLISH);
        cluster.pass(SECOND).await;
        cluster.at(1).plane.flow(&ana.identity, Codec::Vp8);
        cluster.pass(SECOND).await;
        let of_cam = shown(&cluster, 1, &ana);
        let of_ana = shown(&cluster, 1, &tv);
        assert_eq!((of_cam.len(), of_ana.len()), (2, 2));

        let room = ana.room.clone();
        let moving = cluster
            .at(1)
            .system
            .move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        cluster.pass(SECOND).await;
        let there = follow(cluster.at(2), &ana).await;
        let view = &there.joined.result.room;
        let tracks: BTreeSet<TrackId> = view.tracks.iter().map(|it| it.track_id).collect();
        assert_eq!(tracks, of_cam, "who stays is there, with the same tracks");
        there.offer(1, PUBLISH);
        cluster.pass(SECOND).await;
        cluster.at(2).plane.flow(&ana.identity, Codec::Vp8);
        cluster.pass(SECOND).await;
        assert_eq!(shown(&cluster, 2, &there), of_cam);
        there.inbox.take();
        ana.tell(9, "settled", json!({}));
        cluster.pass(2 * SECOND).await;
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Moved));

        // Long after the move: both who stayed are there, and see what they saw.
        cluster.pass_pinged(&[&there], 40).await;
        assert!(!cam.session().is_over() && !tv.session().is_over());
        assert_eq!(cluster.at(1).system.population(), (1, 2));
        assert_eq!(shown(&cluster, 1, &tv), of_ana);
        assert_eq!(shown(&cluster, 2, &there), of_cam);
        let told = ["peerJoined", "peerLeft", "trackUnpublished"];
        assert_eq!(there.inbox.take_only(&told), []);
        let epochs = [1, 2].map(|id| cluster.at(id).system.room(&room));
        for epoch in epochs {
            assert_eq!(epoch.await.unwrap().epoch, 2);
        }

        they_go(&cluster, &there, cam, tv).await;
    });
}

/// The old worker has nothing of the room any more, and sends on who comes again.
async fn they_go(cluster: &Cluster, there: &Client, cam: Client, tv: Client) {
    cam.session().leave().unwrap();
    tv.session().leave().unwrap();
    cluster.pass_pinged(&[there], 2).await;
    let left = there.inbox.take_only(&["peerLeft"]);
    assert_eq!(left[0].1, json!({"peerId": "cam", "reason": "left"}));
    assert_eq!(cluster.at(1).system.population(), (0, 0));
    let mut wish = request("hall", "cam");
    wish.kind = SessionKind::Whip;
    let again = cluster.at(1).try_join(wish).await.err().unwrap();
    assert_eq!(again.data.url.as_deref(), Some("wss://2/v1/signal"));
}

#[test]
fn a_room_comes_back_to_where_somebody_has_stayed() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let send = "send a audio, send v video";
        let cam = session(&cluster, SessionKind::Whip, "cam", send).await;
        let room = ana.room.clone();
        let mut here = ana;
        for (from, to) in [(1, 2), (2, 1), (1, 2)] {
            let system = &cluster.at(from).system;
            let moving = system.move_room(&room, None, MoveReason::Operator);
            moving.await.unwrap();
            cluster.pass(SECOND).await;
            let there = follow(cluster.at(to), &here).await;
            cluster.pass(SECOND).await;
            here.tell(9, "settled", json!({}));
            cluster.pass_pinged(&[&there], 2).await;
            assert_eq!(here.inbox.closed(), Some(CloseReason::Moved), "to {to}");
            here = there;
        }
        assert!(!cam.session().is_over());
        assert_eq!(cluster.at(2).system.room(&room).await.unwrap().epoch, 4);
    });
}

#[test]
fn who_has_stayed_outlives_a_crash_of_the_room() {
    run(async {
        let cluster = Cluster::new(2, 0).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let send = "send a audio, send v video";
        let cam = session(&cluster, SessionKind::Whip, "cam", send).await;
        let system = &cluster.at(1).system;
        let moving = system.move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        cluster.pass(SECOND).await;
        let there = follow(cluster.at(2), &ana).await;
        cluster.pass(SECOND).await;
        ana.tell(9, "settled", json!({}));
        cluster.pass_pinged(&[&there], 2).await;
        assert_eq!(cluster.at(1).system.population(), (1, 1));
        let crash = system.inject(&ana.room, Fault::Room);
        crash.await.unwrap();
        cluster.pass_pinged(&[&there], 20).await;
        assert!(!cam.session().is_over());
        assert_eq!(cluster.at(1).system.population(), (1, 1));
        assert_eq!(there.inbox.take_only(&["peerJoined", "peerLeft"]), []);
    });
}
