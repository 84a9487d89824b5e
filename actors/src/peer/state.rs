//! The pure part of a peer: its session's phases, its deadlines, and what the shard tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{Action, LostReason, MediaLine, TransportFigures, Wish};
use media_types::{Codec, Identity, Mid, Rid, TrackId};
use signaling::view::{CloseReason, LeaveReason, PeerState as Presence, SlotState};
use signaling::{Outgoing, RpcError, ServerMessage};

use super::bucket::Bucket;
use super::negotiation::{Held, PendingOffer};
use super::slots::SlotBook;
use super::uplink::Uplink;
use crate::hooks::VideoLimit;
use crate::limits::RECONCILE_AFTER;
use crate::room::quality::{Board, Report, Score, Told};
use crate::room::{MediaPhase, PeerRecord, RoomView, Speech};
use crate::session::{Outbox, SessionKind};

/// What a command was for, so that its answer is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The offer of that number.
    Offer(u64),
    /// This slot.
    Fill(Mid),
    /// What exists.
    Describe,
    /// Nothing that its answer would change.
    Other,
}

/// Something for the shell to do.
pub(crate) enum Effect {
    /// To the client.
    Send(Box<Outgoing>),
    /// To the client, how a publisher's media arrives.
    SendQuality(Arc<Told>),
    /// To a connection, which is then closed.
    Goodbye(Arc<dyn Outbox>, CloseReason),
    /// To the shard.
    Command(Purpose, Action),
    /// The room hears how the peer is.
    Present,
    /// The room is asked whether the peer may publish.
    WantPublish,
    /// The room passes on what is said.
    Say(Option<signaling::RequestId>, Speech),
    /// A message for another room.
    SendElsewhere(
        Option<signaling::RequestId>,
        Box<signaling::client_message::SendParams>,
    ),
    /// The room hears of the quality.
    Quality(Report),
    /// The room hears that the client cannot decode what a slot shows.
    Unsupported(TrackId),
    /// The room hears that the media path broke.
    MediaLost(LostReason),
    /// The answer to an offer by WHIP or WHEP.
    AnswerOffer(
        supervision::Reply<Result<signaling::server_message::OfferResult, RpcError>>,
        Result<signaling::server_message::OfferResult, RpcError>,
    ),
    /// The room hears that its next worker serves the client.
    Settled,
    /// The room hears that the peer leaves; `None`: it knows.
    End(Option<LeaveReason>),
}

/// Where the session stands (SPEC 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client was heard then.
    Active { heard: Instant },
    /// The client was lost then; everything stays for the resume window.
    Zombie { since: Instant },
    /// It is over.
    Closed,
}

/// What the worker and the room hold a session to.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_missed: u32,
    pub(crate) resume_window: Duration,
    /// Chat messages, reactions and sends at once, and then a second.
    pub(crate) talk_burst: u32,
    pub(crate) talk_per_second: u32,
    /// The codecs that the room allows; empty: all.
    pub(crate) codecs: Vec<Codec>,
}

pub(crate) struct PeerState {
    pub(crate) record: PeerRecord,
    pub(crate) phase: Phase,
    pub(super) terms: Terms,
    pub(super) view: Arc<RoomView>,
    /// Makes the ids of new tracks.
    pub(super) new_track: Box<dyn FnMut() -> TrackId>,
    pub(super) offers: BTreeMap<u64, PendingOffer>,
    pub(super) offers_made: u64,
    /// Answers that wait for the room's leave to publish.
    pub(super) held: Vec<Held>,
    pub(super) lines: Vec<MediaLine>,
    pub(super) slots: SlotBook,
    pub(super) wishes: BTreeMap<Mid, Wish>,
    pub(super) shown: BTreeMap<Mid, SlotState>,
    /// Videos that the client cannot decode, of which the room has heard.
    pub(super) undecodable: BTreeSet<TrackId>,
    /// How much video operators allow.
    pub(super) video: VideoLimit,
    pub(super) figures: Option<TransportFigures>,
    /// How well the publishers' media arrives, and what the client knows of it.
    pub(super) board: Arc<Board>,
    pub(super) board_told: BTreeMap<Identity, Score>,
    pub(super) uplink: Uplink,
    /// Layers of its tracks that have flowed.
    pub(super) flowed: BTreeSet<(TrackId, Rid)>,
    pub(super) talk: Bucket,
    /// By then the media path must stand.
    pub(super) connect_by: Option<Instant>,
    /// Waiting for the shard to say what exists, after a restart.
    pub(super) settling: bool,
    /// When to ask the shard what exists, since something was refused.
    pub(super) dirty_at: Option<Instant>,
    pub(super) effects: Vec<Effect>,
}

