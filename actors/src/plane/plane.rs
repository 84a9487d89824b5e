//! The supervisor of the shards' actors.

use std::sync::Arc;

use media_types::ShardId;
use supervision::{Behaviour, Children, Exit, Goodbye, Notice, Outcome, Scope, Stopper, Strategy};

use crate::context::Context;

pub(crate) enum PlaneMessage {
    /// A shard's actor was started.
    Adopt(ShardId, Stopper),
    /// Something happened to it.
    Child(ShardId, Notice),
}

pub(crate) struct Plane {
    context: Arc<Context>,
    children: Children<ShardId>,
    leaving: bool,
}

impl Plane {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            children: Children::new(Strategy::OneForOne),
            leaving: false,
        }
    }
}

impl Behaviour for Plane {
    type Message = PlaneMessage;

    fn handle(&mut self, message: PlaneMessage, scope: &mut Scope<Self>) {
        let (shard, notice) = match message {
            PlaneMessage::Adopt(shard, stopper) => {
                self.children.insert(shard, stopper);
                return;
            }
            PlaneMessage::Child(shard, notice) => (shard, notice),
        };
        let outcome = self.children.handle(&shard, &notice);
        if let Notice::Exited(Exit::Failed { reason, .. }) = notice {
            (self.context.environment.fatal)(&reason);
        }
        if self.leaving && matches!(outcome, Outcome::Empty(_)) {
            scope.stop();
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
