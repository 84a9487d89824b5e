//! SIGTERM drains: clients are told, nobody new is let in, the exit code is 0.

use std::time::Duration;

use anyhow::Result;
use loadtest::{Bot, Plan, Signalling};
use tokio::time::Instant;

use crate::support::Server;

#[tokio::test]
async fn with_nobody_connected_it_ends_at_once() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    let started = Instant::now();
    server.signal("TERM")?;
    let status = server.ended().await?;
    println!("idle drain: {:?}", started.elapsed());
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
    Ok(())
}

#[tokio::test]
async fn clients_are_told_and_readiness_goes() -> Result<()> {
    let mut server = Server::start(&[("TROUPE_SHUTDOWN__DRAIN_DEADLINE", "3s")]).await?;
    let token = server.token("drain", "ann").await?;
    let mut bot = Bot::join(&server.signalling(), &token).await?;
    bot.open_media(Plan {
        publish: true,
        slots: 1,
    })
    .await?;
    bot.run_for(Duration::from_millis(300)).await?;

    server.signal("TERM")?;
    let closing = bot.signalling.notification("closing").await?;
    assert_eq!(closing["reason"], "draining");
    assert_eq!(server.ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    let token = server.token("drain", "ann").await?;
    let mut bot = Bot::join(&server.signalling(), &token).await?;
    let mut idle = Signalling::connect(&server.signalling()).await?;
    server.signal("TERM")?;
    bot.signalling.notification("closing").await?;
    server.signal("TERM")?;
    let status = server.ended().await?;
    assert!(
        status.code().is_some(),
        "it exits, it is not killed: {status}"
    );
    idle.closed().await?;
    Ok(())
}
