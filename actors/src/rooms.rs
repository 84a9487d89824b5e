//! The supervisor of the rooms of one control thread: claims them, opens them, buries them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;

use control_plane::{Claim, ControlPlaneError, Handover, Owned, Ownership};
use media_contract::Action;
use media_types::{Epoch, RoomId, RoomName, ShardId, WorkerId};
use signaling::rest::RoomSettings;
use supervision::{
    Behaviour, Children, Goodbye, Notice, Outcome, Reply, RestartPolicy, Scope, Strategy,
};

use crate::context::{Commander, Context};
use crate::directory::{Listener, RoomEntry};
use crate::error::ActorsError;
use crate::limits::{CLAIM_DEADLINE, SUPERVISOR_BOX};
use crate::metrics;
use crate::part::{OpenPart, PartBody, PartLetter};
use crate::room::RoomMessage;
use crate::room::actor::RoomSeed;
use crate::room::moving::Stage;
use crate::room::parts::KeptParts;
use crate::room::state::RoomPhase;
use crate::room::supervisor::RoomSupervisor;

mod branches;
mod cession;
mod shards;
mod spec;

pub(crate) use cession::{Abandoned, Found};
use cession::{Claimed, claim};
use shards::Passage;
pub use shards::ShardMove;
pub(crate) use shards::{ShardWish, Yielded};
pub(crate) use spec::{keep_spec, settings_of, spec_of};

type Opened = Reply<Result<RoomEntry, ActorsError>>;

pub(crate) enum RoomsMessage {
    /// Find the room, or open it: by a join, or by an operator who says what it may hold.
    Open(RoomName, Option<Box<RoomSettings>>, Opened),
    /// The store has answered.
    Claimed(RoomName, Result<Found, ActorsError>),
    /// The owner of a room that is wanted here gives it away, or has none of that name.
    Ceded(WorkerId, Box<PartLetter>),
    /// It was asked, and has had its time.
    Unceded(RoomName, Abandoned),
    /// A room takes messages.
    Opened(RoomId, Listener<RoomMessage>),
    /// Something happened to a room's supervisor.
    Child(RoomId, Notice),
    /// Ownership was given back, or not.
    Released,
    /// A room is to go to another shard.
    MoveShard(Box<ShardWish>),
    /// Its life on the shard before has made way, or has not.
    Yielded(RoomId, Yielded),
    /// Open a room that may move to here; whether that could be done.
    StandBy(RoomName, RoomId, Epoch, Reply<bool>),
    /// Another worker asks for a part of a room of its own.
    Branch(WorkerId, Box<PartLetter>),
    /// The owner of a room that we hold a part of is gone.
    Orphaned(RoomId),
    /// Who owns it now.
    Sought(RoomId, Result<Claim, ControlPlaneError>),
    /// A room that stands by, or one that was on its way elsewhere, is ours.
    Owned(RoomName, Owned, Option<Box<Handover>>),
}

/// Those who wait for a room that is being opened.
#[derive(Default)]
struct Pending {
    settings: Option<Box<RoomSettings>>,
    replies: Vec<Opened>,
    /// Its owner, which the store takes for gone, was asked for the room.
    asked: Option<Abandoned>,
}

/// How a room comes to be open here.
enum Begins {
    /// It is ours.
    Owned(Owned),
    /// It may become ours.
    Standby(Epoch),
    /// Another worker's, of which we hold a part.
    Branch(Epoch, KeptParts),
    /// It is ours, on another shard, and will be on this one.
    Passing(Epoch, ShardId),
}

/// A room that runs.
struct Running {
    name: RoomName,
    /// `None` while it stands by.
    owned: Option<Owned>,
    /// In which it was opened.
    epoch: Epoch,
    /// The shard that it was opened on.
    home: ShardId,
    /// Another life of it, on another shard, is the room.
    passing: bool,
    /// Who is to be expected, once it is open.
    inherits: Option<(Owned, Box<Handover>)>,
}

