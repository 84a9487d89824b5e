//! The shell of a room: carries out what the state decides.
//!
//! A room that begins a life, its first or a later one, does the same: it asks its supervisor who
//! lives, asks those for their records and the shards for what exists, and takes its first message
//! only then. The first life finds nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use media_contract::{Action, CommandId};
use media_types::{PeerId, RoomId, RoomName, ShardId};
use signaling::rest::RoomSettings;
use signaling::view::CloseReason;
use supervision::{Behaviour, Mailbox, Scope, TimerId};

use super::message::RoomMessage;
use super::moving::Stage;
use super::parts::KeptParts;
use super::record::MediaPhase;
use super::state::{RoomLimits, RoomPhase, RoomState};
use super::supervisor::SupervisorMessage;
use crate::context::{Commander, Context, RoomEpoch};
use crate::limits::{RECONCILE_AFTER, ROLL_CALL};
use crate::peer::PeerMessage;

mod acts;
mod admin;
mod cession;
mod hand;
mod joins;
mod letters;
mod live;
mod moving;
mod opening;
mod parts;
mod policy;
mod waiting;

use acts::Acts;
use joins::Joins;
use live::Live;
pub(crate) use moving::Activation;
use opening::Opening;
use waiting::Waiting;

/// What one life of a room on this worker is made from.
pub(crate) struct RoomSeed {
    pub(crate) context: Arc<Context>,
    pub(crate) id: RoomId,
    pub(crate) name: RoomName,
    pub(crate) epoch: RoomEpoch,
    pub(crate) home: ShardId,
    pub(crate) opened_at_ms: u64,
    /// The worker's cache of the spec, so that a restart needs no store.
    pub(crate) settings: RwLock<RoomSettings>,
    /// How far the room's move is, so that a restart goes on from there.
    pub(crate) stage: RwLock<Stage>,
    /// What the room's parts on other workers have, likewise.
    pub(crate) parts: RwLock<KeptParts>,
    /// An event was refused by a full box.
    pub(crate) missed: Arc<AtomicBool>,
}

impl RoomSeed {
    pub(crate) fn settings(&self) -> RoomSettings {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }

    fn stage(&self) -> Stage {
        let stage = self.stage.read().unwrap_or_else(PoisonError::into_inner);
        stage.clone()
    }

    fn set_stage(&self, stage: Stage) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn parts(&self) -> KeptParts {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.clone()
    }

    fn set_parts(&self, parts: KeptParts) {
        *self.parts.write().unwrap_or_else(PoisonError::into_inner) = parts;
    }

    fn set_settings(&self, settings: RoomSettings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

pub(crate) struct Room {
    seed: Arc<RoomSeed>,
    supervisor: Mailbox<SupervisorMessage>,
    state: RoomState,
    commander: Commander,
    peers: BTreeMap<PeerId, Mailbox<PeerMessage>>,
    joins: Joins,
    acts: Acts,
    waiting: Waiting,
    opening: Option<Opening>,
    /// Another part, which is to take this one's clients.
    asked: Option<hand::Asked>,
    /// Peers whose full box refused something.
    behind: BTreeSet<PeerId>,
    /// Shards whose full queue refused something.
    dirty: BTreeSet<ShardId>,
    describes: BTreeMap<CommandId, ShardId>,
    live: Live,
    retry_at: Option<Instant>,
    timer: Option<(TimerId, Instant)>,
}

impl Room {
    pub(crate) fn new(
        now: Instant,
        seed: Arc<RoomSeed>,
        supervisor: Mailbox<SupervisorMessage>,
    ) -> Self {
        let config = &seed.context.config;
        let limits = RoomLimits {
            roster: config.roster_limit,
            peers_per_shard: config.room_peers_per_shard,
        };
        let mut state = RoomState::new(now, seed.name.clone(), seed.settings(), limits, seed.home);
        state.parts.me = config.worker;
        state.parts.url.clone_from(&config.url);
        state.parts.limit = config.room_peers_per_worker;
        state.take_stage(now, seed.stage());
        state.recall_parts(now, seed.parts());
        Self {
            commander: Commander::new(seed.id, seed.epoch.clone(), None),
            seed,
            supervisor,
            state,
            peers: BTreeMap::new(),
            joins: Joins::default(),
            acts: Acts::default(),
            waiting: Waiting::default(),
            opening: Some(Opening::default()),
            asked: None,
            behind: BTreeSet::new(),
            dirty: BTreeSet::new(),
            describes: BTreeMap::new(),
            live: Live::default(),
            retry_at: None,
            timer: None,
        }
    }

    fn take(&mut self, now: Instant, message: RoomMessage) {
        match message {
            RoomMessage::Join(ask) => self.join(now, *ask),
            RoomMessage::Spawned(peer, mailbox) => self.spawned(peer, mailbox),
            RoomMessage::Gone(peer, exit) => self.gone(now, peer, exit.is_failure()),
            RoomMessage::Load(peer) => self.load(peer),
            RoomMessage::Present(record) => self.state.present(now, *record),
            RoomMessage::Left(peer, reason) => {
                self.state.remove(now, peer, reason);
            }
            RoomMessage::WantPublish(peer) => self.state.want_publish(now, peer),
            RoomMessage::Say(peer, request, speech) => self.say(now, peer, request, speech),
            RoomMessage::Policy => self.policy_changed(),
            RoomMessage::Endpoints => self.endpoints_changed(),
            RoomMessage::Quality(peer, report) => self.state.quality(now, peer, &report),
            RoomMessage::Unsupported(track) => self.state.codec_unsupported(now, track),
            RoomMessage::MediaLost(peer, reason) => self.state.media_lost(now, peer, reason),
            RoomMessage::Event(shard, event) => self.event(shard, *event),
            RoomMessage::ShardRestarted(shard) => self.state.shard_restarted(shard),
            RoomMessage::Timer => self.timer(now),
            RoomMessage::Close(reason) => self.state.close(reason),
            RoomMessage::Panic => self.panic_if_allowed(),
            RoomMessage::Roll(_) | RoomMessage::RollCallOver => {}
            other @ (RoomMessage::OpenEgress(..)
            | RoomMessage::OpenTranscoder(..)
            | RoomMessage::EgressLives(..)
            | RoomMessage::EgressLoad(_)
            | RoomMessage::EgressGone(_)
            | RoomMessage::PanicEgress(..)
            | RoomMessage::Ingests(_)) => self.take_live(now, other),
            other @ (RoomMessage::Migrate(_)
            | RoomMessage::Activate(_)
            | RoomMessage::Yield(..)
            | RoomMessage::SendOff
            | RoomMessage::HandOff(_)
            | RoomMessage::Settled(_)
            | RoomMessage::Standing(_)
            | RoomMessage::Weigh(_)
            | RoomMessage::Release
            | RoomMessage::StandBy(_)
            | RoomMessage::Dismantle
            | RoomMessage::Roster(_)) => self.take_move(now, other),
            other @ (RoomMessage::Part(..) | RoomMessage::Linked | RoomMessage::OwnedBy(_)) => {
                self.take_part(now, other);
            }
            other @ (RoomMessage::Deliver(..)
            | RoomMessage::Status(_)
            | RoomMessage::Peers(_)
            | RoomMessage::Patch(..)
            | RoomMessage::Act(..)
            | RoomMessage::Shut(_)
            | RoomMessage::Revoke(..)) => self.administer(now, other),
        }
    }

    #[allow(
        clippy::panic,
        reason = "an injected fault, where the configuration allows them"
    )]
    fn panic_if_allowed(&self) {
        if self.seed.context.config.debug_faults {
            panic!("injected fault");
        }
    }

