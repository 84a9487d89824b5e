//! The WebSocket of signalling; the only user of `actix-web-actors`.
//!
//! A socket lives and dies with its connection and is never restarted: what must survive it is the
//! peer's. It is polled only while the kernel takes what it writes, so a client that does not read
//! makes the [`OutQueue`] fill up, and a peer that does not keep up stops the reading.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix::fut::{ActorFuture, ActorFutureExt, WrapFuture};
use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use serde::Deserialize;
use signaling::client_message::{JoinParams, TimeParams};
use signaling::limits::FRAME_BYTES_MAX;
use signaling::server_message::TimeResult;
use signaling::version::{SUBPROTOCOL, negotiate};
use signaling::view::CloseReason;
use signaling::{
    ClientMessage, ErrorType, Incoming, Outgoing, ParseFailure, Reply, RequestId, RpcError, Secret,
};

use super::auth::{bearer, may_enter};
use super::ice_servers;
use super::outbox::OutQueue;
use super::problem::ApiError;
use super::rooms::{Joined, SessionHandle};
use super::state::AppState;
use super::throttle::{Bucket, Malformed};
use crate::telemetry::{Direction, Limit, limited, signaling as figures};

mod admit;
mod backlog;
mod close;
mod fragments;
mod heartbeat;
mod ping;

use fragments::Fragments;

/// Frames above the protocol's limit get an error; above this the socket is closed with 1009.
const CODEC_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// How long the client may take to answer our close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
const _: () = assert!(CODEC_BYTES_MAX > FRAME_BYTES_MAX);

/// What may stand in the URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SocketQuery {
    /// The room, where the token is for many.
    room: Option<String>,
}

/// Upgrades to a WebSocket.
pub(super) async fn open(
    state: web::Data<AppState>,
    request: HttpRequest,
    query: web::Query<SocketQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    may_enter(&state, &request)?;
    if let Some(offered) = request.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        let offered = offered.to_str().unwrap_or_default();
        let detail = "the subprotocol is troupe.v1";
        negotiate(offered).ok_or_else(|| ApiError::detailed(ErrorType::Unsupported, detail))?;
    }
    let token = bearer(&request);
    let socket = Socket::new(state, query.into_inner(), token);
    ws::WsResponseBuilder::new(socket, &request, payload)
        .protocols(&[SUBPROTOCOL])
        .frame_size(CODEC_BYTES_MAX)
        .start()
}

enum Phase {
    /// Waits for `join`.
    Handshaking,
    /// The room has been asked.
    Joining,
    /// In the room.
    Active(SessionHandle),
    /// A close frame is out.
    Closing,
}

struct Socket {
    state: web::Data<AppState>,
    query: SocketQuery,
    token: Option<Secret>,
    out: Arc<OutQueue>,
    phase: Phase,
    opened: Instant,
    bucket: Bucket,
    malformed: Malformed,
    /// What a joining or full peer has not taken yet.
    backlog: VecDeque<Incoming>,
    retrying: bool,
    stalled: Option<Instant>,
    fragments: Fragments,
    figures: figures::Connection,
    _counted: heartbeat::Counted,
    /// How much longer than by the settings the client may be silent.
    longer: Duration,
}

type SocketContext = ws::WebsocketContext<Socket>;

impl Actor for Socket {
    type Context = SocketContext;

    fn started(&mut self, ctx: &mut SocketContext) {
        ctx.spawn(Drain(Arc::clone(&self.out)));
        let limit = self.state.config.session.join_timeout;
        ctx.run_later(limit, |socket, _| {
            if matches!(socket.phase, Phase::Handshaking) {
                limited(Limit::JoinTimeout);
                socket.out.end(CloseReason::HandshakeTimeout);
            }
        });
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.out.gone();
    }
}

impl Socket {
    fn new(state: web::Data<AppState>, query: SocketQuery, token: Option<Secret>) -> Self {
        let now = state.clock.now();
        let session = &state.config.session;
        let out = OutQueue::new(session.out_messages_max, session.out_bytes_max);
        let bucket = Bucket::new(session.messages_per_second, session.messages_burst, now);
        Self {
            state,
            query,
            token,
            out: Arc::new(out),
            phase: Phase::Handshaking,
            opened: now,
            bucket,
            malformed: Malformed::default(),
            backlog: VecDeque::new(),
            retrying: false,
            stalled: None,
            fragments: Fragments::default(),
            figures: figures::Connection::open(),
            _counted: heartbeat::Counted::new(),
            longer: Duration::ZERO,
        }
    }

