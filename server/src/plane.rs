//! The way from actors to shards: [`Plane`] over the shards' queues.

use std::sync::Arc;

use media_contract::{Command, Plane, PlaneError, ShardLoad};
use media_types::ShardId;

use crate::shard::{Inbox, Shards};

/// Carries commands to the shards of this worker. Never blocks; cheap to clone.
///
/// A shard holds at most 4,096 commands and takes them only while their answers have a place, so a
/// control thread that falls behind is told [`PlaneError::Busy`] instead of losing an answer.
#[derive(Debug, Clone)]
pub struct Rings {
    inboxes: Vec<Arc<Inbox>>,
}

impl Rings {
    /// The way to these shards.
    #[must_use]
    pub fn new(shards: &Shards) -> Self {
        Self {
            inboxes: shards.inboxes.clone(),
        }
    }

    /// The shards' queues, in the order of their ids.
    pub(crate) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// Asks every shard's thread to take one last turn and end.
    pub(crate) fn stop(&self) {
        for inbox in &self.inboxes {
            inbox.stop();
        }
    }
}

impl Plane for Rings {
    fn send(&self, shard: ShardId, command: Command) -> Result<(), PlaneError> {
        let inbox = self.inboxes.get(usize::from(shard.0));
        inbox.ok_or(PlaneError::Gone)?.command(command)
    }

    fn loads(&self) -> Vec<ShardLoad> {
        let living = self.inboxes.iter().filter(|inbox| !inbox.is_gone());
        living.map(|inbox| inbox.load()).collect()
    }
}
