//! The way in: a handle for the source, a port for each of its tracks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actors::{IngestPlace, IngestProtocol, IngestSession, IngestSink, IngestSpec, System};
use media_types::{Identity, PacketFrame, RoomName, TrackId};
use serde_json::Value;
use signaling::view::CloseReason;
use signaling::{Claims, ErrorType, RpcError};
use tokio::sync::{Notify, watch};

use crate::limits::FEED_FRAMES_MAX;
use crate::shard::Inbox;
use crate::shard::live::{Feed, FeedSignal, LiveInput, feed};

/// With less room than this in its ring a port wakes its shard for frames that nobody gets.
const QUIET_SLOTS_MIN: usize = FEED_FRAMES_MAX - FEED_FRAMES_MAX / 4;

/// A live source that wants in.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The room.
    pub room: RoomName,
    /// The token, verified.
    pub claims: Claims,
    /// By which protocol it comes.
    pub protocol: IngestProtocol,
    /// A display name; the token's, where it has one, wins.
    pub name: Option<String>,
    /// Metadata; the token's, where it has some, wins.
    pub metadata: Value,
}

/// Why a frame was not taken.
#[derive(Debug)]
pub enum PushError {
    /// The ring is full; the frame comes back. Stop reading the source until there is room.
    Full(PacketFrame),
    /// The source was told to go, or its shard is gone.
    Closed,
}

/// What the actor and the front end share.
struct Connection {
    closed: watch::Sender<Option<CloseReason>>,
    wanted: Mutex<BTreeMap<TrackId, Arc<Notify>>>,
}

impl Connection {
    fn wanted(&self, track: TrackId) -> Arc<Notify> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wanted.entry(track).or_default())
    }
}

impl IngestSink for Connection {
    fn close(&self, reason: CloseReason) {
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(reason);
            first
        });
    }

    fn keyframe_wanted(&self, track: TrackId) {
        self.wanted(track).notify_one();
    }

    fn placed(&self, place: IngestPlace) {
        // Frames go to the same shard as before: its rings outlive it.
        tracing::debug!(track = %place.track, shard = %place.shard, "an ingest track is back");
    }
}

/// A live source that is in. Dropped, its connection counts as lost: its tracks stay for the resume
/// window, so that its return is seamless.
pub struct IngestHandle {
    session: IngestSession,
    connection: Arc<Connection>,
    closed: watch::Receiver<Option<CloseReason>>,
    inboxes: Arc<[Arc<Inbox>]>,
    identity: Identity,
    room: RoomName,
    finished: bool,
}

pub(super) async fn open(
    system: &System,
    inboxes: &Arc<[Arc<Inbox>]>,
    request: IngestRequest,
) -> Result<IngestHandle, RpcError> {
    let (closed, closing) = watch::channel(None);
    let connection = Arc::new(Connection {
        closed,
        wanted: Mutex::default(),
    });
    let (identity, room) = (request.claims.sub.clone(), request.room.clone());
    let session = system
        .open_ingest(actors::IngestRequest {
            room: request.room,
            claims: Box::new(request.claims),
            protocol: request.protocol,
            name: request.name,
            metadata: request.metadata,
            sink: Arc::clone(&connection) as Arc<dyn IngestSink>,
        })
        .await?;
    Ok(IngestHandle {
        session,
        connection,
        closed: closing,
        inboxes: Arc::clone(inboxes),
        identity,
        room,
        finished: false,
    })
}

impl IngestHandle {
    /// Who publishes.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its room.
    #[must_use]
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Publishes a track. The same kind and name is the same track, also after a reconnect; the
    /// port of before is then of no use any more.
    ///
    /// # Errors
    /// `forbidden` beyond the room's publishers, `unsupported` for a codec that the room does not
    /// allow, `not_found` once the source was told to go, `overloaded` for now.
    pub async fn add_track(&self, spec: IngestSpec) -> Result<IngestPort, RpcError> {
        let place = self.session.add_track(spec).await?;
        let inbox = self.inboxes.get(usize::from(place.shard.0));
        let inbox = inbox.ok_or_else(|| RpcError::from(ErrorType::Unavailable))?;
        let (frames, signal, input) = feed(place);
        if inbox.live(LiveInput::Feed(input)).is_err() {
            return Err(ErrorType::Overloaded.into());
        }
        Ok(IngestPort {
            track: place.track,
            frames,
            signal,
            inbox: Arc::clone(inbox),
            wanted: self.connection.wanted(place.track),
            closed: self.closed.clone(),
        })
    }

    /// Publishes a track no more.
    pub fn remove_track(&self, track: TrackId) {
        if self.session.remove_track(track).is_err() {
            tracing::debug!(%track, "a track ends with its source");
        }
    }

    /// Waits until the source is to go: kicked, replaced by a newer connection, silent for too
    /// long, or its room was closed.
    pub async fn closed(&mut self) -> CloseReason {
        let closed = self.closed.wait_for(Option::is_some).await;
        closed
            .ok()
            .and_then(|reason| *reason)
            .unwrap_or(CloseReason::Internal)
    }

    /// The source has ended in order: its tracks end at once.
    pub fn finish(mut self) {
        self.finished = self.session.finish().is_ok();
    }
}

impl Drop for IngestHandle {
    fn drop(&mut self) {
        if !self.finished {
            self.session.lost();
        }
    }
}

/// Where the frames of one track go in.
pub struct IngestPort {
    track: TrackId,
    frames: rtrb::Producer<PacketFrame>,
    signal: Arc<FeedSignal>,
    inbox: Arc<Inbox>,
    wanted: Arc<Notify>,
    closed: watch::Receiver<Option<CloseReason>>,
}

impl IngestPort {
    /// The track.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        self.track
    }

    /// Hands a frame to the shard. Never blocks.
    ///
    /// # Errors
    /// See [`PushError`].
    pub fn push(&mut self, frame: PacketFrame) -> Result<(), PushError> {
        if self.frames.is_abandoned() || self.closed.borrow().is_some() {
            return Err(PushError::Closed);
        }
        let pushed = self.frames.push(frame);
        // Until somebody gets its frames the shard comes for them by itself.
        if self.signal.is_wanted() || self.frames.slots() < QUIET_SLOTS_MIN {
            self.signal.raise(&self.inbox);
        }
        pushed.map_err(|rtrb::PushError::Full(frame)| PushError::Full(frame))
    }

    /// Whether somebody gets its frames.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand(Arc::clone(&self.signal))
    }

    /// Whether a frame would be taken now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.frames.is_full()
    }

    /// Waits until a frame would be taken, or none ever will.
    pub async fn room(&mut self) {
        while !self.has_room() && !self.frames.is_abandoned() && self.closed.borrow().is_none() {
            let mut closed = self.closed.clone();
            tokio::select! {
                () = self.signal.room() => {}
                _ = closed.changed() => {}
            }
        }
    }

    /// Waits until somebody needs a keyframe.
    pub async fn keyframe_wanted(&mut self) {
        self.wanted.notified().await;
    }
}

/// Whether anybody gets the frames of a port: who shows its track, a tap, another worker.
#[derive(Debug, Clone)]
pub struct Demand(Arc<FeedSignal>);

impl Demand {
    /// As the shard last saw it; `true` before it looked.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.is_wanted()
    }
}

impl Drop for IngestPort {
    fn drop(&mut self) {
        // The shard finds the ring abandoned once it has read what is in it.
        self.signal.raise(&self.inbox);
    }
}

const _: fn() = || {
    fn sent<T: Send>() {}
    sent::<IngestPort>();
    sent::<Feed>();
};
