//! A worker whose way to etcd is held up, so that nobody tells it of anything: what it missed is in
//! force as soon as the way is open, though etcd has forgotten it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::{Condition, Revision, Store, Swap, keys};
use control_plane_etcd::EtcdStore;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{join, let_in, refused_at_once};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::path::{Path, State};

/// As much as no connection takes that nobody reads: 4 MB. What comes after that etcd keeps for the
/// worker's watch, until it is told to forget it.
const WRITES: usize = 1_000;
const WRITE_BYTES: usize = 4_000;
const LONG: Duration = Duration::from_secs(30);

/// Flags, written past all workers.
struct Flags {
    store: EtcdStore,
    name: &'static str,
    at: Option<Revision>,
}

impl Flags {
    async fn of(etcd: &Etcd, name: &'static str) -> Result<Self> {
        let store = etcd.store().await?;
        Ok(Self {
            store,
            name,
            at: None,
        })
    }

    async fn write(&mut self, flag: Value) -> Result<Revision> {
        let record = json!({ "version": 1, "flag": flag }).to_string();
        let condition = self.at.map_or(Condition::Absent, Condition::At);
        let key = keys::flag(self.name);
        let swap = self.store.swap(&key, condition, record.into_bytes(), None);
        let Swap::Done(revision) = swap.await? else {
            bail!("somebody else writes {}", self.name);
        };
        self.at = Some(revision);
        Ok(revision)
    }
}

/// Until a flag with this value is in force at a worker.
async fn in_force(server: &Server, name: &str, value: usize) -> Result<Duration> {
    let began = Instant::now();
    let path = format!("flags/{name}");
    while server.act("GET", &path).await?.1["value"] != value {
        ensure!(began.elapsed() < LONG, "{name} is not {value}");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(began.elapsed())
}

/// Values of a flag that a worker heard of, in the order in which it did.
async fn heard(server: &Server, name: &str) -> Result<Vec<u64>> {
    let (mut heard, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("events?local=true&limit=1000&after={after}");
        let page = server.get_viewed(&path).await?;
        let events = page["items"].as_array().context("events")?;
        let changes = events
            .iter()
            .filter(|event| event["type"] == "flag.changed");
        let changes = changes.map(|event| &event["data"]);
        let named = changes.filter(|data| data["name"] == name);
        heard.extend(named.filter_map(|data| data["flag"]["value"].as_u64()));
        match page["cursor"].as_str() {
            Some(cursor) => after = cursor.to_owned(),
            None => return Ok(heard),
        }
    }
}

/// For a moment: the watches of before go on, and have missed something.
async fn held_for_a_moment(etcd: &Etcd, path: &Path, worker: &Server) -> Result<()> {
    let mut many = Flags::of(etcd, "many").await?;
    let flag = |value: usize| json!({ "value": value, "description": "x".repeat(WRITE_BYTES) });
    many.write(flag(0)).await?;
    in_force(worker, "many", 0).await?;

    path.set(State::Held);
    let held = Instant::now();
    let mut last = Revision::default();
    for value in 1..WRITES {
        last = many.write(flag(value)).await?;
    }
    etcd.compact(last)?;
    let held = held.elapsed();
    path.set(State::Open);
    let followed = in_force(worker, "many", WRITES - 1).await?;
    let heard = heard(worker, "many").await?;
    println!(
        "held for {held:?}, followed {followed:?} later: heard of {} of {WRITES} values",
        heard.len()
    );
    ensure!(heard.is_sorted(), "{heard:?}");
    ensure!(heard.len() < WRITES, "nothing was forgotten");
    many.write(flag(WRITES)).await?;
    in_force(worker, "many", WRITES).await?;
    Ok(())
}

/// For so long that the worker gives its connections up.
async fn held_for_long(etcd: &Etcd, path: &Path, worker: &Server) -> Result<()> {
    let mut flag = Flags::of(etcd, "late").await?;
    path.set(State::Held);
    let held = Instant::now();
    let refused = refused_at_once(worker, "attic").await?;
    let opened = held.elapsed();
    let (status, problem) = worker.act_with("PUT", "flags/any", "{}").await?;
    assert_eq!(
        (status, &problem["type"], &problem["retryAfterMs"]),
        (503, &json!("urn:troupe:error:unavailable"), &json!(1_000))
    );
    let late = join(worker, "hall", "bob").await?;
    let late = late.err();
    ensure!(late.is_none(), "a room that runs takes joins: {late:?}");
    let last = flag.write(json!({ "value": 1 })).await?;
    etcd.compact(last)?;
    path.set(State::Open);
    let back = Instant::now();
    let healed = let_in(worker, "attic", "eve", LONG).await?;
    in_force(worker, "late", 1).await?;
    println!(
        "the breaker opened after {opened:?}, new rooms are refused after {refused:?}; they open \
         {healed:?} after the way does, and what was missed is in force after {:?}",
        back.elapsed()
    );
    flag.write(json!({ "value": 2 })).await?;
    in_force(worker, "late", 2).await?;
    Ok(())
}

#[tokio::test]
async fn what_etcd_has_forgotten_meanwhile_is_in_force_all_the_same() -> Result<()> {
    let etcd = Etcd::start().await?;
    let path = Path::to(&etcd).await?;
    let by_path = [("TROUPE_CLUSTER__ETCD__ENDPOINTS", &*path.endpoints)];
    let worker = etcd.worker_with(&by_path).await?;
    let _ann = join(&worker, "hall", "ann").await?.expect("is let in");
    held_for_a_moment(&etcd, &path, &worker).await?;
    held_for_long(&etcd, &path, &worker).await
}
