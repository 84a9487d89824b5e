//! What comes to one worker of a room is recorded and played at the other, by ffmpeg at both ends.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::{Bot, Plan};
use serde_json::Value;
use tokio::time::Instant;

use super::{LONG, ROOM, join, run, worker_with};
use crate::support::etcd::Etcd;
use crate::support::follower::{Follower, Story};
use crate::support::{self, Server};

/// A token of the command line.
fn granted(identity: &str, grant: &str) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["token", "--dev", "--room", ROOM, "--identity", identity])
        .args(["--grant", grant])
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What ffmpeg decodes of something: the times of its pictures in seconds, and how many frames of
/// sound.
async fn decoded(source: String, seconds: u32) -> Result<(Vec<f64>, usize)> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-t", &seconds.to_string()]);
    ffmpeg.args(["-i", &source, "-map", "0:v", "-map", "0:a"]);
    ffmpeg.args(["-fps_mode", "passthrough", "-enc_time_base:v", "1:1000"]);
    ffmpeg.args(["-f", "framecrc", "-"]);
    let output = tokio::task::spawn_blocking(move || ffmpeg.output()).await??;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(complaint.is_empty(), "{source}: {complaint}");
    let text = String::from_utf8(output.stdout)?;
    let mut times = Vec::new();
    let mut sound = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(',').map(str::trim);
        match (fields.next(), fields.nth(1)) {
            (Some("0"), Some(time)) => times.push(time.parse::<f64>()? / 1_000.0),
            _ => sound += 1,
        }
    }
    Ok((times, sound))
}

/// Nothing is missing between the first picture and the last, of 15 a second.
fn assert_even(what: &str, times: &[f64], least: usize) {
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = steps.fold(0.0, f64::max);
    println!(
        "{what}: {} pictures, at most {longest:.3} s apart",
        times.len()
    );
    assert!(times.len() >= least, "{what}: {times:?}");
    assert!(longest < 0.1, "{what}: {times:?}");
}

/// ffmpeg that sends moving pictures and a tone, until it is dropped.
struct Encoder(Child);

