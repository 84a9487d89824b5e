//! An encoder: pictures that say which they are, sent by RTMP as they are due.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use media_ingest::flv::{Tag, TagKind};
use media_ingest::rtmp::{Client, ClientEvent, ClientGoal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use super::LONG;
use crate::support::Server;

/// A picture carries its number in so many squares, the lowest bit first; white is one.
const BITS: usize = 9;
/// Pixels of the side of such a square.
const SQUARE: usize = 32;
/// Pixels above the squares, which lie at the left.
const ABOVE: usize = 320;

/// 360p at 30 pictures a second and 1.2 Mb/s with so many B-frames in a row, and one keyframe: all
/// others are asked for.
pub(crate) async fn made(seconds: u32, b_frames: u32) -> Result<Vec<Tag>> {
    spawn_blocking(move || tags(seconds, b_frames)).await?
}

fn tags(seconds: u32, b_frames: u32) -> Result<Vec<Tag>> {
    let words = format!(
        "-v error -f lavfi -i testsrc2=s=640x360:r=30:d={seconds} -vf {} -c:v libx264 -preset \
         veryfast -bf {b_frames} -g 900 -sc_threshold 0 -b:v 1200k -maxrate 1200k -bufsize 600k \
         -pix_fmt yuv420p -f flv -",
        numbers()?
    );
    let file = ffmpeg(&words)?;
    let mut rest = file.get(13..).context("a file")?;
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

/// The filters that write a picture's number into it.
fn numbers() -> Result<String> {
    let width = BITS * SQUARE;
    let mut filters = format!("drawbox=0:{ABOVE}:{width}:{SQUARE}:black:fill");
    for bit in 0..BITS {
        let (left, worth) = (bit * SQUARE, 1 << bit);
        write!(
            filters,
            ",drawbox={left}:{ABOVE}:{SQUARE}:{SQUARE}:white:fill:\
             enable='mod(floor(n/{worth}),2)'"
        )?;
    }
    Ok(filters)
}

/// The numbers that the pictures of an H.264 stream show, once they are decoded.
pub(crate) async fn shown(stream: Vec<u8>) -> Result<Vec<usize>> {
    spawn_blocking(move || {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(&file, stream)?;
        let words = format!(
            "-v error -f h264 -i {} -vf crop={}:{SQUARE}:0:{ABOVE} -f rawvideo -pix_fmt gray \
             -fps_mode passthrough -",
            file.path().display(),
            BITS * SQUARE
        );
        let pixels = ffmpeg(&words)?;
        let pictures = pixels.chunks_exact(BITS * SQUARE * SQUARE);
        Ok(pictures.map(number).collect())
    })
    .await?
}

fn number(pixels: &[u8]) -> usize {
    let middle = pixels.chunks(BITS * SQUARE).nth(SQUARE / 2);
    let squares = middle.unwrap_or_default().chunks(SQUARE).enumerate();
    let white = squares.filter(|(_, row)| row.get(SQUARE / 2).is_some_and(|grey| *grey > 127));
    white.map(|(bit, _)| 1 << bit).sum()
}

fn ffmpeg(words: &str) -> Result<Vec<u8>> {
    let made = Command::new("ffmpeg")
        .args(words.split_whitespace())
        .output()?;
    ensure!(made.status.success(), "ffmpeg made nothing");
    Ok(made.stdout)
}

/// A server that takes RTMP, and the port of it.
pub(crate) async fn server() -> Result<(Server, u16)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let listen = format!("127.0.0.1:{port}");
    let server = Server::start(&[("TROUPE_RTMP__LISTEN", listen.as_str())]).await?;
    Ok((server, port))
}

/// An encoder that sends; it stops when dropped.
pub(crate) struct Publisher {
    /// When each tag's last byte was given to the socket.
    pub(crate) pushed: watch::Receiver<Vec<Instant>>,
    _sending: JoinSet<Result<()>>,
}

impl Publisher {
    /// Sends the tags into a room as they are due; the first was sent.
    pub(crate) async fn start(port: u16, room: &str, tags: Vec<Tag>) -> Result<Self> {
        let (told, mut pushed) = watch::channel(Vec::new());
        let mut sending = JoinSet::new();
        sending.spawn(publish(port, room.to_owned(), tags, told));
        timeout(LONG, pushed.wait_for(|pushed| !pushed.is_empty())).await??;
        Ok(Self {
            pushed,
            _sending: sending,
        })
    }
}

async fn publish(
    port: u16,
    room: String,
    tags: Vec<Tag>,
    pushed: watch::Sender<Vec<Instant>>,
) -> Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let url = format!("rtmp://localhost/{room}");
    let key = format!("cam?token={}", ingest_token(&room)?);
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
        while let Some(bytes) = client.poll_transmit() {
            socket.write_all(&bytes).await?;
        }
        pushed.send_modify(|pushed| pushed.push(Instant::now()));
    }
    Ok(())
}

fn ingest_token(room: &str) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["token", "--dev", "--room", room, "--identity", "cam"])
        .args(["--grant", "ingest"])
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
