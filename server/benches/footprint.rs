//! What an idle room, an idle peer and a small call cost the real server.
//!
//! Clients are stock str0m in this process; only the server's own memory and time are counted.
#![allow(
    missing_docs,
    reason = "a benchmark has no readers of its documentation"
)]

use std::time::Duration;

use anyhow::Result;
use loadtest::{Bot, Plan};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[path = "../tests/it/support/server.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod support;
use support::Server;

/// So many that one page of memory more or less does not show.
const ROOMS: usize = 500;
const PEERS: usize = 200;
/// Rooms with peers have this many each.
const PEERS_PER_ROOM: usize = 4;
const SETTLE: Duration = Duration::from_secs(3);
const CALL: usize = 3;
const CALL_TIME: Duration = Duration::from_secs(20);
/// 720p as browsers send it: 30 pictures a second in 1.5 Mb/s.
const PICTURES_PER_SECOND: u32 = 30;
const PICTURE_BYTES: usize = 6_250;

async fn idle_rooms(server: &Server) -> Result<()> {
    let token = Server::operator_token()?;
    let before = server.resident_kib()?;
    for number in 0..ROOMS {
        let room = format!("empty-{number}");
        server.put_room_with(&room, &token, "{}").await?;
    }
    sleep(SETTLE).await;
    report("idle room", before, server.resident_kib()?, ROOMS);
    Ok(())
}

/// Connected peers with slots for nine others, who send and get nothing.
async fn idle_peers(server: &Server) -> Result<()> {
    let before = server.resident_kib()?;
    let mut peers = JoinSet::new();
    for number in 0..PEERS {
        let room = format!("quiet-{}", number / PEERS_PER_ROOM);
        let token = server.token(&room, &format!("peer-{number}")).await?;
        let mut bot = Bot::join(&server.signalling(), &token).await?;
        let plan = Plan {
            publish: false,
            slots: 9,
        };
        bot.open_media(plan).await?;
        peers.spawn(async move { bot.run_for(Duration::from_secs(600)).await });
    }
    sleep(SETTLE).await;
    report("idle peer", before, server.resident_kib()?, PEERS);
    peers.shutdown().await;
    Ok(())
}

fn report(what: &str, before: u64, after: u64, count: usize) {
    let each = after.saturating_sub(before) as f64 / count as f64;
    println!("{what}: {each:.1} KiB resident each ({count} of them: {before} → {after} KiB)");
}

/// Each of three sends Opus and 720p, and gets both of the two others.
async fn call(server: &Server) -> Result<()> {
    let mut members = JoinSet::new();
    for number in 0..CALL {
        let token = server.token("call", &format!("caller-{number}")).await?;
        let mut bot = Bot::join(&server.signalling(), &token).await?;
        let plan = Plan {
            publish: true,
            slots: CALL - 1,
        };
        bot.open_media(plan).await?;
        bot.media()?.set_video(PICTURES_PER_SECOND, PICTURE_BYTES);
        members.spawn(async move { bot.run_for(Duration::from_secs(600)).await });
    }
    sleep(SETTLE).await;
    let packets = server.metric("troupe_rtp_packets_total", "").await?;
    let before = server.cpu()?;
    sleep(CALL_TIME).await;
    let busy = (server.cpu()? - before).as_secs_f64();
    let packets = server.metric("troupe_rtp_packets_total", "").await? - packets;
    println!(
        "call of three at 720p: {:.2} % of a core, {:.0} packets/s in and out, \
         {:.1} µs of CPU a packet, all included",
        busy / CALL_TIME.as_secs_f64() * 100.0,
        packets / CALL_TIME.as_secs_f64(),
        busy / packets * 1e6,
    );
    members.shutdown().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // What `cargo bench` and `cargo test` pass to a harness says nothing to this one.
    let server = Server::start(&[]).await?;
    println!("started: {} KiB resident", server.resident_kib()?);
    idle_rooms(&server).await?;
    idle_peers(&server).await?;
    call(&server).await
}
