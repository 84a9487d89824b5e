//! The shell of an ingest: carries out what the state decides.
//!
//! A life that begins asks the room for its record and makes sure that the shard has what it says.
//! Frames flow meanwhile: they go from the front end to the shard and pass no actor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use media_contract::{Action, Event, Subject};
use signaling::ErrorType;
use signaling::view::{CloseReason, LeaveReason};
use supervision::{Behaviour, Goodbye, Scope, TellError, TimerId};

use super::IngestAsk;
use super::state::{Effect, IngestState, Terms};
use crate::context::Commander;
use crate::limits::{PEER_REQUESTS, RECONCILE_AFTER};
use crate::peer::{PeerMessage, PeerSeed};
use crate::room::{PeerRecord, RoomMessage};

pub(crate) struct Ingest {
    seed: Arc<PeerSeed>,
    /// `None` until the room has given the record.
    state: Option<Box<IngestState>>,
    /// What came before the record.
    deferred: VecDeque<PeerMessage>,
    commander: Commander,
    /// What the room's full box refused: how the ingest is.
    unpresented: bool,
    /// What the shard's full queue refused: all is commanded again.
    uncommanded: bool,
    retry_at: Option<Instant>,
    timer: Option<(TimerId, Instant)>,
}

impl Ingest {
    pub(crate) fn new(seed: Arc<PeerSeed>) -> Self {
        let room = &seed.room;
        Self {
            // Answers go to the room: what matters comes as facts about tracks.
            commander: Commander::new(room.id, room.epoch.clone(), None),
            state: None,
            deferred: VecDeque::new(),
            unpresented: false,
            uncommanded: false,
            retry_at: None,
            timer: None,
            seed,
        }
    }

    fn ask_for_record(&mut self, now: Instant) {
        let load = RoomMessage::Load(self.seed.peer);
        if self.seed.mailbox.tell(load).is_err() {
            tracing::debug!("the room does not listen yet");
        }
        self.retry_at = Some(now + RECONCILE_AFTER);
    }

    fn load(&mut self, now: Instant, record: PeerRecord) {
        if self.state.is_some() {
            return;
        }
        self.seed.keep(&record);
        let context = Arc::clone(&self.seed.room.context);
        let terms = Terms {
            room: self.seed.room.id,
            silence: context.config.ingest_silence,
            window: context.config.resume_window,
            codecs: self.seed.room.settings().codecs.unwrap_or_default(),
        };
        let new_track = Box::new(move || context.ids.track());
        self.retry_at = None;
        let mut state = IngestState::new(now, record, terms, new_track);
        for message in std::mem::take(&mut self.deferred) {
            apply(&mut state, now, message);
        }
        self.state = Some(Box::new(state));
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

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the state takes the rest, and lists it"
    )]
    fn take(&mut self, now: Instant, message: PeerMessage) {
        match message {
            PeerMessage::Load(record, _) => self.load(now, *record),
            PeerMessage::Timer => self.ring(now),
            PeerMessage::Panic => self.panic_if_allowed(),
            PeerMessage::RollCall if self.state.is_none() => self.present_kept(),
            other => match &mut self.state {
                Some(state) => apply(state, now, other),
                // Nothing can be done without a record; it is on its way.
                None if self.deferred.len() < PEER_REQUESTS => self.deferred.push_back(other),
                None => tracing::debug!("a message was lost before the record came"),
            },
        }
    }

    fn ring(&mut self, now: Instant) {
        self.timer = None;
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            match &mut self.state {
                None => self.ask_for_record(now),
                Some(state) => {
                    if std::mem::take(&mut self.uncommanded) {
                        state.open_all();
                    }
                    if std::mem::take(&mut self.unpresented) {
                        state.present_again();
                    }
                }
            }
        }
        if let Some(state) = &mut self.state {
            state.handle_timeout(now);
        }
    }

    fn carry_out(&mut self, scope: &mut Scope<Self>) {
        loop {
            let effects = self.state.as_mut().map(|state| state.take_effects());
            let effects = effects.unwrap_or_default();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry(effect, scope);
            }
        }
    }

    fn carry(&mut self, effect: Effect, scope: &mut Scope<Self>) {
        match effect {
            Effect::Command(action) => self.command(action),
            Effect::Present => self.present(),
            Effect::WantPublish => {
                let want = RoomMessage::WantPublish(self.seed.peer);
                if self.seed.mailbox.tell(want).is_err()
                    && let Some(state) = &mut self.state
                {
                    state.may_publish(false);
                }
            }
            Effect::Answer(reply, answer) => reply.send(answer),
            Effect::Place(place) => self.with_sink(|sink| sink.placed(place)),
            Effect::Keyframe(track) => self.with_sink(|sink| sink.keyframe_wanted(track)),
            Effect::Close(outbox, reason) => outbox.close(reason),
            Effect::Leave(reason) => {
                let left = RoomMessage::Left(self.seed.peer, reason);
                if self.seed.mailbox.tell(left).is_err() {
                    tracing::debug!("the room hears of a leaving by its burial");
                }
            }
            Effect::End => scope.stop(),
        }
    }

    fn with_sink(&self, call: impl FnOnce(&dyn super::IngestSink)) {
        let outbox = self.state.as_ref().map(|state| &state.record.outbox);
        if let Some(sink) = outbox.and_then(|outbox| outbox.sink()) {
            call(sink);
        }
    }

    fn command(&mut self, action: Action) {
        let Some(state) = &self.state else {
            return;
        };
        let context = &self.seed.room.context;
        let id = self.commander.next(&context.ids);
        let sent = self.commander.send(context, state.record.shard, id, action);
        self.uncommanded |= sent.is_err();
    }

    fn present(&mut self) {
        let Some(state) = &self.state else {
            return;
        };
        self.seed.keep(&state.record);
        let record = Box::new(state.record.clone());
        let told = self.seed.mailbox.tell(RoomMessage::Present(record));
        self.unpresented = matches!(told, Err(TellError::Full(_)));
    }

    /// The room calls the roll while this life has no record yet.
    fn present_kept(&self) {
        if let Some(record) = self.seed.kept() {
            let present = RoomMessage::Present(Box::new(record));
            if self.seed.mailbox.tell(present).is_err() {
                tracing::debug!("the room does not take who is back");
            }
        }
    }

    /// Sets the one timer to the earliest deadline.
    fn arm(&mut self, scope: &mut Scope<Self>) {
        let now = scope.now();
        if self.retry_at.is_none() && (self.unpresented || self.uncommanded) {
            self.retry_at = Some(now + RECONCILE_AFTER);
        }
        let due = self.state.as_ref().and_then(|state| state.poll_timeout());
        let Some(due) = due.into_iter().chain(self.retry_at).min() else {
            return;
        };
        if self.timer.is_some_and(|(_, armed)| armed <= due) {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            scope.cancel(timer);
        }
        let delay = due.saturating_duration_since(now);
        self.timer = Some((scope.after(delay, PeerMessage::Timer), due));
    }
}

