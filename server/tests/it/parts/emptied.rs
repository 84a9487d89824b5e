//! A worker with a part of a room ends: its client goes on at another part, and nobody notices.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Plan;
use tokio::time::{Instant, sleep};

use super::{LONG, ROOM, all_linked, join, worker};
use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::follower::{Follower, Story};

const ALL: Plan = Plan {
    publish: true,
    slots: 2,
};
/// How long the room is left alone, to compare with.
const ALONE: Duration = Duration::from_secs(3);
/// The longest that a picture or a sound may be late for a move: five times the aim.
const PAUSE: Duration = Duration::from_millis(750);

fn stories(people: &[Follower]) -> Result<Vec<Story>> {
    let stories: Vec<_> = people.iter().map(Follower::story).collect();
    let lost = stories.iter().find_map(|story| story.failed.clone());
    ensure!(lost.is_none(), "{lost:?}");
    Ok(stories)
}

/// Until this holds for all.
async fn until(people: &[Follower], holds: impl Fn(&[Story]) -> bool) -> Result<()> {
    let end = Instant::now() + LONG;
    loop {
        let told = stories(people)?;
        if holds(&told) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{told:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn flow(story: &Story) -> bool {
    story.frames.iter().filter(|frames| **frames > 20).count() == 4
}

/// The longest pauses of those who stay.
fn pauses(people: &[Follower]) -> Result<Vec<Duration>> {
    let stay = stories(people)?.into_iter().take(2);
    Ok(stay.map(|story| story.pause).collect())
}

#[tokio::test]
async fn a_worker_with_a_part_ends_and_its_client_goes_on_elsewhere() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let path = certificates.path().to_str().context("a path")?;
    let mut workers: Vec<Server> = Vec::new();
    for _ in 0..3 {
        workers.push(worker(&etcd, path).await?);
    }
    all_linked(&workers).await?;
    let mut people = Vec::new();
    let mut places = Vec::new();
    // The first has the room's owner; the last one's worker is to end.
    for identity in ["ann", "eve", "bob"] {
        let (place, bot) = join(&workers, identity).await?;
        people.push(Follower::begin(bot, workers[place].signalling(), ALL).await?);
        places.push(place);
    }
    until(&people, |all| all.iter().all(flow)).await?;
    people.iter().for_each(Follower::calm);
    sleep(ALONE).await;
    let alone = pauses(&people)?;
    let gaps: Vec<u64> = stories(&people)?.iter().map(|story| story.gaps).collect();

    people.iter().for_each(Follower::calm);
    let ending = &mut workers[places[2]];
    let began = Instant::now();
    ending.signal("TERM")?;
    let status = tokio::time::timeout(LONG, ending.ended()).await??;
    assert!(status.success(), "{status}");
    println!("the worker ended {:?} after SIGTERM", began.elapsed());
    until(&people, |all| all[2].moved == 1 && all.iter().all(flow)).await?;
    sleep(ALONE).await;

    let after = stories(&people)?;
    let moved: Vec<u32> = after.iter().map(|story| story.moved).collect();
    assert_eq!(moved, [0, 0, 1]);
    for (story, before) in after.iter().zip(gaps).take(2) {
        assert_eq!(story.news, Vec::<String>::new());
        assert_eq!(
            story.gaps, before,
            "all that was sent to who stays has come"
        );
    }
    let here = workers[places[0]]
        .act("GET", &format!("rooms/{ROOM}"))
        .await?;
    assert_eq!(here.1["peers"], 3, "{}", here.1);
    let moving = pauses(&people)?;
    println!("longest pauses of who stays: left alone {alone:?}, while bob moves {moving:?}");
    assert!(moving.iter().all(|pause| *pause < PAUSE), "{moving:?}");
    Ok(())
}
