//! Everything that a room can be told.

use std::sync::Arc;
use std::time::Duration;

use control_plane::balance::Room as Weighed;
use control_plane::migration::{Handover, Local};
use media_contract::{Event, LostReason};
use media_types::{Epoch, Identity, PeerId, ShardId, TrackId, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signaling::rest::{PeerStatus, RoomPatch, RoomStatus};
use signaling::view::{CloseReason, LeaveReason, MigrateReason};
use signaling::{Address, RequestId, RpcError};
use supervision::{Child, Exit, Mailbox, Reply};

use super::PeerRecord;
use super::actor::Activation;
use super::quality::Report;
use crate::egress::{EgressMessage, EgressRequest, EgressSeed, EgressSession};
use crate::ingest::IngestStatus;
use crate::part::{Deed, PartLetter};
use crate::peer::PeerMessage;
use crate::session::{JoinRequest, Joined};
use crate::transcoder::{CodecProcess, TranscoderMessage};

/// Why somebody is not let in.
pub(crate) enum JoinRefused {
    /// This life of the room is over; the next may take the wish.
    Closing(Box<JoinRequest>),
    /// For good.
    No(RpcError),
}

/// The way back to who asked.
pub(crate) type JoinReply = Reply<Result<Joined, JoinRefused>>;

/// The way back to whose job has an actor now; dropped where the room is closing.
pub(crate) type TranscoderReply = Reply<Child<TranscoderMessage>>;

/// The way back to an operator.
pub(crate) type ActReply = Reply<Result<(), RpcError>>;

/// A wish to enter.
pub(crate) struct JoinAsk {
    pub(crate) request: JoinRequest,
    pub(crate) reply: JoinReply,
}

/// Something that a peer says to others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Speech {
    Chat(String),
    React(String),
    Send {
        to: Address,
        topic: String,
        payload: Value,
    },
}

/// A message from outside the room's members: the admin API, or a peer of another room.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter {
    pub(crate) from: Identity,
    pub(crate) to: Address,
    pub(crate) topic: String,
    pub(crate) payload: Value,
}

/// What an operator changes of a peer; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PeerChange {
    /// Its display name.
    pub name: Option<String>,
    /// What the application keeps with it.
    pub metadata: Option<Value>,
    /// What it may do.
    pub grants: GrantChange,
}

/// What a peer may do from now on; what is absent stays. What is taken away ends at once; what is
/// added holds from the client's next transport on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// Publish tracks.
    pub publish: Option<bool>,
    /// Receive tracks.
    pub subscribe: Option<bool>,
    /// Send messages.
    pub data: Option<bool>,
}

/// Which tokens are believed no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revocation {
    /// The one with this `jti`.
    Token(String),
    /// All for this identity.
    Identity(Identity),
    /// All that this key signed.
    Key(String),
}

impl Revocation {
    /// Whether it meets a session.
    pub(crate) fn meets(&self, record: &PeerRecord) -> bool {
        match self {
            Self::Token(jti) => record.jti.as_ref() == Some(jti),
            Self::Identity(identity) => record.identity == *identity,
            Self::Key(key) => record.key.as_ref() == Some(key),
        }
    }
}

/// Where a room, or a part of it, goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To its next owner; the epoch is `None` where nobody knows it.
    Owner(WorkerId, Option<Epoch>),
    /// To somebody of whom only the URL is known.
    Unknown,
    /// To another shard of this worker.
    Shard(ShardId),
    /// To another part: its clients are that one's from then on, and the owner stays.
    Part(WorkerId),
}

impl Destination {
    /// The worker that clients go to, if it is another one and known.
    pub(crate) const fn worker(self) -> Option<WorkerId> {
        match self {
            Self::Owner(worker, _) | Self::Part(worker) => Some(worker),
            Self::Unknown | Self::Shard(_) => None,
        }
    }

    /// The same, where the room goes with them.
    pub(crate) const fn owner(self) -> Option<WorkerId> {
        match self {
            Self::Owner(worker, _) => Some(worker),
            Self::Unknown | Self::Shard(_) | Self::Part(_) => None,
        }
    }
}

/// A move, as the room that goes knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) to: Destination,
    pub(crate) url: String,
    /// How long the sessions here live on.
    pub(crate) deadline: Duration,
    pub(crate) reason: MigrateReason,
}

