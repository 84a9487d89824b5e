//! A worker cut from etcd while another one takes its room: no two ever act in one epoch. Where the
//! two can reach each other the room goes over at once, else when the cut heals.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::{Bot, Plan, RequestError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{LONG, ROOM, worker_with};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::{Follower, Story};
use crate::support::path::{Path, State};

/// Joins at this worker, which may take the room only when its owner's lease has ended.
async fn insist(server: &Server, name: &str) -> Result<Bot> {
    let end = Instant::now() + LONG;
    loop {
        let token = server.token(ROOM, name).await?;
        let error = match Bot::join(&server.signalling(), &token).await {
            Ok(bot) => return Ok(bot),
            Err(error) => error,
        };
        let refused = error.downcast_ref::<RequestError>().context("an answer")?;
        let kind = refused.kind.as_str();
        ensure!(["moved", "unavailable"].contains(&kind), "{kind}");
        ensure!(Instant::now() < end, "{name} never gets in");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn until(what: &str, client: &Follower, holds: impl Fn(&Story) -> bool) -> Result<Story> {
    let end = Instant::now() + LONG;
    loop {
        let story = client.story();
        ensure!(story.failed.is_none(), "{what}: {:?}", story.failed);
        if holds(&story) {
            return Ok(story);
        }
        ensure!(Instant::now() < end, "{what}: {story:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The oracle: which worker acted in each epoch of the room, by all that either of them recorded.
/// That nobody else did is what has to hold.
async fn actors(workers: &[Server]) -> Result<BTreeMap<u64, String>> {
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    for server in workers {
        let page = server.get_viewed("events?local=true&limit=1000").await?;
        let events = page["items"].as_array().context("events")?;
        for event in events.iter().filter(|event| event["room"] == ROOM) {
            let epoch = event["epoch"].as_u64().context("an epoch")?;
            let worker = event["worker"].as_str().context("a worker")?;
            let first = found.entry(epoch).or_insert_with(|| worker.to_owned());
            assert_eq!(first, worker, "two act in epoch {epoch}: {events:?}");
        }
    }
    Ok(found)
}

async fn epoch(server: &Server) -> Result<Value> {
    let room = server
        .get_viewed(&format!("rooms/{ROOM}?local=true"))
        .await?;
    Ok(json!([room["epoch"], room["peers"]]))
}

/// Two workers; the first one's way to etcd can be cut. Without `links` it is cut from the other
/// worker as well.
async fn pair(etcd: &Etcd, path: &Path, links: bool) -> Result<([Server; 2], [TempDir; 2])> {
    // Workers of two authorities refuse each other.
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [own, other] = directories.each_ref().map(|it| it.path().to_str());
    let certificates = own.filter(|_| links).or(other).context("a path")?;
    let by_path = [("TROUPE_CLUSTER__ETCD__ENDPOINTS", &*path.endpoints)];
    let workers = [
        worker_with(etcd, own.context("a path")?, &by_path).await?,
        worker_with(etcd, certificates, &[]).await?,
    ];
    for server in workers.iter().filter(|_| links) {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    Ok((workers, directories))
}

/// Whether media flow to so many slots.
fn flow(story: &Story, slots: usize) -> bool {
    story.frames.iter().filter(|frames| **frames > 20).count() == slots
}

const fn sends(slots: usize) -> Plan {
    Plan {
        publish: true,
        slots,
    }
}

/// A call of two at the first worker.
async fn call(worker: &Server) -> Result<[Follower; 2]> {
    let ann = Follower::join(worker, ROOM, "ann", sends(1)).await?;
    let amy = Follower::join(worker, ROOM, "amy", sends(1)).await?;
    until("a call", &ann, |story| flow(story, 2)).await?;
    Ok([ann, amy])
}

/// Cut, the lease ends, and somebody comes to the other worker.
async fn cut(path: &Path, other: &Server) -> Result<Follower> {
    path.set(State::Cut);
    let cut = Instant::now();
    let bob = insist(other, "bob").await?;
    println!(
        "the room was taken {:?} after the cut (lease of 3 s)",
        cut.elapsed()
    );
    Follower::begin(bob, other.signalling(), sends(2)).await
}

/// Both are at the other worker, with their media.
async fn all_there(both: &[Follower; 2], bob: &Follower, worker: &Server) -> Result<()> {
    for client in both {
        let there = |story: &Story| story.moved == 1 && story.url == worker.signalling();
        until("they follow", client, there).await?;
        until("media at the other worker", client, |story| flow(story, 2)).await?;
    }
    until("bob sees both", bob, |story| flow(story, 4)).await?;
    Ok(())
}

/// By all that was recorded the first worker acted in epoch 1 and the other one in epoch 2.
async fn one_after_the_other(workers: &[Server]) -> Result<()> {
    let found = actors(workers).await?;
    let ids: Vec<u64> = found.keys().copied().collect();
    assert_eq!(ids, [1, 2], "{found:?}");
    assert_ne!(found[&1], found[&2]);
    Ok(())
}

#[tokio::test]
async fn a_worker_cut_from_the_store_alone_hands_its_room_over() -> Result<()> {
    let etcd = Etcd::start().await?;
    let path = Path::to(&etcd).await?;
    let (workers, _certificates) = pair(&etcd, &path, true).await?;
    let both = call(&workers[0]).await?;
    let bob = cut(&path, &workers[1]).await?;
    let taken = Instant::now();
    all_there(&both, &bob, &workers[1]).await?;
    println!(
        "all are at one worker {:?} later, though the cut lasts",
        taken.elapsed()
    );
    assert_eq!(epoch(&workers[1]).await?, json!([2, 3]));
    one_after_the_other(&workers).await?;

    // Nothing is left to be done when it heals.
    path.set(State::Open);
    let listed = async || {
        let page = workers[1].get_viewed("workers").await?;
        anyhow::Ok(page["items"].as_array().is_some_and(|all| all.len() == 2))
    };
    let end = Instant::now() + LONG;
    while !listed().await? {
        ensure!(Instant::now() < end, "the first worker does not come back");
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(1)).await;
    for client in both.iter().chain([&bob]) {
        let story = client.story();
        let moved = u32::from(!std::ptr::eq(client, &bob));
        assert_eq!((story.moved, story.failed), (moved, None));
    }
    assert_eq!(epoch(&workers[1]).await?, json!([2, 3]));
    one_after_the_other(&workers).await
}

#[tokio::test]
async fn a_worker_cut_from_all_and_who_takes_its_room_never_act_in_one_epoch() -> Result<()> {
    let etcd = Etcd::start().await?;
    let path = Path::to(&etcd).await?;
    let (workers, _certificates) = pair(&etcd, &path, false).await?;
    let both = call(&workers[0]).await?;
    let bob = cut(&path, &workers[1]).await?;
    let frames = |story: &Story| story.frames.iter().sum::<u64>();
    let before = both.each_ref().map(|client| frames(&client.story()));
    sleep(Duration::from_secs(2)).await;
    for (client, before) in both.iter().zip(before) {
        let story = client.story();
        ensure!(
            frames(&story) > before + 50,
            "their call goes on: {story:?}"
        );
        assert_eq!((story.moved, story.failed), (0, None));
    }
    let epochs = [epoch(&workers[0]).await?, epoch(&workers[1]).await?];
    assert_eq!(epochs, [json!([1, 2]), json!([2, 1])]);

    // It heals: the first worker hands its clients over to who has the room.
    path.set(State::Open);
    let healed = Instant::now();
    all_there(&both, &bob, &workers[1]).await?;
    println!(
        "all are at one worker {:?} after the cut healed",
        healed.elapsed()
    );
    one_after_the_other(&workers).await
}