    fn gone(&mut self, now: Instant, peer: PeerId, failed: bool) {
        self.peers.remove(&peer);
        self.behind.remove(&peer);
        self.joins.fail(peer);
        if failed && let Some(member) = self.state.members.get(&peer) {
            let record = &member.record;
            crate::peer::say_goodbye(&record.outbox, &record.kind, CloseReason::Internal);
            let transport = record.transport;
            let close = Action::CloseTransport { transport };
            let (shard, record) = (record.shard, record.clone());
            self.command(shard, close);
            self.unpublish_fed(&record);
        }
        self.state.handle_gone(now, peer, failed);
    }

    fn timer(&mut self, now: Instant) {
        self.timer = None;
        if self.opening.is_none() {
            let before = self.state.move_due();
            self.state.handle_timeout(now);
            self.acts.give_up(now);
            if self.state.move_due() != before {
                self.keep_stage();
            }
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            self.describe_dirty();
            self.catch_up();
        }
    }

    /// Sets the one timer to the earliest deadline.
    fn arm(&mut self, now: Instant, scope: &mut Scope<Self>) {
        if self.retry_at.is_none() && !(self.dirty.is_empty() && self.behind.is_empty()) {
            self.retry_at = Some(now + RECONCILE_AFTER);
        }
        let due = [
            self.state.poll_timeout(),
            self.acts.due(),
            self.waiting.due(),
        ];
        // Before it knows who is in, nothing of it is late.
        let due = due.into_iter().flatten().min();
        let due = due.filter(|_| self.opening.is_none());
        let Some(due) = due.into_iter().chain(self.retry_at).min() else {
            return;
        };
        // An early ring costs one look.
        if self.timer.is_some_and(|(_, armed)| armed <= due) {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            scope.cancel(timer);
        }
        let delay = due.saturating_duration_since(now);
        self.timer = Some((scope.after(delay, RoomMessage::Timer), due));
    }

    /// Whether the room's media on any shard is in use by this member.
    fn has_media(&self, peer: PeerId) -> bool {
        let member = self.state.members.get(&peer);
        member.is_some_and(|member| member.record.media == MediaPhase::Open)
    }
}

impl Behaviour for Room {
    type Message = RoomMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.command(self.seed.home, Action::OpenRoom);
        self.tell_supervisor(SupervisorMessage::Roll);
        scope.after(ROLL_CALL, RoomMessage::RollCallOver);
        self.arm(scope.now(), scope);
    }

    fn handle(&mut self, message: RoomMessage, scope: &mut Scope<Self>) {
        let now = scope.now();
        if self.seed.missed.swap(false, Ordering::AcqRel) {
            self.dirty.extend(self.state.shards.iter().copied());
        }
        let message = if self.opening.is_some() {
            self.open(now, message)
        } else {
            Some(message)
        };
        if let Some(message) = message {
            self.take(now, message);
        }
        self.state.reunite(now);
        self.settle_seats(now);
        // Before it knows who is in, everybody seems to have gone.
        if self.opening.is_none() && self.state.end_if_followed(now) {
            self.keep_move();
        }
        self.carry_out(scope);
        if self.state.phase != RoomPhase::Closed {
            self.arm(now, scope);
        }
    }
}
