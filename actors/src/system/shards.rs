//! Moving rooms between the shards of this worker: what operators ask for.

use media_types::{RoomName, ShardId};
use signaling::RpcError;

use super::System;
use crate::error::from_ask;
use crate::limits::ASK_DEADLINE;
use crate::migration::MigrationsMessage;
use crate::rooms::ShardMove;

impl System {
    /// Has a room go on at that shard, or at the least busy one. Its clients follow by themselves.
    ///
    /// # Errors
    /// `not_found`: no such room; `moved`: another worker has it; `conflict`: it moves, is bound to
    /// its shard, or there is no other shard like that; `unavailable`, `overloaded`: the worker has
    /// too much to do.
    pub async fn move_shard(
        &self,
        room: &RoomName,
        to: Option<ShardId>,
    ) -> Result<ShardMove, RpcError> {
        if self.context.directory.room(room).is_none() {
            let workers = self.workers().await?;
            return Err(self.elsewhere(room, &workers).await?);
        }
        let room = room.clone();
        let question = |reply| MigrationsMessage::MoveShard(room, to, reply);
        let asked = self
            .migrations
            .ask(ASK_DEADLINE.saturating_mul(3), question);
        asked.await.map_err(from_ask)?
    }
}