/// Hands a message to the state. What is for those with slots or a client is of no use here.
fn apply(state: &mut IngestState, now: Instant, message: PeerMessage) {
    match message {
        PeerMessage::Attach { outbox, attachment } => state.attach(now, outbox, attachment),
        PeerMessage::Ingest(IngestAsk::Add {
            attachment,
            spec,
            reply,
        }) => state.add(attachment, spec, reply),
        PeerMessage::Ingest(IngestAsk::Remove { attachment, track }) => {
            state.remove_by(attachment, track);
        }
        PeerMessage::SocketLost { attachment } => state.socket_lost(now, attachment),
        PeerMessage::Leave => state.leave(LeaveReason::Left),
        PeerMessage::MayPublish(granted) => state.may_publish(granted),
        PeerMessage::RollCall => state.present_again(),
        PeerMessage::Rejoin(_) => state.shard_restarted(now),
        PeerMessage::Mute(track, muted) => state.mute(track, muted),
        PeerMessage::Change(change) => state.change(change),
        PeerMessage::Close(reason) => state.dismissed(reason),
        PeerMessage::Event(event) => {
            let Event { subject, fact, .. } = *event;
            if let Subject::Track(track) = subject {
                state.track_event(now, track, &fact);
            }
        }
        PeerMessage::Offer { reply, .. } => reply.send(Err(ErrorType::Unsupported.into())),
        PeerMessage::Load(..)
        | PeerMessage::Policy
        | PeerMessage::Request { .. }
        | PeerMessage::View(_)
        | PeerMessage::Qualities(_)
        | PeerMessage::Answer(..)
        | PeerMessage::Overrun(_)
        | PeerMessage::Timer
        | PeerMessage::Panic => {}
    }
}

impl Behaviour for Ingest {
    type Message = PeerMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.ask_for_record(scope.now());
        self.arm(scope);
    }

    fn handle(&mut self, message: PeerMessage, scope: &mut Scope<Self>) {
        if self.seed.missed.swap(false, Ordering::AcqRel) {
            self.uncommanded = true;
        }
        self.take(scope.now(), message);
        self.carry_out(scope);
        if self.state.as_ref().is_none_or(|state| !state.is_over()) {
            self.arm(scope);
        }
    }

    fn stopping(&mut self, scope: &mut Scope<Self>) -> Goodbye {
        if let Some(state) = &mut self.state {
            state.dismissed(CloseReason::Internal);
            self.carry_out(scope);
        }
        Goodbye::Now
    }
}
