//! One signalling session, as the gateway holds it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use media_types::{Identity, PeerId, RoomName, TrackId};
use signaling::client_message::{JoinParams, OfferParams};
use signaling::server_message::{JoinResult, OfferResult};
use signaling::view::CloseReason;
use signaling::{
    Claims, ClientMessage, ErrorType, Grants, Outgoing, RequestId, RpcError, ServerMessage,
};
use supervision::{AskError, Mailbox, TellError};

use crate::config::ResumeClaims;
use crate::error::from_ask;
use crate::ingest::{IngestProtocol, IngestSink};
use crate::limits::{OFFER_DEADLINE, PEER_REQUESTS};
use crate::peer::PeerMessage;

/// The queue towards a client is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue towards the client is full")]
pub struct OutboxFull;

/// A notification for many clients. Its text is made for the first of them and shared by the rest.
#[derive(Debug)]
pub struct Notice {
    message: ServerMessage,
    text: OnceLock<Bytes>,
}

impl Notice {
    /// A notification whose text nobody has needed yet.
    #[must_use]
    pub const fn new(message: ServerMessage) -> Self {
        Self {
            message,
            text: OnceLock::new(),
        }
    }

    /// What it says.
    #[must_use]
    pub const fn message(&self) -> &ServerMessage {
        &self.message
    }

    /// The frame, for who does not want its text.
    #[must_use]
    pub fn frame(&self) -> Outgoing {
        Outgoing::Notify(self.message.clone())
    }

    /// The frame's text; all who ask get the same bytes.
    #[must_use]
    pub fn text(&self) -> Bytes {
        let text = || Bytes::from(self.frame().to_text());
        self.text.get_or_init(text).clone()
    }
}

/// The queue towards one client. Bounded; never blocks; may be called from any thread.
pub trait Outbox: Send + Sync {
    /// Queues one frame.
    ///
    /// # Errors
    /// [`OutboxFull`]: the session is then closed as too slow, and the client resumes.
    fn send(&self, frame: Outgoing) -> Result<(), OutboxFull>;

    /// Queues one frame that many get. Whoever writes text takes [`Notice::text`].
    ///
    /// # Errors
    /// As [`Self::send`].
    fn send_shared(&self, notice: &Notice) -> Result<(), OutboxFull> {
        self.send(notice.frame())
    }

    /// When the client was last heard, where the connection answers pings by itself.
    fn heard(&self) -> Option<Instant> {
        None
    }

    /// Closes the connection once what is queued is out. The `closing` notification, where there is
    /// one, has been sent already.
    fn close(&self, reason: CloseReason);

    /// The connection of a live source, where this is one.
    fn sink(&self) -> Option<&dyn IngestSink> {
        None
    }
}

/// How a peer comes, and what it is limited to by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionKind {
    /// By WebSocket signalling.
    WebSocket,
    /// By WHIP: publishes only.
    Whip,
    /// By RTMP, QUIC or upload: publishes only, without a transport.
    Ingest(IngestProtocol),
    /// By WHEP: receives only.
    Whep {
        /// Only what this peer publishes.
        peer: Option<Identity>,
        /// Only this track.
        track: Option<TrackId>,
    },
}

/// By what right a peer comes. Signatures and times have been checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Credentials {
    /// A join token.
    Token(Box<Claims>),
    /// A resume token.
    Resume(Box<ResumeClaims>),
}

impl Credentials {
    /// Who comes.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Token(claims) => &claims.sub,
            Self::Resume(claims) => &claims.identity,
        }
    }

    /// What is granted.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        match self {
            Self::Token(claims) => &claims.troupe,
            Self::Resume(claims) => &claims.grants,
        }
    }
}

/// A wish to enter a room.
///
/// What the room says may reach the outbox before [`crate::System::join`] has returned: whoever
/// owns the outbox holds it back until the answer has gone out.
pub struct JoinRequest {
    /// The room.
    pub room: RoomName,
    /// By what right.
    pub credentials: Credentials,
    /// Name, metadata and nonce.
    pub params: JoinParams,
    /// How the peer comes.
    pub kind: SessionKind,
    /// The way to the client.
    pub outbox: Arc<dyn Outbox>,
}

/// A peer that is in.
#[derive(Debug)]
pub struct Joined {
    /// The result of `join`.
    pub result: JoinResult,
    /// The way to the peer.
    pub session: Session,
}

/// Why a message of a client was not taken.
#[derive(Debug, Clone, PartialEq)]
pub enum TellRefused {
    /// The peer's box is full; the message comes back. Stop reading, try again, and close after 5 s
    /// (1013).
    Full(Box<ClientMessage>),
    /// The session is over.
    Over,
}

/// The way from a connection to its peer. Does not end the session when dropped: say
/// [`Session::socket_lost`] or [`Session::leave`].
#[derive(Debug)]
pub struct Session {
    pub(crate) peer: Mailbox<PeerMessage>,
    pub(crate) id: PeerId,
    /// Which connection of the session this is; an older one is no longer heard.
    pub(crate) attachment: u64,
}

impl Session {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Whether the peer is gone for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.peer.is_closed()
    }

    /// Hands over a request or notification of the client; the answer comes through the outbox.
    ///
    /// # Errors
    /// See [`TellRefused`].
    pub fn tell(&self, id: Option<RequestId>, message: ClientMessage) -> Result<(), TellRefused> {
        if self.peer.is_closed() {
            return Err(TellRefused::Over);
        }
        if self.peer.depth() >= PEER_REQUESTS {
            return Err(TellRefused::Full(Box::new(message)));
        }
        let told = self.peer.tell(PeerMessage::Request {
            attachment: self.attachment,
            id,
            message,
        });
        match told {
            Ok(()) => Ok(()),
            Err(TellError::Full(PeerMessage::Request { message, .. })) => {
                Err(TellRefused::Full(Box::new(message)))
            }
            Err(TellError::Full(_) | TellError::Closed(_)) => Err(TellRefused::Over),
        }
    }

    /// Offers and waits for the answer, as WHIP and WHEP do.
    ///
    /// # Errors
    /// As `offer` of the client protocol.
    pub async fn offer(&self, params: OfferParams) -> Result<OfferResult, RpcError> {
        let deadline = OFFER_DEADLINE.saturating_mul(2);
        let question = |reply| PeerMessage::Offer { params, reply };
        match self.peer.ask(deadline, question).await {
            Ok(answer) => answer,
            Err(AskError::Closed) => Err(ErrorType::NotFound.into()),
            Err(error) => Err(from_ask(error)),
        }
    }

    /// The connection is gone: the session waits for the client to resume.
    pub fn socket_lost(&self) {
        let lost = PeerMessage::SocketLost {
            attachment: self.attachment,
        };
        if self.peer.tell(lost).is_err() {
            tracing::debug!("a lost socket is noticed by its missing pings");
        }
    }

    /// The client leaves for good (`DELETE` of WHIP and WHEP).
    ///
    /// # Errors
    /// `overloaded`: say it again.
    pub fn leave(&self) -> Result<(), RpcError> {
        match self.peer.tell(PeerMessage::Leave) {
            Ok(()) | Err(TellError::Closed(_)) => Ok(()),
            Err(TellError::Full(_)) => Err(ErrorType::Overloaded.into()),
        }
    }
}
