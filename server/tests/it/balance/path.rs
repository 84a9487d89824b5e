//! The way to a worker gets bad, and the room that is there goes to another one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::network::Script;
use loadtest::{Plan, Shaper, ShaperConfig};
use tokio::time::{Instant, sleep};

use super::LONG;
use super::arrival::arrived;
use super::news::{News, id, says};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::Follower;
use crate::support::member::Member;

/// Three looks at how a room's peers are: one second lies between two.
const LOOKS: Duration = Duration::from_secs(3);
const SPEAKS: Plan = Plan {
    publish: true,
    slots: 1,
};

async fn worker(etcd: &Etcd, more: &[(&str, &str)]) -> Result<Server> {
    let own = [
        // Nothing moves for load.
        ("TROUPE_CLUSTER__BALANCE__OVERLOAD_PERCENT", "100"),
        ("TROUPE_CLUSTER__BALANCE__PATIENCE", "1s"),
    ];
    etcd.worker_with(&[&own, more].concat()).await
}

/// A worker that clients reach by a network of 10 ms there and back: a round trip of less than one
/// is none that is known.
async fn far_worker(etcd: &Etcd) -> Result<(Server, Shaper)> {
    let settings = [
        ("TROUPE_WEBRTC__SHARDS", "1"),
        ("TROUPE_WEBRTC__ADDRESS", "127.0.0.1"),
        ("TROUPE_WEBRTC__PUBLIC_ADDRESSES", "127.0.0.3"),
        ("TROUPE_WEBRTC__TCP", "false"),
    ];
    let server = worker(etcd, &settings).await?;
    let shaper = Shaper::start(ShaperConfig {
        listen: format!("127.0.0.3:{}", server.media).parse()?,
        upstream: format!("127.0.0.1:{}", server.media).parse()?,
        script: Script::parse("seed = 7\n[up]\ndelay_ms = 5\n[down]\ndelay_ms = 5")?,
    })?;
    Ok((server, shaper))
}

/// Until a worker has told its clients of the other one, whom it may give rooms to from then on.
async fn knows_two(server: &Server) -> Result<()> {
    let token = server.token("hall", "probe").await?;
    let probe = Member::join(&server.signalling(), &token).await?;
    let end = Instant::now() + LONG;
    while probe.story().endpoints < 2 {
        ensure!(Instant::now() < end, "{:?}", probe.story());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The room moves for that cause, once, when the network becomes so.
async fn moves(network: &str, cause: &str) -> Result<()> {
    let etcd = Etcd::start().await?;
    let (one, shaper) = far_worker(&etcd).await?;
    let mut people = Vec::new();
    for name in ["ann", "bob", "eve"] {
        people.push(Follower::join(&one, "hall", name, SPEAKS).await?);
    }
    let two = worker(&etcd, &[]).await?;
    knows_two(&one).await?;
    arrived(&people, &one, 0, &[2, 2, 2]).await?;
    let mut news = News::of(&one)?;
    // What the usual round trip is, is known after the first look.
    sleep(LOOKS).await;
    ensure!(news.more() == 0, "a room moves for nothing");
    let changed = Instant::now();
    shaper.change(&Script::parse(network)?)?;

    let moving = news.next().await?;
    let began = changed.elapsed();
    let (from, to) = (id(&one).await?, id(&two).await?);
    ensure!(says(&moving, "hall", cause, &from, &to), "{moving}");
    arrived(&people, &two, 1, &[2, 2, 2]).await?;
    let followed = changed.elapsed();
    let own = "troupe_migrations_automatic_total";
    let label = format!("cause=\"{cause}\"");
    let counted = [
        one.metric(own, &label).await?,
        one.metric(own, "").await?,
        two.metric(own, "").await?,
    ];
    println!("{cause}: the room moved {began:?} later, all had followed by {followed:?}");
    ensure!(
        counted == [1.0, 1.0, 0.0] && news.more() == 0,
        "{counted:?}"
    );
    shaper.stopper()();
    let report = tokio::task::spawn_blocking(move || shaper.join()).await??;
    let down = report.flows.iter().filter_map(|flow| flow.down.as_ref());
    ensure!(down.count() == 3, "they came by another way");
    Ok(())
}

#[tokio::test]
async fn a_room_goes_to_another_worker_when_the_way_to_its_own_gets_bad_or_long() -> Result<()> {
    // Beside each other, each with workers of its own: they wait most of the time.
    let lossy = "[up]\ndelay_ms = 5\nloss = 0.3\n[down]\ndelay_ms = 5\nloss = 0.3";
    let lossy = moves(lossy, "quality");
    // Scores fall by this to 0.8 and something, which is no bad quality.
    let long = moves("[up]\ndelay_ms = 150\n[down]\ndelay_ms = 150", "round_trip");
    let (lossy, long) = tokio::join!(lossy, long);
    lossy.context("quality")?;
    long.context("round trip")
}
