//! Somebody dies at each step of a move: with real workers and a real etcd, killed as the step is
//! written. The room works at the end, every time.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use control_plane::migration::{MigrationRecord, Phase};
use control_plane::{Change, Record, RoomOwner, Store, keys};
use control_plane_etcd::{EtcdOptions, EtcdStore};
use futures_util::future::try_join_all;
use media_types::RoomName;
use tokio::time::{Instant, sleep, timeout};

use super::caller::{Caller, Story};
use super::{LONG, ROOM, worker_with};
use crate::support::Server;
use crate::support::etcd::Etcd;

/// How long etcd is away.
const AWAY: Duration = Duration::from_secs(1);
const STEPS: [Phase; 4] = [
    Phase::Planned,
    Phase::Prepared,
    Phase::Committed,
    Phase::Moving,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Source,
    Target,
    Store,
}

/// A call of two at the first of two workers.
struct Scene {
    etcd: Etcd,
    /// The source, and the target.
    workers: Vec<Server>,
    callers: Vec<Caller>,
    _certificates: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let etcd = Etcd::start().await?;
        let certificates = tempfile::tempdir()?;
        let path = certificates.path().to_str().context("a path")?;
        let mut workers = Vec::new();
        for _ in 0..2 {
            workers.push(worker_with(&etcd, path, &[]).await?);
        }
        let urls: Vec<String> = workers.iter().map(Server::signalling).collect();
        let mut callers = Vec::new();
        for name in ["ann", "bob"] {
            let token = workers[0].token(ROOM, name).await?;
            callers.push(Caller::join(urls.clone(), &token).await?);
        }
        let scene = Self {
            etcd,
            workers,
            callers,
            _certificates: certificates,
        };
        scene
            .until("a call", |all| all.iter().all(|story| story.flowing == 2))
            .await?;
        Ok(scene)
    }

    fn stories(&self) -> Vec<Story> {
        self.callers.iter().map(Caller::story).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&[Story]) -> bool) -> Result<()> {
        let end = Instant::now() + LONG;
        loop {
            let stories = self.stories();
            if holds(&stories) {
                return Ok(());
            }
            let lost = stories.iter().any(|story| story.failed.is_some());
            ensure!(!lost && Instant::now() < end, "{what}: {stories:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn store(&self) -> Result<EtcdStore> {
        let url = self.etcd.endpoints();
        let url = url.trim_matches(['[', ']', '"']);
        Ok(EtcdStore::connect(&EtcdOptions::new([url])).await?)
    }

    /// Begins the move, and returns as soon as that step is written.
    async fn move_until(&self, step: Phase) -> Result<()> {
        let store = self.store().await?;
        let since = store.list(&keys::rooms()).await?.revision;
        let mut watch = store.watch(&keys::rooms(), since)?;
        let path = format!("rooms/{ROOM}/migrate");
        let asked = self.workers[0].act("POST", &path);
        let written = async {
            loop {
                let Change::Put(entry) = watch.next().await? else {
                    continue;
                };
                if keys::moving_room(&entry.key).is_some()
                    && MigrationRecord::decode(&entry.key, &entry.value)?.phase >= step
                {
                    return anyhow::Ok(());
                }
            }
        };
        // The answer may come later, or never: who gives it may be about to die.
        tokio::select! {
            written = timeout(LONG, written) => written.context("the step")??,
            asked = async {
                let answer = asked.await;
                ensure!(answer.as_ref().is_ok_and(|(status, _)| *status == 202), "{answer:?}");
                std::future::pending::<Result<()>>().await
            } => asked?,
        }
        Ok(())
    }

    async fn kill(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Source => self.workers[0].kill(),
            Victim::Target => self.workers[1].kill(),
            Victim::Store => {
                self.etcd.kill()?;
                sleep(AWAY).await;
                self.etcd.restart().await
            }
        }
    }

    /// Both are in at the worker that owns the room, see and hear each other, and nothing moves.
    async fn works(&self, living: &[&Server]) -> Result<()> {
        let end = Instant::now() + LONG;
        loop {
            let state = self.state(living).await;
            match state {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn state(&self, living: &[&Server]) -> Result<()> {
        let stories = self.stories();
        let at = stories[0].url.clone();
        let together = stories
            .iter()
            .all(|story| (&story.url, story.flowing) == (&at, 2) && story.failed.is_none());
        ensure!(together, "{stories:?}");
        let server = living.iter().find(|server| server.signalling() == at);
        let server = server.context("a worker that lives")?;
        let room = server
            .get_viewed(&format!("rooms/{ROOM}?local=true"))
            .await?;
        ensure!(room["peers"] == 2, "{room}");
        for server in living {
            let moves = server.get_viewed("migrations?local=true").await?;
            ensure!(
                moves["items"].as_array().is_some_and(Vec::is_empty),
                "{moves}"
            );
        }
        let store = self.store().await?;
        let name: RoomName = ROOM.parse()?;
        let key = keys::room_owner(&name);
        let entry = store.get(&key).await?.context("an owner")?;
        let owner = RoomOwner::decode(&key, &entry.value)?;
        let worker = owner.worker.map(|worker| worker.to_string());
        ensure!(
            worker.as_deref() == room["worker"].as_str(),
            "{owner:?} {room}"
        );
        ensure!(room["epoch"] == owner.epoch.0, "{owner:?} {room}");
        Ok(())
    }
}

struct Outcome {
    step: Phase,
    took: Duration,
    moved: Vec<u32>,
    lost: Vec<u32>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            took,
            moved,
            lost,
        } = self;
        write!(
            f,
            "{step:?}: works after {took:?}, moved {moved:?}, came back {lost:?}"
        )
    }
}

async fn crash(victim: Victim, step: Phase) -> Result<Outcome> {
    let mut scene = Scene::new().await?;
    scene.move_until(step).await?;
    let began = Instant::now();
    scene.kill(victim).await?;
    let living: Vec<&Server> = match victim {
        Victim::Source => scene.workers[1..].iter().collect(),
        Victim::Target => scene.workers[..1].iter().collect(),
        Victim::Store => scene.workers.iter().collect(),
    };
    let works = scene.works(&living).await;
    works.with_context(|| format!("{victim:?} at {step:?}"))?;
    let stories = scene.stories();
    Ok(Outcome {
        step,
        took: began.elapsed(),
        moved: stories.iter().map(|story| story.moved).collect(),
        lost: stories.iter().map(|story| story.lost).collect(),
    })
}

async fn at_each_step(victim: Victim) -> Result<Vec<Outcome>> {
    let outcomes = try_join_all(STEPS.map(|step| crash(victim, step))).await?;
    for outcome in &outcomes {
        println!("{victim:?} killed at {outcome}");
    }
    Ok(outcomes)
}

#[tokio::test]
async fn a_room_outlives_its_source_killed_at_each_step_of_a_move() -> Result<()> {
    at_each_step(Victim::Source).await.map(drop)
}

#[tokio::test]
async fn a_room_outlives_its_target_killed_at_each_step_of_a_move() -> Result<()> {
    at_each_step(Victim::Target).await.map(drop)
}

#[tokio::test]
async fn a_room_outlives_etcd_killed_at_each_step_of_a_move() -> Result<()> {
    let outcomes = at_each_step(Victim::Store).await?;
    // Nobody loses a worker for want of the store.
    let lost = outcomes.iter().flat_map(|outcome| &outcome.lost);
    assert_eq!(lost.sum::<u32>(), 0);
    Ok(())
}