/// A child that lives, as the supervisor knows it.
pub(crate) struct Living {
    pub(crate) peer: PeerId,
    pub(crate) identity: Identity,
    pub(crate) mailbox: Mailbox<PeerMessage>,
}

pub(crate) enum RoomMessage {
    /// Somebody wants in.
    Join(Box<JoinAsk>),
    /// The supervisor's answer to a roll-call: the children that live.
    Roll(Vec<Living>),
    /// The supervisor started a peer.
    Spawned(PeerId, Mailbox<PeerMessage>),
    /// The supervisor buried a peer.
    Gone(PeerId, Exit),
    /// A peer began a life and asks for its record.
    Load(PeerId),
    /// A peer says how it is; the answer to the roll-call too.
    Present(Box<PeerRecord>),
    /// A peer leaves of its own.
    Left(PeerId, LeaveReason),
    /// A peer is about to publish its first track.
    WantPublish(PeerId),
    /// A peer says something.
    Say(PeerId, Option<RequestId>, Speech),
    /// How well a peer's media arrives.
    Quality(PeerId, Report),
    /// Somebody cannot decode a track.
    Unsupported(TrackId),
    /// A peer's media path broke.
    MediaLost(PeerId, LostReason),
    /// Something happened on a shard.
    Event(ShardId, Box<Event>),
    /// A shard was restarted and knows nothing.
    ShardRestarted(ShardId),
    /// The room's timer.
    Timer,
    /// The supervisor started an egress, or says that it lives.
    EgressLives(Arc<EgressSeed>, Mailbox<EgressMessage>),
    /// An egress began a life and asks for what there is.
    EgressLoad(PeerId),
    /// The supervisor buried an egress.
    EgressGone(PeerId),
    /// The roll-call's deadline has passed.
    RollCallOver,
    /// From outside.
    Deliver(Letter, Reply<u32>),
    Status(Reply<RoomStatus>),
    /// Somebody wants media out of the room.
    OpenEgress(EgressRequest, Reply<Result<EgressSession, RpcError>>),
    /// A stream of the room is to be transcoded.
    OpenTranscoder(Arc<dyn CodecProcess>, TranscoderReply),
    /// The live sources.
    Ingests(Reply<Vec<IngestStatus>>),
    Peers(Reply<Vec<PeerStatus>>),
    Patch(Box<RoomPatch>, Reply<Result<RoomStatus, RpcError>>),
    /// An operator does something to a peer, at whichever part it is in.
    Act(Identity, Deed, ActReply),
    /// An operator ends the room.
    Shut(ActReply),
    /// Sessions of tokens that are believed no more end; how many.
    Revoke(Revocation, Reply<u32>),
    /// The room is another worker's: everybody is told where to.
    Migrate(Box<Move>),
    /// The room is this worker's, after a move.
    Activate(Box<Activation>),
    /// The room is to go on at another shard of this worker: what its next life has to know.
    Yield(Box<Move>, Reply<Result<Box<Handover>, RpcError>>),
    /// That life listens: clients are sent there.
    SendOff,
    /// The clients of this part are to go to another part.
    HandOff(ActReply),
    /// The room's next worker serves this peer.
    Settled(PeerId),
    /// How far a move is, as seen from here.
    Standing(Reply<Local>),
    /// What the room costs, and how its peers are; no answer where it is not ours to move.
    Weigh(Reply<Weighed>),
    /// What the next owner has to know.
    Roster(Reply<Box<Handover>>),
    /// Everybody who follows the room by itself has: the rest stays, or goes too.
    Release,
    /// A branch may become the owner by a move.
    StandBy(Reply<bool>),
    /// The move to here came to nothing.
    Dismantle,
    /// A letter of another part.
    Part(WorkerId, Box<PartLetter>),
    /// Other workers are linked.
    Linked,
    /// Nobody here owns the room: that worker does, as the store says.
    OwnedBy(WorkerId),
    /// Clients are to reconnect to others than before.
    Endpoints,
    /// What operators allow has changed.
    Policy,
    /// The room ends; everybody is told why.
    Close(CloseReason),
    /// An injected fault.
    Panic,
    /// An injected fault in an egress.
    PanicEgress(PeerId, Reply<bool>),
}

/// Whom a notification of the room goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    All,
    Except(PeerId),
    One(PeerId),
}
