//! The codec process as seen from outside the server: an encoder with B-frames by RTMP, a browser's
//! protocol at the other end, and the real processes between them.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use loadtest::Signalling;
use media_ingest::flv::{Tag, TagKind};
use media_ingest::rtmp::{Client, ClientEvent, ClientGoal};
use serde_json::json;
use str0m::change::SdpAnswer;
use str0m::format::CodecExtra;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

mod support;
use support::Server;

const ROOM: &str = "studio";
/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
/// Of the source, which is stopped when enough was seen.
const SECONDS: u32 = 40;
/// What is aimed at fails at five times as much: other tests run beside this one.
const SLACK: u32 = 5;
const KEYFRAME_MAX: Duration = Duration::from_millis(100);

/// 360p at 30 pictures a second and 1.2 Mb/s, three B-frames in a row, and one keyframe: all others
/// are asked for.
fn source() -> Result<Vec<Tag>> {
    let words = format!(
        "-v error -f lavfi -i testsrc2=s=640x360:r=30:d={SECONDS} -c:v libx264 -preset veryfast \
         -bf 3 -g 900 -sc_threshold 0 -b:v 1200k -maxrate 1200k -bufsize 600k -pix_fmt yuv420p \
         -f flv -"
    );
    let made = Command::new("ffmpeg")
        .args(words.split_whitespace())
        .output()?;
    ensure!(made.status.success(), "ffmpeg made nothing");
    let mut rest = made.stdout.get(13..).context("a file")?;
    let mut tags = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<11>() {
        let [kind, s0, s1, s2, t0, t1, t2, high, ..] = *head;
        let size = usize::try_from(u32::from_be_bytes([0, s0, s1, s2]))?;
        let (body, tail) = tail.split_at_checked(size).context("a body")?;
        rest = tail.get(4..).context("a size")?;
        if kind == 9 {
            tags.push(Tag {
                kind: TagKind::Video,
                timestamp: u32::from_be_bytes([high, t0, t1, t2]),
                data: Bytes::copy_from_slice(body),
            });
        }
    }
    Ok(tags)
}

/// An encoder that sends its tags as they are due.
async fn publish(port: u16, key: String, tags: Vec<Tag>, began: watch::Sender<bool>) -> Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let url = format!("rtmp://localhost/{ROOM}");
    let mut client = Client::new(ClientGoal::Publish, &url, &key, 1);
    let mut buffer = vec![0; 4_096];
    loop {
        if let Some(bytes) = client.poll_transmit() {
            socket.write_all(&bytes).await?;
        }
        match client.poll_event() {
            Some(ClientEvent::Started) => break,
            Some(ClientEvent::Refused(code)) => bail!("refused: {code}"),
            Some(_) => continue,
            None => {}
        }
        let count = timeout(LONG, socket.read(&mut buffer)).await??;
        ensure!(count > 0, "the server closed");
        client.handle_bytes(buffer.get(..count).unwrap_or_default())?;
    }
    let start = Instant::now();
    for tag in tags {
        sleep_until(start + Duration::from_millis(tag.timestamp.into())).await;
        client.send(&tag);
        if let Some(bytes) = client.poll_transmit() {
            socket.write_all(&bytes).await?;
        }
        began.send_replace(true);
    }
    Ok(())
}

/// A picture that came.
struct Seen {
    keyframe: bool,
    bytes: usize,
}

struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    video: Option<Mid>,
    seen: Vec<Seen>,
}

impl Viewer {
    async fn join(server: &Server, token: &str) -> Result<(Self, Signalling)> {
        let socket = StdUdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let address = socket.local_addr()?;
        let mut rtc = Rtc::builder().build(Instant::now().into_std());
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut changes = rtc.sdp_api();
        let video = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().context("an offer")?;
        let mut signalling = Signalling::connect(&server.signalling()).await?;
        signalling
            .request("join", json!({ "token": token }))
            .await?;
        let offer = json!({ "sdp": offer.to_sdp_string(), "tracks": [] });
        let answer = signalling.request("offer", offer).await?;
        let answer = answer["sdp"].as_str().context("an answer")?;
        rtc.sdp_api()
            .accept_answer(pending, SdpAnswer::from_sdp_string(answer)?)?;
        let viewer = Self {
            rtc,
            socket,
            address,
            video: Some(video),
            seen: Vec::new(),
        };
        Ok((viewer, signalling))
    }

    /// Watches until that is so, or the time has come.
    async fn watch(&mut self, end: Instant, done: impl Fn(&[Seen]) -> bool) -> Result<()> {
        let mut buffer = vec![0; 2_048];
        loop {
            let wake = self.drain().await?;
            if done(&self.seen) || Instant::now() >= end {
                return Ok(());
            }
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (count, source) = received?;
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let receive = Receive::new(Protocol::Udp, source, self.address, bytes)?;
                    let now = Instant::now().into_std();
                    self.rtc.handle_input(Input::Receive(now, receive))?;
                }
                () = sleep_until(wake.min(end)) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now().into_std()))?;
                }
            }
        }
    }

    async fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at.into()),
                Output::Transmit(transmit) => {
                    let to = transmit.destination;
                    self.socket.send_to(&transmit.contents, to).await?;
                }
                Output::Event(Event::MediaData(data)) => self.seen.push(seen(&data)),
                Output::Event(_) => {}
            }
        }
    }

    /// Asks for a keyframe; how long it takes to come.
    async fn keyframe(&mut self) -> Result<Duration> {
        let mid = self.video.context("a picture")?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx_by_mid(mid, None).context("a stream")?;
        stream.request_keyframe(KeyframeRequestKind::Pli);
        let (asked, before) = (Instant::now(), self.seen.len());
        let came = |seen: &[Seen]| seen.iter().skip(before).any(|picture| picture.keyframe);
        self.watch(asked + LONG, came).await?;
        ensure!(came(&self.seen), "no keyframe came");
        Ok(asked.elapsed())
    }

    /// Bits a second that came of the last so many pictures of 30 a second.
    fn rate(&self, pictures: usize) -> usize {
        let last = self.seen.iter().rev().take(pictures);
        8 * 30 * last.map(|picture| picture.bytes).sum::<usize>() / pictures
    }
}

fn seen(data: &MediaData) -> Seen {
    let keyframe = matches!(&data.codec_extra, CodecExtra::H264(extra) if extra.is_keyframe);
    Seen {
        keyframe,
        bytes: data.data.len(),
    }
}

#[tokio::test]
async fn a_viewer_gets_keyframes_and_bitrates_of_a_codec_process_in_time() -> Result<()> {
    let tags = tokio::task::spawn_blocking(source).await??;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let listen = format!("127.0.0.1:{port}");
    let server = Server::start(&[("TROUPE_RTMP__LISTEN", listen.as_str())]).await?;
    let ingest = ingest_token()?;
    let (began, mut begun) = watch::channel(false);
    let publishing = tokio::spawn(publish(port, format!("cam?token={ingest}"), tags, began));
    timeout(LONG, begun.wait_for(|begun| *begun)).await??;
    let token = server.token(ROOM, "viewer").await?;
    let (mut viewer, _signalling) = Viewer::join(&server, &token).await?;
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
    publishing.abort();
    println!("keyframes after {waits:?}; {before} b/s, then {after}");
    ensure!(
        waits.iter().all(|wait| *wait < SLACK * KEYFRAME_MAX),
        "{waits:?}"
    );
    ensure!(before > 800_000 && after < 400_000, "{before} b/s, {after}");
    Ok(())
}

fn ingest_token() -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["token", "--dev", "--room", ROOM, "--identity", "cam"])
        .args(["--grant", "ingest"])
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
