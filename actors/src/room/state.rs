//! The pure part of a room. Input by [`RoomState::apply`] and its kin, effects out; no mailbox, no
//! clock, no shard in sight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{Action, Speaker};
use media_types::{Epoch, Identity, PeerId, RoomName, ShardId, TrackId, WorkerId};
use signaling::rest::RoomSettings;
use signaling::server_message::{AudienceParams, Reply};
use signaling::view::{CloseReason, LeaveReason};
use signaling::{RequestId, RpcError, ServerMessage};

use super::message::Audience;
use super::moving::Stage;
use super::parts::Parts;
use super::quality::{Board, Qualities, Quality};
use super::record::{PeerRecord, RoomView};
use super::tracks::TrackTable;
use crate::limits::AUDIENCE_PERIOD;
use crate::part::PartBody;
use crate::session::Notice;

/// Something for the shell to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Start a peer for this member.
    Spawn(PeerId),
    /// A connection takes a session up.
    Attach(PeerId),
    /// The peer shall go, telling its client why; `None`: it is going by itself.
    Dismiss(PeerId, Option<CloseReason>),
    /// Tell clients.
    Notify(Audience, Arc<Notice>),
    /// How well the publishers' media arrives.
    Qualities(Arc<Board>),
    /// The answer to a request that a peer passed on.
    Answer(PeerId, Option<RequestId>, Result<Reply, RpcError>),
    /// The answer to a wish to publish.
    MayPublish(PeerId, bool),
    /// The view changed: all peers choose again.
    View(Arc<RoomView>),
    /// A command for a shard.
    Command(ShardId, Action),
    /// The peer's transport is gone; its client shall come back with a new one.
    Rejoin(PeerId, CloseReason),
    /// Tell clients what observers hear of elsewhere.
    Pass(Audience, Arc<Notice>),
    /// A letter to another part.
    Part(WorkerId, Box<PartBody>),
    /// What is known of the other parts outlives this life.
    KeepParts,
    /// How far the move is outlives this life.
    KeepStage,
    /// Commands carry this epoch from now on.
    Raise(Epoch),
    /// The owner's part is gone: somebody has to own the room.
    Orphaned,
    /// The room is over.
    End,
}

/// A member, as the room keeps it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) record: PeerRecord,
    /// Whether the others were told its name.
    pub(crate) named: bool,
    /// It was granted to publish; counts against the limit before its first track is there.
    pub(crate) reserved: bool,
    /// How well its media arrives.
    pub(crate) quality: Quality,
}

impl Member {
    pub(crate) fn new(record: PeerRecord, named: bool) -> Self {
        Self {
            record,
            named,
            reserved: false,
            quality: Quality::default(),
        }
    }

    pub(crate) fn publishes(&self) -> bool {
        let record = &self.record;
        self.reserved || !(record.tracks.is_empty() && record.handed.is_empty())
    }
}

/// Limits of the worker that a room needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) roster: usize,
    pub(crate) peers_per_shard: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RoomPhase {
    /// Open for a move to here, which has not been decided: takes nobody.
    Standby,
    /// People come and go.
    #[default]
    Active,
    /// Another worker owns the room: media goes on for those who are in, and nothing is decided.
    Handover,
    /// Everybody was told to go.
    Closed,
}

pub(crate) struct RoomState {
    pub(crate) name: RoomName,
    pub(crate) settings: RoomSettings,
    pub(crate) limits: RoomLimits,
    pub(crate) phase: RoomPhase,
    pub(crate) stage: Stage,
    pub(crate) parts: Parts,
    pub(crate) members: BTreeMap<PeerId, Member>,
    pub(crate) identities: BTreeMap<Identity, PeerId>,
    pub(crate) tracks: TrackTable,
    /// Shards on which the room is open, the home shard first.
    pub(crate) shards: Vec<ShardId>,
    /// Who is heard on each shard.
    pub(crate) loudest: BTreeMap<ShardId, Vec<Speaker>>,
    pub(crate) heard: BTreeMap<Identity, u64>,
    pub(crate) heard_clock: u64,
    pub(crate) reactions: BTreeMap<String, u32>,
    pub(crate) reactions_due: Option<Instant>,
    pub(crate) crashes: BTreeMap<Identity, VecDeque<Instant>>,
    pub(crate) qualities: Qualities,
    /// Somebody packages, records or plays what is published.
    pub(crate) tapped: bool,
    audience_told: u32,
    audience_due: Option<Instant>,
    /// Since when nobody is in, and how long that may last.
    empty: Option<(Instant, Duration)>,
    pub(crate) effects: Vec<Effect>,
}

