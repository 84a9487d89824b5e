//! The shell of a peer: carries out what the state decides.
//!
//! A peer that begins a life, its first or a later one, does the same: it asks the room for its
//! record, and, if that says that it has media, the shard for what exists. Requests wait meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use media_contract::{Action, CommandId, Event, Fact};
use media_types::Identity;
use signaling::client_message::SendParams;
use signaling::server_message::SendResult;
use signaling::view::{CloseReason, LeaveReason};
use signaling::{Address, ErrorType, RequestId, RpcError};
use supervision::{Behaviour, Goodbye, Scope, TellError, TimerId};

use super::negotiation::Responder;
use super::state::{Effect, PeerState, Phase, Purpose, Terms};
use super::{PeerMessage, PeerSeed, say_goodbye};
use crate::context::Commander;
use crate::error::from_ask;
use crate::hooks::VideoLimit;
use crate::limits::{ASK_DEADLINE, PEER_REQUESTS, RECONCILE_AFTER};
use crate::room::message::Letter;
use crate::room::{PeerRecord, RoomMessage, RoomView};
use crate::session::{Outbox, OutboxFull};

/// Commands whose answers are waited for; the oldest is forgotten beyond.
const COMMANDS_MAX: usize = 512;

enum Life {
    /// The room has not given the record yet.
    Loading,
    /// The state decides.
    Running(Box<PeerState>),
}

pub(crate) struct Peer {
    seed: Arc<PeerSeed>,
    life: Life,
    /// What waits until the record is there and the shard has said what exists.
    deferred: VecDeque<PeerMessage>,
    commander: Commander,
    commands: BTreeMap<CommandId, Purpose>,
    /// What the room's full box refused: how the peer is.
    unpresented: bool,
    retry_at: Option<Instant>,
    timer: Option<(TimerId, Instant)>,
}

impl Peer {
    pub(crate) fn new(seed: Arc<PeerSeed>) -> Self {
        let room = &seed.room;
        Self {
            commander: Commander::new(room.id, room.epoch.clone(), Some(seed.transport)),
            life: Life::Loading,
            deferred: VecDeque::new(),
            commands: BTreeMap::new(),
            unpresented: false,
            retry_at: None,
            timer: None,
            seed,
        }
    }

    fn ask_for_record(&mut self, now: Instant) {
        if self
            .seed
            .mailbox
            .tell(RoomMessage::Load(self.seed.peer))
            .is_err()
        {
            tracing::debug!("the room does not listen yet");
        }
        self.retry_at = Some(now + RECONCILE_AFTER);
    }

    fn load(&mut self, now: Instant, record: PeerRecord, view: Arc<RoomView>) {
        if matches!(self.life, Life::Running(_)) {
            return;
        }
        self.seed.keep(&record);
        let context = Arc::clone(&self.seed.room.context);
        let config = &context.config;
        let terms = Terms {
            heartbeat_interval: config.heartbeat_interval,
            heartbeat_missed: config.heartbeat_missed,
            resume_window: config.resume_window,
            talk_burst: config.talk_burst,
            talk_per_second: config.talk_per_second,
            codecs: self.seed.room.settings().codecs.unwrap_or_default(),
        };
        let shared = Arc::clone(&context);
        let new_track = Box::new(move || shared.ids.track());
        let mut state = PeerState::new(now, record, view, terms, new_track);
        state.limit_video(self.video_limit(&state.record.identity));
        self.retry_at = None;
        self.life = Life::Running(Box::new(state));
    }

    /// Operators allow more or less video than before.
    fn limit_video(&mut self) {
        if let Life::Running(state) = &self.life {
            let limit = self.video_limit(&state.record.identity);
            if let Life::Running(state) = &mut self.life {
                state.limit_video(limit);
            }
        }
    }

    fn video_limit(&self, identity: &Identity) -> VideoLimit {
        let room = &self.seed.room;
        room.context.config.hooks.policy.video(&room.name, identity)
    }

    /// Whether a message must wait.
    fn defers(&self, message: &PeerMessage) -> bool {
        match (&self.life, message) {
            (_, PeerMessage::Panic | PeerMessage::Timer | PeerMessage::Load(..)) => false,
            (Life::Loading, PeerMessage::RollCall) => false,
            // Without a record there is nothing to answer with.
            (Life::Loading, _) => true,
            (Life::Running(state), PeerMessage::Request { .. } | PeerMessage::Offer { .. }) => {
                state.is_settling()
            }
            (Life::Running(_), _) => false,
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the state takes the rest, and lists it"
    )]
    fn take(&mut self, message: PeerMessage, scope: &mut Scope<Self>) {
        let now = scope.now();
        if self.defers(&message) {
            if self.deferred.len() < PEER_REQUESTS {
                self.deferred.push_back(message);
            }
            return;
        }
        match message {
            PeerMessage::Load(record, view) => self.load(now, *record, view),
            PeerMessage::Policy => self.limit_video(),
            PeerMessage::RollCall if matches!(self.life, Life::Loading) => self.present_kept(),
            PeerMessage::Timer => self.ring(now),
            PeerMessage::Panic => self.panic_if_allowed(),
            PeerMessage::Event(event) => self.event(now, *event),
            other => {
                if let Life::Running(state) = &mut self.life {
                    let unix = self.seed.room.context.unix();
                    apply(state, now, unix, other);
                }
            }
        }
        self.carry_out(scope);
    }

