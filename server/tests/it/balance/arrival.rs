//! Until clients are where their room is.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::LONG;
use crate::support::Server;
use crate::support::follower::Follower;

/// Frames after which a slot's media flow.
const FLOWING: u64 = 20;

/// Until all are at that worker after so many moves, and media flow there to so many slots of each.
pub(crate) async fn arrived(
    all: &[Follower],
    server: &Server,
    moved: u32,
    slots: &[usize],
) -> Result<()> {
    let url = server.signalling();
    let end = Instant::now() + LONG;
    loop {
        let stories: Vec<_> = all.iter().map(Follower::story).collect();
        let there = stories.iter().zip(slots).all(|(story, slots)| {
            let flow = story.frames.iter().filter(|frames| **frames > FLOWING);
            (&story.url, story.moved, flow.count()) == (&url, moved, *slots)
        });
        if there {
            return Ok(());
        }
        let lost = stories.iter().any(|story| story.failed.is_some());
        ensure!(!lost && Instant::now() < end, "{stories:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
