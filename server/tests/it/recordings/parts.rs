//! A room that lies on both workers: each of them records and packages all of it.

use anyhow::{Context, Result, ensure};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::playback::goes_on;
use super::{LONG, Pair, all, ask, granted, logged, member, record, until};
use crate::support::Server;

/// Somebody comes for whom only the second worker has a place.
async fn second_part(pair: &Pair) -> Result<Signalling> {
    let end = Instant::now() + LONG;
    loop {
        ensure!(
            member(&pair.one, "hall").await.is_err(),
            "the first is full"
        );
        if let Ok(bob) = member(&pair.two, "hall").await {
            return Ok(bob);
        }
        ensure!(Instant::now() < end, "no part is opened");
        sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// The workers that package the stream, whichever is asked.
async fn packagers(pair: &Pair) -> Result<Vec<String>> {
    let [one, two] = pair
        .both()
        .map(|server: &Server| server.get_viewed("egress"));
    let (one, two) = (one.await?, two.await?);
    assert_eq!(all(&one, "worker"), all(&two, "worker"));
    let mut workers = all(&one, "worker");
    assert_eq!(all(&one, "id"), vec!["hall/cam"; workers.len()]);
    workers.sort_unstable();
    Ok(workers)
}

#[tokio::test]
async fn both_package_and_record_and_who_drains_hands_on() -> Result<()> {
    let certificates = tempfile::tempdir()?;
    let directory = certificates.path().to_str().context("a path")?;
    let pair = Pair::start(&[
        ("TROUPE_ROOM__PEERS_PER_WORKER", "1"),
        ("TROUPE_CLUSTER__LISTEN", "127.0.0.1:0"),
        ("TROUPE_CLUSTER__TLS__DIRECTORY", directory),
    ])
    .await?;
    for server in pair.both() {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    let _bob = second_part(&pair).await?;
    let mut recordings = Vec::new();
    for (server, worker) in pair.both().into_iter().zip(&pair.ids) {
        let begun = record(server, "hall").await?;
        assert_eq!(begun["worker"], json!(worker), "each has a part of it");
        recordings.push(begun["id"].clone());
    }
    let token = granted("viewer", "play")?;
    for (server, other) in [(&pair.one, &pair.two), (&pair.two, &pair.one)] {
        let url = server.url("/live/hall/cam/index.m3u8");
        let index = ask("GET", &url, &token, Value::Null).await?;
        assert_eq!(index.status, 200, "{}", index.text()?);
        // What one of them packages is not what the other does, under whatever number.
        goes_on((server, other), &index).await?;
    }
    let mut both = pair.ids.clone();
    both.sort_unstable();
    assert_eq!(packagers(&pair).await?, both);
    assert_eq!(pair.two.act("DELETE", "egress/hall/cam").await?.0, 204);
    ensure!(packagers(&pair).await?.is_empty());
    for server in pair.both() {
        assert_eq!(logged(server, "egress/hall/cam", 204).await?, 1);
    }
    // A room is its owner's to move, whichever part is asked.
    let there = json!({ "to": pair.ids[0] }).to_string();
    let (status, problem) = pair
        .two
        .act_with("POST", "rooms/hall/migrate", &there)
        .await?;
    assert_eq!(status, 409, "{problem}");
    // What a part records goes on at the room's owner, beside what that records itself.
    pair.two.signal("TERM")?;
    let two = |page: &Value| all(page, "id").len() == 2;
    let list = until(&pair.one, "recordings?local=true", two).await?;
    let told = [&list["items"][0]["id"], &list["items"][1]["continues"]];
    assert_eq!(told, [&recordings[0], &recordings[1]]);
    Ok(())
}
