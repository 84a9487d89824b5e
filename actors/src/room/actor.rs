//! The shell of a room: carries out what the state decides.
//!
//! A room that begins a life, its first or a later one, does the same: it asks its supervisor who
//! lives, asks those for their records and the shards for what exists, and takes its first message
//! only then. The first life finds nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use media_contract::{Action, CommandId, Event, Fact, RefusedReason};
use media_types::{Epoch, Identity, PeerId, RoomId, RoomName, ShardId};
use signaling::rest::RoomSettings;
use signaling::view::CloseReason;
use supervision::{Behaviour, Mailbox, Scope, TimerId};

use super::message::{Audience, Living, Notice, RoomMessage};
use super::record::MediaPhase;
use super::state::{Effect, RoomLimits, RoomPhase, RoomState};
use super::supervisor::SupervisorMessage;
use crate::context::{Commander, Context};
use crate::limits::{DEFERRED_MAX, RECONCILE_AFTER, ROLL_CALL};
use crate::peer::PeerMessage;
use crate::session::SessionKind;

mod admin;
mod joins;

use joins::Joins;

/// What one life of a room on this worker is made from.
pub(crate) struct RoomSeed {
    pub(crate) context: Arc<Context>,
    pub(crate) id: RoomId,
    pub(crate) name: RoomName,
    pub(crate) epoch: Epoch,
    pub(crate) home: ShardId,
    pub(crate) opened_at_ms: u64,
    /// The worker's cache of the spec, so that a restart needs no store.
    pub(crate) settings: RwLock<RoomSettings>,
    /// An event was refused by a full box.
    pub(crate) missed: Arc<AtomicBool>,
}

impl RoomSeed {
    pub(crate) fn settings(&self) -> RoomSettings {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }

    fn set_settings(&self, settings: RoomSettings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

/// Where a life stands before its first message.
#[derive(Default)]
struct Opening {
    deferred: Vec<RoomMessage>,
    rolled: bool,
    /// Who the supervisor says that there is.
    names: BTreeMap<PeerId, Identity>,
    /// Peers that have not said how they are.
    silent: BTreeSet<PeerId>,
    /// Shards were asked what they have.
    asked: bool,
}

pub(crate) struct Room {
    seed: Arc<RoomSeed>,
    supervisor: Mailbox<SupervisorMessage>,
    state: RoomState,
    commander: Commander,
    peers: BTreeMap<PeerId, Mailbox<PeerMessage>>,
    joins: Joins,
    opening: Option<Opening>,
    /// Peers whose full box refused something.
    behind: BTreeSet<PeerId>,
    /// Shards whose full queue refused something.
    dirty: BTreeSet<ShardId>,
    describes: BTreeMap<CommandId, ShardId>,
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
        let state = RoomState::new(now, seed.name.clone(), seed.settings(), limits, seed.home);
        Self {
            commander: Commander::new(seed.id, seed.epoch, None),
            seed,
            supervisor,
            state,
            peers: BTreeMap::new(),
            joins: Joins::default(),
            opening: Some(Opening::default()),
            behind: BTreeSet::new(),
            dirty: BTreeSet::new(),
            describes: BTreeMap::new(),
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
            RoomMessage::WantPublish(peer) => self.state.want_publish(peer),
            RoomMessage::Say(peer, request, speech) => {
                let stamp = self.stamp();
                self.state.say(now, peer, request, speech, stamp);
            }
            RoomMessage::Quality(peer, report) => self.state.quality(now, peer, &report),
            RoomMessage::MediaLost(peer, reason) => self.state.media_lost(now, peer, reason),
            RoomMessage::Event(shard, event) => self.event(shard, *event),
            RoomMessage::ShardRestarted(shard) => self.state.shard_restarted(shard),
            RoomMessage::Timer => self.timer(now),
            RoomMessage::Close(reason) => self.state.close(reason),
            RoomMessage::Panic => self.panic_if_allowed(),
            RoomMessage::Roll(_) | RoomMessage::RollCallOver => {}
            other @ (RoomMessage::Migrate(_)
            | RoomMessage::Deliver(..)
            | RoomMessage::Status(_)
            | RoomMessage::Peers(_)
            | RoomMessage::Patch(..)
            | RoomMessage::Kick(..)
            | RoomMessage::MuteTrack(..)
            | RoomMessage::ChangePeer(..)
            | RoomMessage::Revoke(..)
            | RoomMessage::PanicPeer(..)
            | RoomMessage::PanicTransport(..)) => self.administer(now, other),
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

    /// Handles a message of the opening; `None` when it has been taken.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what cannot be kept is dropped, whatever it is"
    )]
    fn open(&mut self, now: Instant, message: RoomMessage) -> Option<RoomMessage> {
        let opening = self.opening.as_mut()?;
        match message {
            RoomMessage::Roll(children) => {
                opening.rolled = true;
                for Living {
                    peer,
                    identity,
                    mailbox,
                } in children
                {
                    opening.names.insert(peer, identity);
                    if mailbox.tell(PeerMessage::RollCall).is_ok() {
                        opening.silent.insert(peer);
                    }
                    self.peers.insert(peer, mailbox);
                }
                if self.peers.is_empty() {
                    self.finish_opening(now);
                } else {
                    self.proceed(now);
                }
            }
            RoomMessage::Present(record) => {
                opening.silent.remove(&record.peer);
                self.state.recall(now, *record);
                self.proceed(now);
            }
            RoomMessage::Event(shard, event) => {
                self.event(shard, *event);
                self.proceed(now);
            }
            RoomMessage::RollCallOver => self.finish_opening(now),
            RoomMessage::Panic | RoomMessage::Timer => return Some(message),
            other if opening.deferred.len() < DEFERRED_MAX => opening.deferred.push(other),
            _ => tracing::warn!(room = %self.seed.name, "a message was lost in the opening"),
        }
        None
    }

    /// Once everybody has answered, the shards are asked; once they have, the room is open.
    fn proceed(&mut self, now: Instant) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        if !opening.rolled || !opening.silent.is_empty() {
            return;
        }
        if !opening.asked {
            opening.asked = true;
            self.dirty.extend(self.state.shards.iter().copied());
            self.describe_dirty();
        } else if self.describes.is_empty() && self.dirty.is_empty() {
            self.finish_opening(now);
        }
    }

