//! The worker's tree of actors, as `server` and the simulator hold it.

mod admin;
mod drain;
mod live;
mod moves;
mod parts;
mod shards;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_contract::{Event, ShardFigures};
use media_types::{RoomName, ShardId};
use signaling::rest::RoomSettings;
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};
use supervision::{Arbiter, Behaviour, Child, Host, Mailbox, Reply, RestartPolicy, Spec, Stopper};
use tokio::sync::Semaphore;

use crate::config::{ActorsConfig, Environment};
use crate::context::Context;
use crate::directory::{Listener, RoomEntry};
use crate::error::ActorsError;
use crate::hooks::Entrance;
use crate::limits::{ASK_DEADLINE, JOIN_DEADLINE, MOVES_AT_ONCE, SUPERVISOR_BOX};
use crate::metrics;
use crate::migration::{Migrations, MigrationsMessage, rooms_of};
use crate::peer::PeerMessage;
use crate::plane::plane::{Plane, PlaneMessage};
use crate::plane::route::{Route, route};
use crate::plane::shard::{Shard, ShardMessage};
use crate::room::RoomMessage;
use crate::room::message::{JoinAsk, JoinRefused};
use crate::rooms::{Rooms, RoomsMessage};
use crate::session::{Credentials, JoinRequest, Joined};
use crate::worker::{Worker, WorkerChild, WorkerMessage};

pub use admin::Fault;

/// Attempts to enter a room that closes under one's feet.
const JOIN_ATTEMPTS: usize = 4;
/// Between two of them.
const JOIN_PAUSE: Duration = Duration::from_millis(20);

/// A handle on the tree; clones share it. Dropping it stops nothing.
#[derive(Clone)]
pub struct System {
    context: Arc<Context>,
    rooms: Arc<[Mailbox<RoomsMessage>]>,
    shards: Arc<[(ShardId, Mailbox<ShardMessage>)]>,
    migrations: Mailbox<MigrationsMessage>,
    /// Turns of rooms that leave because the worker drains.
    leaving: Arc<Semaphore>,
    root: Stopper,
}

/// Starts on that arbiter, or on the current thread where there is none.
fn place<B: Behaviour>(
    arbiter: Option<&Arbiter>,
    factory: impl FnMut() -> B + Send + 'static,
    spec: Spec,
) -> Child<B::Message> {
    match arbiter {
        Some(arbiter) => Host::spawn_on(arbiter, factory, spec),
        None => Host::spawn(factory, spec),
    }
}

impl System {
    /// Starts the tree on the control threads, the root on the first; without any, on the current
    /// thread's arbiter or `LocalSet`, as the simulator does.
    #[must_use]
    pub fn start(config: ActorsConfig, environment: Environment, arbiters: &[Arbiter]) -> Self {
        let context = Context::new(config, environment);
        let first = arbiters.first();
        let permanent = RestartPolicy::permanent;
        let spec = |name| Context::spec(name, permanent(), SUPERVISOR_BOX);
        let shared = Arc::clone(&context);
        let root = place(
            first,
            move || Worker::new(Arc::clone(&shared)),
            spec("worker"),
        );
        let adopt = |key, stopper: &Stopper| {
            let adopted = root
                .mailbox
                .tell(WorkerMessage::Adopt(key, stopper.clone()));
            debug_assert!(adopted.is_ok());
        };
        let notices = |key| {
            root.mailbox
                .notices(move |notice| WorkerMessage::Child(key, notice))
        };

        let shared = Arc::clone(&context);
        let plane_spec = spec("plane").notices(notices(WorkerChild::Plane));
        let plane = place(first, move || Plane::new(Arc::clone(&shared)), plane_spec);
        adopt(WorkerChild::Plane, &plane.stopper);
        let shards = Self::start_shards(&context, first, &plane.mailbox);

        let threads = arbiters.len().max(1);
        let rooms = (0..threads).map(|thread| {
            let shared = Arc::clone(&context);
            let key = WorkerChild::Rooms(thread);
            let spec = spec("rooms").notices(notices(key));
            let factory = move || Rooms::new(Arc::clone(&shared));
            let child = place(arbiters.get(thread), factory, spec);
            adopt(key, &child.stopper);
            child.mailbox
        });
        let rooms: Arc<[Mailbox<RoomsMessage>]> = rooms.collect();
        let (shared, mailboxes) = (Arc::clone(&context), Arc::clone(&rooms));
        let factory = move || Migrations::new(Arc::clone(&shared), Arc::clone(&mailboxes));
        let migrations_spec = spec("migrations").notices(notices(WorkerChild::Migrations));
        let migrations = place(first, factory, migrations_spec);
        adopt(WorkerChild::Migrations, &migrations.stopper);
        Self {
            rooms,
            migrations: migrations.mailbox,
            leaving: Arc::new(Semaphore::new(MOVES_AT_ONCE)),
            shards,
            root: root.stopper,
            context,
        }
    }