impl PeerState {
    /// A life from its record. One that has media asks the shard first what exists; until then
    /// [`Self::is_settling`].
    pub(crate) fn new(
        now: Instant,
        record: PeerRecord,
        view: Arc<RoomView>,
        terms: Terms,
        new_track: Box<dyn FnMut() -> TrackId>,
    ) -> Self {
        let phase = if record.state == Presence::Reconnecting {
            Phase::Zombie { since: now }
        } else {
            Phase::Active { heard: now }
        };
        let settling = record.media == MediaPhase::Open;
        let connects = record.kind != SessionKind::WebSocket && !settling;
        let mut state = Self {
            phase,
            view,
            new_track,
            offers: BTreeMap::new(),
            offers_made: 0,
            held: Vec::new(),
            lines: Vec::new(),
            slots: SlotBook::default(),
            wishes: BTreeMap::new(),
            shown: BTreeMap::new(),
            undecodable: BTreeSet::new(),
            video: VideoLimit::Free,
            figures: None,
            board: Arc::default(),
            board_told: BTreeMap::new(),
            uplink: Uplink::default(),
            flowed: BTreeSet::new(),
            talk: Bucket::new(now, terms.talk_burst, terms.talk_per_second),
            terms,
            connect_by: connects.then(|| now + crate::limits::CONNECT_DEADLINE),
            settling,
            dirty_at: None,
            effects: Vec::new(),
            record,
        };
        if settling {
            state.describe(now);
        }
        state
    }

    /// Whether requests must wait until the shard has said what exists.
    pub(crate) fn is_settling(&self) -> bool {
        self.settling && self.phase != Phase::Closed
    }

    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn command(&mut self, purpose: Purpose, action: Action) {
        self.effects.push(Effect::Command(purpose, action));
    }

    pub(super) fn present(&mut self) {
        self.effects.push(Effect::Present);
    }

    pub(super) fn notify(&mut self, message: ServerMessage) {
        let active = matches!(self.phase, Phase::Active { .. });
        if active && self.record.kind == SessionKind::WebSocket {
            let message = Box::new(Outgoing::Notify(message));
            self.effects.push(Effect::Send(message));
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = match self.phase {
            Phase::Active { heard } => self.has_heartbeat().then(|| heard + self.patience()),
            Phase::Zombie { since } => Some(since + self.terms.resume_window),
            Phase::Closed => return None,
        };
        let offers = self.offers.values().map(|offer| offer.due).min();
        [session, offers, self.connect_by, self.dirty_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.hear_connection();
        match self.phase {
            Phase::Active { heard } if self.has_heartbeat() && now >= heard + self.patience() => {
                self.goodbye(CloseReason::Timeout);
                self.lose_client(now);
            }
            Phase::Zombie { since } if now >= since + self.terms.resume_window => {
                self.leave(LeaveReason::Timeout);
            }
            Phase::Active { .. } | Phase::Zombie { .. } | Phase::Closed => {}
        }
        if self.connect_by.is_some_and(|by| now >= by) {
            self.leave(LeaveReason::Timeout);
        }
        self.expire_offers(now);
        if self.dirty_at.is_some_and(|at| now >= at) {
            self.describe(now);
        }
    }

    fn has_heartbeat(&self) -> bool {
        self.record.kind == SessionKind::WebSocket
    }

    /// The missed pings, and half an interval for the network.
    fn patience(&self) -> Duration {
        let interval = self.terms.heartbeat_interval;
        interval.saturating_mul(self.terms.heartbeat_missed) + interval / 2
    }

    /// The client was heard.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Phase::Active { heard } = &mut self.phase {
            *heard = now;
        }
    }

