//! Webhooks of a room that goes from worker to worker: real workers on one etcd, one receiver.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::operations::{admin_token, ask};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::member::Member;
use crate::support::receiver::Receiver;

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// For what takes well under a second.
const LONG: Duration = Duration::from_secs(20);
/// Of the workers that these tests start, five times over.
const LEASE_MAX: Duration = Duration::from_secs(15);

/// What a receiver was posted.
struct Posted {
    receiver: Receiver,
    attempts: Arc<Mutex<Vec<Value>>>,
}

impl Posted {
    fn start() -> Result<Self> {
        let mut receiver = Receiver::start(KEY, 0)?;
        let attempts = Arc::<Mutex<Vec<Value>>>::default();
        let (heard, mut lines) = (Arc::clone(&attempts), receiver.lines()?);
        std::thread::spawn(move || {
            while let Ok(attempt) = lines.next() {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(attempt);
            }
        });
        Ok(Self { receiver, attempts })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.receiver.port)
    }

    /// Fails what this worker posts from now on (`hold`), or takes it slowly (`slow`); treats all
    /// alike where none is named.
    async fn treat(&self, how: &str, worker: &str) -> Result<()> {
        let (url, worker) = (self.url(how), worker.to_owned());
        let held = tokio::task::spawn_blocking(move || ureq::put(&url).send(worker));
        held.await??;
        Ok(())
    }

    /// The epoch, the number and who it is about, of each event of a room that was taken.
    fn taken(&self, room: &str) -> Vec<(u64, u64, String)> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = attempts
            .iter()
            .filter(|it| it["taken"] == true && it["event"]["room"] == room);
        let told = taken.map(|attempt| {
            let event = &attempt["event"];
            let number = |field: &str| event[field].as_u64().unwrap_or_default();
            let kind = event["type"].as_str().unwrap_or_default();
            let who = event["data"]["peer"]["peerId"].as_str().unwrap_or(kind);
            (number("epoch"), number("seq"), who.to_owned())
        });
        told.collect()
    }

    /// Waits until an event of a room was taken that is about somebody.
    async fn until_taken(&self, room: &str, who: &str) -> Result<()> {
        let end = Instant::now() + LONG;
        while !self.taken(room).iter().any(|(.., it)| it == who) {
            let taken = self.taken(room);
            ensure!(Instant::now() < end, "not posted: {who}; {taken:?}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Two workers that post to one receiver.
struct Scene {
    token: String,
    workers: [Server; 2],
    posted: Posted,
    _etcd: Etcd,
}

impl Scene {
    async fn start() -> Result<Self> {
        let (etcd, posted) = (Etcd::start().await?, Posted::start()?);
        let scene = Self {
            token: admin_token()?,
            workers: [etcd.worker().await?, etcd.worker().await?],
            posted,
            _etcd: etcd,
        };
        let events = ["room.*", "peer.*"];
        let hooks = json!([{ "url": scene.posted.url("hook"), "key": KEY, "events": events }]);
        let patch = json!({ "webhooks": hooks });
        let (status, answer) = ask(
            &scene.workers[0],
            &scene.token,
            "PATCH",
            "config",
            Some(patch),
        )
        .await?;
        ensure!(status == 200, "{status} {answer}");
        // Each answers for both, and knows where its receiver is.
        for worker in [0, 1] {
            let end = Instant::now() + LONG;
            loop {
                let listed = scene.listed(worker, "webhooks").await?;
                if listed.iter().filter(|it| it["at"].is_u64()).count() == 2 {
                    break;
                }
                ensure!(Instant::now() < end, "{listed:?}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(scene)
    }

    async fn listed(&self, worker: usize, path: &str) -> Result<Vec<Value>> {
        let (status, page) = ask(&self.workers[worker], &self.token, "GET", path, None).await?;
        ensure!(status == 200, "{path}: {status} {page}");
        Ok(page["items"].as_array().context("items")?.clone())
    }

    async fn join(&self, worker: usize, room: &str, name: &str) -> Result<Member> {
        let server = &self.workers[worker];
        Member::join(&server.signalling(), &server.token(room, name).await?).await
    }

    async fn id(&self, worker: usize) -> Result<String> {
        let listed = self.listed(worker, "webhooks?local=true").await?;
        let id = listed[0]["worker"].as_str().context("a worker")?;
        Ok(id.to_owned())
    }

    /// The receiver fails what the room's worker posts; somebody comes, the room moves, and
    /// somebody comes there.
    async fn moves(
        &self,
        (from, to): (usize, usize),
        [before, after]: [&str; 2],
        members: &mut Vec<Member>,
    ) -> Result<()> {
        self.posted.treat("hold", &self.id(from).await?).await?;
        members.push(self.join(from, "hall", before).await?);
        let path = "rooms/hall/migrate";
        let (status, answer) = ask(
            &self.workers[from],
            &self.token,
            "POST",
            path,
            Some(json!({})),
        )
        .await?;
        ensure!(status == 202, "{status} {answer}");
        let (there, end) = (self.workers[to].signalling(), Instant::now() + LONG);
        while members.iter().any(|it| it.story().url != there) {
            ensure!(Instant::now() < end, "not all have followed");
            sleep(Duration::from_millis(20)).await;
        }
        members.push(self.join(to, "hall", after).await?);
        loop {
            let listed = self.listed(to, "webhooks?local=true").await?;
            if listed[0]["held"] == 1 && listed[0]["waiting"].as_u64() >= Some(2) {
                break Ok(());
            }
            ensure!(Instant::now() < end, "it does not wait: {listed:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn events_of_a_room_that_moves_come_in_its_order() -> Result<()> {
    let mut scene = Scene::start().await?;
    let mut members = vec![scene.join(0, "hall", "ann").await?];
    scene.posted.until_taken("hall", "ann").await?;
    scene.moves((0, 1), ["bob", "eve"], &mut members).await?;
    let left = scene
        .listed(0, "webhooks?local=true&room=hall&epoch=2")
        .await?;
    assert_eq!(left[0]["room"], json!({ "waiting": 2, "owned": false }));
    // Others do not wait for it.
    let _zoe = scene.join(1, "attic", "zoe").await?;
    scene.posted.until_taken("attic", "zoe").await?;
    let names = |taken: Vec<(u64, u64, String)>| -> Vec<String> {
        taken
            .into_iter()
            .map(|(epoch, seq, who)| format!("{epoch}.{seq} {who}"))
            .collect()
    };
    let mut expected = vec!["1.1 room.opened", "1.2 ann"];
    assert_eq!(names(scene.posted.taken("hall")), expected);
    scene.posted.treat("hold", "").await?;
    scene.posted.until_taken("hall", "eve").await?;
    expected.extend(["1.3 bob", "1.4 room.moved", "2.1 room.opened", "2.2 eve"]);
    assert_eq!(names(scene.posted.taken("hall")), expected);
    let waits = async |worker: &Server, outcome: &str| {
        let label = format!("outcome=\"{outcome}\"");
        worker.metric("troupe_webhook_waits_total", &label).await
    };
    assert_eq!(waits(&scene.workers[1], "done").await?, 1.0);

    // Back again, and who had it is killed with what it has yet to post.
    scene.moves((1, 0), ["sid", "tom"], &mut members).await?;
    let killed = Instant::now();
    scene.workers[1].kill()?;
    scene.posted.until_taken("hall", "tom").await?;
    let after = killed.elapsed();
    println!("events of the worker that was killed are waited for no more after {after:?}");
    expected.extend(["3.1 room.opened", "3.2 tom"]);
    assert_eq!(names(scene.posted.taken("hall")), expected);
    assert_eq!(waits(&scene.workers[0], "gone").await?, 1.0);
    ensure!(after < LEASE_MAX, "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_emptied_posts_all_before_it_ends() -> Result<()> {
    let mut scene = Scene::start().await?;
    let first = scene.id(0).await?;
    scene.posted.treat("slow", &first).await?;
    let _members = [
        scene.join(0, "hall", "ann").await?,
        scene.join(0, "hall", "bob").await?,
    ];
    scene.workers[0].signal("TERM")?;
    let status = scene.workers[0].ended().await?;
    assert_eq!(status.code(), Some(0));
    let _eve = scene.join(1, "hall", "eve").await?;
    scene.posted.until_taken("hall", "eve").await?;
    let taken = scene.posted.taken("hall").into_iter();
    let told: Vec<String> = taken
        .map(|(epoch, seq, who)| format!("{epoch}.{seq} {who}"))
        .collect();
    let expected = [
        "1.1 room.opened",
        "1.2 ann",
        "1.3 bob",
        "1.4 room.moved",
        "2.1 room.opened",
        "2.2 eve",
    ];
    assert_eq!(told, expected);
    Ok(())
}

/// What another worker asks with opens this list and nothing else.
#[tokio::test]
async fn only_operators_and_workers_of_the_cluster_see_receivers() -> Result<()> {
    let server = Server::start(&[]).await?;
    let viewer = Server::operator_token()?;
    let (status, page) = ask(&server, &viewer, "GET", "webhooks", None).await?;
    assert_eq!((status, &page["items"]), (200, &json!([])));
    let half = ask(&server, &viewer, "GET", "webhooks?room=hall", None).await?;
    assert_eq!(half.0, 400);
    let url = server.admin_url("/admin/v1/webhooks?local=true");
    let asked = tokio::task::spawn_blocking(move || {
        let forged = format!("1700000000.{}", "0".repeat(64));
        ureq::get(&url).header("troupe-worker", &forged).call()
    });
    let refused = asked.await?.err().context("is refused")?;
    ensure!(matches!(refused, ureq::Error::StatusCode(401)), "{refused}");
    Ok(())
}
