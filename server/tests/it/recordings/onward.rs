//! A worker that ends has what it records go on where its rooms go.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Plan;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{LONG, all, record, until};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::Follower;

const PLAN: Plan = Plan {
    publish: true,
    slots: 1,
};
/// What is recorded at each of the two workers at least, after the two seconds in which a recorder
/// waits for what else there is.
const ENOUGH: Duration = Duration::from_secs(3);
/// What may be missing in between: a track goes on at a keyframe, and five times as long.
const HOLE_MS: i64 = 1_000;

/// A worker that others come to by `tls`.
async fn worker(etcd: &Etcd, tls: &Path) -> Result<Server> {
    let directory = tls.to_str().context("a path")?;
    etcd.worker_with(&[
        ("TROUPE_CLUSTER__LISTEN", "127.0.0.1:0"),
        ("TROUPE_CLUSTER__TLS__DIRECTORY", directory),
    ])
    .await
}

/// Once a recording has a file of each of two publishers, and some time in them.
async fn has_begun(server: &Server, id: &str) -> Result<()> {
    let two = |view: &Value| {
        view["files"]
            .as_array()
            .is_some_and(|files| files.len() == 2)
    };
    until(server, &format!("recordings/{id}"), two).await?;
    sleep(ENOUGH).await;
    Ok(())
}

/// When the file of a publisher began and ended.
fn span(view: &Value, publisher: &str) -> Result<(i64, i64)> {
    let files = view["files"].as_array().context("files")?;
    let mut of = files.iter().filter(|file| {
        let name = file["name"].as_str();
        name.is_some_and(|name| name.starts_with(publisher))
    });
    let (file, more) = (of.next().context("a file")?, of.next());
    ensure!(more.is_none(), "one file each: {view}");
    let number = |field: &str| file[field].as_i64().context("a number");
    let from = number("startedMs")?;
    Ok((from, from + number("durationMs")?))
}

#[tokio::test]
async fn what_a_worker_records_goes_on_where_its_rooms_go() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let mut one = worker(&etcd, certificates.path()).await?;
    let two = worker(&etcd, certificates.path()).await?;
    for server in [&one, &two] {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
        // A worker is known to others once it has told how far its log is.
        until(server, "workers", |page| all(page, "id").len() == 2).await?;
    }
    let mut people = Vec::new();
    for name in ["ann", "bob"] {
        people.push(Follower::join(&one, "hall", name, PLAN).await?);
    }
    let forged = r#"{"room": "hall", "continues": "another"}"#;
    assert_eq!(one.act_with("POST", "recordings", forged).await?.0, 401);
    let begun = record(&one, "hall").await?;
    let id = begun["id"].as_str().context("an id")?;
    has_begun(&one, id).await?;

    let began = Instant::now();
    one.signal("TERM")?;
    let onward = |page: &Value| page["items"][0]["continues"] == json!(id);
    let list = until(&two, "recordings?local=true", onward).await?;
    println!(
        "recorded at the other one {:?} after SIGTERM",
        began.elapsed()
    );
    assert_eq!(all(&list, "id").len(), 1, "it goes on once: {list}");
    let status = timeout(LONG, one.ended()).await??;
    assert!(status.success(), "{status}");
    println!("the worker ended {:?} after SIGTERM", began.elapsed());
    let folder = one.folder().join("data/recordings").join(id);
    let before: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    assert_eq!(before["state"], "done");
    let onward = list["items"][0]["id"].as_str().context("an id")?;
    has_begun(&two, onward).await?;
    let path = format!("recordings/{onward}");
    assert_eq!(two.act("POST", &format!("{path}/stop")).await?.0, 200);
    let after = until(&two, &path, |view| view["state"] == "done").await?;
    for name in ["ann", "bob"] {
        let ((from, end), (next, last)) = (span(&before, name)?, span(&after, name)?);
        let enough = i64::try_from(ENOUGH.as_millis())?;
        ensure!(
            end - from >= enough && last - next >= enough,
            "{before} {after}"
        );
        println!("{name}: {} ms from one file to the next", next - end);
        assert!(next - end < HOLE_MS, "{before} {after}");
    }
    for person in &people {
        assert_eq!((person.story().moved, person.story().failed), (1, None));
    }
    Ok(())
}