    /// The connection answers pings by itself and remembers the last.
    fn hear_connection(&mut self) {
        if let (Phase::Active { heard }, Some(at)) = (&mut self.phase, self.record.outbox.heard()) {
            *heard = at.max(*heard);
        }
    }

    /// The connection is gone. One that another has replaced is of no interest.
    pub(crate) fn socket_lost(&mut self, now: Instant, attachment: u64) {
        if attachment == self.record.attachment {
            self.lose_client(now);
        }
    }

    /// All resources stay for the resume window.
    pub(crate) fn lose_client(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Active { .. }) {
            return;
        }
        if self.record.kind != SessionKind::WebSocket {
            self.leave(LeaveReason::Timeout);
            return;
        }
        self.phase = Phase::Zombie { since: now };
        self.record.state = Presence::Reconnecting;
        self.present();
    }

    /// A connection takes the session up.
    pub(crate) fn attach(&mut self, now: Instant, outbox: Arc<dyn Outbox>, attachment: u64) {
        if self.phase == Phase::Closed || attachment < self.record.attachment {
            return;
        }
        if attachment > self.record.attachment && matches!(self.phase, Phase::Active { .. }) {
            let earlier = Arc::clone(&self.record.outbox);
            self.effects
                .push(Effect::Goodbye(earlier, CloseReason::Replaced));
        }
        self.record.outbox = outbox;
        self.record.attachment = attachment;
        self.record.state = Presence::Active;
        self.phase = Phase::Active { heard: now };
        self.present();
        self.tell_all_slots();
        self.tell_qualities();
    }

    pub(super) fn goodbye(&mut self, reason: CloseReason) {
        let outbox = Arc::clone(&self.record.outbox);
        self.effects.push(Effect::Goodbye(outbox, reason));
    }

    /// The room asks how the peer is.
    pub(crate) fn present_again(&mut self) {
        if self.phase != Phase::Closed {
            self.present();
        }
    }

    /// The room had more to say than the box holds: the client comes back for a whole picture.
    pub(crate) fn overrun(&mut self, now: Instant, view: Arc<RoomView>) {
        self.set_view(view);
        let active = matches!(self.phase, Phase::Active { .. });
        if active && self.record.kind == SessionKind::WebSocket {
            self.goodbye(CloseReason::Overloaded);
            self.lose_client(now);
        }
    }

    /// The client leaves, or is given up.
    pub(crate) fn leave(&mut self, reason: LeaveReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.close_transport();
        self.phase = Phase::Closed;
        self.effects.push(Effect::End(Some(reason)));
    }

    /// The room sends the peer away, or the worker stops.
    pub(crate) fn dismissed(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.close_transport();
        self.phase = Phase::Closed;
        self.goodbye(reason);
        self.effects.push(Effect::End(None));
    }

    fn close_transport(&mut self) {
        if self.record.media == MediaPhase::Open {
            let transport = self.record.transport;
            self.record.media = MediaPhase::None;
            self.command(Purpose::Other, Action::CloseTransport { transport });
        }
    }

    /// Something that was asked of the shard was not taken.
    pub(crate) fn mark_dirty(&mut self, now: Instant) {
        if self.record.media == MediaPhase::Open {
            self.dirty_at.get_or_insert(now + RECONCILE_AFTER);
        }
    }

    /// A full queue refused a command.
    pub(crate) fn not_sent(&mut self, now: Instant, purpose: Purpose) {
        if let Purpose::Offer(number) = purpose {
            self.fail_offer(number, signaling::ErrorType::Overloaded.into());
        }
        self.mark_dirty(now);
    }

    fn describe(&mut self, now: Instant) {
        // Asked again until answered.
        self.dirty_at = self
            .settling
            .then(|| now + RECONCILE_AFTER.saturating_mul(4));
        self.command(Purpose::Describe, Action::Describe);
    }
}

#[cfg(test)]
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests take what they look for"
)]
mod tests;
