//! What a client sent and its peer has not taken yet: bounded, and past the bound nothing is read.

use std::time::Duration;

use actix::AsyncContext;
use actix::fut::{ActorFutureExt, WrapFuture};
use signaling::Incoming;
use signaling::view::CloseReason;

use super::{Phase, Socket, SocketContext};
use crate::http::rooms::TellError;
use crate::telemetry::{Limit, limited};

/// Between two attempts to hand over what a full peer refused.
const RETRY: Duration = Duration::from_millis(20);

impl Socket {
    /// Hands a message to the peer, in order.
    pub(super) fn forward(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        self.put_aside(incoming, ctx);
        self.hand_over();
        self.retry_later(ctx);
    }

    /// Keeps a message; past the limit the socket is not read.
    pub(super) fn put_aside(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        self.backlog.push_back(incoming);
        let most = self.state.config.session.in_messages_max;
        if self.backlog.len() >= most && self.stalled.is_none() {
            self.stalled = Some(self.now());
            self.stall(ctx);
        }
    }

    /// Hands over what waits, as far as the peer takes it.
    pub(super) fn hand_over(&mut self) {
        let Phase::Active(session) = &self.phase else {
            return;
        };
        while let Some(Incoming {
            id,
            message,
            traceparent,
        }) = self.backlog.pop_front()
        {
            match session.tell(id.clone(), message) {
                Ok(()) => {}
                Err(TellError::Full(message)) => {
                    let message = *message;
                    self.backlog.push_front(Incoming {
                        id,
                        message,
                        traceparent,
                    });
                    return;
                }
                Err(TellError::Closed) => {
                    self.backlog.clear();
                    self.out.end(CloseReason::Internal);
                    return;
                }
            }
        }
    }

    fn retry_later(&mut self, ctx: &mut SocketContext) {
        if self.backlog.is_empty() || self.retrying {
            return;
        }
        self.retrying = true;
        ctx.run_later(RETRY, |socket, ctx| {
            socket.retrying = false;
            socket.hand_over();
            socket.retry_later(ctx);
        });
    }

    /// Reads nothing until the peer has taken some of what waits, or for too long.
    fn stall(&mut self, ctx: &mut SocketContext) {
        let pause = actix_web::rt::time::sleep(RETRY).into_actor(self);
        ctx.wait(pause.map(|(), socket, ctx| {
            socket.hand_over();
            let session = &socket.state.config.session;
            let since = socket.stalled.unwrap_or(socket.opened);
            let waited = socket.now().saturating_duration_since(since);
            if socket.backlog.len() < session.in_messages_max {
                socket.stalled = None;
            } else if waited >= session.in_stall_max {
                limited(Limit::Stalled);
                socket.backlog.clear();
                socket.out.end(CloseReason::Overloaded);
            } else {
                socket.stall(ctx);
            }
        }));
    }
}
