//! The pure part of an ingest: what is published, which connection feeds it, how long it is silent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{Action, Fact, IngestTrack};
use media_types::{Codec, Mid, RoomId, TrackId, TrackSource};
use signaling::view::{CloseReason, LeaveReason, PeerState};
use signaling::{ErrorType, RpcError};
use supervision::Reply;

use super::{IngestPlace, IngestSpec};
use crate::limits::{INGEST_RECLAIM, TRACKS_PER_PEER};
use crate::room::PeerRecord;
use crate::room::record::{MediaPhase, TrackRecord};
use crate::session::Outbox;

/// An answer to a front end.
pub(super) type Placed = Reply<Result<IngestPlace, RpcError>>;

/// Something for the shell to do.
pub(super) enum Effect {
    /// A command for the ingest's shard.
    Command(Action),
    /// The room shall know the record.
    Present,
    /// The room is asked whether it may publish.
    WantPublish,
    /// The answer to a front end.
    Answer(Placed, Result<IngestPlace, RpcError>),
    /// The connection learns where its frames go.
    Place(IngestPlace),
    /// Somebody needs a keyframe.
    Keyframe(TrackId),
    /// The connection shall end.
    Close(Arc<dyn Outbox>, CloseReason),
    /// It leaves the room.
    Leave(LeaveReason),
    /// It is over.
    End,
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The room's id on its shard.
    pub(super) room: RoomId,
    /// How long a connection may bring nothing.
    pub(super) silence: Duration,
    /// How long tracks stay without a connection.
    pub(super) window: Duration,
    /// The codecs that the room allows; empty: all.
    pub(super) codecs: Vec<Codec>,
}

/// Whether somebody feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A connection is there; the moment is when it last was known to bring something.
    Fed { heard: Instant },
    /// It went then.
    Lost { since: Instant },
    /// Over.
    Ended,
}

pub(super) struct IngestState {
    pub(super) record: PeerRecord,
    terms: Terms,
    phase: Phase,
    /// The room has said that it may publish.
    granted: bool,
    waiting: Vec<(IngestSpec, Placed)>,
    /// Tracks of which packets flow.
    flowing: BTreeSet<TrackId>,
    /// Tracks that the present connection has named.
    claimed: BTreeSet<TrackId>,
    /// When tracks of an earlier connection that it has not named go.
    reclaim_at: Option<Instant>,
    new_track: Box<dyn FnMut() -> TrackId + Send>,
    effects: Vec<Effect>,
}