impl Drop for Encoder {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn encoder(port: u16, identity: &str) -> Result<Encoder> {
    let key = format!("{identity}?token={}", granted(identity, "ingest")?);
    let sources = "-re -f lavfi -i testsrc2=s=320x180:r=15 -re -f lavfi -i sine=r=48000";
    let codecs = "-c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -c:a aac";
    let child = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(sources.split(' ').chain(codecs.split(' ')))
        .args([
            "-f",
            "flv",
            &format!("rtmp://127.0.0.1:{port}/{ROOM}/{key}"),
        ])
        .spawn()?;
    Ok(Encoder(child))
}

/// Two linked workers, each with one of the room's peers, and their ports of RTMP.
async fn pair(etcd: &Etcd, certificates: &str) -> Result<(Vec<Server>, Vec<u16>, Vec<Bot>)> {
    let (mut workers, mut ports) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let port = support::free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let own = [
            ("TROUPE_ROOM__PEERS_PER_WORKER", "1"),
            ("TROUPE_RTMP__LISTEN", &listen),
        ];
        workers.push(worker_with(etcd, certificates, &own).await?);
        ports.push(port);
    }
    for server in &workers {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    let mut bots = Vec::new();
    for (place, identity) in ["ann", "bob"].into_iter().enumerate() {
        let (at, mut bot) = join(&workers, identity).await?;
        assert_eq!(at, place, "each is in at a worker of its own");
        bot.open_media(Plan {
            publish: false,
            slots: 2,
        })
        .await?;
        bots.push(bot);
    }
    Ok((workers, ports, bots))
}

/// Ends a recording; its files.
async fn stopped(server: &Server, path: &str, bots: &mut [Bot]) -> Result<Vec<Value>> {
    let stopped = server.act("POST", &format!("{path}/stop")).await?;
    assert_eq!(stopped.0, 200);
    let end = Instant::now() + LONG;
    loop {
        let view = server.act("GET", path).await?.1;
        if view["state"] == "done" {
            return Ok(view["files"].as_array().context("files")?.clone());
        }
        ensure!(Instant::now() < end, "{view}");
        run(bots, Duration::from_millis(100)).await?;
    }
}

/// An encoder by RTMP knows one worker. The room moves to another one, and those who follow it see
/// the encoder there; nothing that it sends is missing for them.
#[tokio::test]
async fn an_encoder_stays_where_it_is_when_its_room_moves() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let path = certificates.path().to_str().context("a path")?;
    let port = support::free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let mut workers = Vec::new();
    for rtmp in [&*listen, "127.0.0.1:0"] {
        let own = [("TROUPE_RTMP__LISTEN", rtmp)];
        workers.push(worker_with(&etcd, path, &own).await?);
    }
    for server in &workers {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    let watches = Plan {
        publish: false,
        slots: 1,
    };
    let ann = Follower::join(&workers[0], ROOM, "ann", watches).await?;
    let _cam = encoder(port, "cam")?;
    let flows = |story: &Story| story.frames.iter().filter(|frames| **frames > 20).count() == 2;
    until("the encoder is seen", || Ok(flows(&told(&ann)?))).await?;
    ann.calm();
    let moved = workers[0]
        .act("POST", &format!("rooms/{ROOM}/migrate"))
        .await?;
    assert_eq!(moved.0, 202, "{}", moved.1);
    until("it is seen after the move", || {
        let story = told(&ann)?;
        Ok(story.moved == 1 && story.url == workers[1].signalling() && flows(&story))
    })
    .await?;
    let before = told(&ann)?;
    // Long after all has settled: by the relay, and played by HTTP at the new worker.
    let token = granted("viewer", "play")?;
    let url = workers[1].url(&format!("/live/{ROOM}/cam.flv?access_token={token}"));
    let (pictures, sound) = decoded(url, 3).await?;
    assert_even("FLV at the next worker", &pictures, 44);
    assert!(sound > 120, "{sound} frames of sound");
    let after = told(&ann)?;
    assert_eq!((after.gaps, after.moved), (before.gaps, 1));
    assert_eq!(
        after.news,
        Vec::<String>::new(),
        "the encoder is who it was"
    );
    for server in &workers {
        let room = server.act("GET", &format!("rooms/{ROOM}")).await?.1;
        assert_eq!(
            (&room["peers"], &room["epoch"]),
            (&2.into(), &2.into()),
            "{room}"
        );
    }
    Ok(())
}

/// What became of a client so far, if nothing bad did.
fn told(client: &Follower) -> Result<Story> {
    let story = client.story();
    ensure!(story.failed.is_none(), "{:?}", story.failed);
    Ok(story)
}

async fn until(what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + LONG;
    while !holds()? {
        ensure!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Each worker records and plays what encoders bring to the other.
#[tokio::test]
async fn what_comes_to_one_worker_is_recorded_and_played_at_the_other() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let path = certificates.path().to_str().context("a path")?;
    let (workers, ports, mut bots) = pair(&etcd, path).await?;
    let began = workers[0].act_with("POST", "recordings", r#"{"room":"hall"}"#);
    let (status, recording) = began.await?;
    assert_eq!(status, 201, "{recording}");
    let _first = encoder(ports[0], "cam1")?;
    let _second = encoder(ports[1], "cam2")?;
    run(&mut bots, Duration::from_secs(2)).await?;
    let token = granted("viewer", "play")?;
    let url = |at: usize, file: &str| {
        workers[at].url(&format!("/live/{ROOM}/{file}?access_token={token}"))
    };
    let flv = decoded(url(0, "cam2.flv"), 2);
    let hls = decoded(url(1, "cam1/index.m3u8"), 2);
    let (flv, hls, ()) = tokio::try_join!(flv, hls, run(&mut bots, Duration::from_secs(5)))?;
    assert_even("FLV of the other's", &flv.0, 29);
    assert_even("HLS of the other's", &hls.0, 29);
    assert!(flv.1 > 80 && hls.1 > 80, "sound: {}, {}", flv.1, hls.1);

    let path = format!("recordings/{}", recording["id"].as_str().context("id")?);
    let files = stopped(&workers[0], &path, &mut bots).await?;
    let folder = workers[0].folder().join("data").join(&path);
    let codec = |file: &Value, track: usize| file["tracks"][track]["codecs"].clone();
    // An ingest's own frames here, and what the room has of it there.
    for (stream, sound_codec) in [("cam1", "mp4a.40.2"), ("cam2", "opus")] {
        let name = format!("{stream}-00000.mp4");
        let found = files.iter().find(|file| file["name"] == name.as_str());
        let found = found.with_context(|| format!("{files:?}"))?;
        assert_eq!(codec(found, 1), sound_codec);
        let file = folder.join(name).to_str().context("a path")?.to_owned();
        let (pictures, sound) = decoded(file, 60).await?;
        assert_even(stream, &pictures, 60);
        assert!(sound > 150, "{stream}: {sound} frames of sound");
    }
    assert_eq!(files.len(), 2, "{files:?}");
    Ok(())
}
