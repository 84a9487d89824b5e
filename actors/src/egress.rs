//! What takes media out of a room by other ways than WebRTC: packagers, recorders, players,
//! transcoders.
//!
//! An egress is started when somebody asks for media and ends when its handle is dropped. It holds
//! taps: one on each live track of the stream that it is for, followed as tracks come and go. The
//! packets go from the shard to the front end and pass no actor.

mod actor;
mod state;

use std::sync::Arc;

use media_contract::{RelayPeer, TapWish};
use media_types::{
    Codec, Identity, MediaKind, PeerId, RoomName, ShardId, TapId, TrackId, TrackSource,
};
use supervision::Mailbox;
use tokio::sync::watch;

pub(crate) use actor::Egress;
pub(crate) use state::close as close_step;

use crate::room::actor::RoomSeed;

/// What media is taken out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EgressPurpose {
    /// HLS, DASH and what else is cut into pieces.
    Packager,
    /// Something that is kept.
    Recorder,
    /// RTMP, FLV and other streams to one player each.
    Play,
    /// Input of a codec process.
    Transcoder,
}

impl EgressPurpose {
    /// Its word in the API and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Packager => "packager",
            Self::Recorder => "recorder",
            Self::Play => "play",
            Self::Transcoder => "transcoder",
        }
    }
}

/// A wish for media out of a room that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRequest {
    /// The room.
    pub room: RoomName,
    /// Whose tracks; `None` for everybody's.
    pub stream: Option<Identity>,
    /// How much of each.
    pub wish: TapWish,
    /// What for.
    pub purpose: EgressPurpose,
}

/// One tap that an egress holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressTap {
    /// The tap.
    pub tap: TapId,
    /// The shard that it is on.
    pub shard: ShardId,
    /// Where that shard has the track from, if it is of another part of the room.
    pub far: Option<RelayPeer>,
    /// Its track.
    pub track: TrackId,
    /// Who publishes that.
    pub publisher: Identity,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is encoded with. A track whose codec changes gets another tap.
    pub codec: Codec,
    /// What it shows.
    pub source: TrackSource,
    /// Its publisher's name for it.
    pub name: Option<String>,
    /// Nobody reads it any more; it is closed, and the track gets no other.
    pub released: bool,
}

/// What an egress holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressView {
    /// Its taps, in the order in which their tracks were published.
    pub taps: Vec<EgressTap>,
    /// It has ended, with its room.
    pub ended: bool,
}

/// An egress that runs. Ends when dropped.
#[derive(Debug)]
pub struct EgressSession {
    pub(crate) id: PeerId,
    pub(crate) mailbox: Mailbox<EgressMessage>,
    pub(crate) view: watch::Receiver<EgressView>,
}

impl EgressSession {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// One of its taps is not read any more.
    pub fn release(&self, tap: TapId) {
        if self.mailbox.tell(EgressMessage::Release(tap)).is_err() {
            tracing::debug!("an unread tap stays open until its egress ends");
        }
    }

    /// What it holds, followed.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<EgressView> {
        self.view.clone()
    }
}

impl Drop for EgressSession {
    fn drop(&mut self) {
        if self.mailbox.tell(EgressMessage::Close).is_err() {
            tracing::debug!("an egress finds out by itself that nobody reads it");
        }
    }
}

/// What one egress's lives are made from.
pub(crate) struct EgressSeed {
    pub(crate) room: Arc<RoomSeed>,
    pub(crate) id: PeerId,
    pub(crate) request: EgressRequest,
    /// What it holds: its readers follow it, and a later life goes on with it.
    pub(crate) view: watch::Sender<EgressView>,
}

/// A live track that an egress may tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EgressSource {
    pub(crate) track: TrackId,
    pub(crate) shard: ShardId,
    /// Where the shard has it from, if it is published at another part of the room.
    pub(crate) far: Option<RelayPeer>,
    pub(crate) publisher: Identity,
    pub(crate) kind: MediaKind,
    pub(crate) codec: Codec,
    pub(crate) source: TrackSource,
    pub(crate) name: Option<String>,
}

/// Everything that an egress can be told.
pub(crate) enum EgressMessage {
    /// The live tracks of the room, in the order of publication.
    Sources(Arc<Vec<EgressSource>>),
    /// Nobody reads this tap any more.
    Release(TapId),
    /// Nobody reads it any more.
    Close,
    /// Time to say again what it wants.
    Reconcile,
    /// An injected fault.
    Panic,
}
