//! A player's socket that is written to from two sides: by the fan-out of its stream, which wakes
//! nobody for it, and by its connection, which answers the player and waits where the socket is
//! full.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use media_egress::mux::Chunk;
use metrics::Counter;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::metrics::Player as Count;
use crate::auth::Standing;

/// Slices that one write takes of what waits.
const SLICES: usize = 32;

/// What a line's connection has to see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEvent {
    /// The socket took less than there was: the rest waits.
    Waiting,
    /// The stream ends here, or goes on in another way.
    Over,
    /// What let the player in is believed no more.
    Revoked,
    /// The socket takes nothing any more.
    Broken,
}

/// One player's way out.
pub(crate) struct Line {
    socket: Arc<TcpStream>,
    /// Chunks that may wait; beyond, the player goes on at a keyframe.
    waiting_max: usize,
    state: Mutex<State>,
    bell: Notify,
}

struct State {
    /// What the socket has not taken; of the first a part may be gone.
    waiting: VecDeque<Piece>,
    /// What comes is no use before the next keyframe.
    behind: bool,
    paused: bool,
    end: Option<LineEvent>,
    standing: Standing,
    count: Count,
    written: Counter,
}

struct Piece {
    bytes: Bytes,
    kind: Kind,
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What the player begins with.
    Prelude,
    Chunk,
    /// The connection's own words, which are never left out.
    Word,
}

impl Line {
    /// Over this socket, which others only read.
    pub(crate) fn new(
        socket: Arc<TcpStream>,
        waiting_max: usize,
        standing: Standing,
        (count, written): (Count, Counter),
    ) -> Self {
        Self {
            socket,
            waiting_max,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                behind: false,
                paused: false,
                end: None,
                standing,
                count,
                written,
            }),
            bell: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with these bytes, which its connection writes.
    pub(super) fn begin(&self, prelude: impl Iterator<Item = Bytes>) {
        let mut state = self.lock();
        state.end = None;
        state.behind = state.paused;
        if !state.paused {
            for bytes in prelude {
                state.queue(bytes, Kind::Prelude);
            }
        }
        self.bell.notify_one();
    }

    /// Hands on a chunk: to the socket, if it takes all of it, else to the connection.
    pub(super) fn send(&self, chunk: &Chunk) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        if state.standing.is_revoked() {
            state.end = Some(LineEvent::Revoked);
            self.bell.notify_one();
            return;
        }
        if state.paused || state.behind && !chunk.start {
            return;
        }
        state.behind = false;
        let waits = !state.waiting.is_empty();
        let chunks = state.waiting.iter().filter(|it| it.kind == Kind::Chunk);
        if waits && chunks.count() >= self.waiting_max {
            state.waiting.retain(|it| it.begun || it.kind == Kind::Word);
            state.behind = true;
            state.count.lagged();
            return;
        }
        state.count.sent(chunk.bytes.len());
        state.queue(chunk.bytes.clone(), Kind::Chunk);
        if !waits {
            self.write(&mut state);
            if !state.waiting.is_empty() || state.end.is_some() {
                self.bell.notify_one();
            }
        }
    }

    /// The stream ends here; what waits is still written.
    pub(super) fn end(&self) {
        self.lock().end.get_or_insert(LineEvent::Over);
        self.bell.notify_one();
    }

    /// Stops what comes; what was missed is not made up, it begins again at a keyframe.
    pub(crate) fn pause(&self, paused: bool) {
        let mut state = self.lock();
        state.paused = paused;
        state.behind = true;
    }

    /// Writes what the connection itself has to say, after what waits.
    pub(crate) fn say(&self, bytes: Bytes) {
        let mut state = self.lock();
        state.queue(bytes, Kind::Word);
        if state.waiting.len() == 1 {
            self.write(&mut state);
        }
    }

    /// Waits for something to see to. Nothing is lost when it is dropped before it is ready.
    pub(crate) async fn event(&self) -> LineEvent {
        loop {
            {
                let state = self.lock();
                if !state.waiting.is_empty() && state.end != Some(LineEvent::Broken) {
                    return LineEvent::Waiting;
                }
                if let Some(end) = state.end {
                    return end;
                }
            }
            self.bell.notified().await;
        }
    }

    /// Writes what waits; `false` where the socket took nothing for so long, or is broken.
    pub(crate) async fn drain(&self, patience: Duration) -> bool {
        loop {
            {
                let mut state = self.lock();
                self.write(&mut state);
                if state.end == Some(LineEvent::Broken) {
                    return false;
                }
                if state.waiting.is_empty() {
                    return true;
                }
            }
            let writable = tokio::time::timeout(patience, self.socket.writable());
            if !matches!(writable.await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// Writes until nothing waits or the socket is full.
    fn write(&self, state: &mut State) {
        while !state.waiting.is_empty() {
            let first = state.waiting.iter().take(SLICES);
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(first) {
                *slice = IoSlice::new(&piece.bytes);
                count += 1;
            }
            let written = match slices.get(..count) {
                Some([only]) => self.socket.try_write(only),
                Some(some) => self.socket.try_write_vectored(some),
                None => return,
            };
            match written {
                Ok(bytes) => state.took(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    state.end = Some(LineEvent::Broken);
                    return;
                }
            }
        }
    }
}

impl State {
    fn queue(&mut self, bytes: Bytes, kind: Kind) {
        if !bytes.is_empty() {
            self.waiting.push_back(Piece {
                bytes,
                kind,
                begun: false,
            });
        }
    }

    fn took(&mut self, mut bytes: usize) {
        self.written.increment(u64::try_from(bytes).unwrap_or(0));
        while let Some(first) = self.waiting.front_mut() {
            if bytes < first.bytes.len() {
                first.begun |= bytes > 0;
                first.bytes = first.bytes.slice(bytes..);
                return;
            }
            bytes -= first.bytes.len();
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