impl RoomState {
    pub(crate) fn new(
        now: Instant,
        name: RoomName,
        settings: RoomSettings,
        limits: RoomLimits,
        home: ShardId,
    ) -> Self {
        let empty_timeout = Duration::from_secs(settings.empty_timeout_s.into());
        Self {
            name,
            settings,
            limits,
            phase: RoomPhase::Active,
            stage: Stage::default(),
            parts: Parts::default(),
            members: BTreeMap::new(),
            identities: BTreeMap::new(),
            tracks: TrackTable::default(),
            shards: vec![home],
            loudest: BTreeMap::new(),
            heard: BTreeMap::new(),
            heard_clock: 0,
            reactions: BTreeMap::new(),
            reactions_due: None,
            crashes: BTreeMap::new(),
            qualities: Qualities::default(),
            tapped: false,
            audience_told: 0,
            audience_due: None,
            empty: Some((now, empty_timeout)),
            effects: Vec::new(),
        }
    }

    /// Takes what is to be done.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let empty = self.empty.map(|(since, time)| since + time);
        let qualities = self.qualities.due();
        let moving = self.move_due();
        let parts = self.parts.due(self.members.len());
        [
            empty,
            self.audience_due,
            self.reactions_due,
            qualities,
            moving,
            parts,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some((since, time)) = self.empty
            && now >= since + time
        {
            self.close(CloseReason::RoomClosed);
            return;
        }
        if self.audience_due.is_some_and(|due| now >= due) {
            self.audience_due = None;
            self.tell_audience(now);
        }
        if self.reactions_due.is_some_and(|due| now >= due) {
            self.flush_reactions();
        }
        self.flush_qualities(now);
        self.move_timeout(now);
        self.parts_timeout(now);
    }

    /// Everybody goes, and the room with them.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.phase == RoomPhase::Closed {
            return;
        }
        self.part_with(reason);
        self.phase = RoomPhase::Closed;
        let peers: Vec<PeerId> = self.members.keys().copied().collect();
        for peer in peers {
            self.effects.push(Effect::Dismiss(peer, Some(reason)));
        }
        self.members.clear();
        self.identities.clear();
        self.empty = None;
        self.effects.push(Effect::End);
    }

    /// Notes whether anybody is in.
    pub(crate) fn note_empty(&mut self, now: Instant) {
        let departure = self.departure();
        // A room that moves is not empty, whoever is in: whoever moves it closes it.
        let kept = !self.members.is_empty()
            || !self.stage.expected.is_empty()
            || self.phase != RoomPhase::Active
            || self.is_elsewhere()
            // A part is there for players and recorders, too; the room ends without its peers.
            || self.tapped && self.parts.is_branch();
        self.empty = match (!kept, self.empty) {
            (false, _) => None,
            (true, None) => Some((now, departure)),
            (true, since) => since,
        };
    }

    pub(crate) fn notify(&mut self, audience: Audience, message: ServerMessage) {
        self.effects
            .push(Effect::Notify(audience, Arc::new(Notice::new(message))));
    }

    /// Members that `roster` does not name.
    pub(crate) fn audience(&self) -> u32 {
        let unnamed = self.members.values().filter(|member| !member.named);
        let unnamed = unnamed.count().saturating_add(self.parts.unnamed());
        u32::try_from(unnamed).unwrap_or(u32::MAX)
    }

    /// Tells the size of the audience if it changed, at most once a second.
    pub(crate) fn note_audience(&mut self, now: Instant) {
        if self.audience() != self.audience_told && self.audience_due.is_none() {
            self.tell_audience(now);
        }
    }

    fn tell_audience(&mut self, now: Instant) {
        let audience = self.audience();
        if audience != self.audience_told {
            self.audience_told = audience;
            self.audience_due = Some(now + AUDIENCE_PERIOD);
            let message = ServerMessage::Audience(AudienceParams { audience });
            self.notify(Audience::All, message);
        }
    }

    /// Peers that publish, or were granted to.
    pub(crate) fn publishers(&self) -> usize {
        let members = self.members.values();
        let own = members.filter(|member| member.publishes()).count();
        own.saturating_add(self.parts.publishers())
    }

    /// Members on that shard.
    pub(crate) fn on_shard(&self, shard: ShardId) -> usize {
        let members = self.members.values();
        members
            .filter(|member| member.record.shard == shard)
            .count()
    }

    /// Tracks and transports that should exist, for comparing with what a shard has.
    pub(crate) fn known_tracks(&self) -> BTreeSet<TrackId> {
        let records = self
            .members
            .values()
            .flat_map(|member| &member.record.tracks);
        let own = records.map(|track| track.track);
        own.chain(self.tracks.far_ids()).collect()
    }

    /// Drops a member that failed for good.
    pub(crate) fn handle_gone(&mut self, now: Instant, peer: PeerId, failed: bool) {
        if failed {
            self.remove(now, peer, LeaveReason::Internal);
        } else {
            self.remove(now, peer, LeaveReason::Left);
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests take what they look for"
)]
mod tests;