impl IngestState {
    pub(super) fn new(
        now: Instant,
        record: PeerRecord,
        terms: Terms,
        new_track: Box<dyn FnMut() -> TrackId + Send>,
    ) -> Self {
        let phase = if record.state == PeerState::Reconnecting {
            Phase::Lost { since: now }
        } else {
            Phase::Fed { heard: now }
        };
        let claimed: BTreeSet<TrackId> = record.tracks.iter().map(|t| t.track).collect();
        let mut state = Self {
            granted: !record.tracks.is_empty(),
            record,
            terms,
            phase,
            waiting: Vec::new(),
            flowing: BTreeSet::new(),
            claimed,
            reclaim_at: None,
            new_track,
            effects: Vec::new(),
        };
        // A later life makes sure that the shard has what the record says.
        state.open_all();
        state
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Fed { heard } => self.is_silent().then_some(heard + self.terms.silence),
            Phase::Lost { since } => Some(since + self.terms.window),
            Phase::Ended => None,
        };
        due.into_iter().chain(self.reclaim_at).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Fed { heard } if self.is_silent() && now >= heard + self.terms.silence => {
                let outbox = Arc::clone(&self.record.outbox);
                self.effects
                    .push(Effect::Close(outbox, CloseReason::Timeout));
                self.lose(now);
            }
            Phase::Lost { since } if now >= since + self.terms.window => {
                self.leave(LeaveReason::Timeout);
            }
            Phase::Fed { .. } | Phase::Lost { .. } | Phase::Ended => {}
        }
        if self.reclaim_at.is_some_and(|at| now >= at) {
            self.reclaim_at = None;
            let tracks = self.record.tracks.iter().map(|track| track.track);
            let left: Vec<TrackId> = tracks.filter(|t| !self.claimed.contains(t)).collect();
            for track in left {
                self.remove(track);
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.flowing.is_empty()
    }

    fn feed(&self) -> u32 {
        u32::try_from(self.record.attachment).unwrap_or(u32::MAX)
    }

    fn place(&self, track: TrackId) -> IngestPlace {
        IngestPlace {
            room: self.terms.room,
            shard: self.record.shard,
            track,
            feed: self.feed(),
        }
    }

    /// Another connection feeds from now on; the earlier one ends.
    pub(super) fn attach(&mut self, now: Instant, outbox: Arc<dyn Outbox>, attachment: u64) {
        if attachment <= self.record.attachment {
            return;
        }
        let earlier = std::mem::replace(&mut self.record.outbox, outbox);
        if matches!(self.phase, Phase::Fed { .. }) {
            self.effects
                .push(Effect::Close(earlier, CloseReason::Replaced));
        }
        self.record.attachment = attachment;
        self.record.state = PeerState::Active;
        self.phase = Phase::Fed { heard: now };
        self.flowing.clear();
        self.claimed.clear();
        self.reclaim_at = Some(now + INGEST_RECLAIM);
        self.effects.push(Effect::Present);
    }

    /// Publishes a track, once the room has allowed it.
    pub(super) fn add(&mut self, attachment: u64, spec: IngestSpec, reply: Placed) {
        if attachment != self.record.attachment || self.is_over() {
            self.answer(reply, Err(ErrorType::NotFound.into()));
        } else if spec.codec.kind() != spec.kind || !self.allows(spec.codec) {
            self.answer(reply, Err(ErrorType::Unsupported.into()));
        } else if self.granted {
            self.publish(spec, reply);
        } else {
            if self.waiting.is_empty() {
                self.effects.push(Effect::WantPublish);
            }
            self.waiting.push((spec, reply));
        }
    }

    fn allows(&self, codec: Codec) -> bool {
        self.terms.codecs.is_empty() || self.terms.codecs.contains(&codec)
    }

    fn answer(&mut self, reply: Placed, answer: Result<IngestPlace, RpcError>) {
        self.effects.push(Effect::Answer(reply, answer));
    }

    /// The room's answer.
    pub(super) fn may_publish(&mut self, granted: bool) {
        self.granted |= granted;
        for (spec, reply) in std::mem::take(&mut self.waiting) {
            if granted {
                self.publish(spec, reply);
            } else {
                self.answer(reply, Err(ErrorType::Forbidden.into()));
            }
        }
    }

    fn publish(&mut self, spec: IngestSpec, reply: Placed) {
        let count = self.record.tracks.len();
        let mut tracks = self.record.tracks.iter_mut();
        let known = tracks.find(|track| track.kind == spec.kind && track.name == spec.name);
        let track = match known {
            Some(known) => {
                known.codec = spec.codec;
                known.track
            }
            None if count >= TRACKS_PER_PEER => {
                self.answer(reply, Err(ErrorType::Forbidden.into()));
                return;
            }
            None => {
                let Some(mid) = self.free_mid() else {
                    self.answer(reply, Err(ErrorType::Internal.into()));
                    return;
                };
                let track = (self.new_track)();
                self.record.tracks.push(TrackRecord {
                    track,
                    mid,
                    kind: spec.kind,
                    codec: spec.codec,
                    source: TrackSource::Ingest,
                    name: spec.name,
                    muted: false,
                });
                track
            }
        };
        self.record.media = MediaPhase::Open;
        self.claimed.insert(track);
        self.open(track);
        self.effects.push(Effect::Present);
        self.answer(reply, Ok(self.place(track)));
    }

    /// Records name tracks by m-lines; ours have made-up ones.
    fn free_mid(&self) -> Option<Mid> {
        let mids = (0..=TRACKS_PER_PEER).filter_map(|n| format!("in{n}").parse::<Mid>().ok());
        let used = |mid: &Mid| self.record.tracks.iter().any(|track| track.mid == *mid);
        mids.into_iter().find(|mid| !used(mid))
    }

    fn open(&mut self, id: TrackId) {
        let Some(track) = self.record.tracks.iter().find(|track| track.track == id) else {
            return;
        };
        let ingest = IngestTrack {
            track: id,
            identity: self.record.identity.clone(),
            kind: track.kind,
            codec: track.codec,
            source: track.source,
            feed: self.feed(),
        };
        let muted = track.muted;
        self.effects
            .push(Effect::Command(Action::OpenIngest(ingest)));
        if muted {
            let mute = Action::Mute { track: id, muted };
            self.effects.push(Effect::Command(mute));
        }
    }

    /// Makes sure that the shard has all tracks.
    pub(super) fn open_all(&mut self) {
        let tracks: Vec<TrackId> = self.record.tracks.iter().map(|t| t.track).collect();
        for track in tracks {
            self.open(track);
        }
    }

    /// The shard knows nothing any more.
    pub(super) fn shard_restarted(&mut self, now: Instant) {
        self.flowing.clear();
        if let Phase::Fed { heard } = &mut self.phase {
            *heard = now;
        }
        self.open_all();
        let tracks: Vec<TrackId> = self.record.tracks.iter().map(|t| t.track).collect();
        for track in tracks {
            let place = self.place(track);
            self.effects.push(Effect::Place(place));
        }
    }

    /// The connection publishes a track no more.
    pub(super) fn remove_by(&mut self, attachment: u64, track: TrackId) {
        if attachment == self.record.attachment {
            self.remove(track);
        }
    }

    fn remove(&mut self, track: TrackId) {
        let before = self.record.tracks.len();
        self.record.tracks.retain(|known| known.track != track);
        if self.record.tracks.len() != before {
            self.flowing.remove(&track);
            self.effects
                .push(Effect::Command(Action::Unpublish { track }));
            self.effects.push(Effect::Present);
        }
    }

    /// Something happened to one of the tracks.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "facts that are not for those who feed"
    )]
    pub(super) fn track_event(&mut self, now: Instant, track: TrackId, fact: &Fact) {
        match fact {
            Fact::TrackStarted { .. } => {
                self.flowing.insert(track);
            }
            Fact::TrackStalled => {
                self.flowing.remove(&track);
                if let (true, Phase::Fed { heard }) = (self.is_silent(), &mut self.phase) {
                    *heard = now;
                }
            }
            Fact::KeyframeWanted => self.effects.push(Effect::Keyframe(track)),
            _ => {}
        }
    }

    /// The connection is gone.
    pub(super) fn socket_lost(&mut self, now: Instant, attachment: u64) {
        if attachment == self.record.attachment && matches!(self.phase, Phase::Fed { .. }) {
            self.lose(now);
        }
    }

    fn lose(&mut self, now: Instant) {
        self.phase = Phase::Lost { since: now };
        self.reclaim_at = None;
        self.record.state = PeerState::Reconnecting;
        self.effects.push(Effect::Present);
    }

    /// It ends of its own.
    pub(super) fn leave(&mut self, reason: LeaveReason) {
        if !self.is_over() {
            self.unpublish_all();
            self.effects.push(Effect::Leave(reason));
            self.end();
        }
    }

    /// The room sends it away.
    pub(super) fn dismissed(&mut self, reason: CloseReason) {
        if !self.is_over() {
            self.unpublish_all();
            let outbox = Arc::clone(&self.record.outbox);
            self.effects.push(Effect::Close(outbox, reason));
            self.end();
        }
    }

    fn end(&mut self) {
        for (_, reply) in std::mem::take(&mut self.waiting) {
            self.answer(reply, Err(ErrorType::NotFound.into()));
        }
        self.phase = Phase::Ended;
        self.effects.push(Effect::End);
    }

    fn unpublish_all(&mut self) {
        let tracks: Vec<TrackId> = self.record.tracks.iter().map(|t| t.track).collect();
        for track in tracks {
            self.effects
                .push(Effect::Command(Action::Unpublish { track }));
        }
    }

    /// An operator mutes a track, or all.
    pub(super) fn mute(&mut self, track: Option<TrackId>, muted: bool) {
        let mut changed = Vec::new();
        for known in &mut self.record.tracks {
            if track.is_none_or(|track| track == known.track) && known.muted != muted {
                known.muted = muted;
                changed.push(known.track);
            }
        }
        for track in &changed {
            let mute = Action::Mute {
                track: *track,
                muted,
            };
            self.effects.push(Effect::Command(mute));
        }
        if !changed.is_empty() {
            self.effects.push(Effect::Present);
        }
    }

    /// An operator changes what others know of it.
    pub(super) fn change(&mut self, change: crate::room::message::PeerChange) {
        if let Some(name) = change.name {
            self.record.name = Some(name);
        }
        if let Some(metadata) = change.metadata {
            self.record.metadata = metadata;
        }
        self.effects.push(Effect::Present);
    }

    /// The room wants to know how it is.
    pub(super) fn present_again(&mut self) {
        self.effects.push(Effect::Present);
    }
}

#[cfg(test)]
mod tests;
