//! Keyframes and bitrates, as they are asked for.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::source::{Publisher, made, server};
use super::viewer::Viewer;
use super::{LONG, SLACK};

const ROOM: &str = "studio";
/// Of the source, which is stopped when enough was seen.
const SECONDS: u32 = 25;
const KEYFRAME_MAX: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_viewer_gets_keyframes_and_bitrates_of_a_codec_process_in_time() -> Result<()> {
    let tags = made(SECONDS, 3).await?;
    let (server, port) = server().await?;
    let publisher = Publisher::start(port, ROOM, tags).await?;
    let mut viewer = Viewer::join(&server, ROOM).await?;
    let end = Instant::now() + LONG;
    viewer.watch(end, |seen| seen.len() >= 30).await?;

    // Keyframes, as they are asked for: the shard asks for one every half second at most.
    let mut waits = Vec::new();
    for _ in 0..4 {
        viewer
            .watch(Instant::now() + Duration::from_millis(600), |_| false)
            .await?;
        waits.push(viewer.keyframe().await?);
    }
    // The bitrate, while the process runs.
    let before = viewer.rate(60);
    let jobs = server.get_viewed("transcoders").await?;
    let job = &jobs["items"][0];
    ensure!(job["job"] == "h264" && job["state"] == "running", "{jobs}");
    let path = format!("transcoders/{}", job["id"]);
    let told = server
        .act_with("PATCH", &path, r#"{"bitrateKbps":300}"#)
        .await?;
    ensure!(told.0 == 204, "{told:?}");
    let count = viewer.seen.len();
    viewer
        .watch(Instant::now() + LONG, |seen| seen.len() >= count + 105)
        .await?;
    let after = viewer.rate(45);
    let jobs = server.get_viewed("transcoders").await?;
    ensure!(jobs["items"][0]["failures"] == 0, "{jobs}");
    drop(publisher);
    println!("keyframes after {waits:?}; {before} b/s, then {after}");
    ensure!(
        waits.iter().all(|wait| *wait < SLACK * KEYFRAME_MAX),
        "{waits:?}"
    );
    ensure!(before > 800_000 && after < 400_000, "{before} b/s, {after}");
    Ok(())
}