    fn start_shards(
        context: &Arc<Context>,
        arbiter: Option<&Arbiter>,
        plane: &Mailbox<PlaneMessage>,
    ) -> Arc<[(ShardId, Mailbox<ShardMessage>)]> {
        let loads = context.environment.plane.loads();
        let shards = loads.iter().map(|load| {
            let (id, shared) = (load.shard, Arc::clone(context));
            let spec = Context::spec("shard", RestartPolicy::permanent(), SUPERVISOR_BOX)
                .notices(plane.notices(move |notice| PlaneMessage::Child(id, notice)));
            let child = place(arbiter, move || Shard::new(Arc::clone(&shared), id), spec);
            let adopted = plane.tell(PlaneMessage::Adopt(id, child.stopper));
            debug_assert!(adopted.is_ok());
            (id, child.mailbox)
        });
        shards.collect()
    }

    /// Takes an event of a shard to its actor. Never blocks; may be called from any thread. An
    /// event that finds a full box is made up for by reconciling.
    pub fn deliver(&self, shard: ShardId, event: Event) {
        match route(&event) {
            Route::Peer(transport) => {
                if let Some(peer) = self.context.directory.peer(transport) {
                    tell(&peer, PeerMessage::Event(Box::new(event)));
                }
            }
            Route::Room => {
                if let Some(entry) = self.context.directory.room_by_id(event.room) {
                    tell(&entry.listener, RoomMessage::Event(shard, Box::new(event)));
                }
            }
            Route::Shard => self.tell_shard(shard, ShardMessage::Event(Box::new(event))),
        }
    }

    /// A shard's thread ended and another one took its place, knowing nothing.
    pub fn shard_restarted(&self, shard: ShardId) {
        self.tell_shard(shard, ShardMessage::Restarted);
    }

    fn tell_shard(&self, shard: ShardId, message: ShardMessage) {
        let found = self.shards.iter().find(|(id, _)| *id == shard);
        if let Some((_, mailbox)) = found
            && mailbox.tell(message).is_err()
        {
            tracing::warn!(%shard, "the actor of a shard does not listen");
        }
    }

    /// The last figures of each shard.
    pub async fn shard_figures(&self) -> Vec<ShardFigures> {
        let mut all = Vec::new();
        for (_, shard) in self.shards.iter() {
            let figures = shard.ask(ASK_DEADLINE, ShardMessage::Figures).await;
            all.extend(figures.ok().flatten());
        }
        all
    }

    /// Enters a room, opening it if need be.
    ///
    /// # Errors
    /// As `join` of the client protocol.
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, RpcError> {
        let inner = self.join_within(request);
        match tokio::time::timeout(JOIN_DEADLINE, inner).await {
            Ok(joined) => joined,
            Err(_) => Err(ErrorType::Overloaded.into()),
        }
    }

