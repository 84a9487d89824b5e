//! A player: a live stream as RTMP messages, which all players of it share.
//!
//! Any publisher can be played. What an encoder sends is played as it came; what a browser sends is
//! put together from its packets, and its Opus goes through a codec process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use media_egress::mux::Chunk;
use media_ingest::rtmp::Refusal;
use signaling::RpcError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::RtmpServer;
use super::key::StreamKey;
use super::publish::refusal;
use crate::auth::{Access, Standing, authorize};
use crate::egress::{Container, Joined, Player as Count, Seat, Stream, tags};

/// Length of the header that an FLV file has before its first tag.
const FLV_HEADER: usize = 13;

/// One player on one connection.
pub(super) struct Player {
    stream: u32,
    container: Container,
    state: State,
    paused: bool,
    count: Count,
    standing: Standing,
    /// While it lives the stream is packaged, and its place is taken.
    source: Stream,
    _seat: Seat,
}

enum State {
    /// Waiting for a keyframe.
    Joining(Pin<Box<dyn Future<Output = Result<Joined, RpcError>> + Send>>),
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
    /// The publisher has gone.
    Ended,
}

impl Player {
    /// Judges the token and joins the stream, at the group of pictures that is going on.
    pub(super) async fn open(
        server: &RtmpServer,
        stream: u32,
        key: &StreamKey,
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
        // What is made for the first message stream is shared; a client with several asks for more.
        let container = if stream == tags::STREAM {
            Container::Rtmp
        } else {
            Container::Flv
        };
        Ok(Self {
            stream,
            container,
            state: joining(&source, container),
            paused: false,
            count: Count::new(Container::Rtmp.word()),
            standing: server
                .auth
                .standing((&claims).into(), Arc::clone(&server.clock)),
            source,
            _seat: seat,
        })
    }

    pub(super) const fn stream(&self) -> u32 {
        self.stream
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        // What was missed is not made up: it begins again at a keyframe.
        if let State::Playing { behind, .. } = &mut self.state {
            *behind = true;
        }
    }

    /// The next messages. Nothing is lost when it is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Played {
        loop {
            match &mut self.state {
                State::Joining(joined) => match joined.await {
                    Ok(Joined { prelude, chunks }) => {
                        let behind = self.paused;
                        self.state = State::Playing { chunks, behind };
                        return Played::Bytes(self.wrapped(prelude));
                    }
                    Err(_) => return Played::Ended,
                },
                State::Playing { chunks, behind } => match chunks.recv().await {
                    Ok(_) if self.standing.is_revoked() => return Played::Ended,
                    Ok(chunk) if self.paused || *behind && !chunk.start => {}
                    Ok(chunk) => {
                        *behind = false;
                        self.count.sent(chunk.bytes.len());
                        return Played::Bytes(self.wrapped(vec![chunk.bytes]));
                    }
                    Err(RecvError::Lagged(_)) => {
                        *behind = true;
                        self.count.lagged();
                    }
                    // The stream goes on in another way, or it has ended.
                    Err(RecvError::Closed) if self.source.is_open() => {
                        self.state = joining(&self.source, self.container);
                    }
                    Err(RecvError::Closed) => return Played::Ended,
                },
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

fn joining(source: &Stream, container: Container) -> State {
    let source = source.clone();
    State::Joining(Box::pin(async move { source.join(container).await }))
}
