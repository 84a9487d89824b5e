//! What the players of each room are told of, and served from: one broadcast a publisher, whoever
//! and however many watch it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use media_types::{Clock, Identity, RoomName};
use moq_net::{Pattern, Patterns, origin, time};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::broadcast;
use crate::egress::SteadyClock;
use crate::limits::MOQ_STAGE_BYTES_MAX;
use crate::live::Live;

/// How often a room that somebody watches is looked at for who publishes.
const LOOK: Duration = Duration::from_millis(500);

/// All rooms that somebody watches.
pub(in crate::quic) struct Stage {
    live: Live,
    clock: SteadyClock,
    origin: origin::Producer,
    rooms: Mutex<HashMap<RoomName, Weak<Room>>>,
}

/// A room, for as long as somebody watches it.
struct Room {
    looked: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A player's place in a room.
pub(super) struct Seat {
    consumer: origin::Consumer,
    _room: Arc<Room>,
}

impl Seat {
    pub(super) fn consumer(&self) -> origin::Consumer {
        self.consumer.clone()
    }
}

impl Stage {
    /// Called within the runtime that serves.
    pub(in crate::quic) fn new(live: Live, clock: Arc<dyn Clock>) -> Self {
        let mut config = origin::Config::default();
        let cache = moq_net::cache::Config::default()
            .with_capacity(MOQ_STAGE_BYTES_MAX)
            .with_expiry(moq_net::cache::DEFAULT_EXPIRY);
        config.pool = moq_net::cache::Pool::new(cache);
        let (origin, driver) = origin::Producer::new(config);
        tokio::spawn(time::run(driver));
        Self {
            live,
            clock: SteadyClock::new(clock),
            origin,
            rooms: Mutex::default(),
        }
    }

    /// Takes a place in a room, whose streams are announced when this comes back.
    pub(super) async fn enter(&self, name: &RoomName) -> Result<Seat, moq_net::Error> {
        let room = self.room(name);
        let mut looked = room.looked.clone();
        // It ends with the room alone, which is held here.
        let _looked = looked.wait_for(|looked| *looked).await;
        let everything: Patterns = [Pattern::all()].into_iter().collect();
        Ok(Seat {
            consumer: self.origin.consume().scope(name.as_str(), &everything)?,
            _room: room,
        })
    }

    fn room(&self, name: &RoomName) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(name).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let (told, looked) = watch::channel(false);
        let look = Look {
            live: self.live.clone(),
            clock: self.clock.clone(),
            origin: self.origin.clone(),
            room: name.clone(),
            broadcasts: BTreeMap::new(),
        };
        let room = Arc::new(Room {
            looked,
            task: tokio::spawn(look.run(told)).abort_handle(),
        });
        rooms.insert(name.clone(), Arc::downgrade(&room));
        room
    }
}

/// Who publishes in a room.
struct Look {
    live: Live,
    clock: SteadyClock,
    origin: origin::Producer,
    room: RoomName,
    broadcasts: BTreeMap<Identity, Running>,
}

/// A broadcast, which ends with this.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Look {
    async fn run(mut self, told: watch::Sender<bool>) {
        loop {
            self.look().await;
            told.send_replace(true);
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&mut self) {
        // A room that is not there has no peers; one that does not answer keeps its streams.
        let peers = match self.live.system().peers(&self.room).await {
            Ok(peers) => peers,
            Err(error) if error.data.kind == signaling::ErrorType::NotFound => Vec::new(),
            Err(_) => return,
        };
        let publishers: BTreeSet<Identity> = peers
            .into_iter()
            .filter(|peer| !peer.tracks.is_empty())
            .map(|peer| peer.peer_id)
            .collect();
        self.broadcasts
            .retain(|identity, running| publishers.contains(identity) && !running.0.is_finished());
        for identity in publishers {
            if !self.broadcasts.contains_key(&identity) {
                self.publish(identity);
            }
        }
    }

    fn publish(&mut self, identity: Identity) {
        let path = format!("{}/{identity}", self.room);
        let published = self.origin.publish(path, origin::Route::default());
        match published {
            Ok(producer) => {
                let stream = broadcast::Stream {
                    live: self.live.clone(),
                    clock: self.clock.clone(),
                    room: self.room.clone(),
                    identity: identity.clone(),
                };
                let task = tokio::spawn(broadcast::run(stream, producer));
                self.broadcasts.insert(identity, Running(task));
            }
            Err(error) => tracing::debug!(%error, "a stream cannot be announced"),
        }
    }
}
