//! One ICE-TCP connection, from its first frame to its end.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use media_webrtc::Path;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout_at};

use super::deframe::{Deframer, FrameError};
use super::gate::Pass;
use crate::limits::{
    STREAM_FIRST_STUN_MAX, STREAM_ICE_MAX, STREAM_IN_FLIGHT_MAX, STREAM_RETRY, STREAM_SILENT_MAX,
    STREAM_STUCK_MAX,
};
use crate::shard::Inbox;
use crate::shard::ring::StreamInput;
use crate::shard::streams::{StreamSignal, stream};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Ended {
    #[error("the client closed")]
    Closed,
    #[error("no STUN request in time")]
    Late,
    #[error("the first frame is not a STUN request for one of our shards")]
    Stranger,
    #[error("ICE did not choose the connection in time")]
    Unproven,
    #[error("nothing came for too long")]
    Silent,
    #[error("the client takes nothing")]
    Stuck,
    #[error("the shard let go of it")]
    Released,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Serves one connection to its end.
pub(super) async fn run(
    inboxes: &[Arc<Inbox>],
    socket: TcpStream,
    path: Path,
    number: u64,
    pass: Pass,
) -> Ended {
    // Media waits for nobody; without it the socket is merely slower.
    let _nodelay = socket.set_nodelay(true);
    let (reader, writer) = socket.into_split();
    let mut input = Input {
        reader,
        deframer: Deframer::default(),
    };
    let deadline = Instant::now() + STREAM_FIRST_STUN_MAX;
    let first = match timeout_at(deadline, input.frame()).await {
        Err(_elapsed) => return Ended::Late,
        Ok(Err(ended)) => return ended,
        Ok(Ok(frame)) => frame,
    };
    let Some(inbox) = shard_of(&first).and_then(|index| inboxes.get(index)) else {
        return Ended::Stranger;
    };
    let (out, bytes, signal) = stream(path, number);
    let feed = Feed {
        inbox,
        path,
        in_flight: Arc::new(AtomicU32::new(0)),
    };
    if !feed.put(StreamInput::Opened(out)).await {
        return Ended::Released;
    }
    let ended = tokio::select! {
        ended = feed.frames(input, first, &signal, pass) => ended,
        ended = write(writer, bytes, &signal) => ended,
    };
    feed.put(StreamInput::Closed { path, number }).await;
    ended
}

/// The shard that the first frame asks for.
fn shard_of(frame: &[u8]) -> Option<usize> {
    let user = media_core::stun_username(frame)?;
    let shard = media_core::shard_of_ufrag(user)?;
    Some(usize::from(shard.0))
}

/// Frames as they arrive.
struct Input {
    reader: OwnedReadHalf,
    deframer: Deframer,
}

impl Input {
    async fn frame(&mut self) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(frame) = self.deframer.next_frame()? {
                return Ok(frame.to_vec());
            }
            if self.reader.readable().await.is_err() {
                return Err(Ended::Closed);
            }
            match self.reader.try_read(self.deframer.space()) {
                Ok(0) => return Err(Ended::Closed),
                Ok(count) => self.deframer.filled(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_reset) => return Err(Ended::Closed),
            }
        }
    }
}

/// The way to the shard.
struct Feed<'a> {
    inbox: &'a Inbox,
    path: Path,
    in_flight: Arc<AtomicU32>,
}

impl Feed<'_> {
    /// Hands frames on until one side ends. While the shard is behind, the socket is not read.
    async fn frames(
        &self,
        mut input: Input,
        first: Vec<u8>,
        signal: &StreamSignal,
        mut pass: Pass,
    ) -> Ended {
        let chosen_by = Instant::now() + STREAM_ICE_MAX;
        let mut frame = first;
        loop {
            if !self.frame(frame).await {
                return Ended::Released;
            }
            frame = match next(&mut input, signal, &mut pass, chosen_by).await {
                Ok(frame) => frame,
                Err(ended) => return ended,
            };
        }
    }

    async fn frame(&self, bytes: Vec<u8>) -> bool {
        while self.in_flight.load(Ordering::Relaxed) >= STREAM_IN_FLIGHT_MAX {
            if self.inbox.is_gone() {
                return false;
            }
            sleep(STREAM_RETRY).await;
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let input = StreamInput::Frame {
            path: self.path,
            bytes,
            in_flight: Arc::clone(&self.in_flight),
        };
        self.put(input).await
    }

    /// Queues, waiting for room; `false` when the shard is gone.
    async fn put(&self, mut input: StreamInput) -> bool {
        loop {
            if self.inbox.is_gone() {
                return false;
            }
            match self.inbox.stream(input) {
                Ok(()) => return true,
                Err(refused) => input = refused,
            }
            sleep(STREAM_RETRY).await;
        }
    }
}

/// The next frame, unless nothing comes or ICE takes too long.
async fn next(
    input: &mut Input,
    signal: &StreamSignal,
    pass: &mut Pass,
    chosen_by: Instant,
) -> Result<Vec<u8>, Ended> {
    let silent_at = Instant::now() + STREAM_SILENT_MAX;
    loop {
        if signal.is_proven() {
            pass.prove();
        }
        let until = if pass.is_proven() {
            silent_at
        } else {
            silent_at.min(chosen_by)
        };
        match timeout_at(until, input.frame()).await {
            Ok(result) => return result,
            Err(_elapsed) if until == silent_at => return Err(Ended::Silent),
            Err(_elapsed) if !signal.is_proven() => return Err(Ended::Unproven),
            // Proven while we waited: only silence counts from now on.
            Err(_elapsed) => {}
        }
    }
}

/// Writes what the shard queues until the client or the shard lets go.
async fn write(
    writer: OwnedWriteHalf,
    mut bytes: rtrb::Consumer<u8>,
    signal: &StreamSignal,
) -> Ended {
    let mut stuck_at = Instant::now() + STREAM_STUCK_MAX;
    loop {
        let waiting = bytes.slots();
        if waiting == 0 {
            if bytes.is_abandoned() {
                return Ended::Released;
            }
            signal.waiting.notified().await;
            stuck_at = Instant::now() + STREAM_STUCK_MAX;
            continue;
        }
        let Ok(chunk) = bytes.read_chunk(waiting) else {
            continue;
        };
        let (first, second) = chunk.as_slices();
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        match writer.try_write_vectored(&slices) {
            Ok(0) => return Ended::Closed,
            Ok(count) => {
                chunk.commit(count);
                stuck_at = Instant::now() + STREAM_STUCK_MAX;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                match timeout_at(stuck_at, writer.writable()).await {
                    Err(_elapsed) => return Ended::Stuck,
                    Ok(Err(_reset)) => return Ended::Closed,
                    Ok(Ok(())) => {}
                }
            }
            Err(_reset) => return Ended::Closed,
        }
    }
}
