//! One connection to one worker: its hop, its two streams, its datagrams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actors::PartLetter;
use bytes::Bytes;
use media_core::{Hop, HopConfig, RELAY_VERSION, RelayMessage};
use media_types::{ShardId, WorkerId};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::congestion::Window;
use super::hub::Hub;
use super::metrics;
use crate::limits::{
    CLUSTER_FRAME_MAX, CLUSTER_HANDSHAKE_MAX, CLUSTER_LETTER_MAX, CLUSTER_LETTERS_MAX, CLUSTER_TURN,
};

/// The longest sleep of a sender that nothing is due for.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The first frame each way.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    version: u16,
    worker: WorkerId,
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the connection ended: {0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("the stream ended: {0}")]
    Read(#[from] quinn::ReadExactError),
    #[error("the stream ended: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("a frame of {0} bytes")]
    Large(u32),
    #[error("a frame that cannot be read: {0}")]
    Frame(#[from] media_core::WireError),
    #[error("neither a greeting nor a letter: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no greeting in time")]
    Silent,
    #[error("version {0}")]
    Version(u16),
    #[error("it is us")]
    Self_,
}

pub(super) struct Link {
    worker: WorkerId,
    connection: Connection,
    window: Window,
    dialled: bool,
    hop: RefCell<Hop>,
    letters: RefCell<VecDeque<PartLetter>>,
    datagrams: Notify,
    frames: Notify,
    posted: Notify,
    /// Messages that found a shard's queue full.
    dropped: Cell<u64>,
}

/// Greets, and carries until the connection ends.
pub(super) async fn run(hub: Rc<Hub>, connection: Connection, window: Window, dialled: bool) {
    let greeting = tokio::time::timeout(CLUSTER_HANDSHAKE_MAX, greet(&hub, &connection)).await;
    let greeted = greeting.unwrap_or(Err(LinkError::Silent));
    let (worker, send, receive) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            metrics::refused("greeting");
            tracing::warn!(%error, remote = %connection.remote_address(), "no link");
            connection.close(VarInt::from_u32(1), b"no greeting");
            return;
        }
    };
    let now = hub.clock.now();
    let link = Rc::new(Link {
        worker,
        connection,
        window,
        dialled,
        hop: RefCell::new(Hop::new(now, HopConfig::default())),
        letters: RefCell::default(),
        datagrams: Notify::new(),
        frames: Notify::new(),
        posted: Notify::new(),
        dropped: Cell::new(0),
    });
    if !hub.add(&link) {
        link.close("there is another connection");
        return;
    }
    let ended = tokio::select! {
        ended = link.read_datagrams(&hub) => ended,
        ended = link.read_frames(&hub, receive) => ended,
        ended = link.send_datagrams(&hub) => ended,
        ended = link.send_frames(send) => ended,
        ended = link.read_letters(&hub) => ended,
        ended = link.send_letters() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%worker, %error, "a link has ended");
    }
    link.close("the link has ended");
    hub.remove(&link);
    metrics::forget(worker);
}

async fn greet(
    hub: &Hub,
    connection: &Connection,
) -> Result<(WorkerId, SendStream, RecvStream), LinkError> {
    let mut send = connection.open_uni().await?;
    let hello = serde_json::to_vec(&Hello {
        version: RELAY_VERSION,
        worker: hub.me(),
    })?;
    write(&mut send, &hello).await?;
    let mut receive = connection.accept_uni().await?;
    let mut frame = Vec::new();
    read(&mut receive, &mut frame, CLUSTER_FRAME_MAX).await?;
    let hello: Hello = serde_json::from_slice(&frame)?;
    if hello.version != RELAY_VERSION {
        return Err(LinkError::Version(hello.version));
    }
    if hello.worker == hub.me() {
        return Err(LinkError::Self_);
    }
    Ok((hello.worker, send, receive))
}

/// A frame is its length in four bytes, and so many.
async fn write(send: &mut SendStream, frame: &[u8]) -> Result<(), LinkError> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    send.write_all(&length.to_be_bytes()).await?;
    send.write_all(frame).await?;
    Ok(())
}

async fn read(receive: &mut RecvStream, frame: &mut Vec<u8>, max: u32) -> Result<(), LinkError> {
    let mut length = [0; 4];
    receive.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    if length > max {
        return Err(LinkError::Large(length));
    }
    frame.resize(usize::try_from(length).unwrap_or(0), 0);
    receive.read_exact(frame).await?;
    Ok(())
}

