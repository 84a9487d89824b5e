//! A peer: one session of a client, its offers, its slots, its wishes.
//!
//! `state.rs` and its parts are pure; `actor.rs` carries their effects out.

mod actor;
mod bucket;
mod facts;
mod negotiation;
mod quality;
mod requests;
mod slots;
mod state;
mod subscriptions;
mod uplink;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use media_contract::Event;
use media_types::{PeerId, TrackId, TransportId};
use signaling::client_message::OfferParams;
use signaling::server_message::{ClosingParams, OfferResult, Reply as RpcReply};
use signaling::view::CloseReason;
use signaling::{ClientMessage, Outgoing, RequestId, RpcError, ServerMessage};
use supervision::{Mailbox, Reply};

pub(crate) use actor::Peer;

use crate::ingest::IngestAsk;
use crate::room::actor::RoomSeed;
use crate::room::message::PeerChange;
use crate::room::quality::Board;
use crate::room::{PeerRecord, RoomMessage, RoomView};
use crate::session::{Outbox, SessionKind};

/// Everything that a peer can be told.
pub(crate) enum PeerMessage {
    /// The room gives the record that the peer asked for, and what there is to see.
    Load(Box<PeerRecord>, Arc<RoomView>),
    /// Another connection speaks for the client from now on.
    Attach {
        outbox: Arc<dyn Outbox>,
        attachment: u64,
    },
    /// The client wants something.
    Request {
        attachment: u64,
        id: Option<RequestId>,
        message: ClientMessage,
    },
    /// The client offers, by WHIP or WHEP.
    Offer {
        params: OfferParams,
        reply: Reply<Result<OfferResult, RpcError>>,
    },
    /// The connection is gone.
    SocketLost { attachment: u64 },
    /// The client leaves, by `DELETE`.
    Leave,
    /// Something happened on the shard.
    Event(Box<Event>),
    /// What there is to see and hear has changed.
    View(Arc<RoomView>),
    /// How well the publishers' media arrives.
    Qualities(Arc<Board>),
    /// The room's answer to a request that was passed on.
    Answer(Option<RequestId>, Result<RpcReply, RpcError>),
    /// Whether the client may publish.
    MayPublish(bool),
    /// The front end of a live source wants something.
    Ingest(IngestAsk),
    /// The room asks how the peer is.
    RollCall,
    /// The room had more to say than the box holds.
    Overrun(Arc<RoomView>),
    /// The transport is gone, the client shall come back.
    Rejoin(CloseReason),
    /// An operator mutes a track, or all.
    Mute(Option<TrackId>, bool),
    /// An operator changes what others know of the peer.
    Change(PeerChange),
    /// What operators allow has changed.
    Policy,
    /// The room sends the peer away.
    Close(CloseReason),
    /// The peer's timer.
    Timer,
    /// An injected fault.
    Panic,
}

/// What one peer's lives are made from.
pub(crate) struct PeerSeed {
    pub(crate) room: Arc<RoomSeed>,
    pub(crate) mailbox: Mailbox<RoomMessage>,
    pub(crate) peer: PeerId,
    pub(crate) transport: TransportId,
    /// An event was refused by a full box.
    pub(crate) missed: Arc<AtomicBool>,
    /// The record as it was last, for a life that begins while the room has lost its own.
    pub(crate) kept: Mutex<Option<PeerRecord>>,
}

impl PeerSeed {
    pub(crate) fn keep(&self, record: &PeerRecord) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(record.clone());
    }

    pub(crate) fn kept(&self) -> Option<PeerRecord> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

/// Tells a client why its session ends, and closes its connection.
pub(crate) fn say_goodbye(outbox: &Arc<dyn Outbox>, kind: &SessionKind, reason: CloseReason) {
    if *kind == SessionKind::WebSocket {
        let closing = ServerMessage::Closing(ClosingParams {
            reason,
            retry_after_ms: None,
        });
        if outbox.send(Outgoing::Notify(closing)).is_err() {
            tracing::debug!("a client that does not read is closed without a word");
        }
    }
    outbox.close(reason);
}