    #[allow(
        clippy::panic,
        reason = "an injected fault, where the configuration allows them"
    )]
    fn panic_if_allowed(&self) {
        if self.seed.room.context.config.debug_faults {
            panic!("injected fault");
        }
    }

    fn ring(&mut self, now: Instant) {
        self.timer = None;
        let retry = self.retry_at.is_some_and(|at| now >= at);
        if retry {
            self.retry_at = None;
        }
        match &mut self.life {
            Life::Loading if retry => self.ask_for_record(now),
            Life::Loading => {}
            Life::Running(state) => {
                state.handle_timeout(now);
                if std::mem::take(&mut self.unpresented) {
                    self.present();
                }
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "only answers carry a command's id"
    )]
    fn event(&mut self, now: Instant, event: Event) {
        let command = match &event.fact {
            Fact::Done { command }
            | Fact::Negotiated { command, .. }
            | Fact::Refused { command, .. }
            | Fact::Described { command, .. } => Some(*command),
            _ => None,
        };
        let purpose = match command.map(|command| self.commands.remove(&command)) {
            None => Purpose::Other,
            Some(Some(purpose)) => purpose,
            // An answer to an earlier life.
            Some(None) => return,
        };
        if let Life::Running(state) = &mut self.life {
            state.event(now, event.subject, event.fact, purpose);
        }
    }

    fn command(&mut self, now: Instant, purpose: Purpose, action: Action) {
        let Life::Running(state) = &mut self.life else {
            return;
        };
        let context = &self.seed.room.context;
        let id = self.commander.next(&context.ids);
        match self.commander.send(context, state.record.shard, id, action) {
            Ok(()) => {
                self.commands.insert(id, purpose);
                if self.commands.len() > COMMANDS_MAX {
                    self.commands.pop_first();
                }
            }
            Err(_) => state.not_sent(now, purpose),
        }
    }

    fn present(&mut self) {
        let Life::Running(state) = &self.life else {
            return;
        };
        self.seed.keep(&state.record);
        let record = Box::new(state.record.clone());
        let told = self.seed.mailbox.tell(RoomMessage::Present(record));
        self.unpresented = matches!(told, Err(TellError::Full(_)));
    }

    /// The room calls the roll while this life has no record yet: both failed together. What an
    /// earlier life knew last makes the room whole again.
    fn present_kept(&self) {
        if let Some(record) = self.seed.kept() {
            let present = RoomMessage::Present(Box::new(record));
            if self.seed.mailbox.tell(present).is_err() {
                tracing::debug!("the room does not take who is back");
            }
        }
    }

    /// Tells the room; a full box costs the answer, not the peer.
    fn tell_room(&mut self, message: RoomMessage) -> bool {
        self.seed.mailbox.tell(message).is_ok()
    }

    fn carry_out(&mut self, scope: &mut Scope<Self>) {
        let now = scope.now();
        // Carrying one out may make more: a command that is not sent fails its offer.
        loop {
            let effects = match &mut self.life {
                Life::Running(state) => state.take_effects(),
                Life::Loading => return,
            };
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.do_one(now, effect, scope);
            }
        }
    }

    fn do_one(&mut self, now: Instant, effect: Effect, scope: &mut Scope<Self>) {
        let peer = self.seed.peer;
        match effect {
            Effect::Send(frame) => self.send(now, |outbox| outbox.send(*frame)),
            Effect::SendQuality(told) => {
                self.send(now, |outbox| outbox.send_shared(&told.notice));
            }
            Effect::Goodbye(outbox, reason) => {
                if let Life::Running(state) = &self.life {
                    say_goodbye(&outbox, &state.record.kind, reason);
                }
            }
            Effect::Command(purpose, action) => self.command(now, purpose, action),
            Effect::Present => self.present(),
            Effect::WantPublish => {
                let asked = self.tell_room(RoomMessage::WantPublish(peer));
                if let (false, Life::Running(state)) = (asked, &mut self.life) {
                    state.may_publish_now(false);
                }
            }
            Effect::Say(id, speech) => {
                let said = self.tell_room(RoomMessage::Say(peer, id.clone(), speech));
                if let (false, Life::Running(state)) = (said, &mut self.life) {
                    state.respond(id, Err(ErrorType::Overloaded.into()));
                }
            }
            Effect::SendElsewhere(id, params) => self.send_elsewhere(id, *params, scope),
            Effect::Quality(report) => {
                self.tell_room(RoomMessage::Quality(peer, report));
            }
            Effect::Unsupported(track) => {
                self.tell_room(RoomMessage::Unsupported(track));
            }
            Effect::MediaLost(reason) => {
                let told = self.tell_room(RoomMessage::MediaLost(peer, reason));
                if let (false, Life::Running(state)) = (told, &mut self.life) {
                    state.rejoin(now, CloseReason::Internal);
                }
            }
            Effect::AnswerOffer(reply, result) => reply.send(result),
            Effect::Settled => {
                self.tell_room(RoomMessage::Settled(peer));
            }
            Effect::End(reason) => {
                // Should the room's box be full, the supervisor's notice says the same.
                if let Some(reason) = reason {
                    self.tell_room(RoomMessage::Left(peer, reason));
                }
                scope.stop();
            }
        }
    }

    fn send(&mut self, now: Instant, give: impl FnOnce(&dyn Outbox) -> Result<(), OutboxFull>) {
        let Life::Running(state) = &mut self.life else {
            return;
        };
        if give(state.record.outbox.as_ref()).is_err() {
            state.record.outbox.close(CloseReason::SlowClient);
            state.lose_client(now);
        }
    }

    /// A message for another room that is open on this worker.
    fn send_elsewhere(
        &mut self,
        id: Option<RequestId>,
        params: SendParams,
        scope: &mut Scope<Self>,
    ) {
        let Life::Running(state) = &mut self.life else {
            return;
        };
        let Address::OtherRoom(name) = &params.to else {
            return;
        };
        let Some(entry) = self.seed.room.context.directory.room(name) else {
            state.respond(id, Err(ErrorType::NotFound.into()));
            return;
        };
        let letter = Letter {
            from: state.record.identity.clone(),
            to: params.to,
            topic: params.topic,
            payload: params.payload,
        };
        let question = |reply| RoomMessage::Deliver(letter, reply);
        let answer = entry.listener.mailbox.ask(ASK_DEADLINE, question);
        scope.run(answer, move |delivered| {
            let result: Result<_, RpcError> = delivered.map_err(from_ask);
            let result = result.map(|delivered| SendResult { delivered }.into());
            PeerMessage::Answer(id, result)
        });
    }

    /// Sets the one timer to the earliest deadline.
    fn arm(&mut self, scope: &mut Scope<Self>) {
        let now = scope.now();
        if self.unpresented {
            self.retry_at.get_or_insert(now + RECONCILE_AFTER);
        }
        let state = match &self.life {
            Life::Running(state) => state.poll_timeout(),
            Life::Loading => None,
        };
        let Some(due) = [state, self.retry_at].into_iter().flatten().min() else {
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
        self.timer = Some((scope.after(delay, PeerMessage::Timer), due));
    }

    fn is_settled(&self) -> bool {
        match &self.life {
            Life::Loading => false,
            Life::Running(state) => !state.is_settling(),
        }
    }
}