    fn finish_opening(&mut self, now: Instant) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let strangers: Vec<PeerId> = self
            .peers
            .keys()
            .filter(|peer| !self.state.members.contains_key(peer))
            .copied()
            .collect();
        for peer in strangers {
            // It has not said how it is: nobody is left who knows it.
            self.peers.remove(&peer);
            self.tell_supervisor(SupervisorMessage::Stop(peer));
            if let Some(identity) = opening.names.get(&peer) {
                self.state.tell_lost(identity);
            }
        }
        self.state.sort_recalled();
        for message in opening.deferred {
            self.take(now, message);
        }
    }

    fn load(&mut self, peer: PeerId) {
        let Some(member) = self.state.members.get(&peer) else {
            self.tell_supervisor(SupervisorMessage::Stop(peer));
            return;
        };
        let load = PeerMessage::Load(Box::new(member.record.clone()), self.state.room_view());
        // One that is not known yet, or whose box is full, asks again.
        if let Some(mailbox) = self.peers.get(&peer)
            && mailbox.tell(load).is_err()
        {
            self.behind.insert(peer);
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
            let shard = record.shard;
            self.command(shard, close);
        }
        self.state.handle_gone(now, peer, failed);
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "facts that are not for rooms"
    )]
    fn event(&mut self, shard: ShardId, event: Event) {
        match event.fact {
            Fact::TrackStarted { codec, .. } => {
                if let media_contract::Subject::Track(track) = event.subject {
                    self.state.track_started(shard, track, codec);
                }
            }
            Fact::LayersWanted { active } => {
                if let media_contract::Subject::Track(track) = event.subject {
                    self.state.layers_wanted(shard, track, active);
                }
            }
            Fact::TrackStalled => {
                if let media_contract::Subject::Track(track) = event.subject {
                    self.state.track_stalled(shard, track);
                }
            }
            Fact::SpeakersChanged { speakers } => self.state.speakers_changed(shard, speakers),
            Fact::Described { command, snapshot } => {
                let asked = self.describes.remove(&command).is_some();
                if asked {
                    self.state.reconcile(shard, &snapshot);
                }
            }
            Fact::Refused { command, reason } => {
                let asked = self.describes.remove(&command).is_some();
                if asked && reason == RefusedReason::UnknownRoom {
                    self.state.shard_restarted(shard);
                } else if !asked {
                    tracing::debug!(room = %self.seed.name, ?reason, "a command was refused");
                }
            }
            _ => {}
        }
    }

    fn timer(&mut self, now: Instant) {
        self.timer = None;
        self.state.handle_timeout(now);
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            self.describe_dirty();
            self.catch_up();
        }
    }

    /// Asks the shards that refused something what they have.
    fn describe_dirty(&mut self) {
        for shard in std::mem::take(&mut self.dirty) {
            let id = self.commander.next(&self.seed.context.ids);
            self.describes.insert(id, shard);
            let context = &self.seed.context;
            if self
                .commander
                .send(context, shard, id, Action::Describe)
                .is_err()
            {
                self.describes.remove(&id);
                self.dirty.insert(shard);
            }
        }
    }

    /// Tells the peers that missed something how the room is.
    fn catch_up(&mut self) {
        let view = self.state.room_view();
        let peers = &self.peers;
        self.behind.retain(|peer| {
            let overrun = PeerMessage::Overrun(Arc::clone(&view));
            peers
                .get(peer)
                .is_some_and(|mailbox| mailbox.tell(overrun).is_err())
        });
    }

    fn command(&mut self, shard: ShardId, action: Action) {
        let id = self.commander.next(&self.seed.context.ids);
        if self
            .commander
            .send(&self.seed.context, shard, id, action)
            .is_err()
        {
            self.dirty.insert(shard);
        }
    }

    fn tell_supervisor(&self, message: SupervisorMessage) {
        if self.supervisor.tell(message).is_err() {
            tracing::error!(room = %self.seed.name, "the supervisor of the room does not listen");
        }
    }

    fn tell(&mut self, peer: PeerId, message: PeerMessage) {
        let Some(mailbox) = self.peers.get(&peer) else {
            return;
        };
        if let Err(supervision::TellError::Full(_)) = mailbox.tell(message) {
            self.behind.insert(peer);
        }
    }

    fn notify(&mut self, audience: Audience, notice: &Notice) {
        let targets: Vec<PeerId> = match audience {
            Audience::One(peer) => vec![peer],
            Audience::All => self.peers.keys().copied().collect(),
            Audience::Except(except) => {
                let others = self.peers.keys().filter(|peer| **peer != except);
                others.copied().collect()
            }
        };
        for peer in targets {
            let member = self.state.members.get(&peer);
            if member.is_some_and(|member| member.record.kind == SessionKind::WebSocket) {
                self.tell(peer, PeerMessage::Notify(Arc::clone(notice)));
            }
        }
    }

    /// Does what the state has decided, in its order.
    fn carry_out(&mut self, scope: &mut Scope<Self>) {
        for effect in self.state.take_effects() {
            match effect {
                Effect::Spawn(peer) => self.spawn(peer),
                Effect::Attach(peer) => self.attach(peer),
                Effect::Dismiss(peer, reason) => self.dismiss(peer, reason),
                Effect::Notify(audience, notice) => self.notify(audience, &notice),
                Effect::Answer(peer, request, answer) => {
                    self.tell(peer, PeerMessage::Answer(request, answer));
                }
                Effect::MayPublish(peer, granted) => {
                    self.tell(peer, PeerMessage::MayPublish(granted));
                }
                Effect::View(view) => {
                    let peers: Vec<PeerId> = self.peers.keys().copied().collect();
                    for peer in peers {
                        self.tell(peer, PeerMessage::View(Arc::clone(&view)));
                    }
                }
                Effect::Command(shard, action) => self.command(shard, action),
                Effect::Rejoin(peer, reason) => self.tell(peer, PeerMessage::Rejoin(reason)),
                Effect::End => scope.stop(),
            }
        }
    }

    fn dismiss(&mut self, peer: PeerId, reason: Option<CloseReason>) {
        self.joins.fail(peer);
        let mailbox = self.peers.remove(&peer);
        self.behind.remove(&peer);
        let Some(reason) = reason else {
            return;
        };
        let close = PeerMessage::Close(reason);
        let told = mailbox.is_some_and(|mailbox| mailbox.tell(close).is_ok());
        if !told {
            self.tell_supervisor(SupervisorMessage::Stop(peer));
        }
    }

    /// Sets the one timer to the earliest deadline.
    fn arm(&mut self, now: Instant, scope: &mut Scope<Self>) {
        if self.retry_at.is_none() && !(self.dirty.is_empty() && self.behind.is_empty()) {
            self.retry_at = Some(now + RECONCILE_AFTER);
        }
        let due = [self.state.poll_timeout(), self.retry_at];
        let Some(due) = due.into_iter().flatten().min() else {
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
        self.carry_out(scope);
        if self.state.phase == RoomPhase::Active {
            self.arm(now, scope);
        }
    }
}