impl Link {
    pub(super) const fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(super) const fn is_dialled(&self) -> bool {
        self.dialled
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    pub(super) fn close(&self, why: &str) {
        self.connection.close(VarInt::from_u32(0), why.as_bytes());
    }

    /// Takes a shard's message. [`Self::wake`] lets it leave.
    pub(super) fn take(&self, now: Instant, from: ShardId, to: ShardId, message: RelayMessage) {
        self.hop.borrow_mut().handle_message(now, from, to, message);
    }

    pub(super) fn wake(&self) {
        self.datagrams.notify_one();
        self.frames.notify_one();
    }

    async fn read_datagrams(&self, hub: &Hub) -> Result<(), LinkError> {
        loop {
            let datagram = self.connection.read_datagram().await?;
            self.hop
                .borrow_mut()
                .handle_datagram(hub.clock.now(), &datagram);
            self.deliver(hub);
            self.datagrams.notify_one();
        }
    }

    async fn read_frames(&self, hub: &Hub, mut receive: RecvStream) -> Result<(), LinkError> {
        let mut frame = Vec::new();
        loop {
            read(&mut receive, &mut frame, CLUSTER_FRAME_MAX).await?;
            self.hop
                .borrow_mut()
                .handle_frame(hub.clock.now(), &frame)?;
            self.deliver(hub);
        }
    }

    fn deliver(&self, hub: &Hub) {
        let next = || self.hop.borrow_mut().poll_delivery();
        let dropped = hub.deliver(self.worker, next);
        self.dropped.set(self.dropped.get() + dropped);
    }

    async fn send_datagrams(&self, hub: &Hub) -> Result<(), LinkError> {
        let mut out = Vec::new();
        loop {
            let now = hub.clock.now();
            let rtt = self.connection.rtt();
            let max = self.connection.max_datagram_size();
            {
                let mut hop = self.hop.borrow_mut();
                hop.set_rtt(rtt);
                hop.set_datagram_max(max.unwrap_or_default());
                let figures = hop.figures(now);
                let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                let in_path = figures.estimate.bps() / 8 * micros.max(1_000) / 1_000_000;
                self.window.follow(in_path);
            }
            let mut sent = 0;
            while sent < CLUSTER_TURN && self.hop.borrow_mut().poll_datagram(now, &mut out) {
                sent += 1;
                let datagram = Bytes::copy_from_slice(&out);
                if let Err(quinn::SendDatagramError::ConnectionLost(error)) =
                    self.connection.send_datagram(datagram)
                {
                    return Err(error.into());
                }
            }
            if sent == CLUSTER_TURN {
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.hop.borrow().poll_timeout(now);
            let pause = due.map_or(SLEEP_MAX, |due| {
                due.saturating_duration_since(now).min(SLEEP_MAX)
            });
            tokio::select! {
                () = self.datagrams.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn send_frames(&self, mut send: SendStream) -> Result<(), LinkError> {
        loop {
            let next = || self.hop.borrow_mut().poll_frame();
            while let Some(frame) = next() {
                write(&mut send, &frame).await?;
            }
            self.frames.notified().await;
        }
    }

    /// Takes a letter of a room; whether there was room for it.
    pub(super) fn post(&self, letter: PartLetter) -> bool {
        let mut letters = self.letters.borrow_mut();
        let taken = letters.len() < CLUSTER_LETTERS_MAX;
        if taken {
            letters.push_back(letter);
            self.posted.notify_one();
        }
        taken
    }

    /// Letters have a stream of their own, so that a long one holds up no keyframe request.
    async fn send_letters(&self) -> Result<(), LinkError> {
        let mut send = self.connection.open_uni().await?;
        loop {
            let next = || self.letters.borrow_mut().pop_front();
            while let Some(letter) = next() {
                write(&mut send, &serde_json::to_vec(&letter)?).await?;
            }
            self.posted.notified().await;
        }
    }

    async fn read_letters(&self, hub: &Hub) -> Result<(), LinkError> {
        // The first stream was that of the greeting.
        let mut receive = self.connection.accept_uni().await?;
        let mut frame = Vec::new();
        loop {
            read(&mut receive, &mut frame, CLUSTER_LETTER_MAX).await?;
            hub.told(self.worker, serde_json::from_slice(&frame)?);
        }
    }

    pub(super) fn tell_figures(&self, now: Instant) {
        let figures = self.hop.borrow().figures(now);
        let rtt = self.connection.rtt();
        metrics::link(self.worker, &figures, rtt, self.dropped.get());
    }
}
