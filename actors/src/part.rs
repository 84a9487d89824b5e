//! What workers say to each other of a room that each of them holds a part of.
//!
//! A part is a room like any other, with peers and tracks of its own, that takes those of the other
//! parts for present as well. Each part tells every other one all that it has, again and again, and
//! whoever hears replaces what it knew: nothing has to arrive, or arrive once
//! (`docs/cluster.md`).

use media_types::{Epoch, Identity, PeerId, RoomId, RoomName, TrackId, WorkerId};
use serde::{Deserialize, Serialize};
use signaling::ServerMessage;
use signaling::view::{CloseReason, Peer, QualityReason, Track};

use control_plane::{Handover, RoomSpec};

use crate::room::message::PeerChange;
pub use crate::room::parts::seats::{Allot, Hold};

/// The way to the other workers.
pub trait ClusterLink: Send + Sync {
    /// Queues a letter for a worker. Never blocks; letters to one worker keep their order, and are
    /// lost with the link. `false`: it was not taken, for want of a link or of room.
    fn tell(&self, to: WorkerId, letter: PartLetter) -> bool;
}

/// A worker without others.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCluster;

impl ClusterLink for NoCluster {
    fn tell(&self, _: WorkerId, _: PartLetter) -> bool {
        false
    }
}

/// One letter from a part of a room to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartLetter {
    /// The room's name.
    pub name: RoomName,
    /// The room, which has one id on all workers.
    pub room: RoomId,
    /// The epoch in which the sending part acts.
    pub epoch: Epoch,
    /// What it says.
    pub body: PartBody,
}

/// What a part says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", content = "with", rename_all = "camelCase")]
#[non_exhaustive]
pub enum PartBody {
    /// The owner: open a part of the room.
    Open(Box<OpenPart>),
    /// All that the sender has.
    Roster(Box<PartRoster>),
    /// Who is heard at the sender's, loudest first.
    Heard(Vec<FarSpeaker>),
    /// How well the media of the sender's publishers arrives; of others nothing is known.
    Qualities(Vec<FarQuality>),
    /// A notice for the receiver's clients.
    Said(Box<Said>),
    /// Something that an operator has done to a peer of the receiver's.
    Act {
        /// For the answer.
        id: u64,
        /// Whose peer.
        identity: Identity,
        /// What.
        deed: Deed,
    },
    /// Whether that peer was there.
    Acted {
        /// As it was asked.
        id: u64,
        /// It was.
        found: bool,
    },
    /// What the sender holds of the places that the room's limits have.
    Holds(PartHolds),
    /// The owner: what the receiver may hold of them.
    Allots(PartAllots),
    /// The owner: how the room is set.
    Settings(Box<RoomSpec>),
    /// The sender's clients are to be the receiver's: whom to expect.
    Hand(Box<Handover>),
    /// Whether they may come.
    Takes(bool),
    /// The store takes the receiver for gone, and the sender is asked for the room by its name: it
    /// wants it handed over.
    Cede,
    /// It is: whom to expect. The next owner says so itself, in a higher epoch.
    Cedes(Box<Handover>),
    /// The owner: the room is over.
    Close(CloseReason),
    /// The sender has no part of the room, or none any more.
    Gone,
}

/// What a part holds of the room's limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHolds {
    /// Of `max_peers`.
    pub peers: Hold,
    /// Of `max_publishers`.
    pub publishers: Hold,
    /// It is said again: what it was told may not have come.
    pub again: bool,
}

/// What a part may hold of the room's limits; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartAllots {
    /// Of `max_peers`.
    pub peers: Option<Allot>,
    /// Of `max_publishers`.
    pub publishers: Option<Allot>,
}

/// What operators do to a peer, at whichever part it is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", content = "with", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Deed {
    /// Sends it away.
    Kick(CloseReason),
    /// Mutes a track of it, or all, or lets them be heard again.
    Mute {
        /// `None`: all.
        track: Option<TrackId>,
        /// Or unmutes.
        muted: bool,
    },
    /// Changes what is known of it, and what it may do.
    Change(Box<PeerChange>),
    /// Fails its actor, where faults are allowed.
    FailPeer,
    /// Fails its transport, likewise.
    FailTransport,
}

/// What a part is opened with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenPart {
    /// The room's settings.
    pub settings: RoomSpec,
    /// What the owner has.
    pub roster: PartRoster,
}

/// All that a part has of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartRoster {
    /// The room's owner, as the sender knows it.
    pub owner: WorkerId,
    /// Where clients find the sender.
    pub url: String,
    /// The sender's shards on which the room is open, for relays.
    pub shards: Vec<u16>,
    /// Other workers that hold a part, as the sender knows them.
    pub parts: Vec<WorkerId>,
    /// Where its clients are on their way to: they are to be found there, too.
    pub leaving: Option<WorkerId>,
    /// Peers that it takes beyond those it has; 0 where it is full, or on its way out.
    pub places: u32,
    /// Its peers.
    pub peers: Vec<FarPeer>,
    /// Viewers without a name.
    pub viewers: u32,
}

/// Somebody who is in at another part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FarPeer {
    /// As others see it.
    pub peer: Peer,
    /// Its session.
    pub session: PeerId,
    /// Whether others are told its name.
    pub named: bool,
    /// Whether its client follows the room by itself when that moves.
    pub follows: bool,
    /// Whether it publishes, or was granted to.
    pub publishes: bool,
    /// When it joined, in milliseconds since the Unix epoch.
    pub joined_at_ms: u64,
    /// What it publishes.
    pub tracks: Vec<FarTrack>,
}

/// What somebody publishes at another part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FarTrack {
    /// As others see it.
    pub track: Track,
    /// The shard on which it is published there.
    pub shard: u16,
}

/// Somebody who is heard at another part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarSpeaker {
    /// The audio track.
    pub track: TrackId,
    /// Whose it is.
    pub identity: Identity,
    /// Level in −dBov.
    pub level: u8,
}

/// How well somebody's media arrives at another part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FarQuality {
    /// Whose.
    pub identity: Identity,
    /// From 0, unusable, to 1, flawless.
    pub score: f64,
    /// What costs most of what is missing to 1.
    pub reason: QualityReason,
}

/// Something for clients of another part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// For whom; `None`: for all.
    pub to: Option<Identity>,
    /// What.
    pub message: ServerMessage,
}
