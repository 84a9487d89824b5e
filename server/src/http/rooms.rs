//! What the listeners ask of the rooms, whoever answers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use actors::{Fault, IngestStatus, MoveStatus, PeerChange, Revocation, ShardMove};
use bytes::Bytes;
use media_types::{Identity, PeerId, RoomName, ShardId, TrackId, WorkerId};
use signaling::client_message::{JoinParams, OfferParams, SendParams};
use signaling::rest::{PeerStatus, RoomPatch, RoomSettings, RoomStatus};
use signaling::server_message::{JoinResult, OfferResult};
use signaling::view::CloseReason;
use signaling::{Claims, ClientMessage, ErrorType, Grants, Outgoing, RequestId, RpcError};

use crate::auth::ResumeClaims;

/// What a room says, whenever it does; every answer has a deadline.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, RpcError>>>>;

/// How a session comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// By signalling.
    WebSocket,
    /// By WHIP: publishes, receives nothing.
    Whip,
    /// By WHEP: receives, publishes nothing.
    Whep {
        /// Whom to show, where it is not the main speaker.
        peer: Option<Identity>,
        /// What to show of it.
        track: Option<TrackId>,
    },
}

/// A verified wish to join.
pub struct JoinRequest {
    /// Who.
    pub identity: Identity,
    /// Where.
    pub room: RoomName,
    /// What the token grants.
    pub grants: Grants,
    /// The token's claims, whose `jti` is used up when the room admits; absent with a resume token.
    pub claims: Option<Claims>,
    /// The session to take up again.
    pub resume: Option<ResumeClaims>,
    /// Name, metadata and nonce.
    pub params: JoinParams,
    /// How.
    pub via: Via,
    /// Where the session's messages go.
    pub outbox: Arc<dyn Outbox>,
}

/// A session that has joined.
pub struct Joined {
    /// For the client.
    pub result: JoinResult,
    /// The way to the session.
    pub session: SessionHandle,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq)]
pub enum TellError {
    /// The peer's queue is full; the message comes back.
    Full(Box<ClientMessage>),
    /// The session has ended.
    Closed,
}

/// The way from a listener to one session.
pub trait Session: Send + Sync {
    /// Hands over what the client sent. Answers come by the [`Outbox`].
    ///
    /// # Errors
    /// See [`TellError`].
    fn tell(&self, id: Option<RequestId>, message: ClientMessage) -> Result<(), TellError>;

    /// Negotiates and waits for the answer, for WHIP and WHEP.
    fn offer(&self, params: OfferParams) -> Answer<OfferResult>;

    /// Whether the session has ended, so that nobody answers any more.
    fn is_over(&self) -> bool;

    /// The socket is gone; the session may be resumed.
    fn socket_lost(&self);

    /// The client has left for good.
    fn leave(&self);
}

/// A session that tells its room when its listener lets go of it.
pub struct SessionHandle(Arc<dyn Session>);

impl SessionHandle {
    /// Holds a session.
    #[must_use]
    pub fn new(session: Arc<dyn Session>) -> Self {
        Self(session)
    }
}

impl std::ops::Deref for SessionHandle {
    type Target = dyn Session;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.0.socket_lost();
    }
}

/// Why a message for a client was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxError {
    /// The client reads too slowly: it has been told to resume, and nothing more goes out.
    Full,
    /// The socket is gone.
    Closed,
}

/// The way from a session to its client. Bounded; never blocks.
pub trait Outbox: Send + Sync {
    /// Queues one message.
    ///
    /// # Errors
    /// See [`OutboxError`].
    fn send(&self, message: Outgoing) -> Result<(), OutboxError>;

    /// Queues the text of a notification that many get.
    ///
    /// # Errors
    /// See [`OutboxError`].
    fn send_text(&self, text: Bytes) -> Result<(), OutboxError>;

    /// When the client's last ping was answered here, where pings are.
    fn heard(&self) -> Option<Instant> {
        None
    }

    /// Closes the socket after what is queued. The `closing` notification, where there is one, has
    /// been sent before.
    fn close(&self, reason: CloseReason);
}

/// All rooms of this worker.
pub trait Rooms: Send + Sync {
    /// Joins, or resumes.
    fn join(&self, request: JoinRequest) -> Answer<Joined>;

    /// All rooms, by name.
    fn list(&self) -> Answer<Vec<RoomStatus>>;

    /// One room.
    fn get(&self, room: RoomName) -> Answer<RoomStatus>;

    /// Opens a room or replaces its settings; whether it was opened.
    fn put(&self, room: RoomName, settings: RoomSettings) -> Answer<(RoomStatus, bool)>;

    /// Changes some of a room's settings.
    fn patch(&self, room: RoomName, patch: RoomPatch) -> Answer<RoomStatus>;

    /// Closes a room.
    fn close(&self, room: RoomName) -> Answer<()>;

    /// A room's peers, by identity.
    fn peers(&self, room: RoomName) -> Answer<Vec<PeerStatus>>;

    /// Removes a peer.
    fn kick(&self, room: RoomName, peer: Identity) -> Answer<()>;

    /// Sends a message into a room; to how many peers it was handed.
    fn send(&self, room: RoomName, from: Identity, message: SendParams) -> Answer<u32>;

    /// Mutes a track of a peer, or all of them.
    fn mute(
        &self,
        room: RoomName,
        peer: Identity,
        track: Option<TrackId>,
        muted: bool,
    ) -> Answer<()>;

    /// Changes what others know of a peer.
    fn change_peer(&self, room: RoomName, peer: Identity, change: PeerChange) -> Answer<()>;

    /// Ends the sessions of revoked tokens; how many.
    fn revoke(&self, revocation: Revocation) -> Answer<u32>;

    /// The live sources.
    fn ingests(&self) -> Answer<Vec<IngestStatus>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Sends a live source away.
    fn close_ingest(&self, id: PeerId) -> Answer<()> {
        let _ = id;
        Box::pin(std::future::ready(Err(ErrorType::NotFound.into())))
    }

    /// Begins to move a room to that worker, or to the one that suits best.
    fn migrate(&self, room: RoomName, to: Option<WorkerId>) -> Answer<MoveStatus> {
        let _ = (room, to);
        Box::pin(std::future::ready(Err(ErrorType::Unsupported.into())))
    }

    /// Has a room go on at that shard of its worker, or at the least busy one.
    fn move_shard(&self, room: RoomName, to: Option<ShardId>) -> Answer<ShardMove> {
        let _ = (room, to);
        Box::pin(std::future::ready(Err(ErrorType::Unsupported.into())))
    }

    /// Rooms that move from or to this worker.
    fn migrations(&self) -> Answer<Vec<MoveStatus>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Begins to empty this worker.
    fn drain(&self) -> Answer<()> {
        Box::pin(std::future::ready(Err(ErrorType::Unsupported.into())))
    }

    /// Fails a part on purpose, where `debug.faults` allows it.
    fn inject(&self, room: RoomName, fault: Fault) -> Answer<()> {
        let _ = (room, fault);
        Box::pin(std::future::ready(Err(ErrorType::Unsupported.into())))
    }
}
