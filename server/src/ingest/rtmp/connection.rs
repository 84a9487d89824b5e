//! One connection, from the first byte to the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media_ingest::IngestError;
use media_ingest::rtmp::{Connect, Refusal, Session, SessionConfig, SessionEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior};

use super::RtmpServer;
use super::key::StreamKey;
use super::play::{Played, Player};
use super::publish::Publisher;
use super::socket::SharedSocket;
use crate::egress::Line;
use crate::ingest::metrics;
use crate::live::IngestProtocol;

/// What one read takes: a keyframe in a few reads.
const READ_BYTES: usize = 64 * 1024;
/// How long a client may take nothing of what waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection looks whether its worker is being emptied.
const TICK: Duration = Duration::from_secs(1);
/// The longest pause in reading a source that runs ahead: it must not look dead.
const HOLD_MAX: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// TLS was not agreed on.
    Handshake,
    /// The client closed.
    Client,
    /// The client broke the protocol or its limits.
    Protocol(IngestError),
    /// The client was too slow to ask, or fell silent.
    Timeout,
    /// The client took nothing of what was sent.
    Stalled,
    /// What it asked for was refused.
    Refused,
    /// The room closed, the stream was taken over or ended.
    Closed,
}

impl Ended {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Client => "client",
            Self::Protocol(_) => "protocol",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Refused => "refused",
            Self::Closed => "closed",
        }
    }
}

impl From<IngestError> for Ended {
    fn from(error: IngestError) -> Self {
        if error == IngestError::Timeout {
            Self::Timeout
        } else {
            Self::Protocol(error)
        }
    }
}

/// What a connection is for.
enum Role {
    Undecided,
    Publisher(Box<Publisher>),
    Player(Box<Player>),
}

/// What came first.
enum Step {
    Read(std::io::Result<usize>),
    Tick,
    Closed,
    Played(Played),
}

struct Connection<'a, S> {
    server: &'a RtmpServer,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    session: Session,
    connect: Option<Connect>,
    role: Role,
    /// What a player may be written to by others.
    socket: Option<Arc<TcpStream>>,
    /// Until when nothing is read, because the source runs ahead.
    held: Option<Instant>,
    told_to_go: bool,
    /// Goes on while players are fed: a timer for each of their writes would cost more than those.
    ticks: Interval,
    traffic: metrics::Traffic,
}

/// Serves a client on a plain socket.
pub(super) async fn run_plain(server: &RtmpServer, socket: TcpStream) -> Ended {
    let socket = Arc::new(socket);
    run(server, SharedSocket(Arc::clone(&socket)), Some(socket)).await
}

/// Serves a client until it or we have enough. `socket` is what the stream writes to, unless it
/// changes what is written.
pub(super) async fn run<S>(server: &RtmpServer, stream: S, socket: Option<Arc<TcpStream>>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reader, writer) = tokio::io::split(stream);
    let config = SessionConfig {
        message_bytes_max: server.config.message_bytes_max,
        setup_timeout: server.config.setup_timeout,
        silence_timeout: server.config.silence_timeout,
        seed: u64::from(server.clock.unix().subsec_nanos()),
    };
    let mut connection = Connection {
        server,
        reader,
        writer,
        session: Session::new(server.clock.now(), config),
        connect: None,
        role: Role::Undecided,
        socket,
        held: None,
        told_to_go: false,
        ticks: ticks(server.clock.unix()),
        traffic: metrics::Traffic::new(),
    };
    let mut buffer = vec![0; READ_BYTES];
    let ended = loop {
        if let Err(ended) = connection.turn(&mut buffer).await {
            break ended;
        }
    };
    // The reason of a refusal is worth a last try.
    let _said = connection.flush().await;
    let _closed = tokio::time::timeout(TICK, connection.writer.shutdown()).await;
    ended
}

