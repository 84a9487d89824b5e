//! A camera by WHIP and a screen by WHEP know one worker. Their room moves to another one, and they
//! see and are seen as before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::{Media, Plan};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{LONG, ROOM, worker_with};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::{Follower, Story};

/// The longest time without a frame in a slot: five times the aim.
const PAUSE: Duration = Duration::from_millis(750);

/// What came so far.
#[derive(Debug, Clone, Default)]
struct Seen {
    frames: Vec<u64>,
    gaps: u64,
    pause: Duration,
    broken: bool,
}

/// A client of plain HTTP with media; it ends when this is dropped.
struct Plain {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plain {
    async fn connect(server: &Server, path: &str, name: &str, plan: Plan) -> Result<Self> {
        let (mut media, offer, pending) = Media::offer(plan).await?;
        let bearer = format!("Bearer {}", server.token(ROOM, name).await?);
        let url = server.url(&format!("/{path}"));
        let asked = tokio::task::spawn_blocking(move || -> Result<String> {
            let request = ureq::post(&url).header("authorization", &bearer);
            let request = request.header("content-type", "application/sdp");
            Ok(request.send(offer)?.body_mut().read_to_string()?)
        });
        media.answer(pending, &asked.await??)?;
        media.run_until(LONG, Media::is_connected).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let ran = media.run_for(Duration::from_millis(50)).await;
                let pauses = media.take_pauses();
                let mut seen = told.lock().unwrap_or_else(PoisonError::into_inner);
                seen.frames = media.received().values().map(|slot| slot.frames).collect();
                seen.gaps = media.received().values().map(|slot| slot.gaps).sum();
                seen.pause = pauses.into_iter().fold(seen.pause, Duration::max);
                seen.broken |= ran.is_err();
                if seen.broken {
                    return;
                }
            }
        });
        Ok(Self { seen, task })
    }

    fn seen(&self) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Measures pauses from now on.
    fn calm(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.pause = Duration::ZERO;
    }
}

fn flow(frames: &[u64]) -> bool {
    frames.iter().filter(|frames| **frames > 20).count() == 2
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + LONG;
    while !holds() {
        ensure!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn who_came_by_whip_or_whep_stays_and_is_seen_when_the_room_moves() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let certificates = certificates.path().to_str().context("a path")?;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(worker_with(&etcd, certificates, &[]).await?);
    }
    for server in &workers {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    let plan = |publish, slots| Plan { publish, slots };
    let ann = Follower::join(&workers[0], ROOM, "ann", plan(true, 1)).await?;
    let cam = Plain::connect(&workers[0], "whip/hall", "cam", plan(true, 0)).await?;
    let of_ann = "whep/hall?peer=ann";
    let screen = Plain::connect(&workers[0], of_ann, "screen", plan(false, 1)).await?;
    let sees = |story: &Story| story.failed.is_none() && flow(&story.frames);
    until("ann sees the camera", || sees(&ann.story())).await?;
    until("the screen shows ann", || flow(&screen.seen().frames)).await?;
    sleep(Duration::from_secs(1)).await;
    let alone = (ann.story(), screen.seen());

    ann.calm();
    screen.calm();
    let path = format!("rooms/{ROOM}/migrate");
    assert_eq!(workers[0].act("POST", &path).await?.0, 202);
    let there = workers[1].signalling();
    until("ann sees the camera there", || {
        let story = ann.story();
        story.moved == 1 && story.url == there && sees(&story)
    })
    .await?;
    sleep(Duration::from_secs(3)).await;
    let (story, shown) = (ann.story(), screen.seen());
    assert_eq!((story.news, story.failed), (Vec::new(), None));
    assert!(!shown.broken && !cam.seen().broken);
    let more = shown.frames.iter().zip(&alone.1.frames);
    ensure!(
        more.clone().all(|(now, before)| now - before > 50),
        "{shown:?} after {alone:?}"
    );
    assert_eq!(
        shown.gaps, alone.1.gaps,
        "nothing that was sent to it is missing"
    );
    println!(
        "longest pauses: ann {:?}, then {:?}; the screen {:?}, then {:?}",
        alone.0.pause, story.pause, alone.1.pause, shown.pause
    );
    ensure!(shown.pause < PAUSE, "{shown:?}");
    for server in &workers {
        let room = server.get_viewed(&format!("rooms/{ROOM}")).await?;
        assert_eq!(
            (&room["peers"], &room["epoch"]),
            (&3.into(), &2.into()),
            "{room}"
        );
    }
    Ok(())
}