pub(crate) struct Rooms {
    context: Arc<Context>,
    ownership: Ownership,
    children: Children<RoomId>,
    pending: BTreeMap<RoomName, Pending>,
    running: BTreeMap<RoomId, Running>,
    /// Rooms that are opening on another shard, by the ids of their new lives.
    passages: BTreeMap<RoomId, Passage>,
    /// Asked to stop: the last room takes this actor along.
    leaving: bool,
}

impl Rooms {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let store = Arc::clone(&context.environment.store);
        Self {
            ownership: Ownership::new(store, context.config.worker),
            context,
            children: Children::new(Strategy::OneForOne),
            pending: BTreeMap::new(),
            running: BTreeMap::new(),
            passages: BTreeMap::new(),
            leaving: false,
        }
    }

    fn open(
        &mut self,
        name: RoomName,
        settings: Option<Box<RoomSettings>>,
        reply: Opened,
        scope: &mut Scope<Self>,
    ) {
        if let Some(entry) = self.context.directory.room(&name) {
            if !entry.listener.mailbox.is_closed() {
                reply.send(Ok(entry));
                return;
            }
            // Its burial is on the way; `child` claims it anew.
            self.wait(name, settings, reply);
            return;
        }
        // What an operator opens is opened where he asks for it.
        let onward = self.context.onward().filter(|_| settings.is_none());
        let draining = self.context.is_draining();
        if draining && onward.is_none() {
            reply.send(Err(ActorsError::Draining));
            return;
        }
        if !draining && self.context.directory.room_count() >= self.context.config.rooms_max {
            reply.send(Err(ActorsError::RoomsFull));
            return;
        }
        let is_first = !self.pending.contains_key(&name);
        self.wait(name.clone(), settings, reply);
        if is_first {
            self.claim(name, onward, scope);
        }
    }

    fn wait(&mut self, name: RoomName, settings: Option<Box<RoomSettings>>, reply: Opened) {
        let pending = self.pending.entry(name).or_default();
        pending.replies.push(reply);
        if settings.is_some() {
            pending.settings = settings;
        }
    }

    /// Claims a room; where nobody has it and it is to open elsewhere, only looks who has it.
    fn claim(&self, name: RoomName, onward: Option<String>, scope: &mut Scope<Self>) {
        let ownership = self.ownership.clone();
        let context = Arc::clone(&self.context);
        let room = name.clone();
        let work = async move {
            let claim = claim(&context, &ownership, &room, onward);
            match tokio::time::timeout(CLAIM_DEADLINE, claim).await {
                Ok(found) => found,
                Err(_) => Err(ActorsError::Store(None)),
            }
        };
        scope.run(work, move |claimed| RoomsMessage::Claimed(name, claimed));
    }

    fn claimed(
        &mut self,
        name: RoomName,
        found: Result<Found, ActorsError>,
        scope: &mut Scope<Self>,
    ) {
        let claimed = match found {
            Ok(Found::Ours(claimed)) => *claimed,
            Ok(Found::Abandoned(by)) => {
                self.ask_owner(name, by, scope);
                return;
            }
            Err(error) => {
                tracing::info!(room = %name, %error, "a room cannot be opened here");
                self.refuse(&name, &error);
                return;
            }
        };
        let Claimed { owned, spec, ceded } = claimed;
        if let Some(ceded) = ceded {
            self.inherit(name, owned, *ceded, scope);
            return;
        }
        let wanted = self.pending.get_mut(&name).and_then(|p| p.settings.take());
        let by_operator = wanted.is_some();
        let stored = spec.map(settings_of);
        let may_create = stored.as_ref().is_none_or(|settings| settings.auto_create);
        if !may_create && !by_operator {
            self.release(name.clone(), owned, false, scope);
            self.refuse(&name, &ActorsError::NotFound);
            return;
        }
        let defaults = || self.context.config.room_defaults.clone();
        let settings = wanted.map(|s| *s).or(stored).unwrap_or_else(defaults);
        let id = self.context.ids.room();
        let begins = Begins::Owned(owned);
        self.start((name, id), begins, settings, scope);
    }

    /// Everybody who waits gets the same kind of answer.
    fn refuse(&mut self, name: &RoomName, error: &ActorsError) {
        let pending = self.pending.remove(name).unwrap_or_default();
        for reply in pending.replies {
            let error = if let ActorsError::Elsewhere { url } = error {
                ActorsError::Elsewhere { url: url.clone() }
            } else if matches!(error, ActorsError::NotFound) {
                ActorsError::NotFound
            } else if self.context.is_draining() {
                ActorsError::Draining
            } else {
                ActorsError::Store(None)
            };
            reply.send(Err(error));
        }
    }

    /// The shard that has the least to do.
    fn calmest(&self) -> ShardId {
        let loads = self.context.environment.plane.loads();
        let least = loads
            .iter()
            .min_by_key(|load| (load.busy_ppm, load.transports, load.shard));
        least.map_or(ShardId(0), |load| load.shard)
    }

    fn start(
        &mut self,
        (name, id): (RoomName, RoomId),
        begins: Begins,
        settings: RoomSettings,
        scope: &mut Scope<Self>,
    ) {
        let context = Arc::clone(&self.context);
        let (passing, home) = match begins {
            Begins::Passing(_, shard) => (true, shard),
            Begins::Owned(_) | Begins::Standby(_) | Begins::Branch(..) => (false, self.calmest()),
        };
        let (phase, epoch) = match &begins {
            Begins::Owned(owned) => (RoomPhase::Active, owned.record.epoch),
            Begins::Standby(epoch) | Begins::Passing(epoch, _) => (RoomPhase::Standby, *epoch),
            Begins::Branch(epoch, _) => (RoomPhase::Active, *epoch),
        };
        let (owned, parts) = match begins {
            Begins::Owned(owned) => (Some(owned), KeptParts::default()),
            Begins::Standby(_) | Begins::Passing(..) => (None, KeptParts::default()),
            Begins::Branch(_, parts) => (None, parts),
        };
        let seed = Arc::new(RoomSeed {
            id,
            name: name.clone(),
            epoch: epoch.into(),
            home,
            opened_at_ms: context.unix_ms(),
            settings: RwLock::new(settings),
            stage: RwLock::new(Stage::in_epoch(phase, epoch)),
            parts: RwLock::new(parts),
            missed: Arc::new(AtomicBool::new(false)),
            context,
        });
        let rooms = scope.mailbox().clone();
        if owned.is_none() && !passing {
            ::metrics::gauge!(metrics::BRANCHES).increment(1.0);
        }
        let running = Running {
            name,
            owned,
            epoch,
            home,
            passing,
            inherits: None,
        };
        self.running.insert(id, running);
        let child = scope.spawn_child(
            "room_supervisor",
            RestartPolicy::temporary(),
            SUPERVISOR_BOX,
            move || RoomSupervisor::new(Arc::clone(&seed), rooms.clone()),
            move |notice| RoomsMessage::Child(id, notice),
        );
        self.children.insert(id, child.stopper);
    }

    fn opened(&mut self, id: RoomId, listener: Listener<RoomMessage>, scope: &mut Scope<Self>) {
        if self.passages.contains_key(&id) {
            self.passage_opened(id, listener, scope);
            return;
        }
        let Some(running) = self.running.get(&id) else {
            return;
        };
        let entry = RoomEntry {
            id,
            name: running.name.clone(),
            epoch: running.epoch,
            listener,
        };
        tracing::info!(room = %entry.name, id = %id, epoch = entry.epoch.0, "a room opened");
        self.context.directory.insert_room(entry.clone());
        if let Some(owned) = running.owned {
            self.tell_owned(&entry.name, owned);
        }
        self.gauge();
        if let Some((owned, handover)) = self.inherited(id) {
            // Whoever waits finds it awake.
            self.owned(&entry.name, owned, Some(handover));
        }
        let pending = self.pending.remove(&entry.name).unwrap_or_default();
        for reply in pending.replies {
            reply.send(Ok(entry.clone()));
        }
    }

    fn child(&mut self, id: RoomId, notice: &Notice, scope: &mut Scope<Self>) {
        let outcome = self.children.handle(&id, notice);
        if !matches!(notice, Notice::Exited(_)) {
            return;
        }
        let entry = self.context.directory.remove_room(id);
        self.gauge();
        let running = self.running.remove(&id);
        let passing = running.as_ref().is_some_and(|running| running.passing);
        if let Some(entry) = &entry {
            if !passing {
                tracing::info!(room = %entry.name, id = %id, "a room closed");
                let observer = &self.context.config.hooks.observer;
                observer.room_closed(&entry.name);
            }
            self.close_on_shards(entry);
        }
        let was_open = entry.is_some();
        if passing {
            self.passage_over(id);
        } else if let Some(running) = running {
            if running.owned.is_none() {
                ::metrics::gauge!(metrics::BRANCHES).decrement(1.0);
            }
            if !was_open {
                // It could not even begin: who waits hears of it, rather than for ever.
                self.refuse(&running.name, &ActorsError::Store(None));
            }
            if self.pending.contains_key(&running.name) {
                // Somebody came while it closed: it opens again, still ours.
                self.claim(running.name, None, scope);
            } else if let Some(owned) = running.owned {
                self.release(running.name, owned, was_open, scope);
            }
        }
        if self.leaving && matches!(outcome, Outcome::Empty(_)) {
            scope.stop();
        }
    }

    /// A room that has gone leaves nothing behind, on no shard.
    fn close_on_shards(&self, entry: &RoomEntry) {
        let commander = Commander::new(entry.id, entry.epoch, None);
        for load in self.context.environment.plane.loads() {
            let id = commander.next(&self.context.ids);
            let sent = commander.send(&self.context, load.shard, id, Action::CloseRoom);
            if sent.is_err() {
                tracing::warn!(room = %entry.name, "a shard did not hear that a room has closed");
            }
        }
    }

    fn release(&self, name: RoomName, owned: Owned, was_open: bool, scope: &mut Scope<Self>) {
        let ownership = self.ownership.clone();
        let work = async move {
            let release = async {
                if was_open {
                    ownership.release(&name, owned).await
                } else {
                    ownership.give_back(&name, owned).await
                }
            };
            match tokio::time::timeout(CLAIM_DEADLINE, release).await {
                Ok(Ok(())) => (),
                Ok(Err(error)) => tracing::warn!(%error, "a room was not given back"),
                Err(_) => tracing::warn!("a room was not given back in time"),
            }
        };
        scope.run(work, |()| RoomsMessage::Released);
    }

    fn gauge(&self) {
        let rooms = u32::try_from(self.context.directory.room_count()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::ROOMS).set(f64::from(rooms));
    }
}

