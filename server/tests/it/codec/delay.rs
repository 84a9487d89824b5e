//! What the codec process adds to a live stream, from an encoder's socket to a viewer's.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media_ingest::flv::Tag;
use tokio::time::Instant;
use tokio::try_join;

use super::source::{Publisher, made, server, shown};
use super::viewer::{Seen, Viewer};
use super::{LONG, SLACK};

const ADDED_MAX: Duration = Duration::from_millis(60);
/// Pictures that are measured, 30 a second, and those before them.
const MEASURED: usize = 150;
const BEFORE: usize = 30;
/// Of the sources, which are stopped when enough was seen.
const SECONDS: u32 = 15;

/// When the pictures of a source could be seen at the earliest, in the order of display.
struct Moments {
    /// Presentation time in milliseconds.
    presented: Vec<u32>,
    /// By a decoder: see [`moments`].
    decoder: Vec<Instant>,
    /// By one who knows what comes: it and all that are shown before it were pushed.
    earliest: Vec<Instant>,
}

/// A decoder gives a picture away once more pictures wait to be shown than the stream ever
/// reorders (H.264, C.4.5.3); what it reorders is the most pictures that come before one that is
/// shown before them (E.2.1, `max_num_reorder_frames`). So the n-th picture to be shown counts from
/// when the tag was pushed that makes n + 1 and what is reordered. What the source holds back by
/// its order is not counted, nor the time until a picture's last byte was pushed.
fn moments(tags: &[Tag], pushed: &[Instant]) -> Moments {
    let pictures = tags.iter().zip(pushed);
    let decoded: Vec<_> = pictures
        .filter_map(|(tag, at)| Some((presented(tag)?, *at)))
        .collect();
    let later = |(index, (shown, _)): (usize, &(u32, Instant))| {
        let before = decoded.iter().take(index);
        before.filter(|(other, _)| other > shown).count()
    };
    let reordered = decoded.iter().enumerate().map(later).max();
    let mut waiting = BTreeSet::new();
    let mut moments = Moments {
        presented: Vec::new(),
        decoder: Vec::new(),
        earliest: Vec::new(),
    };
    for (shown, at) in &decoded {
        waiting.insert(*shown);
        if waiting.len() > reordered.unwrap_or_default() {
            moments.presented.extend(waiting.pop_first());
            moments.decoder.push(*at);
        }
    }
    for shown in &moments.presented {
        let needed = decoded.iter().filter(|(other, _)| other <= shown);
        moments.earliest.extend(needed.map(|(_, at)| *at).max());
    }
    moments
}

/// When a tag's picture is shown, where it brings one.
fn presented(tag: &Tag) -> Option<u32> {
    let [_, 1, c0, c1, c2, ..] = *tag.data else {
        return None;
    };
    Some(tag.timestamp + u32::from_be_bytes([0, c0, c1, c2]))
}

/// How long after such a moment each of the measured pictures was at the viewer.
struct Delays {
    decoder: Vec<Duration>,
    earliest: Vec<Duration>,
}

/// Of the pictures after the first ones. All have to have come once and in order; those that are
/// measured at the source's times, the first ones come closer together.
async fn delays(seen: &[Seen], moments: &Moments) -> Result<Delays> {
    let stream = seen.iter().flat_map(|picture| picture.data.iter().copied());
    let numbers = shown(stream.collect()).await?;
    let first = *numbers.first().context("a picture")?;
    let expected: Vec<usize> = (first..first + seen.len()).collect();
    ensure!(numbers == expected, "from {first}: {numbers:?}");
    let mut delays = Delays {
        decoder: Vec::new(),
        earliest: Vec::new(),
    };
    let mut began = None;
    for (picture, number) in seen.iter().zip(numbers).skip(BEFORE).take(MEASURED) {
        let presented = moments.presented.get(number).context("its time")?;
        let (time, start) = *began.get_or_insert((picture.time, *presented));
        let ticks = u64::from(presented - start) * 90;
        ensure!(picture.time - time == ticks, "picture {number} lies amiss");
        let decoder = moments.decoder.get(number).context("a moment")?;
        let earliest = moments.earliest.get(number).context("a moment")?;
        delays.decoder.push(picture.at - *decoder);
        delays.earliest.push(picture.at - *earliest);
    }
    ensure!(delays.decoder.len() == MEASURED, "too few pictures");
    delays.decoder.sort_unstable();
    delays.earliest.sort_unstable();
    Ok(delays)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = sorted.len() * percent / 100;
    sorted.get(index).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_codec_process_adds_little_to_a_live_stream() -> Result<()> {
    let (reordered, plain) = try_join!(made(SECONDS, 3), made(SECONDS, 0))?;
    let (server, port) = server().await?;
    let camera = Publisher::start(port, "reordered", reordered.clone()).await?;
    let control = Publisher::start(port, "plain", plain.clone()).await?;
    let mut viewer = Viewer::join(&server, "reordered").await?;
    let mut beside = Viewer::join(&server, "plain").await?;
    let end = Instant::now() + LONG;
    let enough = |seen: &[Seen]| seen.len() >= BEFORE + MEASURED;
    try_join!(viewer.watch(end, enough), beside.watch(end, enough))?;
    let jobs = server.get_viewed("transcoders").await?;
    ensure!(jobs["items"].as_array().map(Vec::len) == Some(1), "{jobs}");
    let job = &jobs["items"][0];
    ensure!(job["job"] == "h264" && job["failures"] == 0, "{jobs}");

    let moments_of = |tags, publisher: &Publisher| moments(tags, &publisher.pushed.borrow());
    let copied = delays(&viewer.seen, &moments_of(&reordered, &camera)).await?;
    let passed = delays(&beside.seen, &moments_of(&plain, &control)).await?;
    let usual = percentile(&passed.decoder, 50);
    let added = |sorted: &[Duration]| {
        [50, 95].map(|percent| percentile(sorted, percent).saturating_sub(usual))
    };
    let [half, most] = added(&copied.decoder);
    println!(
        "without B-frames p50 {usual:?}, p95 {:?}; the codec process adds p50 {half:?}, p95 \
         {most:?}; beyond the order alone {:?}",
        percentile(&passed.decoder, 95),
        added(&copied.earliest)
    );
    ensure!(most <= SLACK * ADDED_MAX, "{most:?}");
    Ok(())
}
