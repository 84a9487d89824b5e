//! Where a room opens that nobody has, at a worker that is full or being emptied.

use control_plane::{RoomOwner, Store, WorkerRecord, keys};
use media_types::RoomName;
use signaling::ErrorType;
use signaling::rest::RoomSettings;

use crate::parts::{Cluster, SECOND};
use crate::world::{config, request, run};

/// Changes what a worker says of itself, and lets the others see it.
async fn says(cluster: &mut Cluster, id: u64, change: impl FnOnce(&mut WorkerRecord)) {
    let member = cluster.members.get_mut(&id).unwrap();
    member.update(change).await.unwrap();
    cluster.pass(3 * SECOND).await;
}

async fn is_full(cluster: &mut Cluster, id: u64, full: bool) {
    let load = if full { 900 } else { 100 };
    says(cluster, id, |record| record.load_permille = load).await;
}

/// What somebody is told who asks a worker for a room.
async fn asked(cluster: &Cluster, at: u64, room: &str) -> Result<(), (ErrorType, Option<String>)> {
    let joined = cluster.at(at).try_join(request(room, "eve")).await;
    match joined {
        Ok(_) => Ok(()),
        Err(error) => Err((error.kind(), error.data.url)),
    }
}

fn sent_to(id: u64) -> Result<(), (ErrorType, Option<String>)> {
    Err((ErrorType::Moved, Some(format!("wss://{id}/v1/signal"))))
}

async fn owner(cluster: &Cluster, room: &str) -> Option<u64> {
    let key = keys::room_owner(&room.parse::<RoomName>().unwrap());
    let entry = cluster.store.get(&key).await.unwrap()?;
    let record: RoomOwner = control_plane::Record::decode(&key, &entry.value).unwrap();
    record.worker.map(media_types::WorkerId::get)
}

#[test]
fn a_full_worker_sends_new_rooms_on_and_keeps_those_that_it_has() {
    run(async {
        let mut cluster = Cluster::with(3, config()).await;
        let _ana = cluster.at(1).join("here", "ana").await;
        let _bob = cluster.at(3).join("there", "bob").await;
        is_full(&mut cluster, 1, true).await;
        // The second has the least to do of the others.
        assert_eq!(asked(&cluster, 1, "new").await, sent_to(2));
        assert_eq!(owner(&cluster, "new").await, None);
        assert_eq!(asked(&cluster, 1, "here").await, Ok(()));
        assert_eq!(asked(&cluster, 1, "there").await, sent_to(3));
        assert_eq!(asked(&cluster, 2, "new").await, Ok(()));
        assert_eq!(owner(&cluster, "new").await, Some(2));
        // Whoever is full is sent nothing; where all are, rooms open where they are asked for.
        is_full(&mut cluster, 2, true).await;
        assert_eq!(asked(&cluster, 1, "other").await, sent_to(3));
        is_full(&mut cluster, 3, true).await;
        assert_eq!(asked(&cluster, 1, "other").await, Ok(()));
        assert_eq!(owner(&cluster, "other").await, Some(1));
    });
}

#[test]
fn an_operator_opens_a_room_where_he_asks_for_it() {
    run(async {
        let mut cluster = Cluster::with(2, config()).await;
        is_full(&mut cluster, 1, true).await;
        let name: RoomName = "lobby".parse().unwrap();
        let system = &cluster.at(1).system;
        system
            .open_room(&name, RoomSettings::default())
            .await
            .unwrap();
        assert_eq!(owner(&cluster, "lobby").await, Some(1));
    });
}

#[test]
fn a_worker_that_is_emptied_sends_new_rooms_on() {
    run(async {
        let mut cluster = Cluster::with(2, config()).await;
        let _bob = cluster.at(2).join("there", "bob").await;
        assert_eq!(cluster.at(1).system.drain_by_moving().await, 0);
        assert_eq!(asked(&cluster, 1, "new").await, sent_to(2));
        assert_eq!(asked(&cluster, 1, "there").await, sent_to(2));
        assert_eq!(owner(&cluster, "new").await, None);
        // Where nobody takes any, that is what is said, as without others.
        says(&mut cluster, 2, |record| record.draining = true).await;
        assert_eq!(
            asked(&cluster, 1, "new").await,
            Err((ErrorType::Draining, None))
        );
    });
}

#[test]
fn without_the_store_the_answers_are_those_of_before() {
    run(async {
        let mut cluster = Cluster::with(2, config()).await;
        is_full(&mut cluster, 1, true).await;
        cluster.store.set_down(true);
        assert_eq!(
            asked(&cluster, 1, "new").await,
            Err((ErrorType::Unavailable, None))
        );
        assert_eq!(cluster.at(1).system.drain_by_moving().await, 0);
        assert_eq!(
            asked(&cluster, 1, "new").await,
            Err((ErrorType::Draining, None))
        );
        cluster.store.set_down(false);
        assert_eq!(asked(&cluster, 1, "new").await, sent_to(2));
    });
}