impl Behaviour for Rooms {
    type Message = RoomsMessage;

    fn handle(&mut self, message: RoomsMessage, scope: &mut Scope<Self>) {
        match message {
            RoomsMessage::Open(name, settings, reply) => self.open(name, settings, reply, scope),
            RoomsMessage::Claimed(name, found) => self.claimed(name, found, scope),
            RoomsMessage::Ceded(from, letter) => self.ceded(from, *letter, scope),
            RoomsMessage::Unceded(name, by) => self.unceded(name, by, scope),
            RoomsMessage::Opened(id, listener) => self.opened(id, listener, scope),
            RoomsMessage::MoveShard(wish) => self.move_shard(*wish, scope),
            RoomsMessage::Yielded(id, yielded) => self.yielded(id, yielded),
            RoomsMessage::Child(id, notice) => self.child(id, &notice, scope),
            RoomsMessage::Released => {}
            RoomsMessage::StandBy(name, id, epoch, reply) => {
                self.stand_by((name, id), epoch, reply, scope);
            }
            RoomsMessage::Branch(from, letter) => self.branch(from, *letter, scope),
            RoomsMessage::Orphaned(id) => self.orphaned(id, scope),
            RoomsMessage::Sought(id, found) => self.sought(id, found),
            RoomsMessage::Owned(name, owned, handover) => self.owned(&name, owned, handover),
        }
    }

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        self.leaving = true;
        if self.children.stop_all() {
            Goodbye::Later
        } else {
            Goodbye::Now
        }
    }
}
