//! A store that is away for minutes, of the clock on the wall.

use std::time::Duration;

use control_plane::MoveReason;
use media_types::WorkerId;
use serde_json::json;
use signaling::ErrorType;

use crate::moves::{Pair, follow};
use crate::world::{Client, request, run};

const SECOND: Duration = Duration::from_secs(1);

/// All that is told of others and of the session itself.
fn news(client: &Client) -> Vec<(String, serde_json::Value)> {
    let mut all = client.inbox.take();
    all.retain(|(method, _)| method != "quality");
    all
}

/// A call goes on for so long without the store, takes who comes, and moves when it is back.
async fn away_for(time: Duration) {
    let pair = Pair::new().await;
    let (ana, bob) = (pair.a.join("r", "ana").await, pair.a.join("r", "bob").await);
    pair.pass_with(&[&ana, &bob], 3 * SECOND).await;
    drop((news(&ana), news(&bob)));

    pair.store.set_down(true);
    let began = tokio::time::Instant::now();
    while began.elapsed() < time {
        pair.pass_with(&[&ana, &bob], 3 * SECOND).await;
        for world in [&pair.a, &pair.b] {
            let refused = world.try_join(request("new", "eve")).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorType::Unavailable);
        }
        let moved = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Operator);
        assert_eq!(moved.await.err().unwrap().kind(), ErrorType::Unavailable);
    }
    assert_eq!((news(&ana), news(&bob)), (Vec::new(), Vec::new()));
    let eve = pair.a.join("r", "eve").await;
    assert_eq!(eve.joined.result.room.peers.len(), 2);
    let bob = pair.a.resume(&bob).await.unwrap();
    assert!(bob.joined.result.resumed);
    assert_eq!(pair.a.system.population(), (1, 3));

    pair.store.set_down(false);
    let all = [&ana, &bob, &eve];
    pair.pass_with(&all, 3 * SECOND).await;
    assert!(pair.b.try_join(request("new", "eve")).await.is_ok());
    let moving = pair
        .a
        .system
        .move_room(&ana.room, None, MoveReason::Operator);
    moving.await.unwrap();
    pair.pass_with(&all, 2 * SECOND).await;
    for client in all {
        follow(&pair.b, client).await;
        client.tell(9, "settled", json!({}));
    }
    pair.pass_with(&[], 2 * SECOND).await;
    let owner = pair.owner(&ana.room).await;
    assert_eq!((owner.worker, owner.epoch.0), (Some(WorkerId::new(2)), 2));
    assert_eq!(pair.b.system.population(), (2, 4));
}

#[test]
fn a_minute_without_the_store_is_noticed_by_new_rooms_alone() {
    run(away_for(60 * SECOND));
}

#[test]
fn ten_minutes_are_no_more_than_one() {
    run(away_for(600 * SECOND));
}
