//! Many players of one stream that cost next to nothing themselves: they connect, ask, and throw
//! away what comes. What a server spends on each is told from its process.
//!
//! They speak just enough RTMP (and HTTP) to be served, share no code with any server, and read in
//! turns: all that has come since the last turn, a few times a second.
#![allow(
    clippy::disallowed_methods,
    reason = "real sockets are emptied in real time, on a thread of its own"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often sockets are emptied: what comes in between fits their buffers at many Mb/s.
const TURN: Duration = Duration::from_millis(40);
const BUFFER: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of the handshake's blocks, and of chunks before anybody says otherwise.
const BLOCK: usize = 1_536;
const CHUNK: usize = 128;
const COMMAND: u8 = 20;

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// RTMP: application and stream key.
    Rtmp {
        /// The application: the path.
        app: String,
        /// The stream key.
        key: String,
    },
    /// HTTP: a path with its query.
    Http {
        /// The path.
        path: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Players that were served to the end.
    pub players: usize,
    /// Seconds that were measured.
    pub seconds: f64,
    /// The rate of the player that got least, and of the one in the middle, in kb/s.
    pub least_kbps: f64,
    /// See above.
    pub median_kbps: f64,
    /// Seconds of processor time that the server took meanwhile.
    pub server_cpu_s: f64,
}

impl Figures {
    /// What one player costs the server, in percent of one core.
    #[must_use]
    pub fn percent_per_player(&self) -> f64 {
        let players = f64::from(u32::try_from(self.players.max(1)).unwrap_or(u32::MAX));
        100.0 * self.server_cpu_s / self.seconds / players
    }
}

struct Player {
    socket: TcpStream,
    bytes: u64,
    open: bool,
}

/// Connects `count` players, lets them run for `warm`, and measures for `measure`.
///
/// # Errors
/// A server that lets nobody in, or players that it loses.
pub fn play(
    address: SocketAddr,
    source: &Source,
    count: usize,
    (warm, measure): (Duration, Duration),
    pid: u32,
) -> Result<Figures> {
    let mut players = Vec::with_capacity(count);
    for index in 0..count {
        let player = connect(address, source).with_context(|| format!("player {index}"))?;
        players.push(player);
    }
    let mut buffer = vec![0; BUFFER];
    drain(&mut players, &mut buffer, warm);
    players.iter_mut().for_each(|player| player.bytes = 0);
    let (started, before) = (Instant::now(), cpu_seconds(pid)?);
    drain(&mut players, &mut buffer, measure);
    let (seconds, after) = (started.elapsed().as_secs_f64(), cpu_seconds(pid)?);
    players.retain(|player| player.open);
    if players.len() < count {
        bail!("{} of {count} players were left", players.len());
    }
    let mut bytes: Vec<u64> = players.iter().map(|player| player.bytes).collect();
    bytes.sort_unstable();
    let kbps = |index: usize| {
        let bytes = bytes.get(index).copied().unwrap_or(0);
        f64::from(u32::try_from(bytes / 125).unwrap_or(u32::MAX)) / seconds
    };
    Ok(Figures {
        players: players.len(),
        seconds,
        least_kbps: kbps(0),
        median_kbps: kbps(players.len() / 2),
        server_cpu_s: after - before,
    })
}

/// Empties all sockets again and again.
fn drain(players: &mut [Player], buffer: &mut [u8], time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let turn = Instant::now();
        for player in players.iter_mut().filter(|player| player.open) {
            loop {
                match player.socket.read(buffer) {
                    Ok(0) => player.open = false,
                    Ok(count) => {
                        player.bytes += u64::try_from(count).unwrap_or(0);
                        if count == buffer.len() {
                            continue;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => player.open = false,
                }
                break;
            }
        }
        std::thread::sleep(TURN.saturating_sub(turn.elapsed()));
    }
}

fn connect(address: SocketAddr, source: &Source) -> Result<Player> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    match source {
        Source::Rtmp { app, key } => ask_rtmp(&mut socket, app, key)?,
        Source::Http { path } => {
            let ask = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            socket.write_all(ask.as_bytes())?;
            let mut status = [0; 12];
            socket.read_exact(&mut status)?;
            if !status.ends_with(b"200") {
                bail!("the server answers {}", String::from_utf8_lossy(&status));
            }
        }
    }
    socket.set_nonblocking(true)?;
    Ok(Player {
        socket,
        bytes: 0,
        open: true,
    })
}

/// The handshake, and all commands at once: every server gives the first stream the number 1.
fn ask_rtmp(socket: &mut TcpStream, app: &str, key: &str) -> Result<()> {
    let mut hello = vec![3];
    hello.resize(1 + BLOCK, 0);
    socket.write_all(&hello)?;
    let mut theirs = vec![0; 1 + 2 * BLOCK];
    socket.read_exact(&mut theirs)?;
    let mut out = theirs.get(1..=BLOCK).unwrap_or_default().to_vec();
    let object = [("app", app), ("tcUrl", &format!("rtmp://host/{app}"))];
    let mut connect = command("connect", 1.0);
    connect.push(3);
    for (name, value) in object {
        connect.extend(length(name));
        connect.extend(name.as_bytes());
        text(&mut connect, value);
    }
    connect.extend([0, 0, 9]);
    message(&mut out, 0, &connect);
    let mut create = command("createStream", 2.0);
    create.push(5);
    message(&mut out, 0, &create);
    let mut play = command("play", 3.0);
    play.push(5);
    text(&mut play, key);
    message(&mut out, 1, &play);
    socket.write_all(&out)?;
    Ok(())
}

/// A string of AMF0.
fn text(out: &mut Vec<u8>, value: &str) {
    out.push(2);
    out.extend(length(value));
    out.extend(value.as_bytes());
}

fn length(value: &str) -> [u8; 2] {
    u16::try_from(value.len()).unwrap_or(0).to_be_bytes()
}

fn command(name: &str, transaction: f64) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, name);
    out.push(0);
    out.extend(transaction.to_be_bytes());
    out
}

/// A message on chunk stream 3, cut into chunks.
fn message(out: &mut Vec<u8>, stream: u32, body: &[u8]) {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    out.extend([3, 0, 0, 0, a, b, c, COMMAND]);
    out.extend(stream.to_le_bytes());
    for (index, chunk) in body.chunks(CHUNK).enumerate() {
        if index > 0 {
            out.push(0xc3);
        }
        out.extend(chunk);
    }
}

/// Processor time of a process so far: proc(5), fields 14 and 15.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').context("no process")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |index: usize| -> Result<f64> {
        let text = fields.get(index).context("a short line")?;
        Ok(text.parse::<f64>()?)
    };
    // Ticks of 100 a second, on every Linux there is.
    Ok((field(11)? + field(12)?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_into_chunks() {
        let mut out = Vec::new();
        message(&mut out, 1, &[7; 300]);
        assert_eq!(out.len(), 12 + 300 + 2);
        assert_eq!(out[..12], [3, 0, 0, 0, 0, 1, 44, 20, 1, 0, 0, 0]);
        assert_eq!((out[12 + 128], out[12 + 128 + 129]), (0xc3, 0xc3));
    }

    #[test]
    fn cost_is_per_player() {
        let figures = Figures {
            players: 300,
            seconds: 10.0,
            least_kbps: 0.0,
            median_kbps: 0.0,
            server_cpu_s: 3.0,
        };
        assert!((figures.percent_per_player() - 0.1).abs() < 1e-9);
    }
}
