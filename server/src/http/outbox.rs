//! The queue between a session and its socket: bounded, and it ends a client that reads too slowly.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;
use signaling::server_message::ClosingParams;
use signaling::view::CloseReason;
use signaling::{Outgoing, ServerMessage};

use super::rooms::{Outbox, OutboxError};

/// Frames that wait for a socket.
pub struct OutQueue {
    messages_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
}

struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// When a ping was answered last.
    heard: Option<Instant>,
    /// Held until the answer to `join` stands first.
    held: bool,
    phase: Phase,
    closing_said: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Ending(Option<CloseReason>),
    Gone,
}

/// What a socket is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// To be written, in order.
    pub(super) frames: VecDeque<Bytes>,
    /// Then the socket is closed, for this reason where the client was told one.
    pub(super) close: Option<Option<CloseReason>>,
}

impl OutQueue {
    /// An empty queue; what is sent waits until [`Self::release`].
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            messages_max,
            bytes_max,
            state: Mutex::new(State {
                frames: VecDeque::new(),
                bytes: 0,
                heard: None,
                held: true,
                phase: Phase::Open,
                closing_said: false,
                waker: None,
            }),
        }
    }

    /// Lets go of what waits, with this answer before everything else.
    pub fn release(&self, first: Option<&Outgoing>) {
        let mut state = self.lock();
        state.held = false;
        if let Some(first) = first {
            let text = Bytes::from(first.to_text());
            state.bytes += text.len();
            state.frames.push_front(text);
        }
        state.wake();
    }

    /// The client was heard: its session looks here before it gives it up.
    pub(super) fn heard_at(&self, now: Instant) {
        self.lock().heard = Some(now);
    }

    /// Says `closing` and closes the socket after what is queued.
    pub(super) fn end(&self, reason: CloseReason) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.say_closing(reason);
            state.end(Some(reason));
        }
    }

    /// The socket is gone: what waits is dropped, and nothing more is taken.
    pub fn gone(&self) {
        let mut state = self.lock();
        state.phase = Phase::Gone;
        state.clear();
        state.waker = None;
    }

    /// Takes all that may be written now, and remembers whom to wake for more.
    pub(super) fn take(&self, context: &Context<'_>) -> Taken {
        let mut state = self.lock();
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        let ending = match state.phase {
            Phase::Ending(reason) => Some(reason),
            Phase::Open | Phase::Gone => None,
        };
        if state.held && ending.is_none() {
            return Taken {
                frames: VecDeque::new(),
                close: None,
            };
        }
        state.bytes = 0;
        let frames = std::mem::take(&mut state.frames);
        if ending.is_some() {
            state.phase = Phase::Gone;
        }
        Taken {
            frames,
            close: ending,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }

    fn push(&mut self, message: &Outgoing) {
        self.push_text(message.to_text().into());
        self.closing_said |= matches!(message, Outgoing::Notify(ServerMessage::Closing(_)));
    }

    fn push_text(&mut self, text: Bytes) {
        self.bytes += text.len();
        self.frames.push_back(text);
    }

    fn say_closing(&mut self, reason: CloseReason) {
        if !self.closing_said {
            let closing = ClosingParams {
                reason,
                retry_after_ms: None,
            };
            self.push(&ServerMessage::Closing(closing).into());
        }
    }

    fn end(&mut self, reason: Option<CloseReason>) {
        self.phase = Phase::Ending(reason);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl OutQueue {
    fn queue(&self, push: impl FnOnce(&mut State)) -> Result<(), OutboxError> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(OutboxError::Closed);
        }
        let full = state.frames.len() >= self.messages_max || state.bytes >= self.bytes_max;
        if full {
            // What waits is worth nothing any more: the client resumes from a snapshot.
            state.clear();
            state.say_closing(CloseReason::SlowClient);
            state.end(Some(CloseReason::SlowClient));
            return Err(OutboxError::Full);
        }
        // Who has not taken the last yet has been woken for it.
        let was_empty = state.frames.is_empty();
        push(&mut state);
        if !state.held && was_empty {
            state.wake();
        }
        Ok(())
    }
}

impl Outbox for OutQueue {
    fn send(&self, message: Outgoing) -> Result<(), OutboxError> {
        self.queue(|state| state.push(&message))
    }

    fn send_text(&self, text: Bytes) -> Result<(), OutboxError> {
        self.queue(|state| state.push_text(text))
    }

    fn heard(&self) -> Option<Instant> {
        self.lock().heard
    }

    fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            let said = state.closing_said.then_some(reason);
            state.end(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use signaling::{Reply, RequestId};

    use super::*;

    fn answer(id: i64) -> Outgoing {
        Outgoing::Result {
            id: RequestId::Number(id),
            value: Reply::EMPTY,
        }
    }

    fn take(queue: &OutQueue) -> (Vec<String>, Option<Option<CloseReason>>) {
        let taken = queue.take(&Context::from_waker(Waker::noop()));
        let text = |frame: Bytes| String::from_utf8(frame.to_vec()).unwrap();
        (taken.frames.into_iter().map(text).collect(), taken.close)
    }

    const SLOW: &str = r#"{"jsonrpc":"2.0","method":"closing","params":{"reason":"slow_client"}}"#;

    #[test]
    fn the_answer_to_join_stands_first() {
        let queue = OutQueue::new(8, 1_000);
        queue.send(answer(2)).unwrap();
        assert_eq!(take(&queue), (vec![], None));
        queue.release(Some(&answer(1)));
        let expected = vec![answer(1).to_text(), answer(2).to_text()];
        assert_eq!(take(&queue), (expected, None));
    }

    #[test]
    fn too_many_messages_end_the_client() {
        let queue = OutQueue::new(2, 1_000);
        queue.release(Some(&answer(0)));
        queue.send(answer(1)).unwrap();
        assert_eq!(queue.send(answer(2)), Err(OutboxError::Full));
        assert_eq!(queue.send(answer(3)), Err(OutboxError::Closed));
        let close = Some(Some(CloseReason::SlowClient));
        assert_eq!(take(&queue), (vec![SLOW.to_owned()], close));
        assert_eq!(take(&queue), (vec![], None));
    }

    #[test]
    fn too_many_bytes_end_the_client() {
        let queue = OutQueue::new(100, 60);
        queue.release(Some(&answer(0)));
        queue.send(answer(1)).unwrap();
        assert_eq!(queue.send(answer(2)), Err(OutboxError::Full));
    }

    #[test]
    fn closing_is_said_once() {
        let queue = OutQueue::new(8, 1_000);
        queue.release(Some(&answer(0)));
        let params = ClosingParams {
            reason: CloseReason::Draining,
            retry_after_ms: Some(1_000),
        };
        queue.send(ServerMessage::Closing(params).into()).unwrap();
        queue.close(CloseReason::Draining);
        let (frames, close) = take(&queue);
        assert_eq!(
            (frames.len(), close),
            (2, Some(Some(CloseReason::Draining)))
        );
        assert_eq!(queue.send(answer(1)), Err(OutboxError::Closed));
    }

    #[test]
    fn a_client_that_left_is_told_no_reason() {
        let queue = OutQueue::new(8, 1_000);
        queue.release(Some(&answer(0)));
        queue.close(CloseReason::Kicked);
        assert_eq!(take(&queue), (vec![answer(0).to_text()], Some(None)));
        let queue = OutQueue::new(8, 1_000);
        queue.end(CloseReason::SlowClient);
        let close = Some(Some(CloseReason::SlowClient));
        assert_eq!(take(&queue), (vec![SLOW.to_owned()], close));
    }
}
