//! A worker with too much to do gets another one beside it, and gives rooms away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Plan;
use loadtest::run::{Options, Target, Tokens, run};
use loadtest::scenario::Scenario;
use loadtest::websocket::Trust;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::LONG;
use super::arrival::arrived;
use super::news::{News, id, says};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::Follower;
use crate::support::member::{Member, Story};

/// Sixty calls of two. Nothing of a room with two peers is looked at but what it costs, so that it
/// cannot move for its clients' being short of processor time.
const CALLS: &str = "
    name = \"call\"
    rooms = 60
    join_rate = 200
    settle_s = 0
    duration_s = 60
    [publishers]
    count = 2
    fps = 60
    layers = [{ width = 640, height = 360, kbps = 600 }]
    audio_slots = 1
    video_slots = 1
";
/// Above which share of its time a shard does too much, and what the calls must make of it: more
/// than the least that is worth a move, which is 20 points below here at the other worker.
const THRESHOLD: &str = "10";
const LADEN: f64 = 0.35;
const COOL_DOWN: Duration = Duration::from_secs(4);
/// Between two looks at loads and rooms.
const TICK: Duration = Duration::from_secs(1);

async fn worker(etcd: &Etcd) -> Result<Server> {
    let much = "{ per_second = 10000, burst = 10000 }";
    let settings = [
        // A worker sheds to another shard of its own first.
        ("TROUPE_WEBRTC__SHARDS", "1"),
        ("TROUPE_LIMITS__PER_ADDRESS", much),
        ("TROUPE_LIMITS__JOINS", much),
        ("TROUPE_CLUSTER__BALANCE__OVERLOAD_PERCENT", THRESHOLD),
        ("TROUPE_CLUSTER__BALANCE__PATIENCE", "1s"),
        ("TROUPE_CLUSTER__BALANCE__COOL_DOWN", "4s"),
    ];
    etcd.worker_with(&settings).await
}

/// Puts the calls on a worker, from a thread of their own that ends with the test.
fn load(server: &Server) -> Result<()> {
    let scenario = Scenario::parse("calls", CALLS)?;
    let target = Target {
        url: server.url(""),
        whip: None,
        whep: None,
        janus: None,
        trust: Trust::All,
        tokens: Tokens::Key {
            name: "devkey".to_owned(),
            secret: "devsecret".to_owned(),
        },
        metrics: None,
        pid: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(run(scenario, target, &Options::default(), |_| {}))
    });
    Ok(())
}

/// A room of people who follow it: some with media, and many without.
struct Crowd {
    followers: Vec<Follower>,
    members: Vec<Member>,
}

impl Crowd {
    async fn join(server: &Server, room: &str, plans: &[Plan], members: usize) -> Result<Self> {
        let mut crowd = Self {
            followers: Vec::new(),
            members: Vec::new(),
        };
        for (n, plan) in plans.iter().enumerate() {
            let name = format!("media-{n}");
            let joined = Follower::join(server, room, &name, *plan).await?;
            crowd.followers.push(joined);
        }
        for n in 0..members {
            let token = server.token(room, &format!("member-{n}")).await?;
            let joined = Member::join(&server.signalling(), &token).await?;
            crowd.members.push(joined);
        }
        Ok(crowd)
    }

    /// Until all are at that worker after so many moves, and media flow there to so many slots of
    /// those who have any.
    async fn all_at(&self, server: &Server, moved: u32, slots: &[usize]) -> Result<()> {
        arrived(&self.followers, server, moved, slots).await?;
        let url = server.signalling();
        let end = Instant::now() + LONG;
        loop {
            let stories = self.members.iter().map(Member::story);
            let stories: Vec<_> = stories.collect();
            let there = |story: &Story| (&story.url, story.moved, story.lost) == (&url, moved, 0);
            if stories.iter().all(there) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{stories:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Until the only shard of a worker works more than so much of its time.
async fn laden(server: &Server) -> Result<f64> {
    let end = Instant::now() + LONG;
    loop {
        let busy = server.metric("troupe_shard_busy_ratio", "").await?;
        if busy > LADEN {
            return Ok(busy);
        }
        ensure!(Instant::now() < end, "sixty calls are {busy} of a shard");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_overloaded_worker_gives_one_room_at_a_time_away() -> Result<()> {
    let etcd = Etcd::start().await?;
    let one = worker(&etcd).await?;
    load(&one)?;
    let [speaks, listens] = [(true, 1), (false, 1)].map(|(publish, slots)| Plan { publish, slots });
    // A room costs its members, each with what it sends itself and all that is published: a call
    // 2 × 5, `hall` 17 × 5 = 85, `den` 33 × 3 = 99, `attic` 2 × 1. Of 786 together `hall` is the
    // lightest that is a tenth, and of the 701 that are left then, `den` is.
    let hall = Crowd::join(&one, "hall", &[speaks, speaks], 15).await?;
    let den = Crowd::join(&one, "den", &[speaks, listens], 31).await?;
    let attic = Crowd::join(&one, "attic", &[], 2).await?;
    hall.all_at(&one, 0, &[2, 2]).await?;
    den.all_at(&one, 0, &[0, 2]).await?;
    let busy = laden(&one).await?;

    // While it is alone nothing can move. Then it is not.
    let mut news = News::of(&one)?;
    let two = worker(&etcd).await?;
    let came = Instant::now();
    let (from, to) = (id(&one).await?, id(&two).await?);
    let first = news.next().await?;
    let began = came.elapsed();
    ensure!(says(&first, "hall", "overload", &from, &to), "{first}");
    hall.all_at(&two, 1, &[2, 2]).await?;
    let followed = came.elapsed();

    // It has still too much to do, and waits for its cool-down to end nevertheless.
    let second = news.next().await?;
    ensure!(says(&second, "den", "overload", &from, &to), "{second}");
    let at = |event: &Value| event["id"].as_u64().map(Duration::from_micros);
    let (first, second) = (at(&first), at(&second));
    let between = second.context("an id")? - first.context("an id")?;
    den.all_at(&two, 1, &[0, 2]).await?;
    attic.all_at(&one, 0, &[]).await?;
    let own = "troupe_migrations_automatic_total";
    let counted = [
        one.metric(own, "cause=\"overload\"").await?,
        one.metric(own, "").await?,
        two.metric(own, "").await?,
    ];
    println!(
        "a shard at {busy:.2}: the first room moved {began:?} after the other worker came, all 17 \
         had followed by {followed:?}; the second {between:?} later"
    );
    ensure!(
        counted == [2.0, 2.0, 0.0] && news.more() == 0,
        "{counted:?}"
    );
    // Plans take the store, and that once more or less long.
    ensure!(between > COOL_DOWN - TICK, "{between:?}");
    Ok(())
}
