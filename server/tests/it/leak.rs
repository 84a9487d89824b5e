//! Two thousand lives of a peer leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use loadtest::{Bot, Plan};

use crate::support::{self, Server};

const CYCLES_WARM: usize = 200;
const CYCLES: usize = 2_000;
const AT_ONCE: usize = 8;
/// Media is sent until the server has seen this many frames of both kinds.
const FRAMES: u64 = 4;

async fn live_once(server: &Server, number: usize) -> Result<()> {
    let (room, identity) = (format!("room-{}", number % 16), format!("peer-{number}"));
    let token = server.token(&room, &identity).await?;
    let mut bot = Bot::join(&server.signalling(), &token).await?;
    bot.open_media(Plan {
        publish: true,
        slots: 1,
    })
    .await?;
    bot.media()?
        .run_until(Duration::from_secs(10), |media| media.sent() >= FRAMES)
        .await?;
    bot.leave().await
}

async fn live(server: &Arc<Server>, cycles: std::ops::Range<usize>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let (server, cycles) = (Arc::clone(server), cycles.clone());
        tasks.spawn(async move {
            for number in cycles.skip(lane).step_by(AT_ONCE) {
                live_once(&server, number).await?;
            }
            Ok::<(), anyhow::Error>(())
        });
    }
    while let Some(lane) = tasks.join_next().await {
        lane??;
    }
    Ok(())
}

async fn nothing_left(server: &Server) -> Result<()> {
    for entity in ["rooms", "transports", "tracks", "forwarders"] {
        server
            .wait_metric("troupe_shard_entities", entity, 0.0)
            .await?;
    }
    server.wait_metric("troupe_actor_rooms", "", 0.0).await?;
    server.wait_metric("troupe_actor_peers", "", 0.0).await
}

#[tokio::test]
async fn nothing_is_left_behind() -> Result<()> {
    let settings = [
        ("TROUPE_ROOM__DEPARTURE_TIMEOUT", "1s"),
        // The warm-up already fills the journal of events; what it holds is no leak.
        ("TROUPE_ADMIN__EVENTS_KEPT", "512"),
    ];
    let server = Arc::new(Server::start(&settings).await?);
    live(&server, 0..CYCLES_WARM).await?;
    nothing_left(&server).await?;
    let (memory, descriptors) = (server.resident_kib()?, server.descriptors()?);
    let threads = server.threads()?;

    live(&server, CYCLES_WARM..CYCLES).await?;
    nothing_left(&server).await?;
    let grown = server.resident_kib()?;
    println!(
        "resident after {CYCLES_WARM}: {memory} KiB, after {CYCLES}: {grown} KiB; \
         descriptors {descriptors} → {}",
        server.descriptors()?
    );
    assert!(
        grown * 10 <= memory * 11,
        "resident memory grew from {memory} to {grown} KiB"
    );
    // The connection that asked for the last figure may still be closing.
    let settled = || Ok(server.descriptors()? <= descriptors && server.threads()? <= threads);
    support::eventually("descriptors and threads are back", settled).await
}