    async fn join_within(&self, request: JoinRequest) -> Result<Joined, RpcError> {
        // Sessions are taken up again even while the worker drains: they are here already.
        let comes_anew = matches!(request.credentials, Credentials::Token(_));
        // Rooms that have not moved yet go on as they were.
        let runs = self.context.directory.room(&request.room).is_some();
        let refuses = self.context.is_draining() && self.context.onward().is_none();
        if comes_anew && refuses && !runs {
            return Err(ErrorType::Draining.into());
        }
        if let Credentials::Token(claims) = &request.credentials {
            let policy = &self.context.config.hooks.policy;
            policy.admits(&Entrance {
                room: &request.room,
                identity: &claims.sub,
                key: &claims.iss,
            })?;
        }
        let mut request = request;
        for _ in 0..JOIN_ATTEMPTS {
            let entry = self.open(&request.room, None).await?;
            // A room that is just closing takes nobody; the next attempt opens it anew.
            let (reply, answer) = Reply::channel();
            let ask = Box::new(JoinAsk { request, reply });
            match entry.listener.mailbox.tell(RoomMessage::Join(ask)) {
                Ok(()) => match answer.await {
                    Ok(Ok(joined)) => return Ok(joined),
                    Ok(Err(JoinRefused::Closing(again))) => request = *again,
                    Ok(Err(JoinRefused::No(error))) => return Err(error),
                    Err(_) => return Err(ErrorType::Internal.into()),
                },
                Err(supervision::TellError::Closed(RoomMessage::Join(ask))) => {
                    request = ask.request;
                }
                Err(_) => return Err(ErrorType::Overloaded.into()),
            }
            tokio::time::sleep(JOIN_PAUSE).await;
        }
        Err(ErrorType::Unavailable.into())
    }

    /// Finds a room, or opens it on the thread that its name falls to.
    async fn open(
        &self,
        name: &RoomName,
        settings: Option<RoomSettings>,
    ) -> Result<RoomEntry, ActorsError> {
        if settings.is_none()
            && let Some(entry) = self.context.directory.room(name)
            && !entry.listener.mailbox.is_closed()
        {
            return Ok(entry);
        }
        let rooms = rooms_of(&self.rooms, name).ok_or(ActorsError::NotFound)?;
        let question = |reply| RoomsMessage::Open(name.clone(), settings.map(Box::new), reply);
        rooms.ask(JOIN_DEADLINE, question).await?
    }

    /// Rooms and peers that exist now.
    #[must_use]
    pub fn population(&self) -> (usize, usize) {
        let directory = &self.context.directory;
        (directory.room_count(), directory.peer_count())
    }

    /// Whether joins are refused for good.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.context.is_draining()
    }

    /// Refuses joins, closes every room with `draining`, and waits until all are gone. The caller
    /// sets the deadline.
    pub async fn drain(&self) {
        self.context.start_draining();
        loop {
            let mut refused = false;
            for entry in self.context.directory.lives() {
                let close = RoomMessage::Close(CloseReason::Draining);
                let told = entry.listener.mailbox.tell(close);
                refused |= matches!(told, Err(supervision::TellError::Full(_)));
            }
            if !refused {
                break;
            }
            tokio::time::sleep(JOIN_PAUSE).await;
        }
        self.context.directory.emptied().await;
    }

    /// Asks the whole tree to stop, leaves first.
    pub fn stop(&self) {
        self.root.stop();
    }

    /// Whether the whole tree has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.root.is_gone()
    }
}

/// Tells a listener of an event; one that a full box refuses is remembered.
fn tell<M: Send + 'static>(listener: &Listener<M>, message: M) {
    if let Err(supervision::TellError::Full(_)) = listener.mailbox.tell(message) {
        listener.missed.store(true, Ordering::Release);
        ::metrics::counter!(metrics::ACTOR_EVENTS_REFUSED).increment(1);
    }
}
