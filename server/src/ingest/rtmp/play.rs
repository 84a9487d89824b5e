//! A player: a live stream as RTMP messages, which all players of it share.
//!
//! Any publisher can be played. What an encoder sends is played as it came; what a browser sends is
//! put together from its packets, and its Opus goes through a codec process.
//!
//! A player on a plain socket is written to by the fan-out of its stream, and its connection sees
//! to what the socket does not take. Others (TLS, QUIC) read what comes and write it themselves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use media_egress::mux::Chunk;
use media_ingest::rtmp::Refusal;
use signaling::RpcError;
use tokio::net::TcpStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::RtmpServer;
use super::key::StreamKey;
use super::publish::refusal;
use crate::auth::{Access, Standing, authorize};
use crate::egress::{Container, Joined, Line, LineEvent, Player as Count, Seat, Stream, tags};
use crate::ingest::metrics::Traffic;

/// Length of the header that an FLV file has before its first tag.
const FLV_HEADER: usize = 13;

/// One player on one connection.
pub(super) struct Player {
    stream: u32,
    container: Container,
    way: Way,
    /// While it lives the stream is packaged, and its place is taken.
    source: Stream,
    _seat: Seat,
}

type Join<T> = Pin<Box<dyn Future<Output = Result<T, RpcError>> + Send>>;

/// How messages reach the player.
enum Way {
    /// Its connection reads them, and writes them.
    Reader(Box<Reader>),
    /// They are written past its connection; with a future, from when that is ready.
    Line(Arc<Line>, Option<Join<()>>),
}

struct Reader {
    state: State,
    paused: bool,
    count: Count,
    standing: Standing,
}

enum State {
    /// Waiting for a keyframe.
    Joining(Join<Joined>),
    /// `behind`: what comes is no use before the next keyframe.
    Playing {
        chunks: Receiver<Chunk>,
        behind: bool,
    },
}

/// What a player gets next.
pub(super) enum Played {
    /// Messages.
    Bytes(Bytes),
    /// Messages wait in its line.
    Waiting,
    /// Its socket takes nothing any more.
    Broken,
    /// The publisher has gone.
    Ended,
}

impl Player {
    /// Judges the token and joins the stream, at the group of pictures that is going on. With a
    /// socket, that is what it is written to.
    pub(super) async fn open(
        server: &RtmpServer,
        stream: u32,
        key: &StreamKey,
        (socket, traffic): (Option<&Arc<TcpStream>>, &Traffic),
    ) -> Result<Self, Refusal> {
        let unauthorized = |_| Refusal::Unauthorized;
        let claims = server
            .auth
            .judge(&key.token, Access::Play, server.clock.unix());
        let claims = claims.map_err(unauthorized)?;
        authorize(&claims, Access::Play, &key.room).map_err(unauthorized)?;
        let seat = server.egress.admit().map_err(|error| refusal(&error))?;
        let source = server.egress.open(&key.room, &key.identity).await;
        let source = source.map_err(|error| refusal(&error))?;
        let clock = Arc::clone(&server.clock);
        let standing = server.auth.standing((&claims).into(), clock);
        let count = Count::new(Container::Rtmp.word());
        // What is made for the first message stream is shared; a client with several asks for more.
        let container = if stream == tags::STREAM {
            Container::Rtmp
        } else {
            Container::Flv
        };
        let way = match socket.filter(|_| container == Container::Rtmp) {
            Some(socket) => {
                let counted = (count, traffic.writer());
                let most = server.egress.waiting_max();
                let line = Arc::new(Line::new(Arc::clone(socket), most, standing, counted));
                let join = joining_line(&source, &line);
                Way::Line(line, Some(join))
            }
            None => Way::Reader(Box::new(Reader {
                state: joining(&source, container),
                paused: false,
                count,
                standing,
            })),
        };
        Ok(Self {
            stream,
            container,
            way,
            source,
            _seat: seat,
        })
    }

    pub(super) const fn stream(&self) -> u32 {
        self.stream
    }

    /// What its connection writes by, since others do so too.
    pub(super) const fn line(&self) -> Option<&Arc<Line>> {
        match &self.way {
            Way::Line(line, _) => Some(line),
            Way::Reader(_) => None,
        }
    }

    pub(super) fn pause(&mut self, paused: bool) {
        match &mut self.way {
            Way::Line(line, _) => line.pause(paused),
            Way::Reader(reader) => {
                reader.paused = paused;
                // What was missed is not made up: it begins again at a keyframe.
                if let State::Playing { behind, .. } = &mut reader.state {
                    *behind = true;
                }
            }
        }
    }

    /// The next messages. Nothing is lost when it is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Played {
        match &mut self.way {
            Way::Line(line, join) => next_of_line(line, join, &self.source).await,
            Way::Reader(reader) => {
                let parts = match reader.next(&self.source, self.container).await {
                    Some(parts) => parts,
                    None => return Played::Ended,
                };
                Played::Bytes(self.wrapped(parts))
            }
        }
    }

    /// What is not made of messages of this player's stream yet becomes such.
    fn wrapped(&self, mut parts: Vec<Bytes>) -> Bytes {
        if self.container == Container::Flv {
            if let Some(first) = parts.first_mut().filter(|first| first.starts_with(b"FLV")) {
                *first = first.slice(FLV_HEADER.min(first.len())..);
            }
            return tags::messages(&parts, self.stream);
        }
        match &parts[..] {
            [only] => only.clone(),
            _ => parts.concat().into(),
        }
    }
}

async fn next_of_line(line: &Arc<Line>, join: &mut Option<Join<()>>, source: &Stream) -> Played {
    loop {
        if let Some(joined) = join {
            if joined.await.is_err() {
                return Played::Ended;
            }
            *join = None;
        }
        match line.event().await {
            LineEvent::Waiting => return Played::Waiting,
            LineEvent::Broken => return Played::Broken,
            // The stream goes on in another way, or it has ended.
            LineEvent::Over if source.is_open() => *join = Some(joining_line(source, line)),
            LineEvent::Over | LineEvent::Revoked => return Played::Ended,
        }
    }
}

impl Reader {
    /// What comes next; `None` at the end.
    async fn next(&mut self, source: &Stream, container: Container) -> Option<Vec<Bytes>> {
        loop {
            match &mut self.state {
                State::Joining(joined) => {
                    let Joined { prelude, chunks } = joined.await.ok()?;
                    let behind = self.paused;
                    self.state = State::Playing { chunks, behind };
                    return Some(prelude);
                }
                State::Playing { chunks, behind } => match chunks.recv().await {
                    Ok(_) if self.standing.is_revoked() => return None,
                    Ok(chunk) if self.paused || *behind && !chunk.start => {}
                    Ok(chunk) => {
                        *behind = false;
                        self.count.sent(chunk.bytes.len());
                        return Some(vec![chunk.bytes]);
                    }
                    Err(RecvError::Lagged(_)) => {
                        *behind = true;
                        self.count.lagged();
                    }
                    // The stream goes on in another way, or it has ended.
                    Err(RecvError::Closed) if source.is_open() => {
                        self.state = joining(source, container);
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

fn joining(source: &Stream, container: Container) -> State {
    let source = source.clone();
    State::Joining(Box::pin(async move { source.join(container).await }))
}

fn joining_line(source: &Stream, line: &Arc<Line>) -> Join<()> {
    let (source, line) = (source.clone(), Arc::downgrade(line));
    Box::pin(async move { source.join_line(Container::Rtmp, line).await })
}
