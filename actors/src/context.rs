//! What all actors of a worker share: nothing that changes, but the address book and ids.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use control_plane::{WorkerRecord, placement};
use media_contract::{Action, Command, CommandId, PlaneError};
use media_types::{Epoch, RoomId, ShardId, TransportId, WorkerId};
use supervision::{RestartPolicy, Spec};

use crate::config::{ActorsConfig, Environment};
use crate::directory::{Directory, Ids};
use crate::limits::ENDPOINTS_MAX;
use crate::metrics::Counting;
use crate::room::RoomMessage;

/// Bits of a command id that count; the others name who asked.
const SEQUENCE_BITS: u32 = 24;

pub(crate) struct Context {
    pub(crate) config: ActorsConfig,
    pub(crate) environment: Environment,
    pub(crate) directory: Directory,
    pub(crate) ids: Ids,
    draining: AtomicBool,
    /// The workers of the cluster, as last seen.
    workers: RwLock<Arc<Vec<WorkerRecord>>>,
    /// Those to which there is a link.
    linked: RwLock<Arc<BTreeSet<WorkerId>>>,
}

impl Context {
    pub(crate) fn new(config: ActorsConfig, environment: Environment) -> Arc<Self> {
        let ids = Ids::new(config.id_seed);
        Arc::new(Self {
            config,
            environment,
            directory: Directory::default(),
            ids,
            draining: AtomicBool::new(false),
            workers: RwLock::default(),
            linked: RwLock::default(),
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// URLs for clients to reconnect to, this worker's first.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let config = &self.config;
        if config.endpoints.len() > 1 {
            return config.endpoints.clone();
        }
        let others = self.workers();
        let others = others
            .iter()
            .filter(|worker| worker.ready && !worker.draining && worker.url != config.url)
            .map(|worker| worker.url.clone());
        let own = std::iter::once(config.url.clone());
        own.chain(others).take(ENDPOINTS_MAX).collect()
    }

    /// Who is there, as last seen.
    pub(crate) fn workers(&self) -> Arc<Vec<WorkerRecord>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&workers)
    }

    /// Where rooms that nobody has open, if not here: the URL of a worker that is neither full nor
    /// being emptied, while this one is.
    pub(crate) fn onward(&self) -> Option<String> {
        let (me, workers) = (self.config.worker, self.workers());
        let own = workers.iter().find(|worker| worker.id == me).cloned();
        let own = WorkerRecord {
            id: me,
            draining: self.is_draining(),
            ..own.unwrap_or_default()
        };
        placement::opens_at(&own, &workers).map(|worker| worker.url.clone())
    }

    /// Notes who is there; whether clients are to reconnect to others than before.
    fn set_workers(&self, workers: Vec<WorkerRecord>) -> bool {
        let before = self.endpoints();
        *self.workers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(workers);
        before != self.endpoints()
    }

    /// Notes who is there, and has rooms tell their clients where else they may come.
    pub(crate) fn seen(&self, workers: Vec<WorkerRecord>) {
        if !self.set_workers(workers) {
            return;
        }
        for entry in self.directory.rooms() {
            if entry.listener.mailbox.tell(RoomMessage::Endpoints).is_err() {
                tracing::debug!(room = %entry.name, "a busy room's clients hear of it later");
            }
        }
    }

    /// The workers to which there is a link.
    pub(crate) fn linked(&self) -> Arc<BTreeSet<WorkerId>> {
        let linked = self.linked.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&linked)
    }

    pub(crate) fn set_linked(&self, linked: BTreeSet<WorkerId>) {
        *self.linked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(linked);
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn unix_ms(&self) -> u64 {
        let unix = self.environment.clock.unix();
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock with its fraction, in milliseconds.
    pub(crate) fn unix(&self) -> Duration {
        self.environment.clock.unix()
    }

    pub(crate) fn spec(name: &'static str, policy: RestartPolicy, capacity: usize) -> Spec {
        Spec::new(name)
            .policy(policy)
            .capacity(capacity)
            .observer(Arc::new(Counting))
    }
}

/// Numbers the commands of one actor, such that the answers find it.
#[derive(Debug)]
pub(crate) struct Commander {
    asker: u64,
    room: RoomId,
    epoch: RoomEpoch,
}

/// The epoch that commands for a room carry, shared by all who give some: it rises where the room
/// gets another owner while it is open.
#[derive(Debug, Clone)]
pub(crate) struct RoomEpoch(Arc<AtomicU64>);

impl RoomEpoch {
    pub(crate) fn get(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn raise(&self, to: Epoch) {
        self.0.fetch_max(to.0, Ordering::AcqRel);
    }
}

impl From<Epoch> for RoomEpoch {
    fn from(epoch: Epoch) -> Self {
        Self(Arc::new(AtomicU64::new(epoch.0)))
    }
}

impl Commander {
    /// For the peer of this transport, or for the room itself.
    pub(crate) fn new(
        room: RoomId,
        epoch: impl Into<RoomEpoch>,
        peer: Option<TransportId>,
    ) -> Self {
        Self {
            asker: peer.map_or(0, TransportId::get),
            room,
            epoch: epoch.into(),
        }
    }

    /// The next command's id. Counted for the whole worker, so that an answer to an earlier life of
    /// the actor is not taken for one to this.
    pub(crate) fn next(&self, ids: &Ids) -> CommandId {
        let sequence = ids.command() & ((1 << SEQUENCE_BITS) - 1);
        CommandId((self.asker << SEQUENCE_BITS) | sequence)
    }

    pub(crate) fn send(
        &self,
        context: &Context,
        shard: ShardId,
        id: CommandId,
        action: Action,
    ) -> Result<(), PlaneError> {
        let command = Command {
            id,
            room: self.room,
            epoch: self.epoch.get(),
            action,
        };
        context.environment.plane.send(shard, command)
    }
}

/// The transport whose peer gave the command; `None` for a room's.
pub(crate) fn asker(id: CommandId) -> Option<TransportId> {
    match id.0 >> SEQUENCE_BITS {
        0 => None,
        transport => Some(TransportId::new(transport)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_who_asked() {
        let transport = TransportId::new(77);
        let ids = Ids::new(1);
        let peer = Commander::new(RoomId::new(1), Epoch::FIRST, Some(transport));
        let room = Commander::new(RoomId::new(1), Epoch::FIRST, None);
        let (first, second) = (peer.next(&ids), peer.next(&ids));
        assert_ne!(first, second);
        assert_eq!(asker(first), Some(transport));
        assert_eq!(asker(second), Some(transport));
        assert_eq!(asker(room.next(&ids)), None);
    }
}
