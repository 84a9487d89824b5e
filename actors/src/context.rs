//! What all actors of a worker share: nothing that changes, but the address book and ids.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use media_contract::{Action, Command, CommandId, PlaneError};
use media_types::{Epoch, RoomId, ShardId, TransportId};
use supervision::{RestartPolicy, Spec};

use crate::config::{ActorsConfig, Environment};
use crate::directory::{Directory, Ids};
use crate::limits::ENDPOINTS_MAX;
use crate::metrics::Counting;

/// Bits of a command id that count; the others name who asked.
const SEQUENCE_BITS: u32 = 24;

pub(crate) struct Context {
    pub(crate) config: ActorsConfig,
    pub(crate) environment: Environment,
    pub(crate) directory: Directory,
    pub(crate) ids: Ids,
    draining: AtomicBool,
    /// Where clients find other workers, as last seen.
    others: RwLock<Vec<String>>,
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
            others: RwLock::default(),
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
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let others = others.iter().filter(|url| **url != config.url).cloned();
        let own = std::iter::once(config.url.clone());
        own.chain(others).take(ENDPOINTS_MAX).collect()
    }

    pub(crate) fn set_others(&self, urls: Vec<String>) {
        *self.others.write().unwrap_or_else(PoisonError::into_inner) = urls;
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
    epoch: Epoch,
}

impl Commander {
    /// For the peer of this transport, or for the room itself.
    pub(crate) fn new(room: RoomId, epoch: Epoch, peer: Option<TransportId>) -> Self {
        Self {
            asker: peer.map_or(0, TransportId::get),
            room,
            epoch,
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
            epoch: self.epoch,
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
