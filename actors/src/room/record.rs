//! What a room remembers of its peers: enough to build a crashed `Peer` again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use control_plane::migration::HandedTrack;
use media_contract::Wish;
use media_types::TransportId;
use media_types::{Codec, Identity, MediaKind, Mid, PeerId, ShardId, TrackId, TrackSource};
use serde_json::Value;
use signaling::Grants;
use signaling::view::{Peer, PeerState, Track};

use crate::session::{Outbox, SessionKind};

/// Where a peer's media path stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaPhase {
    /// It has none: the client has not offered, or has closed it on purpose.
    None,
    /// A transport was opened on the shard.
    Open,
    /// The transport broke; the client must come back with a new one.
    Lost,
}

/// A published track, as its peer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackRecord {
    pub(crate) track: TrackId,
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    /// The first codec that was negotiated, until packets say which it is.
    pub(crate) codec: Codec,
    pub(crate) source: TrackSource,
    pub(crate) name: Option<String>,
    pub(crate) muted: bool,
}

/// What a client asked of one slot by `subscribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) mid: Mid,
    pub(crate) track: Option<TrackId>,
    pub(crate) wish: Wish,
}

/// One peer. The peer keeps it current by [`super::RoomMessage::Present`]; the room gives it back
/// to a restarted peer.
#[derive(Clone)]
pub(crate) struct PeerRecord {
    pub(crate) peer: PeerId,
    pub(crate) identity: Identity,
    pub(crate) kind: SessionKind,
    pub(crate) grants: Grants,
    /// Of the join token, to repeat the first answer.
    pub(crate) jti: Option<String>,
    /// The key that signed the join token; unknown to who came by a resume token.
    pub(crate) key: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) joined_at_ms: u64,
    pub(crate) shard: ShardId,
    pub(crate) transport: TransportId,
    pub(crate) state: PeerState,
    pub(crate) media: MediaPhase,
    pub(crate) tracks: Vec<TrackRecord>,
    /// What it published at the room's last worker and has not published here: the ids stay.
    pub(crate) handed: Vec<HandedTrack>,
    pub(crate) pins: Vec<Pin>,
    /// Wishes for tracks that are not pinned, wherever they are shown.
    pub(crate) sizes: BTreeMap<TrackId, Wish>,
    pub(crate) pairs: Vec<(Mid, Mid)>,
    pub(crate) outbox: Arc<dyn Outbox>,
    /// Rises with every connection that takes the session up.
    pub(crate) attachment: u64,
}

impl PeerRecord {
    /// Whether it counts as a member whom others may know by name.
    pub(crate) fn is_member(&self) -> bool {
        !matches!(self.kind, SessionKind::Whep { .. })
    }

    /// The peer as others see it.
    pub(crate) fn view(&self) -> Peer {
        Peer {
            peer_id: self.identity.clone(),
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            state: self.state,
        }
    }
}

impl fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRecord")
            .field("peer", &self.peer)
            .field("state", &self.state)
            .field("media", &self.media)
            .field("tracks", &self.tracks)
            .field("attachment", &self.attachment)
            .finish_non_exhaustive()
    }
}

/// One track of the room, as peers choose from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackEntry {
    pub(crate) view: Track,
    /// The peer that publishes it.
    pub(crate) owner: PeerId,
    /// When its publisher was last heard; rises with every speech, 0 for never.
    pub(crate) heard: u64,
}

/// What there is to see and hear; shared by all peers, replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RoomView {
    /// In the order of publication.
    pub(crate) tracks: Vec<TrackEntry>,
    /// Audio tracks that are heard now, loudest first.
    pub(crate) loudest: Vec<TrackId>,
}