    fn now(&self) -> Instant {
        self.state.clock.now()
    }

    fn receive(&mut self, text: &str, ctx: &mut SocketContext) {
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        self.figures.frames(Direction::In, 1);
        let now = self.now();
        let passed = self.bucket.take(now);
        let is_free = !matches!(self.phase, Phase::Joining);
        if let (Ok(()), true) = (passed, is_free)
            && let Some(pong) = ping::answer(text)
        {
            return self.pong(now, pong, ctx);
        }
        match (signaling::parse(text), passed) {
            (Err(failure), _) => self.refuse(&failure, ctx),
            (Ok(incoming), Ok(())) => self.handle(incoming, ctx),
            (Ok(incoming), Err(wait)) => {
                limited(Limit::Messages);
                let error = RpcError::new(ErrorType::RateLimited).retry_after(wait);
                self.answer(incoming.id, Err(error), ctx);
            }
        }
    }

    /// Answers a ping; a peer that has gone without a word is noticed here.
    fn pong(&mut self, now: Instant, pong: String, ctx: &mut SocketContext) {
        self.figures.pinged();
        self.write(pong, ctx);
        if let Phase::Active(session) = &self.phase {
            self.out.heard_at(now + self.longer);
            if session.is_over() {
                self.out.end(CloseReason::Internal);
            }
        }
    }

    fn write(&self, text: String, ctx: &mut SocketContext) {
        self.figures.frames(Direction::Out, 1);
        ctx.text(text);
    }

    /// Answers a request from here; a notification gets none.
    fn answer(
        &self,
        id: Option<RequestId>,
        result: Result<Reply, RpcError>,
        ctx: &mut SocketContext,
    ) {
        if let Some(id) = id {
            self.write(Outgoing::answer(id, result).to_text(), ctx);
        }
    }

    /// Answers what cannot be understood; too much of what is no request at all ends the socket.
    fn refuse(&mut self, failure: &ParseFailure, ctx: &mut SocketContext) {
        self.write(failure.to_text(), ctx);
        let understood = matches!(
            failure.error.kind(),
            ErrorType::MethodNotFound | ErrorType::InvalidParams
        );
        if !understood && self.malformed.count(self.now()) {
            limited(Limit::Malformed);
            self.out.end(CloseReason::Malformed);
        }
    }

    fn handle(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        match self.phase {
            Phase::Handshaking => self.handle_stranger(incoming, ctx),
            Phase::Joining => self.put_aside(incoming, ctx),
            Phase::Active(_) => self.handle_member(incoming, ctx),
            Phase::Closing => {}
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "whatever is new needs a join first"
    )]
    fn handle_stranger(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        figures::request(incoming.message.method());
        match incoming.message {
            ClientMessage::Join(mut params) => {
                params.traceparent = incoming.traceparent;
                self.join(incoming.id, params, ctx);
            }
            ClientMessage::Ping(_) => self.answer(incoming.id, Ok(Reply::EMPTY), ctx),
            ClientMessage::Leave(_) => {
                self.answer(incoming.id, Ok(Reply::EMPTY), ctx);
                self.finish(None, ctx);
            }
            _ => self.answer(incoming.id, Err(ErrorType::NotJoined.into()), ctx),
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "whatever is new is the peer's"
    )]
    fn handle_member(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        figures::request(incoming.message.method());
        match incoming.message {
            ClientMessage::Join(_) => {
                self.answer(incoming.id, Err(ErrorType::Conflict.into()), ctx)
            }
            // Answered here, where no queue falsifies it.
            ClientMessage::Time(TimeParams { t0 }) => {
                let now = self.state.unix().as_secs_f64() * 1_000.0;
                let result = TimeResult {
                    t0,
                    t1: now,
                    t2: now,
                };
                self.answer(incoming.id, Ok(result.into()), ctx);
            }
            ClientMessage::Ping(_) => {
                self.out.heard_at(self.now() + self.longer);
                self.answer(incoming.id, Ok(Reply::EMPTY), ctx);
            }
            ClientMessage::Leave(_) => {
                self.hand_over();
                if let Phase::Active(session) = &self.phase {
                    session.leave();
                }
                self.answer(incoming.id, Ok(Reply::EMPTY), ctx);
                self.finish(None, ctx);
            }
            _ => self.forward(incoming, ctx),
        }
    }

