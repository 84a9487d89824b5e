//! The actor of one shard: keeps its last figures and spreads the word when it was restarted.

use std::sync::Arc;

use media_contract::{Event, Fact, ShardFigures};
use media_types::ShardId;
use supervision::{Behaviour, Reply, Scope};

use crate::context::Context;
use crate::limits::RECONCILE_AFTER;
use crate::room::RoomMessage;

pub(crate) enum ShardMessage {
    /// Something about the shard itself.
    Event(Box<Event>),
    /// The shard has begun anew and knows nothing.
    Restarted,
    /// The last figures.
    Figures(Reply<Option<ShardFigures>>),
}

pub(crate) struct Shard {
    context: Arc<Context>,
    id: ShardId,
    figures: Option<ShardFigures>,
}

impl Shard {
    pub(crate) fn new(context: Arc<Context>, id: ShardId) -> Self {
        Self {
            context,
            id,
            figures: None,
        }
    }

    /// Every room is told; those that were not on the shard do nothing.
    fn restarted(&mut self, scope: &mut Scope<Self>) {
        self.figures = None;
        let mut refused = false;
        for entry in self.context.directory.lives() {
            let told = entry
                .listener
                .mailbox
                .tell(RoomMessage::ShardRestarted(self.id));
            refused |= matches!(told, Err(supervision::TellError::Full(_)));
        }
        if refused {
            // Saying it twice is harmless.
            scope.after(RECONCILE_AFTER, ShardMessage::Restarted);
        }
    }
}

impl Behaviour for Shard {
    type Message = ShardMessage;

    fn handle(&mut self, message: ShardMessage, scope: &mut Scope<Self>) {
        match message {
            ShardMessage::Event(event) => {
                if let Fact::ShardFigures(figures) = event.fact {
                    self.figures = Some(*figures);
                }
            }
            ShardMessage::Restarted => self.restarted(scope),
            ShardMessage::Figures(reply) => reply.send(self.figures.clone()),
        }
    }
}
