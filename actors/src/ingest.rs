//! Publishers that come by RTMP, QUIC or upload: peers without a WebRTC transport.
//!
//! An ingest actor stands in the room where a peer would: it has the same record, the same place
//! under the supervisor and takes the same messages. Its front end owns the socket and feeds frames
//! to the shard; the actor holds what is published, under which ids, and for how long it may be
//! silent. `state.rs` is pure; `actor.rs` carries its effects out.

mod actor;
mod state;

use std::fmt;
use std::sync::Arc;

use media_types::{
    Bitrate, Codec, Identity, MediaKind, PeerId, RoomId, RoomName, ShardId, TrackId,
};
use serde_json::Value;
use signaling::view::CloseReason;
use signaling::{Claims, ErrorType, Outgoing, RpcError};
use supervision::{Reply, TellError};

pub(crate) use actor::Ingest;

use crate::error::from_ask;
use crate::limits::ASK_DEADLINE;
use crate::peer::PeerMessage;
use crate::session::{Outbox, OutboxFull, Session};

/// By which protocol a live source comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IngestProtocol {
    /// RTMP or RTMPS, over TCP or QUIC.
    Rtmp,
    /// Media over QUIC.
    Moq,
    /// Media over QUIC from a browser.
    WebTransport,
    /// A file.
    Upload,
}

impl IngestProtocol {
    /// Its word in the API and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Moq => "moq",
            Self::WebTransport => "webtransport",
            Self::Upload => "upload",
        }
    }
}

impl fmt::Display for IngestProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How an actor reaches the connection of a live source. Must not block; called on control threads.
pub trait IngestSink: Send + Sync {
    /// The connection shall end.
    fn close(&self, reason: CloseReason);
    /// Somebody needs a keyframe of this track.
    fn keyframe_wanted(&self, track: TrackId);
    /// Where a track's frames go from now on: its shard began anew, or the track was made.
    fn placed(&self, place: IngestPlace);
}

/// A wish to publish without WebRTC.
pub struct IngestRequest {
    /// The room.
    pub room: RoomName,
    /// The token, verified; it needs the grant `ingest`.
    pub claims: Box<Claims>,
    /// By which protocol.
    pub protocol: IngestProtocol,
    /// A display name; the token's, where it has one, wins.
    pub name: Option<String>,
    /// Metadata; the token's, where it has some, wins.
    pub metadata: Value,
    /// The way back to the connection.
    pub sink: Arc<dyn IngestSink>,
}

/// One track that a live source brings. Within a source, kind and name tell tracks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestSpec {
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is encoded with on its way to viewers.
    pub codec: Codec,
    /// The source's name for it, where it has several of a kind.
    pub name: Option<String>,
}

/// Where a track's frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestPlace {
    /// The room's id on the shard.
    pub room: RoomId,
    /// The shard.
    pub shard: ShardId,
    /// The track; the same for the same source, whenever it comes back.
    pub track: TrackId,
    /// Which connection of the source this is; frames carry it.
    pub feed: u32,
}

/// What a front end asks of its actor.
pub(crate) enum IngestAsk {
    /// Publish a track, or go on with it.
    Add {
        attachment: u64,
        spec: IngestSpec,
        reply: Reply<Result<IngestPlace, RpcError>>,
    },
    /// Publish it no more.
    Remove { attachment: u64, track: TrackId },
}

/// A live source that is in. Does not end when dropped: say [`IngestSession::lost`] or
/// [`IngestSession::finish`].
#[derive(Debug)]
pub struct IngestSession {
    pub(crate) session: Session,
}

impl IngestSession {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.session.id()
    }

    /// Publishes a track, or goes on with the one of the same kind and name.
    ///
    /// # Errors
    /// `forbidden` beyond the room's publishers or codecs, `not_found` once the session is over.
    pub async fn add_track(&self, spec: IngestSpec) -> Result<IngestPlace, RpcError> {
        let attachment = self.session.attachment;
        let question = |reply| {
            PeerMessage::Ingest(IngestAsk::Add {
                attachment,
                spec,
                reply,
            })
        };
        match self.session.peer.ask(ASK_DEADLINE, question).await {
            Ok(answer) => answer,
            Err(supervision::AskError::Closed) => Err(ErrorType::NotFound.into()),
            Err(error) => Err(from_ask(error)),
        }
    }

    /// Publishes a track no more.
    ///
    /// # Errors
    /// `overloaded`: say it again.
    pub fn remove_track(&self, track: TrackId) -> Result<(), RpcError> {
        let attachment = self.session.attachment;
        let remove = PeerMessage::Ingest(IngestAsk::Remove { attachment, track });
        match self.session.peer.tell(remove) {
            Ok(()) | Err(TellError::Closed(_)) => Ok(()),
            Err(TellError::Full(_)) => Err(ErrorType::Overloaded.into()),
        }
    }

    /// The connection is gone: tracks stay for the resume window, so that its return is seamless.
    pub fn lost(&self) {
        self.session.socket_lost();
    }

    /// The source has said that it ends.
    ///
    /// # Errors
    /// `overloaded`: say it again.
    pub fn finish(&self) -> Result<(), RpcError> {
        self.session.leave()
    }
}

/// A live source, for operators.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestStatus {
    /// The session.
    pub id: PeerId,
    /// Its room.
    pub room: RoomName,
    /// Who publishes.
    pub identity: Identity,
    /// By which protocol.
    pub protocol: IngestProtocol,
    /// Whether its connection is there.
    pub connected: bool,
    /// When it came, in milliseconds since the Unix epoch.
    pub joined_at_ms: u64,
    /// Connections so far: 1 and one more for each return.
    pub connections: u64,
    /// What it publishes.
    pub tracks: Vec<IngestTrackStatus>,
}

/// One track of a live source, for operators.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestTrackStatus {
    /// Its id.
    pub track: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is encoded with.
    pub codec: Codec,
    /// Whether packets flow.
    pub live: bool,
    /// The rate of late.
    pub rate: Bitrate,
}

/// The connection of a live source as a room sees it: there is nothing to say but farewell.
pub(crate) struct SinkOutbox(pub(crate) Arc<dyn IngestSink>);

impl Outbox for SinkOutbox {
    fn send(&self, _frame: Outgoing) -> Result<(), OutboxFull> {
        Ok(())
    }

    fn close(&self, reason: CloseReason) {
        self.0.close(reason);
    }

    fn sink(&self) -> Option<&dyn IngestSink> {
        Some(&*self.0)
    }
}
