//! What operators do at one worker to peers and rooms of others.

use std::time::Duration;

use actors::{GrantChange, PeerChange};
use media_types::{Codec, TrackId};
use serde_json::json;
use signaling::rest::RoomPatch;
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};

use crate::parts::{Cluster, SECOND};
use crate::world::{Client, run};

/// Asks a worker while letters cross.
async fn done<T>(cluster: &Cluster, asked: impl Future<Output = T>) -> T {
    let (answer, ()) = tokio::join!(asked, cluster.pass(2 * SECOND));
    answer
}

/// Ana at the first worker, Bob, who publishes, at the second, Eve at the third.
async fn three() -> (Cluster, [Client; 3]) {
    let cluster = Cluster::new(3, 1).await;
    let (_, ana) = cluster.join(1, "ana").await;
    let (second, bob) = cluster.join(1, "bob").await;
    let (third, eve) = cluster.join(1, "eve").await;
    assert_eq!((second, third), (2, 3));
    bob.offer(1, "send a audio, send v video");
    cluster.pass(SECOND).await;
    cluster.at(2).plane.flow(&bob.identity, Codec::Vp8);
    cluster.pass(SECOND).await;
    for client in [&ana, &bob, &eve] {
        client.inbox.take();
    }
    (cluster, [ana, bob, eve])
}

fn of(client: &Client, methods: &[&str]) -> Vec<serde_json::Value> {
    let all = client.inbox.take_only(methods);
    all.into_iter().map(|(_, params)| params).collect()
}

fn kind(answer: Result<(), RpcError>) -> Result<(), ErrorType> {
    answer.map_err(|error| error.kind())
}

#[test]
fn a_peer_of_another_part_is_muted_renamed_and_sent_away() {
    run(async {
        let (cluster, [ana, bob, eve]) = three().await;
        let system = &cluster.at(3).system;
        let (room, who) = (&ana.room, &bob.identity);
        for muted in [true, false] {
            let answer = done(&cluster, system.mute(room, who, None, muted)).await;
            assert_eq!(kind(answer), Ok(()));
            // The one whom it is about hears of it as the others do.
            for client in [&ana, &bob, &eve] {
                let told = of(client, &["trackMuted"]);
                assert_eq!(told.len(), 2, "both tracks, once");
                assert!(told.iter().all(|it| it["muted"] == muted), "{told:?}");
            }
        }
        let change = PeerChange {
            name: Some("Bob".into()),
            metadata: Some(json!({"seat": 1})),
            grants: GrantChange {
                publish: Some(false),
                ..GrantChange::default()
            },
        };
        let answer = done(&cluster, system.change_peer(room, who, change)).await;
        assert_eq!(kind(answer), Ok(()));
        for client in [&ana, &eve] {
            let told = of(client, &["peerUpdated", "trackUnpublished"]);
            let unpublished = told.iter().filter(|it| it["trackId"].is_string());
            assert_eq!(unpublished.count(), 2);
            let named = told.iter().filter(|it| it["name"] == "Bob");
            let named: Vec<_> = named.map(|it| it["metadata"].clone()).collect();
            assert_eq!(named, [json!({"seat": 1})]);
        }
        let answer = done(&cluster, system.kick(room, who, CloseReason::Kicked)).await;
        assert_eq!(kind(answer), Ok(()));
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Kicked));
        assert_eq!(of(&eve, &["peerLeft"]).len(), 1);
        let again = done(&cluster, system.kick(room, who, CloseReason::Kicked)).await;
        assert_eq!(kind(again), Err(ErrorType::NotFound));
    });
}

#[test]
fn an_operator_hears_that_a_part_does_not_answer() {
    run(async {
        let (cluster, [ana, bob, _eve]) = three().await;
        let system = &cluster.at(3).system;
        let (room, who) = (&ana.room, &bob.identity);
        let began = tokio::time::Instant::now();
        let mute = || system.mute(room, who, None, true);
        // The wish arrives, and its answer does not.
        cluster.cut(|pair| *pair == (2, 3));
        let answer = tokio::join!(mute(), cluster.pass(2 * SECOND)).0;
        assert_eq!(kind(answer), Err(ErrorType::Unavailable));
        assert_eq!(of(&ana, &["trackMuted"]).len(), 2);
        cluster.cut(|pair| *pair == (3, 2));
        let asked = tokio::time::Instant::now();
        assert!(asked - began < 3 * SECOND, "the part still counts");
        assert_eq!(kind(mute().await), Err(ErrorType::Unavailable));
        assert!(asked.elapsed() < Duration::from_millis(10), "known at once");
        let track: TrackId = TrackId::new(7);
        let nobody = "nobody".parse().unwrap();
        let answer = system.mute(room, &nobody, Some(track), true).await;
        assert_eq!(kind(answer), Err(ErrorType::NotFound));
    });
}

#[test]
fn settings_are_the_owners_and_reach_all_parts() {
    run(async {
        let (cluster, [ana, _bob, _eve]) = three().await;
        let metadata = |value: u32| RoomPatch {
            metadata: Some(json!({ "v": value })),
            ..RoomPatch::default()
        };
        let room = &ana.room;
        let seen = async || {
            let mut all = Vec::new();
            for id in [1, 2, 3] {
                let status = cluster.at(id).system.room(room).await.unwrap();
                all.push(status.settings.metadata["v"].clone());
            }
            all
        };
        let refused = cluster.at(2).system.update_room(room, metadata(1)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorType::Moved);
        assert_eq!(refused.data.url.as_deref(), Some("wss://1/v1/signal"));
        assert_eq!(seen().await, [json!(null), json!(null), json!(null)]);
        let owner = &cluster.at(1).system;
        owner.update_room(room, metadata(2)).await.unwrap();
        cluster.pass(Duration::from_millis(50)).await;
        assert_eq!(seen().await, [json!(2), json!(2), json!(2)]);
        // A letter that was lost is said again.
        cluster.lose_letters();
        owner.update_room(room, metadata(3)).await.unwrap();
        cluster.lose_letters();
        assert_eq!(seen().await, [json!(3), json!(2), json!(2)]);
        cluster.pass(6 * SECOND).await;
        assert_eq!(seen().await, [json!(3), json!(3), json!(3)]);
    });
}
