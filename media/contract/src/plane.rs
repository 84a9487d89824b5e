//! The way from actors to shards.

use media_types::ShardId;

use crate::Command;

/// Why a command did not reach its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaneError {
    /// The shard's queue is full; mark what it was about as dirty and reconcile at the next tick.
    #[error("the shard's command queue is full")]
    Busy,
    /// The shard is gone; it will be restarted and its rooms re-opened.
    #[error("the shard is gone")]
    Gone,
}

/// How full a shard is, for placing rooms and peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLoad {
    /// Which.
    pub shard: ShardId,
    /// Its transports.
    pub transports: u32,
    /// The share of the last second that it worked, in millionths.
    pub busy_ppm: u32,
}

/// Takes commands to shards. Never blocks.
pub trait Plane: Send + Sync {
    /// Queues a command.
    ///
    /// # Errors
    /// [`PlaneError::Busy`] when the queue is full, [`PlaneError::Gone`] when nobody reads it.
    fn send(&self, shard: ShardId, command: Command) -> Result<(), PlaneError>;

    /// Every shard with its load, in order of its id.
    fn loads(&self) -> Vec<ShardLoad>;
}