impl<S> Connection<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn turn(&mut self, buffer: &mut [u8]) -> Result<(), Ended> {
        self.flush().await?;
        let step = self.step(buffer).await;
        let now = self.server.clock.now();
        match step {
            Step::Read(Ok(0) | Err(_)) => return Err(Ended::Client),
            Step::Read(Ok(count)) => {
                self.traffic.read(count);
                let bytes = buffer.get(..count).unwrap_or_default();
                let read = self.session.handle_bytes(now, bytes);
                // What came before the error still counts.
                self.events().await?;
                read?;
            }
            Step::Tick => self.tick(now)?,
            Step::Closed => {
                self.refuse_current();
                return Err(Ended::Closed);
            }
            Step::Played(played) => self.played(played).await?,
        }
        Ok(())
    }

    async fn step(&mut self, buffer: &mut [u8]) -> Step {
        let now = self.server.clock.now();
        let held = self.held.filter(|until| *until > now);
        self.held = held;
        let next = [self.session.poll_timeout(), held]
            .into_iter()
            .flatten()
            .min();
        let tick = now.checked_add(TICK);
        let soon = next.filter(|next| tick.is_none_or(|tick| *next < tick));
        tokio::select! {
            biased;
            step = next_of(&mut self.role) => step,
            read = self.reader.read(buffer), if held.is_none() => Step::Read(read),
            _ = self.ticks.tick() => Step::Tick,
            () = until(soon) => Step::Tick,
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Ended> {
        // A source that we do not read is not silent.
        if self.held.is_none() {
            self.session.handle_timeout(now)?;
        }
        if self.server.health.is_draining() && !self.told_to_go {
            self.told_to_go = true;
            if self
                .connect
                .as_ref()
                .is_some_and(|connect| connect.reconnects)
            {
                self.session.request_reconnect(None);
            }
        }
        Ok(())
    }

    async fn events(&mut self) -> Result<(), Ended> {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Connected(connect) => self.connect = Some(connect),
                SessionEvent::Publish { stream, key } => self.publish(stream, &key).await?,
                SessionEvent::Play { stream, key } => self.play(stream, &key).await?,
                SessionEvent::Media { tag, .. } => {
                    if let Role::Publisher(publisher) = &mut self.role {
                        publisher.tag(&*self.server.clock, &tag).await;
                        let hold = publisher.hold().map(|hold| hold.min(HOLD_MAX));
                        let now = self.server.clock.now();
                        self.held = hold.and_then(|hold| now.checked_add(hold));
                    }
                }
                // What it says is found in the stream itself, and believed there.
                SessionEvent::Metadata { .. } => {}
                SessionEvent::Paused { paused, .. } => {
                    if let Role::Player(player) = &mut self.role {
                        player.pause(paused);
                    }
                }
                SessionEvent::Ended { .. } => {
                    if let Role::Publisher(publisher) =
                        std::mem::replace(&mut self.role, Role::Undecided)
                    {
                        publisher.finish();
                    }
                }
            }
        }
        Ok(())
    }

    async fn publish(&mut self, stream: u32, key: &str) -> Result<(), Ended> {
        let asked = match self.key(key) {
            Some(key) => Publisher::open(self.server, stream, key, IngestProtocol::Rtmp).await,
            None => Err(Refusal::BadName),
        };
        let publisher = asked.map_err(|refusal| self.refuse(stream, refusal))?;
        self.session.accept(self.server.clock.now(), stream)?;
        self.role = Role::Publisher(Box::new(publisher));
        Ok(())
    }

    async fn play(&mut self, stream: u32, key: &str) -> Result<(), Ended> {
        let asked = match self.key(key) {
            Some(key) => {
                let way = (self.socket.as_ref(), &self.traffic);
                Player::open(self.server, stream, &key, way).await
            }
            None => Err(Refusal::BadName),
        };
        let player = asked.map_err(|refusal| self.refuse(stream, refusal))?;
        self.session.accept(self.server.clock.now(), stream)?;
        self.role = Role::Player(Box::new(player));
        Ok(())
    }

    /// The key with what the connection said before; nothing where something runs already.
    fn key(&self, key: &str) -> Option<StreamKey> {
        let connect = self.connect.as_ref()?;
        let free = matches!(self.role, Role::Undecided);
        StreamKey::read(&connect.app, connect.query.as_deref(), key).filter(|_| free)
    }

    fn refuse(&mut self, stream: u32, refusal: Refusal) -> Ended {
        metrics::refused(match refusal {
            Refusal::Unauthorized => "unauthorized",
            Refusal::BadName => "bad_name",
            Refusal::NotFound => "not_found",
            Refusal::Unavailable => "unavailable",
        });
        self.session.reject(stream, refusal);
        Ended::Refused
    }

    /// Says that what runs is over.
    fn refuse_current(&mut self) {
        match &self.role {
            Role::Publisher(publisher) => {
                self.session
                    .reject(publisher.stream(), Refusal::Unavailable);
            }
            Role::Player(player) => self.session.end_play(player.stream()),
            Role::Undecided => {}
        }
    }

    async fn played(&mut self, played: Played) -> Result<(), Ended> {
        match played {
            Played::Bytes(bytes) => self.write(bytes).await,
            Played::Waiting => self.drain().await,
            Played::Broken => Err(Ended::Client),
            Played::Ended => {
                self.refuse_current();
                Err(Ended::Closed)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        match self.session.poll_transmit() {
            Some(bytes) => self.write(bytes).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Ended> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(line) = self.line() {
            line.say(bytes);
            return self.drain().await;
        }
        self.traffic.written(bytes.len());
        let written = tokio::time::timeout(WRITE_TIMEOUT, self.writer.write_all(&bytes)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Client),
            Err(_) => Err(Ended::Stalled),
        }
    }
}

impl<S> Connection<'_, S> {
    /// What a player's messages go by where others write to its socket, too.
    fn line(&self) -> Option<&Arc<Line>> {
        match &self.role {
            Role::Player(player) => player.line(),
            Role::Undecided | Role::Publisher(_) => None,
        }
    }

    /// Writes what waits in the line.
    async fn drain(&mut self) -> Result<(), Ended> {
        match self.line().map(Arc::clone) {
            Some(line) if !line.drain(WRITE_TIMEOUT).await => Err(Ended::Stalled),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whole seconds of the wall clock, for all connections: they wake their thread once for all.
fn ticks(unix: Duration) -> Interval {
    let passed = Duration::from_nanos(unix.subsec_nanos().into());
    let first = tokio::time::Instant::now() + TICK.saturating_sub(passed);
    let mut ticks = tokio::time::interval_at(first, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// What happens to the stream behind a connection.
async fn next_of(role: &mut Role) -> Step {
    match role {
        Role::Undecided => std::future::pending().await,
        Role::Publisher(publisher) => {
            publisher.closed().await;
            Step::Closed
        }
        Role::Player(player) => Step::Played(player.next().await),
    }
}