    fn join(&mut self, id: Option<RequestId>, params: JoinParams, ctx: &mut SocketContext) {
        let request = match self.admit(params) {
            Ok(request) => request,
            Err(error) => {
                figures::refused(error.kind());
                return self.answer(id, Err(error), ctx);
            }
        };
        self.phase = Phase::Joining;
        // On its own, so that a session that comes when the socket has gone is still let go of.
        let asked = actix_web::rt::spawn(self.state.rooms.join(request));
        let joined = asked.into_actor(self).map(move |joined, socket, ctx| {
            let joined = joined.unwrap_or_else(|_| Err(ErrorType::Internal.into()));
            socket.joined(id, joined, ctx);
        });
        ctx.spawn(joined);
    }

    fn joined(
        &mut self,
        id: Option<RequestId>,
        joined: Result<Joined, RpcError>,
        ctx: &mut SocketContext,
    ) {
        match joined {
            Ok(Joined {
                mut result,
                session,
            }) => {
                let servers = &self.state.config.webrtc.ice_servers;
                let now = self.state.unix();
                result.ice_servers = ice_servers::for_client(servers, &result.peer_id, now);
                self.longer = heartbeat::relax(&mut result.heartbeat);
                if !self.longer.is_zero() {
                    self.out.heard_at(self.now() + self.longer);
                }
                self.phase = Phase::Active(session);
                let first = id.map(|id| Outgoing::answer(id, Ok(result)));
                self.out.release(first.as_ref());
                figures::joined(self.now().saturating_duration_since(self.opened));
            }
            Err(error) => {
                self.phase = Phase::Handshaking;
                figures::refused(error.kind());
                self.answer(id, Err(error), ctx);
            }
        }
        for incoming in std::mem::take(&mut self.backlog) {
            self.handle(incoming, ctx);
        }
    }

    /// Sends a close frame and waits a little for the client's.
    fn finish(&mut self, reason: Option<CloseReason>, ctx: &mut SocketContext) {
        self.phase = Phase::Closing;
        self.backlog.clear();
        figures::closed(close::word(reason));
        if reason == Some(CloseReason::SlowClient) {
            limited(Limit::SlowClient);
        }
        ctx.close(Some(close::frame(reason)));
        ctx.run_later(CLOSE_GRACE, |_, ctx| ctx.stop());
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut SocketContext) {
        match message {
            Ok(ws::Message::Text(text)) => self.receive(&text, ctx),
            Ok(ws::Message::Binary(_)) => self.refuse(&unreadable(), ctx),
            Ok(ws::Message::Continuation(item)) => match self.fragments.push(item) {
                None => {}
                Some(Ok(text)) => self.receive(&text, ctx),
                Some(Err(_)) => self.refuse(&unreadable(), ctx),
            },
            Ok(ws::Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(ws::Message::Close(reason)) => {
                if !matches!(self.phase, Phase::Closing) {
                    ctx.close(reason);
                }
                ctx.stop();
            }
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Err(error) => {
                ctx.close(Some(close::protocol(&error)));
                ctx.stop();
            }
        }
    }

    fn finished(&mut self, ctx: &mut SocketContext) {
        ctx.stop();
    }
}

/// Moves what the queue holds into the socket, whenever the socket can take it.
struct Drain(Arc<OutQueue>);

impl ActorFuture<Socket> for Drain {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        socket: &mut Socket,
        ctx: &mut SocketContext,
        task: &mut Context<'_>,
    ) -> Poll<()> {
        let taken = self.0.take(task);
        if matches!(socket.phase, Phase::Closing) {
            return Poll::Ready(());
        }
        socket.figures.frames(Direction::Out, taken.frames.len());
        for frame in taken.frames {
            // Text of ours, so that it is never refused.
            if let Ok(text) = frame.try_into() {
                ctx.write_raw(ws::Message::Text(text));
            }
        }
        match taken.close {
            None => Poll::Pending,
            Some(reason) => {
                socket.finish(reason, ctx);
                Poll::Ready(())
            }
        }
    }
}

fn unreadable() -> ParseFailure {
    ParseFailure {
        id: None,
        error: ErrorType::ParseError.into(),
    }
}