/// What the state takes as it is.
fn apply(state: &mut PeerState, now: Instant, unix: std::time::Duration, message: PeerMessage) {
    match message {
        PeerMessage::Attach { outbox, attachment } => state.attach(now, outbox, attachment),
        PeerMessage::Request {
            attachment,
            id,
            message,
        } => state.request(now, unix, attachment, id, message),
        PeerMessage::Offer { params, reply } => state.offer(now, params, Responder::Http(reply)),
        PeerMessage::SocketLost { attachment } => state.socket_lost(now, attachment),
        PeerMessage::Leave => state.leave(LeaveReason::Left),
        PeerMessage::View(view) => state.set_view(view),
        PeerMessage::Qualities(board) => state.set_qualities(board),
        PeerMessage::Answer(id, result) => state.respond(id, result),
        PeerMessage::MayPublish(granted) => state.may_publish_now(granted),
        PeerMessage::RollCall => state.present_again(),
        PeerMessage::Overrun(view) => state.overrun(now, view),
        PeerMessage::Rejoin(reason) => state.rejoin(now, reason),
        PeerMessage::Mute(track, muted) => state.mute_by_operator(track, muted),
        PeerMessage::Change(change) => state.change(change),
        PeerMessage::Close(reason) => state.dismissed(reason),
        PeerMessage::Load(..)
        | PeerMessage::Policy
        | PeerMessage::Event(_)
        | PeerMessage::Ingest(_)
        | PeerMessage::Timer
        | PeerMessage::Panic => {}
    }
}

impl Behaviour for Peer {
    type Message = PeerMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.ask_for_record(scope.now());
        self.arm(scope);
    }

    fn handle(&mut self, message: PeerMessage, scope: &mut Scope<Self>) {
        let missed = self.seed.missed.swap(false, Ordering::AcqRel);
        if let (true, Life::Running(state)) = (missed, &mut self.life) {
            state.mark_dirty(scope.now());
        }
        self.take(message, scope);
        while self.is_settled()
            && let Some(message) = self.deferred.pop_front()
        {
            self.take(message, scope);
        }
        let over = match &self.life {
            Life::Running(state) => state.phase == Phase::Closed,
            Life::Loading => false,
        };
        if !over {
            self.arm(scope);
        }
    }

    fn stopping(&mut self, scope: &mut Scope<Self>) -> Goodbye {
        if let Life::Running(state) = &mut self.life {
            state.dismissed(CloseReason::Internal);
            self.carry_out(scope);
        }
        Goodbye::Now
    }
}
